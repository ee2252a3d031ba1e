"""All built-in metrics, one file each. A new file is registered automatically."""

from litetuner.objectives.metrics.metric import Metric
from litetuner.spaces.registry import Registry

METRICS = Registry(__name__, list(__path__), Metric)
