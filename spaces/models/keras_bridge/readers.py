"""How the bridge reads a model: one reader for Keras 3 and one for tf_keras, with the same methods."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from litetuner.spaces.errors import ModelError
from litetuner.spaces.models.keras_bridge.functions import UntranslatableError
from litetuner.spaces.models.keras_bridge.layers import SAME, SPECIAL, is_standard, translate
from litetuner.spaces.models.keras_graph import call_arguments, functional, is_functional, is_graph_network, nodes


def _is_mask(key: str) -> bool:
    return key == "mask" or (key.endswith("_mask") and key not in ("attention_mask", "use_causal_mask"))


def is_model(operation: Any) -> bool:
    """True for a functional or sequential model of either library."""
    import keras
    import tf_keras

    sequential = isinstance(operation, (keras.Sequential, tf_keras.Sequential))
    return sequential or is_functional(operation) or is_graph_network(operation)


class Keras3Reader:
    """Reads a Keras 3 model."""

    def graph(self, model: Any) -> Any:
        return functional(model)

    def operations(self, graph: Any) -> list[Any]:
        return list(graph.operations)

    def nodes(self, graph: Any) -> Iterator[Any]:
        import keras

        needed, found = {id(item) for item in graph.outputs}, []
        for node in nodes(graph, latest_first=True):
            if any(id(item) in needed for item in node.outputs):
                found.append(node)
                # Keras 3 records how masks are computed. They are dropped, because tf_keras passes masks on itself.
                given = {key: value for key, value in node.arguments.kwargs.items() if not _is_mask(key)}
                needed |= {id(item) for item in keras.tree.flatten((node.arguments.args, given))}
        return reversed(found)

    def arguments(self, node: Any, tensors: dict[int, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        args, kwargs = node.arguments.fill_in(tensors)  # masks become None
        # In Keras 3 the ``training`` of the model's call overrides a recorded one.
        return tuple(args), {key: value for key, value in kwargs.items() if key != "training"}

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

        if isinstance(model, tf_keras.Sequential):  # a functional model with the same layers, which are only read
            return tf_keras.Model(model.inputs, model.outputs, name=model.name)
        return model

    def operations(self, graph: Any) -> list[Any]:
        return list(graph.layers)

    def nodes(self, graph: Any) -> Iterator[Any]:
        return nodes(graph)

    def arguments(self, node: Any, tensors: dict[int, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return call_arguments(node, tensors)

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


def copy_weights(layer: Any, twin: Any) -> None:
    """Copy the weights of the Keras 3 ``layer`` to ``twin``. Raises ``ModelError`` if they do not match."""
    kind = type(layer).__name__
    alias = {"depthwise_kernel": "kernel"} if kind.startswith("DepthwiseConv") else {}
    # Both libraries list trainable weights first, in order of creation. That is not guaranteed, so names and shapes are
    # compared.
    given = {weight.path.rpartition("/")[2]: weight for weight in layer.weights}
    if getattr(layer, "lora_enabled", False):  # the effective kernel includes the product of the LoRA matrices
        given = {key: value for key, value in given.items() if not key.startswith("lora_")}
        given = {key: getattr(layer, key) if key in ("kernel", "embeddings") else value for key, value in given.items()}
    elif len(given) != len(layer.weights):  # a layer with inner layers may have several weights of one name
        given = {weight.path: weight for weight in layer.weights}
    theirs = [(key.rpartition("/")[2], tuple(weight.shape)) for key, weight in given.items()]
    names = [weight.name.rpartition("/")[2].partition(":")[0] for weight in twin.weights]
    ours = [(alias.get(name, name), tuple(weight.shape)) for name, weight in zip(names, twin.weights, strict=True)]
    if kind not in SAME and kind not in SPECIAL:  # the user's twin may use other names for its weights
        theirs, ours = ([shape for _, shape in side] for side in (theirs, ours))
    if theirs != ours:
        raise ModelError(
            f"layer {layer.name!r} ({kind}) has weights {theirs} in Keras 3 and {ours} in tf_keras; they cannot be copied."
        )
    twin.set_weights([np.asarray(weight) for weight in given.values()])
