"""``tune`` runs a search, ``init`` writes a first configuration, ``apply`` builds one recipe on a new model version."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from litetuner.keys import SearchKeys, SettingKeys, with_keys
from litetuner.run import Run

if TYPE_CHECKING:
    from litetuner.search.config.config import Config
    from litetuner.search.listener import Listener

# Keys that ``apply`` does not take from a run: its own arguments, and the limits on the length of the search.
NOT_APPLIED = (
    "model",
    "data",
    "out",
    "time_budget",
    "trials",
    "patience",
    "until_met",
    "json_",
    "debug",
    "from_run",
    "trust_model",
)


@with_keys(SearchKeys)
def tune(
    model: Any, data: Any, *, progress: bool = True, listener: Listener | None = None, **keys: Unpack[SearchKeys]
) -> Run:
    """Search compressions of ``model`` on ``data``. Repeating the same call resumes the run.

        run = litetuner.tune("model.keras", "data.npz", max_drop="1%", time_budget="30m")

    ``model`` is a file (``.keras``, ``.h5``, a float ``.tflite``), a SavedModel folder, ``"module:function"``, a Keras
    model, or a function that returns one. ``data`` is an ``.npz`` file, a table with ``label``, a folder of images with
    one subfolder per class, ``"module:function"``, an array, ``(x, y)``, ``((x_train, y_train), (x_test, y_test))``, a
    dictionary of arrays (``x_train``, ``y_train``, optional ``x_search``, ``y_search``, ``x_test``, ``y_test``), a
    pandas DataFrame with ``label``, a ``tf.data.Dataset`` of (x, y), or a function that returns one of these.
    ``metric``, ``preprocess``, ``loss`` and ``fit`` may also be functions, and ``custom_objects`` a dict of classes.
    Lambdas, functions and classes of a notebook work too: they are sent to the worker processes and never stored. To
    resume or rebuild such a run, pass the same objects again.

    ``progress`` shows the search: one display in a notebook or a terminal, plain lines on standard error elsewhere. A
    ``listener`` gets the events instead. Raises ``UsageError`` for bad input before any computation. A search in which
    nothing is feasible is not an error: then ``Run.best()`` is ``None``, and the report says which budget cannot be
    met.
    """
    from litetuner.inputs import as_values, checked_config

    return searched(checked_config(as_values(model, data, keys), "tune"), progress, listener)


def searched(config: Config, progress: bool = True, listener: Listener | None = None) -> Run:
    """Run or resume the search of a configuration, and write its report."""
    from litetuner.notebook import shown_progress
    from litetuner.reporting import Reporting
    from litetuner.search.run import run_search

    with shown_progress(progress, listener) as view, Reporting(view) as reporting:
        outcome = run_search(config, reporting)
    run = Run(outcome.record.folder.path.absolute())  # a notebook may change its working directory
    run.report()
    return run


@with_keys(SettingKeys)
def init(
    model: Any,
    data: Any,
    *,
    out: Path | str = "litetuner.toml",
    force: bool = False,
    progress: bool = True,
    listener: Listener | None = None,
    **keys: Unpack[SettingKeys],
) -> tuple[Path, str | None]:
    """Write a TOML file with every key, its help, and budgets that are suggested from a measured baseline.

    ``model``, ``data``, ``progress``, ``listener`` and ``keys`` are the same as for ``tune``. If ``metric`` is not
    given, it is guessed from the labels. The file contains all given keys; budgets that are not given are suggested.
    Returns the path, and a warning if there are doubts about the baseline (such as a metric that is not better than
    guessing). Raises ``RunError`` if ``out`` exists, unless ``force`` is set, and ``ConfigError`` for Python objects,
    because a TOML file cannot hold them. Also raises the errors of ``tune`` for bad input.
    """
    from litetuner.inputs import as_values, checked_config
    from litetuner.notebook import shown_progress
    from litetuner.reports.starter_config import starter_toml, warning
    from litetuner.search.evaluation.preview import preview_model
    from litetuner.spaces.errors import ConfigError, RunError
    from litetuner.spaces.jobs.python_functions import is_python_function
    from litetuner.spaces.store import write_atomic

    path = Path(out)
    if path.exists() and not (force and path.is_file()):
        raise RunError(f"{path} exists. Choose another --out, or replace it with --force.")
    values = as_values(model, data, keys)
    if named := [key for key, value in values.items() if isinstance(value, str) and is_python_function(value)]:
        raise ConfigError(
            f"init: {', '.join(named)}: a TOML file cannot hold a Python object; name it module:function."
        )
    guess = keys.get("metric") is None
    with shown_progress(progress, listener) as view:
        look = preview_model(checked_config(values, "init"), path.absolute().parent, view, guess_metric=guess)
    write_atomic(path, starter_toml(look))
    return path, warning(look)


@with_keys(SearchKeys)
def apply(
    run: Run | Path | str,
    model: Any,
    data: Any = None,
    *,
    trust: bool = False,
    progress: bool = True,
    listener: Listener | None = None,
    **keys: Unpack[SearchKeys],
) -> Run:
    """Build one known recipe on a new version of a model, then verify, score and time it; returns the new run.

    ``run`` is a run folder or ``"RUN:TRIAL"``; without a number, the run's best trial is used. ``model`` and ``data``
    are the same as for ``tune``; the default of ``data`` is the data of the run. All other keys, including budgets, are
    those of the run, unless ``keys`` override them. ``progress`` and ``listener`` are the same as for ``tune``. The
    result is a run of two trials, the new baseline and the recipe: ``Run.best()`` is the baseline or ``None`` if the
    recipe is not within the budgets any more. ``trust`` allows the functions that the run names (such as metric and
    preprocessing) to execute.

    Raises ``RunError`` if there is no such trial or if functions are not trusted, ``ConfigError`` if the rules do not
    allow the recipe on this model. Also raises the errors of ``tune`` for bad input.
    """
    from litetuner.search.runs.other_runs import split_trial
    from litetuner.spaces.errors import ConfigError, RunError

    if decided := [name for name in ("from_run", "trials") if name in keys]:
        raise ConfigError(f"apply: leave out {decided[0]}: apply runs the baseline and one recipe of RUN[:TRIAL].")
    folder, number = split_trial(str(run.path if isinstance(run, Run) else run))
    record = Run(folder).record()
    trial = record.picks.get("best") if number is None else record.trial(number)
    if trial is None or trial.is_baseline:
        raise RunError(f"{folder}: there is no recipe to apply. Name one of its trials: {folder}:TRIAL.")
    kept = record.config.model_dump(exclude_none=True)
    kept = {name: value for name, value in kept.items() if name not in (*NOT_APPLIED, *keys)}
    if data is None:
        data = record.config.data
        kept["data"] = data
    _check_trusted(folder, kept, trust)
    kept.pop("data", None)
    out = {"out": f"runs/{folder.absolute().name}-{trial.number}-applied", "trust_model": trust}
    own = {"from_run": f"{folder}:{trial.number}", "trials": 2, "progress": progress, "listener": listener}
    found = tune(model, data, **{**out, **kept, **keys, **own})
    if all(other.candidate.key != trial.candidate.key for other in found.record().trials):
        raise ConfigError(
            f"{trial.candidate.label} is not possible on this model: `litetuner inspect` says what its layers allow."
        )
    return found


def _check_trusted(folder: Path, kept: dict[str, Any], trust: bool) -> None:
    """Raise ``RunError`` if the settings of the run name functions that would run, unless ``trust`` is set."""
    from litetuner.search.evaluation.identity import named_functions
    from litetuner.spaces.errors import RunError
    from litetuner.spaces.jobs.python_functions import is_python_function

    texts = {name: value for name, value in kept.items() if isinstance(value, str)}
    named = [
        f"{name} = {text}"
        for name, text in texts.items()
        if any(not is_python_function(name) for name in named_functions(text))
    ]
    if named and not trust:
        raise RunError(
            f"{folder} names functions ({', '.join(named)}), and this runs them. If you trust them, add --trust."
        )
