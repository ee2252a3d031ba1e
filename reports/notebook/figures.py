"""The figures of the report as plotly objects, with the colors of its light theme."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from litetuner.reports.html.draw import figure_text
from litetuner.reports.html.sections import front as front_section
from litetuner.reports.html.sections import hypervolume as hypervolume_section
from litetuner.reports.model.result import Result
from litetuner.reports.model.sections.charts import Chart, Group, Point, find_charts
from litetuner.reports.model.sections.choices import find_choices
from litetuner.reports.model.sections.layers import find_layer_tables, find_sensitivity
from litetuner.reports.model.sections.progress import find_hypervolume_growth
from litetuner.spaces.errors import ConfigError, RunError, nearest

if TYPE_CHECKING:
    import plotly.graph_objects as go

INK, ACCENT, FAINT, GRID, SCALE = "#1b1d22", "#1f5fd6", "#6e737d", "#ecece8", ((0, "#bcd0f7"), (1, "#0b2a6b"))
GOALS = ("#1f5fd6", "#5b8def", "#93b6f5", "#c3d6fa", "#b8bcc4")
LOOKS: dict[Group, dict[str, Any]] = {
    "stopped": {"symbol": "circle-open", "size": 5, "color": FAINT, "opacity": 0.35},
    "infeasible": {"symbol": "x-thin", "size": 7, "opacity": 0.6, "line": {"width": 1.2, "color": FAINT}},
    "feasible": {"symbol": "circle", "size": 7, "color": ACCENT, "opacity": 0.65},
    "front": {"symbol": "circle", "size": 12, "color": ACCENT, "line": {"width": 1.5, "color": "white"}},
    "baseline": {"symbol": "diamond", "size": 12, "color": INK},
}
LAYER_HEIGHT, LEAST_HEIGHT = 22, 260  # pixels


def front_figure(result: Result, name: str | None = None) -> go.Figure:
    """A chart of the Pareto front: the first two objectives, or the chart ``name``, such as ``size-latency``.

    Raises ``ConfigError`` for an unknown name, ``RunError`` if no trial has two measured objectives.
    """
    charts = {chart.name: chart for chart in find_charts(result.record, frozenset(row.trial for row in result.front))}
    if not charts:
        raise RunError("There is no trial with two measured objectives yet.")
    if name is not None and name not in charts:
        raise ConfigError(f"plot_front: there is no chart {name!r}{nearest(name, charts)} ({', '.join(charts)})")
    chart = charts[name] if name is not None else next(iter(charts.values()))
    drawn = front_section.figure(chart, result.columns)
    log = bool(drawn["pair"]["log"])
    traces = [_trace(group, chart, result, log) for group in front_section.NAMES if chart.groups[group]]
    if len(chart.steps) > 1:
        xs, ys = zip(*chart.steps, strict=True)
        line = {"type": "scatter", "x": xs, "y": ys, "mode": "lines", "hoverinfo": "skip", "showlegend": False}
        traces.insert(0, line | {"line": {"shape": "hv", "width": 1.5, "color": ACCENT}, "opacity": 0.7})
    shapes = [shape | {"line": {"color": INK, "width": 1, "dash": "4px,4px"}} for shape in drawn["layout"]["shapes"]]
    layout = drawn["layout"] | {"title": {"text": figure_text(chart.title)}, "shapes": shapes}
    # The legend is above the chart, because the color scale is beside it.
    layout["legend"] = {
        "orientation": "h",
        "x": 0,
        "y": 1.02,
        "yanchor": "bottom",
    }
    if "coloraxis" in layout:
        layout["coloraxis"] = layout["coloraxis"] | {"colorscale": SCALE}
    return _figure(traces, layout)


def _trace(group: Group, chart: Chart, result: Result, log: bool) -> dict[str, Any]:
    points = chart.groups[group]
    marker = dict(LOOKS[group])
    if chart.color is not None and group in front_section.COLOURED:
        marker |= {"coloraxis": "coloraxis", "color": [_shade(point, log) for point in points]}
    texts = [f"trial {point.trial}: {figure_text(result.rows[point.trial].label)}" for point in points]
    places = {
        "x": [point.x for point in points],
        "y": [point.y for point in points],
        "customdata": [p.trial for p in points],
    }
    look = {"type": "scatter", "mode": "markers", "name": front_section.NAMES[group], "marker": marker}
    return places | look | {"text": texts, "hovertemplate": "%{text}<br>%{x}<br>%{y}<extra></extra>"}


def _shade(point: Point, log: bool) -> float | None:
    return math.log10(point.color) if log and point.color else point.color


def history_figure(result: Result) -> go.Figure:
    """The hypervolume over time. Raises ``RunError`` if no trial is better than the baseline yet."""
    growth = find_hypervolume_growth(result.record)
    if growth is None:
        raise RunError("The hypervolume has not grown yet: no trial is better than the baseline and within the drop.")
    drawn = hypervolume_section.figure(growth)
    traces = [{name: value for name, value in trace.items() if name != "meta"} for trace in drawn["data"]]
    for trace in traces:
        trace["line"] = trace["line"] | {"color": ACCENT, "width": 2}
        trace["fillcolor"] = "rgba(31, 95, 214, 0.11)"
    return _figure(traces, drawn["layout"] | {"title": {"text": "Search progress"}, "showlegend": False})


def importance_figure(result: Result) -> go.Figure:
    """The importance of each choice, for reaching the front and for each objective.

    Raises ``RunError`` for too few trials.
    """
    choices = find_choices(result.record)
    if not choices.ranked:
        raise RunError(
            choices.problem or "There are too few scored trials (20 are needed) to tell which choices matter."
        )
    names = [figure_text(name) for name, _ in reversed(choices.ranked)]
    shares = [share for _, share in reversed(choices.ranked)]
    traces = [
        {"type": "bar", "orientation": "h", "name": figure_text(goal), "y": names, "x": [share[at] for share in shares]}
        | {"marker": {"color": GOALS[min(at, len(GOALS) - 1)]}}
        for at, goal in enumerate(choices.goals)
    ]
    layout = {"title": {"text": "Which choices matter"}, "barmode": "group", "xaxis": {"title": {"text": "importance"}}}
    return _figure(traces, layout | {"height": LEAST_HEIGHT + LAYER_HEIGHT * len(names)})


def parallel_figure(result: Result) -> go.Figure:
    """All scored trials with their choices and objectives in parallel coordinates; drag along an axis to select trials.

    Raises ``RunError`` if no trial has been scored.
    """
    record, choices = result.record, find_choices(result.record)
    names = [objective.measurement for objective in record.objectives]
    values = {trial.number: [trial.value(name) for name in names] for trial in record.trials}
    kept = [
        at
        for at, trial in enumerate(record.trials)
        if trial.duplicate_of is None and None not in values[trial.number] and trial.state.scored
    ]
    if not kept:
        raise RunError("No trial has been scored yet.")
    dimensions: list[dict[str, Any]] = []
    for axis in choices.axes:
        places = [axis.values[at] for at in kept]
        # Position -1, below all options, is for trials that did not have this choice.
        low, high = -1 if None in places else 0, len(axis.options) - 1
        ticks: dict[str, Any] = {"tickvals": list(range(low, high + 1)), "range": [low, high]}
        ticks["ticktext"] = ["–", *map(figure_text, axis.options)][low + 1 :]
        values_of = {"label": figure_text(axis.title), "values": [-1 if at is None else at for at in places]}
        dimensions.append(values_of | ticks)
    titles = {column.name: column.title for column in result.columns}
    for place, name in enumerate(names):
        column = [values[record.trials[at].number][place] for at in kept]
        dimensions.append({"label": figure_text(titles.get(name, name)), "values": column})
    line = {"color": dimensions[-len(names)]["values"], "colorscale": SCALE}
    trace = {"type": "parcoords", "dimensions": dimensions, "line": line}
    return _figure([trace], {"title": {"text": "Choices and objectives"}, "margin": {"t": 110, "l": 70, "r": 70}})


def layers_figure(result: Result, trial: int | None = None) -> go.Figure:
    """The sensitivity of each layer to quantization; with ``trial``, the bytes of layers in its file and the baseline.

    Raises ``RunError`` if the sensitivity was not measured, or if the trial has no file that can be read.
    """
    if trial is not None:
        return _layer_bytes(result, trial)
    layers = find_sensitivity(result.record)
    if not layers:
        raise RunError(
            "Layer sensitivity has not been measured in this run yet; plot_layers(trial=N) shows a file's layers."
        )
    columns = list(dict.fromkeys(name for layer in layers for name in layer.changes))
    names = [figure_text(layer.name) for layer in reversed(layers)]
    traces = [
        {"type": "bar", "orientation": "h", "y": names, "x": [layer.changes.get(column) for layer in reversed(layers)]}
        | {"name": figure_text(column), "marker": {"color": GOALS[min(at, len(GOALS) - 1)]}}
        for at, column in enumerate(columns)
    ]
    axis = {"title": {"text": "mean change of the outputs, in standard deviations"}}
    layout = {"title": {"text": "Layer sensitivity to quantization"}, "xaxis": axis}
    return _figure(traces, layout | {"height": LEAST_HEIGHT + LAYER_HEIGHT * len(names)})


def _layer_bytes(result: Result, number: int) -> go.Figure:
    trial = result.record.trial(number)
    table = find_layer_tables(result.record, [trial]).get(number)
    if table is None or table.problem:
        raise RunError(f"Trial {number} has no file whose layers can be read. {table.problem if table else ''}".strip())
    rows = list(reversed(table.rows))
    names = [figure_text(row.name) for row in rows]
    sides = (
        ("baseline", [row.before for row in rows], FAINT),
        (f"trial {number}", [row.found for row in rows], ACCENT),
    )
    traces = [
        {"type": "bar", "orientation": "h", "name": name, "y": names, "marker": {"color": color}}
        | {"x": [None if layer is None else layer.bytes for layer in layers]}
        for name, layers, color in sides
    ]
    layout = {"title": {"text": f"Layers of trial {number}"}, "barmode": "group", "xaxis": {"title": {"text": "bytes"}}}
    return _figure(traces, layout | {"height": LEAST_HEIGHT + LAYER_HEIGHT * len(names)})


def _figure(traces: list[dict[str, Any]], layout: dict[str, Any]) -> go.Figure:
    import plotly.graph_objects as go

    plain = {"template": "plotly_white", "hovermode": "closest", "font": {"size": 12, "color": INK}}
    return go.Figure({"data": traces, "layout": plain | layout})
