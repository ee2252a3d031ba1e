"""Magnitude pruning: the smallest weights of each kernel become zero (Zhu and Gupta 2017, arXiv:1710.01878; tfmot)."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from litetuner.spaces.choices import NO, ONCE, YES, Choices
from litetuner.spaces.context import Context
from litetuner.spaces.data.augmentation import NONE, VIEWS
from litetuner.spaces.errors import Refused
from litetuner.spaces.models.keras_bridge.bridge import clone
from litetuner.spaces.models.layer_selection import HEAD
from litetuner.spaces.reconstruction.allocation.choosing import choose_beginning
from litetuner.spaces.reconstruction.sequence import Treatment
from litetuner.spaces.step import Step, knob
from litetuner.spaces.training.fit import TrainingHooks, count_steps, seeded
from litetuner.spaces.training.pruning.sparsity import (
    SPREADS,
    by_rank,
    check_zeros,
    described_kernel,
    erk,
    keep_largest,
    overall,
    prunable_kernels,
    shares_of,
    why_not_faster,
)
from litetuner.spaces.training.pruning.sparsity_schedule import KNOWN, Rise
from litetuner.spaces.training.recovery import PLAIN, RECOVERIES, SECOND_ORDER, Recovery
from litetuner.spaces.training.refusals import registry_refusals
from litetuner.spaces.training.step import TrainingStep

SEARCHED_SPREADS = ("global", "erk", "sensitivity", "uniform")  # recipes use the first one
# The polynomial schedule of a recovered model starts at this share of the final sparsity. A guess, not measured.
RECOVERED_START = 0.6
LARGE_HEAD = 0.1  # a head with more than this share of the other kernels' weights may be pruned too


@dataclasses.dataclass(frozen=True)
class Prune(TrainingStep):
    """Zeros the share ``sparsity`` of the kernels that tfmot can prune; ``skip`` and ``leave`` exclude some layers.

    ``spread`` gives every layer the same share ("uniform"), large kernels more ("erk"), all layers one magnitude
    threshold ("global"), or sensitive layers less ("sensitivity", with the shares by layer in ``targets``; other
    spreads may have ``targets`` too). ``schedule`` "constant" sets the masks at the first step, "polynomial" raises the
    sparsity over time, and a user function may return any sparsity. With ``recover`` "second_order" training starts
    from zeros and weights that were computed layer by layer (``spaces/reconstruction``), at the initial sparsity of the
    schedule. These zeros stay, and "global" chooses the shares with the least error. With ``epochs`` 0, and in a probe,
    masks are set in one shot and nothing is trained. The result is a plain model whose zeros were counted. The
    compressed file shrinks by about the share of zeros; latency hardly ever changes, and ``notes`` says why.
    """

    name = "prune"
    order = 20
    selects_layers = True
    makes = "sparsity"
    older: ClassVar[Mapping[str, Any]] = {"recover": PLAIN}

    sparsity: float = knob(0.5, (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9), "share of zeros in the pruned kernels, in (0, 1)")
    schedule: str = knob("polynomial", KNOWN, "how the sparsity rises; or module:function(step) -> sparsity")
    spread: str = knob("uniform", SPREADS, "how zeros are spread over layers")
    targets: tuple[tuple[str, float], ...] = knob((), None, "share of zeros by layer, instead of what spread computes")
    skip: tuple[str, ...] = knob((), None, "layers left dense")
    leave: tuple[str, ...] = knob(("Embedding", HEAD), None, "types of layers left dense; head is the last kernel")
    initial: float = knob(0.0, None, "sparsity at which the polynomial schedule begins")
    power: float = knob(3.0, None, "of the polynomial; 1 is a straight line")
    begin: float = knob(0.0, None, "share of the training after which the polynomial schedule begins")
    end: float = knob(0.6, None, "share of the training after which it ends; the rest recovers accuracy")
    updates: int = knob(40, None, "of the masks in one training")
    recover: str = knob(PLAIN, None, "second_order: masks and weights to begin with are solved for, layer by layer")
    epochs: float = knob(1.0, (0.5, 1.0, 2.0, 4.0, 8.0), "passes over the training data; 0: in one shot, untrained")
    learning_rate: float = knob(3e-4, (1e-4, 3e-4, 1e-3), "at the start; decays to 0 along a cosine")
    distill: float = knob(0.0, (0.0, 0.5, 1.0), "share of the original model's outputs in what is trained towards")
    augment: str = knob(NONE, VIEWS, "views of images that are trained on")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.sparsity < 1:
            raise Refused(f"prune: sparsity is {self.sparsity}, and must lie between 0 and 1")
        self._refuse_unknown("spread", self.spread, SPREADS, f"; known: {', '.join(SPREADS)}")
        if self.spread == "sensitivity" and not self.targets:
            raise Refused("prune: spread by sensitivity needs targets, the share of zeros by layer")
        if any(not 0 <= share < 1 for _, share in self.targets):
            raise Refused("prune: a target is a share of zeros in [0, 1)")
        self._refuse_unknown("recover", self.recover, RECOVERIES)
        if self.recover == SECOND_ORDER and self.schedule == "polynomial" and self.epochs and not self.initial:
            raise Refused("prune: a polynomial schedule that begins at 0 has nothing to recover; set initial")
        self._rise()

    @property
    def needs_training_data(self) -> bool:  # type: ignore[override]
        return self.epochs > 0

    def label(self) -> str:
        return f"prune {100 * self.sparsity:g}%"

    def details(self) -> list[str]:
        said = {
            f"prune: {self.spread} spread over layers": self.spread != "uniform",
            f"prune: {self.schedule} schedule": self.schedule != "polynomial" and self.epochs,
            "prune: in one shot, not trained": not self.epochs,
            "prune: begins with masks and weights that were solved for": self.recover == SECOND_ORDER,
        }
        dense = [f"prune: {name} stays dense" for name in self.skip]
        targets = [f"prune: {name}: sparsity {share:g}" for name, share in self.targets]
        return [line for line, holds in said.items() if holds] + dense + targets

    def notes(self, model: Any) -> list[str]:
        """The layers with kernels that stay dense without being in ``skip``, and why zeros do not reduce latency."""
        pruned = set(self._chosen(model))
        kernels = [layer for layer in model.layers if any(len(weight.shape) > 1 for weight in layer.weights)]
        dense = [layer.name for layer in kernels if layer.name not in pruned and layer.name not in self.skip]
        found = [f"prune: {', '.join(dense)} stay dense: a head, or nothing that tfmot prunes"] if dense else []
        shares = self._shares(model, sorted(pruned), None)
        described = [(*described_kernel(layer), shares.get(layer.name, 0.0)) for layer in kernels]
        reasons = why_not_faster(described)
        verdict = f"nowhere: {'; '.join(reasons)}" if reasons else "float files on ARM may become faster"
        return [*found, f"prune: where zeros save time (XNNPACK): {verdict}"]

    def invariants(self, layer_names: Sequence[str]) -> list[tuple[Any, ...]]:
        """Invariants of the final file for the prunable ``layer_names`` that are not skipped: (layer, property, value).

        The property is "sparsity" by layer if the shares of the layers are known beforehand. Otherwise ("global", or a
        spread that depends on the shapes of the model) it is "sparsity_of_all", with the layers as a fourth item.
        """
        names = [name for name in layer_names if name not in self.skip]
        if self.targets:
            return [(name, "sparsity", share) for name, share in self.targets if name in names]
        if self.spread == "uniform":
            return [(name, "sparsity", self.sparsity) for name in names]
        return [("all pruned layers", "sparsity_of_all", self.sparsity, tuple(names))] if names else []

    @classmethod
    def suggest(cls, choices: Choices, before: tuple[Step, ...]) -> tuple[Step, ...]:
        """Choose a schedule for the training, or prune in one shot if there is no training data."""
        if not (choices.allows(cls.name) and choices.able(cls.name)):
            return ()
        trains = choices.constraints.has_training_data
        starts = (*cls.choices("schedule"), SECOND_ORDER) if trains else (ONCE,)
        schedule = choices.choose.one_of(cls.name, (NO, *starts))
        if schedule == NO:
            return ()
        fitting: dict[str, Any] = (
            {"schedule": schedule, **choices.given} if trains else {"schedule": "constant", "epochs": 0.0}
        )
        begun = choose_beginning(choices) if schedule == SECOND_ORDER else {}
        if begun:
            return cls._by_layer(choices, begun)
        sparsity = choices.choose.level("prune.sparsity", cls.choices("sparsity"))
        if schedule == SECOND_ORDER:
            schedule = choices.choose.one_of("prune.schedule", cls.choices("schedule"))
            fitting |= {"schedule": schedule, "recover": SECOND_ORDER, "initial": RECOVERED_START * sparsity}
        spread = choices.choose.one_of("prune.spread", SEARCHED_SPREADS)
        leave = cls._chosen_leave(choices)
        skip = choices.skip(cls.name, leave)
        left = set(choices.able(cls.name, leave)) - set(skip)
        shapes = {layer.name: layer.kernel_shape for layer in choices.constraints.model.layers if layer.name in left}
        targets: tuple[tuple[str, float], ...] = ()
        if len(shapes) < 2:
            spread = "uniform"
        elif spread == "erk":
            targets = tuple(erk(shapes, sparsity).items())
        elif spread == "sensitivity":
            targets = tuple(by_rank(shapes, choices.ranking, sparsity).items())
        return (cls(sparsity=sparsity, spread=spread, targets=targets, skip=skip, leave=leave, **fitting),)

    @classmethod
    def _by_layer(cls, choices: Choices, begun: Mapping[str, Treatment]) -> tuple[Step, ...]:
        """As sparse in each layer as in the given treatments. Layers that tfmot cannot prune stay dense."""
        leave = ("Embedding",)
        able = choices.able(cls.name, leave)
        targets = {name: each.sparsity for name, each in begun.items() if name in able and each.sparsity}
        knobs: dict[str, Any] = {"schedule": choices.choose.one_of("prune.schedule", cls.choices("schedule"))}
        if not targets:
            return ()
        sparsity = round(overall(targets, choices.constraints.model.layers), 2)
        knobs |= {"recover": SECOND_ORDER, "initial": RECOVERED_START * sparsity, "targets": tuple(targets.items())}
        knobs |= {"skip": choices.others(cls.name, list(targets), leave), "leave": leave, **choices.given}
        return (cls(sparsity=sparsity, spread="sensitivity", **knobs),)

    @classmethod
    def trained_choices(cls, solved: Mapping[str, Any]) -> dict[str, Any] | None:
        if solved["layers"]:
            return {cls.name: SECOND_ORDER if any(sparsity for _, sparsity, *_ in solved["layers"]) else NO}
        if not solved.get(cls.makes):
            return {cls.name: NO}
        chosen = {
            "prune.sparsity": solved[cls.makes],
            "prune.spread": SEARCHED_SPREADS[0],
            "prune.skip": solved["keep"],
        }
        return {cls.name: SECOND_ORDER} | chosen

    @classmethod
    def _chosen_leave(cls, choices: Choices) -> tuple[str, ...]:
        """Layer types that stay dense: embeddings, and the head unless it is large or the only layer."""
        usual, bare = ("Embedding", HEAD), ("Embedding",)
        weights = {layer.name: layer.parameters for layer in choices.constraints.model.layers}
        inner, all_of_it = choices.able(cls.name, usual), choices.able(cls.name, bare)
        if not inner:
            return bare if all_of_it else ()
        large = sum(weights[name] for name in all_of_it) > (1 + LARGE_HEAD) * sum(weights[name] for name in inner)
        return bare if large and choices.choose.one_of("prune.head", (NO, YES)) != NO else usual

    @classmethod
    def layer_refusals(cls, model: Any) -> dict[str, str]:
        """Layers that tfmot's registry rejects, or whose zeros could not be verified in the file."""
        from tensorflow_model_optimization.python.core.sparsity.keras.prune_registry import PruneRegistry

        return registry_refusals(model, PruneRegistry, "prune", PruneRegistry._is_rnn_layer)

    def leaves_of(self, model: Any) -> set[str]:
        """The layers of a tf_keras model that the knob ``leave`` excludes."""
        kernels = {layer: any(len(weight.shape) > 1 for weight in layer.weights) for layer in model.layers}
        return self.leaves([(layer.name, type(layer).__name__, has) for layer, has in kernels.items()])

    def apply(self, subject: Any, context: Context) -> Any:
        """A pruned copy of a tf_keras model.

        Raises ``Refused`` if no layer is left to prune or a layer has no second-order solution, ``BuildFailed`` if a
        kernel has fewer zeros than requested.
        """
        with seeded(context.seed):
            model = clone(subject)
            chosen = self._chosen(model)
            recovery = None
            if self.recover == SECOND_ORDER and not context.untrained:
                kernels = {name: [each.name for each in prunable_kernels(model.get_layer(name))] for name in chosen}
                recovery = Recovery(self.name, model, context, kernels)
            shares = self._shares(model, chosen, recovery)
            steps = 0 if context.untrained else count_steps(context, self.epochs)
            if recovery is not None:
                begun = self._rise().beginning(self.sparsity, steps) if steps else 1.0
                model = recovery.solved({name: Treatment(begun * share) for name, share in shares.items()})
            elif not steps:
                keep_largest(model, shares)
            if steps:
                model = self._train(model, shares, steps, context)
            check_zeros(model, shares)
            return model

    def _rise(self) -> Rise:
        return Rise(self.schedule, self.initial, self.power, self.begin, self.end, self.updates)

    def _train(self, model: Any, shares: Mapping[str, float], steps: int, context: Context) -> Any:
        import tensorflow_model_optimization as tfmot
        import tf_keras

        sparsity = tfmot.sparsity.keras
        rise = self._rise()

        def wrap(layer: Any) -> Any:
            if layer.name not in shares:
                return layer
            schedule = rise.schedule(shares[layer.name], self.sparsity, steps)
            return sparsity.prune_low_magnitude(layer, pruning_schedule=schedule)

        wrapped = tf_keras.models.clone_model(model, clone_function=wrap)
        # tfmot's own masks are all ones if a kernel has more zeros than requested
        held = shares if self.recover == SECOND_ORDER else ()
        kernels = [kernel for name in held for kernel in prunable_kernels(model.get_layer(name))]  # wrappers share them
        masks = [(kernel, kernel.numpy() != 0) for kernel in kernels]
        self._fit(wrapped, context, TrainingHooks(callbacks=[sparsity.UpdatePruningStep()], masks=masks))
        return clone(sparsity.strip_pruning(wrapped))

    def _chosen(self, model: Any) -> list[str]:
        """Names of the layers that tfmot can prune and that are not excluded."""
        from tensorflow_model_optimization.python.core.sparsity.keras import prune_registry

        self._refuse_unknown_layers((*self.skip, *dict(self.targets)), model, "to skip or to prune")
        registry = prune_registry.PruneRegistry
        able = [
            layer for layer in model.layers if layer.weights and registry.supports(layer) and prunable_kernels(layer)
        ]
        left = set(self.skip) | self.leaves_of(model)
        chosen = [layer for layer in able if layer.name not in left]
        if not chosen:
            raise Refused(
                f"prune: no layer is left to prune ({len(able)} can be pruned; skip names {len(self.skip)}, and leave keeps "
                f"{', '.join(self.leave) or 'none'} dense)"
            )
        if self.targets and {layer.name for layer in chosen} != {name for name, _ in self.targets}:
            odd = sorted({layer.name for layer in chosen} ^ {name for name, _ in self.targets})
            raise Refused(f"prune: targets must name every layer that is pruned and no other; see {', '.join(odd)}")
        return [layer.name for layer in chosen]

    def _shares(self, model: Any, chosen: Sequence[str], recovery: Recovery | None) -> dict[str, float]:
        """The share of zeros of each layer, without layers that get none."""
        if self.targets:
            return {name: share for name, share in self.targets if share > 0}
        if self.spread == "uniform":
            return dict.fromkeys(chosen, self.sparsity)
        if recovery is not None and self.spread == "global":
            shares = recovery.shares(self.sparsity)
        else:
            shares = shares_of(model, chosen, self.spread, self.sparsity)
        return {name: share for name, share in shares.items() if share > 0}
