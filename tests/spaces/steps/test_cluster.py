"""Clustering leaves few values, keeps zeros where asked, and is the same twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from litetuner.spaces.context import Context
from litetuner.spaces.errors import Refused
from litetuner.spaces.steps.cluster import Cluster
from litetuner.spaces.steps.float32 import Float32
from litetuner.spaces.steps.int8 import Int8
from litetuner.spaces.tflite.invariants import Invariant, verify_invariants
from litetuner.spaces.tflite.weights import weights_by_layer

from .conftest import PRUNABLE, kernel, weights_equal

INITS = Cluster.choices("init")


def values(model: Any, name: str) -> int:
    return len(np.unique(kernel(model, name)))


@pytest.mark.parametrize("init", INITS)
def test_few_values_remain(model: Any, context: Context, init: str) -> None:
    step = Cluster(count=8, init=init, skip=("stem",), epochs=0.2, learning_rate=1e-3)
    clustered = step.apply(model, context)
    assert all(values(clustered, name) <= 8 for name in ("pointwise", "classes"))
    assert values(clustered, "stem") == values(model, "stem") > 8
    assert [layer.name for layer in clustered.layers] == [layer.name for layer in model.layers]


@pytest.mark.parametrize("init", INITS)
def test_zeros_are_kept(pruned: Any, context: Context, init: str) -> None:
    clustered = Cluster(count=8, init=init, preserve_sparsity=True, epochs=0.2, learning_rate=1e-3).apply(
        pruned, context
    )
    for name in PRUNABLE:
        assert values(clustered, name) <= 8
        assert (kernel(clustered, name)[kernel(pruned, name) == 0] == 0).all()


def test_zeros_of_kernels_with_few_values_or_skipped_are_kept_too(pruned: Any, context: Context) -> None:
    """With 128 values allowed the half-empty stem (73 values) needs no clustering; training may still not move its zeros."""
    step = Cluster(count=128, skip=("classes",), preserve_sparsity=True, epochs=0.2, learning_rate=1e-2)
    clustered = step.apply(pruned, context)
    assert values(pruned, "stem") < 128
    for name in PRUNABLE:
        assert (kernel(clustered, name)[kernel(pruned, name) == 0] == 0).all()
    assert values(clustered, "stem") <= 128
    assert all(layer.trainable for layer in clustered.layers)


def test_training_mends(model: Any, context: Context, probe: Context, accuracy: Callable[[Any], float]) -> None:
    step = Cluster(count=8, init="linear", epochs=2, learning_rate=1e-3)
    assert accuracy(step.apply(model, context)) > accuracy(step.apply(model, probe)) + 0.02


def test_random_centroids_follow_the_seed(model: Any, probe: Context) -> None:
    import dataclasses

    step = Cluster(count=8, init="random")
    first, again = (step.apply(model, probe).get_weights() for _ in range(2))
    other = step.apply(model, dataclasses.replace(probe, seed=8)).get_weights()
    assert weights_equal(first, again)
    assert not weights_equal(first, other)


def test_folded_kernels_share_values_in_the_file(model: Any, probe: Context) -> None:
    """Without training; batch norms scale the channels of an unfolded kernel, whose values multiply."""
    promised = Cluster(count=8, fold=True, epochs=0)
    assert "cluster: in one shot, not trained" in promised.details() and not promised.needs_training_data
    counts = {}
    for step in (promised, Cluster(count=8, epochs=0)):
        weights = weights_by_layer(Float32().apply(step.apply(model, probe), probe), PRUNABLE)
        counts[step.fold] = {name: np.unique(weight.values).size for name, weight in weights.items()}
    assert max(counts[True].values()) <= 8 < counts[False]["stem"]
    folded = promised.apply(model, probe)
    file = Int8(scales="tensor").apply(folded, probe)
    invariants = [Invariant(*promise) for promise in promised.invariants(PRUNABLE)]
    weights = weights_by_layer(file, PRUNABLE)
    assert {weight.scale.size for weight in weights.values()} == {1}
    assert max(finding.verified for finding in verify_invariants(invariants, weights)) <= 8
    by_channel = weights_by_layer(Int8().apply(folded, probe), PRUNABLE)
    assert np.unique(by_channel["pointwise"].values).size > 8
    assert not [layer for layer in folded.layers if layer.name.endswith("bn")]


def test_channels_with_values_of_their_own(model: Any, context: Context) -> None:
    step = Cluster(count=4, per_channel=True, init="linear", epochs=0.1)
    clustered = step.apply(model, context)
    stem, pointwise = kernel(clustered, "stem"), kernel(clustered, "pointwise")
    assert max(len(np.unique(channel)) for channel in np.moveaxis(pointwise, -1, 0)) <= 4
    assert max(len(np.unique(channel)) for channel in np.moveaxis(stem, -1, 0)) <= 4 < len(np.unique(stem))
    with pytest.raises(Refused, match="no kmeans"):
        Cluster(per_channel=True)


def test_labels_details_and_promises() -> None:
    step = Cluster(count=16, skip=("stem",))
    assert (step.label(), Cluster().label()) == ("cluster 16", "cluster 32")
    assert step.details() == ["cluster: stem stays unclustered"]
    assert step.invariants(PRUNABLE) == [("pointwise", "clusters", 16), ("classes", "clusters", 16)]


def test_what_cannot_be_is_refused(model: Any, probe: Context) -> None:
    with pytest.raises(Refused, match="no layer is left"):
        Cluster(skip=PRUNABLE).apply(model, probe)
    with pytest.raises(Refused, match="no layer 'pontwise'"):
        Cluster(skip=("pontwise",)).apply(model, probe)
    with pytest.raises(Refused, match="did you mean 'kmeans"):
        Cluster(init="kmeans")
    with pytest.raises(Refused, match="3 or more"):
        Cluster(count=2)
