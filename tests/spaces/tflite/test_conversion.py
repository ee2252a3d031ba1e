"""Conversion: types as asked, equal bytes, names kept, and errors in one line. (Accuracy: steps/test_convert.py.)"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from litetuner.spaces.context import Context
from litetuner.spaces.errors import BuildFailed, Refused
from litetuner.spaces.tflite.conversion import convert, first_meaningful_line, representative
from litetuner.spaces.tflite.operators import read_operators
from litetuner.spaces.tflite.schema import read_model
from litetuner.spaces.tflite.weights import weights_by_layer

RNG = np.random.default_rng(0)
EMPTY = np.zeros((0,), np.float32)


def context_of(samples: np.ndarray) -> Context:
    return Context(EMPTY, EMPTY, calibration=samples, loss="mse", batch_size=1, seed=0)


def plain(model: Any) -> bytes:
    return convert(model, lambda converter, tf: None)


def outputs(file: bytes, x: np.ndarray) -> np.ndarray:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=file)
    run = interpreter.get_signature_runner("serving_default")
    (name,) = run.get_input_details()
    return np.stack([next(iter(run(**{name: sample[None]}).values()))[0] for sample in x])


@pytest.mark.parametrize("source", ["plain", "keras3", "branches"])
def test_float_is_the_model_itself(source: str, small_model: Callable[[str], Any], samples: np.ndarray) -> None:
    model = small_model(source)
    file = plain(model)
    assert np.abs(outputs(file, samples) - np.asarray(model(samples))).max() < 1e-5  # float32, another order of sums
    assert file == plain(model)
    assert not {"VAR_HANDLE", "READ_VARIABLE"} & {operator.name for operator in read_operators(file)}


def test_layers_can_be_told_and_the_signature_names_them(
    small_model: Callable[[str], Any], layer_names: dict[str, list[str]]
) -> None:
    kernels = [name for name in layer_names["keras3"] if not name.startswith("batch")]
    assert set(weights_by_layer(plain(small_model("keras3")), kernels)) == set(kernels)
    (signature,) = read_model(plain(small_model("plain"))).signatureDefs
    assert [entry.name for entry in signature.outputs] == [b"dense_1"]


def test_weights_lie_at_multiples_of_16_bytes(small_model: Callable[[str], Any]) -> None:
    file = plain(small_model("plain"))
    large = [buffer.data for buffer in read_model(file).buffers if buffer.data is not None and len(buffer.data) > 100]
    assert len(large) >= 4
    assert all(file.find(data.tobytes()) % 16 == 0 for data in large)


def test_an_lstm_stays_one_operator() -> None:
    """The converter fuses recurrent layers only on the way through a SavedModel. The operator keeps its state between runs."""
    from litetuner.spaces.tf import load

    load()
    import tf_keras

    source = tf_keras.layers.Input((5, 3))
    model = tf_keras.Model(source, tf_keras.layers.LSTM(4)(source))
    file = plain(model)
    assert "UNIDIRECTIONAL_SEQUENCE_LSTM" in {operator.name for operator in read_operators(file)}
    x = RNG.normal(size=(1, 5, 3)).astype(np.float32)
    assert np.abs(outputs(file, x) - model(x).numpy()).max() < 1e-5


def test_full_integers_of_a_loop_are_refused_before_the_converter_crashes() -> None:
    from litetuner.spaces.tf import load

    load()
    import keras
    import tf_keras

    for layers, layer in ((tf_keras.layers, tf_keras.layers.GRU(2)), (keras.layers, keras.layers.LSTM(2))):
        source = layers.Input((4, 3))
        model = (tf_keras if layers is tf_keras.layers else keras).Model(source, layer(source))
        with pytest.raises(BuildFailed, match="loop"):
            convert(model, lambda converter, tf: None, integer=True)


def test_operators_that_need_flex_are_named() -> None:
    from litetuner.spaces.tf import load

    tf = load()
    import tf_keras

    source = tf_keras.layers.Input((4, 4))
    model = tf_keras.Model(source, tf_keras.layers.Lambda(tf.linalg.inv)(source))
    with pytest.raises(BuildFailed, match="MatrixInverse") as caught:
        plain(model)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_the_representative_data_are_single_samples_of_the_inputs_type(small_model: Callable[[str], Any]) -> None:
    samples = np.arange(2 * 8 * 8 * 3, dtype=np.uint8).reshape(2, 8, 8, 3)
    batches = list(representative(small_model("plain"), context_of(samples))())
    assert [(batch[0].shape, batch[0].dtype) for batch in batches] == [((1, 8, 8, 3), np.float32)] * 2


def test_bad_calibration_is_refused(small_model: Callable[[str], Any], samples: np.ndarray) -> None:
    with pytest.raises(Refused, match="calibration samples"):
        representative(small_model("plain"), context_of(samples[:0]))
    broken = samples.copy()
    broken[3, 0, 0, 0] = np.nan
    with pytest.raises(BuildFailed, match="NaN"):
        representative(small_model("plain"), dataclasses.replace(context_of(samples), calibration=broken))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "(no message)"),
        ("plain words\nmore", "plain words"),
        ("x.py:1:2: error: 'tf.Erf' op is neither\nnote: see", "'tf.Erf' op is neither"),
        ('<unknown>:0: error: loc(callsite("a"(b) at "c")): \'tf.X\' op failed', "'tf.X' op failed"),
        ("a" * 500, "a" * 237 + "..."),
    ],
)
def test_long_errors_become_their_first_meaningful_line(text: str, line: str) -> None:
    assert first_meaningful_line(text) == line
