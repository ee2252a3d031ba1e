"""Every executor, one file each; a new file registers itself."""

from litetuner.search.runtime.executors.executor import Executor
from litetuner.spaces.registry import Registry

EXECUTORS = Registry(__name__, list(__path__), Executor)
