"""Converts models, data and functions that are Python objects to values of a configuration.

Models and arrays are saved once, under a name that depends on their content, so that worker processes and a resumed run find
them. Functions stay in memory (``spaces/jobs/python_functions.py``).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from litetuner.spaces.errors import DataError, ModelError
from litetuner.spaces.jobs.python_functions import name_of
from litetuner.spaces.store import cannot_write

if TYPE_CHECKING:
    from litetuner.search.config.config import Config

INPUTS = Path("runs") / "inputs"
FUNCTIONS = ("metric", "preprocess", "loss", "fit", "custom_objects")  # keys that may be Python functions
FORMS = (
    "Give a path, 'module:function', an array, (x, y), ((x_train, y_train), (x_test, y_test)), a dict of arrays (x_train, "
    "y_train, ...), a pandas DataFrame with label='COLUMN', a tf.data.Dataset of (x, y), or a function that returns one of these."
)


def checked_config(values: Mapping[str, Any], where: str, *, data: bool = True) -> Config:
    """Make a configuration. Model, data and functions are checked as far as possible without TensorFlow.

    Raises ``UsageError`` for invalid input. This takes less than a second if the files are local.
    """
    from litetuner.search.config.config import make_config
    from litetuner.search.config.early_checks import check_inputs
    from litetuner.search.runs.other_runs import earlier_trials
    from litetuner.search.runtime.executors import EXECUTORS
    from litetuner.search.session import check_names

    config = make_config(values, where=where)
    check_names(config)
    earlier_trials(config.from_run)  # raises an error now if this is not a run
    if not EXECUTORS[config.executor].simulated:
        check_inputs(config, data=data)
    return config


def as_values(model: Any, data: Any, keys: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a configuration for a model, data and keys that may be Python objects.

    Raises ``ModelError``, ``DataError`` or ``ConfigError`` for input that cannot be used, ``HostError`` or ``RunError``
    if it cannot be written.
    """
    source = as_model_source(model)
    data = as_data_source(data, _shapes(model), keys.get("label"))
    return {"model": source, "data": data} | as_keys(keys)


def as_keys(keys: Mapping[str, Any]) -> dict[str, Any]:
    """The keys, with functions and a dict of custom layers replaced by names. Raises ``ConfigError``."""
    from litetuner.spaces.models.loading.custom_objects import checked_objects

    named = {key: value for key, value in keys.items() if key in FUNCTIONS and callable(value)}
    objects = keys.get("custom_objects")
    if isinstance(objects, Mapping):
        checked_objects(objects, "custom_objects")
        named["custom_objects"] = dict(objects)
    return {key: name_of(named[key], key) if key in named else value for key, value in keys.items()}


def as_model_source(model: Any) -> str:
    """The value of ``model`` in a configuration: a path, ``module:function``, or the name of a Python function.

    A Keras model is saved, under a name that depends on its content. Raises ``ModelError`` for anything else, or if the
    model cannot be saved. Raises ``HostError`` or ``RunError`` if it cannot be written.
    """
    if isinstance(model, str | Path):
        return str(model)
    if not (hasattr(model, "save") and hasattr(model, "get_weights") and hasattr(model, "to_json")):
        if callable(model):
            return name_of(model, "model")
        raise ModelError(
            f"model: {type(model).__name__} is neither a path, a 'module:function', a Keras model nor a function that returns "
            "one."
        )
    if not model.built:
        raise ModelError(
            f"model: {model.name!r} was never built, so its input shape is not known. Start it with keras.Input(shape), or "
            "call it on a batch first."
        )
    try:
        seen = hashlib.sha256(json.dumps(json.loads(model.to_json()), sort_keys=True).encode())
    except NotImplementedError as error:
        raise ModelError(
            f"model: {type(model).__name__} is a subclassed model, whose layers are hidden in code. Rebuild it with the "
            "functional API: outputs = model.call(inputs); keras.Model(inputs, outputs)."
        ) from error
    for weight in model.get_weights():
        seen.update(np.ascontiguousarray(weight).tobytes())
    old = type(model).__module__.startswith("tf_keras")
    return _kept(f"{model.name}-{seen.hexdigest()[:12]}", ".h5" if old else ".keras", model.save)


