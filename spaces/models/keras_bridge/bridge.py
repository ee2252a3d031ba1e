"""The bridge: a Keras 3 model rebuilt in tf_keras, layer by layer, because tfmot takes nothing else.

Every layer is made anew from its settings and given its weights; nested models are unrolled into one flat graph (tfmot
fails on nested ones), a Sequential model becomes a functional one, and all layers are trainable (a frozen backbone could
not recover from pruning). The copy counts only after its outputs were compared with the original's on real data.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from litetuner.spaces.errors import ModelError, told_by_keras
from litetuner.spaces.models.keras_bridge.functions import NoLayerError
from litetuner.spaces.models.keras_bridge.layers import UntranslatableError, copy_weights, is_standard, translate
from litetuner.spaces.models.keras_bridge.operators import operator
from litetuner.spaces.models.signature import call, cast, input_ports
from litetuner.spaces.models.traced import TracedModel
from litetuner.spaces.named_arrays import parts
from litetuner.spaces.tf import load

TOLERANCE = 1e-5  # largest difference of outputs, absolute for outputs up to 1 and relative to the largest output above
BATCH = 64


def bridge(model: Any, sample_x: np.ndarray) -> tuple[Any, float]:
    """A flat functional tf_keras copy of a Keras 3 (or tf_keras) model, and the largest difference of their outputs.

    ``sample_x`` (n, *sample) is real data, n >= 1, a structured array where the model has several inputs. Raises
    ``ModelError`` that names the layer and the reason: a custom layer without a twin, a Lambda, an operator that tf_keras
    does not have, or outputs that differ by more than ``TOLERANCE``.
    """
    if len(sample_x) == 0:
        raise ValueError("bridge needs at least one sample to compare the two models on")
    load()
    import tf_keras

    if isinstance(model, TracedModel):
        raise ModelError(f"model {model.name!r} cannot be trained: {model.why}.")
    dialect = _TfKeras() if isinstance(model, tf_keras.Model) else _Keras3()
    rebuilt = _Rebuild(model, dialect).run()
    ports = input_ports(model)
    difference, scale = 0.0, 1.0
    for start in range(0, len(sample_x), BATCH):
        batch = parts(np.asarray(sample_x[start : start + BATCH]))
        given = [cast(part, port) for part, port in zip(batch, ports, strict=True)]
        for ours, theirs in zip(_outputs(rebuilt, given), _outputs(model, given), strict=True):
            apart = float(np.max(np.abs(ours - theirs))) if np.isfinite(theirs).all() else float("nan")
            difference, scale = max(difference, apart), max(scale, float(np.max(np.abs(theirs))))
            if not apart <= TOLERANCE * scale:  # also where the original gives NaN
                raise ModelError(
                    f"model {model.name!r}: its copy in tf_keras gives other outputs (largest difference {apart:.3g}, "
                    f"allowed {TOLERANCE * scale:.3g}), so it cannot be trained. Post-training quantization still works."
                )
    return rebuilt, difference


def _outputs(model: Any, given: list[Any]) -> list[np.ndarray]:
    try:
        return [np.asarray(output, np.float64) for output in call(model, given)]
    except Exception as error:  # kernels raise what they like
        raise ModelError(f"model {model.name!r} fails when it is called on data: {told_by_keras(error)}") from error


def clone(model: Any) -> Any:
    """A copy of a tf_keras model with equal weights that shares no layer object with it (tfmot wrappers would share them)."""
    load()
    import tf_keras

    copy = tf_keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


class _Rebuild:
    """One rebuilding: which names are taken, and which operation has become what (a shared layer is made once)."""

    def __init__(self, model: Any, dialect: _Keras3 | _TfKeras) -> None:
        self.model = model
        self.dialect = dialect
        self.made: dict[int, Callable[..., Any]] = {}
        self.pairs: list[tuple[Any, Any]] = []
        self.graph = dialect.graph(model)
        # The outermost layers keep their names whatever a nested model calls its own.
        self.reserved = {item.name for item in dialect.operations(self.graph)}
        self.names: set[str] = set()

    def run(self) -> Any:
        import tf_keras

        inputs = [
            tf_keras.Input(
                tuple(item.shape[1:]), dtype=item.dtype, name=self._name(self.dialect.input_name(item), None)
            )
            for item in self.graph.inputs
        ]
        outputs = self._walk(self.graph, inputs, None)
        first = (inputs[0], outputs[0]) if len(inputs) == len(outputs) == 1 else (inputs, outputs)
        rebuilt = tf_keras.Model(*first, name=_scope(self.model.name))
        for layer, twin in self.pairs:
            self.dialect.copy(layer, twin)
        return rebuilt

    def _walk(self, graph: Any, inputs: list[Any], inside: str | None) -> list[Any]:
        """Send tf_keras tensors through the nodes of a graph; ``inside`` is the nested model's name."""
        tensors = {id(key): value for key, value in zip(graph.inputs, inputs, strict=True)}
        for node, operation in self.dialect.nodes(graph):
            args, kwargs = self.dialect.arguments(node, tensors)
            # A frozen part (training=False) means nothing to a model that predicts, and would stay frozen in the copy.
            kwargs = {
                key: value for key, value in kwargs.items() if value is not None and (key, value) != ("training", False)
            }
            if "training" in kwargs:
                raise self._refusal(operation, "it is called with training=True, so it would train while it predicts")
            found = self._call(node, operation, args, kwargs, inside)
            flat = list(found) if isinstance(found, (list, tuple)) else [found]
            for key, value in zip(self.dialect.outputs(node), flat, strict=True):
                tensors[id(key)] = value
        return [tensors[id(key)] for key in graph.outputs]

    def _call(
        self, node: Any, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any], inside: str | None
    ) -> Any:
        if self.dialect.is_model(operation):
            if kwargs:
                raise self._refusal(operation, f"the nested model is called with {', '.join(kwargs)}")
            inner = self.dialect.graph(operation)
            given = args[0] if isinstance(args[0], (list, tuple)) else args
            found = self._walk(inner, list(given), operation.name)
            return found
        try:
            if self.dialect.is_layer(operation):
                if id(operation) not in self.made:
                    twin = self.dialect.translate(operation, self._name(operation.name, inside), self._keep)
                    self.made[id(operation)] = twin
                return self.made[id(operation)](*args, **kwargs)
            if id(node) not in self.made:
                self.made[id(node)] = operator(node, args, kwargs, self._name(operation.name, inside))
            return self.made[id(node)](args, kwargs)
        except (UntranslatableError, NoLayerError) as error:
            raise self._refusal(operation, str(error)) from error
        except (
            ValueError,
            TypeError,
            NotImplementedError,
            AttributeError,
        ) as error:  # what tf_keras says of settings and shapes
            raise self._refusal(operation, f"tf_keras refuses it: {told_by_keras(error).rstrip('.')}") from error

    def _keep(self, layer: Any, twin: Any) -> None:
        self.pairs.append((layer, twin))

    def _refusal(self, operation: Any, why: str) -> ModelError:
        return ModelError(
            f"layer {operation.name!r} ({type(operation).__name__}) cannot be rebuilt for training: {why}. "
            "Post-training quantization still works."
        )

    def _name(self, wanted: str, inside: str | None) -> str:
        """The layer's own name; in a nested model behind that model's name where the plain one is taken."""
        name = _scope(wanted)
        taken = self.names | (self.reserved if inside is not None else set())
        if name in taken and inside is not None:
            name = f"{inside}_{name}"
        number, base = 1, name
        while name in taken:
            name, number = f"{base}_{number}", number + 1
        self.names.add(name)
        return name


