"""Structured pruning of a float ``.tflite`` without training: channels are removed, then layers are refitted."""

import dataclasses
import functools
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from litetuner.spaces.channels.selection import SPREADS, cheapest, choose, too_narrow
from litetuner.spaces.channels.tflite.measuring import measured_importances
from litetuner.spaces.channels.tflite.ranking import file_cost, importances
from litetuner.spaces.channels.tflite.refitting import SAMPLES, refit
from litetuner.spaces.channels.tflite.removal import remove
from litetuner.spaces.channels.tflite.tracing import FileChannels, trace_file
from litetuner.spaces.choices import Choices
from litetuner.spaces.constraints import SpaceConstraints
from litetuner.spaces.context import Context
from litetuner.spaces.errors import Refused
from litetuner.spaces.reconstruction.activations import affordable
from litetuner.spaces.step import Role, Rule, Stage, Step, knob
from litetuner.spaces.tflite.schema import read_model

_NAMED = 3  # reasons that a rejection message lists
# Limit for each group: at most this many times the share of channels that an even cut of as many MACs would remove. The
# reason is that only the first cut of a group is measured. DS-CNN with 75 % of the MACs removed: an accuracy of 0.923
# with 23 % of the MACs left at 1.5, and 0.860 with 25 % left at 2.
MOST = 1.5
# A file, samples as bytes with their dtype and shape, and a seed.
_Given = tuple[bytes, bytes, Any, tuple[int, ...], int]


def _from_float(steps: tuple[Step, ...], around: SpaceConstraints) -> Iterable[str]:
    for at, step in enumerate(steps):
        if step.stage is Stage.CONVERT and step.role is not Role.FLOAT:
            yield f"{step.name} -> narrow: channels are removed from a float32 file"
        if step.stage is Stage.RESHAPE:
            yield f"{step.name} and narrow: channels are removed once"
        if step.makes:
            yield f"{step.name} -> narrow: refitting would spread the {step.makes} that {step.name} made"
        if step.stage is Stage.REWRITE and any(isinstance(later, Narrow) for later in steps[at + 1 :]):
            yield f"{step.name} -> narrow: channels are removed before anything else is done to the float32 file"


