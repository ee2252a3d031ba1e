"""The plan: what is tried before and between the sampler's proposals. It follows from what was told: a resume needs no queue."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from litetuner.search.history import History
from litetuner.search.policy import POLICY
from litetuner.search.trial import State, Trial
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.choices import Chooser
from litetuner.spaces.space import ScriptedChoices, Space
from litetuner.spaces.steps import STEPS

LATER = 8  # recipes, then the later baselines: they give less than the first recipes do
# Trial 0 is the untouched float model, converted as it is.
BASELINES: tuple[dict[str, Any], ...] = ({"deploy": "float32"}, {"deploy": "int8"})
LATER_BASELINES: tuple[dict[str, Any], ...] = ({"deploy": "dynamic"}, {"deploy": "float16"})

BASELINE = Candidate((STEPS["float32"](),))  # not even slimmed

_PRUNE = {"train": "yes", "prune": "constant", "prune.sparsity": 0.5}
_CUT = {"train": "yes", "channels": "yes", "learning_rate": 3e-3}
# Clusters of folded kernels, with one scale a tensor, compress best: DS-CNN 38 % smaller than int8, unfolded 13 %.
# The two most sensitive layers stay as they are: ResNet8 then loses .2 point more than quantization alone, else 1.2.
_CLUSTER = {"train": "yes", "cluster": "kmeans++", "cluster.count": 16, "cluster.fold": "yes", "cluster.skip": 2}
_TENSOR = {"deploy": "int8", "int8.scales": "tensor"}
# Full int8 with one clipped scale a tensor: 17 % (ResNet8) and 28 % (DS-CNN) smaller compressed than by channel, as accurate.
_CLIPPED = {"deploy": "mixed", "rounding": "mse_tensor", "mixed.int4": 0.0, "mixed.float32": 0}

# Shares of the channels and how they are spread: the first, then more where that was borne, less where it was not.
# Upwards the next is halfway to what is left; where that was too much, halfway back.
CUT_FIRST = (0.5, "even")
CUT_MORE = (0.75, "even")
CUT_MOST = (0.875, "even")
CUT_BETWEEN = (0.625, "even")
EASY = 0.5  # of the loss that is allowed: what spent no more is borne easily
NEAR = 1.5  # times the loss that is allowed: what spent no more may be mended by quantization-aware training
FAR = 3.0  # times: what spent more will hardly be mended by cutting less
CUT_LESS = ((0.5, "inner"), (0.25, "inner"), (0.25, "even"), (0.125, "even"))
DEEPEST_FIRST = (CUT_MOST, CUT_MORE, CUT_BETWEEN, CUT_FIRST, *CUT_LESS)
Cut = tuple[float, str]

# Known recipes (sources: docs/decisions.md). Channels come first: nothing else makes a file much faster.
RECIPES: tuple[dict[str, Any], ...] = (
    _CLIPPED,
    _CUT | _CLIPPED,
    _CUT | {"qat": "all", "qat.scales": "tensor"},
    _CUT | _CLUSTER | _TENSOR,
    _CUT | _PRUNE | _CLIPPED,
    _CUT | _PRUNE | _CLUSTER | _TENSOR,
    _CLUSTER | _TENSOR,
    _PRUNE | _CLIPPED,
    _PRUNE | _CLUSTER | _TENSOR,
    {"train": "yes", "qat": "all"},
    _PRUNE | {"qat": "all", "qat.scales": "tensor"},
    {"deploy": "int16x8"},  # 30 to 60 times slower than float32 on x86, and as long to score
    _CLUSTER | {"qat": "all"},
    _PRUNE | _CLUSTER | {"qat": "all"},
    _CUT | _PRUNE | _CLUSTER | {"qat": "all"},
    {"train": "yes", "deploy": "int8"},
    {"deploy": "mixed", "mixed.int4": 0.5},
    {"deploy": "ptq_weight_only_wf16"},  # of a .tflite; a model is converted to float16
)

# Deployments that the trained prefix of every member of the front is also tried with: they cost seconds.
VARIANTS: tuple[dict[str, Any], ...] = (
    _CLIPPED,
    {"deploy": "int8", "io": "int8"},
    {"deploy": "mixed", "mixed.int4": 0.25},
)


@dataclasses.dataclass(frozen=True)
class Proposal:
    """A candidate that is not left to the sampler, with the choices that lead to it.

    ``promise`` is what it may add to the hypervolume per second at best, where that is known.
    """

    script: Chooser
    candidate: Candidate
    origin: str
    promise: float = 0.0


class Recipes:
    """The recipes that were answered, and what has none left that was not: it stays so until another one is told."""

    def __init__(self) -> None:
        self.trials: list[Trial] = []
        self.exhausted: set[tuple[bool, tuple[float, ...]]] = set()  # whether it trains, and how long

    def add(self, trial: Trial, gain: float) -> None:
        """See ``View.add``."""
        if trial.state is State.LOST:
            self.exhausted.clear()  # it may be asked again
        elif trial.origin == "recipe":
            self.exhausted.clear()
            self.trials.append(trial)


def baseline(space: Space, told: History) -> Proposal | None:
    """The first baseline that was not told yet, of those that everything else is compared with."""
    return _unknown(_baselines(space, BASELINES), told)


def recipe(space: Space, told: History, epochs: float) -> Proposal | None:
    """The first known recipe that was not told yet; after the first few, the later baselines.

    ``epochs`` is how long the run's recipes are trained for. Where ``space`` cannot afford that any more, only those
    without training are left.
    """
    known = told.view(Recipes)
    if (space.train, space.epochs) in known.exhausted:
        return None
    parts = [_recipes(space, known.trials, epochs), _baselines(space, LATER_BASELINES)]
    found = _unknown(itertools.chain(*(reversed(parts) if len(known.trials) >= LATER else parts)), told)
    if found is None:
        known.exhausted.add((space.train, space.epochs))
    return found


def _unknown(proposals: Iterator[Proposal], told: History) -> Proposal | None:
    return next((item for item in proposals if not told.knows(item.candidate.key)), None)


def variant(space: Space, told: History) -> Proposal | None:
    """The first other deployment of a trained prefix on the front that was not told yet."""
    for trial in told.front:
        if not trial.candidate.prefix.steps or not trial.params or trial.number in told.deployed:
            continue
        choices = {name: entry["chosen"] for name, entry in trial.params.items()}
        for change in VARIANTS:
            script = ScriptedChoices(choices | change)
            candidate = space.suggest(script)
            same = candidate.prefix == trial.candidate.prefix
            if same and not told.knows(candidate.key) and _kept(ScriptedChoices(change), space, choices):
                return Proposal(script, candidate, "variant")
        told.deployed.add(trial.number)
    return None


def _baselines(space: Space, which: Sequence[dict[str, Any]]) -> Iterator[Proposal]:
    for choices in which:
        script = ScriptedChoices(choices)
        if choices["deploy"] == "float32":  # also where --steps leaves float32 out: what is lost is lost against it
            yield Proposal(script, BASELINE, "baseline")
        elif _kept(script, space):
            yield Proposal(script, space.suggest(script), "baseline")


def _recipes(space: Space, told: Sequence[Trial], epochs: float) -> Iterator[Proposal]:
    usual = {"epochs": epochs, "learning_rate": 1e-3, "distill": 1.0}
    alone, mended = (_losses(told, *steps) for steps in (("channels", "finetune"), ("channels", "finetune", "qat")))
    for choices, last in [*((choices, False) for choices in RECIPES), (_CUT | _CLIPPED, True)]:
        if choices.get("train") and epochs not in space.epochs:
            continue  # there is no time left for it
        for cut in _cuts(choices, alone, mended, space, last=last):
            script = ScriptedChoices(usual | _possible(choices, space) | cut)
            if _kept(script, space):
                yield Proposal(script, space.suggest(script), "recipe")


def _losses(told: Sequence[Trial], *steps: str) -> dict[Cut, float]:
    """What share of the loss that is allowed the recipes of these trained steps have spent, by cut."""
    return {
        (trial.params["channels.ratio"]["chosen"], trial.params["channels.spread"]["chosen"]): _spent(trial)
        for trial in told
        if tuple(step.name for step in trial.candidate.prefix.steps) == steps
    }


def _cuts(
    choices: Mapping[str, Any], alone: Mapping[Cut, float], mended: Mapping[Cut, float], space: Space, *, last: bool
) -> list[dict[str, Any]]:
    """The cuts of channels to try: up from the first one where it is easily borne, else down. Pipelines take the largest borne.

    ``alone`` and ``mended`` are what each has spent, the latter after quantization-aware training, which a cut that was a
    little too much gets first. Where one was far too much, less waits for the ``last`` recipe.
    """
    if "channels" not in choices:
        return [{}]
    borne = [cut for cut in DEEPEST_FIRST if min(alone.get(cut, math.inf), mended.get(cut, math.inf)) <= 1]
    near = [cut for cut in DEEPEST_FIRST if 1 < alone.get(cut, 0.0) <= NEAR and cut not in mended]
    less = [cut for cut in CUT_LESS if cut not in alone and (cut[1] != "inner" or space.sums())]
    if {"prune", "cluster"} & set(choices):
        found = borne[:1]
    elif "qat" in choices:
        found = (near or borne)[:1]
    elif near and not last:
        found = []
    elif CUT_FIRST not in alone:
        found = [CUT_FIRST]
    elif alone[CUT_FIRST] <= EASY:
        beyond = [CUT_MOST] if alone.get(CUT_MORE, 0.0) <= EASY else [CUT_BETWEEN] if CUT_MORE not in borne else []
        found = [cut for cut in (CUT_MORE, *beyond) if cut not in alone][:1]
    elif borne or (min(alone.values()) > FAR and not last):
        found = []
    else:
        found = less[:1]
    return [{"channels.ratio": ratio, "channels.spread": spread} for ratio, spread in found]


def _spent(trial: Trial) -> float:
    """The share that a trial has spent of the loss that is allowed; infinite where it was not scored or broke a limit."""
    if not trial.state.scored or trial.constraints.get("min-metric", 0.0) > 0:
        return math.inf
    return max(
        (trial.value("drop") or 0.0) / POLICY.hypervolume.default_allowed_drop,
        1 + trial.constraints.get("max-drop", -1.0),
    )


def _possible(choices: Mapping[str, Any], space: Space) -> dict[str, Any]:
    """A model without batch normalization has nothing to fold; its clusters need no folding."""
    return {name: value for name, value in choices.items() if name != "cluster.fold" or space.folds()}


def _kept(script: ScriptedChoices, space: Space, more: Mapping[str, Any] | None = None) -> bool:
    """Did the space offer every choice that the script wants? A space without QAT has no QAT recipe."""
    seen = RecordedChoices(ScriptedChoices({**(more or {}), **script.script}))
    space.suggest(seen)
    if len(space.deployments()) == 1:  # then nobody is asked
        seen.chosen.setdefault("deploy", space.deployments()[0])
    return all(seen.chosen.get(name) == wanted for name, wanted in script.script.items() if isinstance(wanted, str))


@dataclasses.dataclass
class RecordedChoices:
    """A ``Chooser`` that asks another one and remembers what was chosen."""

    inner: Chooser
    chosen: dict[str, Any] = dataclasses.field(default_factory=dict)

    def one_of(self, name: str, options: Sequence[str]) -> str:
        self.chosen[name] = self.inner.one_of(name, options)
        return str(self.chosen[name])

    def level(self, name: str, options: Sequence[Any]) -> Any:
        self.chosen[name] = self.inner.level(name, options)
        return self.chosen[name]
