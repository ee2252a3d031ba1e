"""Every legal order of the training steps, with and without channels cut first: the file is what the label says.

Shared prefixes are trained once, for a few steps each.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from litetuner.spaces.candidate import Candidate
from litetuner.spaces.channels.kernel_shapes import kernels_of, shape_invariants
from litetuner.spaces.context import Context
from litetuner.spaces.info import ModelInfo
from litetuner.spaces.models.inspection import model_info
from litetuner.spaces.models.loading.load import LoadedModel
from litetuner.spaces.rules import SpaceConstraints, broken_rules
from litetuner.spaces.step import Step
from litetuner.spaces.steps import STEPS
from litetuner.spaces.tflite.invariants import Invariant, verify_invariants
from litetuner.spaces.tflite.weights import weights_by_layer

SHORT = {"epochs": 0.1, "learning_rate": 1e-3}  # 4 steps
ORDER = ("prune", "cluster", "qat")


def make(name: str, **knobs: Any) -> Step:
    return STEPS[name](**knobs)


def pipeline(cut: bool, names: tuple[str, ...]) -> tuple[Step, ...]:
    """The steps as the space makes them: later ones keep what earlier ones made."""
    zeros, clusters = "prune" in names, "cluster" in names
    knobs: dict[str, dict[str, Any]] = {
        "prune": {"sparsity": 0.5, "spread": "global", "schedule": "constant"},
        "cluster": {"count": 8, "fold": True, "preserve_sparsity": zeros},
        "qat": {
            "preserve_sparsity": zeros,
            "preserve_clusters": clusters,
            "scales": "tensor" if clusters else "channel",
        },
    }
    first = (make("channels", ratio=0.5, importance="l1"),) if cut else ()
    return (*first, *(make(name, **knobs[name], **SHORT) for name in names), make("int8"))


PIPELINES = [
    pipeline(cut, names)
    for cut in (False, True)
    for length in (1, 2, 3)
    for names in itertools.combinations(ORDER, length)
]


@pytest.fixture(scope="module")
def facts(model: Any) -> ModelInfo:
    return model_info(LoadedModel(model, "tf_keras", "0", "digits"), model, None, 0.0)


@pytest.fixture(scope="module")
def train(model: Any, context: Context) -> Callable[[tuple[Step, ...]], Any]:
    @functools.cache
    def trained(steps: tuple[Step, ...]) -> Any:
        return steps[-1].apply(trained(steps[:-1]), context) if steps else model

    return trained


@pytest.mark.parametrize("steps", PIPELINES, ids=lambda steps: Candidate(steps).label)
def test_the_label_holds(
    steps: tuple[Step, ...], train: Callable[[tuple[Step, ...]], Any], facts: ModelInfo, context: Context
) -> None:
    assert broken_rules(Candidate(steps), SpaceConstraints(facts, has_training_data=True)) == []
    file = steps[-1].apply(train(steps[:-1]), context)
    kernels = [layer.name for layer in facts.layers if layer.has_kernel]
    described = [(layer.name, layer.type, layer.has_kernel) for layer in facts.layers]
    invariants = []
    for step in steps[:-1]:
        if step.name in ORDER:
            left = step.leaves(described)
            able = [layer.name for layer in facts.layers_for(step.name) if layer.name not in left]
            invariants += [Invariant(*promise) for promise in step.invariants(able)]  # type: ignore[attr-defined]
    shapes = None
    if steps[0].name == "channels":
        cut = kernels_of(train(steps[:1]))
        invariants += [Invariant(*promise) for promise in shape_invariants(cut)]
        shapes = {name: kernel.shape for name, kernel in cut.items()}
    findings = verify_invariants(invariants, weights_by_layer(file, kernels, shapes))
    assert findings and all(finding.ok for finding in findings), [item for item in findings if not item.ok]


@pytest.mark.parametrize("name", ["pointwise", "classes"])
def test_values_that_scales_by_channel_would_spread_are_refused_before_they_are_trained(
    name: str, train: Callable[[tuple[Step, ...]], Any], facts: ModelInfo, context: Context
) -> None:
    """The converter gives a layer that QAT skips scales by channel: 8 shared values become more in the file."""
    around = SpaceConstraints(facts, has_training_data=True)
    cluster, qat, deploy = pipeline(False, ("cluster", "qat"))
    skips = dataclasses.replace(qat, skip=(name,))  # type: ignore[type-var]
    (broken,) = broken_rules(Candidate((cluster, skips, deploy)), around)
    assert f"qat skips {name}" in broken and "skip it in both steps" in broken
    found = weights_by_layer(deploy.apply(train((cluster, skips)), context), [name])[name]
    assert found.granularities == ("channel",) and len(np.unique(found.values)) > 8
    both = dataclasses.replace(cluster, skip=(name,))  # type: ignore[type-var]
    assert broken_rules(Candidate((both, skips, deploy)), around) == []


def test_every_other_order_is_refused(facts: ModelInfo) -> None:
    around = SpaceConstraints(facts, has_training_data=True)
    for names in itertools.permutations(ORDER):
        if names != ORDER:
            assert broken_rules(Candidate(pipeline(False, names)), around)
    steps = pipeline(True, ORDER)
    assert broken_rules(Candidate((steps[1], steps[0], *steps[2:])), around)