@dataclasses.dataclass(frozen=True)
class Narrow(Step):
    """Removes the share ``ratio`` of the channels from every group of layers of equal width in a float32 ``.tflite``.

    A group is the layers that must have the same channels. The removed channels are those that the others can replace
    best. Layers are then refitted one after the other on unlabeled training samples to reproduce their earlier outputs;
    nothing is trained. ``spread`` and ``multiple`` are those of the step ``channels``, which prunes a tf_keras model
    that is trained afterwards. With ``spread="sensitivity"``, however, ``ratio`` is a share of the MACs, and the cost
    of a group's channels is measured at the model outputs. If it is unknown how channels pass through an operator, all
    tensors that it touches keep their channels.
    """

    name = "narrow"
    stage = Stage.REWRITE
    order = 3
    rules = (Rule("channels of a file", "channels are removed from a float32 file, before it is changed", _from_float),)
    undoes = frozenset({"clusters", "sparsity"})
    needs_calibration = True
    takes_tflite = True
    changes_shapes = True

    ratio: float = knob(
        0.5,
        (0.125, 0.25, 0.375, 0.5, 0.625, 0.75),
        "share of the channels that is removed, or of the MACs where their sensitivity is measured, in (0, 1)",
    )
    spread: str = knob(
        "even", SPREADS, "the same share of every group, of those that one layer makes alone, or more where tolerated"
    )
    multiple: int = knob(8, None, "widths become multiples of this; kernels work on 8 or 16 at once")

    def __post_init__(self) -> None:
        if not 0 < self.ratio < 1:
            raise Refused(f"narrow: ratio is {self.ratio}, and must lie between 0 and 1")
        self._refuse_unknown("spread", self.spread, SPREADS)
        if self.multiple < 1:
            raise Refused(f"narrow: multiple is {self.multiple}, and must be 1 or more")

    def label(self) -> str:
        share = f"-{100 * self.ratio:g}%"
        return f"channels {share} MACs" if self.spread == "sensitivity" else f"channels {share}"

    def details(self) -> list[str]:
        spread = {
            "even": [],
            "inner": ["narrow: what several layers make together (sums) keeps its width"],
            "sensitivity": ["narrow: groups lose different shares, by what is measured at the outputs for a MAC saved"],
        }[self.spread]
        return [f"narrow: without training, widths in multiples of {self.multiple}", *spread]

    @classmethod
    def suggest(cls, choices: Choices, before: tuple[Step, ...]) -> tuple[Step, ...]:
        """Offered only if nothing was trained and the float file is quantized afterwards.

        Trained models use the step ``channels`` instead.
        """
        first, *others = before
        untrained = first.role is Role.FLOAT and any(step.stage is Stage.REWRITE for step in others)
        return super().suggest(choices, before) if untrained else ()

    def apply(self, subject: bytes, context: Context) -> bytes:
        """The narrower float32 file. See ``apply_with_notes``."""
        return self.apply_with_notes(subject, context)[0]

    def apply_with_notes(self, subject: bytes, context: Context) -> tuple[bytes, list[str]]:
        """The narrower float32 file, and notes on what keeps its width.

        Raises ``Refused`` if no channel can be removed or there are no samples, ``BuildFailed`` with the name of a
        layer that cannot be refitted.
        """
        samples = _samples(read_model(subject), context)
        given = subject, samples.tobytes(), samples.dtype, samples.shape, context.seed
        channels = trace_file(read_model(subject))
        kept = self._kept(subject, channels, given)
        ids = np.concatenate(
            [group.channels for group in channels.groups if not channels.ends.issuperset(group.channels)]
        )
        removed = f"narrow: {int((~kept).sum())} of {len(ids)} groups of channels removed, {len(samples)} samples"
        return _refitted(*given, kept.tobytes()), [
            removed,
            *(f"narrow: {reason}" for reason in self._reasons(channels)),
        ]

    def _kept(self, subject: bytes, channels: FileChannels, given: _Given) -> np.ndarray:
        cost = functools.partial(file_cost, subject, channels)
        if self.spread == "sensitivity":
            counted, left = cost(), 1 - self.ratio
            goal = left * counted.total(np.ones(len(channels.roots), dtype=bool))
            most = MOST * (1 - math.sqrt(left))
            kept = cheapest(channels, _measured(*given, self.multiple), most, self.multiple, counted, goal)
        else:
            kept = choose(channels, _scores(*given), self.ratio, self.multiple, self.spread, cost)
        if kept.all():
            raise Refused(f"narrow: no channel can be removed: {'; '.join(self._reasons(channels)[:_NAMED])}")
        return kept

    def _reasons(self, channels: FileChannels) -> list[str]:
        """The reasons why groups keep their width, without inputs and outputs."""
        found = [
            f"{', '.join(group.layers)} keep {len(group.channels)} channels: {group.pinned}"
            for group in channels.groups
            if group.pinned is not None and not channels.ends.issuperset(group.channels.tolist())
        ]
        if self.spread == "sensitivity":
            return found
        return found + [
            f"{', '.join(group.layers)} keep {len(group.channels)} channels: no multiple of {self.multiple} below"
            for group in too_narrow(channels, self.ratio, self.multiple)
        ]


@functools.lru_cache(maxsize=1)
def _measured(file: bytes, samples: bytes, dtype: Any, shape: tuple[int, ...], seed: int, multiple: int) -> np.ndarray:
    """Importances like those of ``_scores``, but measured at the model outputs."""
    scores, x = _scores(file, samples, dtype, shape, seed), np.frombuffer(samples, dtype).reshape(shape)
    return measured_importances(file, trace_file(read_model(file)), scores, x, seed, multiple)


@functools.lru_cache(maxsize=1)
def _scores(file: bytes, samples: bytes, dtype: Any, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """The importances of the last file. They are cached because a worker prunes one file in several ways."""
    return importances(file, trace_file(read_model(file)), np.frombuffer(samples, dtype).reshape(shape), seed)


@functools.lru_cache(maxsize=4)
def _refitted(file: bytes, samples: bytes, dtype: Any, shape: tuple[int, ...], seed: int, kept: bytes) -> bytes:
    """The refitted file. The last ones are cached because a worker compresses the layers of one file in many ways."""
    channels, chosen = trace_file(read_model(file)), np.frombuffer(kept, bool)
    return refit(
        file, remove(file, channels, chosen), channels, chosen, np.frombuffer(samples, dtype).reshape(shape), seed
    )


def _samples(model: Any, context: Context) -> np.ndarray:
    """Inputs drawn from the train split by seed; from the calibration samples if there is no train split."""
    x = context.x_train if len(context.x_train) else context.calibration
    if not len(x):
        raise Refused("narrow: refitting looks at activations, and there are no samples: give data with a train split")
    order = np.random.default_rng(context.seed).permutation(len(x))[: affordable(model, SAMPLES)]
    return np.asarray(x[np.sort(order)])
