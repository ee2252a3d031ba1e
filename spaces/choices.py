"""Choices: how the settings of a step are chosen, and what the options depend on."""

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
# Layer types that a batch normalization can be folded into.
FOLDING = ("Conv1D", "Conv2D", "Conv2DTranspose", "Conv3D", "Dense", "DepthwiseConv2D")
# Factor for the learning rate of a network with folded batch normalizations: a rate of 1e-3 destroys such a network.
FOLDED_RATE = 1 / 32
# Name -> (calibration, selection): the number of samples (0: that of --calibration) and how they are selected.
CALIBRATIONS: dict[str, tuple[int, str]] = {
    "usual": (0, "balanced"),
    "spread50": (50, "spread"),
    "spread300": (300, "spread"),
    "random1000": (1000, "random"),
    "extremes50": (50, "extremes"),
}


class Chooser(Protocol):
    """Makes the choices: a sampler, a script, or a random generator."""

    def one_of(self, name: str, options: Sequence[str]) -> str:
        """Choose one of several unordered options."""

    def level(self, name: str, options: Sequence[Any]) -> Any:
        """Choose one of several ordered options."""


@dataclasses.dataclass(frozen=True)
class Choices:
    """The choices for one candidate: ``choose`` makes them, the other fields determine the options.

    ``ranking`` lists the layers with weights, the most sensitive to low precision first. ``given`` are the knobs that
    all training steps of a candidate share (epochs, learning rate, distillation).
    """

    choose: Chooser
    constraints: SpaceConstraints
    ranking: tuple[str, ...]
    io: tuple[str, ...]
    given: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    cache: dict[Any, Any] = dataclasses.field(default_factory=dict, repr=False)  # a search makes thousands of calls
    statistics: Statistics | None = None  # of the layers of the float file, after they were measured

    def allows(self, name: str) -> bool:
        """True if the step is among the user's ``--steps``."""
        return self.constraints.steps is None or name in self.constraints.steps

    def yes(self, name: str) -> bool:
        """Choose between yes and no."""
        return self.choose.one_of(name, (NO, YES)) != NO

    def able(self, technique: str, leave: Sequence[str] = ()) -> list[str]:
        """Layers that can take a technique and whose type is not in ``leave``, the most sensitive first."""
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
        """Choose how many of the most sensitive layers a technique skips: none, one, two, a quarter or half of them."""
        able = self.able(technique, leave)
        options = sorted({0, *(count for count in (1, 2, len(able) // 4, len(able) // 2) if 0 < count < len(able))})
        count = self.choose.level(f"{technique}.skip", options) if len(options) > 1 else 0
        return self.others(technique, able[count:], leave)

    def others(self, technique: str, names: Sequence[str], leave: Sequence[str] = ()) -> tuple[str, ...]:
        """The layers to skip so that a technique changes only the layers in ``names``."""
        layers = self.constraints.model.layers
        unprovable = [layer.name for layer in layers if layer.refusals.get(technique) == UNPROVABLE]
        return tuple(sorted([*(name for name in self.able(technique, leave) if name not in names), *unprovable]))

    def folds(self) -> bool:
        """True if a batch normalization follows a layer that it can be folded into."""
        model = self.constraints.model
        if model.folds is not None:
            return model.folds
        behind = [(before.type, layer.type) for before, layer in itertools.pairwise(model.layers)]
        return any(kind in FOLDING and layer == "BatchNormalization" for kind, layer in behind)

    def takes_io(self, io: str) -> bool:
        """True if files may have this input and output type. All types are allowed if the user did not choose one."""
        return io in self.io or len(self.io) > 1

    def choose_io(self) -> str:
        """Choose the type of the inputs and outputs."""
        return self.choose.one_of("io", self.io) if len(self.io) > 1 else self.io[0]

    def choose_calibration(self) -> dict[str, Any]:
        """The knobs that define the calibration samples for activation ranges.

        At most one of the options that use all training samples is offered.
        """
        there, usual = self.constraints.training_samples, self.constraints.calibration
        able = [name for name, (count, _) in CALIBRATIONS.items() if there is None or count <= there]
        everything = [name for name in able if there is not None and (CALIBRATIONS[name][0] or usual) >= there]
        options = tuple(name for name in able if name not in everything[1:])
        count, selection = CALIBRATIONS[self.choose.one_of("calibration", options) if len(options) > 1 else options[0]]
        return {"calibration": count, "selection": selection}

    def knob(self, name: str, options: Sequence[Any]) -> Any:
        """Choose the value of a knob: numbers are ordered options, all other values are unordered."""
        if all(isinstance(option, int | float) and not isinstance(option, bool) for option in options):
            return self.choose.level(name, options)
        by_text = {str(option): option for option in options}
        return by_text[self.choose.one_of(name, tuple(by_text))]
