"""Make Keras 2 files readable for Keras 3: the configuration in the file is repaired as data, no code runs.

tf_keras could read these files directly, but would run the bytecode of Lambda layers.
"""

import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_OF_NO_KERNEL = {"kernel_initializer": ..., "kernel_regularizer": None, "kernel_constraint": None}
# Settings that Keras 2 wrote and Keras 3 rejects, with the value that has no effect (``...``: any value).
DROPPED: dict[str, dict[str, Any]] = {
    **{f"DepthwiseConv{rank}D": {"groups": 1} for rank in (1, 2)},
    **{f"SeparableConv{rank}D": {"groups": 1} | _OF_NO_KERNEL for rank in (1, 2)},
    **{f"Conv{rank}DTranspose": {"groups": 1} for rank in (1, 2, 3)},
    **{kind: {"time_major": False, "implementation": ...} for kind in ("LSTM", "GRU", "SimpleRNN", "RNN")},
    **{f"SpatialDropout{rank}D": {"trainable": ..., "noise_shape": None} for rank in (1, 2, 3)},
    "MultiHeadAttention": {"softmax_robust_masking": False, "query_shape": ..., "key_shape": ..., "value_shape": ...},
}
MODELS = ("Functional", "Sequential", "Model")


def layers_of(config: Any) -> Iterator[dict[str, Any]]:
    """Every ``{"class_name": ..., "config": ...}`` in a configuration, including wrapped and nested ones."""
    if isinstance(config, dict):
        if "class_name" in config and "config" in config:
            yield config
        for value in config.values():
            yield from layers_of(value)
    elif isinstance(config, list):
        for value in config:
            yield from layers_of(value)


def written_by_keras_2(path: Path) -> bool:
    """True if an ``.h5`` or ``.keras`` file was written by Keras 2 (tf_keras, or TensorFlow up to 2.15)."""
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            metadata = json.loads(archive.read("metadata.json")) if "metadata.json" in archive.namelist() else {}
        return str(metadata.get("keras_version", "3")).startswith("2")
    with _open(path, "r") as file:
        return _text(file.attrs.get("keras_version", "3")).startswith("2")


def h5_config(path: Path, attribute: str = "model_config") -> dict[str, Any] | None:
    """The architecture in an ``.h5`` file, or another attribute; ``None`` if missing.

    Raises ``OSError`` if the file is not HDF5.
    """
    with _open(path, "r") as file:
        text = file.attrs.get(attribute)
    return None if text is None else json.loads(_text(text))


def load_repaired(path: Path, load: Callable[[str], Any]) -> Any:
    """The result of ``load`` for a repaired copy of an old file. The file itself is not changed.

    Raises ``ValueError`` if Keras 3 orders the layers differently, because weights are assigned in order and would go
    to the wrong layers.
    """
    with tempfile.TemporaryDirectory(prefix="litetuner-") as folder:
        copy = Path(folder) / f"model{path.suffix}"
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as old, zipfile.ZipFile(copy, "w") as new:
                config = _repaired(old.read("config.json"))
                for name in old.namelist():
                    new.writestr(name, json.dumps(config) if name == "config.json" else old.read(name))
        else:
            shutil.copyfile(path, copy)
            with _open(copy, "r+") as file:
                config = _repaired(file.attrs["model_config"])
                file.attrs["model_config"] = json.dumps(config)
        model = load(str(copy))
    _check_order(config, model)
    return model


def _check_order(config: dict[str, Any], model: Any) -> None:
    wanted = [item for item in config["config"]["layers"] if item["class_name"] != "InputLayer"]
    found = [layer for layer in model.layers if type(layer).__name__ != "InputLayer"]
    names = [item["config"]["name"] for item in wanted], [layer.name for layer in found]
    if names[0] != names[1]:
        raise ValueError(
            f"Keras 3 orders the layers of {model.name!r} otherwise than Keras 2 did, so weights would be mixed up"
        )
    for item, layer in zip(wanted, found, strict=True):
        if item["class_name"] in MODELS:
            _check_order(item, layer)


def _repaired(text: Any) -> dict[str, Any]:
    config: dict[str, Any] = json.loads(_text(text))
    repair(config)
    return config


