"""Models whose input holds integers: their type stays, whatever is quantized, and the file takes the very same samples."""

from __future__ import annotations

import numpy as np
import pytest

from litetuner.objectives.scoring.predict import predict
from litetuner.objectives.scoring.scorer import check_io
from litetuner.spaces.context import Context
from litetuner.spaces.step import Step
from litetuner.spaces.steps.float16 import Float16
from litetuner.spaces.steps.float32 import Float32
from litetuner.spaces.steps.int8 import Int8
from litetuner.spaces.steps.qat import Qat


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "uint16", "int32", "int64"])
def test_an_input_of_integers_keeps_its_type(dtype: str) -> None:
    from litetuner.spaces.tf import load

    load()
    import tf_keras

    x = np.random.default_rng(0).integers(0, 120, (64, 6, 6, 1)).astype(dtype)
    y = (x.mean((1, 2, 3)) > 60).astype(np.int64)
    image = tf_keras.layers.Input((6, 6, 1), dtype=dtype)
    h = tf_keras.layers.Conv2D(4, 3, activation="relu")(tf_keras.layers.Rescaling(1 / 255.0, name="bytes")(image))
    output = tf_keras.layers.Dense(2, activation="softmax")(tf_keras.layers.Flatten()(h))
    model = tf_keras.Model(image, output)
    context = Context(x, y, x[:32], loss="sparse_categorical_crossentropy", batch_size=32, seed=0)
    expected = model(x).numpy()
    pipelines: list[tuple[Step, ...]] = [(Float32(),), (Float16(),), (Int8(),), (Int8(io="uint8"),)]
    if dtype == "uint8":
        pipelines.append((Qat(skip=("bytes",), epochs=0.5, learning_rate=0.0), Int8()))
    for steps in pipelines:
        subject = model
        for step in steps:
            subject = step.apply(subject, context)
        io = "uint8" if steps[-1] == Int8(io="uint8") else "float32"
        check_io(subject, (io, io))
        np.testing.assert_allclose(
            predict(subject, x, 1), expected, atol=0.06
        )  # int8 against float32, ranges of two batches
