"""Models without a graph of layers (SavedModels, subclassed models), which can be called and converted, not rebuilt."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from litetuner.spaces.errors import ModelError
from litetuner.spaces.info import TensorInfo
from litetuner.spaces.tf import load

SIGNATURE = "serving_default"


@dataclasses.dataclass(frozen=True)
class TracedModel:
    """A function with the interface of a Keras model.

    ``trackable`` owns its variables; ``why`` says why it cannot be trained.
    """

    name: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    call_flat: Callable[[Sequence[Any]], list[Any]]
    trackable: Any
    parameters: int
    why: str
    batch: int | None = None  # the only batch size that the function accepts; None: any
    layers: tuple[Any, ...] = ()
    file: bytes | None = None  # the .tflite, if the model is one

    @property
    def output_names(self) -> list[str]:
        return [tensor.name for tensor in self.outputs]

    def count_params(self) -> int:
        return self.parameters


def trace_saved_model(path: Path) -> TracedModel:
    """The serving signature of a SavedModel folder. Raises ``ModelError``.

    Loading a SavedModel runs code, so the folder must be trusted.
    """
    tf = load()
    try:
        loaded = tf.saved_model.load(str(path))
    except Exception as error:  # any exception of the objects in the folder
        raise ModelError(f"{path} cannot be read as a SavedModel: {str(error).splitlines()[0][:300]}") from error
    names = list(loaded.signatures)
    if SIGNATURE not in names and len(names) != 1:
        raise ModelError(
            f"{path} has the signatures {', '.join(names) or '(none)'}, and {SIGNATURE!r} is needed. Export it with "
            "model.export(folder), or tf.saved_model.save(model, folder, signatures=...)."
        )
    function = loaded.signatures[SIGNATURE if SIGNATURE in names else names[0]]
    specs = function.structured_input_signature[1]
    inputs = tuple(_tensor(name, spec) for name, spec in sorted(specs.items()))
    outputs = tuple(_tensor(name, spec) for name, spec in sorted(function.structured_outputs.items()))
    sizes = {int(tensor.shape[0]) for tensor in inputs if tensor.shape and tensor.shape[0] is not None}
    if any(not tensor.shape for tensor in (*inputs, *outputs)) or len(sizes) > 1:
        raise ModelError(
            f"{path}: inputs and outputs must have a batch axis; export it with shapes such as (None, 32, 32, 3)."
        )

    def call_flat(values: Sequence[Any]) -> list[Any]:
        given = {tensor.name: value for tensor, value in zip(inputs, values, strict=True)}
        found = function(**given)
        return [found[tensor.name] for tensor in outputs]

    parameters = sum(int(np.prod(variable.shape)) for variable in function.variables)
    why = "it is a SavedModel without layers, which can be converted but not rebuilt; give the .keras file to train it"
    return TracedModel(path.name, inputs, outputs, call_flat, loaded, parameters, why, batch=next(iter(sizes), None))


def trace_subclassed(model: Any, source: str) -> TracedModel:
    """A subclassed Keras model as a function, with the input shape of the call that built it. Raises ``ModelError``."""
    load()
    shape = _built_shape(model)
    if shape is None:
        raise ModelError(
            f"{source}: {type(model).__name__} is a subclassed model, and the shape of its input is not known. Call it on a "
            "batch before it is saved or returned, or rebuild it with the functional API: outputs = model.call(inputs); "
            "keras.Model(inputs, outputs)."
        )
    inputs = (TensorInfo("input", (None, *shape[1:]), "float32"),)
    try:
        found = _flat(model(np.zeros((1, *(size or 1 for size in shape[1:])), np.float32), training=False))
    except Exception as error:  # the user's own code
        raise ModelError(
            f"{source}: {type(model).__name__} is a subclassed model, and calling it on an array of shape {shape} fails: "
            f"{str(error).splitlines()[0][:200]}"
        ) from error
    names = ["output"] if len(found) == 1 else [f"output_{index}" for index in range(len(found))]
    pairs = zip(names, found, strict=True)
    outputs = tuple(TensorInfo(name, (None, *value.shape[1:]), value.dtype.name) for name, value in pairs)
    why = (
        "it is a subclassed model, whose layers are hidden in code, so it can be converted but not rebuilt; to train it, rebuild "
        "it with the functional API: outputs = model.call(inputs); keras.Model(inputs, outputs)"
    )

    def call_flat(values: Sequence[Any]) -> list[Any]:
        return _flat(model(values[0], training=False))

    return TracedModel(model.name, inputs, outputs, call_flat, model, int(model.count_params()), why)


def _built_shape(model: Any) -> tuple[int | None, ...] | None:
    """The shape (with batch axis) of the single array that a subclassed model was built on; ``None`` if unknown."""
    config = model.get_build_config() or {}
    shape = config.get("input_shape")
    shapes = list((config.get("shapes_dict") or {}).values())
    if shape is None and len(shapes) == 1:
        shape = shapes[0]
    if not isinstance(shape, tuple | list) or not shape:
        return None
    return tuple(shape) if all(item is None or isinstance(item, int) for item in shape) else None


def _flat(outputs: Any) -> list[Any]:
    return list(load().nest.flatten(outputs))


def _tensor(name: str, spec: Any) -> TensorInfo:
    shape = () if spec.shape.rank is None else tuple(spec.shape.as_list())
    return TensorInfo(name, shape, spec.dtype.name)
