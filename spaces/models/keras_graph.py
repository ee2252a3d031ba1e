"""The graph of a Keras 3 or tf_keras model: its calls in order, and the layers that produce its tensors.

Neither library has a public interface for this. All private attributes of Keras and tf_keras are used only in this
module; ``tests/spaces/models/test_keras_graph.py`` checks that each of them still exists.
"""

import collections
from collections.abc import Iterator, Mapping
from typing import Any

from litetuner.spaces.tf import load


def functional(model: Any) -> Any:
    """The functional model with the nodes: the one inside a built Keras 3 Sequential, else the model itself."""
    return getattr(model, "_functional", model)


def is_functional(model: Any) -> bool:
    """True for a functional Keras 3 model (not a Sequential)."""
    from keras.src.models.functional import Functional

    return isinstance(model, Functional)


def is_graph_network(model: Any) -> bool:
    """True for a functional or built sequential tf_keras model."""
    return bool(getattr(model, "_is_graph_network", False))


def has_graph(model: Any) -> bool:
    """True if a model of either library has nodes (a functional model, or a built sequential one)."""
    import tf_keras

    if isinstance(model, tf_keras.Model):
        return is_graph_network(model)
    return is_functional(functional(model))


def nodes(model: Any, *, latest_first: bool = False) -> Iterator[Any]:
    """The layer calls of a functional model in dependency order; reversed with ``latest_first``."""
    by_depth = model._nodes_by_depth
    for depth in sorted(by_depth, reverse=not latest_first):
        for node in reversed(by_depth[depth]) if latest_first else by_depth[depth]:
            if not node.is_input:
                yield node


def calls_of(layer: Any) -> list[Any]:
    """The nodes of all calls of a layer."""
    return list(layer._inbound_nodes)


def layer_of(node: Any) -> Any:
    """The layer (in Keras 3 possibly an operator) that a node calls."""
    return node.operation if hasattr(node, "operation") else node.layer


def maker(tensor: Any) -> Any:
    """The layer or operator that produces a tensor."""
    history = tensor._keras_history
    return history.operation if hasattr(history, "operation") else history.layer


def last_layer(model: Any, output: int = 0) -> Any:
    """The layer or operator that produces an output, also inside nested models (there of the first output)."""
    return _innermost(maker(functional(model).outputs[output]))


def layer_before(layer: Any) -> Any | None:
    """The layer that produces the first input of a layer's first call; ``None`` for an input layer."""
    parents = calls_of(layer)[0].parent_nodes
    return _innermost(layer_of(parents[0])) if parents else None


def _innermost(layer: Any) -> Any:
    return last_layer(layer) if hasattr(layer, "layers") and hasattr(layer, "outputs") else layer


def first_input(node: Any) -> Any:
    """The first input tensor of a call."""
    return _first(node.keras_inputs if hasattr(node, "keras_inputs") else node.input_tensors)


def first_output(node: Any) -> Any:
    """The first output tensor of a call."""
    return _first(node.outputs)


def _first(tensors: Any) -> Any:
    return tensors[0] if isinstance(tensors, list | tuple) else tensors


def call_arguments(node: Any, values: Mapping[int, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a tf_keras call; ``values`` (by ``id`` of the tensor) replace its input tensors."""
    # map_arguments pops one entry from the list of a tensor for every use.
    given = {str(id(item)): [values[id(item)]] * len(node.keras_inputs) for item in node.keras_inputs}
    args, kwargs = node.map_arguments(given)
    return tuple(args), dict(kwargs)


def call_outputs(node: Any) -> list[Any]:
    """The output tensors of a tf_keras call, in order."""
    return list(load().nest.flatten(node.outputs))


def all_layers(model: Any) -> list[Any]:
    """All layers of a model of either library, also of nested models and wrappers, without the model itself."""
    return list(model._flatten_layers(include_self=False, recursive=True))


def reset_layer_names() -> None:
    """Restart the numbering of unnamed layers (dense, dense_1 and so on), so that it is the same in every process."""
    import tf_keras
    from keras.src.backend.common import global_state

    tf_keras.backend.reset_uids()
    global_state.set_global_attribute("object_name_uids", collections.defaultdict(int))


def is_operator_class(name: str) -> bool:
    """True for the name of a Keras 3 operator class, such as ``GetItem``."""
    from keras.src.ops import core, image, linalg, math, nn, numpy

    return any(hasattr(module, name) for module in (core, image, linalg, math, nn, numpy))


def function_layer_class() -> Any:
    """The tf_keras layer class for TensorFlow functions."""
    from tf_keras.src.layers.core.tf_op_layer import TFOpLambda

    return TFOpLambda
