"""Which metric the user means: a name, or a function of their own."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import numpy as np

from litetuner.objectives.metrics import METRICS
from litetuner.objectives.metrics.metric import Metric
from litetuner.spaces.data.named_arrays import by_name
from litetuner.spaces.errors import ConfigError, nearest
from litetuner.spaces.tf import quiet_stdout
from litetuner.spaces.user_function import is_function, load_function

LOSSES = {"classification": "classification", "regression": "mean_squared_error"}


def find_metric(spec: str) -> Metric:
    """The metric of a name (``accuracy``) or of the user's ``module:function(y_true, y_pred) -> float``.

    For a model with several outputs ``accuracy@head`` (or ``module:function@head``) scores the output ``head``; a user's
    function without it gets dicts of all labels and outputs by name.

    Such a function gets the labels as they are stored (class numbers (n,), or numbers (n,) or (n, k)) and the model's raw
    outputs (n, ...). Attributes of the function say what it is; without them: ``direction`` "maximize", ``bounded`` False
    (not within [0, 1], so a drop is relative), ``task`` "classification", ``default_loss`` the task's ("classification"
    for a cross-entropy that fits the output, else "mean_squared_error").

        def hits(y_true, y_pred): ...
        hits.direction = "maximize"
        hits.bounded = True

    Raises ``ConfigError`` for an unknown name (the nearest is suggested), a missing function or a wrong attribute.
    """
    name, at, output = spec.partition("@")
    if at and not output:
        raise ConfigError(f"--metric {spec}: name the output to score after @, such as {name}@head.")
    if name in METRICS:
        return METRICS[name](output or None)
    if is_function(name):
        return _user_metric(name, load_function(name, "--metric"), output or None)
    known = f"Known: {', '.join(sorted(METRICS))}; or your own as module:function."
    raise ConfigError(f"there is no metric {name!r}{nearest(name, METRICS) or '.'} {known}")


def _user_metric(spec: str, function: Callable[..., Any], output: str | None) -> Metric:
    def attribute(key: str, default: Any, allowed: tuple[Any, ...] | type) -> Any:
        value = getattr(function, key, default)
        if not (isinstance(value, allowed) if isinstance(allowed, type) else value in allowed):
            wanted = allowed.__name__ if isinstance(allowed, type) else " or ".join(map(repr, allowed))
            raise ConfigError(f"--metric {spec}: {function!r} has {key} = {value!r}, it must be {wanted}")
        return value

    metric_task = attribute("task", "classification", ("classification", "regression"))
    metric_direction = attribute("direction", "maximize", ("maximize", "minimize"))
    metric_bounded = attribute("bounded", False, bool)
    metric_loss = attribute("default_loss", LOSSES[metric_task], str)

    class UserMetric(Metric):
        """A metric of the user's own; its interval comes from resampling, as nothing is known of single samples."""

        name: ClassVar[str] = spec
        direction: ClassVar[Literal["maximize", "minimize"]] = metric_direction
        bounded: ClassVar[bool] = metric_bounded
        task: ClassVar[Literal["classification", "regression"]] = metric_task
        default_loss: ClassVar[str] = metric_loss
        takes_all: ClassVar[bool] = True

        def score(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
            try:
                with quiet_stdout():
                    value = float(function(by_name(y_true), by_name(y_pred)))
            except Exception as error:
                raise ConfigError(
                    f"--metric {spec} failed on labels of shape {y_true.shape} and outputs of shape {y_pred.shape}: "
                    f"{type(error).__name__}: {error}. It must take (y_true, y_pred) and return one number."
                ) from error
            if not math.isfinite(value) or (metric_bounded and not 0 <= value <= 1):
                bounds = "a number within [0, 1], as its attribute bounded says"
                due = bounds if metric_bounded else "a finite number"
                raise ConfigError(f"--metric {spec} returned {value}; it must return {due}")
            return value

    return UserMetric(output)
