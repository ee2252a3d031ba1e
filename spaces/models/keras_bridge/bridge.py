"""The bridge: rebuilds a Keras 3 model in tf_keras, layer by layer, because tfmot accepts only tf_keras models.

Every layer is created again from its settings and gets its weights. Nested models are unrolled into one flat graph
(tfmot fails on nested ones), and a Sequential model becomes a functional one. All layers are trainable (a frozen
backbone could not recover from pruning). The copy is used only if its outputs on real data equal those of the user's
model.
"""

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from litetuner.spaces.data.named_arrays import parts
from litetuner.spaces.errors import ModelError, keras_error_text
from litetuner.spaces.models.keras_bridge.functions import UntranslatableError
from litetuner.spaces.models.keras_bridge.operators import operator
from litetuner.spaces.models.keras_bridge.readers import Keras3Reader, TfKerasReader, is_model
from litetuner.spaces.models.keras_graph import call_outputs, layer_of, maker
from litetuner.spaces.models.loading.traced import TracedModel
from litetuner.spaces.models.signature import call, cast, input_tensors
from litetuner.spaces.tf import load

TOLERANCE = 1e-5  # largest output difference: absolute for outputs up to 1, else relative to the largest output
BATCH = 64


def bridge(model: Any, sample_x: np.ndarray) -> tuple[Any, float]:
    """A flat functional tf_keras copy of a Keras 3 (or tf_keras) model, and the largest difference of their outputs.

    ``sample_x`` (n, *sample) is real data with n >= 1, a structured array if the model has several inputs. Raises
    ``ModelError`` that names the layer and the reason: a custom layer without a twin, a Lambda, an operator that
    tf_keras does not have, or outputs that differ by more than ``TOLERANCE``.
    """
    if len(sample_x) == 0:
        raise ValueError("bridge needs at least one sample to compare the two models on")
    load()
    import tf_keras

    if isinstance(model, TracedModel):
        raise ModelError(f"model {model.name!r} cannot be trained: {model.why}.")
    reader = TfKerasReader() if isinstance(model, tf_keras.Model) else Keras3Reader()
    rebuilt = _Rebuild(model, reader).run()
    inputs = input_tensors(model)
    difference, scale = 0.0, 1.0
    for start in range(0, len(sample_x), BATCH):
        batch = parts(np.asarray(sample_x[start : start + BATCH]))
        given = [cast(part, tensor) for part, tensor in zip(batch, inputs, strict=True)]
        for ours, theirs in zip(_outputs(rebuilt, given), _outputs(model, given), strict=True):
            apart = float(np.max(np.abs(ours - theirs))) if np.isfinite(theirs).all() else float("nan")
            difference, scale = max(difference, apart), max(scale, float(np.max(np.abs(theirs))))
            if not apart <= TOLERANCE * scale:  # also true if the user's model gives NaN
                raise ModelError(
                    f"model {model.name!r}: its copy in tf_keras gives other outputs (largest difference {apart:.3g}, "
                    f"allowed {TOLERANCE * scale:.3g}), so it cannot be trained. Post-training quantization still works."
                )
    return rebuilt, difference


def _outputs(model: Any, given: list[Any]) -> list[np.ndarray]:
    try:
        return [np.asarray(output, np.float64) for output in call(model, given)]
    except Exception as error:  # kernels may raise any exception
        raise ModelError(f"model {model.name!r} fails when it is called on data: {keras_error_text(error)}") from error


def clone(model: Any) -> Any:
    """A copy of a tf_keras model with equal weights and new layer objects (tfmot wrappers would share the old ones)."""
    load()
    import tf_keras

    copy = tf_keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


