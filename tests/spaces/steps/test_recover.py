"""Pruning and clustering that begin with weights which were solved for: what holds before, during and after training."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from litetuner.spaces.context import Context
from litetuner.spaces.errors import Refused
from litetuner.spaces.models.folding import fold
from litetuner.spaces.steps.cluster import Cluster
from litetuner.spaces.steps.prune import Prune
from litetuner.spaces.steps.qat import Qat
from tests.spaces.steps.conftest import PRUNABLE, kernel

SPARSE = {"sparsity": 0.7, "spread": "global", "leave": ()}


def zeros(model: Any) -> float:
    kernels = [kernel(model, name) for name in PRUNABLE]
    return sum(np.sum(each == 0) for each in kernels) / sum(each.size for each in kernels)


def test_pruned_untrained_it_loses_less_than_by_magnitude(
    model: Any, context: Context, accuracy: Callable[[Any], float]
) -> None:
    by_magnitude = Prune(**SPARSE, epochs=0).apply(model, context)
    solved = Prune(**SPARSE, epochs=0, recover="second_order").apply(model, context)
    assert zeros(solved) >= 0.7
    assert accuracy(solved) > accuracy(by_magnitude) + 0.05


@pytest.mark.parametrize(("schedule", "initial"), [("constant", 0.0), ("polynomial", 0.4)])
def test_zeros_that_were_solved_for_stay(model: Any, context: Context, schedule: str, initial: float) -> None:
    step = Prune(**SPARSE, schedule=schedule, initial=initial, epochs=0.5, recover="second_order")
    trained = step.apply(model, context)
    assert zeros(trained) >= 0.7
    first = dataclasses.replace(step, sparsity=initial or 0.7, schedule="constant", epochs=0).apply(model, context)
    if schedule == "constant":  # the shares of layers are those of the last sparsity
        for name in PRUNABLE:
            assert (kernel(trained, name)[kernel(first, name) == 0] == 0).all(), name
    assert any(not np.array_equal(kernel(trained, name), kernel(first, name)) for name in PRUNABLE)


def test_clusters_begin_with_the_values_that_were_solved_for(model: Any, context: Context) -> None:
    once = Cluster(count=8, fold=True, epochs=0, recover="second_order").apply(model, context)
    still = Cluster(count=8, fold=True, epochs=0.1, learning_rate=0.0, recover="second_order").apply(model, context)
    trained = Cluster(count=8, fold=True, epochs=1, learning_rate=1e-3, recover="second_order").apply(model, context)
    for name in PRUNABLE:
        assert np.unique(kernel(once, name)).size <= 8
        np.testing.assert_allclose(kernel(still, name), kernel(once, name), rtol=1e-6, err_msg=name)
        assert np.unique(kernel(trained, name)).size <= 8
        assert not np.array_equal(kernel(trained, name), kernel(once, name)), "values are trained"


def test_each_layer_is_as_sparse_and_has_as_many_values_as_is_said(model: Any, context: Context) -> None:
    targets = (("stem", 0.3), ("pointwise", 0.8))
    once = {"epochs": 0.2, "recover": "second_order"}
    pruned = Prune(
        **once, sparsity=0.7, schedule="constant", spread="sensitivity", targets=targets, skip=("classes",), leave=()
    ).apply(model, context)
    for name, share in (*targets, ("classes", 0.0)):
        values = kernel(pruned, name)
        assert np.sum(values == 0) >= share * values.size - 1, name
        assert share or not np.any(values == 0), name
    step = Cluster(**once, count=16, counts=(("stem", 5),), skip=("classes",), fold=True, preserve_sparsity=True)
    assert step.label() == "cluster 16 by layer" and "cluster: stem: 5 values" in step.details()
    assert [found[-1] for found in step.invariants(PRUNABLE)] == [5, 16]
    clustered = step.apply(pruned, context)
    counts = {name: np.unique(kernel(clustered, name)).size for name in PRUNABLE}
    assert counts["stem"] <= 5 < counts["pointwise"] <= 16 < counts["classes"]
    for name in ("stem", "pointwise"):
        assert (kernel(clustered, name)[kernel(fold(pruned), name) == 0] == 0).all(), name
    with pytest.raises(Refused, match=r"no layer 'stern' to skip or to cluster.*stem"):
        dataclasses.replace(step, counts=(("stern", 5),)).apply(pruned, context)
    with pytest.raises(Refused, match="count is 2"):
        dataclasses.replace(step, counts=(("stem", 2),))


def test_all_three_in_order_keep_zeros_and_values(model: Any, context: Context) -> None:
    short = {"epochs": 0.2, "recover": "second_order"}
    pruned = Prune(**SPARSE, schedule="constant", **short).apply(model, context)
    clustered = Cluster(count=16, fold=True, preserve_sparsity=True, learning_rate=3e-5, **short).apply(pruned, context)
    both = {"preserve_sparsity": True, "preserve_clusters": True}
    quantized = Qat(scales="tensor", epochs=0.2, learning_rate=3e-5, **both).apply(clustered, context)
    for name in PRUNABLE:
        zero = kernel(fold(pruned), name) == 0
        assert zero.any() and (kernel(clustered, name)[zero] == 0).all(), name
        assert np.unique(kernel(clustered, name)).size <= 16, name
        wrapped = next(layer for layer in quantized.layers if layer.name == f"quant_{name}")
        values = max((v.numpy() for v in wrapped.weights), key=np.ndim)
        assert (values[zero] == 0).all() and np.unique(values).size <= 16, name


def test_what_cannot_be_solved_for_is_refused(model: Any, context: Context) -> None:
    with pytest.raises(Refused, match="set fold"):
        Cluster(count=8, recover="second_order").apply(model, context)
    with pytest.raises(Refused, match="by channel cannot be solved for"):
        Cluster(count=8, per_channel=True, init="linear", recover="second_order")
    with pytest.raises(Refused, match="set initial"):
        Prune(recover="second_order")
    with pytest.raises(Refused, match="no recover 'second'"):
        Prune(recover="second")
    empty = dataclasses.replace(context, x_train=context.x_train[:0], calibration=context.calibration[:0])
    with pytest.raises(Refused, match="no samples"):
        Prune(schedule="constant", epochs=0, recover="second_order").apply(model, empty)


def test_a_layer_without_an_operator_of_its_own_is_named(context: Context) -> None:
    import tf_keras

    layers = [
        tf_keras.Input((5, 3)),
        tf_keras.layers.LSTM(4, name="memory"),
        tf_keras.layers.Dense(2),
        tf_keras.layers.Dense(2),
    ]
    samples = np.random.default_rng(0).normal(size=(40, 5, 3)).astype(np.float32)
    around = dataclasses.replace(context, x_train=samples, calibration=samples)
    with pytest.raises(Refused, match=r"memory cannot be solved for.*Add them to skip"):
        Prune(schedule="constant", epochs=0, recover="second_order").apply(tf_keras.Sequential(layers), around)


def test_records_of_steps_without_recovery_stay_the_same() -> None:
    assert "recover" not in Prune().to_json() and not {"recover", "counts"} & Cluster().to_json().keys()
    assert Prune(schedule="constant", recover="second_order").to_json()["recover"] == "second_order"
