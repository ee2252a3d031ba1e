"""All targets, one file each; a new file registers itself."""

from litetuner.objectives.targets.target import Target
from litetuner.spaces.registry import Registry

TARGETS = Registry(__name__, list(__path__), Target)
