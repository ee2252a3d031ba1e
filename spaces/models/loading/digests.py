"""sha256 of models: of a file's bytes, or of architecture and weights."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from litetuner.spaces.models.loading.traced import TracedModel


def digest_model(model: Any) -> str:
    """sha256 over the architecture (of a traced model: its inputs and outputs) and the weights."""
    traced = isinstance(model, TracedModel)
    found = hashlib.sha256(
        (
            repr([(item.name, item.shape, item.dtype) for item in (*model.inputs, *model.outputs)])
            if traced
            else model.to_json()
        ).encode()
    )
    for weight in (model.trackable if traced else model).get_weights():
        found.update(weight.tobytes())
    return found.hexdigest()


def digest_path(path: Path) -> str:
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


def _described(model: TracedModel) -> str:
    return repr([(tensor.name, tensor.shape, tensor.dtype) for tensor in (*model.inputs, *model.outputs)])
