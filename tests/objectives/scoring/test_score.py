"""Predictions and scores of real ``.tflite`` files, and of files that are not valid."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litetuner.objectives.metrics.choice import find_metric
from litetuner.objectives.scoring.predict import load_interpreter, predict
from litetuner.objectives.scoring.scorer import Samples, check_io, score
from litetuner.spaces.errors import BuildFailed, DataError
from litetuner.spaces.tflite.interpreter import quantize_values
from tests.decisions import LOGITS

N = 600
X = np.random.default_rng(0).normal(size=(N, 8)).astype(np.float32)
W = np.random.default_rng(1).normal(size=(8, 3)).astype(np.float32)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """Small files by what they do."""
    from litetuner.spaces.tf import load, quiet_stdout

    tf = load()

    def convert(function: Callable[..., Any], *shapes: tuple[int | None, ...], io: str | None = None) -> bytes:
        module = tf.Module()
        module.f = tf.function(function, input_signature=[tf.TensorSpec(shape, tf.float32) for shape in shapes])
        converter = tf.lite.TFLiteConverter.from_concrete_functions([module.f.get_concrete_function()], module)
        if io is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([row[None]] for row in X[:100])
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.as_dtype(io)
        with quiet_stdout():
            content: bytes = converter.convert()
        return content

    def classify(x: Any) -> Any:
        return tf.nn.softmax(tf.matmul(x, W))

    return {
        "float32": convert(classify, (1, 8)),
        "any batch": convert(classify, (None, 8)),
        "int8": convert(classify, (1, 8), io="int8"),
        "uint8": convert(classify, (1, 8), io="uint8"),
        "mixed": convert(classify, (1, 8), io="float32"),
        "any size": convert(lambda x: tf.reduce_mean(x, axis=1), (1, None, 4)),
        "nan": convert(lambda x: tf.math.log(x - 100.0), (1, 8)),
        "constant": convert(lambda x: tf.minimum(x, -100.0), (1, 8)),
        "two inputs": convert(lambda a, b: a + b, (1, 8), (1, 8)),
        "two outputs": convert(lambda a: (a + 1.0, a * 2.0), (1, 8)),
    }


@pytest.mark.parametrize("name", ["float32", "any batch"])
@pytest.mark.parametrize("threads", [1, 2, 7])
def test_float_files_give_the_models_numbers(files: dict[str, bytes], name: str, threads: int) -> None:
    found = predict(files[name], X, threads)
    assert found.dtype == np.float32 and found.shape == (N, 3)
    assert np.abs(found - softmax(X @ W)).max() < 1e-5


def test_integer_files_give_real_numbers_near_the_float_ones(files: dict[str, bytes]) -> None:
    exact = softmax(X @ W)
    outputs = {name: predict(files[name], X) for name in ("int8", "uint8", "mixed")}
    for found in outputs.values():
        assert found.dtype == np.float32 and found.min() >= 0 and found.max() <= 1
        assert np.abs(found - exact).max() < 0.1  # int8 inputs and weights
    # Inputs quantized here come out as those that the runtime quantizes itself, also half-way between two integers.
    assert np.array_equal(outputs["int8"], outputs["mixed"])
    (detail,) = load_interpreter(files["int8"]).get_input_details()
    scale, zero_point = detail["quantization"]
    halves = ((np.arange(-128, 128).reshape(32, 8) + 0.5 - zero_point) * np.float32(scale)).astype(np.float32)
    assert np.array_equal(predict(files["int8"], halves), predict(files["mixed"], halves))


def test_the_number_of_threads_does_not_matter(files: dict[str, bytes]) -> None:
    assert np.array_equal(predict(files["int8"], X, 1), predict(files["int8"], X, 3))
    assert predict(files["int8"], X[:1], 4).shape == (1, 3)


def test_stored_8_bit_samples_are_cast(files: dict[str, bytes]) -> None:
    small = np.random.default_rng(0).integers(0, 4, (50, 8), dtype=np.uint8)
    assert np.abs(predict(files["float32"], small) - softmax(small.astype(np.float32) @ W)).max() < 1e-5


def test_free_sizes_are_set_to_the_samples(files: dict[str, bytes]) -> None:
    x = np.random.default_rng(0).normal(size=(5, 6, 4)).astype(np.float32)
    assert np.allclose(predict(files["any size"], x), x.mean(axis=1), atol=1e-6)


def test_rounding_is_to_even_and_clips() -> None:
    x = np.array([0.25, 0.75, 1.25, -0.25, -100, 100], np.float32)
    assert quantize_values(x, np.dtype(np.int8), 0.5, 3).tolist() == [3, 5, 5, 3, -128, 127]


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("nan", "NaN or infinity in 600 of 600 samples"),
        ("constant", "same for all 600"),
        ("two inputs", "2 inputs, the data have 1"),
    ],
)
@pytest.mark.parametrize("threads", [1, 2])
def test_files_that_are_not_valid_are_failed(files: dict[str, bytes], name: str, part: str, threads: int) -> None:
    with pytest.raises(BuildFailed, match=part):
        predict(files[name], X, threads)


def test_a_constant_output_of_one_sample_or_of_equal_samples_is_no_fault(files: dict[str, bytes]) -> None:
    assert predict(files["constant"], X[:1]).shape == (1, 8)
    assert predict(files["float32"], np.repeat(X[:1], 4, axis=0)).shape == (4, 3)


def test_wrong_shapes_and_torn_files_are_failed(files: dict[str, bytes], tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match=r"samples of shape \(8,\), the data have \(9,\)"):
        predict(files["float32"], np.zeros((3, 9), np.float32))
    with pytest.raises(BuildFailed, match="does not load"):
        predict(b"no flatbuffer at all, only text", X)
    with pytest.raises(BuildFailed, match="cannot read"):
        predict(tmp_path / "none.tflite", X)
    with pytest.raises(DataError, match="empty"):
        predict(files["float32"], X[:0])


def test_io_types_are_checked(files: dict[str, bytes]) -> None:
    check_io(files["float32"], ("float32", "float32"))
    check_io(files["int8"], ("int8", "int8"))
    with pytest.raises(BuildFailed, match=r"input .* has type int8, float32 was asked for"):
        check_io(files["int8"], ("float32", "float32"))
    with pytest.raises(BuildFailed, match=r"output .* has type float32, int8 was asked for"):
        check_io(files["mixed"], ("float32", "int8"))


def test_a_score_knows_its_interval_and_conditions(files: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(files["int8"])
    y = (X @ W).argmax(axis=1)
    found = score(path, Samples(X, y), find_metric("accuracy", LOGITS), seed=0, threads=1, expected_io=("int8", "int8"))
    measurement = found.measurement
    assert measurement.unit == "accuracy" and 0.9 < measurement.value <= 1
    assert measurement.interval is not None
    assert measurement.interval[0] <= measurement.value <= measurement.interval[1]
    assert measurement.environment["samples"] == N and measurement.environment["threads"] == 1
    assert measurement.environment["runtime"].startswith("ai-edge-litert 2")
    assert found.each is not None and found.each.mean() == pytest.approx(measurement.value)
    assert found.predictions.shape == (N, 3)
    f1 = score(str(path), Samples(X, y), find_metric("macro-f1", LOGITS), seed=0, threads=2, expected_io=None)
    assert f1.each is None and f1.measurement.interval is not None
    assert f1.measurement.interval[0] <= f1.measurement.value <= f1.measurement.interval[1]


def test_scores_refuse_what_does_not_fit(files: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(files["int8"])
    y = (X @ W).argmax(axis=1)
    with pytest.raises(BuildFailed, match="was asked for"):
        score(
            path, Samples(X, y), find_metric("accuracy", LOGITS), seed=0, threads=1, expected_io=("float32", "float32")
        )
    with pytest.raises(DataError, match="600 samples and 599 labels"):
        score(path, Samples(X, y[:-1]), find_metric("accuracy", LOGITS), seed=0, threads=1, expected_io=None)


def test_a_recurrent_file_starts_every_sample_afresh() -> None:
    """A fused LSTM keeps its state between invokes: the order of samples must not change a prediction."""
    from litetuner.spaces.context import Context
    from litetuner.spaces.steps.float32 import Float32
    from litetuner.spaces.tf import load

    load()
    import tf_keras

    inputs = tf_keras.Input((6, 4), batch_size=1)
    model = tf_keras.Model(inputs, tf_keras.layers.Dense(3)(tf_keras.layers.LSTM(5)(inputs)))
    x = np.random.default_rng(3).normal(size=(8, 6, 4)).astype(np.float32)
    file = Float32().apply(model, Context(x, x, x, "mse", 1, 0))
    forward, backward = predict(file, x), predict(file, x[::-1])[::-1]
    np.testing.assert_array_equal(forward, backward)
    np.testing.assert_allclose(forward, np.concatenate([model(x[i : i + 1]).numpy() for i in range(8)]), atol=1e-5)


def test_inputs_that_hold_indices_keep_their_type() -> None:
    from litetuner.spaces.tf import load, quiet_stdout

    tf = load()
    table = tf.constant(np.random.default_rng(2).normal(size=(20, 4)).astype(np.float32))
    module = tf.Module()
    module.f = tf.function(
        lambda tokens: tf.matmul(tf.reduce_mean(tf.gather(table, tokens), axis=1), W[:4]),
        input_signature=[tf.TensorSpec((1, 6), tf.int32)],
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.f.get_concrete_function()], module)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([np.full((1, 6), k, np.int32)] for k in range(20))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_output_type = tf.int8
    with quiet_stdout():
        content = converter.convert()
    check_io(content, ("int8", "int8"))
    check_io(content, ("float32", "int8"))
    with pytest.raises(BuildFailed, match=r"the output .* has type int8, float32 was asked for"):
        check_io(content, ("float32", "float32"))


def test_large_outputs_are_in_a_file(files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    from litetuner.spaces.data import arrays

    whole = predict(files["float32"], X, 2)
    monkeypatch.setattr(arrays, "IN_MEMORY_BYTES", 1)
    mapped = predict(files["float32"], X, 2)
    assert isinstance(mapped, np.memmap) and not isinstance(whole, np.memmap)
    assert np.array_equal(whole, mapped)
