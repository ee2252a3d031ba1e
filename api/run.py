"""The Python API: ``tune`` searches, a ``Run`` is the result."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from litetuner.reports.model.comparison import Comparison
    from litetuner.search.listener import Listener
    from litetuner.search.runs.rebuild import Rebuilt
    from litetuner.search.runs.record import RunRecord


class Run:
    """A run folder. It can be read during the search, and on another machine.

    Raises ``RunError`` where the folder holds no run.
    """

    def __init__(self, path: Path | str) -> None:
        from litetuner.search.runs.record import open_run

        self.path = Path(path)
        open_run(self.path)

    def record(self) -> RunRecord:
        """The current state of the run: trials, configuration, model and data."""
        from litetuner.search.runs.record import read_run

        return read_run(self.path)

    def summary(self) -> dict[str, Any]:
        """The contents of ``summary.json``, computed now."""
        from litetuner.reports.files.summary import summary

        return summary(self.record())

    @property
    def front(self) -> list[dict[str, Any]]:
        """The feasible non-dominated trials, a row each (as in ``summary.json``), the best metric first."""
        rows: list[dict[str, Any]] = self.summary()["front"]
        return rows

    def best(self) -> dict[str, Any] | None:
        """The row of the best trial within the budgets, ``None`` if nothing is feasible."""
        row: dict[str, Any] | None = self.summary()["best"]
        return row

    def status(self) -> dict[str, Any]:
        """The progress of the run: is a search running, what does it do, how many trials and seconds are left."""
        from litetuner.reports.status import find_status

        return find_status(self.record()).to_json()

    def report(self) -> Path:
        """Write ``report.html``, ``trials.csv`` and ``summary.json`` into the run folder; gives the report's path."""
        from litetuner.reports.html.report import write_report

        return write_report(self.record())

    def export(
        self,
        out: Path | str,
        *,
        trial: int | None = None,
        pick: str | None = None,
        c_array: bool = False,
        metadata: bool = False,
        force: bool = False,
    ) -> Path:
        """Write a trial's ``.tflite`` with its record, provenance, model card and example into ``out``; gives its path.

        ``pick`` is one of best (the default), accurate, balanced, smallest, fastest, and with several targets robust.
        ``c_array`` adds a C array, ``metadata`` puts a short provenance inside the file, ``force`` replaces another trial's
        export in ``out``. Raises ``RunError`` where there is nothing to export.
        """
        from litetuner.reports.export.export import export

        return export(
            self.record(), trial=trial, pick=pick, out=Path(out), c_array=c_array, metadata=metadata, force=force
        )

    def rebuild(self, trial: int, out: Path | str | None = None, **how: Any) -> Rebuilt:
        """Build a trial's file again from model and data, and compare; see ``litetuner.rebuild``."""
        record = self.record()
        record.trial(trial)
        return rebuild(record.folder.trial_folder(trial), out, **how)

    def compare(self, other: Run | Path | str, *, out: Path | str | None = None, **budgets: Any) -> Comparison:
        """Compare with another run of the same model and data under ``budgets`` (``max_drop="1%"``), else under this run's.

        ``out`` is where a page with both fronts is written. Raises ``RunError`` for runs whose numbers do not mean the same.
        """
        from litetuner.reports.html.comparison import comparison_page
        from litetuner.reports.model.comparison import compare
        from litetuner.spaces.store import write_atomic

        against = other if isinstance(other, Run) else Run(other)
        found = compare(self.record(), against.record(), budgets)
        if out is not None:
            write_atomic(Path(out), comparison_page(found))
        return found

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"


