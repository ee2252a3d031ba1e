"""Layers of a float ``.tflite`` solved for one after another, and the int8 file that holds just these integers."""

from __future__ import annotations

import dataclasses
import math
import zlib
from typing import Any

import numpy as np
import pytest

from litetuner.spaces.errors import BuildFailed, Refused
from litetuner.spaces.quantization.int4 import int4_operators
from litetuner.spaces.reconstruction import layers as layers_module
from litetuner.spaces.reconstruction import sequence
from litetuner.spaces.reconstruction.activations import Walk, input_values
from litetuner.spaces.reconstruction.allocation.spreading import SHARES, Sensitivities
from litetuner.spaces.reconstruction.layers import layers_of, read_weight, write_weight
from litetuner.spaces.reconstruction.quantized import quantized
from litetuner.spaces.reconstruction.sequence import Treatment, reconstruct
from litetuner.spaces.tflite.running import run
from litetuner.spaces.tflite.schema import pack_model, read_model

SEED = 3


def walked(file: bytes, samples: np.ndarray) -> Walk:
    model = read_model(file)
    return Walk(model, input_values(model, samples))


def error(file: bytes, other: bytes, samples: np.ndarray) -> float:
    """Squared error of outputs as a share of their variance."""
    ours, theirs = (np.concatenate(run(each, samples).values) for each in (file, other))
    return float(np.mean((ours - theirs) ** 2) / theirs.var(axis=0).mean())


def all_of(file: bytes, treatment: Treatment) -> dict[int, Treatment]:
    return {layer.operator: treatment for layer in layers_of(read_model(file))}


def test_segments_compute_what_the_whole_file_computes(file: bytes, samples: np.ndarray) -> None:
    walk = walked(file, samples)
    count = len(read_model(file).subgraphs[0].operators)
    for stop in (1, 2, 4, count):
        walk.advance(stop)
    (values,) = walk.values.values()
    assert np.allclose(values, np.stack(run(file, samples).values), atol=1e-6)


def test_what_the_float_file_reads_is_kept_where_memory_takes_it(
    file: bytes, samples: np.ndarray, monkeypatch: Any
) -> None:
    treatments = all_of(file, Treatment(sparsity=0.5))
    sequence._kept_rows.cache_clear()
    first, again = (reconstruct(file, samples, treatments, SEED).file for _ in range(2))
    assert sequence._kept_rows.cache_info().hits == 1
    monkeypatch.setattr(sequence, "MOST_KEPT", 0)
    sequence._kept_rows.cache_clear()
    assert first == again == reconstruct(file, samples, treatments, SEED).file


def test_rows_times_the_matrix_are_the_outputs(file: bytes, samples: np.ndarray, monkeypatch: Any) -> None:
    monkeypatch.setattr(layers_module, "places", every_place)
    model = read_model(file)
    layers = layers_of(model)
    assert [layer.kind for layer in layers].count("CONV_2D") == 3
    assert [layer.kind for layer in layers].count("TRANSPOSE_CONV") == 2
    assert {layer.groups for layer in layers} == {1, 2, 8}
    walk = walked(file, samples[:4])
    for layer in layers:
        walk.advance(layer.operator)
        x = walk.values[layer.source]
        rows = layer.rows(x.reshape(-1, *x.shape[2:]), 10**6, np.random.default_rng(0))
        matrix, bias = read_weight(model, layer)
        outputs = (rows.astype(np.float64) @ matrix).transpose(1, 0, 2).reshape(rows.shape[1], -1) + bias
        walk.advance(layer.operator + 1)
        (result,) = [int(index) for index in model.subgraphs[0].operators[layer.operator].outputs]
        fused = {0: (-np.inf, np.inf), 1: (0, np.inf), 3: (0, 6)}[int(layer.options.fusedActivationFunction)]
        assert np.allclose(np.clip(outputs, *fused), walk.values[result].reshape(outputs.shape), atol=1e-4), layer
        assert np.array_equal(layer.weights(matrix).shape, layer.shape)


def every_place(shape: tuple[int, ...], count: int, random: Any) -> np.ndarray:
    return np.stack(np.unravel_index(np.arange(np.prod(shape[:-1])), shape[:-1]))


