"""Every compression technique, one file each; a new file registers itself."""

from litetuner.spaces.registry import classes
from litetuner.spaces.step import Step

STEPS: dict[str, type[Step]] = classes(__name__, list(__path__), Step)
