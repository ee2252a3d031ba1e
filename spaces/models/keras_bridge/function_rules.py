"""Which TensorFlow function computes a ``keras.ops`` operator, and with which arguments."""

import itertools
import re
from collections.abc import Callable
from typing import Any

from litetuner.spaces.models.keras_bridge.functions import Call, UntranslatableError, is_tensor, public_function


def _of_one(path: str) -> Callable[..., Any]:
    """A rule for a function of one tensor, given by its public name under ``tf``."""

    def build(f: Call, tf: Any, op: Any, x: Any) -> Any:
        return f(public_function(tf, path), x)

    return build


def _of_two(path: str) -> Callable[..., Any]:
    """A rule for a function of two operands; one of them may be a constant."""

    def build(f: Call, tf: Any, op: Any, x: Any, y: Any) -> Any:
        if not is_tensor(x):
            if path not in SWAPPED:
                raise UntranslatableError("its first operand is a constant")
            return f(public_function(tf, SWAPPED[path]), y, x)
        if is_tensor(y) and len(x.shape) != len(y.shape):
            raise UntranslatableError(
                "its operands have different numbers of dimensions, which would line samples up with other axes; Reshape them"
            )
        return f(public_function(tf, path), x, y)

    return build


# If the first operand is a constant: the function for swapped operands.
SWAPPED = {
    **{path: path for path in ("math.add", "math.multiply", "math.maximum", "math.minimum", "math.equal")},
    "math.greater": "math.less",
    "math.less": "math.greater",
    "math.greater_equal": "math.less_equal",
    "math.less_equal": "math.greater_equal",
}


def _reduction(path: str) -> Callable[..., Any]:
    def build(f: Call, tf: Any, op: Any, x: Any, *_: Any) -> Any:
        axis = op.axis if op.axis is None or isinstance(op.axis, int) else list(op.axis)
        return f(public_function(tf, path), x, axis=_not_batch(axis, x), keepdims=bool(op.keepdims))

    return build


def _not_batch(axis: Any, x: Any) -> Any:
    rank = len(x.shape)
    axes = list(range(rank)) if axis is None else [item % rank for item in ([axis] if isinstance(axis, int) else axis)]
    if 0 in axes:
        raise UntranslatableError("it works across the samples of a batch")
    return axis


def _divide(f: Call, tf: Any, op: Any, x: Any, y: Any) -> Any:
    if is_tensor(x):
        return f(tf.math.divide, x, y)
    return f(tf.math.multiply, f(tf.math.reciprocal, y), x)


def _power(f: Call, tf: Any, op: Any, x: Any, y: Any) -> Any:
    if not is_tensor(x):
        raise UntranslatableError("it raises a constant to the power of a tensor")
    known = {2: "square", 0.5: "sqrt", -0.5: "rsqrt", -1: "reciprocal"}
    name = known.get(y) if isinstance(y, int | float) else None
    return f(tf.pow, x, y) if name is None else f(public_function(tf, f"math.{name}"), x)


def _clip(f: Call, tf: Any, op: Any, x: Any, *limits: Any) -> Any:
    low, high = (float(op.x_min), float(op.x_max)) if hasattr(op, "x_min") else limits
    return f(tf.clip_by_value, x, clip_value_min=low, clip_value_max=high)


