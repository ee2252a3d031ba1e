"""What treating each layer costs, and the treatments that a knapsack chooses by it."""

from __future__ import annotations

import itertools
import json
import math
import zlib

import numpy as np
import pytest
from scipy.stats import spearmanr

from litetuner.spaces.errors import Refused
from litetuner.spaces.quantization.int4 import int4_operators
from litetuner.spaces.reconstruction import activations
from litetuner.spaces.reconstruction.activations import last_values
from litetuner.spaces.reconstruction.allocation import noise, statistics
from litetuner.spaces.reconstruction.allocation.knapsack import allocate
from litetuner.spaces.reconstruction.allocation.statistics import (
    INT4,
    SPARSITIES,
    VALUES,
    LayerStatistics,
    Statistics,
    estimate,
    groups_of,
    measure,
    treatment_of,
)
from litetuner.spaces.reconstruction.grid import nearest
from litetuner.spaces.reconstruction.hessian import moments, squared_error
from litetuner.spaces.reconstruction.layers import layers_of, read_weight, write_weight
from litetuner.spaces.reconstruction.quantized import quantized
from litetuner.spaces.reconstruction.sequence import Treatment, reconstruct
from litetuner.spaces.steps.float32 import Float32
from litetuner.spaces.tf import load
from litetuner.spaces.tflite.operators import names_of_layers, read_operators
from litetuner.spaces.tflite.schema import pack_model, read_model

SEED = 3


@pytest.fixture(scope="module")
def found(file: bytes, samples: np.ndarray) -> Statistics:
    return measure(file, samples, SEED)


def table(name: str, kind: str = "CONV_2D", shape: tuple[int, ...] = (8, 3, 3, 4), seed: int = 0) -> LayerStatistics:
    """A layer of made-up costs: more values or fewer zeros are better and larger."""
    random = np.random.default_rng(seed)
    rows = len(VALUES) + 1
    errors = np.sort(random.random((rows, len(SPARSITIES))), axis=None).reshape(rows, -1)[::-1]
    deflated = np.sort(random.random((rows, len(SPARSITIES))), axis=None).reshape(rows, -1)[:, ::-1]
    nested = [tuple(tuple(float(value) for value in row) for row in each) for each in (errors, 100 * deflated)]
    return LayerStatistics(name, kind, shape, kind != "DEPTHWISE_CONV_2D", *nested, 0.1)


def test_fewer_values_and_more_zeros_lose_more_and_take_less(file: bytes, found: Statistics) -> None:
    names = names_of_layers(read_operators(file))
    assert [names[layer.name] for layer in found.layers] == [layer.operator for layer in layers_of(read_model(file))]
    assert [layer.int4 for layer in found.layers] == [layer.kind in int4_operators() for layer in found.layers]
    at = {values: row for row, values in enumerate((*VALUES, INT4))}
    for layer in found.layers:
        errors, deflated = np.array(layer.errors), np.array(layer.deflated)
        assert errors.shape == deflated.shape == (len(VALUES) + 1, len(SPARSITIES))
        for fewer, more in ((5, 9), (9, 17), (17, 35), (35, 101), (8, 16), (16, 32), (17, 256), (INT4, 256)):
            assert errors[at[fewer], 0] > errors[at[more], 0], (layer.name, fewer, more)
            assert deflated[at[fewer], 0] < deflated[at[more], 0], (layer.name, fewer, more)
        assert (np.diff(errors[at[256]]) > 0).all(), layer.name
        assert deflated[at[256], 0] > deflated[at[256], -1]
    assert Statistics.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_the_change_of_a_layer_is_that_of_the_outputs_when_it_alone_is_rounded(
    file: bytes, samples: np.ndarray, found: Statistics
) -> None:
    """And its bias is corrected, which takes up to a third of the change away."""
    shown, names = samples[:64], names_of_layers(read_operators(file))
    told = {names[each.name]: each.change for each in found.layers}
    (expected,) = last_values(file, shown)
    for layer in layers_of(read_model(file)):
        model = read_model(file)
        kernel, bias = read_weight(model, layer)
        write_weight(model, layer, nearest(kernel, 4, layer.channel_axes).kernel, bias)
        (changed,) = last_values(pack_model(model), shown)
        uncorrected = np.sqrt(np.mean((changed - expected) ** 2)) / np.std(expected)
        assert 0.65 * uncorrected <= told[layer.operator] <= 1.02 * uncorrected


