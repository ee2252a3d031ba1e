"""litetuner: give it a trained Keras model, data and a budget; get the Pareto front of TensorFlow Lite files.

    run = litetuner.tune("model.keras", "data.npz", max_drop="1%", max_compressed_size="60kB", time_budget="30m")
    run.best()
    run.export("out/")

Importing this loads neither TensorFlow nor Optuna.
"""

from litetuner.run import Run, rebuild, tune
from litetuner.spaces.errors import ConfigError, DataError, HostError, LitetunerError, ModelError, RunError, UsageError

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
    "rebuild",
    "tune",
]