class _Rebuild:
    """State of one rebuild: used names, and the new layer of each operation (a shared layer is created once)."""

    def __init__(self, model: Any, reader: Keras3Reader | TfKerasReader) -> None:
        self.model = model
        self.reader = reader
        self.made: dict[int, Callable[..., Any]] = {}
        self.pairs: list[tuple[Any, Any]] = []
        if not is_model(model):
            raise ModelError(
                f"model {model.name!r} is not a functional or sequential model, so it has no layers to rebuild."
            )
        self.graph = reader.graph(model)
        # The outermost layers keep their names, even if a nested model uses the same names.
        self.reserved = {item.name for item in reader.operations(self.graph)}
        self.names: set[str] = set()

    def run(self) -> Any:
        import tf_keras

        inputs = [
            tf_keras.Input(tuple(item.shape[1:]), dtype=item.dtype, name=self._name(str(maker(item).name), None))
            for item in self.graph.inputs
        ]
        outputs = self._walk(self.graph, inputs, None)
        first = (inputs[0], outputs[0]) if len(inputs) == len(outputs) == 1 else (inputs, outputs)
        rebuilt = tf_keras.Model(*first, name=_scope(self.model.name))
        for layer, twin in self.pairs:
            self.reader.copy(layer, twin)
        return rebuilt

    def _walk(self, graph: Any, inputs: list[Any], inside: str | None) -> list[Any]:
        """Pass tf_keras tensors through the nodes of a graph; ``inside`` is the name of the nested model."""
        tensors = {id(key): value for key, value in zip(graph.inputs, inputs, strict=True)}
        for node in self.reader.nodes(graph):
            operation = layer_of(node)
            args, kwargs = self.reader.arguments(node, tensors)
            # training=False has no effect on inference, and would keep this part frozen in the copy.
            kwargs = {
                key: value for key, value in kwargs.items() if value is not None and (key, value) != ("training", False)
            }
            if "training" in kwargs:
                raise self._refusal(operation, "it is called with training=True, so it would train while it predicts")
            found = self._call(node, args, kwargs, inside)
            flat = found if isinstance(found, (list, tuple)) else [found]
            tensors |= {id(key): value for key, value in zip(call_outputs(node), flat, strict=True)}
        return [tensors[id(key)] for key in graph.outputs]

    def _call(self, node: Any, args: tuple[Any, ...], kwargs: dict[str, Any], inside: str | None) -> Any:
        import keras
        import tf_keras

        operation = layer_of(node)
        if is_model(operation):
            if kwargs:
                raise self._refusal(operation, f"the nested model is called with {', '.join(kwargs)}")
            given = args[0] if isinstance(args[0], (list, tuple)) else args
            return self._walk(self.reader.graph(operation), list(given), operation.name)
        try:
            if isinstance(operation, (keras.layers.Layer, tf_keras.layers.Layer)):
                if id(operation) not in self.made:
                    name = self._name(operation.name, inside)
                    self.made[id(operation)] = self.reader.translate(
                        operation, name, lambda *pair: self.pairs.append(pair)
                    )
                return self.made[id(operation)](*args, **kwargs)
            if id(node) not in self.made:
                self.made[id(node)] = operator(node, args, kwargs, self._name(operation.name, inside))
            return self.made[id(node)](args, kwargs)
        except UntranslatableError as error:
            raise self._refusal(operation, str(error)) from error
        except (ValueError, TypeError, NotImplementedError, AttributeError) as error:  # from settings and shapes
            raise self._refusal(operation, f"tf_keras rejects it: {keras_error_text(error).rstrip('.')}") from error

    def _refusal(self, operation: Any, why: str) -> ModelError:
        return ModelError(
            f"layer {operation.name!r} ({type(operation).__name__}) cannot be rebuilt for training: {why}. "
            "Post-training quantization still works."
        )

    def _name(self, wanted: str, inside: str | None) -> str:
        """The layer's own name. In a nested model it gets the prefix of that model's name if it is in use already."""
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
    """The name as a TensorFlow scope, which allows fewer characters than Keras 3."""
    name = re.sub(r"[^A-Za-z0-9_.\-]", "_", wanted)
    return name if re.match(r"[A-Za-z0-9.]", name) else f"layer{name}"
