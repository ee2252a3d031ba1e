"""How the bridge reads a model: one reader for Keras 3, one for tf_keras, with the same methods."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from litetuner.spaces.errors import ModelError
from litetuner.spaces.models.keras_bridge.layers import is_standard, translate
from litetuner.spaces.models.keras_bridge.settings import UntranslatableError
from litetuner.spaces.models.keras_bridge.weights import copy_weights
from litetuner.spaces.models.keras_graph import (
    call_arguments,
    call_outputs,
    functional,
    is_functional,
    is_graph_network,
    maker,
    nodes,
)


def _is_mask(key: str) -> bool:
    return key == "mask" or (key.endswith("_mask") and key not in ("attention_mask", "use_causal_mask"))


class Keras3Reader:
    """Reads a Keras 3 model."""

    def graph(self, model: Any) -> Any:
        import keras

        if isinstance(model, keras.Sequential):
            return functional(model)
        if not self.is_model(model):
            raise ModelError(
                f"model {model.name!r} is not a functional or sequential model, so it has no layers to rebuild."
            )
        return model

    def operations(self, graph: Any) -> list[Any]:
        return list(graph.operations)

    def input_name(self, tensor: Any) -> str:
        return str(maker(tensor).name)

    def nodes(self, graph: Any) -> Iterator[tuple[Any, Any]]:
        import keras

        needed, found = {id(item) for item in graph.outputs}, []
        for node in nodes(graph, latest_first=True):
            if any(id(item) in needed for item in node.outputs):
                found.append(node)
                # Keras 3 records how masks are computed; tf_keras passes them on by itself, as it did there.
                given = {key: value for key, value in node.arguments.kwargs.items() if not _is_mask(key)}
                needed |= {id(item) for item in keras.tree.flatten((node.arguments.args, given))}
        for node in reversed(found):
            yield node, node.operation

    def arguments(self, node: Any, tensors: dict[int, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        args, kwargs = node.arguments.fill_in(tensors)  # None for masks
        # Keras 3 overrules a recorded ``training`` by that of the model's own call.
        return tuple(args), {key: value for key, value in kwargs.items() if key != "training"}

    def outputs(self, node: Any) -> list[Any]:
        return list(node.outputs)

    def is_model(self, operation: Any) -> bool:
        import keras

        return isinstance(operation, keras.Sequential) or is_functional(operation)

    def is_layer(self, operation: Any) -> bool:
        import keras

        return isinstance(operation, keras.layers.Layer)

    def translate(self, layer: Any, name: str, keep: Callable[[Any, Any], None]) -> Callable[..., Any]:
        policy = getattr(layer.dtype_policy, "name", "float32")
        if policy not in ("float32", "mixed_float16", "mixed_bfloat16"):
            raise UntranslatableError(f"it computes in {policy}; save the model with float32 layers")
        return translate(layer, name, keep)

    def copy(self, layer: Any, twin: Any) -> None:
        copy_weights(layer, twin)


class TfKerasReader:
    """Reads a tf_keras model."""

    def graph(self, model: Any) -> Any:
        import tf_keras

        if isinstance(model, tf_keras.Sequential):
            # A functional model over the same layers; they are only read.
            return tf_keras.Model(model.inputs, model.outputs, name=model.name)
        if not self.is_model(model):
            raise ModelError(
                f"model {model.name!r} is not a functional or sequential model, so it has no layers to rebuild."
            )
        return model

    def operations(self, graph: Any) -> list[Any]:
        return list(graph.layers)

    def input_name(self, tensor: Any) -> str:
        return str(tensor.node.layer.name)

    def nodes(self, graph: Any) -> Iterator[tuple[Any, Any]]:
        for node in nodes(graph):
            yield node, node.layer

    def arguments(self, node: Any, tensors: dict[int, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return call_arguments(node, tensors)

    def outputs(self, node: Any) -> list[Any]:
        return call_outputs(node)

    def is_model(self, operation: Any) -> bool:
        import tf_keras

        return isinstance(operation, tf_keras.Sequential) or is_graph_network(operation)

    def is_layer(self, operation: Any) -> bool:
        return True

    def translate(self, layer: Any, name: str, keep: Callable[[Any, Any], None]) -> Callable[..., Any]:
        import tf_keras

        kind = type(layer).__name__
        if kind == "Lambda":
            raise UntranslatableError("it is a Lambda, which is code and not a layer; replace it with standard layers")
        if not is_standard(layer, tf_keras):
            raise UntranslatableError(f"{kind} is not a standard layer, so a checkpoint of it could not be read back")
        twin = type(layer).from_config(layer.get_config() | {"name": name, "trainable": True})
        keep(layer, twin)
        called: Callable[..., Any] = twin
        return called

    def copy(self, layer: Any, twin: Any) -> None:
        twin.set_weights(layer.get_weights())
