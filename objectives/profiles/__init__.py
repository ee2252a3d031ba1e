"""Every profile, one file each; a new file registers itself."""

from litetuner.objectives.profile import Profile
from litetuner.spaces.registry import classes

PROFILES: dict[str, type[Profile]] = classes(__name__, list(__path__), Profile)
