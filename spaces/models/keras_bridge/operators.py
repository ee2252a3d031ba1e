"""Activations and operators (``x + 3.0``, ``ops.mean(x, (1, 2))``) as tf_keras layers."""

from collections.abc import Callable
from typing import Any

import numpy as np

from litetuner.spaces.models.keras_bridge.function_rules import FUNCTIONS
from litetuner.spaces.models.keras_bridge.functions import (
    Call,
    Functions,
    UntranslatableError,
    function_layer,
    is_eager,
    is_tensor,
    tf_layers,
)

# Keras 3 name -> tf_keras name of the same function. hard_sigmoid is missing: it is another function in tf_keras.
_NATIVE = "elu exponential gelu linear mish relu selu sigmoid softmax softplus softsign tanh"
NATIVE = {name: name for name in _NATIVE.split()} | {"silu": "swish"}


def activation_name(function: Any) -> str | None:
    """The name of a Keras 3 activation function; ``None`` for the user's own function or a layer."""
    module = str(getattr(function, "__module__", ""))
    return function.__name__ if module.startswith("keras.") and hasattr(function, "__name__") else None


def native_activation(function: Any) -> str | None:
    """The tf_keras name of a Keras 3 activation function; ``None`` if tf_keras does not have it."""
    name = activation_name(function)
    return None if name is None else NATIVE.get(name)


def _hard_sigmoid(name: str) -> Call:
    # relu6(x + 3) / 6 in the form that the TensorFlow Lite converter can fuse.
    shift = tf_layers().Rescaling(1.0, 3.0, name=f"{name}_shift")
    clip = tf_layers().ReLU(6.0, name=f"{name}_clip")
    scale = tf_layers().Rescaling(1.0 / 6.0, name=name)
    return lambda x: scale(clip(shift(x)))


def _hard_silu(name: str) -> Call:
    gate, product = _hard_sigmoid(f"{name}_gate"), tf_layers().Multiply(name=name)
    return lambda x: product([x, gate(x)])


def _function_tail(path: str, **settings: Any) -> Callable[[str], Call]:
    def build(name: str) -> Call:
        layer = function_layer(path, name)
        return lambda x: layer(x, **settings)

    return build


# Activations that are layers in tf_keras, not functions.
TAILS: dict[str, Callable[[str], Call]] = {
    "celu": lambda name: tf_layers().ELU(name=name),
    "hard_tanh": _function_tail("clip_by_value", clip_value_min=-1.0, clip_value_max=1.0),
    "log_sigmoid": _function_tail("math.log_sigmoid"),
    "log_softmax": _function_tail("nn.log_softmax", axis=-1),
    "hard_sigmoid": _hard_sigmoid,
    "hard_silu": _hard_silu,
    "hard_swish": _hard_silu,
    "leaky_relu": lambda name: tf_layers().LeakyReLU(alpha=0.2, name=name),
    "relu6": lambda name: tf_layers().ReLU(6.0, name=name),
}


def operator(node: Any, args: tuple[Any, ...], kwargs: dict[str, Any], name: str) -> Call:
    """Layers for an operator node of Keras 3, called as ``(args, kwargs)``. Raises ``UntranslatableError``."""
    kind = type(node.operation).__name__
    if kind not in ACTIVATIONS and kind not in OPERATORS and kind not in FUNCTIONS:
        raise UntranslatableError(f"the operator {kind} has no counterpart in tf_keras; write it with layers")
    # Prefer a layer: the steps can compress layers, but not functions.
    try:
        if kind in ACTIVATIONS:
            activation = ACTIVATIONS[kind](node.operation, name)
            return lambda args, kwargs: activation(*_tensors(args, kwargs))
        if kind in OPERATORS:
            return OPERATORS[kind](node, (*args, *kwargs.values()), name)
    except UntranslatableError:
        if kind not in FUNCTIONS:
            raise
    return Functions(node.operation, name, FUNCTIONS[kind])


