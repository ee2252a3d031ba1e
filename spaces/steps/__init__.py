"""All compression techniques, one file each; a new file is registered automatically."""

import functools

from litetuner.spaces.registry import Registry
from litetuner.spaces.step import Role, Stage, Step

STEPS = Registry(__name__, list(__path__), Step)


@functools.cache  # a search makes thousands of calls
def steps_of(*stages: Stage) -> tuple[type[Step], ...]:
    """The step classes of the given stages, sorted by stage and by their order in it."""
    found = [kind for kind in STEPS.values() if kind.stage in stages]
    return tuple(sorted(found, key=lambda kind: (kind.stage, kind.order, kind.name)))


@functools.cache
def step_for(role: Role) -> type[Step]:
    """The step class that has a role."""
    return next(kind for kind in STEPS.values() if kind.role is role)


def layer_techniques() -> tuple[str, ...]:
    """The names of the steps that work on selected layers, in order."""
    return tuple(kind.name for kind in steps_of(*Stage) if kind.selects_layers)
