"""Read the user's model safely, or reject it with a clear error."""

import dataclasses
import hashlib
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from litetuner.spaces.errors import HostError, ModelError, keras_error_text
from litetuner.spaces.models.input_shapes import fix_sizes, free_batch
from litetuner.spaces.models.keras_graph import all_layers, has_graph, reset_layer_names
from litetuner.spaces.models.loading.compile_settings import settings_of, stored_settings
from litetuner.spaces.models.loading.custom_objects import CustomObjects, load_custom_objects
from litetuner.spaces.models.loading.keras2_files import h5_config, layers_of, load_repaired, written_by_keras_2
from litetuner.spaces.models.loading.load_errors import SUFFIXES, TRUST, missing_file, unreadable_file
from litetuner.spaces.models.loading.tflite_model import check_identifier, open_converted
from litetuner.spaces.models.loading.traced import TracedModel, trace_saved_model, trace_subclassed
from litetuner.spaces.models.signature import input_tensors
from litetuner.spaces.tf import load, quiet_stdout
from litetuner.spaces.user_function import error_text, is_function, load_function

Kind = Literal["keras3", "tf_keras", "traced", "tflite"]


@dataclasses.dataclass(frozen=True)
class LoadedModel:
    """The user's model. ``sha256`` is the hash of the file, or of the architecture and weights together.

    ``model`` is a Keras 3 or tf_keras model with a known graph, or a ``TracedModel``, which can only be converted.
    ``compiled`` are the stored compile settings in Keras's format.
    """

    model: Any
    kind: Kind
    sha256: str
    name: str
    compiled: Mapping[str, Any] | None = None


def load_model(source: str, *, trust: bool = False, custom_objects: str | None = None) -> LoadedModel:
    """Load the model ``source``: a model file, or ``module:function`` that returns a model.

    Keras 3 opens ``.keras`` and ``.h5`` files in safe mode, so no code in them runs. With ``trust`` (the user made the
    file) Lambda layers are allowed, and tf_keras opens SavedModel folders and files that Keras 3 cannot read. A
    SavedModel without Keras metadata and a subclassed model become a ``TracedModel``, and so does a float ``.tflite``.
    ``custom_objects`` is ``module:dict`` with the user's layers. Raises ``ModelError``.
    """
    load()
    _require_tensorflow_backend()
    custom = load_custom_objects(custom_objects)
    if is_function(source) and not Path(source).exists():
        reset_layer_names()
        function = load_function(source, "model")
        try:
            found = function()
        except Exception as error:
            raise ModelError(f"model: {source} failed: {error_text(error)}") from error
        model = _checked(found, source)
        name, settings = source.partition(":")[2], settings_of(found)
        return LoadedModel(_in_float32(model), _kind(model), _digest_model(model), name, settings)
    path = Path(source).expanduser()
    if not (path.is_file() or path.is_dir()):
        raise ModelError(missing_file(path))
    with quiet_stdout():
        found = _open_folder(path, trust, custom) if path.is_dir() else _open_file(path, trust, custom)
    model = _checked(found, str(path))
    return LoadedModel(_in_float32(model), _kind(model), _digest_path(path), path.stem, stored_settings(path))


def sized(loaded: LoadedModel, shapes: Mapping[str, Sequence[int | None]] | None, source: str) -> LoadedModel:
    """The model for samples of these shapes, if it accepts any size (see ``fix_sizes``). Raises ``ModelError``."""
    return dataclasses.replace(loaded, model=_in_float32(fix_sizes(loaded.model, shapes, source)))


def _checked(model: Any, source: str) -> Any:
    """The checked model, traced if it has no graph.

    Raises ``ModelError`` for models that cannot be searched, for example with text inputs or quantized layers.
    """
    import keras
    import tf_keras

    if not isinstance(model, (keras.Model, tf_keras.Model, TracedModel)):
        raise ModelError(f"{source} gave a {type(model).__name__}, and a Keras model is needed.")
    if isinstance(model, (keras.Sequential, tf_keras.Sequential)):
        if not model.built or not has_graph(model):
            raise ModelError(
                f"{source}: the model was never built, so its input shape is not known. Start it with keras.Input(shape), "
                "or call it on a batch before you save it."
            )
    elif not isinstance(model, TracedModel) and not has_graph(model):
        model = trace_subclassed(model, source)
    if not isinstance(model, TracedModel):
        model = free_batch(model, source)
    for tensor in input_tensors(model):
        if tensor.dtype == "string":
            raise ModelError(
                f"{source}: input {tensor.name!r} takes text, which TensorFlow Lite's built-in operators cannot read. Cut the "
                "model behind its TextVectorization (or StringLookup, Hashing): give keras.Model(that_layer.output, outputs), "
                "and data of numbers."
            )
    for layer in model.layers:
        _check_layer(layer, source)
    return model


def _check_layer(layer: Any, source: str) -> None:
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


def _require_tensorflow_backend() -> None:
    os.environ["KERAS_BACKEND"] = "tensorflow"  # overrides the user's keras.json: the converter supports no other
    import keras

    if keras.config.backend() != "tensorflow":
        raise HostError(
            f"Keras was imported with the {keras.config.backend()} backend before litetuner, and TensorFlow Lite converts only "
            "TensorFlow models. Set KERAS_BACKEND=tensorflow."
        )


