"""The techniques that each layer of the user's model allows, according to tfmot and the quantizer."""

import math
from collections.abc import Iterator
from typing import Any

from litetuner.spaces.errors import BuildFailed, ModelError
from litetuner.spaces.info import LayerInfo, ModelInfo
from litetuner.spaces.models.folding import foldable
from litetuner.spaces.models.keras_graph import calls_of, first_output, last_layer, layer_before
from litetuner.spaces.models.loading.load import LoadedModel
from litetuner.spaces.models.loading.traced import TracedModel
from litetuner.spaces.models.macs import layer_macs
from litetuner.spaces.models.signature import input_tensors, output_tensors
from litetuner.spaces.models.tflite_layers import last_activation, layer_info, with_names
from litetuner.spaces.quantization.int4 import int4_operators
from litetuner.spaces.steps import STEPS, layer_techniques
from litetuner.spaces.tf import load
from litetuner.spaces.tflite.conversion import convert
from litetuner.spaces.tflite.weight_operators import OPERATORS_OF_LAYER
from litetuner.spaces.training.pruning.sparsity import described_kernel, sparse_latency

WRAPPERS = ("Bidirectional", "TimeDistributed")
# Layers that are skipped in the search for the last activation before an output.
TRANSPARENT = ("Dropout", "Flatten", "Reshape", "Identity", "Permute")
LIKE_ACTIVATIONS = {"Softmax": "softmax", "Sigmoid": "sigmoid", "ReLU": "relu", "Relu": "relu", "Tanh": "tanh"}


def model_info(loaded: LoadedModel, bridged: Any | None, refusal: str | None, difference: float | None) -> ModelInfo:
    """The model as the search sees it, with the layers of ``bridged`` (its tf_keras copy) or else of the user's model.

    ``refusal`` is the bridge's reason for ``bridged=None``. Both are ``None`` before the bridge was tried.
    """
    load()
    model = loaded.model if bridged is None else bridged
    layers = [layer for layer in _layers(model) if type(layer).__name__ != "InputLayer"]
    trained = bridged if refusal is None else None
    groups = {} if trained is None else channel_groups(trained)
    if trained is None:
        why = "the model was not rebuilt for training" if refusal is None else f"the model cannot be trained: {refusal}"
        refused = {name: dict.fromkeys((layer.name for layer in layers), why) for name in layer_techniques()}
    else:
        refused = {name: STEPS[name].layer_refusals(trained) for name in layer_techniques()}
    facts = []
    for layer in layers:
        refusals = {name: found[layer.name] for name, found in refused.items() if layer.name in found}
        facts.append(_layer_info(layer, refusals, groups.get(layer.name, (None, None))))
    kernels = [described_kernel(layer) for layer, fact in zip(layers, facts, strict=True) if fact.has_kernel]
    inputs, outputs = input_tensors(loaded.model), output_tensors(loaded.model)
    file = _operators_file(loaded.model)
    return ModelInfo(
        name=loaded.name,
        sha256=loaded.sha256,
        source=loaded.kind,
        input_shape=inputs[0].shape,
        input_dtype=inputs[0].dtype,
        output_shape=outputs[0].shape,
        parameters=int(loaded.model.count_params()),
        layers=tuple(facts) if file is None else layer_info(file, refusal or loaded.model.why),
        output_activation=output_activation(model) if file is None else last_activation(file),
        bridge_refusal=refusal,
        bridge_difference=difference,
        inputs={port.name: port.shape for port in inputs},
        outputs={port.name: port.shape for port in outputs},
        folds=None if trained is None else bool(foldable(trained)),
        zeros_in_latency=sparse_latency(kernels) if kernels and file is None else "",
    )


def _operators_file(model: Any) -> bytes | None:
    """The float file of a model without Keras layers, whose operators serve as layers; ``None`` for other models.

    A SavedModel or a subclassed model is converted for this. Raises ``ModelError`` if the conversion fails.
    """
    if not isinstance(model, TracedModel):
        return None
    try:
        return with_names(convert(model, lambda converter, tf: None))
    except BuildFailed as error:
        raise ModelError(f"the model cannot be converted to a float32 .tflite: {error}") from error


