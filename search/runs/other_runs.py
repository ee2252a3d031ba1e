"""Runs that a command refers to: the newest run, and an earlier run whose trials are tried first."""

from pathlib import Path

from litetuner.search.runs.record import read_run
from litetuner.search.trial import Trial
from litetuner.spaces.errors import ConfigError, RunError

RUNS = Path("runs")


def newest_run(folder: Path = RUNS) -> Path:
    """The run that a search changed last. Raises ``RunError`` if there is none."""
    found = [path.parent for path in folder.glob("*/litetuner.toml") if (path.parent / "inspection.json").is_file()]
    if not found:
        raise RunError(f"There is no run in {folder}/ here. Name the folder of a run, such as {folder}/NAME.")
    return max(found, key=_changed)


def _changed(run: Path) -> float:
    """When a search last wrote into a run; reports and exports do not count."""
    return max(path.stat().st_mtime for name in ("litetuner.toml", "events.jsonl") if (path := run / name).exists())


def split_trial(given: str) -> tuple[Path, int | None]:
    """Split ``RUN:TRIAL`` into folder and number (``RUN`` alone: ``None``). Raises ``ConfigError`` for a bad number."""
    folder, colon, number = given.rpartition(":")
    if not colon or Path(given).exists():
        return Path(given), None
    if not number.isdecimal():
        raise ConfigError(f"{given}: after the colon comes the number of a trial, such as {folder}:12.")
    return Path(folder), int(number)


def earlier_trials(given: str | None) -> tuple[Trial, ...]:
    """The trial that ``RUN:TRIAL`` names, or the picks of ``RUN`` and then its Pareto front, without the baseline.

    Raises ``RunError`` if there is no such run or trial, or if the trial has no file.
    """
    if given is None:
        return ()
    folder, number = split_trial(given)
    record = read_run(folder)
    if number is None:
        found = {trial.number: trial for trial in (*record.picks.values(), *record.front)}
        return tuple(trial for trial in found.values() if not trial.is_baseline)
    trial = record.trial(number)
    if trial.artifact is None:
        raise RunError(f"{given}: this trial is {trial.state.lower()} and has no file. Choose another one.")
    return (trial,)