def _scope(wanted: str) -> str:
    """A name as a scope of TensorFlow, which may hold fewer characters than Keras 3 allows."""
    name = re.sub(r"[^A-Za-z0-9_.\-]", "_", wanted)
    return name if re.match(r"[A-Za-z0-9.]", name) else f"layer{name}"


def _is_mask(key: str) -> bool:
    return key == "mask" or (key.endswith("_mask") and key not in ("attention_mask", "use_causal_mask"))


class _Keras3:
    """How a Keras 3 model is read."""

    def graph(self, model: Any) -> Any:
        import keras

        if isinstance(model, keras.Sequential):
            return model._functional  # the graph that a built Sequential keeps
        if not self.is_model(model):
            raise ModelError(
                f"model {model.name!r} is no functional or sequential model, so it has no layers to rebuild."
            )
        return model

    def operations(self, graph: Any) -> list[Any]:
        return list(graph.operations)

    def input_name(self, tensor: Any) -> str:
        return str(tensor._keras_history.operation.name)

    def nodes(self, graph: Any) -> Iterator[tuple[Any, Any]]:
        import keras

        needed, found = {id(item) for item in graph.outputs}, []
        for depth in sorted(graph._nodes_by_depth):
            for node in reversed(graph._nodes_by_depth[depth]):
                if not node.is_input and any(id(item) in needed for item in node.outputs):
                    found.append(node)
                    # Keras 3 writes down how masks are computed; tf_keras hands them on by itself, as it did there.
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
        from keras.src.models.functional import Functional

        return isinstance(operation, (keras.Sequential, Functional))

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


class _TfKeras:
    """How a tf_keras model is read."""

    def graph(self, model: Any) -> Any:
        import tf_keras

        if isinstance(model, tf_keras.Sequential):
            # A functional model over the same layers; they are only read.
            return tf_keras.Model(model.inputs, model.outputs, name=model.name)
        if not self.is_model(model):
            raise ModelError(
                f"model {model.name!r} is no functional or sequential model, so it has no layers to rebuild."
            )
        return model

    def operations(self, graph: Any) -> list[Any]:
        return list(graph.layers)

    def input_name(self, tensor: Any) -> str:
        return str(tensor.node.layer.name)

    def nodes(self, graph: Any) -> Iterator[tuple[Any, Any]]:
        for depth in sorted(graph._nodes_by_depth, reverse=True):
            for node in graph._nodes_by_depth[depth]:
                if not node.is_input:
                    yield node, node.layer

    def arguments(self, node: Any, tensors: dict[int, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        # map_arguments takes one copy of a tensor from its list for every use.
        supply = {str(id(item)): [tensors[id(item)]] * len(node.keras_inputs) for item in node.keras_inputs}
        args, kwargs = node.map_arguments(supply)
        return tuple(args), dict(kwargs)

    def outputs(self, node: Any) -> list[Any]:
        return list(load().nest.flatten(node.outputs))

    def is_model(self, operation: Any) -> bool:
        import tf_keras

        return isinstance(operation, tf_keras.Sequential) or bool(getattr(operation, "_is_graph_network", False))

    def is_layer(self, operation: Any) -> bool:
        return True

    def translate(self, layer: Any, name: str, keep: Callable[[Any, Any], None]) -> Callable[..., Any]:
        import tf_keras

        kind = type(layer).__name__
        if kind == "Lambda":
            raise UntranslatableError("it is a Lambda, which is code and not a layer; replace it by standard layers")
        if not is_standard(layer, tf_keras):
            raise UntranslatableError(f"{kind} is no standard layer, so no checkpoint of it could be read back")
        twin = type(layer).from_config(layer.get_config() | {"name": name, "trainable": True})
        keep(layer, twin)
        called: Callable[..., Any] = twin
        return called

    def copy(self, layer: Any, twin: Any) -> None:
        twin.set_weights(layer.get_weights())
