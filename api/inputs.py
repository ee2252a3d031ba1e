"""Models and arrays in memory are saved once, so that worker processes and a resumed run find them."""

import hashlib
import json
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from litetuner.spaces.errors import DataError, ModelError
from litetuner.spaces.store import cannot_write

INPUTS = Path("runs") / "inputs"


def as_model_source(model: Any) -> str:
    """A path or ``module:function`` as it is; a Keras model is saved under a name that depends on its content.

    Raises ``ModelError`` for anything else, or if it cannot be saved; ``HostError`` or ``RunError`` if it cannot be written.
    """
    if isinstance(model, str | Path):
        return str(model)
    if not (hasattr(model, "save") and hasattr(model, "get_weights") and hasattr(model, "to_json")):
        raise ModelError(f"model: {type(model).__name__} is neither a path, a 'module:function' nor a Keras model.")
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


def as_data_source(data: Any) -> str:
    """A path or ``module:function`` as it is; a dictionary of arrays is saved under a name that depends on its content.

    Raises ``DataError`` for anything else, ``HostError`` or ``RunError`` if it cannot be written.
    """
    if isinstance(data, str | Path):
        return str(data)
    if not isinstance(data, Mapping):
        kind = type(data).__name__
        raise DataError(f"data: {kind} is neither a path, a 'module:function' nor a dictionary of arrays.")
    arrays: dict[str, np.ndarray] = {}
    seen = hashlib.sha256()
    for name in sorted(data, key=str):
        try:
            arrays[str(name)] = values = np.asarray(data[name])
        except ValueError as error:
            raise DataError(f"data: {name} is no array ({error}). All samples must have one shape.") from error
        if values.dtype == object:
            raise DataError(
                f"data: {name} is an array of Python objects; give numbers (dtype float32, uint8, int64, ...)."
            )
        seen.update(f"{name} {values.dtype} {values.shape}".encode())
        seen.update(np.ascontiguousarray(values).tobytes())

    def save(path: str) -> None:
        with open(path, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    return _kept(f"data-{seen.hexdigest()[:12]}", ".npz", save)


def _kept(name: str, suffix: str, save: Callable[[str], Any]) -> str:
    """The path of an input, written completely or not at all; an existing one is kept."""
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