def _get_item(f: Call, tf: Any, op: Any, x: Any, key: Any) -> Any:
    parts = list(key) if isinstance(key, tuple | list) else [key]
    if any(item is not None and item is not Ellipsis and not isinstance(item, int | slice) for item in parts):
        raise UntranslatableError("it indexes by a tensor")
    if Ellipsis in parts:
        at = parts.index(Ellipsis)
        missing = len(x.shape) - (len([item for item in parts if item is not None]) - 1)
        parts[at : at + 1] = [slice(None)] * missing
    if not parts or parts[0] != slice(None):
        raise UntranslatableError("it takes samples out of the batch")
    begin, end, strides = [], [], []
    begin_mask = end_mask = shrink = new = 0
    for bit, item in enumerate(parts):
        if item is None:
            new |= 1 << bit
            item = 0
        elif isinstance(item, int):
            shrink |= 1 << bit
        if isinstance(item, int):
            item = slice(item, item + 1 if item != -1 else None, 1)
        begin.append(item.start or 0)
        end.append(item.stop if item.stop is not None else 0)
        strides.append(item.step or 1)
        begin_mask |= (1 << bit) if item.start is None else 0
        end_mask |= (1 << bit) if item.stop is None else 0
    masks = {"begin_mask": begin_mask, "end_mask": end_mask, "shrink_axis_mask": shrink, "new_axis_mask": new}
    return f(tf.strided_slice, x, begin, end, strides, **masks)


def _split(f: Call, tf: Any, op: Any, x: Any) -> Any:
    sections, axis = op.indices_or_sections, _not_batch(op.axis, x)
    if not isinstance(sections, int):
        size = x.shape[axis]
        bounds = [0, *(int(item) for item in sections), int(size)]
        sections = [high - low for low, high in itertools.pairwise(bounds)]
    return f(tf.split, x, sections, axis=axis)


def _pad(f: Call, tf: Any, op: Any, x: Any, value: Any = None) -> Any:
    widths = [[int(low), int(high)] for low, high in op.pad_width]
    if widths[0] != [0, 0]:
        raise UntranslatableError("it pads the batch axis")
    return f(tf.pad, x, widths, mode=op.mode.upper(), constant_values=0.0 if value is None else float(value))


def _matmul(f: Call, tf: Any, op: Any, x: Any, y: Any) -> Any:
    if not (is_tensor(x) and is_tensor(y)) or len(x.shape) != len(y.shape):
        raise UntranslatableError("it multiplies matrices of different numbers of dimensions, or a constant; use Dense")
    return f(tf.linalg.matmul, x, y)


def _stack(f: Call, tf: Any, op: Any, xs: Any) -> Any:
    if op.axis % (len(xs[0].shape) + 1) == 0:
        raise UntranslatableError("it stacks along the batch axis")
    return f(tf.stack, list(xs), axis=op.axis)


def _where(f: Call, tf: Any, op: Any, condition: Any, x: Any, y: Any) -> Any:
    if not is_tensor(condition) or x is None or y is None:
        raise UntranslatableError("it asks where, which gives as many values as there are")
    return f(tf.where, condition, x, y)


def _take(f: Call, tf: Any, op: Any, x: Any, indices: Any) -> Any:
    if is_tensor(indices) or not is_tensor(x) or op.axis is None:
        raise UntranslatableError("it looks up by a tensor; use an Embedding")
    return f(tf.gather, x, indices, axis=_not_batch(op.axis, x))


def _normalize(f: Call, tf: Any, op: Any, x: Any) -> Any:
    if op.order != 2:
        raise UntranslatableError(f"it normalizes by order {op.order}; only 2 is a function of TensorFlow's")
    return f(tf.math.l2_normalize, x, axis=_not_batch(op.axis, x), epsilon=float(op.epsilon or 1e-12) ** 2)


def _norm(f: Call, tf: Any, op: Any, x: Any) -> Any:
    axes = [op.axis] if isinstance(op.axis, int) else list(op.axis or ())
    if op.ord not in (None, 2, "euclidean") or len(axes) != 1:
        raise UntranslatableError("only euclidean norms of one axis are functions of TensorFlow's")
    return f(tf.norm, x, axis=_not_batch(axes[0], x), keepdims=bool(op.keepdims))


def _tile(f: Call, tf: Any, op: Any, x: Any) -> Any:
    repeats = [int(item) for item in op.repeats]
    if len(repeats) != len(x.shape) or repeats[0] != 1:
        raise UntranslatableError("it repeats the batch axis, or adds one")
    return f(tf.tile, x, repeats)


