"""Structured pruning: whole channels are removed, which makes a model smaller and faster on every machine."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from litetuner.spaces.channels.cost import ChannelCost
from litetuner.spaces.channels.groups import ChannelGraph, trace
from litetuner.spaces.channels.importance import IMPORTANCES, importances
from litetuner.spaces.channels.selection import SPREADS, choose, too_narrow
from litetuner.spaces.channels.surgery import cut
from litetuner.spaces.context import Context
from litetuner.spaces.errors import Refused
from litetuner.spaces.reconstruction.channels import reconstruct, refusals
from litetuner.spaces.step import Stage, Step, knob
from litetuner.spaces.training.fit import seeded

_NAMED = 3  # reasons that a rejection message lists
RECOVERIES = ("least_squares", "none")


@dataclasses.dataclass(frozen=True)
class Channels(Step):
    """Removes the share ``ratio`` of the channels, the least important ones, from every group of layers of equal width.

    A group is the layers that must have the same channels. With ``spread="inner"`` channels are removed only where a
    single layer makes them, not from the sums of a residual network. With ``spread="sensitivity"`` groups lose
    different shares: most is removed where the least importance is lost per saved MAC, until as many MACs are saved as
    an even cut would save. The heads of an attention layer are a group of their own. Widths are rounded down to
    multiples of ``multiple``, and stay at least one multiple. Inputs and outputs keep their width, and so do layers
    through which channels cannot be traced (``notes`` names them). Layers with fewer inputs are then refitted one by
    one to reproduce the activations of the unpruned model (``recover``; not in a probe). A training step should follow.
    """

    name = "channels"
    stage = Stage.RESHAPE
    changes_shapes = True
    older: ClassVar[Mapping[str, Any]] = {"recover": "none"}

    ratio: float = knob(
        0.5, (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875), "share of the channels that is removed, in (0, 1)"
    )
    importance: str = knob(
        IMPORTANCES[0],
        IMPORTANCES,
        "ranked by what refitting cannot recover, the change of the loss, kernels or batch-norm scales",
    )
    spread: str = knob(
        "even", SPREADS, "the same share of every group, of those that one layer makes alone, or more where tolerated"
    )
    recover: str = knob(
        RECOVERIES[0], None, "least_squares: kernels that lost inputs are refitted to the original's activations"
    )
    multiple: int = knob(8, None, "widths that are cut become multiples of this; kernels work on 8 or 16 at once")
    skip: tuple[str, ...] = knob((), None, "layers that keep all channels of their own")

    def __post_init__(self) -> None:
        if not 0 < self.ratio < 1:
            raise Refused(f"channels: ratio is {self.ratio}, and must lie between 0 and 1")
        self._refuse_unknown("importance", self.importance, IMPORTANCES)
        self._refuse_unknown("spread", self.spread, SPREADS)
        self._refuse_unknown("recover", self.recover, RECOVERIES)
        if self.multiple < 1:
            raise Refused(f"channels: multiple is {self.multiple}, and must be 1 or more")

    def label(self) -> str:
        return f"channels -{100 * self.ratio:g}%"

    def details(self) -> list[str]:
        ranked = f"channels: ranked by {self.importance}, widths in multiples of {self.multiple}"
        spread = {
            "even": [],
            "inner": ["channels: what several layers make together (sums) keeps its width"],
            "sensitivity": ["channels: groups lose different shares, by what each loses for a MAC saved"],
        }[self.spread]
        fitted = ["channels: what reads fewer of them is refitted to the original's activations by least squares"]
        recover = fitted if self.recover == "least_squares" else ["channels: what reads fewer of them is not refitted"]
        return [ranked, *spread, *recover, *(f"channels: {name} keeps its width" for name in self.skip)]

    def notes(self, model: Any) -> list[str]:
        """Layers of a tf_keras model that keep their width although the label says otherwise, each with the reason.

        Inputs and outputs are not listed.
        """
        graph = self._graph(model)
        found = [
            f"channels: {', '.join(group.layers)} keep {len(group.channels)} channels: {group.pinned}"
            for group in graph.groups
            if group.pinned is not None
            and not (len(group.layers) == 1 and graph.ends.issuperset(group.channels.tolist()))
        ]
        if self.recover == "least_squares":
            found += [f"channels: {name} is not refitted: {reason}" for name, reason in refusals(model, graph)]
        if self.spread == "sensitivity":
            return found
        return found + [
            f"channels: {', '.join(group.layers)} keep {len(group.channels)} channels: no multiple of {self.multiple} below"
            for group in too_narrow(graph, self.ratio, self.multiple)
        ]

    def apply(self, subject: Any, context: Context) -> Any:
        """A narrower copy of a flat functional tf_keras model, not trained.

        Raises ``Refused`` if no channel can be removed or there are no samples for refitting, ``BuildFailed`` if the
        width of a layer is not the planned one.
        """
        fitted = self.recover == "least_squares" and not context.untrained
        samples = context.x_train if len(context.x_train) else context.calibration
        if fitted and not len(samples):
            raise Refused(
                'channels: recover="least_squares" looks at activations, and there are no samples. Give data with a train '
                'split, or recover="none".'
            )
        graph, kept = self.plan(subject, context)
        with seeded(context.seed):  # new layers draw random weights before they get the kept ones
            narrow = cut(subject, graph, kept)
        if fitted:
            reconstruct(subject, narrow, graph, kept, samples, context.seed)
        return narrow

    def plan(self, model: Any, context: Context) -> tuple[ChannelGraph, np.ndarray]:
        """The channels of a tf_keras model and a mask by channel id, true for those that stay. Raises ``Refused``."""
        graph = self._graph(model)
        # Only the widths of a probe matter, and the widths of an even cut do not depend on the ranking.
        cheap = context.untrained and self.spread != "sensitivity"
        scores = importances(model, graph, "l1" if cheap else self.importance, context)
        cost = functools.partial(ChannelCost.of_model, model, graph)
        kept = choose(graph, scores, self.ratio, self.multiple, self.spread, cost)
        if kept.all():
            reasons = list(dict.fromkeys(group.pinned for group in graph.groups if group.pinned is not None))
            if any(too_narrow(graph, self.ratio, self.multiple)):
                reasons.insert(0, f"no other width has a multiple of {self.multiple} below it")
            raise Refused(f"channels: no channel can be pruned: {'; '.join(reasons[:_NAMED])}")
        return graph, kept

    def _graph(self, model: Any) -> ChannelGraph:
        self._refuse_unknown_layers(self.skip, model)
        return trace(model, self.skip)
