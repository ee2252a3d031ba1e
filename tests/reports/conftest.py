"""Runs to look at: of forty trials, of many, of two targets, and one whose names are hostile."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from litetuner.search.runs.folder import RunFolder
from litetuner.search.runs.record import RunRecord
from litetuner.search.trial import State
from litetuner.spaces.candidate import Candidate
from tests.reports.builder import BASE, Builder
from tests.reports.forty import fill
from tests.reports.names import HOSTILE, LONG, Convert


@pytest.fixture
def build(tmp_path: Path) -> Builder:
    """A builder without trials."""
    return Builder(RunFolder(tmp_path / "run"))


@pytest.fixture
def filled(build: Builder) -> Builder:
    return fill(build)


@pytest.fixture
def record(filled: Builder) -> RunRecord:
    """The run of forty trials under its budgets."""
    return filled.record()


@pytest.fixture(scope="module")
def run_of_forty(tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    """The same, once for a module that only looks at it."""
    return fill(Builder(RunFolder(tmp_path_factory.mktemp("forty") / "run"))).record()


@pytest.fixture
def many(tmp_path: Path) -> Callable[[int], RunRecord]:
    """A run of n scored trials without files."""

    def make(count: int) -> RunRecord:
        build, rng = Builder(RunFolder(tmp_path / "many")), random.Random(1)
        build.add("float32", drop=0.0, compressed=BASE["compressed"], file=BASE["file"], us=BASE["us"], artifact=False)
        for k in range(count - 1):
            quality = rng.random()
            build.add(
                f"prune{k}+int8",
                sparsity=quality,
                drop=0.03 * quality * rng.random(),
                compressed=round(90_000 - 70_000 * quality * rng.random()),
                us=40 + 50 * rng.random(),
                artifact=False,
            )
        return build.record()

    return make


@pytest.fixture
def two_targets(tmp_path: Path) -> RunRecord:
    """A run on a host and on a board that likes other files: dynamic is slow there, narrow files gain less."""
    build = Builder(RunFolder(tmp_path / "two"), base_us={"pi": 2_900.0})
    build.add(
        "float32", drop=0.0, compressed=296_412, us={"host": BASE["us"], "pi": 2_900.0}, kind="float32", keras=0.872
    )
    rows = [("dynamic", 0.0011, 81_204, 120.4, 3_300.0), ("int8", 0.0018, 78_454, 78.2, 700.0)]
    rows += [("prune0.7+int8", 0.0072, 47_400, 78.4, 702.0), ("channels0.75+qat+int8", 0.0041, 44_020, 57.9, 560.0)]
    rows += [
        ("channels0.5+qat+int8", 0.0083, 24_310, 37.1, 520.0),
        ("channels0.625+qat+int8", 0.0072, 33_000, 44.0, 395.0),
    ]
    for label, drop, size, host, pi in rows:
        build.add(label, drop=drop, compressed=size, us={"host": host, "pi": pi})
    build.add("ptq_wi4", drop=0.006, compressed=45_000, us={"host": 36.0, "pi": 1_400.0})
    build.add("channels0.25+int8", drop=0.064, compressed=9_800, us={"host": 21.5, "pi": 300.0})
    build.add(
        "prune0.9+int8", State.PRUNED, gate="probe", reason="it is dominated", compressed=30_000, us={"host": 78.0}
    )
    return build.record(target="host,pi=ssh://pi.local", max_compressed_size=None, max_latency=None)


@pytest.fixture
def hostile(build: Builder) -> RunRecord:
    """A run whose names all try to break out."""
    build = Builder(RunFolder(build.folder.path / "'\"<script>window.hacked=1<script>$(id)\u202e"))
    layers = {text: {"precision": text, "change": 0.1, "reason": text} for text in (HOSTILE, LONG)}
    build.folder.write("sensitivity", {"layers": layers})
    build.folder.write("finals", {"ablation": {"steps": [{"label": HOSTILE, "without": LONG, "metric": 0.1}]}})
    choice = {"chosen": HOSTILE, "value": HOSTILE, "distribution": HOSTILE}
    build.add("float32", drop=0.0, compressed=BASE["compressed"], file=BASE["file"], us=BASE["us"])
    for k, text in enumerate((HOSTILE, LONG, "{{ 7*7 }}{% raw %}", "../../etc/passwd", "[red]not markup[/red]")):
        odd = Candidate((Convert(text=text, layers=(text,)),))
        checks = ({"layer": text, "property": text, "requested": text, "verified": 1.0},)
        build.add(
            text,
            candidate=odd,
            drop=0.001 * (k + 1),
            compressed=50_000 - 1000 * k,
            us=70.0 - k,
            invariants=checks,
            notes=(text,),
            operators={text: 1},
            test_drop=0.002,
            params={text: choice | {"chosen": text}, "c": choice | {"chosen": text}},
        )
    build.add("x", State.FAILED, candidate=Candidate((Convert(text=HOSTILE * 2),)), reason=LONG, gate=HOSTILE)
    record = build.record(model_name=LONG, class_names=(HOSTILE, LONG, "\u05d0\u05d1"))
    return dataclasses.replace(record, environment={HOSTILE: {LONG: HOSTILE}, "nan": float("nan")})
