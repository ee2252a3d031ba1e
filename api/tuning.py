"""``tune`` searches, ``init`` writes a first configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from litetuner.keys import SearchKeys, with_search_keys
from litetuner.run import Run

if TYPE_CHECKING:
    from litetuner.search.listener import Listener


@with_search_keys
def tune(
    model: Any, data: Any, *, progress: bool = True, listener: Listener | None = None, **keys: Unpack[SearchKeys]
) -> Run:
    """Search compressions of ``model`` on ``data``; the same call again resumes the run.

        run = litetuner.tune("model.keras", "data.npz", max_drop="1%", time_budget="30m")

    ``model`` is a file (``.keras``, ``.h5``, a float ``.tflite``), a SavedModel folder, ``"module:function"``, a Keras model, or
    a function that returns one. ``data`` is an ``.npz`` file, a table with ``label``, a folder of images with one subfolder per
    class, ``"module:function"``, an array, ``(x, y)``, ``((x_train, y_train), (x_test, y_test))``, a dictionary of arrays
    (``x_train``, ``y_train``, optional ``x_search``, ``y_search``, ``x_test``, ``y_test``), a pandas DataFrame with ``label``, a
    ``tf.data.Dataset`` of (x, y), or a function that returns one of these. ``metric``, ``preprocess``, ``loss`` and ``fit`` may
    be functions too, also lambdas and functions of a notebook: they are sent to the worker processes, and never stored; to resume
    or rebuild such a run, give the same functions again.

    ``progress`` shows the search: one display in a notebook and in a terminal, plain lines on standard error elsewhere.
    ``listener`` gets the events in its place. Raises ``UsageError`` for bad input before any computing. A search in which nothing
    is feasible is not an error: then ``Run.best()`` is ``None``, and the report says which budget cannot be met.
    """
    from litetuner.inputs import as_values
    from litetuner.notebook import shown_progress
    from litetuner.reporting import Reporting
    from litetuner.search.config.config import make_config
    from litetuner.search.run import run_search

    config = make_config(as_values(model, data, keys), where="tune")
    with shown_progress(progress, listener) as view, Reporting(view) as reporting:
        outcome = run_search(config, reporting)
    run = Run(outcome.record.folder.path.absolute())  # a notebook may change its folder
    run.report()
    return run


def init(
    model: Any,
    data: Any,
    *,
    out: Path | str = "litetuner.toml",
    force: bool = False,
    progress: bool = True,
    listener: Listener | None = None,
    **keys: Any,
) -> tuple[Path, str | None]:
    """Write a TOML with every key and its help, fitted to a model and its data: the baseline is measured, budgets suggested.

    ``model``, ``data``, ``progress`` and ``keys`` are those of ``tune``; ``metric`` is guessed by the labels if it is not given.
    Gives the path, and a warning if the baseline is not better than guessing. Raises ``RunError`` when ``out`` exists, unless
    ``force`` is set, ``ConfigError`` for Python functions, which no file can hold, and what ``tune`` raises for bad input.
    """
    from litetuner.inputs import as_values
    from litetuner.notebook import shown_progress
    from litetuner.reports.starter_config import starter_toml, warning
    from litetuner.search.config.config import make_config
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
            f"init: {', '.join(named)}: a TOML file cannot hold a Python function; name it module:function."
        )
    guess = keys.get("metric") is None
    with shown_progress(progress, listener) as view:
        look = preview_model(make_config(values, where="init"), path.absolute().parent, view, guess_metric=guess)
    write_atomic(path, starter_toml(look))
    return path, warning(look)
