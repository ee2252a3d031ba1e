"""Which share of the channels the recipes prune next, given the accuracy drops of earlier channel prunings."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from litetuner.search.config.budgets import ACCURACY_BUDGETS
from litetuner.search.policy import POLICY, Cut
from litetuner.search.proposals.estimates.arithmetic import computes_in_integers
from litetuner.search.trial import Trial
from litetuner.spaces.space import Space

ALONE = ("channels", "finetune")  # trained steps of a recipe that only prunes channels
RECOVERED = (*ALONE, "qat")  # the same, followed by quantization-aware training


@dataclasses.dataclass(frozen=True)
class ChannelCuts:
    """The accuracy drop of each channel pruning (``Cut``) so far, as a share of the allowed drop.

    ``alone``: pruned and fine-tuned. ``recovered``: followed by quantization-aware training. ``untrained``: pruned in
    the converted file, without training.
    """

    alone: Mapping[Cut, float]
    recovered: Mapping[Cut, float]
    untrained: Mapping[Cut, float]

    @staticmethod
    def of(recipes: Sequence[Trial], allowed: float) -> ChannelCuts:
        # A file with float32 arithmetic that was not scored is ignored: a target may not run it, or it is too large.
        # That says nothing about its channel pruning.
        untrained = {
            _cut(trial, "narrow"): _used_share(trial, allowed)
            for trial in recipes
            if "narrow.ratio" in trial.params and (trial.state.scored or computes_in_integers(trial.candidate))
        }
        return ChannelCuts(_used(recipes, ALONE, allowed), _used(recipes, RECOVERED, allowed), untrained)

    def next(self, choices: Mapping[str, Any], space: Space, *, last: bool) -> list[dict[str, Any]]:
        """The choices of the channel pruning that a recipe with these ``choices`` uses: a list of none or one.

        A recipe that only prunes channels tries larger shares while the drop is small, else smaller ones. If a drop is
        slightly too large, the same pruning is first combined with quantization-aware training. If it is far too large,
        smaller shares wait for the ``last`` recipe. Pipelines with pruning or clusters use the largest tolerated share.
        Without training a trial takes seconds, so bisection finds the largest tolerated share. A recipe without channel
        pruning gets ``[{}]``.
        """
        if "narrow" in choices:
            return [{"narrow.ratio": ratio, "narrow.spread": spread} for ratio, spread in self._next_untrained()]
        if "channels" not in choices:
            return [{}]
        tolerated = self._tolerated()
        recoverable = self._recoverable()
        if {"prune", "cluster"} & set(choices):
            found = tolerated[:1]
        elif "qat" in choices:
            found = (recoverable or tolerated)[:1]
        elif recoverable and not last:
            found = []
        else:
            found = self._next_alone(tolerated, space, last=last)
        return [{"channels.ratio": ratio, "channels.spread": spread} for ratio, spread in found]

    def _next_untrained(self) -> list[Cut]:
        """The entry of ``ChannelPolicy.untrained`` halfway between the last tolerated and the first rejected one.

        Empty if there is none in between. Tolerated means that the drop was allowed.
        """
        ladder = POLICY.channels.untrained
        if not self.untrained:
            return [POLICY.channels.first_untrained]
        used = [self.untrained.get(cut) for cut in ladder]
        low = max((at for at, share in enumerate(used) if share is not None and share <= 1), default=-1)
        high = min((at for at, share in enumerate(used) if share is not None and share > 1), default=len(ladder))
        return [ladder[(low + high) // 2]] if high - low > 1 else []

    def _tolerated(self) -> list[Cut]:
        """The trained channel prunings with an allowed drop, the largest share first."""
        cuts = POLICY.channels.deepest_first
        used = {cut: min(self.alone.get(cut, math.inf), self.recovered.get(cut, math.inf)) for cut in cuts}
        return [cut for cut, share in used.items() if share <= 1]

    def _recoverable(self) -> list[Cut]:
        """The channel prunings with a slightly too large drop that were not combined with QAT yet."""
        numbers, new = POLICY.channels, {cut: used for cut, used in self.alone.items() if cut not in self.recovered}
        return [cut for cut in numbers.deepest_first if 1 < new.get(cut, 0.0) <= numbers.recover_below]

    def _next_alone(self, tolerated: Sequence[Cut], space: Space, *, last: bool) -> list[Cut]:
        numbers = POLICY.channels
        if numbers.first not in self.alone:
            return [numbers.first]
        if self.alone[numbers.first] <= numbers.prune_more_below:
            beyond = [numbers.more]
            if self.alone.get(numbers.more, 0.0) <= numbers.prune_more_below:
                beyond.append(numbers.most)
            elif numbers.more not in tolerated:
                beyond.append(numbers.between)
            return [cut for cut in beyond if cut not in self.alone][:1]
        if tolerated or (min(self.alone.values()) > numbers.postpone_above and not last):
            return []
        return [cut for cut in numbers.less if cut not in self.alone and (cut[1] != "inner" or space.sums())][:1]


def _used(recipes: Sequence[Trial], steps: tuple[str, ...], allowed: float) -> dict[Cut, float]:
    found = {}
    for trial in recipes:
        if tuple(step.name for step in trial.candidate.prefix.steps) == steps:
            found[_cut(trial, "channels")] = _used_share(trial, allowed)
    return found


def _cut(trial: Trial, step: str) -> Cut:
    return trial.params[f"{step}.ratio"]["chosen"], trial.params[f"{step}.spread"]["chosen"]


def _used_share(trial: Trial, allowed: float) -> float:
    """The accuracy drop as a share of the allowed drop: above 1 if the budget is broken, infinite if not scored."""
    if not trial.state.scored:
        return math.inf
    broken = [value for name in ACCURACY_BUDGETS if (value := trial.constraints.get(name, 0.0)) > 0]
    return max((trial.value("drop") or 0.0) / allowed, *(1 + value for value in broken), 0.0)
