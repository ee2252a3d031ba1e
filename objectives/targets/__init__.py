"""All targets, one file each. A new file is registered automatically."""

from litetuner.objectives.targets.target import Target
from litetuner.spaces.registry import Registry

TARGETS = Registry(__name__, list(__path__), Target)
