from __future__ import annotations

import dataclasses
import json
import zlib

import numpy as np
import pytest

from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.tflite.layer_bytes import LayerInFile, read_layers
from litetuner.spaces.tflite.rewriting.slimming import slim


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """One small network as float32 and full int8, and the same with half the channels in its first layer."""
    from litetuner.spaces.tf import load

    tf = load()
    import tf_keras as keras

    def convert(channels: int, quantize: bool) -> bytes:
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [
                keras.layers.Conv2D(channels, 3, name="first", input_shape=(8, 8, 3)),
                keras.layers.Conv2D(4, 3, name="second"),
                keras.layers.GlobalAveragePooling2D(),
                keras.layers.Dense(5, name="last"),
            ]
        )
        kernel, bias = model.get_layer("second").get_weights()
        kernel.flat[: kernel.size // 2] = 0.0
        model.get_layer("second").set_weights([kernel, bias])
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        if quantize:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: iter([[np.ones((1, 8, 8, 3), np.float32)]])
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        return bytes(converter.convert())

    return {"float32": convert(8, False), "int8": convert(8, True), "cut": convert(4, True)}


KERNELS = {"first": (3, 3, 3, 8), "second": (3, 3, 8, 4), "last": (4, 5)}


def test_precision_zeros_clusters_and_bytes_of_each_layer(files: dict[str, bytes]) -> None:
    before = read_layers(files["float32"], KERNELS)
    after = read_layers(files["int8"], KERNELS, before)
    assert [layer.layer for layer in before] == [layer.layer for layer in after] == list(KERNELS)
    assert [layer.bytes for layer in before] == [4 * 216, 4 * 288, 4 * 20]
    assert [layer.bytes for layer in after] == [216, 288, 20]
    assert [layer.precision for layer in after] == ["int8"] * 3
    assert before[1].sparsity == pytest.approx(0.5, abs=0.01) and after[1].sparsity >= 0.5
    assert before[0].clusters == 27 and after[1].clusters <= 37
    assert after[1].compressed < 0.8 * after[1].bytes
    assert before[0].compressed > len(zlib.compress(b"", 9))


def test_files_without_names_and_with_fewer_channels_are_told_by_place(files: dict[str, bytes]) -> None:
    before = read_layers(files["float32"], KERNELS)
    slimmed = slim(files["cut"], np.ones((4, 8, 8, 3), np.float32), False)
    assert slimmed.applied
    found = read_layers(slimmed.file, KERNELS, before, reshaped=True)
    assert [(layer.layer, layer.shape[0]) for layer in found] == [("first", 4), ("second", 4), ("last", 5)]
    alone = read_layers(slimmed.file, KERNELS, reshaped=True)
    assert [layer.layer for layer in alone] == [None] * 3  # never guessed
    assert [dataclasses.replace(layer, layer=None) for layer in found] == list(alone)


def test_it_is_json_both_ways_and_refuses_what_is_no_file(files: dict[str, bytes]) -> None:
    for layer in read_layers(files["int8"], KERNELS):
        assert LayerInFile.from_json(json.loads(json.dumps(dataclasses.asdict(layer)))) == layer
    with pytest.raises(BuildFailed):
        read_layers(b"x" * 100, KERNELS)