def test_blocks_of_features_are_maps_of_their_own(file: bytes, monkeypatch: Any, samples: np.ndarray) -> None:
    model = read_model(file)
    layer = layers_of(model)[-1]
    whole, _ = read_weight(model, layer)
    monkeypatch.setattr(layers_module, "MOST_FEATURES", 50)
    layer = layers_of(model)[-1]
    matrix, _ = read_weight(model, layer)
    assert matrix.shape[0] == layer.blocks == -(-layer.features // 50)
    assert np.array_equal(layer.weights(matrix), whole[0].T)
    found = reconstruct(file, samples, {layer.operator: Treatment(bits=4)}, SEED)
    assert error(found.file, file, samples) < 0.05


def test_a_written_layer_is_read_again_and_gets_a_bias(file: bytes) -> None:
    model = read_model(file)
    layer = layers_of(model)[-1]
    assert layer.bias == -1
    matrix, _ = read_weight(model, layer)
    write_weight(model, layer, 2 * matrix, np.arange(6.0))
    again = read_model(pack_model(model))
    written = layers_of(again)[-1]
    doubled, bias = read_weight(again, written)
    assert np.allclose(doubled, 2 * matrix)
    assert bias.tolist() == [0, 1, 2, 3, 4, 5]
    assert len(pack_model(model)) < len(file) + 1000  # the old weights are gone


@pytest.mark.parametrize(
    ("treatment", "most"),
    [
        (Treatment(), 1e-3),
        (Treatment(bits=3), 0.1),
        (Treatment(sparsity=0.5), 0.1),
        (Treatment(clusters=16), 0.05),
        (Treatment(levels=17), 0.05),
        (Treatment(sparsity=0.5, clusters=8), 0.2),
    ],
)
def test_the_int8_file_holds_the_integers(file: bytes, samples: np.ndarray, treatment: Treatment, most: float) -> None:
    treatments = all_of(file, treatment)
    found = reconstruct(file, samples, treatments, SEED)
    assert error(found.file, file, samples) < most
    result = quantized(found, treatments, samples[:32], "float32")  # compares every integer
    assert error(result, file, samples) < most + 0.05
    for integers in found.integers.values():
        assert np.abs(integers).max() == 127
        assert np.mean(integers == 0) >= treatment.sparsity
        assert not treatment.clusters or np.unique(integers).size <= treatment.clusters
        assert treatment.bits == 8 or set(np.unique(integers)) <= {-127, -85, -42, 0, 42, 85, 127}


def test_int4_is_int4(file: bytes, samples: np.ndarray) -> None:
    treatments = all_of(file, Treatment(bits=4))
    others = [layer.operator for layer in layers_of(read_model(file)) if layer.kind not in int4_operators()]
    assert len(others) == 3  # a depthwise and two transposed convolutions
    treatments |= dict.fromkeys(others, Treatment())
    found = reconstruct(file, samples, treatments, SEED)
    assert error(quantized(found, treatments, samples[:32], "float32"), file, samples) < 0.1
    assert all(np.abs(found.integers[at]).max() == 7 for at in treatments if at not in others)


def test_errors_are_made_up_for(file: bytes, samples: np.ndarray) -> None:
    """Plain rounding to 3 bits against reconstruction, on samples that neither saw."""
    from litetuner.spaces.reconstruction.grid import nearest

    model = read_model(file)
    for layer in layers_of(model):
        matrix, bias = read_weight(model, layer)
        write_weight(model, layer, nearest(matrix, 3, layer.channel_axes).kernel, bias)
    found = reconstruct(file, samples[:64], all_of(file, Treatment(bits=3)), SEED)
    assert error(found.file, file, samples[64:]) < 0.5 * error(pack_model(model), file, samples[64:])


def test_it_is_deterministic_and_leaves_other_layers(file: bytes, samples: np.ndarray) -> None:
    layer, *others = layers_of(read_model(file))
    first, second = (reconstruct(file, samples, {layer.operator: Treatment(bits=4)}, SEED) for _ in range(2))
    assert first.file == second.file
    assert list(first.integers) == [layer.operator]
    for other in others:
        before, after = (read_weight(read_model(each), other)[0] for each in (file, first.file))
        assert np.array_equal(before, after)


def test_zeros_that_are_there_stay(file: bytes, samples: np.ndarray) -> None:
    model = read_model(file)
    layer = layers_of(model)[0]
    matrix, bias = read_weight(model, layer)
    matrix[np.abs(matrix) < np.median(np.abs(matrix))] = 0
    write_weight(model, layer, matrix, bias)
    found = reconstruct(pack_model(model), samples, {layer.operator: Treatment(clusters=8)}, SEED)
    integers = found.integers[layer.operator]
    assert not integers[layer.weights(matrix) == 0].any()
    assert np.unique(integers).size <= 8


def test_a_layer_that_fails_is_named(file: bytes, samples: np.ndarray) -> None:
    layer = layers_of(read_model(file))[0]
    broken = samples.copy()
    broken[5, 2, 2] = np.nan
    with pytest.raises(BuildFailed, match=layer.name.replace("[", ".")):
        reconstruct(file, broken, {layer.operator: Treatment()}, SEED)
    with pytest.raises(Refused, match="no samples"):
        reconstruct(file, samples[:0], {layer.operator: Treatment()}, SEED)


def test_a_file_that_stores_something_else_fails(file: bytes, samples: np.ndarray) -> None:
    layer = layers_of(read_model(file))[0]
    treatments = {layer.operator: Treatment(clusters=4)}
    found = reconstruct(file, samples, treatments, SEED)
    other = found.integers[layer.operator].copy()
    other.flat[0] += 1
    with pytest.raises(BuildFailed, match="stored 1 of"):
        quantized(dataclasses.replace(found, integers={layer.operator: other}), treatments, samples[:16])


def test_sparsity_is_spread_by_what_layers_tolerate(file: bytes, samples: np.ndarray) -> None:
    found = Sensitivities(file, samples, SEED)
    total = sum(found.sizes.values())
    for sparsity in (0.3, 0.6, SHARES[-1]):
        shares = found.spread(sparsity)
        reached = sum(share * found.sizes[at] for at, share in shares.items()) / total
        assert sparsity - 1e-9 <= reached <= sparsity + 0.1


def test_a_layer_of_small_weights_gets_most_of_the_zeros(file: bytes, samples: np.ndarray) -> None:
    model = read_model(file)
    layer = layers_of(model)[3]
    matrix, bias = read_weight(model, layer)
    small = np.random.default_rng(0).random(matrix.shape) < 0.8
    write_weight(model, layer, np.where(small, 1e-4 * matrix, matrix), bias)
    shares = Sensitivities(pack_model(model), samples, SEED).spread(0.4)
    assert shares[layer.operator] > 0.7
    assert shares[layer.operator] == max(shares.values())


def test_levels_are_evenly_spaced_over_the_tensor(file: bytes, samples: np.ndarray) -> None:
    found = reconstruct(file, samples, all_of(file, Treatment(sparsity=0.3, levels=9)), SEED)
    steps = np.rint(np.arange(-4, 5) * 127 / 4)
    for integers in found.integers.values():
        assert set(np.unique(integers)) <= set(steps) and np.abs(integers).max() == 127
        assert np.mean(integers == 0) >= 0.3


def test_levels_take_fewer_bytes_than_chosen_values_for_as_little_error(file: bytes, samples: np.ndarray) -> None:
    """Bytes of all kernels under zlib where both lose as much, between the neighbors of a sweep."""

    def measured(treatment: Treatment) -> tuple[float, float]:
        found = reconstruct(file, samples[:64], all_of(file, treatment), SEED)
        return (
            math.log(error(found.file, file, samples[64:])),
            math.log(sum(len(zlib.compress(each.tobytes(), 9)) for each in found.integers.values())),
        )

    sweep = sorted(measured(Treatment(levels=count)) for count in (9, 13, 17, 25, 35, 51))
    for count in (8, 16):
        lost, taken = measured(Treatment(clusters=count))
        assert np.interp(lost, *zip(*sweep, strict=True)) < taken, count


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"levels": 8}, "levels is 8, and must be 0, or an odd number of 3 to 255"),
        ({"levels": 1}, "levels is 1"),
        ({"levels": 257}, "levels is 257"),
        ({"levels": 9, "clusters": 8}, "either chosen .clusters. or evenly spaced .levels."),
        ({"levels": 9, "bits": 4}, "must be 8 with clusters or levels"),
    ],
)
def test_levels_that_cannot_be_are_refused(wrong: dict[str, int], said: str) -> None:
    with pytest.raises(Refused, match=said):
        Treatment(**wrong)  # type: ignore[arg-type]
