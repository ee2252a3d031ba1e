"""The samplers, one file each. A new file in this folder is registered automatically."""

from litetuner.search.proposals.samplers.base import Sampler
from litetuner.spaces.registry import Registry

SAMPLERS = Registry(__name__, list(__path__), Sampler)