def _resize(f: Call, tf: Any, op: Any, x: Any) -> Any:
    odd = [name for name in ("antialias", "crop_to_aspect_ratio", "pad_to_aspect_ratio") if getattr(op, name, False)]
    if odd or getattr(op, "data_format", None) == "channels_first" or op.interpolation not in ("bilinear", "nearest"):
        raise UntranslatableError("only plain bilinear and nearest resizing is known")
    return f(tf.image.resize, x, [int(size) for size in op.size], method=op.interpolation)


def _flip(f: Call, tf: Any, op: Any, x: Any) -> Any:
    axes = [op.axis] if isinstance(op.axis, int) else op.axis
    if axes is None:
        raise UntranslatableError("it reverses the batch axis")
    _not_batch(list(axes), x)
    return f(tf.reverse, x, [int(axis) for axis in axes])


def _argmax(path: str) -> Callable[..., Any]:
    def build(f: Call, tf: Any, op: Any, x: Any) -> Any:
        if op.axis is None or getattr(op, "keepdims", False):
            raise UntranslatableError("it searches across the batch, or keeps the axis")
        return f(public_function(tf, path), x, axis=_not_batch(op.axis, x), output_type="int32")

    return build


def _transpose(f: Call, tf: Any, op: Any, x: Any) -> Any:
    if not op.axes or op.axes[0] != 0:
        raise UntranslatableError("it moves the batch axis")
    return f(tf.transpose, x, perm=[int(axis) for axis in op.axes])


_ONE = """
Exp Expm1 Log Log1p Sin Cos Floor Ceil Round Sqrt Rsqrt Square Sign Tanh Erf Negative Softplus Reciprocal Abs LogicalNot
"""
_TWO = """
Add Subtract Multiply Maximum Minimum Greater GreaterEqual Less LessEqual Equal NotEqual LogicalAnd LogicalOr
SquaredDifference
"""
_REDUCTIONS = "Sum Mean Max Min Prod Std Any All"


def _path(name: str, prefix: str = "") -> str:
    """``GreaterEqual`` -> ``math.greater_equal``."""
    return f"math.{prefix}" + re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


# Operator class of Keras 3 -> its rule: (apply a function, tf, the operation, *operands) -> tensor.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: _of_one(_path(name)) for name in _ONE.split()},
    **{name: _of_two(_path(name)) for name in _TWO.split()},
    **{name: _reduction(_path(name, "reduce_")) for name in _REDUCTIONS.split()},
    "Absolute": _of_one("math.abs"),
    "FloorDivide": _of_two("math.floordiv"),
    "Amax": _reduction("math.reduce_max"),
    "Amin": _reduction("math.reduce_min"),
    "Var": _reduction("math.reduce_variance"),
    "Logsumexp": _reduction("math.reduce_logsumexp"),
    "Divide": _divide,
    "TrueDivide": _divide,
    "Power": _power,
    "Clip": _clip,
    "GetItem": _get_item,
    "Split": _split,
    "Pad": _pad,
    "Matmul": _matmul,
    "Stack": _stack,
    "Where": _where,
    "Take": _take,
    "Normalize": _normalize,
    "Norm": _norm,
    "Tile": _tile,
    "Resize": _resize,
    "Flip": _flip,
    "Cast": lambda f, tf, op, x: f(tf.cast, x, dtype=str(op.dtype)),
    "Argmax": _argmax("math.argmax"),
    "Argmin": _argmax("math.argmin"),
    "Gelu": lambda f, tf, op, x: f(tf.nn.gelu, x, approximate=bool(op.approximate)),
    "Transpose": _transpose,
    "LogSoftmax": lambda f, tf, op, x: f(tf.nn.log_softmax, x, axis=op.axis),
    "HardTanh": lambda f, tf, op, x: f(tf.clip_by_value, x, clip_value_min=-1.0, clip_value_max=1.0),
    "LogSigmoid": lambda f, tf, op, x: f(tf.math.log_sigmoid, x),
}
