"""All executors, one file each. A new file is registered automatically."""

from litetuner.search.runtime.executors.executor import Executor
from litetuner.spaces.registry import Registry

EXECUTORS = Registry(__name__, list(__path__), Executor)