def _layer_info(layer: Any, refusals: dict[str, str], group: tuple[str | None, str | None]) -> LayerInfo:
    refusals = refusals | _quantizer_refusals(layer)
    shapes = sorted((tuple(int(size) for size in weight.shape) for weight in layer.weights), key=math.prod)
    return LayerInfo(
        name=layer.name,
        type=type(layer).__name__,
        parameters=sum(math.prod(shape) for shape in shapes),
        kernel_shape=shapes[-1] if shapes else (),
        output_shape=_output_shape(layer),
        refusals=refusals,
        macs=layer_macs(layer),
        group=group[0],
        group_refusal=group[1],
    )


def channel_groups(model: Any) -> dict[str, tuple[str | None, str | None]]:
    """For each layer that makes channels: its group and width (``3 (16)``), or why they cannot be pruned."""
    from litetuner.spaces.channels.groups import trace

    graph = trace(model)
    place = {int(channel): number for number, group in enumerate(graph.groups) for channel in group.channels}
    cut = [number for number, group in enumerate(graph.groups) if group.pinned is None]
    found: dict[str, tuple[str | None, str | None]] = {}
    for name, call in graph.layers().items():
        number = place.get(int(graph.roots[call.output[0]])) if len(call.output) else None
        if number is None or not call.layer.weights:
            continue
        group = graph.groups[number]
        label = f"{cut.index(number) + 1} ({len(group.channels)})" if group.pinned is None else None
        found[name] = (label, group.pinned)
    return found


def _layers(model: Any) -> Iterator[Any]:
    """The layers in execution order; nested models are replaced by their layers."""
    for layer in model.layers:
        if hasattr(layer, "layers") and hasattr(layer, "inputs"):
            yield from _layers(layer)
        else:
            yield layer


def _quantizer_refusals(layer: Any) -> dict[str, str]:
    """Why a layer cannot be quantized in some way.

    Keys: ``int4`` (litert-quantizer cannot give it 4-bit weights), ``quantizer`` (litert-quantizer cannot quantize it
    at all), ``integer`` (the converter cannot quantize it to integers).
    """
    kind = type(layer).__name__
    if not layer.weights:
        return {"int4": "it has no weights"}
    if kind in WRAPPERS:
        return _quantizer_refusals(layer.forward_layer if hasattr(layer, "forward_layer") else layer.layer)
    operators = OPERATORS_OF_LAYER.get(kind)
    if operators is None:
        return {"int4": f"no operator is known to hold the weights of a {kind}"}
    found = {}
    if refused := [name for name in operators if name not in int4_operators()]:
        found["int4"] = f"{refused[0]} takes no 4-bit weights"
    if getattr(layer, "unroll", None) is False:  # a recurrent layer that becomes one operator or a loop
        found["quantizer"] = f"litert-quantizer keeps the weights of a {kind} in float32"
        if "WHILE" in operators:
            found["integer"] = f"a {kind} becomes a loop, and full integer quantization of loops crashes the converter"
    return found


def _output_shape(layer: Any) -> tuple[int | None, ...]:
    """The shape of the first output of the first call."""
    calls = calls_of(layer)
    return (None, *tuple(first_output(calls[0]).shape)[1:]) if calls else ()


def output_activation(model: Any, output: int = 0) -> str:
    """The last activation before an output: "softmax", "sigmoid", "linear" and so on."""
    file = getattr(model, "file", None)  # of a .tflite
    if file is not None:
        return last_activation(file, output)
    if not model.layers:  # a traced model, whose content is unknown
        return "linear"
    layer = last_layer(model, output)
    while type(layer).__name__ in TRANSPARENT and (before := layer_before(layer)) is not None:
        layer = before
    if type(layer).__name__ in WRAPPERS:
        layer = getattr(layer, "layer", layer)
    activation = getattr(layer, "activation", None)
    if activation is not None:
        return str(getattr(activation, "__name__", type(activation).__name__.lower()))
    return LIKE_ACTIVATIONS.get(type(layer).__name__, "linear")
