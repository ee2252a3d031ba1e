"""Find the metric that the user chose: a built-in metric by name, or the user's own function."""

import inspect
import math
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import numpy as np

from litetuner.objectives.metrics import METRICS
from litetuner.objectives.metrics.metric import Metric
from litetuner.spaces.data.named_arrays import by_name
from litetuner.spaces.errors import ConfigError, nearest
from litetuner.spaces.jobs.python_functions import shown_name
from litetuner.spaces.models.decision import CLASSIFICATION, TASKS, Decision
from litetuner.spaces.tf import quiet_stdout
from litetuner.spaces.user_function import is_function, load_function

LOSSES = {"classification": "classification", "regression": "mean_squared_error", "raw": "classification"}
KINDS = {"classification": CLASSIFICATION, "regression": ("regression",), "raw": TASKS}


def find_metric(spec: str, decision: Decision | None = None) -> Metric:
    """The metric for a name (``accuracy``) or for the user's ``module:function(y_true, y_pred) -> float``.

    For a model with several outputs, ``accuracy@head`` (or ``module:function@head``) scores the output ``head``.
    Without ``@head``, a user's function gets dicts with all labels and all outputs by name.

    A user's function gets the labels unchanged, and the model's raw outputs (n, ...). It also gets the samples if it
    has a parameter ``x``, and the group of each sample if it has a parameter ``groups`` (``g_search`` and ``g_test`` of
    the data; without them, every sample is its own group). Attributes of the function describe it. Their defaults are:
    ``direction`` "maximize", ``bounded`` False (not within [0, 1], so a drop is relative), ``task`` "raw" (with
    "classification" it gets class numbers, with "regression" float32), ``default_loss`` the loss that the model was
    compiled with. ``decision`` says how outputs are read; only scoring needs it.

        def hits(y_true, y_pred): ...
        hits.direction = "maximize"
        hits.bounded = True

    Raises ``ConfigError`` for an unknown name (with the nearest known name), a missing function or a wrong attribute.
    """
    name, at, output = spec.partition("@")
    if at and not output:
        raise ConfigError(f"--metric {spec}: name the output to score after @, such as {name}@head.")
    kind = METRICS.get(name) or next((made for unit in METRICS.values() if (made := unit.numbered(name))), None)
    if kind is None and is_function(name):
        kind = _user_metric(name, load_function(name, "--metric"))
    if kind is not None:
        return kind(output or None, decision)
    known = f"Known: {', '.join(sorted(METRICS))}; or your own as module:function."
    raise ConfigError(f"there is no metric {name!r}{nearest(name, METRICS) or '.'} {known}")


def _user_metric(spec: str, function: Callable[..., Any]) -> type[Metric]:
    told = shown_name(spec)

    def attribute(key: str, default: Any, allowed: tuple[Any, ...] | type) -> Any:
        value = getattr(function, key, default)
        if not (isinstance(value, allowed) if isinstance(allowed, type) else value in allowed):
            wanted = allowed.__name__ if isinstance(allowed, type) else " or ".join(map(repr, allowed))
            raise ConfigError(f"--metric {told}: {function!r} has {key} = {value!r}, it must be {wanted}")
        return value

    metric_task = attribute("task", "raw", tuple(KINDS))
    metric_direction = attribute("direction", "maximize", ("maximize", "minimize"))
    metric_bounded = attribute("bounded", False, bool)
    metric_loss = attribute("default_loss", LOSSES[metric_task], str)

    class UserMetric(Metric):
        """The user's own metric. Its interval comes from resampling, because it has no values for single samples."""

        name: ClassVar[str] = shown_name(spec)
        direction: ClassVar[Literal["maximize", "minimize"]] = metric_direction
        bounded: ClassVar[bool] = metric_bounded
        tasks: ClassVar[tuple[str, ...]] = KINDS[metric_task]
        default_loss: ClassVar[str] = metric_loss
        own_loss: ClassVar[bool] = hasattr(function, "default_loss")
        takes: ClassVar[tuple[str, ...]] = _also_taken(function)
        takes_all: ClassVar[bool] = True

        def score(self, y_true: np.ndarray, y_pred: np.ndarray, **more: np.ndarray) -> float:
            given = {name: by_name(more[name]) for name in self.takes}
            try:
                with quiet_stdout():
                    value = float(function(by_name(y_true), by_name(y_pred), **given))
            except Exception as error:
                raise ConfigError(
                    f"--metric {told} failed on labels of shape {y_true.shape} and outputs of shape {y_pred.shape}: "
                    f"{type(error).__name__}: {error}. It must take (y_true, y_pred) and return one number."
                ) from error
            if not math.isfinite(value) or (metric_bounded and not 0 <= value <= 1):
                bounds = "a number within [0, 1], as its attribute bounded says"
                due = bounds if metric_bounded else "a finite number"
                raise ConfigError(f"--metric {told} returned {value}; it must return {due}")
            return value

    return UserMetric


def _also_taken(function: Callable[..., Any]) -> tuple[str, ...]:
    """The names among ``x`` and ``groups`` that a function has as parameters after ``y_true`` and ``y_pred``."""
    try:
        names = list(inspect.signature(function).parameters)[2:]
    except (TypeError, ValueError):  # a function written in C has no signature
        return ()
    return tuple(name for name in ("x", "groups") if name in names)
