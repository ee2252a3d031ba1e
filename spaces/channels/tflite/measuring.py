"""What it costs to remove channels of a float ``.tflite``, measured at its outputs: groups are narrowed one by one, and refitted.

An estimate from the layers that read the channels (``ranking.py``) knows which channels of a group should go, but not what groups
cost against each other: what early layers lose, later ones make up for when they are refitted.
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

# Of ResNet8's eight cuts by 8 or 16 channels, 128 samples order the losses of accuracy as 256 do: .1 to 6.7 points.
SAMPLES, FEWEST = 128, 32
SHARE = 8  # one in so many samples that a file is refitted on: all groups then take about as long as that once more
# Groups of a kind; what the others cost lies between their neighbors. A group of ResNet8 takes 1 to 3 s of one core.
MOST_MEASURED = 5


def measured_importances(
    file: bytes, channels: FileChannels, scores: np.ndarray, samples: np.ndarray, seed: int, multiple: int
) -> np.ndarray:
    """Importance by channel id as the squared error at the outputs (n, ...), in units of their variance.

    ``scores`` are importances that say which channels of a group go first; each group's are scaled to what its ``multiple``
    least important ones cost. ``samples`` (m, *sample) need no labels. Raises ``BuildFailed`` with the name of a layer that
    cannot be refitted.
    """
    found, few = scores.copy(), samples[: max(FEWEST, min(SAMPLES, len(samples) // SHARE))]
    expected = _outputs(file, few)
    spread = sum(float(np.sum((values - values.mean(axis=0)) ** 2)) for values in expected) or 1.0

    def factor(group: Group) -> float:
        """The error for each unit of a group's scores."""
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
    """The groups that can be narrowed in running order: those that one layer makes, and those that several must agree on."""
    able = [
        group for group in channels.groups if group.pinned is None and _narrower(group, multiple) < len(group.channels)
    ]
    able.sort(key=lambda group: (len(group.layers) > 1, int(group.channels.min())))
    return [list(groups) for _, groups in itertools.groupby(able, key=lambda group: len(group.layers) > 1)]


def _narrower(group: Group, multiple: int) -> int:
    """The next narrower width."""
    width = len(group.channels)
    return remaining_width(width, 1 / width, 1 if group.heads else multiple)


def _outputs(file: bytes, samples: np.ndarray) -> list[np.ndarray]:
    return last_values(read_model(file), samples)
