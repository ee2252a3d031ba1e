"""Every profile, one file each; a new file registers itself."""

from litetuner.objectives.profiles.profile import Profile
from litetuner.spaces.registry import Registry

PROFILES = Registry(__name__, list(__path__), Profile)
