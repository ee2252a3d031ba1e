"""A run of forty trials as a search would leave it, without a model: small real flatbuffers, all states, finals."""

from __future__ import annotations

import random

from litetuner.search.trial import State
from tests.reports.builder import BASE, Builder


def fill(build: Builder) -> Builder:
    """Forty trials of all states; trial 0 is the baseline, two carry finals."""
    rng = random.Random(0)
    build.add(
        "float32",
        origin="baseline",
        drop=0.0,
        compressed=BASE["compressed"],
        file=BASE["file"],
        us=BASE["us"],
        kind="float32",
        test_drop=0.0,
        keras=0.8722,
    )
    build.add("float16", origin="baseline", drop=0.0001, compressed=150_221, file=163_080, us=254.9, kind="float32")
    build.add("dynamic", origin="baseline", drop=0.0011, compressed=81_204, file=96_120, us=120.4, kind="float32")
    build.add("int8", origin="baseline", drop=0.0018, compressed=78_454, file=88_032, us=78.2)
    build.add("int16x8", origin="baseline", compressed=82_300, us=4120.0, state=State.INFEASIBLE)
    for k, sparsity in enumerate((0.5, 0.6, 0.7, 0.75, 0.8, 0.9)):
        build.add(
            f"prune{sparsity}+int8",
            sparsity=sparsity,
            origin="recipe",
            drop=0.002 + k * k * 0.0013,
            compressed=62_000 - k * 7_300,
            file=88_032,
            us=78.1 + rng.random(),
        )
    for k, clusters in enumerate((64, 32, 16, 8)):
        build.add(
            f"cluster{clusters}+int8",
            drop=0.0015 + k * k * 0.002,
            compressed=64_000 - k * 5_100,
            file=88_032,
            us=78.3 + rng.random(),
        )
    invariants = tuple(
        {"layer": f"conv{k}", "property": "sparsity", "requested": 0.7, "verified": 0.7 + k / 1000} for k in range(4)
    )
    invariants += tuple(
        {"layer": f"conv{k}", "property": "clusters", "requested": 16, "verified": 15} for k in range(4)
    )
    build.add(
        "channels0.5+prune0.7+cluster16+pcqat+int8",
        sparsity=0.7,
        drop=0.0083,
        compressed=21_904,
        file=34_100,
        us=38.4,
        test_drop=0.0091,
        invariants=invariants,
        operators={"CONV_2D": 9, "ADD": 3, "FULLY_CONNECTED": 1, "SOFTMAX": 1},
        notes=("shared scales per tensor in 2 layers",),
        layers=("dense",),
    )
    build.add("channels0.75+qat+int8", drop=0.0041, compressed=44_020, file=52_110, us=57.9, test_drop=0.0060)
    build.add("channels0.5+qat+int8", drop=0.0134, compressed=24_310, file=31_002, us=37.1)
    build.add("prune0.7+cluster16+pcqat+int8", sparsity=0.7, drop=0.0052, compressed=33_500, file=88_032, us=78.3)
    build.add("ptq_wi4+int8", drop=0.0066, compressed=51_100, file=58_410, us=103.0)
    build.add("prune0.95+int8", sparsity=0.95, drop=0.41, compressed=18_100, file=88_032, us=78.0)
    for k in range(8):
        build.add(
            f"prune{0.5 + k / 20:.2f}+cluster{2 ** (k % 4 + 3)}+int8",
            drop=0.003 + rng.random() * 0.02,
            compressed=round(28_000 + rng.random() * 40_000),
            file=88_032,
            us=78 + rng.random(),
        )
    build.add(
        "channels0.9+int16x8",
        State.PRUNED,
        gate="probe",
        reason="latency 3.9 ms breaks max-latency 150us",
        compressed=74_000,
        us=3900.0,
    )
    build.add(
        "float16+sparse",
        State.PRUNED,
        gate="dominated",
        reason="trial 3 is better even if training lost nothing",
        compressed=151_000,
        us=255.0,
    )
    build.add(
        "prune0.9+cluster8+pcqat+int8",
        State.PRUNED,
        gate="rung1",
        reason="8.1 points lost after the short training",
        drop=0.081,
        compressed=19_900,
        us=78.2,
    )
    build.add("qat+dynamic", State.INVALID, reason="qat asks for a full integer conversion")
    build.add("int8+sparse", State.FAILED, reason="allocate_tensors: no_integer_overflow_from_quantization")
    build.add("cluster16+cqat+int8", State.LOST, reason="the worker was killed by signal 9")
    build.add("prune0.7+int8", duplicate_of=7, drop=0.0072, compressed=47_400, us=78.4, sparsity=0.7)
    build.add("channels0.25+int8", drop=0.064, compressed=9_800, file=14_100, us=21.5)
    build.add("cluster64+cqat+int8", drop=-0.0008, compressed=58_900, file=88_032, us=78.4)
    while len(build.trials) < 40:
        build.add(
            f"prune0.{len(build.trials)}+qat+int8",
            drop=0.004 + rng.random() * 0.03,
            compressed=round(35_000 + rng.random() * 50_000),
            us=78 + rng.random(),
        )
    return build
