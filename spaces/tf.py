"""TensorFlow with legacy Keras: imported late, without log messages, and kept off standard output."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any


def load() -> Any:
    """The ``tensorflow`` module. tfmot needs tf_keras, so legacy Keras is selected before the first import."""
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")
    return tf


@contextlib.contextmanager
def quiet_stdout(to: int = 2) -> Iterator[None]:
    """Redirect file descriptor 1 to another one.

    The converter, the Keras export and the quantizer print text, which would break ``--json``.
    """
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(to, 1)
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
