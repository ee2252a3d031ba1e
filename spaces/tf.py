"""TensorFlow with legacy Keras, imported late, quiet, and kept off standard output."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any


def load() -> Any:
    """The ``tensorflow`` module. tfmot needs tf_keras, so the switch to it is set before the first import."""
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")
    return tf


@contextlib.contextmanager
def quiet_stdout(to: int = 2) -> Iterator[None]:
    """Send file descriptor 1 to another one: converter, Keras export and quantizer print, and ``--json`` would break."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(to, 1)
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
