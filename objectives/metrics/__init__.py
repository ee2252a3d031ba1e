"""Every metric that has a name, one file each; a new file registers itself."""

from litetuner.objectives.metric import Metric
from litetuner.spaces.registry import classes

METRICS: dict[str, type[Metric]] = classes(__name__, list(__path__), Metric)
