"""A run: the results of a search so far, read from its folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from litetuner.keys import BudgetKeys, RebuildKeys, with_keys

if TYPE_CHECKING:
    import pandas
    import plotly.graph_objects as go

    from litetuner.reports.model.comparison import Comparison
    from litetuner.reports.model.result import Result
    from litetuner.search.runs.rebuild import Rebuilt
    from litetuner.search.runs.record import RunRecord


class Run:
    """A run folder; without a path, the newest one in ``runs/``.

    It can be read during the search and on another machine. Raises ``RunError`` if the folder is not a run folder.
    """

    def __init__(self, path: Path | str | None = None) -> None:
        from litetuner.search.runs.other_runs import newest_run
        from litetuner.search.runs.record import open_run

        self.path = newest_run() if path is None else Path(path)
        open_run(self.path)

    def record(self) -> RunRecord:
        """The current state of the run: trials, configuration, model and data."""
        from litetuner.search.runs.record import read_run

        return read_run(self.path)

    def summary(self) -> dict[str, Any]:
        """The contents of ``summary.json``, computed from the current state of the run."""
        from litetuner.reports.files.summary import summary

        return summary(self.record())

    @property
    def front(self) -> list[dict[str, Any]]:
        """The feasible non-dominated trials, one row each (as in ``summary.json``), the best metric first."""
        rows: list[dict[str, Any]] = self.summary()["front"]
        return rows

    def best(self) -> dict[str, Any] | None:
        """The row of the best trial within the budgets, ``None`` if nothing is feasible."""
        row: dict[str, Any] | None = self.summary()["best"]
        return row

    def trials_dataframe(self) -> pandas.DataFrame:
        """All trials, one row each: the columns of ``trials.csv`` with data types, plus ``front`` and ``picks``."""
        from litetuner.reports.notebook.frames import trials_frame

        return trials_frame(self._result())

    def front_dataframe(self) -> pandas.DataFrame:
        """The Pareto front, the best metric first, with the columns of ``trials_dataframe``."""
        from litetuner.reports.notebook.frames import front_frame

        return front_frame(self._result())

    def plot_front(self, chart: str | None = None) -> go.Figure:
        """The Pareto front as a plotly figure: the first two objectives, or a ``chart`` such as ``"size-latency"``.

        Raises ``ConfigError`` for a chart that does not exist; the message lists the charts that do.
        """
        from litetuner.reports.notebook.figures import front_figure

        return front_figure(self._result(), chart)

    def plot_history(self) -> go.Figure:
        """The hypervolume over time as a plotly figure. Raises ``RunError`` if it has not grown yet."""
        from litetuner.reports.notebook.figures import history_figure

        return history_figure(self._result())

    def plot_importance(self) -> go.Figure:
        """The importance of each choice as a plotly figure. Raises ``RunError`` with fewer than 20 scored trials."""
        from litetuner.reports.notebook.figures import importance_figure

        return importance_figure(self._result())

    def plot_parallel(self) -> go.Figure:
        """All scored trials in parallel coordinates as a plotly figure: their choices, then the objectives."""
        from litetuner.reports.notebook.figures import parallel_figure

        return parallel_figure(self._result())

    def plot_layers(self, trial: int | None = None) -> go.Figure:
        """The sensitivity of each layer to quantization as a plotly figure; with ``trial``, the bytes of its layers.

        Raises ``RunError`` if the sensitivity was not measured, or if the trial has no file.
        """
        from litetuner.reports.notebook.figures import layers_figure

        return layers_figure(self._result(), trial)

    @property
    def study(self) -> Any:
        """The Optuna study of the trials so far. It is a copy in memory: changes to it do not affect the run."""
        from litetuner.search.runs.dashboard import Mirror

        return Mirror(self.path).study

    def _result(self) -> Result:
        from litetuner.reports.model.result import build_result

        return build_result(self.record())

    def status(self) -> dict[str, Any]:
        """The progress of the run: whether a search is running, its current work, and the trials and seconds left."""
        from litetuner.reports.status import find_status

        return find_status(self.record()).to_json()

    def report(self) -> Path:
        """Write ``report.html``, ``trials.csv`` and ``summary.json`` into the run folder; returns the report's path."""
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
        """Write a trial's ``.tflite`` with record, provenance, model card and example into ``out``; returns its path.

        ``trial`` is the number of the trial. Instead of it, ``pick`` can be best (the default), accurate, balanced,
        smallest, fastest, or with several targets robust. ``c_array`` adds a C array. ``metadata`` stores a short
        provenance inside the file. ``force`` replaces the export of another trial in ``out``. Raises ``RunError`` if
        there is nothing to export.
        """
        from litetuner.reports.export.export import export

        return export(
            self.record(), trial=trial, pick=pick, out=Path(out), c_array=c_array, metadata=metadata, force=force
        )

    @with_keys(RebuildKeys)
    def rebuild(self, trial: int, out: Path | str | None = None, **how: Unpack[RebuildKeys]) -> Rebuilt:
        """Build a trial's file again from model and data, and compare it with the record; see ``litetuner.rebuild``."""
        from litetuner.rebuilding import rebuild

        record = self.record()
        record.trial(trial)
        return rebuild(record.folder.trial_folder(trial), out, **how)

    @with_keys(BudgetKeys)
    def compare(
        self, other: Run | Path | str, *, out: Path | str | None = None, **budgets: Unpack[BudgetKeys]
    ) -> Comparison:
        """Compare this run with the run ``other`` of the same model and data.

        Both are compared under ``budgets`` (such as ``max_drop="1%"``), by default those of this run. ``out`` is the
        path of an HTML page with both Pareto fronts. Raises ``RunError`` for runs whose numbers have different
        meanings.
        """
        from litetuner.reports.html.comparison import comparison_page
        from litetuner.reports.model.comparison import compare
        from litetuner.spaces.store import write_atomic

        against = other if isinstance(other, Run) else Run(other)
        found = compare(self.record(), against.record(), budgets)
        if out is not None:
            write_atomic(Path(out), comparison_page(found))
        return found

    def _repr_html_(self) -> str:
        """The HTML that a notebook shows for the run: the best file, the Pareto front, and the run folder."""
        from litetuner.reports.notebook.html import run_html

        return str(run_html(self._result()))

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    def __str__(self) -> str:
        """The best file on one line, for scripts: label, metric, drop, size and latency."""
        from litetuner.reports.text.formatting import drop_words, latency, number, size

        result = self._result()
        best, metric = result.best, result.record.metric
        trials = f"{self.path}: {len(result.record.trials)} trials, {len(result.front)} on the Pareto front"
        if best is None:
            return f"{trials}; no file is within the budgets"
        drop = "" if best.drop is None else f" ({drop_words(best.drop, metric.bounded)})"
        sized = size(best.size(result.record.config.size_measurement))
        numbers = f"{metric.name} {number(best.metric)}{drop}, {sized}, {latency(best.latency_us[result.target])}"
        return f"{trials}; best is trial {best.trial}, {best.label}: {numbers}"


@with_keys(BudgetKeys)
def compare(
    first: Run | Path | str, second: Run | Path | str, *, out: Path | str | None = None, **budgets: Unpack[BudgetKeys]
) -> Comparison:
    """Compare the run ``first`` with the run ``second`` of the same model and data; see ``Run.compare``.

    ``budgets`` are by default those of the first run. ``out`` is the path of an HTML page with both Pareto fronts.
    """
    return (first if isinstance(first, Run) else Run(first)).compare(second, out=out, **budgets)
