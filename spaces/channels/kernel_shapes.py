"""Kernel shapes after channel pruning: an invariant for every layer that can be identified in the file."""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from litetuner.spaces.store import Store
from litetuner.spaces.tflite.layer_names import fits

# Layer types with one kernel (for separable ones, the largest) whose operators the file reader supports.
_CONVOLUTIONS = [f"Conv{rank}D{kind}" for rank in (1, 2, 3) for kind in ("", "Transpose")]
_IN_DEPTH = [f"{kind}Conv{rank}D" for rank in (1, 2) for kind in ("Depthwise", "Separable")]
_TOLD = frozenset(["Dense", *_CONVOLUTIONS, *_IN_DEPTH])


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A layer's largest weight: its shape in Keras order, and whether a finished file identifies it with certainty."""

    shape: tuple[int, ...]
    told: bool


def kernels_of(model: Any) -> dict[str, Kernel]:
    """The kernels of a tf_keras model, by layer name. A file may contain those of repeated layers several times."""
    found = {}
    for layer in model.layers:
        shapes = sorted((tuple(int(size) for size in weight.shape) for weight in layer.weights), key=math.prod)
        if shapes and len(shapes[-1]) > 1:
            told = type(layer).__name__ in _TOLD and len(layer.inbound_nodes) == 1
            found[layer.name] = Kernel(shapes[-1], told)
    return found


@functools.lru_cache(maxsize=8)
def kernels_of_checkpoint(blobs: Store, blob: str) -> Mapping[str, Kernel]:
    """``kernels_of`` the model in a checkpoint. Raises ``BuildFailed`` if the checkpoint has no model."""
    from litetuner.spaces.models.checkpoint import read_model

    return kernels_of(read_model(blobs.get(blob)))


def shape_invariants(kernels: Mapping[str, Kernel]) -> list[tuple[str, str, str]]:
    """(layer, "shape", "3x3x16x8") for every layer that can be identified in the file."""
    return [(name, "shape", written(kernel.shape)) for name, kernel in kernels.items() if kernel.told]


def written(shape: Sequence[int]) -> str:
    """A shape in the form that labels and reports use, such as ``3x3x16x8``."""
    return "x".join(str(size) for size in shape)


def in_keras_order(stored: Sequence[int], operator: str, asked: Sequence[int]) -> tuple[int, ...] | None:
    """The shape of a weight in the file, with axes ordered as in the Keras kernel of shape ``asked``.

    ``None`` for an operator whose axes are not known. If the weight cannot be such a kernel, the result has the
    operator's own rank: a matrix as (inputs, outputs), a convolution as (height, width, inputs, outputs).
    """
    shape = tuple(int(size) for size in stored)
    if operator in ("CONV_2D", "TRANSPOSE_CONV") and len(shape) == 4:
        outputs, height, width, inputs = shape
        last = (inputs, outputs) if operator == "CONV_2D" else (outputs, inputs)
        return _of_rank(len(asked), (height, width), last)
    if operator == "DEPTHWISE_CONV_2D" and len(shape) == 4:
        _, height, width, made = shape  # made: channels x depth multiplier
        several = asked[-1] if len(asked) > 2 and made % asked[-1] == 0 else 1
        return _of_rank(len(asked), (height, width), (made // several, several))
    if operator == "FULLY_CONNECTED" and len(shape) == 2:
        outputs, inputs = shape
        if asked and (math.prod(asked[:-1]), asked[-1]) == (inputs, outputs):
            return tuple(asked)  # a convolution over its whole input is a matrix in the file
        return _of_rank(len(asked), (1, 1), (inputs, outputs))
    return shape if operator in ("CONV_3D", "CONV_3D_TRANSPOSE", "GATHER", "EMBEDDING_LOOKUP") else None


def _of_rank(rank: int, window: tuple[int, int], last: tuple[int, int]) -> tuple[int, ...]:
    """The kernel shape: 3 axes if ``rank`` is 3 and one window size is 1, 2 if it is 2 and both are 1, otherwise 4."""
    if rank == 3 and 1 in window:
        return (math.prod(window), *last)
    return last if rank == 2 and window == (1, 1) else (*window, *last)


def compare(stored: Sequence[int], operator: str, asked: str) -> tuple[str, bool]:
    """A stored weight's shape as text, and whether it equals the Keras kernel shape ``asked`` ("3x3x16x8")."""
    wanted = tuple(int(size) for size in asked.split("x"))
    found = in_keras_order(stored, operator, wanted)
    if found is None:  # the meaning of the axes is not known, so only the sizes are compared
        return written(stored), fits(wanted, stored)
    return written(found), found == wanted
