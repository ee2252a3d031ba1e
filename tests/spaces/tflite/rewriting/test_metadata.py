from __future__ import annotations

import numpy as np
import pytest

from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.tflite.artifact import read_artifact
from litetuner.spaces.tflite.rewriting.metadata import add_metadata
from litetuner.spaces.tflite.rewriting.slimming import slim
from litetuner.spaces.tflite.running import run
from tests.metadata import read_metadata


@pytest.fixture(scope="module")
def file() -> bytes:
    """A small float file with a convolution and a dense layer, as the converter gives it."""
    from litetuner.spaces import tf

    tensorflow = tf.load()
    import tf_keras

    tf_keras.utils.set_random_seed(0)
    layers = tf_keras.layers
    model = tf_keras.Sequential([layers.Input((6, 6, 1)), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(3)])
    converted: bytes = tensorflow.lite.TFLiteConverter.from_keras_model(model).convert()
    return converted


def test_the_text_travels_and_the_outputs_stay(file: bytes) -> None:
    samples = np.random.default_rng(1).random((4, 6, 6, 1), dtype=np.float32)
    for before in (file, slim(file, samples).file):
        after = add_metadata(before, "litetuner", b'{"recipe":"int8"}')
        assert read_metadata(after, "litetuner") == b'{"recipe":"int8"}' and after != before
        assert run(after, samples).identical(run(before, samples))
        assert read_artifact(after).structure == read_artifact(before).structure
        assert read_metadata(slim(after, samples).file, "litetuner") == b'{"recipe":"int8"}'


def test_a_second_text_takes_the_place_of_the_first(file: bytes) -> None:
    twice = add_metadata(add_metadata(file, "litetuner", b"one"), "litetuner", b"two")
    assert read_metadata(twice, "litetuner") == b"two"
    assert read_metadata(twice, "other") is None


def test_what_is_no_file_is_refused() -> None:
    with pytest.raises(BuildFailed, match=r"not a \.tflite"):
        add_metadata(b"0123456789", "litetuner", b"x")
