"""The models that jobs work on: the user's own, the tf_keras copy, and the trained model of a prefix."""

import functools
from collections.abc import Sequence
from typing import Any

from litetuner.spaces.context import Context
from litetuner.spaces.info import ModelInfo
from litetuner.spaces.jobs.workspace import Inspected, Sources, Workspace
from litetuner.spaces.step import Step
from litetuner.spaces.store import Store


def user_model(sources: Sources, info: ModelInfo | None = None) -> Any:
    """The user's model as it was loaded, kept in memory while its jobs come.

    ``info`` gives the sizes that the inspection decided for inputs of any size.
    """
    shapes = tuple((name, tuple(shape)) for name, shape in (info.inputs if info else {}).items())
    return _loaded(sources, info.sha256 if info else "", shapes)


def base_model(workspace: Workspace, inspected: Inspected) -> Any:
    """The tf_keras copy; the user's model where there is none."""
    if inspected.base is None:
        return user_model(workspace.sources, inspected.model).model
    return _read(workspace.blobs, inspected.base)


def restore(
    workspace: Workspace, base: str, checkpoints: Sequence[str], steps: Sequence[Step], context: Context
) -> Any:
    """The trained model of a prefix from its checkpoints (one a step): a wrapped one is wrapped again, then given its weights."""
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
    """Make the tf_keras twins of the user's layers known before a checkpoint is read."""
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
