"""What the conversion itself costs: the user's own Keras model against the untouched float ``.tflite``."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from litetuner.reports.text.formatting import Interval, drop_words, loss_between, number
from litetuner.search.trial import Trial


@dataclasses.dataclass(frozen=True)
class Conversion:
    """``gap`` is counted as drops are: in points for metrics within [0, 1], else relative, above 0 where the file is worse.

    Both were scored on the first ``samples`` samples of the search split; the interval is of 95 % and paired.
    """

    keras_metric: float
    gap: float
    gap_interval: Interval | None
    samples: int | None

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def words(self, metric: str, bounded: bool) -> str:
        """One sentence: what the original scores, and what the file loses of it."""
        on = f"on {self.samples:,} samples of the search split" if self.samples else "on the search split"
        text = f"What the conversion to .tflite itself cost: {metric} of the original Keras model is {number(self.keras_metric)}"
        text += f" {on}, and its untouched float file has {drop_words(self.gap, bounded)} on the same samples"
        if self.gap_interval is not None:
            text += f" (95 % interval of the loss {loss_between(self.gap_interval, bounded)})"
        return f"{text}."


def find_conversion(baseline: Trial | None) -> Conversion | None:
    """What trial 0 recorded; ``None`` where the original was not scored: it is a ``.tflite``, or there was no time."""
    original = baseline.measurements.get("keras_metric") if baseline else None
    gap = baseline.measurements.get("conversion_gap") if baseline else None
    if original is None or gap is None or not (math.isfinite(original.value) and math.isfinite(gap.value)):
        return None
    samples = gap.environment.get("samples")
    known = gap.interval is not None and all(math.isfinite(bound) for bound in gap.interval)
    interval = (float(gap.interval[0]), float(gap.interval[1])) if known and gap.interval else None
    return Conversion(original.value, gap.value, interval, samples if isinstance(samples, int) else None)
