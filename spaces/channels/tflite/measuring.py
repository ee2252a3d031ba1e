"""The error at the outputs of a float ``.tflite`` when channels are removed. Each group is pruned and refitted alone.

An estimate from the layers that read the channels (``ranking.py``) tells which channels of a group to remove, but it
cannot compare groups: refitted later layers compensate for the errors of earlier layers.
"""

import itertools
from collections.abc import Sequence

import numpy as np

from litetuner.spaces.channels.numbering import Group
from litetuner.spaces.channels.selection import remaining_width, worst_first
from litetuner.spaces.channels.tflite.ranking import last_values
from litetuner.spaces.channels.tflite.refitting import refit
from litetuner.spaces.channels.tflite.removal import remove
from litetuner.spaces.channels.tflite.tracing import FileChannels
from litetuner.spaces.tflite.schema import read_model

# ResNet8 with 8 or 16 channels pruned in eight ways: 128 samples rank the accuracy drops (0.1 to 6.7 points) as 256 do.
SAMPLES, FEWEST = 128, 32
# One of this many samples of a refit is used: measuring all groups then takes about as long as the refit.
SHARE = 8
# Measured groups of each kind; the others are interpolated between them. A group of ResNet8 takes 1 to 3 s on one core.
MOST_MEASURED = 5


def measured_importances(
    file: bytes, channels: FileChannels, scores: np.ndarray, samples: np.ndarray, seed: int, multiple: int
) -> np.ndarray:
    """Importance by channel id as the squared error at the outputs (n, ...), in units of their variance.

    ``scores`` are importances that tell which channels of a group to remove first. The scores of each group are scaled
    by the measured error of removing its least important channels, down to the next multiple of ``multiple``.
    ``samples`` (m, *sample) need no labels. Raises ``BuildFailed`` with the name of a layer that cannot be refitted.
    """
    found, few = scores.copy(), samples[: max(FEWEST, min(SAMPLES, len(samples) // SHARE))]
    expected = _outputs(file, few)
    spread = sum(float(np.sum((values - values.mean(axis=0)) ** 2)) for values in expected) or 1.0

    def factor(group: Group) -> float:
        """The measured error per unit of a group's scores."""
        going = worst_first(group, scores)[: len(group.channels) - _narrower(group, multiple)]
        kept = np.ones(len(channels.roots), dtype=bool)
        kept[going] = False
        narrow = refit(file, remove(file, channels, kept), channels, kept, few, seed)
        changed = zip(_outputs(narrow, few), expected, strict=True)
        error = sum(float(np.sum((now - before) ** 2)) for now, before in changed) / spread
        return max(error, np.finfo(float).tiny) / max(float(scores[going].sum()), np.finfo(float).tiny)

    for groups in _kinds(channels, multiple):
        at = np.unique(np.linspace(0, len(groups) - 1, MOST_MEASURED).round().astype(int))
        logarithms = np.interp(range(len(groups)), at, [np.log(factor(groups[index])) for index in at])
        for group, logarithm in zip(groups, logarithms, strict=True):
            found[group.channels] *= np.exp(logarithm)
    return found


def _kinds(channels: FileChannels, multiple: int) -> list[Sequence[Group]]:
    """The groups that can be pruned, in execution order: those of a single layer, and those of several layers."""
    able = [
        group for group in channels.groups if group.pinned is None and _narrower(group, multiple) < len(group.channels)
    ]
    able.sort(key=lambda group: (len(group.layers) > 1, int(group.channels.min())))
    return [list(groups) for _, groups in itertools.groupby(able, key=lambda group: len(group.layers) > 1)]


def _narrower(group: Group, multiple: int) -> int:
    """The next smaller width of a group."""
    width = len(group.channels)
    return remaining_width(width, 1 / width, 1 if group.heads else multiple)


def _outputs(file: bytes, samples: np.ndarray) -> list[np.ndarray]:
    return last_values(read_model(file), samples)
