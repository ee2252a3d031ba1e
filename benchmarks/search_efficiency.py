"""How fast a front grows: litetuner against what a capable user would write by hand, over wall time.

python benchmarks/search_efficiency.py run CASE METHOD [SEED] --model M --data D --minutes 15 --folder WORK
python benchmarks/search_efficiency.py table CASE

METHOD is one of litetuner, naive (the same space and sampler, every trial from scratch), random (the same, drawn at random),
grid (sparsity x clusters x quantization), recipes (litetuner's own, alone), or an ablation: no_probe, no_gates, no_cache,
no_warm_start. A run is a job of its own: it goes on where it was stopped, writes
benchmarks/results/search_efficiency/CASE/METHOD-SEED.json, and is not done again. All methods use the same stages for
training, converting, scoring and timing; none reads what another has made.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from laboratory import Laboratory, laboratory

from litetuner.objectives.environment import environment
from litetuner.search.config.config import Config, make_config
from litetuner.search.finals.finals import run_finals
from litetuner.search.hypervolume import hypervolume
from litetuner.search.policy import POLICY
from litetuner.search.proposals.recipes import RECIPES
from litetuner.search.proposals.scheduler import STRATEGIES
from litetuner.search.run import run_search, whole_space
from litetuner.search.runs.record import objectives, read_run
from litetuner.search.runs.study import Study
from litetuner.search.runtime.cache import JobCache
from litetuner.search.runtime.jobs import JobResult
from litetuner.search.trial import State, Trial
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.jobs.job import Job, R
from litetuner.spaces.space import ScriptedChoices, Space

RESULTS = Path(__file__).parent / "results" / "search_efficiency"
MOST_DROP = 0.02
OCTAVES = 5.0  # the box goes down to 1/32 of the float file's size and latency
REFERENCE = (1.0, 0.0, 0.0)
SHARES = (0.8, 0.9, 0.95, 1.0)
BY_HAND = ("naive", "random", "grid", "recipes")
COLORS = {"litetuner": "#0b6e4f", "naive": "#c1440e", "random": "#8a8a8a", "grid": "#b59f3b", "recipes": "#3a6ea5"}
NOTHING = lambda *_: None  # noqa: E731
UNCHANGED = lambda *given: given[-1]  # noqa: E731  # what was measured so far
ABLATIONS: dict[str, dict[str, Any]] = {
    "no_probe": {
        "litetuner.search.evaluation.evaluate.probe": UNCHANGED,
    },
    "no_gates": {
        "litetuner.search.evaluation.evaluate.rung_gate": NOTHING,
        "litetuner.search.evaluation.evaluate.latency_gate": NOTHING,
    },
    "no_cache": {"litetuner.search.runtime.cache.JobCache.known": lambda self, job: None},
    "no_warm_start": {"litetuner.search.proposals.scheduler.STRATEGIES": STRATEGIES | {"recipe": NOTHING}},
}
UNGUARDED = ABLATIONS["no_probe"] | ABLATIONS["no_gates"]


class OneTrial(JobCache):
    """Remembers only what belongs to the trial that runs, and the baseline, which nobody measures twice."""

    def __init__(self, room: Laboratory) -> None:
        super().__init__(room.services.folder, room.services.cache._executor)
        self.current: set[str] = set()
        self.kept = frozenset(_shared_keys(room.services.folder.path))

    def run(self, job: Job[R], log: Path | None = None) -> JobResult[R]:
        self.current.add(job.key)
        return super().run(job, log)

    def known(self, job: Job[R]) -> JobResult[R] | None:
        return super().known(job) if job.key in self.current or job.key in self.kept else None


def _shared_keys(folder: Path) -> Iterator[str]:
    """What anybody does once: inspecting, and scoring the baseline."""
    for path in folder.glob("cache/*/result.json"):
        if json.loads(path.read_text(encoding="utf-8"))["kind"] in ("inspect", "score"):
            yield path.parent.name


def by_hand(method: str, config: Config, folder: Path, seconds: float) -> None:
    """A loop without probes, gates, shared stages or variants."""
    with contextlib.ExitStack() as stack:
        patch(stack, UNGUARDED)
        room = stack.enter_context(laboratory(config, folder))
        cache = OneTrial(room)
        room.services = dataclasses.replace(room.services, cache=cache)
        space = whole_space(room.services, ())
        for _ in trials(method, room, space, seconds):
            room.clock.save()
            cache.current.clear()
        run_finals(room.services, room.clock)


def trials(method: str, room: Laboratory, space: Space, seconds: float) -> Iterator[Trial]:
    """Evaluated trials until the time is spent."""
    if method in ("naive", "random"):
        services = room.services
        config = services.config
        sampler = "tpe" if method == "naive" else "random"
        before = services.folder.trials()
        goals, told = objectives(config, services.metric), [trial for trial in before if trial.number]
        study = Study(goals, sampler, config.seed, told)
        count = len(before)
        while room.clock.wall < seconds:
            asked = study.ask(space.suggest, count)
            trial = dataclasses.replace(room.evaluate(asked), seconds_since_start=room.clock.wall)
            study.tell(trial)
            count += 1
            # Optuna counts from 0, and so does the baseline.
            trial = dataclasses.replace(trial, number=asked.number + 1)
            room.clock.count(trial.seconds)
            services.folder.write_trial(trial)
            yield trial
        return
    candidates = grid(space) if method == "grid" else recipes(space)
    for candidate in candidates:
        if room.clock.wall >= seconds:
            return
        yield room.measure(candidate)


def grid(space: Space) -> Iterator[Candidate]:
    """Sparsity x clusters x quantization, in the order of a triple loop."""
    epochs = space.epochs[len(space.epochs) // 2]
    usual = {"train": "yes", "epochs": epochs, "learning_rate": 1e-3, "distill": 0.0}
    deployments: Sequence[dict[str, Any]] = ({"deploy": "int8"}, {"deploy": "dynamic"}, {"qat": "all"})
    for sparsity, count, deploy in itertools.product((0.0, 0.5, 0.7), (0, 32, 16), deployments):
        prune = {"prune": "constant", "prune.sparsity": sparsity} if sparsity else {}
        cluster = {"cluster": "kmeans++", "cluster.count": count} if count else {}
        none = not prune and not cluster and "qat" not in deploy
        yield space.suggest(ScriptedChoices(deploy if none else usual | prune | cluster | deploy))


def recipes(space: Space) -> Iterator[Candidate]:
    usual = {"epochs": space.epochs[len(space.epochs) // 2], "learning_rate": 1e-3, "distill": 1.0}
    ratio, spread = POLICY.channels.first
    for script in RECIPES:
        yield space.suggest(ScriptedChoices(usual | {"channels.ratio": ratio, "channels.spread": spread} | script))


def patch(stack: contextlib.ExitStack, changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        stack.enter_context(mock.patch(name, value))


def run(options: argparse.Namespace) -> None:
    path = RESULTS / options.case / f"{options.method}-{options.seed}.json"
    if path.exists():
        return
    folder = options.folder / f"{options.case}-{options.method}-{options.seed}"
    values = {"model": options.model, "data": options.data, "seed": options.seed, "out": str(folder)}
    config = make_config(values | {"max_drop": f"{100 * MOST_DROP:g}%", "time_budget": f"{options.minutes:g}m"})
    if options.method in BY_HAND:
        by_hand(options.method, config, folder, options.minutes * 60)
    else:
        with contextlib.ExitStack() as stack:
            patch(stack, ABLATIONS.get(options.method, {}))
            run_search(config)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(describe(folder, options), indent=1) + "\n")


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
    """Share of the box; what lost more than the limit, or is larger or slower than float32, adds nothing. Starts with trial 0."""
    base = points[0]["compressed"] if points else 1.0  # the first is trial 0, the baseline
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
    """All runs of a case, and when litetuner passed what naive had reached in the same time, and in all of its own."""
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
                "" if item["test_volume"] is None else f"{item['test_volume']:.4f}",
                f"{100 * item['seconds']['other'] / item['seconds']['wall']:.1f}",
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
    """The curves as a page, and as a picture where Chromium is installed; ablations only in the page."""
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
    options = parser.parse_args()
    if options.what == "run":
        run(options)
    table(options.case)


if __name__ == "__main__":
    main()
