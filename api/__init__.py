"""litetuner: from a trained Keras model, data and budgets to a Pareto front of TensorFlow Lite files.

    run = litetuner.tune("model.keras", "data.npz", max_drop="1%", max_compressed_size="60kB", time_budget="30m")
    run.best()
    run.export("out/")

Importing this loads neither TensorFlow nor Optuna.
"""

from litetuner.diagnosis import doctor
from litetuner.files import measure, slim
from litetuner.inspecting import inspect
from litetuner.rebuilding import rebuild
from litetuner.regression import check
from litetuner.run import Run, compare
from litetuner.spaces.errors import ConfigError, DataError, HostError, LitetunerError, ModelError, RunError, UsageError
from litetuner.tuning import apply, init, tune

__version__ = "0.2.0"

__all__ = [
    "ConfigError",
    "DataError",
    "HostError",
    "LitetunerError",
    "ModelError",
    "Run",
    "RunError",
    "UsageError",
    "__version__",
    "apply",
    "check",
    "compare",
    "doctor",
    "init",
    "inspect",
    "measure",
    "rebuild",
    "slim",
    "tune",
]
