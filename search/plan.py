"""The plan: what is tried before and between the sampler's proposals. It follows from what was told: a resume needs no queue."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from litetuner.search.trial import State, Trial
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.space import Scripted, Space
from litetuner.spaces.steps import STEPS

# Baselines, cheapest first. Trial 0 is the untouched float model, converted as it is.
BASELINES: tuple[dict[str, Any], ...] = (
    {"deploy": "float32"},
    {"deploy": "float16"},
    {"deploy": "dynamic"},
    {"deploy": "int8"},
    {"deploy": "int16x8"},
)

BASELINE = Candidate((STEPS["float32"](),))  # not even slimmed

_PRUNE = {"train": "yes", "prune": "constant", "prune.sparsity": 0.5}
_CUT = {"train": "yes", "channels": "yes", "learning_rate": 3e-3}
# Clusters of folded kernels, with one scale a tensor, deflate best: DS-CNN 38 % smaller than int8, unfolded 13 %.
_CLUSTER = {"train": "yes", "cluster": "kmeans++", "cluster.count": 16, "cluster.fold": "yes"}
_TENSOR = {"deploy": "int8", "int8.scales": "tensor"}
# Full int8 with one clipped scale a tensor: 17 % (ResNet8) and 28 % (DS-CNN) smaller deflated than by channel, as accurate.
_CLIPPED = {"deploy": "mixed", "rounding": "mse_tensor", "mixed.int4": 0.0, "mixed.float32": 0}

# Known recipes, those that share a training next to each other (sources: docs/decisions.md).
RECIPES: tuple[dict[str, Any], ...] = (
    _CLIPPED,
    {"deploy": "mixed", "mixed.int4": 0.5},
    {"deploy": "aeq_weight_only_wf16"},  # of a .tflite; a model is converted to float16
    _PRUNE | _CLIPPED,
    _CLUSTER | _TENSOR,
    _CUT | {"channels.ratio": 0.5} | _CLIPPED,
    _CUT | {"channels.ratio": 0.25} | _CLIPPED,
    _PRUNE | _CLUSTER | _TENSOR,
    {"train": "yes", "qat": "all"},
    _PRUNE | {"qat": "all", "qat.scales": "tensor"},
    _CLUSTER | {"qat": "all"},
    _PRUNE | _CLUSTER | {"qat": "all"},
    {"train": "yes", "deploy": "int8"},
)

# Deployments that every trained prefix is also tried with: they cost seconds.
VARIANTS: tuple[dict[str, Any], ...] = (
    {"deploy": "int8", "io": "int8"},
    {"deploy": "mixed", "mixed.int4": 0.25},
    {"deploy": "mixed", "mixed.int4": 0.75},
    _CLIPPED,
    {"deploy": "float32", "sparse": "yes"},
)

HOPELESS = 0.5  # so far beyond a budget of the metric no other deployment brings a trained model back


@dataclasses.dataclass(frozen=True)
class Proposal:
    """A candidate that is not left to the sampler, with the choices that lead to it."""

    script: Scripted
    candidate: Candidate
    origin: str


def next_proposal(space: Space, told: Sequence[Trial], epochs: Sequence[float]) -> Proposal | None:
    """The first planned candidate that has not been told yet, or ``None`` when the sampler's turn has come.

    ``epochs`` are the run's lengths of training; recipes take the middle one, while ``space`` can still afford it.
    """
    known = {trial.candidate.key for trial in told if trial.state is not State.LOST or trial.waits_for is not None}
    for proposal in _planned(space, told, epochs[len(epochs) // 2]):
        if proposal.candidate.key not in known:
            return proposal
    return None


def _planned(space: Space, told: Sequence[Trial], epochs: float) -> Iterator[Proposal]:
    usual = {"epochs": epochs, "learning_rate": 1e-3, "distill": 1.0}
    for index, choices in enumerate(BASELINES):
        script = Scripted(choices)
        candidate = space.suggest(script)
        if index == 0:
            candidate = BASELINE  # also where --steps leaves float32 out: what is lost is lost against it
        if index == 0 or _kept(script, space):
            yield Proposal(script, candidate, "baseline")
    yield from variants(space, told)
    for choices in RECIPES:
        if choices.get("train") and epochs not in space.epochs:
            continue  # there is no time left for it
        script = Scripted(usual | _possible(choices, space))
        if _kept(script, space):
            yield Proposal(script, space.suggest(script), "recipe")


def variants(space: Space, told: Sequence[Trial]) -> Iterator[Proposal]:
    """The other deployments of the trained prefixes that were scored, but for those that training has spoilt."""
    for trial in told:
        trained = trial.state.scored and trial.candidate.prefix.steps and trial.origin in ("recipe", "sampler")
        if not trained or any(trial.constraints.get(name, 0.0) > HOPELESS for name in ("max-drop", "min-metric")):
            continue
        choices = {name: entry["chosen"] for name, entry in trial.params.items()}
        for change in VARIANTS:
            script = Scripted(choices | change)
            candidate = space.suggest(script)
            if candidate.prefix == trial.candidate.prefix and _kept(Scripted(change), space, choices):
                yield Proposal(script, candidate, "variant")


def _possible(choices: Mapping[str, Any], space: Space) -> dict[str, Any]:
    """A model without batch normalization has nothing to fold; its clusters need no folding."""
    return {name: value for name, value in choices.items() if name != "cluster.fold" or space.folds()}


def _kept(script: Scripted, space: Space, more: Mapping[str, Any] | None = None) -> bool:
    """Did the space offer every choice that the script wants? A space without QAT has no QAT recipe."""
    seen = _Seen(Scripted({**(more or {}), **script.script}))
    space.suggest(seen)
    if len(space.deployments()) == 1:  # then nobody is asked
        seen.chosen.setdefault("deploy", space.deployments()[0])
    return all(seen.chosen.get(name) == wanted for name, wanted in script.script.items() if isinstance(wanted, str))


@dataclasses.dataclass
class _Seen:
    inner: Scripted
    chosen: dict[str, Any] = dataclasses.field(default_factory=dict)

    def one_of(self, name: str, options: Sequence[str]) -> str:
        self.chosen[name] = self.inner.one_of(name, options)
        return str(self.chosen[name])

    def level(self, name: str, options: Sequence[Any]) -> Any:
        self.chosen[name] = self.inner.level(name, options)
        return self.chosen[name]