def _tensors(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    flat: list[Any] = []
    for item in (*args, *kwargs.values()):
        flat += item if isinstance(item, (list, tuple)) else [item]
    return [item for item in flat if is_tensor(item)]


def _constant(first: Any, second: Any) -> np.ndarray:
    """The operand that is not a tensor, out of two."""
    return _number(second if is_tensor(first) else first)


def _number(value: Any) -> np.ndarray:
    """A constant operand as float32. Raises ``UntranslatableError`` if it is not a plain number or array."""
    if is_eager(value):
        value = np.asarray(value)
    if isinstance(value, (bool, str)) or not isinstance(value, (int, float, np.number, np.ndarray, list, tuple)):
        raise UntranslatableError(f"it works with a {type(value).__name__}, and only numbers and arrays can be rebuilt")
    return np.asarray(value, dtype=np.float32)


def _on_first(layer: Call) -> Call:
    return lambda args, kwargs: layer(_tensors(args, kwargs)[0])


def _rescaling(scale: Any, offset: Any, name: str) -> Call:
    return _on_first(tf_layers().Rescaling(np.asarray(scale).tolist(), np.asarray(offset).tolist(), name=name))


def _merge(node: Any, layer: Any) -> Call:
    if len({len(tensor.shape) for tensor in node.arguments.keras_tensors}) != 1:
        raise UntranslatableError("its operands have different numbers of dimensions; Reshape them to be equal")
    return lambda args, kwargs: layer(_tensors(args, kwargs))


def _of_two(kind: str, constant: Callable[[Any, Any, str], Call]) -> Callable[..., Call]:
    """A rule for a layer of two tensors.

    ``constant`` makes the layer for a tensor and a constant, from both operands and the name.
    """

    def build(node: Any, operands: tuple[Any, ...], name: str) -> Call:
        first, second = operands[:2]
        if is_tensor(first) and is_tensor(second):
            return _merge(node, getattr(tf_layers(), kind)(name=name))
        return constant(first, second, name)

    return build


def _subtracted(first: Any, second: Any, name: str) -> Call:
    return _rescaling(1.0, -_number(second), name) if is_tensor(first) else _rescaling(-1.0, _number(first), name)


def _compared(first: Any, second: Any, name: str) -> Call:
    raise UntranslatableError("it compares with a constant, which no tf_keras layer does (a ReLU with max_value does)")


def _divide(node: Any, operands: tuple[Any, ...], name: str) -> Call:
    first, second = operands[:2]
    if is_tensor(second) or not is_tensor(first):
        raise UntranslatableError("it divides by a tensor, which no tf_keras layer does")
    return _rescaling(np.float32(1.0) / _number(second), 0.0, name)


def _square(node: Any, operands: tuple[Any, ...], name: str) -> Call:
    layer = tf_layers().Multiply(name=name)
    return _on_first(lambda x: layer([x, x]))


def _reshape(node: Any, operands: tuple[Any, ...], name: str) -> Call:
    """Reshape, squeeze and expand_dims: a reshape to the output shape, with an unchanged batch axis."""
    before, after = node.arguments.keras_tensors[0].shape, node.outputs[0].shape
    if before[0] is not None or after[0] is not None or sum(size is None for size in after[1:]) > 1:
        raise UntranslatableError("it reshapes the batch axis, or to sizes that are not known")
    return _on_first(tf_layers().Reshape(tuple(-1 if size is None else size for size in after[1:]), name=name))


def _slice(node: Any, operands: tuple[Any, ...], name: str) -> Call:
    """``x[:, -1]``, ``x[:, 2:5]`` of (batch, steps, channels): a crop, and a reshape if the axis is removed."""
    before, after = node.arguments.keras_tensors[0].shape, node.outputs[0].shape
    key = operands[1] if isinstance(operands[1], (list, tuple)) else (operands[1],)
    whole = slice(None)
    middle = 2 <= len(key) <= 3 and all(item == whole for item in (key[0], *key[2:]))
    if len(before) != 3 or before[1] is None or not middle:
        raise UntranslatableError("only slices of the middle axis of three are layers")
    wanted = key[1]
    if not isinstance(wanted, (int, slice)) or (isinstance(wanted, slice) and wanted.step not in (None, 1)):
        raise UntranslatableError(f"slicing by {wanted!r} is not a layer")
    kept = range(before[1])[wanted]
    first, last = (kept, kept) if isinstance(kept, int) else (kept.start, kept.stop - 1)
    crop = tf_layers().Cropping1D((first, before[1] - 1 - last), name=name if len(after) == 3 else f"{name}_crop")
    shape = tf_layers().Reshape(tuple(after[1:]), name=name) if len(after) == 2 else None
    return _on_first(lambda x: shape(crop(x)) if shape else crop(x))


def _transpose(node: Any, operands: tuple[Any, ...], name: str) -> Call:
    axes = node.operation.axes
    if not axes or axes[0] != 0:
        raise UntranslatableError("it moves the batch axis")
    return _on_first(tf_layers().Permute(tuple(axes[1:]), name=name))


def _pool(kind: str) -> Callable[..., Call]:
    def build(node: Any, operands: tuple[Any, ...], name: str) -> Call:
        rank = len(node.arguments.keras_tensors[0].shape)
        axis = node.operation.axis
        axes = sorted(item % rank for item in ([axis] if isinstance(axis, int) else axis or range(rank)))
        if rank not in (3, 4, 5) or axes != list(range(1, rank - 1)):
            raise UntranslatableError(
                f"it reduces axes {axes} of {rank}; only reductions over all axes between batch and channels are layers"
            )
        layer = getattr(tf_layers(), f"Global{kind}Pooling{rank - 2}D")
        return _on_first(layer(keepdims=bool(node.operation.keepdims), name=name))

    return build


OPERATORS: dict[str, Callable[[Any, tuple[Any, ...], str], Call]] = {
    "Add": _of_two("Add", lambda first, second, name: _rescaling(1.0, _constant(first, second), name)),
    "Subtract": _of_two("Subtract", _subtracted),
    "Multiply": _of_two("Multiply", lambda first, second, name: _rescaling(_constant(first, second), 0.0, name)),
    "Divide": _divide,
    "TrueDivide": _divide,
    "Negative": lambda node, operands, name: _rescaling(-1.0, 0.0, name),
    "Square": _square,
    "Maximum": _of_two("Maximum", _compared),
    "Minimum": _of_two("Minimum", _compared),
    "Concatenate": lambda node, operands, name: _merge(
        node, tf_layers().Concatenate(axis=node.operation.axis, name=name)
    ),
    "Reshape": _reshape,
    "Squeeze": _reshape,
    "ExpandDims": _reshape,
    "Transpose": _transpose,
    "GetItem": _slice,
    "Mean": _pool("Average"),
    "Max": _pool("Max"),
}


def _function(name_of_function: str) -> Callable[[Any, str], Call]:
    def build(operation: Any, name: str) -> Call:
        if getattr(operation, "approximate", False):
            raise UntranslatableError("it is the approximate gelu; use gelu(approximate=False)")
        return tf_layers().Activation(name_of_function, name=name)

    return build


def _tail(name_of_function: str) -> Callable[[Any, str], Call]:
    return lambda operation, name: TAILS[name_of_function](name)


# Operators of one tensor: class name -> function (operation, name) that creates the layer.
ACTIVATIONS: dict[str, Callable[[Any, str], Call]] = {
    "Relu": lambda operation, name: tf_layers().ReLU(name=name),
    "Relu6": _tail("relu6"),
    "HardSigmoid": _tail("hard_sigmoid"),
    "HardSilu": _tail("hard_silu"),
    "LeakyRelu": lambda operation, name: tf_layers().LeakyReLU(alpha=operation.negative_slope, name=name),
    "Elu": lambda operation, name: tf_layers().ELU(alpha=operation.alpha, name=name),
    "Softmax": lambda operation, name: tf_layers().Softmax(axis=operation.axis, name=name),
    "Sigmoid": _function("sigmoid"),
    "Silu": _function("swish"),
    "Gelu": _function("gelu"),
    "Tanh": _function("tanh"),
    "Softplus": _function("softplus"),
    "Selu": _function("selu"),
    "Exp": _function("exponential"),
}
