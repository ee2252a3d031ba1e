"""All profiles, one file each. A new file is registered automatically."""

from litetuner.objectives.profiles.profile import Profile
from litetuner.spaces.registry import Registry

PROFILES = Registry(__name__, list(__path__), Profile)
