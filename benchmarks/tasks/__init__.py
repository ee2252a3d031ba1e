"""Small models of many kinds with their data, each built and trained in seconds: ``from tasks import TASKS``."""

from tasks import images, pictures, sequences, several, tables
from tasks.task import TASKS, Made, Task

__all__ = ["TASKS", "Made", "Task", "images", "pictures", "sequences", "several", "tables"]
