"""Every metric that has a name, one file each; a new file registers itself."""

from litetuner.objectives.metrics.metric import Metric
from litetuner.spaces.registry import Registry

METRICS = Registry(__name__, list(__path__), Metric)
