"""Error messages of ``loading``: why a model file cannot be opened, and what to do."""

from pathlib import Path
from typing import Any

from litetuner.spaces.errors import keras_error_text, nearest
from litetuner.spaces.models.keras_graph import is_operator_class
from litetuner.spaces.models.loading.keras2_files import layers_of

SUFFIXES = (".keras", ".h5", ".hdf5")
TRUST = "If you made the file yourself, --trust-model opens it anyway."


def missing_file(path: Path) -> str:
    """The message for a file that does not exist; it lists models in the same folder."""
    folder = path.parent
    if not folder.is_dir():
        return f"there is no folder {folder}, so no model {path.name} in it."
    names = [item.name for item in folder.iterdir() if item.suffix in SUFFIXES or (item / "saved_model.pb").exists()]
    seen = f" Models there: {', '.join(sorted(names)[:8])}." if names else ""
    return f"there is no file {path}{nearest(path.name, names) or '.'}{seen}"


def unreadable_file(path: Path, config: dict[str, Any], error: Exception) -> str:
    """The message for a file that Keras 3 rejects: what is wrong, and what to do."""
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
        if path.suffix != ".keras" and is_operator_class(layer["class_name"]):
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
        f"{path} cannot be read by Keras 3: {keras_error_text(error)} Save it again with a current Keras, or give "
        f"module:function that builds the model and loads its weights. {TRUST}"
    )


def _is_helper(layer: dict[str, Any]) -> bool:
    module = str(layer.get("module"))
    elsewhere = module.startswith("keras") and not module.startswith("keras.layers")
    return elsewhere or layer["class_name"] in ("Policy", "DTypePolicy")
