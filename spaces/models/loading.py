"""The user's model: read safely, and refused in words where it cannot be used."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from litetuner.spaces.errors import HostError, ModelError, nearest, told_by_keras
from litetuner.spaces.models.custom_objects import CustomObjects, load_custom_objects
from litetuner.spaces.models.input_shapes import fix_sizes, free_batch
from litetuner.spaces.models.keras2_files import h5_config, layers_of, load_mended, written_by_keras_2
from litetuner.spaces.models.signature import input_ports
from litetuner.spaces.models.tflite_model import open_converted
from litetuner.spaces.models.traced import TracedModel, trace_saved_model, trace_subclassed
from litetuner.spaces.tf import load, quiet_stdout
from litetuner.spaces.user_function import is_function, load_function, told

Kind = Literal["keras3", "tf_keras", "traced", "tflite"]
SUFFIXES = (".keras", ".h5", ".hdf5")
TRUST = "If you made the file yourself, --trust-model opens it anyway."


@dataclasses.dataclass(frozen=True)
class LoadedModel:
    """The user's model. ``sha256`` is that of the file, or of architecture and weights together.

    ``model`` is a Keras 3 or a tf_keras model whose graph is known, or a ``TracedModel`` that can only be converted.
    """

    model: Any
    kind: Kind
    sha256: str
    name: str


def load_model(source: str, *, trust: bool = False, custom_objects: str | None = None) -> LoadedModel:
    """The model that ``source`` names: a ``.keras`` or ``.h5`` file, or ``module:function`` that returns a model.

    Files are opened by Keras 3 in safe mode, so nothing in them is run. With ``trust`` (the user made the file) Lambda layers
    are allowed, and tf_keras opens SavedModel folders and what Keras 3 cannot read; a SavedModel without Keras's own
    records, and a subclassed model, become a ``TracedModel``. ``custom_objects`` is ``module:dict`` of the user's layers.
    Raises ``ModelError``.
    """
    load()
    _require_tensorflow_backend()
    custom = load_custom_objects(custom_objects)
    if is_function(source) and not Path(source).exists():
        _reset_names()
        function = load_function(source, "model")
        try:
            found = function()
        except Exception as error:
            raise ModelError(f"model: {source} failed: {told(error)}") from error
        model = _checked(found, source)
        return LoadedModel(_in_float32(model), _kind(model), _digest(model), source.partition(":")[2])
    path = Path(source).expanduser()
    if not path.exists():
        raise ModelError(_missing(path))
    with quiet_stdout():
        found = _open_folder(path, trust, custom) if path.is_dir() else _open_file(path, trust, custom)
    model = _checked(found, str(path))
    return LoadedModel(_in_float32(model), _kind(model), _digest_path(path), path.stem)


def sized(loaded: LoadedModel, shapes: Mapping[str, Sequence[int | None]] | None, source: str) -> LoadedModel:
    """The model for samples of these shapes, where it takes any size (see ``fix_sizes``). Raises ``ModelError``."""
    return dataclasses.replace(loaded, model=_in_float32(fix_sizes(loaded.model, shapes, source)))


def _reset_names() -> None:
    """Count layers from the beginning: unnamed ones are called dense, dense_1..., and must be so in every process."""
    import tf_keras
    from keras.src.backend.common import global_state

    tf_keras.backend.reset_uids()
    global_state.set_global_attribute("object_name_uids", collections.defaultdict(int))


def _require_tensorflow_backend() -> None:
    os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever the user's keras.json says: the converter knows no other
    import keras

    if keras.config.backend() != "tensorflow":
        raise HostError(
            f"Keras was imported with the {keras.config.backend()} backend before litetuner, and TensorFlow Lite converts only "
            "TensorFlow models. Set KERAS_BACKEND=tensorflow."
        )


def _missing(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"there is no folder {folder}, so no model {path.name} in it."
    names = [item.name for item in folder.iterdir() if item.suffix in SUFFIXES or (item / "saved_model.pb").exists()]
    seen = f" Models there: {', '.join(sorted(names)[:8])}." if names else ""
    return f"there is no file {path}{nearest(path.name, names) or '.'}{seen}"


def _open_folder(path: Path, trust: bool, custom: CustomObjects) -> Any:
    if not (path / "saved_model.pb").exists():
        raise ModelError(
            f"{path} is a folder and no model. Give a .keras or .h5 file, or module:function that returns the model."
        )
    if not trust:
        raise ModelError(
            f"{path} is a SavedModel, which is code that runs when it is opened. Save the model as a .keras file. {TRUST}"
        )
    if not (path / "keras_metadata.pb").exists():  # not written by Keras 2: a function, no layers
        return trace_saved_model(path)
    return _open_with_tf_keras(path, custom)


def _open_file(path: Path, trust: bool, custom: CustomObjects) -> Any:
    if path.suffix == ".tflite":
        return open_converted(path)
    if path.suffix not in SUFFIXES:
        raise ModelError(
            f"{path} is no Keras model file ({', '.join(SUFFIXES)}). Save the model with model.save('model.keras'), "
            "or give module:function that returns it."
        )
    config = _config(path)
    names = [str(layer["config"].get("name")) for layer in layers_of(config) if layer["class_name"] == "Lambda"]
    if names and not trust:
        raise ModelError(
            f"{path}: layer {', '.join(map(repr, names))} is a Lambda, which is code that runs when the file is "
            f"opened. Replace it by standard layers (Rescaling, Reshape, Activation...). {TRUST}"
        )
    try:
        return _open_with_keras_3(path, safe=not names, custom=custom)
    except Exception as error:  # Keras raises whatever the class that it rebuilds raises
        if trust:
            return _open_with_tf_keras(path, custom, error)
        raise ModelError(_unreadable(path, config, error)) from error


def _config(path: Path) -> dict[str, Any]:
    """The architecture in a file, read as data. Raises ``ModelError`` where there is none."""
    config: dict[str, Any] | None
    try:
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                config = json.loads(archive.read("config.json"))
        else:
            config = h5_config(path)
    except (OSError, zipfile.BadZipFile, KeyError, ValueError) as error:
        raise ModelError(
            f"{path} is no Keras model: {error}. Was it written completely? Save the model again with model.save('model.keras')."
        ) from error
    if config is None:
        raise ModelError(
            f"{path} holds weights only, no layers. Save the whole model with model.save('model.keras'), or give "
            "module:function that builds the model and loads these weights."
        )
    return config


def _open_with_keras_3(path: Path, *, safe: bool, custom: CustomObjects) -> Any:
    import keras

    def open_it(file: str) -> Any:
        return keras.saving.load_model(file, custom_objects=dict(custom.keras3), compile=False, safe_mode=safe)

    return load_mended(path, open_it) if written_by_keras_2(path) else open_it(str(path))


def _open_with_tf_keras(path: Path, custom: CustomObjects, before: Exception | None = None) -> Any:
    import tf_keras

    try:
        # Only the trusted come here.
        found = tf_keras.models.load_model(str(path), dict(custom.twins), compile=False, safe_mode=False)
    except Exception as error:
        also = f" Keras 3 says: {told_by_keras(before)}" if before else ""
        raise ModelError(f"{path} cannot be read. tf_keras says: {told_by_keras(error)}{also}") from error
    return found


def _unreadable(path: Path, config: dict[str, Any], error: Exception) -> str:
    """What is wrong with a file that Keras 3 refuses, and what to do."""
    import keras

    known = set(dir(keras.layers)) | {"Functional", "Sequential", "Model"}
    nodes = [layer for layer in layers_of(config) if isinstance(layer["config"], dict) and "name" in layer["config"]]
    strange = [layer for layer in nodes if layer["class_name"] not in known and not _is_helper(layer)]
    if strange:
        layer = strange[0]
        if layer["class_name"] in ("TFOpLambda", "SlicingOpLambda"):
            return (
                f"{path}: layer {layer['config']['name']!r} is the TensorFlow function "
                f"{layer['config'].get('function', 'of a slice')!r}, which Keras 2 wrote down and Keras 3 does not know. {TRUST}"
            )
        if path.suffix != ".keras" and _is_operator(layer["class_name"]):
            return (
                f"{path}: {layer['config']['name']!r} is an operator (x[:, 0], x + y...), which Keras 3 writes into an "
                f"{path.suffix} file and cannot read back. Save the model with model.save('model.keras'), or give "
                "module:function that builds the model and loads its weights."
            )
        return (
            f"{path}: layer {layer['config']['name']!r} is a {layer['class_name']}, which Keras 3 does not know "
            f"(a custom layer, or an operator that Keras 2 wrote down). Name your class with --custom-objects module:dict, the "
            f"dict being {{{layer['class_name']!r}: the class}}; or give module:function that returns the model. {TRUST}"
        )
    functions = {
        str(item["config"]): layer["config"]["name"]
        for layer in nodes
        for item in layer["config"].values()
        if isinstance(item, dict) and item.get("class_name") == "function" and isinstance(item.get("config"), str)
    }
    if functions:
        function, name = next(iter(functions.items()))
        return (
            f"{path}: layer {name!r} uses the function {function!r} of yours, which is not in the file. Name it with "
            f"--custom-objects module:dict, the dict being {{{function!r}: the function}}; or give module:function that returns "
            "the model."
        )
    return (
        f"{path} cannot be read by Keras 3: {told_by_keras(error)} Save it again with a current Keras, or give "
        f"module:function that builds the model and loads its weights. {TRUST}"
    )


def _is_operator(name: str) -> bool:
    from keras.src.ops import core, image, linalg, math, nn, numpy

    return any(hasattr(module, name) for module in (core, image, linalg, math, nn, numpy))


def _is_helper(layer: dict[str, Any]) -> bool:
    module = str(layer.get("module"))
    elsewhere = module.startswith("keras") and not module.startswith("keras.layers")
    return elsewhere or layer["class_name"] in ("Policy", "DTypePolicy")


def _kind(model: Any) -> Kind:
    import tf_keras

    if isinstance(model, TracedModel):
        return "traced" if model.file is None else "tflite"
    return "tf_keras" if isinstance(model, tf_keras.Model) else "keras3"


def _checked(model: Any, source: str) -> Any:
    """The model, traced where it has no graph. Refuses what cannot be searched: text, quantized layers."""
    import keras
    import tf_keras

    if not isinstance(model, (keras.Model, tf_keras.Model, TracedModel)):
        raise ModelError(f"{source} gave a {type(model).__name__}, and a Keras model is needed.")
    if isinstance(model, (keras.Sequential, tf_keras.Sequential)):
        if not model.built or not _graph(model):
            raise ModelError(
                f"{source}: the model was never built, so its input shape is not known. Start it with keras.Input(shape), "
                "or call it on a batch before you save it."
            )
    elif not isinstance(model, TracedModel) and not _graph(model):
        model = trace_subclassed(model, source)
    if not isinstance(model, TracedModel):
        model = free_batch(model, source)
    for port in input_ports(model):
        if port.dtype == "string":
            raise ModelError(
                f"{source}: input {port.name!r} takes text, which TensorFlow Lite's built-in operators cannot read. Cut the "
                "model behind its TextVectorization (or StringLookup, Hashing): give keras.Model(that_layer.output, outputs), "
                "and data of numbers."
            )
    for layer in model.layers:
        if type(layer).__name__ in ("IntegerLookup", "StringLookup", "TextVectorization", "Hashing"):
            raise ModelError(
                f"{source}: layer {layer.name!r} ({type(layer).__name__}) looks values up in a table or hashes them, for which "
                "TensorFlow Lite has no built-in operators. Cut it off: give keras.Model(that_layer.output, outputs), "
                "and data that went through the layer."
            )
        if getattr(layer, "quantization_mode", None):
            raise ModelError(
                f"{source}: layer {layer.name!r} is already quantized. Give the float model that it was made from."
            )
        policy = getattr(getattr(layer, "dtype_policy", None), "name", "float32")
        if policy in ("float16", "bfloat16", "float64") and layer.weights:
            raise ModelError(
                f"{source}: layer {layer.name!r} holds {policy} weights, and compression starts from float32 ones. Build the "
                "model without that dtype and give it these weights: model32.set_weights(model.get_weights())."
            )
    return model


def _graph(model: Any) -> bool:
    """Does the model know its nodes (a functional model, or a built sequential one)?"""
    import keras
    import tf_keras
    from keras.src.models.functional import Functional

    if isinstance(model, keras.Sequential):
        return getattr(model, "_functional", None) is not None
    if isinstance(model, Functional):
        return True
    return isinstance(model, tf_keras.Model) and bool(model._is_graph_network)


def _in_float32(model: Any) -> Any:
    """Mixed-precision layers keep float32 weights, and compute in float32 from here on: the reference is the float32 model."""
    if _kind(model) == "keras3":
        for layer in model._flatten_layers():
            if str(layer.dtype_policy.name).startswith("mixed_"):
                layer.dtype_policy = "float32"
    return model


def _digest(model: Any) -> str:
    """sha256 over the architecture (of a traced model: its inputs and outputs) and the weights."""
    traced = isinstance(model, TracedModel)
    found = hashlib.sha256((repr((model.inputs, model.outputs)) if traced else model.to_json()).encode())
    for weight in (model.trackable if traced else model).get_weights():
        found.update(weight.tobytes())
    return found.hexdigest()


def _digest_path(path: Path) -> str:
    """sha256 of a file's bytes; of a folder's relative names and bytes, in order of name."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    found = hashlib.sha256()
    for item in sorted(path.rglob("*")):
        if item.is_file():
            found.update(f"{item.relative_to(path)}\0{item.stat().st_size}\0".encode())
            found.update(item.read_bytes())
    return found.hexdigest()
