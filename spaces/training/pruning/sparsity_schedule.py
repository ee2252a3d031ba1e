"""Sparsity schedules: tfmot's schedules, scaled to the number of training steps, or a function of the user."""

import dataclasses
import math
from typing import Any

from litetuner.spaces.errors import Refused, nearest
from litetuner.spaces.user_function import error_text, is_function, load_function

KNOWN = ("constant", "polynomial")


@dataclasses.dataclass(frozen=True)
class Rise:
    """When masks are updated, and their sparsity at each update.

    ``begin`` and ``end`` are shares of the training's steps: the polynomial schedule updates masks between them, and
    the remaining steps recover accuracy. There are about ``updates`` mask updates (each one sorts every kernel); fewer
    if there are fewer steps, but at least one.
    """

    kind: str = "polynomial"
    initial: float = 0.0
    power: float = 3.0
    begin: float = 0.0
    end: float = 0.6
    updates: int = 40

    def __post_init__(self) -> None:
        if self.kind not in KNOWN and not is_function(self.kind):
            raise Refused(
                f"prune: there is no schedule {self.kind!r}{nearest(self.kind, KNOWN)}; give one of {', '.join(KNOWN)}, "
                "or module:function, which is given a step (1, 2, 3...) and returns the sparsity"
            )
        if not 0 <= self.begin < self.end <= 1:
            raise Refused(
                f"prune: the schedule begins at {self.begin:g} and ends at {self.end:g} of the training; 0 <= begin < end <= 1"
            )
        if not 0 <= self.initial < 1 or self.power <= 0 or self.updates < 1:
            raise Refused("prune: initial must lie in [0, 1), power above 0, updates at 1 or above")

    def schedule(self, target: float, whole: float, steps: int) -> Any:
        """A tfmot schedule that increases a layer's sparsity to ``target`` within ``steps``; ``whole`` is the model's.

        tfmot's wrapper counts steps from 1. The last update is always at the last step of the ramp, even of a short
        ramp.
        """
        import tensorflow_model_optimization as tfmot

        sparsity = tfmot.sparsity.keras
        if self.kind == "constant":
            return sparsity.ConstantSparsity(target, begin_step=1, end_step=-1, frequency=max(1, steps // self.updates))
        begin = min(int(self.begin * steps), steps - 1)
        ramp = max(1, min(int(self.end * steps), steps) - begin)
        frequency = max(1, ramp // self.updates)
        end = begin + frequency * (ramp // frequency)
        if self.kind == "polynomial":
            start = min(self.initial, whole) * target / whole
            return sparsity.PolynomialDecay(
                start, target, begin_step=begin, end_step=end, frequency=frequency, power=self.power
            )
        return _table(self.values(steps, whole), target / whole, max(1, steps // self.updates))

    def beginning(self, whole: float, steps: int) -> float:
        """The sparsity at the first step, as a share of the final one (``whole``)."""
        if self.kind == "constant":
            return 1.0
        first = self.initial if self.kind == "polynomial" else self.values(steps, whole)[0]
        return min(first, whole) / whole

    def values(self, steps: int, whole: float) -> list[float]:
        """The sparsity of the user's function at the steps 1 to ``steps``.

        Raises ``Refused`` if the function fails, if a value is not in [0, 1), or if the last value is not ``whole``.
        """
        function = load_function(self.kind, "prune: schedule")
        try:
            values = [float(function(step)) for step in range(1, steps + 1)]
        except Exception as error:
            raise Refused(f"prune: the schedule {self.kind} failed: {error_text(error)}") from error
        wrong = next((step for step, value in enumerate(values, 1) if not 0 <= value < 1), None)
        if wrong is not None:
            raise Refused(f"prune: {self.kind} gives {values[wrong - 1]:g} at step {wrong}; a sparsity lies in [0, 1)")
        if not math.isclose(values[-1], whole, abs_tol=1e-3):
            raise Refused(
                f"prune: {self.kind} gives {values[-1]:g} at the last step {steps}, and the sparsity that was asked for is "
                f"{whole:g}"
            )
        return values


def _table(values: list[float], share: float, frequency: int) -> Any:
    """A tfmot schedule that reads the sparsity of each step from a list; it also updates masks at the last step."""
    import tensorflow as tf
    from tensorflow_model_optimization.python.core.sparsity.keras.pruning_schedule import PruningSchedule

    class Table(PruningSchedule):  # type: ignore[misc]
        def __call__(self, step: Any) -> tuple[Any, Any]:
            place = tf.clip_by_value(tf.cast(step, tf.int32) - 1, 0, len(values) - 1)
            due = tf.logical_or(tf.equal(place % frequency, 0), tf.equal(place, len(values) - 1))
            return due, tf.gather(tf.constant(values, tf.float32), place) * share

        def get_config(self) -> dict[str, Any]:
            return {"class_name": "Table", "config": {}}

        @classmethod
        def from_config(cls, config: dict[str, Any]) -> Any:
            raise NotImplementedError("a user's schedule is read from the step's knobs")

    return Table()
