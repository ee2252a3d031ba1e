"""Checks of model, data and functions in under a second, before targets are contacted or TensorFlow is loaded."""

import csv
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from litetuner.search.config.config import Config
from litetuner.search.config.toml_file import nearest_file
from litetuner.spaces.data.raw import RawData, check_keys, raw_data
from litetuner.spaces.data.samples import fitted_shape
from litetuner.spaces.data.sources.images import SUFFIXES as IMAGES
from litetuner.spaces.data.sources.npz import check_npz
from litetuner.spaces.data.sources.tables import check_label
from litetuner.spaces.data.splits import check_given
from litetuner.spaces.errors import DataError, ModelError
from litetuner.spaces.jobs.python_functions import is_python_function
from litetuner.spaces.user_function import check_named, is_function

Shapes = Mapping[str, tuple[int | None, ...]]
FUNCTIONS = {
    "metric": "--metric",
    "preprocess": "--preprocess",
    "loss": "loss",
    "fit": "fit",
    "custom_objects": "custom objects",
}


def check_inputs(config: Config, *, data: bool = True) -> None:
    """Raise ``ModelError``, ``DataError`` or ``ConfigError`` for what a worker would reject, with the same message.

    Only the headers of files are read, and functions are looked up in the source text of their modules. Anything that
    cannot be decided this way passes.
    """
    for key, purpose in FUNCTIONS.items():
        given = getattr(config, key)
        spec = "" if given is None else given.partition("@")[0]
        if is_function(spec) and not is_python_function(spec):
            check_named(spec, purpose)
    shapes = _check_model(config)
    if data:
        _check_data(config, shapes)


def _check_model(config: Config) -> Shapes:
    """Check the model's path or function; return the shapes of its inputs by name, if its file contains them."""
    from litetuner.spaces.models.loading.load import check_model_path

    if _is_function(config.model, "model"):
        return {}
    path = Path(config.model).expanduser()
    if not path.exists():
        names = [item.name for item in path.parent.iterdir()] if path.parent.is_dir() else []
        folder = "" if names else f" (nor does the folder {path.parent})"
        raise ModelError(f"model: {path} does not exist{nearest_file(path, names)}{folder}")
    return input_shapes(check_model_path(path, config.trust_model))


def input_shapes(architecture: Any) -> Shapes:
    """The shapes of the inputs by name, from the architecture in a Keras file; empty if they are not in it."""
    try:
        layers = [layer["config"] for layer in architecture["config"]["layers"] if layer["class_name"] == "InputLayer"]
        return {layer["name"]: tuple(layer["batch_shape"]) for layer in layers}
    except (KeyError, TypeError):
        return {}


def _is_function(given: str, purpose: str) -> bool:
    if not is_function(given) or Path(given).exists():
        return False
    if not is_python_function(given):
        check_named(given, purpose)
    return True


def _check_data(config: Config, shapes: Shapes) -> None:
    if _is_function(config.data, "--data"):
        return
    path = Path(config.data).expanduser()
    if path.is_dir():
        _check_folder(path)
    elif path.suffix.lower() == ".csv" and path.is_file():
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            check_label(str(path), config.label, next(csv.reader(file), []))
    elif path.suffix.lower() != ".parquet" and path.is_file():
        _check_npz(path, config, shapes)
    elif not path.is_file():
        names = [item.name for item in path.parent.iterdir()] if path.parent.is_dir() else []
        folder = "" if names else f" (nor does the folder {path.parent})"
        raise DataError(f"data: {path} does not exist{nearest_file(path, names)}{folder}")


def _check_folder(path: Path) -> None:
    inside = [item for item in path.iterdir() if not item.name.startswith(".")]
    if not any(item.is_dir() for item in inside):
        found = sum(item.suffix.lower() in IMAGES for item in inside)
        what = f"{found} image{'s' * (found != 1)}, and no subfolder" if found else "no subfolder"
        raise DataError(f"{path} has {what}. A folder of images has one subfolder per class, named as the class.")


def _check_npz(path: Path, config: Config, shapes: Shapes) -> None:
    """Check keys, types, lengths and shapes from the headers of the arrays alone."""
    check_npz(path)
    headers = _headers(path)
    raw = raw_data(str(path), {key: headers[key] for key in check_keys(str(path), list(headers))})
    for split, (x, y) in raw.splits.items():
        samples = x if isinstance(x, dict) else {"": x}
        labels = y if isinstance(y, dict) else {"": y}
        for name, rows in samples.items():
            for part in labels.values():
                if part is not None and len(part) != len(rows):
                    key = f"{split}:{name}" if name else split
                    raise DataError(f"{path}: x_{key} has {len(rows)} samples, y_{split} has {len(part)} labels")
        if any(part is not None and len(part) == 0 for part in labels.values()):
            raise DataError(f"{path}: the {split} split is empty. Fill it, or leave x_{split} and y_{split} out.")
    unlabeled = sum(split == "train" and y is None for split, (_, y) in raw.splits.items())
    check_given({split: y for split, (_, y) in raw.splits.items() if y is not None}, unlabeled)
    if config.preprocess is None and len(shapes) == 1:
        _check_shapes(raw, next(iter(shapes.values())))


def _check_shapes(raw: RawData, expected: tuple[int | None, ...]) -> None:
    for split, (x, _) in raw.splits.items():
        if isinstance(x, np.ndarray):
            fitted_shape(f"x_{split}", x.shape[1:], expected[1:])


def _headers(path: Path) -> dict[str, np.ndarray]:
    """For each array in the file, a placeholder of its shape and type. Raises ``DataError`` for Python objects."""
    found = {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if not name.endswith(".npy"):
                continue
            with archive.open(name) as member:
                try:
                    version = np.lib.format.read_magic(member)
                    read = (
                        np.lib.format.read_array_header_1_0
                        if version == (1, 0)
                        else np.lib.format.read_array_header_2_0
                    )
                    shape, _, dtype = read(member)
                except (ValueError, OSError, EOFError, zipfile.BadZipFile):
                    continue  # a worker reports the error later
            key = name.removesuffix(".npy")
            if dtype.hasobject:
                raise DataError(
                    f"{path}: {key} cannot be read as a plain array. Python objects, such as lists of different lengths, are "
                    "refused: store arrays of numbers."
                )
            found[key] = np.broadcast_to(np.zeros((), dtype), shape)
    return found
