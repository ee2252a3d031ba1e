"""Rebuilding files of trials that are missing or damaged, with the same jobs that built them."""

from collections.abc import Iterable

from litetuner.search.evaluation.measured import Measured, Stopped
from litetuner.search.evaluation.services import Services
from litetuner.search.evaluation.stages import artifact_of, build, train_all
from litetuner.search.trial import Trial
from litetuner.spaces.errors import RunError


def restore_files(services: Services, trials: Iterable[Trial]) -> None:
    """Rebuild files that are missing or damaged. Raises ``RunError`` if this fails or gives another file."""
    for trial in trials:
        name = artifact_of(trial)
        if name is None or services.folder.artifacts.has(name):
            continue
        services.folder.note("file missing or damaged, built again", trial=trial.number)
        try:
            checkpoints, measured = train_all(services, trial.candidate, Measured())
            problem = "gave another one"
            if build(services, trial.candidate, checkpoints, measured)[0].name == name:
                continue
        except Stopped as stop:
            problem = f"failed: {stop}"
        record = services.folder.trial_folder(trial.number) / "trial.json"
        raise RunError(
            f"{services.folder.artifacts.folder / name} is missing or damaged, and building it again {problem}. "
            f"Remove {record} and repeat the search command: trial {trial.number} is asked and measured again."
        )
