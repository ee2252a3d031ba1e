"""The space: what can be chosen, as a small tree of conditional choices that ends in a candidate."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from litetuner.spaces.candidate import Candidate
from litetuner.spaces.choices import Chooser, offer
from litetuner.spaces.deployments import Deployments
from litetuner.spaces.info import UNPROVABLE
from litetuner.spaces.rules import SpaceConstraints
from litetuner.spaces.step import HEAD, Stage, Step
from litetuner.spaces.steps import STEPS
from litetuner.spaces.training.sparsity import by_rank, erk

NO = "no"
DISTILL = (0.0, 0.5, 1.0)
MENDING = (
    4.0  # times as long as other trainings: a model that lost channels has much to learn again, and is quicker by then
)
ONCE = "once"  # in one shot, without training
SPREADS = ("global", "erk", "sensitivity", "uniform")  # the first is what recipes take
FOLDING = ("Conv1D", "Conv2D", "Conv2DTranspose", "Conv3D", "Dense", "DepthwiseConv2D")  # what a batch norm may go into
FOLDED = 1 / 32  # of the learning rate that a network with batch normalizations takes; without them 1e-3 destroys it
LARGE_HEAD = 0.1  # a head of more than this share of the other kernels may be pruned too


@dataclasses.dataclass(frozen=True)
class ScriptedChoices:
    """Chooses by a script, and the first option where the script is silent. Used for baselines and recipes."""

    script: Mapping[str, Any]

    def one_of(self, name: str, options: Sequence[str]) -> str:
        wanted = self.script.get(name, options[0])
        return wanted if wanted in options else options[0]

    def level(self, name: str, options: Sequence[Any]) -> Any:
        wanted = self.script.get(name, options[0])
        return min(options, key=lambda option: abs(option - wanted))


@dataclasses.dataclass(frozen=True)
class Space:
    """All candidates for one model. ``ranking`` lists weighted layers, the most sensitive to low precision first."""

    around: SpaceConstraints
    ranking: tuple[str, ...]
    epochs: tuple[float, ...] = (1.0,)
    learning_rates: tuple[float, ...] = (1e-4, 3e-4, 1e-3, 3e-3)
    distill: tuple[float, ...] = DISTILL
    io: tuple[str, ...] = ("float32", "int8", "uint8")
    keep_names: bool = False
    train: bool = True
    _kept: dict[Any, Any] = dataclasses.field(
        default_factory=dict, compare=False, repr=False
    )  # a search asks thousands of times

    def suggest(self, choose: Chooser) -> Candidate:
        """One candidate, by the choices of ``choose``. Only combinations that the rules allow are offered."""
        trained = self.trained(choose)
        rewrites = offer(choose, Stage.REWRITE, self._may)
        return Candidate((*trained, *self._deploy(choose, trained), *rewrites, *self.slimming()))

    def trained(self, choose: Chooser) -> tuple[Step, ...]:
        """The part of a candidate before it is converted, which several deployments can share."""
        return self._train(choose) if self._trainable() else self._once(choose)

    def slimming(self) -> tuple[Step, ...]:
        """The rewrite that every candidate but the baseline ends with."""
        return (STEPS["slim"](keep_names=self.keep_names),)  # type: ignore[call-arg]

    def _may(self, name: str) -> bool:
        return name in STEPS and (self.around.steps is None or name in self.around.steps)

    def _trainable(self) -> bool:
        able = self.around.has_training_data and self.around.model.bridge_refusal is None
        return self.train and able and any(self._may(name) for name, kind in STEPS.items() if kind.stage is Stage.TRAIN)

    def _able(self, technique: str, leave: Sequence[str] = ()) -> list[str]:
        """Layers that can take a technique and are not of the types in ``leave``, the most sensitive first."""
        key = (technique, tuple(leave))
        kept = self._kept.get(key)
        if kept is None or kept[0] is not self.around or kept[1] != self.ranking:
            self._kept[key] = kept = (self.around, self.ranking, self._found(technique, leave))
        return list(kept[2])

    def _found(self, technique: str, leave: Sequence[str]) -> list[str]:
        described = [(layer.name, layer.type, layer.has_kernel) for layer in self.around.model.layers]
        left = STEPS["prune"](leave=tuple(leave)).leaves(described) if leave else set()  # type: ignore[call-arg]
        able = {layer.name for layer in self.around.model.layers_for(technique)} - left
        ranked = [name for name in self.ranking if name in able]
        return ranked + sorted(able - set(ranked))

    def _skip(self, choose: Chooser, technique: str, leave: Sequence[str] = ()) -> tuple[str, ...]:
        """The most sensitive layers that a technique leaves alone: none, one, two, a quarter or a half of them."""
        able = self._able(technique, leave)
        options = sorted({0, *(count for count in (1, 2, len(able) // 4, len(able) // 2) if 0 < count < len(able))})
        count = choose.level(f"{technique}.skip", options) if len(options) > 1 else 0
        blind = [layer.name for layer in self.around.model.layers if layer.refusals.get(technique) == UNPROVABLE]
        return tuple(sorted([*able[:count], *blind]))

    def _train(self, choose: Chooser) -> tuple[Step, ...]:
        if choose.one_of("train", (NO, "yes")) == NO:
            return ()
        epochs = choose.level("epochs", self.epochs)
        rate = choose.level("learning_rate", self.learning_rates)
        cut = self._cut(choose)
        fitting = {"epochs": epochs, "learning_rate": rate, "distill": choose.level("distill", self.distill)}
        steps: list[Step] = []
        prune = self._offer(choose, "prune", "schedule")
        if prune != NO:
            steps.append(self._prune(choose, schedule=prune, **fitting))
        cluster = self._offer(choose, "cluster", "init")
        fold = False
        if cluster != NO:
            fold = self.folds() and choose.one_of("cluster.fold", (NO, "yes")) != NO
            count = choose.level("cluster.count", STEPS["cluster"].choices("count"))
            skip = self._skip(choose, "cluster")
            keep = prune != NO
            knobs = {"count": count, "init": cluster, "skip": skip, "fold": fold, "preserve_sparsity": keep}
            steps.append(_make("cluster", **knobs, **fitting | ({"learning_rate": FOLDED * rate} if fold else {})))
        if self._may("qat") and self._may("int8") and self._able("qat") and not self.around.precision:
            qat = choose.one_of("qat", (NO, "all", "selective"))
            if qat != NO:
                left_out = self._skip(choose, "qat") if qat == "selective" else ()
                refused = {layer.name for layer in self.around.model.layers if not layer.can("qat")}
                keeps = {"preserve_sparsity": prune != NO, "preserve_clusters": cluster != NO}
                scales = "tensor" if fold else choose.one_of("qat.scales", STEPS["qat"].choices("scales"))
                small = () if cluster != NO else self._int4(choose, set(left_out))
                forms = {"scales": scales, "int4_layers": small}
                own = fitting | ({"learning_rate": FOLDED * rate} if scales == "tensor" else {})
                steps.append(_make("qat", skip=tuple(sorted(refused | set(left_out))), **forms, **keeps, **own))
        steps += offer(choose, Stage.TRAIN, self._may, fitting)
        steps.sort(key=lambda step: step.order)
        if cut:  # what was cut is mended before anything else is asked of the weights
            steps.insert(0, _make("finetune", **fitting | {"epochs": MENDING * epochs}))
        elif not steps and self._may("finetune"):
            steps.append(_make("finetune", **fitting))
        return (*cut, *steps)

    def folds(self) -> bool:
        """Is there a batch normalization behind a layer that it may be folded into?"""
        if self.around.model.folds is not None:
            return self.around.model.folds
        layers = self.around.model.layers
        behind = [(before.type, layer.type) for before, layer in itertools.pairwise(layers)]
        return any(kind in FOLDING and layer == "BatchNormalization" for kind, layer in behind)

    def sums(self) -> bool:
        """Does the model add tensors up, so that several layers must agree on their width?"""
        return any(layer.type in ("Add", "TFOpLambda", "AddV2") for layer in self.around.model.layers)

    def _int4(self, choose: Chooser, left_out: set[str]) -> tuple[str, ...]:
        """The least sensitive layers that are trained for 4-bit weights."""
        if not (self._may("ptq") and self._takes("int8")):
            return ()
        able = [name for name in self._able("qat") if name in self._able("int4") and name not in left_out][::-1]
        share = choose.level("qat.int4", (0.0, 0.25, 0.5, 0.75, 1.0)) if able else 0.0
        return tuple(sorted(able[: round(share * len(able))]))

    def _prune(self, choose: Chooser, **knobs: Any) -> Step:
        """Pruning with its shares of zeros by layer, as far as the shapes and the ranking tell them."""
        sparsity = choose.level("prune.sparsity", STEPS["prune"].choices("sparsity"))
        spread = choose.one_of("prune.spread", SPREADS)
        leave = self._leave(choose)
        skip = self._skip(choose, "prune", leave)
        left = set(self._able("prune", leave)) - set(skip)
        shapes = {layer.name: layer.kernel_shape for layer in self.around.model.layers if layer.name in left}
        targets: tuple[tuple[str, float], ...] = ()
        if len(shapes) < 2:
            spread = "uniform"
        elif spread == "erk":
            targets = tuple(erk(shapes, sparsity).items())
        elif spread == "sensitivity":
            targets = tuple(by_rank(shapes, self.ranking, sparsity).items())
        return _make("prune", sparsity=sparsity, spread=spread, targets=targets, skip=skip, leave=leave, **knobs)

    def _leave(self, choose: Chooser) -> tuple[str, ...]:
        """Types of layers that stay dense: embeddings, and the head unless it is large or all there is."""
        usual, bare = ("Embedding", HEAD), ("Embedding",)
        weights = {layer.name: layer.parameters for layer in self.around.model.layers}
        inner, all_of_it = self._able("prune", usual), self._able("prune", bare)
        if not inner:
            return bare if all_of_it else ()
        large = sum(weights[name] for name in all_of_it) > (1 + LARGE_HEAD) * sum(weights[name] for name in inner)
        return bare if large and choose.one_of("prune.head", (NO, "yes")) != NO else usual

    def _once(self, choose: Chooser) -> tuple[Step, ...]:
        """Without training data zeros and clusters are made in one shot."""
        if not self.train or self.around.has_training_data or self.around.model.bridge_refusal is not None:
            return ()
        steps: list[Step] = []
        if self._may("prune") and self._able("prune") and choose.one_of("prune", (NO, ONCE)) != NO:
            steps.append(self._prune(choose, schedule="constant", epochs=0.0))
        if self._may("cluster") and self._able("cluster") and choose.one_of("cluster", (NO, ONCE)) != NO:
            count = choose.level("cluster.count", STEPS["cluster"].choices("count"))
            skip = self._skip(choose, "cluster")
            steps.append(_make("cluster", count=count, skip=skip, preserve_sparsity=bool(steps), epochs=0.0))
        return tuple(steps)

    def _cut(self, choose: Chooser) -> tuple[Step, ...]:
        """Channels that are cut out before training, and other changes of the structure; training must mend them."""
        if not self._may("finetune"):
            return ()
        more = tuple(offer(choose, Stage.RESHAPE, self._may))
        if not self._may("channels"):
            return more
        if choose.one_of("channels", (NO, "yes")) == NO:
            return more
        ratio = choose.level("channels.ratio", STEPS["channels"].choices("ratio"))
        importance = choose.one_of("channels.importance", STEPS["channels"].choices("importance"))
        spread = choose.one_of("channels.spread", STEPS["channels"].choices("spread"))
        return (_make("channels", ratio=ratio, importance=importance, spread=spread), *more)

    def _offer(self, choose: Chooser, name: str, knob: str) -> str:
        if not (self._may(name) and self._able(name)):
            return NO
        return choose.one_of(name, (NO, *STEPS[name].choices(knob)))

    def _deploy(self, choose: Chooser, trained: tuple[Step, ...]) -> tuple[Step, ...]:
        names = {step.name for step in trained}
        if "qat" in names:
            small = next(step for step in trained if step.name == "qat").knobs()["int4_layers"]
            if small:
                layers = tuple((name, "int4") for name in small)
                return (_make("float32"), _make("ptq", recipe="static_wi8_ai8", layers=layers))
            return (_make("int8", io=self._deployments().ends(choose)),)
        return self._deployments().choose(choose, tuple(names))

    def _deployments(self) -> Deployments:
        return Deployments(self.around, self.ranking, self.io, self._may)

    def deployments(self) -> tuple[str, ...]:
        """The deployments of a model that is not quantization-aware, by name; always the same ones in a run, as Optuna wants."""
        return self._deployments().names()

    def _takes(self, io: str) -> bool:
        """May files have this input and output type? All may when the user did not choose."""
        return io in self.io or len(self.io) > 1


def _make(name: str, **knobs: Any) -> Step:
    return STEPS[name](**knobs)
