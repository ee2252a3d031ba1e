"""The models that jobs use: the user's own model, its tf_keras copy, and the trained model of a prefix."""

import functools
from collections.abc import Sequence
from typing import Any

from litetuner.spaces.context import Context
from litetuner.spaces.info import ModelInfo
from litetuner.spaces.jobs.workspace import Inspected, Sources, Workspace
from litetuner.spaces.step import Step
from litetuner.spaces.store import Store


def user_model(sources: Sources, info: ModelInfo | None = None) -> Any:
    """The user's model as loaded. It stays in memory until another model is loaded.

    ``info`` has the input sizes that the inspection chose for inputs of variable size.
    """
    shapes = tuple((name, tuple(shape)) for name, shape in (info.inputs if info else {}).items())
    return _loaded(sources, info.sha256 if info else "", shapes)


def base_model(workspace: Workspace, inspected: Inspected) -> Any:
    """The tf_keras copy of the user's model, or the user's model itself if there is no copy."""
    if inspected.base is None:
        return user_model(workspace.sources, inspected.model).model
    return _read(workspace.blobs, inspected.base)


def restore(
    workspace: Workspace, base: str, checkpoints: Sequence[str], steps: Sequence[Step], context: Context
) -> Any:
    """The trained model of a prefix, from its checkpoints (one per step).

    If a step wraps the model, the wrappers are created again and the stored weights are loaded into them.
    """
    from litetuner.spaces.models.checkpoint import read_model, set_weights
    from litetuner.spaces.models.keras_bridge.bridge import clone

    if not steps:
        return clone(_read(workspace.blobs, base))
    step = steps[-1]
    if not step.restored_by_wrapping:
        return read_model(workspace.blobs.get(checkpoints[-1]))
    parent = restore(workspace, base, checkpoints[:-1], steps[:-1], context)
    model = step.wrap(parent, context)
    set_weights(model, workspace.blobs.get(checkpoints[-1]))
    return model


def know_custom_layers(workspace: Workspace) -> None:
    """Register the tf_keras versions of the user's custom layers, which reading a checkpoint needs."""
    from litetuner.spaces.models.loading.custom_objects import load_custom_objects

    load_custom_objects(workspace.sources.custom_objects)


@functools.lru_cache(maxsize=1)
def _read(blobs: Store, blob: str) -> Any:
    from litetuner.spaces.models.checkpoint import read_model

    return read_model(blobs.get(blob))


@functools.lru_cache(maxsize=1)
def _loaded(sources: Sources, sha256: str, shapes: tuple[tuple[str, tuple[int | None, ...]], ...]) -> Any:
    from litetuner.spaces.models.loading.load import load_model, sized

    loaded = load_model(sources.model, trust=sources.trust, custom_objects=sources.custom_objects)
    return sized(loaded, dict(shapes), sources.model) if shapes else loaded
