"""``keras.ops`` functions without a layer, as tf_keras layers around TensorFlow functions (``TFOpLambda``).

Such a layer stores only the name of a public TensorFlow function, so its checkpoint can be read without running code.
"""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from litetuner.spaces.models.keras_graph import function_layer_class
from litetuner.spaces.tf import load

Call = Callable[..., Any]


class UntranslatableError(Exception):
    """Why a layer or an operator cannot be rebuilt. ``bridge`` turns it into a ``ModelError`` with the layer's name."""


class Functions:
    """The layers of one operator, created at its first call and reused later (a nested model may be called twice)."""

    def __init__(self, operation: Any, name: str, build: Callable[..., Any]) -> None:
        self.operation, self.name, self.build = operation, name, build
        self.layers: list[Any] = []
        self.used = 0

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        bound = inspect.signature(self.operation.call).bind(*args, **kwargs)
        bound.apply_defaults()
        self.used = 0
        operands = (*bound.args, *bound.kwargs.values())
        return self.build(self.apply, load(), self.operation, *(plain(value) for value in operands))

    def apply(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a TensorFlow function as a layer."""
        if self.used == len(self.layers):
            name = self.name if self.used == 0 else f"{self.name}_{self.used}"
            self.layers.append(_layer(function, name))
        layer = self.layers[self.used]
        self.used += 1
        return layer(*args, **kwargs)


def tf_layers() -> Any:
    """The module ``tf_keras.layers``."""
    import tf_keras

    return tf_keras.layers


def function_layer(path: str, name: str) -> Any:
    """A layer that calls the TensorFlow function with this public name, such as ``nn.log_softmax``."""
    return _layer(public_function(load(), path), name)


def _layer(function: Any, name: str) -> Any:
    return function_layer_class()(function, name=name)


def plain(value: Any) -> Any:
    """Constants as JSON values, so that the layer's call can be stored; tensors of the model are returned unchanged."""
    if is_eager(value) or isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        return (array.astype(np.float32) if array.dtype == np.float64 else array).tolist()
    return value


def is_eager(value: Any) -> bool:
    """True for a constant computed while the model was built, such as the embeddings of fixed positions."""
    return type(value).__name__ == "EagerTensor"


def public_function(tf: Any, path: str) -> Any:
    """The TensorFlow function with a public name, such as ``math.add``."""
    found = tf
    for part in path.split("."):
        found = getattr(found, part)
    return found


def is_tensor(value: Any) -> bool:
    """True for a tensor of the model, false for a constant."""
    return type(value).__name__ == "KerasTensor"
