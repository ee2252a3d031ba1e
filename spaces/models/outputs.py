"""The baseline: which output of the user's model is scored, and its outputs on the search split."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from litetuner.spaces.data.named_arrays import pack, parts
from litetuner.spaces.errors import ConfigError, ModelError, keras_error_text, nearest
from litetuner.spaces.info import TensorInfo
from litetuner.spaces.models.signature import FEWEST_SAMPLES, predict, usual_batch

# Limits of the comparison: number of samples, seconds, bytes of outputs. Wrong files are wrong on most samples.
COMPARED_SAMPLES = 1000
PATIENCE_SECONDS = 10.0
MOST_BYTES = 1 << 26


def chosen_output(outputs: Sequence[TensorInfo], wanted: str | None, takes_all: bool) -> TensorInfo | None:
    """The output that the metric scores; ``None`` if a user metric takes all outputs. Raises ``ConfigError``."""
    names = [tensor.name for tensor in outputs]
    if wanted is not None:
        if wanted not in names:
            raise ConfigError(
                f"--metric: the model has no output {wanted!r}{nearest(wanted, names)}. Its outputs: {', '.join(names)}."
            )
        return outputs[names.index(wanted)]
    if len(outputs) > 1 and not takes_all:
        raise ConfigError(
            f"the model has {len(outputs)} outputs ({', '.join(names)}), and one number is needed: say which output is scored, "
            f"such as --metric accuracy@{names[0]}, or give --metric module:function, which gets dicts of all of them."
        )
    return None if len(outputs) > 1 else outputs[0]


def original_outputs(model: Any, x: np.ndarray, outputs: Sequence[TensorInfo], output: TensorInfo | None) -> np.ndarray:
    """The model's float32 outputs (m, ...) for the first samples of ``x`` (n, *sample), as many as are compared.

    If the model has several outputs: the chosen one, or all as a structured array. Raises ``ModelError`` if the model
    fails on the samples.
    """
    started, done, size = time.perf_counter(), [], 0
    many = max(FEWEST_SAMPLES, usual_batch(model, parts(np.asarray(x[:1]))))
    for start in range(0, min(len(x), COMPARED_SAMPLES), many):
        batch = parts(np.asarray(x[start : start + many]))
        try:
            done.append(predict(model, batch))
        except Exception as error:  # layers and kernels may raise any exception
            raise ModelError(
                f"the model itself fails on samples {start} to {start + len(batch[0]) - 1} of the search split: "
                f"{keras_error_text(error)} Do the data fit it? Try model.predict on them in Keras."
            ) from error
        size += sum(values.nbytes for values in done[-1])
        if time.perf_counter() - started > PATIENCE_SECONDS or size > MOST_BYTES:
            break
    columns = {
        tensor.name: np.concatenate(values) for tensor, values in zip(outputs, zip(*done, strict=True), strict=True)
    }
    return pack(columns) if output is None else columns[output.name]
