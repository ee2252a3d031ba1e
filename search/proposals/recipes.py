"""Known recipes. The next one depends on the history only, so a resumed run needs no queue."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from litetuner.search.history import History
from litetuner.search.policy import POLICY
from litetuner.search.proposals.baselines import LATER, baselines
from litetuner.search.proposals.channel_cuts import ChannelCuts
from litetuner.search.proposals.estimates.arithmetic import float_is_better, in_float_if
from litetuner.search.proposals.proposal import Proposal, Spaces, first_new, offers
from litetuner.search.trial import State, Trial
from litetuner.spaces.space import ScriptedChoices, Space

_NUMBERS = POLICY.recipes
_USUAL = {"learning_rate": _NUMBERS.learning_rate, "distill": _NUMBERS.distillation}
_PRUNE = {"train": "yes", "prune": "constant", "prune.sparsity": _NUMBERS.sparsity}
_CHANNELS = {"train": "yes", "channels": "yes", "learning_rate": _NUMBERS.channels_learning_rate}
# Clusters of folded kernels with one scale per tensor compress best: DS-CNN 38 % smaller than int8, unfolded 13 %.
_CLUSTER = {
    "train": "yes",
    "cluster": "kmeans++",
    "cluster.count": _NUMBERS.clusters,
    "cluster.fold": "yes",
    "cluster.skip": _NUMBERS.unclustered_layers,
}
_TENSOR = {"deploy": "int8", "int8.scales": "tensor"}
# Full int8 with one clipped scale per tensor: compressed size 17 % (ResNet8) and 28 % (DS-CNN) smaller, same accuracy.
CLIPPED = {"deploy": "mixed", "rounding": "mse_tensor", "mixed.int4": 0.0, "mixed.float32": 0}
CHANNELS_ALONE = _CHANNELS | CLIPPED
# Reconstruction takes seconds, without training. ResNet8 drops 0.4 points with int4 and 0.4 points with 16 clusters
# (benchmarks/reconstruction.md).
_CLUSTERED = {"deploy": "reconstruct", "reconstruct.form": "counted", "reconstruct.clusters": _NUMBERS.clusters}
SOLVED = _CLUSTERED, _CLUSTERED | {"reconstruct.sparsity": _NUMBERS.sparsity}

_NARROW = {"narrow": "yes", "deploy": "reconstruct", "reconstruct.form": "even"}

# Sources: docs/how-to/recipes.md and docs/development/decisions.md. Recipes without training come first, then channel
# pruning, since nothing else makes a file much faster.
RECIPES: tuple[dict[str, Any], ...] = (
    CLIPPED,
    SOLVED[0],
    {"deploy": "reconstruct", "reconstruct.form": "even", "reconstruct.bits": _NUMBERS.reconstructed_bits},
    SOLVED[1],
    _NARROW,
    CHANNELS_ALONE,
    _CHANNELS | {"qat": "all", "qat.scales": "tensor"},
    _CHANNELS | _CLUSTER | _TENSOR,
    _CHANNELS | _PRUNE | CLIPPED,
    _CHANNELS | _PRUNE | _CLUSTER | _TENSOR,
    _CLUSTER | _TENSOR,
    _PRUNE | CLIPPED,
    _PRUNE | _CLUSTER | _TENSOR,
    {"train": "yes", "qat": "all"},
    _PRUNE | {"qat": "all", "qat.scales": "tensor"},
    {"deploy": "int16x8"},  # 30 to 60 times slower than float32 on x86; scoring is slower by the same factor
    _CLUSTER | {"qat": "all"},
    _PRUNE | _CLUSTER | {"qat": "all"},
    _CHANNELS | _PRUNE | _CLUSTER | {"qat": "all"},
    {"train": "yes", "deploy": "int8"},
    {"deploy": "mixed", "mixed.int4": _NUMBERS.int4_share},
    {"deploy": "ptq_weight_only_wf16"},  # for a .tflite model; Keras models have the baseline float16
)


class Recipes:
    """The recipes with a result, and the spaces without a recipe left (until the next recipe or lost trial ends)."""

    def __init__(self) -> None:
        self.trials: list[Trial] = []
        self.tried = 0  # number of trials of recipes and allocations, without lost ones
        self.exhausted: set[tuple[bool, tuple[float, ...]]] = set()  # spaces, as (``Space.train``, ``Space.epochs``)

    def add(self, trial: Trial, gain: float) -> None:
        self.tried += trial.origin in ("recipe", "allocation") and trial.state is not State.LOST
        if trial.state is State.LOST:
            self.exhausted.clear()  # the lost candidate may be proposed again
        elif trial.origin == "recipe":
            self.exhausted.clear()
            self.trials.append(trial)


def propose(history: History, spaces: Spaces, seed: int) -> Proposal | None:
    """The first new recipe, with the shortest training of the run, else a later baseline.

    After ``trials_before_later_baselines`` trials of recipes and allocations the later baselines come first.
    """
    space, known = spaces.affordable, history.view(Recipes)
    if (space.train, space.epochs) in known.exhausted:
        return None
    parts = [_recipes(space, history, known.trials, spaces.whole.epochs[0]), baselines(space, LATER)]
    later_first = known.tried >= POLICY.recipes.trials_before_later_baselines
    found = first_new(itertools.chain(*(reversed(parts) if later_first else parts)), history)
    if found is None:
        known.exhausted.add((space.train, space.epochs))
    return found


def _recipes(space: Space, history: History, answered: Sequence[Trial], epochs: float) -> Iterator[Proposal]:
    cuts = ChannelCuts.of(answered, history.allowed_drop)
    better = float_is_better(history)
    recipes = (_NARROW, *RECIPES) if better else RECIPES
    for choices, last in [*((choices, False) for choices in recipes), (CHANNELS_ALONE, True)]:
        if choices.get("train") and epochs not in space.epochs:
            continue  # not enough time is left for this training
        for cut in cuts.next(choices, space, last=last):
            computing = in_float_if(better, choices)
            script = ScriptedChoices(_USUAL | {"epochs": epochs} | _possible(choices, space) | computing | cut)
            if offers(space, script):
                yield Proposal("recipe", space, script, space.suggest(script))


def _possible(choices: Mapping[str, Any], space: Space) -> dict[str, Any]:
    """The choices without ``cluster.fold`` if the model has no batch normalization to fold."""
    return {name: value for name, value in choices.items() if name != "cluster.fold" or space.folds()}