def test_parts_of_large_layers_tell_what_the_whole_would(
    file: bytes, samples: np.ndarray, found: Statistics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few outputs, blocks of inputs and few samples: errors in the same order, bytes within a quarter for most treatments."""
    monkeypatch.setattr(statistics, "MOST_TREATED", 400)
    monkeypatch.setattr(noise, "MOST_FEATURES", 40)
    monkeypatch.setattr(noise, "MOST_MACS", 1)
    monkeypatch.setattr(activations, "MOST_MACS", 1)
    part = measure(file, samples, SEED)
    assert activations.affordable(read_model(file), len(samples)) == activations.FEWEST_SAMPLES < len(samples)
    for some, whole in zip(part.layers, found.layers, strict=True):
        assert some.errors != whole.errors
        assert spearmanr(np.ravel(some.errors), np.ravel(whole.errors)).statistic > 0.9, whole.name
        assert np.median(np.abs(np.divide(some.deflated, whole.deflated) - 1)) < 0.25, whole.name


def test_inputs_that_never_change_do_not_count() -> None:
    """One of three maps reads constants, as a depthwise convolution behind a dead channel does."""
    rows = np.random.default_rng(0).normal(size=(3, 500, 9)).astype(np.float32) * 1e-3
    rows[1] = 0.5
    change = np.ones((3, 9, 1))
    lost = [squared_error(change[at : at + 1], moments(rows, rows).hessian[at : at + 1]) for at in range(3)]
    assert lost[1] < 1e-4 * min(lost[0], lost[2])
    constant = rows[1:2]
    assert (moments(constant, constant).hessian == np.eye(9)).all()


def test_estimated_bytes_are_those_of_finished_files(file: bytes, samples: np.ndarray, found: Statistics) -> None:
    """Their difference, since a file holds more than weights; within a tenth of it, of about 2,000 bytes."""
    names = names_of_layers(read_operators(file))
    sizes, told = [], []
    for values, sparsity in ((256, 0.0), (8, 0.5)):
        treatments = {layer.name: treatment_of(values, sparsity) for layer in found.layers}
        by_operator = {names[name]: treatment for name, treatment in treatments.items()}
        built = quantized(reconstruct(file, samples, by_operator, SEED), by_operator, samples[:16])
        estimated = estimate(found, treatments)
        assert estimated is not None
        sizes.append(len(zlib.compress(built, 9)))
        told.append(estimated.deflated)
    assert told[0] - told[1] == pytest.approx(sizes[0] - sizes[1], rel=0.1)


def test_what_is_not_of_the_grid_has_no_estimate(found: Statistics) -> None:
    usual = {layer.name: Treatment() for layer in found.layers}
    assert estimate(found, usual) is not None
    assert estimate(found, usual | {found.layers[0].name: Treatment(levels=5)}) is not None
    for other in (Treatment(clusters=5), Treatment(levels=15), Treatment(bits=2)):
        assert estimate(found, usual | {found.layers[0].name: other}) is None
    assert estimate(found, usual | {found.layers[0].name: Treatment(sparsity=0.55)}) is None


def test_no_samples_are_refused(file: bytes, samples: np.ndarray) -> None:
    with pytest.raises(Refused, match="no samples"):
        measure(file, samples[:0], SEED)


def test_groups_hold_every_layer_once_and_are_few() -> None:
    kinds = ["CONV_2D", *["DEPTHWISE_CONV_2D", "CONV_2D"] * 9, "FULLY_CONNECTED"]
    shapes = [(8, 3, 3, 4), *[(1, 3, 3, 8), (8, 1, 1, 8)] * 9, (10, 8)]
    layers = [table(f"layer{at}", kind, shapes[at], seed=at) for at, kind in enumerate(kinds)]
    groups = groups_of(layers, 8)
    assert len(groups) == 8
    assert sorted(name for names in groups.values() for name in names) == sorted(layer.name for layer in layers)
    assert groups["first"] == ("layer0",)
    assert groups["last"] == ("layer19",)
    assert {name.split()[0] for name in groups} == {"first", "last", "depthwise", "pointwise"}
    assert groups_of(layers[:1], 8) == {"first": ("layer0",)}


def test_the_allocation_is_the_best_one() -> None:
    """Against all combinations of three layers, at five sizes."""
    layers = [table(f"layer{at}", seed=at) for at in range(3)]
    places = [(row, column) for row in range(len(VALUES)) for column in range(0, len(SPARSITIES))]
    every = [
        (sum(layer.errors[r][c] for layer, (r, c) in zip(layers, chosen, strict=True)),
         sum(layer.deflated[r][c] for layer, (r, c) in zip(layers, chosen, strict=True)))
        for chosen in itertools.product(places[::2], repeat=3)
    ]  # fmt: skip
    smallest = min(size for _, size in every)
    for limit in np.linspace(smallest * 1.05, 300, 5):
        found = allocate(Statistics(tuple(layers)), float(limit))
        assert found is not None
        told = estimate(Statistics(tuple(layers)), {name: treatment_of(*place) for name, place in found.items()})
        assert told is not None
        assert told.deflated <= limit * (1 + 1e-6)
        assert told.error <= min(error for error, size in every if size <= limit) * 1.01


def test_the_solver_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """HiGHS wrote a line of its own between the rows of a search, and would have broken ``--json``."""
    layers = Statistics(tuple(table(f"layer{at}", seed=200 + at) for at in range(12)))
    assert allocate(layers, 360.0) is not None
    assert capfd.readouterr() == ("", "")


def test_a_size_that_nothing_fits_has_no_allocation() -> None:
    layers = Statistics((table("layer"),))
    assert allocate(layers, -math.inf) is None
    assert allocate(Statistics(()), 100.0) is None


def test_layers_that_share_a_bias_cost_what_layers_with_biases_of_their_own_cost() -> None:
    """Each layer is rounded in the model and restored; a shared bias must not keep the correction of one layer."""
    load()
    import tf_keras

    tf_keras.utils.set_random_seed(2)
    layers = [tf_keras.layers.Dense(6, activation="relu", use_bias=True) for _ in range(3)]
    model = tf_keras.Sequential([tf_keras.layers.Input((6,)), *layers, tf_keras.layers.Dense(2)])
    for number, layer in enumerate(layers):
        layer.set_weights([layer.get_weights()[0], np.full(6, 0.1 * (number + 1), np.float32)])
    private = read_model(Float32().apply(model, None))  # type: ignore[arg-type]
    dense = [node for node in private.subgraphs[0].operators if len(node.inputs) == 3][:3]
    for node in dense:
        bias = private.subgraphs[0].tensors[int(node.inputs[2])]
        private.buffers[bias.buffer].data = np.zeros(6, np.float32).view(np.uint8)
    before = pack_model(private)
    for node in dense[1:]:
        node.inputs = [*node.inputs[:2], dense[0].inputs[2]]
    x = np.random.default_rng(1).normal(size=(64, 6)).astype(np.float32)
    own, shared = (list(noise.noise_of_layers(file, x, SEED)) for file in (before, pack_model(private)))
    assert len(own) == 4
    assert [each.error for each in shared] == pytest.approx([each.error for each in own], rel=1e-4)
