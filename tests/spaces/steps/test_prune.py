"""Pruning reaches its sparsity, however short the training, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from litetuner.spaces.context import Context
from litetuner.spaces.errors import BuildFailed, Refused
from litetuner.spaces.steps.prune import Prune
from litetuner.spaces.training.pruning.sparsity_schedule import Rise

from .conftest import PRUNABLE, kernel, weights_equal


def zeros(model: Any, name: str) -> int:
    return int((kernel(model, name) == 0).sum())


@pytest.mark.parametrize("schedule", ["constant", "polynomial"])
@pytest.mark.parametrize("epochs", [0.001, 0.5])  # 1 step and 29 steps
def test_every_schedule_reaches_the_sparsity(model: Any, context: Context, schedule: str, epochs: float) -> None:
    pruned = Prune(sparsity=0.7, schedule=schedule, skip=("stem",), leave=(), epochs=epochs).apply(model, context)
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
    pruned = Prune(sparsity=0.5, leave=()).apply(model, probe)
    for name in PRUNABLE:
        before, after = kernel(model, name), kernel(pruned, name)
        assert (after == 0).sum() == before.size // 2
        assert np.abs(before[after == 0]).max() <= np.abs(before[after != 0]).min()
        assert np.array_equal(before[after != 0], after[after != 0])
    assert weights_equal(model.get_layer("stem_bn").get_weights(), pruned.get_layer("stem_bn").get_weights())


def test_labels_details_and_promises() -> None:
    step = Prune(sparsity=0.7, skip=("stem", "classes"))
    assert step.label() == "prune 70%"
    assert Prune(sparsity=0.5).label() == "prune 50%"
    assert step.details() == ["prune: stem stays dense", "prune: classes stays dense"]
    assert step.invariants(PRUNABLE) == [("pointwise", "sparsity", 0.7)]


def test_equal_weights_cannot_be_ranked(model: Any, context: Context) -> None:
    from litetuner.spaces.models.keras_bridge.bridge import clone

    flat = clone(model)
    flat.get_layer("pointwise").kernel.assign(np.ones_like(kernel(flat, "pointwise")))
    with pytest.raises(BuildFailed, match="pointwise has 0 zeros of 512"):
        Prune(sparsity=0.5, skip=("stem",), epochs=0.001, schedule="constant", learning_rate=0.0).apply(flat, context)


def test_nothing_left_and_unknown_layers_are_refused(model: Any, probe: Context) -> None:
    with pytest.raises(Refused, match="no layer is left"):
        Prune(skip=("stem", "pointwise")).apply(model, probe)
    with pytest.raises(Refused, match="did you mean 'stem'"):
        Prune(skip=("stm",)).apply(model, probe)
    with pytest.raises(Refused, match="between 0 and 1"):
        Prune(sparsity=1.0)
    with pytest.raises(Refused, match="polynomial"):
        Prune(schedule="polynom")
    with pytest.raises(Refused, match="needs targets"):
        Prune(spread="sensitivity")
    with pytest.raises(Refused, match="begin < end"):
        Prune(begin=0.7)
    with pytest.raises(Refused, match="see classes, pointwise"):
        Prune(spread="sensitivity", targets=(("stem", 0.5), ("classes", 0.5))).apply(model, probe)


def test_heads_and_embeddings_stay_dense_unless_asked(model: Any, probe: Context) -> None:
    import tf_keras

    step = Prune(sparsity=0.5)
    pruned = step.apply(model, probe)
    assert zeros(pruned, "classes") == 0 and zeros(pruned, "stem") > 0
    assert step.notes(model)[0] == "prune: depthwise, classes stay dense: a head, or nothing that tfmot prunes"
    source = tf_keras.Input((4,))
    x = tf_keras.layers.Dense(8)(tf_keras.layers.Flatten()(tf_keras.layers.Embedding(9, 3, name="words")(source)))
    words = tf_keras.Model(source, tf_keras.layers.Dense(2, name="out")(x))
    assert step.leaves_of(words) == {"words", "out"}
    assert zeros(Prune(leave=("head",)).apply(words, probe), "words") > 0
    assert zeros(Prune(leave=("Embedding",)).apply(words, probe), "out") > 0


@pytest.mark.parametrize("spread", ["erk", "global"])
@pytest.mark.parametrize("epochs", [0, 0.3])
def test_zeros_are_spread_over_layers(model: Any, context: Context, spread: str, epochs: float) -> None:
    step = Prune(sparsity=0.6, spread=spread, leave=(), epochs=epochs)
    pruned = step.apply(model, context)
    shares = {name: zeros(pruned, name) / kernel(pruned, name).size for name in PRUNABLE}
    sizes = {name: kernel(pruned, name).size for name in PRUNABLE}
    assert sum(shares[name] * sizes[name] for name in PRUNABLE) >= 0.6 * sum(sizes.values()) - 3
    assert max(shares.values()) > min(shares.values()) + 0.05
    assert step.needs_training_data is bool(epochs)
    assert step.invariants(PRUNABLE) == [("all pruned layers", "sparsity_of_all", 0.6, PRUNABLE)]


def test_shares_by_layer_are_kept(model: Any, context: Context) -> None:
    targets = (("stem", 0.2), ("pointwise", 0.8), ("classes", 0.0))
    step = Prune(sparsity=0.5, spread="sensitivity", targets=targets, leave=(), epochs=0.3)
    pruned = step.apply(model, context)
    assert [round(zeros(pruned, name) / kernel(pruned, name).size, 1) for name, _ in targets] == [0.2, 0.8, 0.0]
    assert step.invariants(PRUNABLE) == [(name, "sparsity", share) for name, share in targets]


def rising(step: int) -> float:
    return min(0.6, step / 30)


def test_a_schedule_of_the_users(model: Any, context: Context) -> None:
    """38 steps; what ends elsewhere than at the sparsity is refused before anything is trained."""
    spec = f"{__name__}:rising"
    pruned = Prune(sparsity=0.6, schedule=spec, epochs=1).apply(model, context)
    assert zeros(pruned, "pointwise") >= 0.6 * 512 - 1
    with pytest.raises(Refused, match=r"gives 0\.6 at the last step 38"):
        Prune(sparsity=0.7, schedule=spec, epochs=1).apply(model, context)


def test_masks_are_updated_however_short_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """tfmot's default frequency of 100 never fires in 20 steps."""
    for kind in ("constant", "polynomial"):
        for steps in (1, 2, 5, 20, 1000):
            schedule = Rise(kind).schedule(0.5, 0.5, steps)
            calls = [schedule(step) for step in range(1, steps + 1)]
            due = [float(share) for now, share in calls if bool(now)]
            assert due and due[-1] == pytest.approx(0.5), (kind, steps)
            assert len(due) <= 82


def test_labels_of_the_variants() -> None:
    step = Prune(spread="erk", skip=("a",), epochs=0)
    assert step.details() == [
        "prune: erk spread over layers",
        "prune: in one shot, not trained",
        "prune: a stays dense",
    ]