def tune(model: Any, data: Any, *, listener: Listener | None = None, **keys: Any) -> Run:
    """Search compressions of ``model`` on ``data``; the same call again resumes the run.

    ``model`` is a file (``.keras``, ``.h5``), ``"module:function"``, or a Keras model. ``data`` is an ``.npz`` file, a folder
    of images with one subfolder per class, ``"module:function"``, or a dictionary of arrays (``x_train``, ``y_train``, optional
    ``x_search``, ``y_search``, ``x_test``, ``y_test``). ``keys`` are those of the configuration, such as ``max_drop="1%"``,
    ``max_latency="2ms"``, ``time_budget="30m"``, ``trials=50``, ``metric="accuracy"``, ``out="runs/mine"``.

    Raises ``UsageError`` for bad input before any computing. A search in which nothing is feasible is not an error:
    then ``Run.best()`` is ``None``, and the report says which budget cannot be met.

        run = litetuner.tune("model.keras", "data.npz", max_drop="1%", time_budget="30m")
    """
    from litetuner.inputs import as_data_source, as_model_source
    from litetuner.reporting import Reporting
    from litetuner.search.config.config import make_config
    from litetuner.search.listener import Listener
    from litetuner.search.run import run_search

    values: Mapping[str, Any] = {"model": as_model_source(model), "data": as_data_source(data)} | keys
    with Reporting(listener or Listener()) as reporting:
        outcome = run_search(make_config(values, where="tune"), reporting)
    run = Run(outcome.record.folder.path.absolute())  # a notebook may change its folder
    run.report()
    return run


def rebuild(
    trial_json: Path | str,
    out: Path | str | None = None,
    *,
    model: str | None = None,
    data: str | None = None,
    trust: bool = False,
    force: bool = False,
    listener: Listener | None = None,
) -> Rebuilt:
    """Build a trial's file again from its record, with the jobs of the search and without its cache, and compare the two.

    ``trial_json`` is that of a run, or one that was exported with its ``provenance.json`` beside it; ``model`` and ``data`` say
    where those are now; they are verified by sha256. The file is written to ``out``, or into ``rebuilt/``.
    ``trust`` lets the model file and the functions that the record names (metric, preprocessing...) execute code.
    ``Rebuilt.agrees`` says whether it is the same file, or, for a trained recipe, one whose metric is within its interval.

    Raises ``RunError`` for a record that cannot be used or names functions that are not trusted, ``ModelError`` or
    ``DataError`` for other model or data than those it was made from, ``BuildFailed`` when the file cannot be made.
    """
    from litetuner.reports.export.file_names import artifact_name
    from litetuner.search.runs.rebuild import check_functions
    from litetuner.search.runs.rebuild import rebuild as make_again
    from litetuner.search.runs.trial_file import read_trial_file
    from litetuner.spaces.errors import RunError
    from litetuner.spaces.store import file_sha256

    source = read_trial_file(Path(trial_json), trust=trust, model=model, data=data)
    if not trust:
        check_functions(source, named={"model": model, "data": data})
    name = artifact_name(Path(source.config.model).name, source.candidate)
    file = Path(out) if out is not None else Path("rebuilt") / name
    if file.exists() and not force and (not file.is_file() or file_sha256(file) != source.sha256):
        raise RunError(f"{file} exists and is another file. Choose another --out, or replace it with --force.")
    return make_again(source, file, listener)


def init(
    model: Any, data: Any, *, out: Path | str, force: bool = False, listener: Listener | None = None, **keys: Any
) -> tuple[Path, str | None]:
    """Write a TOML with every key and its help, fitted to a model and its data: the baseline is measured, budgets suggested.

    ``keys`` are those of the configuration; ``metric`` is guessed by the labels if it is not given. Gives the path, and a
    warning if the baseline is not better than guessing. Raises ``RunError`` when ``out`` exists, unless ``force`` is set,
    and what ``tune`` raises for bad input.
    """
    from litetuner.inputs import as_data_source, as_model_source
    from litetuner.reports.starter_config import starter_toml, warning
    from litetuner.search.config.config import make_config
    from litetuner.search.evaluation.preview import preview_model
    from litetuner.spaces.errors import RunError
    from litetuner.spaces.store import write_atomic

    path = Path(out)
    if path.exists() and not (force and path.is_file()):
        raise RunError(f"{path} exists. Choose another --out, or replace it with --force.")
    values = {"model": as_model_source(model), "data": as_data_source(data)} | keys
    guess = keys.get("metric") is None
    look = preview_model(make_config(values, where="init"), path.absolute().parent, listener, guess_metric=guess)
    write_atomic(path, starter_toml(look))
    return path, warning(look)
