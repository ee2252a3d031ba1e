"""Filters without weights: every algorithm gives them a scale that kernels accept, and keeps their constant."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from litetuner.spaces.context import Context
from litetuner.spaces.errors import Refused
from litetuner.spaces.quantization.quantizer import WeightRounding, quantize
from litetuner.spaces.quantization.quantizer_policy import ALGORITHMS, RECIPES
from litetuner.spaces.quantization.scales import valid_scales
from litetuner.spaces.steps.float32 import Float32
from litetuner.spaces.steps.int8 import Int8
from litetuner.spaces.steps.int16x8 import Int16x8
from litetuner.spaces.steps.qat import Qat
from litetuner.spaces.tflite.interpreter import partitions
from litetuner.spaces.tflite.schema import read_model, tensors_of
from litetuner.spaces.tflite.weights import weights_by_layer

from .conftest import LAYERS, digits_network, run

TINY = 1e-9  # no weight of a filter that training has given up is larger


@pytest.fixture(scope="module")
def dead(model: Any) -> Any:
    """The digits network with filters of zeros and of tiny weights, whose biases still matter."""
    network = digits_network()
    network.set_weights(model.get_weights())
    for name in LAYERS:
        layer = network.get_layer(name)
        kernel, *bias = layer.get_weights()
        axis = 2 if name == "depthwise" else kernel.ndim - 1
        np.moveaxis(kernel, axis, 0)[1], np.moveaxis(kernel, axis, 0)[2] = 0.0, TINY
        layer.set_weights([kernel, *(np.linspace(0.2, 2.0, item.size, dtype=np.float32) for item in bias)])
    return network


@pytest.fixture(scope="module")
def dead_file(dead: Any, context: Context) -> bytes:
    return Float32().apply(dead, context)


def scales(file: bytes) -> np.ndarray:
    found = [tensor.quantization.scale for tensor in tensors_of(read_model(file)) if tensor.quantization is not None]
    return np.concatenate([values for values in found if values is not None])


def outputs(file: bytes, context: Context) -> np.ndarray:
    from litetuner.objectives.scoring.predict import predict

    return predict(file, context.x_train[:32])


@pytest.mark.parametrize("recipe", [name for name in RECIPES if name != "weight_only_wf16"])
def test_every_algorithm_gives_dead_filters_a_scale(recipe: str, dead_file: bytes, context: Context) -> None:
    expected, built, plain = outputs(dead_file, context), 0, ""
    for algorithm in ALGORITHMS:
        for granularity in ("channel", "tensor"):
            rounding = WeightRounding(algorithm, granularity)
            try:
                file = quantize(dead_file, RECIPES[recipe], (), context.calibration, rounding)
            except Refused:
                continue
            built += 1
            assert scales(file).min() >= np.finfo(np.float32).tiny
            if granularity == "channel":
                plain = plain or partitions(file)  # min-max comes first
                assert partitions(file) == plain
            # Without their bias the dead filters move the outputs by more than 0.5; int4 is as far off as it is.
            worst = 0.35 if "wi4" in recipe else 0.15
            assert np.abs(outputs(file, context) - expected).max() < worst, (recipe, algorithm, granularity)
    assert built >= 2 or "wi4" in recipe


def test_the_converter_and_quantization_aware_training_give_them_a_scale(dead: Any, context: Context) -> None:
    trained = Qat(preserve_sparsity=True, epochs=0.1, learning_rate=1e-4).apply(dead, context)
    assert not trained.get_layer("quant_pointwise").get_weights()[0][..., 1].any(), "no dead filter is left to test"
    for file in (Int8().apply(trained, context), Int8().apply(dead, context), Int16x8().apply(dead, context)):
        assert scales(file).min() >= np.finfo(np.float32).tiny


@pytest.mark.parametrize("kind", [Int8, Int16x8])
def test_the_converter_quantizes_without_dead_channels(kind: Any, dead: Any, context: Context) -> None:
    """Filters 1 and 2 of every layer have no weights: those go whose constant no padding ends, and outputs stay."""
    untouched = dataclasses.replace(context, changed=False)
    whole, (file, notes) = kind().apply(dead, context), kind().apply_with_notes(dead, untouched)
    before, after = (sum(w.scale.size for w in weights_by_layer(each, LAYERS).values()) for each in (whole, file))
    assert after < before
    assert [note.partition(":")[0] for note in notes] == ["dead channels"], notes
    assert f"{before - after} of {before} filters removed" in notes[0]
    assert np.abs(outputs(file, context) - outputs(whole, context)).max() < 0.15
    assert kind().apply_with_notes(dead, context) == (whole, [])


def test_a_file_with_valid_scales_keeps_its_bytes(float_file: bytes, context: Context) -> None:
    file = quantize(float_file, RECIPES["static_wi8_ai8"], (), context.calibration, WeightRounding("mse"))
    assert valid_scales(file, float_file) is file


def test_only_channels_whose_scale_grows_are_changed(dead_file: bytes, context: Context) -> None:
    from litetuner.spaces.quantization import quantizer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantizer, "valid_scales", lambda file, original: file)
        raw = quantize(dead_file, RECIPES["static_wi8_ai8"], (), context.calibration, WeightRounding("mse"))
    before, after = (weights_by_layer(file, LAYERS) for file in (raw, valid_scales(raw, dead_file)))
    for name in LAYERS:
        old, new = before[name], after[name]
        same = old.scale == new.scale
        assert set(np.flatnonzero(~same)) == {1, 2}
        values = [np.moveaxis(item.values, item.channel_axis, 0) for item in (old, new)]
        assert (values[0][same] == values[1][same]).all() and not values[1][1].any()
        assert new.scale[2] * np.abs(values[1][2].astype(float)).max() < 1e-7, "the tiny filter stays tiny"
    assert run(valid_scales(raw, dead_file), context.x_train[:2]).shape == (2, 10)