def check_model_path(path: Path, trust: bool) -> dict[str, Any]:
    """Check a model file without TensorFlow.

    Returns its architecture, or an empty dict if the file has none to read. Raises ``ModelError``.
    """
    if not (path.is_file() or path.is_dir()):  # reading a pipe or a device would never end
        raise ModelError(missing_file(path))
    if path.is_dir():
        _check_folder(path, trust)
        return {}
    if path.suffix == ".tflite":
        check_identifier(path)
        return {}
    return _check_file(path, trust)


def _check_folder(path: Path, trust: bool) -> None:
    if not (path / "saved_model.pb").exists():
        raise ModelError(
            f"{path} is a folder, not a model. Give a .keras or .h5 file, or module:function that returns the model."
        )
    if not trust:
        raise ModelError(
            f"{path} is a SavedModel, which is code that runs when it is opened. Save the model as a .keras file. {TRUST}"
        )


def _open_folder(path: Path, trust: bool, custom: CustomObjects) -> Any:
    _check_folder(path, trust)
    if not (path / "keras_metadata.pb").exists():  # not written by Keras 2: a function without layers
        return trace_saved_model(path)
    return _open_with_tf_keras(path, custom)


def _open_file(path: Path, trust: bool, custom: CustomObjects) -> Any:
    if path.suffix == ".tflite":
        return open_converted(path)
    config = _check_file(path, trust)
    try:
        return _open_with_keras_3(path, safe=not _lambdas(config), custom=custom)
    except Exception as error:  # any exception of the classes that Keras rebuilds
        if trust:
            return _open_with_tf_keras(path, custom, error)
        raise ModelError(unreadable_file(path, config, error)) from error


def _check_file(path: Path, trust: bool) -> dict[str, Any]:
    """The architecture in a Keras file.

    Raises ``ModelError`` for other files, and for Lambda layers without ``trust``.
    """
    if path.suffix not in SUFFIXES:
        raise ModelError(
            f"{path} is not a Keras model file ({', '.join(SUFFIXES)}). Save the model with model.save('model.keras'), "
            "or give module:function that returns it."
        )
    config = _config(path)
    names = _lambdas(config)
    if names and not trust:
        raise ModelError(
            f"{path}: layer {', '.join(map(repr, names))} is a Lambda, which is code that runs when the file is "
            f"opened. Replace it by standard layers (Rescaling, Reshape, Activation...). {TRUST}"
        )
    return config


def _lambdas(config: dict[str, Any]) -> list[str]:
    return [str(layer["config"].get("name")) for layer in layers_of(config) if layer["class_name"] == "Lambda"]


def _config(path: Path) -> dict[str, Any]:
    """The architecture in a file, read as data. Raises ``ModelError`` if there is none."""
    config: dict[str, Any] | None
    try:
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                config = json.loads(archive.read("config.json"))
        else:
            config = h5_config(path)
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, RecursionError) as error:
        raise ModelError(
            f"{path} is not a Keras model: {error}. Is it complete? Save the model again with model.save('model.keras')."
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

    return load_repaired(path, open_it) if written_by_keras_2(path) else open_it(str(path))


def _open_with_tf_keras(path: Path, custom: CustomObjects, before: Exception | None = None) -> Any:
    import tf_keras

    try:
        # Only trusted files get here.
        return tf_keras.models.load_model(str(path), dict(custom.twins), compile=False, safe_mode=False)
    except Exception as error:
        also = f" Keras 3 says: {keras_error_text(before)}" if before else ""
        raise ModelError(f"{path} cannot be read. tf_keras says: {keras_error_text(error)}{also}") from error


def _kind(model: Any) -> Kind:
    import tf_keras

    if isinstance(model, TracedModel):
        return "traced" if model.file is None else "tflite"
    return "tf_keras" if isinstance(model, tf_keras.Model) else "keras3"


def _in_float32(model: Any) -> Any:
    """Switch mixed-precision layers to float32 computation.

    Their weights are float32 already; the baseline is the float32 model.
    """
    if _kind(model) == "keras3":
        for layer in [model, *all_layers(model)]:
            if str(layer.dtype_policy.name).startswith("mixed_"):
                layer.dtype_policy = "float32"
    return model


def _digest_model(model: Any) -> str:
    """sha256 of the architecture (of a traced model: its inputs and outputs) and the weights."""
    traced = isinstance(model, TracedModel)
    ports = [(item.name, item.shape, item.dtype) for item in (*model.inputs, *model.outputs)]
    found = hashlib.sha256((repr(ports) if traced else model.to_json()).encode())
    for weight in (model.trackable if traced else model).get_weights():
        found.update(weight.tobytes())
    return found.hexdigest()


def _digest_path(path: Path) -> str:
    """sha256 of a file's bytes, or of a folder's relative names, sizes and bytes, sorted by name."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    found = hashlib.sha256()
    for item in sorted(path.rglob("*")):
        if item.is_file():
            found.update(f"{item.relative_to(path)}\0{item.stat().st_size}\0".encode())
            found.update(item.read_bytes())
    return found.hexdigest()
