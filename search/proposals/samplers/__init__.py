"""Every sampler, one file each; a new file registers itself."""

from litetuner.search.proposals.samplers.base import Sampler
from litetuner.spaces.registry import Registry

SAMPLERS = Registry(__name__, list(__path__), Sampler)
