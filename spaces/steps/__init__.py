"""Every compression technique, one file each; a new file registers itself."""

from litetuner.spaces.registry import Registry
from litetuner.spaces.step import Step

STEPS = Registry(__name__, list(__path__), Step)
