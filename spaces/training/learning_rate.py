"""The learning-rate schedule of every training: cosine decay from the given rate to zero."""

from typing import Any


def cosine_decay(learning_rate: float, steps: int) -> Any:
    """The tf_keras schedule over ``steps`` optimizer steps (Loshchilov and Hutter 2017, arXiv:1608.03983)."""
    import tf_keras

    return tf_keras.optimizers.schedules.CosineDecay(learning_rate, steps)