def as_data_source(
    data: Any, shapes: Mapping[str, tuple[int | None, ...]] | None = None, label: str | None = None
) -> str:
    """The value of ``data`` in a configuration: a path, ``module:function``, or the name of a Python function.

    Arrays, tables and datasets are saved as one ``.npz``. ``shapes`` are the known shapes of the model's inputs, which
    show whether a dataset is batched. ``label`` is the column of a DataFrame that holds the labels. Raises
    ``DataError`` for anything else, ``HostError`` or ``RunError`` if the data cannot be written.
    """
    if isinstance(data, str | Path):
        return str(data)
    if callable(data):
        return name_of(data, "data")
    return _kept_arrays(_arrays(data, shapes or {}, label))


def _arrays(data: Any, shapes: Mapping[str, tuple[int | None, ...]], label: str | None) -> dict[str, np.ndarray]:
    """The arrays of ``data`` by their keys in an ``.npz``. Raises ``DataError``."""
    from litetuner.spaces.data.raw import RawData
    from litetuner.spaces.data.sources.functions import is_dataset, read_value
    from litetuner.spaces.data.sources.streams import Streams
    from litetuner.spaces.data.sources.tables import table_data

    raw: RawData
    if hasattr(data, "iloc") and hasattr(data, "columns"):
        raw = table_data("data", data, label, Streams(INPUTS).scratch)
    elif isinstance(data, np.ndarray):
        raw = read_value("data", {"x_train": data}, shapes, Streams())
    elif isinstance(data, Mapping | tuple) or is_dataset(data):
        raw = read_value("data", data, shapes, Streams(INPUTS))
    else:
        raise DataError(f"data: {type(data).__name__} cannot be used. {FORMS}")
    found: dict[str, Any] = {**raw.extras}
    for split, (x, y) in raw.splits.items():
        for axis, values in (("x", x), ("y", y)):
            if isinstance(values, Mapping):
                found |= {f"{axis}_{split}:{name}": part for name, part in values.items()}
            elif values is not None:
                found[f"{axis}_{split}"] = values
    return found


def _kept_arrays(arrays: dict[str, np.ndarray]) -> str:
    from litetuner.spaces.data.arrays import chunks

    seen = hashlib.sha256()
    for name in sorted(arrays):
        values = arrays[name]
        if values.dtype == object:
            raise DataError(
                f"data: {name} is an array of Python objects; give numbers (dtype float32, uint8, int64, ...)."
            )
        seen.update(f"{name} {values.dtype} {values.shape}".encode())
        for part in chunks(values) if values.ndim else (values,):
            seen.update(np.ascontiguousarray(part).tobytes())

    def save(path: str) -> None:
        with open(path, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    return _kept(f"data-{seen.hexdigest()[:12]}", ".npz", save)


def _shapes(model: Any) -> Mapping[str, tuple[int | None, ...]]:
    """The shapes of a model's inputs by name, empty if they are not known without loading the model."""
    from litetuner.search.config.early_checks import input_shapes

    if isinstance(model, str | Path):
        with contextlib.suppress(OSError, zipfile.BadZipFile, KeyError, ValueError), zipfile.ZipFile(model) as archive:
            return input_shapes(json.loads(archive.read("config.json")))
        return {}
    tensors = getattr(model, "inputs", None) or ()
    return {getattr(item, "name", ""): tuple(item.shape) for item in tensors}


def _kept(name: str, suffix: str, save: Callable[[str], Any]) -> str:
    """Write an input file atomically and return its path. An existing file is kept."""
    path = INPUTS / f"{name}{suffix}"
    if path.exists():
        return str(path)
    temporary = path.with_name(f".{secrets.token_hex(4)}{suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save(str(temporary))
        os.replace(temporary, path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        if temporary.exists():
            temporary.unlink()
    return str(path)
