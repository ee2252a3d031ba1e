"""Choices: how a step's settings are chosen, and what they may depend on."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from litetuner.spaces.constraints import SpaceConstraints
from litetuner.spaces.info import UNPROVABLE
from litetuner.spaces.models.layer_selection import left_out
from litetuner.spaces.reconstruction.allocation.statistics import Statistics

NO, YES = "no", "yes"
ONCE = "once"  # in one shot, without training
FOLDING = ("Conv1D", "Conv2D", "Conv2DTranspose", "Conv3D", "Dense", "DepthwiseConv2D")  # what a batch norm may go into
# Of the learning rate that a network with batch normalizations takes; without them 1e-3 destroys it.
FOLDED_RATE = 1 / 32
# (calibration, selection) by name.
CALIBRATIONS: dict[str, tuple[int, str]] = {
    "usual": (0, "balanced"),
    "spread50": (50, "spread"),
    "spread300": (300, "spread"),
    "random1000": (1000, "random"),
    "extremes50": (50, "extremes"),
}


class Chooser(Protocol):
    """Who decides: a sampler, a script, a random generator."""

    def one_of(self, name: str, options: Sequence[str]) -> str:
        """One of unordered options."""

    def level(self, name: str, options: Sequence[Any]) -> Any:
        """One of ordered options."""


@dataclasses.dataclass(frozen=True)
class Choices:
    """One candidate being chosen: ``choose`` decides, the rest says what the options depend on.

    ``ranking`` lists weighted layers, the most sensitive to low precision first. ``given`` are the knobs that all trainings
    of a candidate share (epochs, learning rate, distillation).
    """

    choose: Chooser
    constraints: SpaceConstraints
    ranking: tuple[str, ...]
    io: tuple[str, ...]
    given: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    cache: dict[Any, Any] = dataclasses.field(default_factory=dict, repr=False)  # a search asks thousands of times
    statistics: Statistics | None = None  # of the layers of the float file, once they are measured

    def allows(self, name: str) -> bool:
        """Is a step among the user's ``--steps``?"""
        return self.constraints.steps is None or name in self.constraints.steps

    def yes(self, name: str) -> bool:
        """Choose between yes and no."""
        return self.choose.one_of(name, (NO, YES)) != NO

    def able(self, technique: str, leave: Sequence[str] = ()) -> list[str]:
        """Layers that can take a technique and are not of the types in ``leave``, the most sensitive first."""
        key = (technique, tuple(leave))
        known = self.cache.get(key)
        if known is None or known[0] is not self.constraints or known[1] != self.ranking:
            self.cache[key] = known = (self.constraints, self.ranking, self._able(technique, leave))
        return list(known[2])

    def _able(self, technique: str, leave: Sequence[str]) -> list[str]:
        model = self.constraints.model
        described = [(layer.name, layer.type, layer.has_kernel) for layer in model.layers]
        able = {layer.name for layer in model.layers_for(technique)} - left_out(described, leave)
        ranked = [name for name in self.ranking if name in able]
        return ranked + sorted(able - set(ranked))

    def skip(self, technique: str, leave: Sequence[str] = ()) -> tuple[str, ...]:
        """The most sensitive layers that a technique leaves alone: none, one, two, a quarter or a half of them."""
        able = self.able(technique, leave)
        options = sorted({0, *(count for count in (1, 2, len(able) // 4, len(able) // 2) if 0 < count < len(able))})
        count = self.choose.level(f"{technique}.skip", options) if len(options) > 1 else 0
        return self.others(technique, able[count:], leave)

    def others(self, technique: str, names: Sequence[str], leave: Sequence[str] = ()) -> tuple[str, ...]:
        """The layers that a technique must skip to work on these only."""
        layers = self.constraints.model.layers
        unprovable = [layer.name for layer in layers if layer.refusals.get(technique) == UNPROVABLE]
        return tuple(sorted([*(name for name in self.able(technique, leave) if name not in names), *unprovable]))

    def folds(self) -> bool:
        """Is there a batch normalization behind a layer that it may be folded into?"""
        model = self.constraints.model
        if model.folds is not None:
            return model.folds
        behind = [(before.type, layer.type) for before, layer in itertools.pairwise(model.layers)]
        return any(kind in FOLDING and layer == "BatchNormalization" for kind, layer in behind)

    def takes_io(self, io: str) -> bool:
        """May files have this input and output type? All may when the user did not choose."""
        return io in self.io or len(self.io) > 1

    def choose_io(self) -> str:
        """The type of input and output."""
        return self.choose.one_of("io", self.io) if len(self.io) > 1 else self.io[0]

    def choose_calibration(self) -> dict[str, Any]:
        """The knobs that say which samples activation ranges are measured on; of those that take all samples one is offered."""
        there, usual = self.constraints.training_samples, self.constraints.calibration
        able = [name for name, (count, _) in CALIBRATIONS.items() if there is None or count <= there]
        everything = [name for name in able if there is not None and (CALIBRATIONS[name][0] or usual) >= there]
        options = tuple(name for name in able if name not in everything[1:])
        count, selection = CALIBRATIONS[self.choose.one_of("calibration", options) if len(options) > 1 else options[0]]
        return {"calibration": count, "selection": selection}

    def knob(self, name: str, options: Sequence[Any]) -> Any:
        """A knob's value: numbers are levels, everything else is one of several."""
        if all(isinstance(option, int | float) and not isinstance(option, bool) for option in options):
            return self.choose.level(name, options)
        by_text = {str(option): option for option in options}
        return by_text[self.choose.one_of(name, tuple(by_text))]