def repair(config: Any) -> None:
    """Change a Keras 2 configuration in place into an equivalent one that Keras 3 can read."""
    for layer in layers_of(config):
        settings = layer["config"]
        if not isinstance(settings, dict):
            continue
        for key, no_effect in DROPPED.get(layer["class_name"], {}).items():
            if key in settings and (no_effect is ... or settings[key] == no_effect):
                del settings[key]
        if layer["class_name"] in ("Functional", "Model") and "module" in layer:  # Keras 3 has no such module
            layer |= {"module": "keras.src.models.functional", "class_name": "Functional", "registered_name": None}
        if layer["class_name"] != "InputLayer":  # Keras 2 stored it also where it has no effect
            settings.pop("batch_input_shape", None)
        axis = settings.get("axis")
        if layer["class_name"] == "BatchNormalization" and isinstance(axis, list) and len(axis) == 1:
            settings["axis"] = axis[0]
        policy = settings.get("dtype")
        if isinstance(policy, dict):  # {"class_name": "Policy", "config": {"name": "mixed_float16"}}
            settings["dtype"] = policy["config"]["name"]
        if isinstance(settings.get("layers"), list):
            _repair_graph(settings)


def _repair_graph(settings: dict[str, Any]) -> None:
    """Repair the graph of a model for Keras 3.

    Names lose their ``/``. Calls of nested models are counted from 0 (Keras 2 counted the creation of the model as the
    first call). Arithmetic (``x + 3.0``) becomes layers.
    """
    for layer in settings["layers"]:
        if layer["class_name"] == "TFOpLambda":
            _repair_operator(layer)
    nested = {item["config"]["name"] for item in settings["layers"] if item["class_name"] in MODELS}

    def reference(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: reference(item) for key, item in value.items()}
        if not isinstance(value, list):
            return value
        if len(value) in (3, 4) and isinstance(value[0], str) and all(isinstance(item, int) for item in value[1:3]):
            call = value[1] - 1 if value[0] in nested else value[1]
            return [_plain(value[0]), call, value[2], *(reference(item) for item in value[3:])]
        return [reference(item) for item in value]

    for key in ("input_layers", "output_layers"):
        if key in settings:
            settings[key] = reference(settings[key])
    for layer in settings["layers"]:
        if "inbound_nodes" in layer:
            layer["inbound_nodes"] = reference(layer["inbound_nodes"])
        for place in (layer, layer["config"]):
            if isinstance(place.get("name"), str):
                place["name"] = _plain(place["name"])


# Arithmetic that Keras 2 stored as TFOpLambda: function -> (layer for two tensors, scale and offset for a constant c).
ARITHMETIC: dict[str, tuple[str, Callable[[float], tuple[float, float]]]] = {
    name: (kind, scale_and_offset)
    for names, kind, scale_and_offset in (
        (("__operators__.add", "math.add"), "Add", lambda c: (1.0, c)),
        (("math.subtract",), "Subtract", lambda c: (1.0, -c)),
        (("math.multiply",), "Multiply", lambda c: (c, 0.0)),
        (("math.truediv", "math.divide"), "", lambda c: (1.0 / c, 0.0)),
    )
    for name in names
}


def _repair_operator(layer: dict[str, Any]) -> None:
    """Turn ``x + 3.0`` into a Rescaling and ``x + y`` into an Add; other operators stay and are rejected later."""
    kind, scale_and_offset = ARITHMETIC.get(layer["config"].get("function"), ("", None))
    calls = layer["inbound_nodes"]
    place = {"module": "keras.layers", "registered_name": None} if "module" in layer else {}
    if scale_and_offset is None or len(calls) != 1:
        return
    # One call: ["layer", call, output, {"y": 3.0 or ["layer", call, output], "name": null}]
    *first, settings = calls[0]
    second = settings.get("y")
    if isinstance(second, (int, float)) and len(first) == 3 and isinstance(first[0], str):
        scale, offset = scale_and_offset(float(second))
        layer |= place | {"class_name": "Rescaling"}
        layer["config"] = {"name": layer["config"]["name"], "scale": scale, "offset": offset}
        layer["inbound_nodes"] = [[[*first, {}]]]
    elif kind and isinstance(second, list) and isinstance(first[0], str):
        layer |= place | {"class_name": kind}
        layer["config"] = {"name": layer["config"]["name"]}
        layer["inbound_nodes"] = [[[*first, {}], [*second, {}]]]


def _plain(name: str) -> str:
    return name.replace("/", "_")


def _open(path: Path, mode: str) -> Any:
    import h5py

    return h5py.File(path, mode)


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
