"""Models and arrays that live in memory, written down once so that worker processes and a resumed run find them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from litetuner.spaces.errors import DataError, ModelError

INPUTS = Path("runs") / "inputs"


def as_model_source(model: Any) -> str:
    """A path or ``module:function`` as it is; a Keras model is saved under a name that says what is in it."""
    if isinstance(model, str | Path):
        return str(model)
    if not (hasattr(model, "save") and hasattr(model, "get_weights") and hasattr(model, "to_json")):
        raise ModelError(f"model: {type(model).__name__} is neither a path, a 'module:function' nor a Keras model.")
    seen = hashlib.sha256(json.dumps(json.loads(model.to_json()), sort_keys=True).encode())
    for weight in model.get_weights():
        seen.update(np.ascontiguousarray(weight).tobytes())
    old = type(model).__module__.startswith("tf_keras")
    path = INPUTS / f"{model.name}-{seen.hexdigest()[:12]}{'.h5' if old else '.keras'}"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        model.save(path)
    return str(path)


def as_data_source(data: Any) -> str:
    """A path or ``module:function`` as it is; a dictionary of arrays is saved under a name that says what is in it."""
    if isinstance(data, str | Path):
        return str(data)
    if not isinstance(data, Mapping):
        raise DataError(
            f"data: {type(data).__name__} is neither a path, a 'module:function' nor a dictionary of arrays."
        )
    arrays = {name: np.asarray(values) for name, values in data.items()}
    seen = hashlib.sha256()
    for name in sorted(arrays):
        if arrays[name].dtype == object:
            raise DataError(
                f"data: {name} is an array of Python objects; give numbers (dtype float32, uint8, int64, ...)."
            )
        seen.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        seen.update(np.ascontiguousarray(arrays[name]).tobytes())
    path = INPUTS / f"data-{seen.hexdigest()[:12]}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
    return str(path)
