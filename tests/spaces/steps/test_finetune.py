"""Fine-tuning improves an untrained network and leaves its input alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from litetuner.spaces.context import Context
from litetuner.spaces.steps.finetune import Finetune
from litetuner.spaces.training.fit import seeded

from .conftest import digits_network, weights_equal


def test_it_learns(context: Context, accuracy: Callable[[Any], float]) -> None:
    with seeded(2):
        network = digits_network()
    before = network.get_weights()
    tuned = Finetune(epochs=6, learning_rate=5e-3).apply(network, context)
    assert accuracy(tuned) > accuracy(network) + 0.4  # from a tenth to about 0.85
    assert weights_equal(before, network.get_weights())


def test_a_probe_is_the_model_unchanged(model: Any, probe: Context) -> None:
    copy = Finetune().apply(model, probe)
    assert copy is not model
    assert weights_equal(copy.get_weights(), model.get_weights())


def test_it_promises_nothing() -> None:
    assert Finetune().invariants(["stem"]) == []
