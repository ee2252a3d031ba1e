"""How fast the Pareto front grows over wall time: litetuner compared with a search that a capable user would write.

python benchmarks/search_efficiency.py run CASE METHOD [SEED] --model M --data D --minutes 15 --folder WORK
python benchmarks/search_efficiency.py table CASE

METHOD is litetuner, naive or random (both run naive.py instead of a search), or an ablation: without one strategy
(no_sampler, no_recipe, ...), with random draws instead of the sampler's (no_optuna), or no_probe, no_gates, no_cache.
Each command runs one search. A litetuner search that was stopped is resumed. The result is written to
benchmarks/results/search_efficiency/CASE/METHOD-SEED.json, and a search with a result is not repeated.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from litetuner.objectives.environment import environment
from litetuner.search.config.config import make_config
from litetuner.search.history import History
from litetuner.search.hypervolume import hypervolume
from litetuner.search.proposals import scheduler
from litetuner.search.proposals.proposal import Spaces
from litetuner.search.run import run_search
from litetuner.search.runs.record import read_run
from litetuner.search.trial import State, Trial

RESULTS = Path(__file__).parent / "results" / "search_efficiency"
MOST_DROP = 0.02
OCTAVES = 5.0  # the box of the hypervolume reaches down to 1/32 of the float file's size and latency
REFERENCE = (1.0, 0.0, 0.0)
SHARES = (0.8, 0.9, 0.95, 1.0)
BY_HAND = ("naive", "random")
COLORS = {"litetuner": "#0b6e4f", "naive": "#c1440e", "random": "#8a8a8a", "grid": "#b59f3b", "recipes": "#3a6ea5"}
NOTHING = lambda *_: None  # noqa: E731
UNCHANGED = lambda *given: given[-1]  # noqa: E731  # returns the measurements so far


usual_order = scheduler.order


def sampler_last(history: History, spaces: Spaces) -> tuple[str, ...]:
    """The usual order with the sampler last, so that it proposes only if no other strategy does."""
    return tuple(sorted(usual_order(history, spaces), key=lambda name: name == "sampler"))


ABLATIONS: dict[str, Sequence[Any]] = {
    "no_probe": [mock.patch("litetuner.search.evaluation.evaluate.probe", UNCHANGED)],
    "no_gates": [
        mock.patch("litetuner.search.evaluation.evaluate.rung_gate", NOTHING),
        mock.patch("litetuner.search.evaluation.evaluate.latency_gate", NOTHING),
    ],
    "no_cache": [mock.patch("litetuner.search.runtime.cache.JobCache.known", lambda self, job: None)],
    "no_optuna": [mock.patch("litetuner.search.proposals.draws.treatments.joint_draws", lambda *_: iter(()))],
    "no_sampler": [mock.patch("litetuner.search.proposals.scheduler.order", sampler_last)],
    **{
        f"no_{name}": [mock.patch.dict(scheduler.STRATEGIES, {name: NOTHING})]
        for name in scheduler.STRATEGIES
        if name != "sampler"
    },
}


def run(options: argparse.Namespace) -> None:
    path = RESULTS / options.case / f"{options.method}-{options.seed}.json"
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = options.folder / f"{options.case}-{options.method}-{options.seed}"
    if options.method in BY_HAND:
        found = by_hand(options, folder.with_suffix(".json"))
    else:
        values = {"model": options.model, "data": options.data, "seed": options.seed, "out": str(folder)}
        config = make_config(values | {"max_drop": f"{100 * MOST_DROP:g}%", "time_budget": f"{options.minutes:g}m"})
        with contextlib.ExitStack() as stack:
            for change in ABLATIONS.get(options.method, ()):
                stack.enter_context(change)
            run_search(config)
        found = describe(folder, options)
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def by_hand(options: argparse.Namespace, out: Path) -> dict[str, Any]:
    """Run naive.py in a separate process, and return its result."""
    sampler = "tpe" if options.method == "naive" else "random"
    given = {"model": options.model, "data": options.data, "minutes": options.minutes, "seed": options.seed}
    given |= {"most-epochs": options.most_epochs, "sampler": sampler, "clock": options.clock, "out": out}
    command = [sys.executable, str(Path(__file__).with_name("naive.py"))]
    subprocess.run(
        [*command, *itertools.chain(*((f"--{name}", str(value)) for name, value in given.items()))], check=True
    )
    points = json.loads(out.read_text(encoding="utf-8"))["points"]
    return {
        "case": options.case,
        "method": options.method,
        "seed": options.seed,
        "minutes": options.minutes,
        "clock": options.clock,
        "environment": environment(),
        "startup_seconds": points[0]["seconds"],
        "points": points,
        "search_volume": volume(points),
        "curve": curve(points),
    }


def describe(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    record = read_run(folder)
    trials = [trial for trial in record.trials if trial.duplicate_of is None]
    points = [point(trial, "drop") | {"label": trial.candidate.label} for trial in trials if trial.state.scored]
    baseline = record.baseline
    assert baseline is not None
    final = [
        point(trial, "test_drop")
        for trial in trials
        if trial.state is State.COMPLETE and trial.value("test_drop") is not None
    ]
    return {
        "case": options.case,
        "method": options.method,
        "seed": options.seed,
        "minutes": options.minutes,
        "environment": environment(),
        "seconds": record.seconds,
        "startup_seconds": baseline.seconds_since_start,
        "states": record.counts,
        "points": points,
        "search_volume": volume(points),
        "test_volume": volume(final),
        "curve": curve(points),
    }


def point(trial: Trial, drop: str) -> dict[str, float]:
    ratio = trial.value("latency_ratio:host") or 1.0
    return {
        "seconds": trial.seconds_since_start,
        "drop": trial.value(drop) or 0.0,
        "compressed": trial.value("compressed_bytes") or 0.0,
        "ratio": ratio,
    }


def volume(points: Sequence[dict[str, Any]], until: float = float("inf")) -> float:
    """The hypervolume of points as a share of the box. The first point must be the baseline (trial 0).

    Points with a drop beyond the limit, or larger or slower than float32, add nothing.
    """
    base = points[0]["compressed"] if points else 1.0  # the first point is the baseline
    costs = [
        (
            max(0.0, item["drop"]) / MOST_DROP,
            max(-1.0, float(np.log2(item["compressed"] / base)) / OCTAVES),
            max(-1.0, -float(np.log2(item["ratio"])) / OCTAVES),
        )
        for item in points
        if item["seconds"] <= until
    ]
    return hypervolume(np.array(costs), REFERENCE) if costs else 0.0


def curve(points: Sequence[dict[str, Any]]) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    for item in sorted(points, key=lambda item: item["seconds"]):
        value = volume(points, item["seconds"])
        if not found or value > found[-1][1]:
            found.append((item["seconds"], value))
    return found


def passed(run: dict[str, Any], wanted: float) -> float | None:
    return next((seconds for seconds, value in run["curve"] if value >= wanted), None)


def table(case: str) -> None:
    """Write a table of all runs of a case, and of when litetuner reached the hypervolumes of naive."""
    runs = [json.loads(path.read_text()) for path in sorted((RESULTS / case).glob("*-*.json"))]
    lines = _rows(
        ("method", "seed", "minutes", "start-up s", "scored", "volume, search", "volume, test", "other %"),
        [
            (
                item["method"],
                item["seed"],
                f"{item['minutes']:g}",
                f"{item['startup_seconds']:.1f}",
                len(item["points"]),
                f"{item['search_volume']:.4f}",
                f"{item['test_volume']:.4f}" if item.get("test_volume") is not None else "",
                f"{100 * item['seconds']['other'] / item['seconds']['wall']:.1f}" if "seconds" in item else "",
            )
            for item in runs
        ],
    )
    lines += ["", "Wall seconds, start-up included, at which litetuner passed shares of what naive had reached:", ""]
    lines += _rows(
        ("seed", "run of", "naive after", "its volume", *(f"{share:.0%}" for share in SHARES), "100 % in"), _races(runs)
    )
    (RESULTS / f"{case}.md").write_text("\n".join(lines) + "\n")
    plot(case, runs)
    print("\n".join(lines))


def _races(runs: Sequence[dict[str, Any]]) -> Iterator[tuple[Any, ...]]:
    lengths = {item["minutes"] for item in runs if item["method"] == "random"}
    for item, naive in itertools.product(runs, runs):
        if (item["method"], naive["method"], item["seed"]) != ("litetuner", "naive", naive["seed"]):
            continue
        for minutes in sorted({length for length in lengths if length <= naive["minutes"]} | {naive["minutes"]}):
            ended = minutes >= naive["minutes"]
            reached = naive["search_volume"] if ended else volume(naive["points"], until=60 * minutes)
            times = [passed(item, share * reached) for share in SHARES]
            told = ["never" if time is None else f"{time:.0f}" for time in times]
            share = "" if times[-1] is None else f"1/{60 * minutes / times[-1]:.1f} of the time"
            yield (item["seed"], f"{item['minutes']:g} min", f"{minutes:g} min", f"{reached:.4f}", *told, share)


def _rows(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(str(cell) for cell in line) + " |" for line in lines]


def plot(case: str, runs: Sequence[dict[str, Any]]) -> None:
    """Write the curves as an HTML page, and as a picture if Chromium is installed. Ablations are only in the page."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for item in runs:
        method = item["method"]
        xs, ys = zip(*[(0.0, 0.0), *item["curve"], (item["minutes"] * 60, item["search_volume"])], strict=True)
        figure.add_scatter(
            x=[seconds / 60 for seconds in xs],
            y=ys,
            name=f"{method} {item['seed']}",
            mode="lines",
            line={"shape": "hv", "color": COLORS.get(method)},
            visible=True if method in COLORS else "legendonly",
        )
    figure.update_layout(template="plotly_white", xaxis_title="wall minutes", yaxis_title="volume, search", title=case)
    figure.write_html(RESULTS / f"{case}.html", include_plotlyjs="cdn")
    browser = shutil.which("chromium")
    if browser:
        figure.update_layout(width=900, height=460)
        figure.for_each_trace(lambda trace: trace.update(showlegend=trace.visible is True))
        with tempfile.TemporaryDirectory() as place:
            page = Path(place) / "page.html"
            figure.write_html(page, include_plotlyjs=True, config={"displayModeBar": False})
            flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=5000"]
            picture = f"--screenshot={RESULTS / case}.png"
            command = [browser, *flags, "--window-size=920,480", picture, page.as_uri()]
            subprocess.run(command, check=True, capture_output=True, timeout=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "table"))
    parser.add_argument("case")
    parser.add_argument("method", nargs="?", choices=("litetuner", *BY_HAND, *ABLATIONS))
    parser.add_argument("seed", nargs="?", type=int, default=0)
    parser.add_argument("--model")
    parser.add_argument("--data")
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--folder", type=Path)
    parser.add_argument(
        "--most-epochs", type=float, default=4.0, help="naive: epochs of its longest training of one step"
    )
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="naive: cpu on a busy machine")
    options = parser.parse_args()
    if options.what == "run":
        run(options)
    table(options.case)


if __name__ == "__main__":
    main()
