"""Pruning reaches its sparsity, however short the training, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from litetuner.spaces.context import Context
from litetuner.spaces.errors import BuildFailed, Refused
from litetuner.spaces.steps.prune import Prune

from .conftest import PRUNABLE, kernel, weights_equal


def zeros(model: Any, name: str) -> int:
    return int((kernel(model, name) == 0).sum())


@pytest.mark.parametrize("schedule", ["constant", "polynomial"])
@pytest.mark.parametrize("epochs", [0.001, 0.5])  # 1 step and 29 steps
def test_every_schedule_reaches_the_sparsity(model: Any, context: Context, schedule: str, epochs: float) -> None:
    pruned = Prune(sparsity=0.7, schedule=schedule, skip=("stem",), epochs=epochs).apply(model, context)
    for name in ("pointwise", "classes"):
        assert zeros(pruned, name) >= 0.7 * kernel(pruned, name).size - 1
    assert zeros(pruned, "stem") == zeros(pruned, "depthwise") == 0


def test_the_result_is_a_plain_model_of_the_same_layers(model: Any, pruned: Any) -> None:
    assert [(layer.name, type(layer)) for layer in pruned.layers] == [
        (layer.name, type(layer)) for layer in model.layers
    ]


def test_training_mends_what_one_shot_breaks(
    model: Any, context: Context, probe: Context, accuracy: Callable[[Any], float]
) -> None:
    step = Prune(sparsity=0.5, epochs=4, learning_rate=3e-3)
    assert accuracy(step.apply(model, context)) > accuracy(step.apply(model, probe)) + 0.05


def test_a_probe_has_its_masks_and_the_other_weights(model: Any, probe: Context) -> None:
    pruned = Prune(sparsity=0.5).apply(model, probe)
    for name in PRUNABLE:
        before, after = kernel(model, name), kernel(pruned, name)
        assert (after == 0).sum() == before.size // 2
        assert np.abs(before[after == 0]).max() <= np.abs(before[after != 0]).min()
        assert np.array_equal(before[after != 0], after[after != 0])
    assert weights_equal(model.get_layer("stem_bn").get_weights(), pruned.get_layer("stem_bn").get_weights())


def test_labels_details_and_promises() -> None:
    step = Prune(sparsity=0.7, skip=("stem", "classes"))
    assert step.label() == "prune0.7[-2]"
    assert Prune(sparsity=0.5).label() == "prune0.5"
    assert step.details() == ["prune: stem stays dense", "prune: classes stays dense"]
    assert step.promises(PRUNABLE) == [("pointwise", "sparsity", 0.7)]


def test_equal_weights_cannot_be_ranked(model: Any, context: Context) -> None:
    from litetuner.spaces.bridge import clone

    flat = clone(model)
    flat.get_layer("pointwise").kernel.assign(np.ones_like(kernel(flat, "pointwise")))
    with pytest.raises(BuildFailed, match="pointwise has 0 zeros of 512"):
        Prune(sparsity=0.5, skip=("stem", "classes"), epochs=0.001, schedule="constant", learning_rate=0.0).apply(
            flat, context
        )


def test_nothing_left_and_unknown_layers_are_refused(model: Any, probe: Context) -> None:
    with pytest.raises(Refused, match="no layer is left"):
        Prune(skip=PRUNABLE).apply(model, probe)
    with pytest.raises(Refused, match="did you mean 'stem'"):
        Prune(skip=("stm",)).apply(model, probe)
    with pytest.raises(Refused, match="between 0 and 1"):
        Prune(sparsity=1.0)
    with pytest.raises(Refused, match="polynomial"):
        Prune(schedule="polynom")
