"""Weight clustering: each kernel holds only ``count`` different values (Han et al. 2016, arXiv:1510.00149; tfmot)."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from litetuner.spaces.choices import FOLDED_RATE, NO, ONCE, Choices
from litetuner.spaces.context import Context
from litetuner.spaces.data.augmentation import NONE, VIEWS
from litetuner.spaces.errors import Refused
from litetuner.spaces.models.folding import fold, foldable
from litetuner.spaces.models.keras_bridge.bridge import clone
from litetuner.spaces.reconstruction.allocation.choosing import choose_beginning
from litetuner.spaces.reconstruction.sequence import Treatment
from litetuner.spaces.step import Step, knob
from litetuner.spaces.training.codebook import begin_with_values, to_codebook
from litetuner.spaces.training.fit import seeded
from litetuner.spaces.training.recovery import PLAIN, RECOVERIES, SECOND_ORDER, Recovery
from litetuner.spaces.training.refusals import registry_refusals
from litetuner.spaces.training.step import TrainingStep

_INITS = {"linear": "LINEAR", "random": "RANDOM", "density": "DENSITY_BASED", "kmeans++": "KMEANS_PLUS_PLUS"}


@dataclasses.dataclass(frozen=True)
class Cluster(TrainingStep):
    """Leaves ``count`` different values in each kernel that tfmot can cluster, except for the layers in ``skip``.

    The values are trained. ``preserve_sparsity`` keeps the zeros of an earlier pruning as one of the values. A kernel
    that has at most ``count`` different values from the start does not change. With ``fold`` batch normalizations are
    folded into the kernels first, so that values stay shared in the file (also at int8 with one scale per tensor). With
    ``per_channel`` every output channel of a convolution has its own values. With ``recover`` "second_order" training
    starts from values that were computed layer by layer (``spaces/reconstruction``). With ``epochs`` 0, and in a probe,
    values are chosen in one shot and nothing is trained. The result is a plain model whose values were counted. The
    compressed file becomes smaller; latency does not change.
    """

    name = "cluster"
    order = 30
    selects_layers = True
    makes = "clusters"
    preserves: ClassVar[Mapping[str, str]] = {"sparsity": "preserve_sparsity"}
    older: ClassVar[Mapping[str, Any]] = {"recover": PLAIN, "counts": ()}

    count: int = knob(32, (8, 16, 32, 64, 128, 256), "different values in each kernel")
    counts: tuple[tuple[str, int], ...] = knob((), None, "(layer, different values) of layers with another count")
    init: str = knob("kmeans++", tuple(_INITS), "where the values start")
    skip: tuple[str, ...] = knob((), None, "layers left unclustered")
    fold: bool = knob(False, (False, True), "fold batch normalizations into the kernels first")
    per_channel: bool = knob(False, None, "count values in each output channel of a convolution")
    preserve_sparsity: bool = knob(False, None, "zeros stay zero")
    recover: str = knob(PLAIN, None, "second_order: values to begin with are solved for, layer by layer")
    epochs: float = knob(1.0, (0.5, 1.0, 2.0, 4.0, 8.0), "passes over the training data; 0: in one shot, untrained")
    learning_rate: float = knob(1e-4, (1e-5, 1e-4, 3e-4, 1e-3), "at the start; decays to 0 along a cosine")
    distill: float = knob(0.0, (0.0, 0.5, 1.0), "share of the original model's outputs in what is trained towards")
    augment: str = knob(NONE, VIEWS, "views of images that are trained on")

    def __post_init__(self) -> None:
        super().__post_init__()
        for count in (self.count, *dict(self.counts).values()):
            if count < 3:  # zero is one value, and each sign needs one
                raise Refused(f"cluster: count is {count}, and must be 3 or more")
        self._refuse_unknown("init", self.init, _INITS)
        self._refuse_unknown("recover", self.recover, RECOVERIES)
        if self.per_channel and self.recover == SECOND_ORDER:
            raise Refused("cluster: values by channel cannot be solved for; leave per_channel or recover out")
        if self.per_channel and self.init == "kmeans++":
            raise Refused("cluster: tfmot has no kmeans++ by channel; take linear, density or random")

    @property
    def needs_training_data(self) -> bool:  # type: ignore[override]
        return self.epochs > 0

    def label(self) -> str:
        return f"cluster {self.count}" + (" by layer" if self.counts else "")

    def details(self) -> list[str]:
        said = {
            "cluster: batch normalizations are folded into the kernels first": self.fold,
            "cluster: values are counted in each output channel": self.per_channel,
            "cluster: in one shot, not trained": not self.epochs,
            "cluster: begins with values that were solved for": self.recover == SECOND_ORDER,
        }
        skipped = [f"cluster: {name} stays unclustered" for name in self.skip]
        counts = [f"cluster: {name}: {count} values" for name, count in self.counts]
        return [line for line, holds in said.items() if holds] + skipped + counts

    def invariants(self, layer_names: Sequence[str]) -> list[tuple[Any, ...]]:
        """Invariants of the final file for ``layer_names`` that are not skipped: (layer, property, count).

        ``layer_names`` are the layers that can be clustered. The property is "tensor_clusters" if only scales per
        channel can multiply the number of values, else "clusters".
        """
        found = "tensor_clusters" if self.fold and not self.per_channel else "clusters"
        return [(name, found, self._count(name)) for name in layer_names if name not in self.skip]

    def _count(self, layer: str) -> int:
        return dict(self.counts).get(layer, self.count)

    @classmethod
    def suggest(cls, choices: Choices, before: tuple[Step, ...]) -> tuple[Step, ...]:
        """Choose how clustering starts before training, or cluster in one shot if there is no training data."""
        if not (choices.allows(cls.name) and choices.able(cls.name)):
            return ()
        trains = choices.constraints.has_training_data
        starts = (*cls.choices("init"), SECOND_ORDER) if trains else (ONCE,)
        init = choices.choose.one_of(cls.name, (NO, *starts))
        if init == NO:
            return ()
        knobs: dict[str, Any] = dict(choices.given) if trains else {"epochs": 0.0}
        if trains:
            knobs |= {"recover": init} if init == SECOND_ORDER else {"init": init}
        if trains and choices.folds() and (init == SECOND_ORDER or choices.yes("cluster.fold")):
            knobs |= {"fold": True, "learning_rate": FOLDED_RATE * choices.given["learning_rate"]}
        begun = choose_beginning(choices) if init == SECOND_ORDER else {}
        if begun:
            able = choices.able(cls.name)
            counts = {name: each.clusters_alike for name, each in begun.items() if name in able and each.few}
            if not counts:
                return ()
            knobs |= {"count": max(counts.values()), "skip": choices.others(cls.name, list(counts))}
            knobs["counts"] = tuple((name, count) for name, count in counts.items() if count != knobs["count"])
        else:
            knobs["count"] = choices.choose.level("cluster.count", cls.choices("count"))
            knobs["skip"] = choices.skip(cls.name)
        return (cls(preserve_sparsity=any(step.makes == "sparsity" for step in before), **knobs),)

    @classmethod
    def trained_choices(cls, solved: Mapping[str, Any]) -> dict[str, Any] | None:
        """The same number of values; evenly spaced values per channel (``bits``) become as many values per tensor."""
        if solved["layers"]:
            return {cls.name: SECOND_ORDER if any(Treatment(*each[1:]).few for each in solved["layers"]) else NO}
        if not solved.get(cls.makes):
            return {cls.name: NO}
        return {cls.name: SECOND_ORDER, "cluster.count": solved[cls.makes], "cluster.skip": solved["keep"]}

    @classmethod
    def layer_refusals(cls, model: Any) -> dict[str, str]:
        """Layers that tfmot's registry rejects, or that tfmot can wrap but not unwrap."""
        from tensorflow_model_optimization.python.core.clustering.keras.clustering_registry import ClusteringRegistry

        unlisted = ("GRU", "LSTM", "SimpleRNN", "RNN", "Bidirectional", "MultiHeadAttention")
        found = registry_refusals(model, ClusteringRegistry, "cluster", lambda layer: type(layer).__name__ in unlisted)
        for layer in model.layers:
            if type(layer).__name__ == "MultiHeadAttention":
                # The registry lists it, but stripping the wrapper fails (ValueError: weight shapes; tfmot 0.8.1).
                found[layer.name] = "tfmot cannot take the clustering wrapper of a MultiHeadAttention off again"
        return found

    def apply(self, subject: Any, context: Context) -> Any:
        """A clustered copy of a tf_keras model.

        Raises ``Refused`` when no layer is left to cluster.
        """
        with seeded(context.seed):
            model = fold(subject) if self.fold else clone(subject)
            normalized = any(type(layer).__name__.endswith("BatchNormalization") for layer in subject.layers)
            if self.fold and normalized and not foldable(subject):
                raise Refused("cluster: no batch normalization of the model can be folded; leave fold out")
            self._refuse_unknown_layers((*self.skip, *dict(self.counts)), model, "to skip or to cluster")
            chosen = _clusterable(model, self.skip)
            few = [name for name in chosen if self._values(model, name) <= self._count(name)]
            many = set(chosen) - set(few)
            if self.recover == SECOND_ORDER and not context.untrained:
                model = self._recovered(model, sorted(many), context)
                if not self.epochs:
                    return model
            before = {name: _kernels(model, name) for name in chosen}
            wrapped = self._wrap(model, many)
            if self.recover == SECOND_ORDER and not context.untrained:
                begin_with_values(wrapped)
            if not context.untrained and self.epochs:
                held = self._hold(wrapped, few)
                self._fit(wrapped, context)
                for layer in held:
                    layer.trainable = True
            clustered = _strip(wrapped)
            self._snap(before, clustered)
            return clustered

    def _recovered(self, model: Any, names: Sequence[str], context: Context) -> Any:
        """A copy in which the kernels of these layers have ``count`` values, computed layer by layer."""
        if foldable(model):
            raise Refused("cluster: values are solved for in the file, where batch normalizations are folded: set fold")
        kernels = {name: [variable.name for variable in _variables(model, name)] for name in names}
        recovery = Recovery(self.name, model, context, kernels)
        return recovery.solved({name: Treatment(clusters=self._count(name)) for name in names})

    def _wrap(self, model: Any, names: set[str]) -> Any:
        import tensorflow_model_optimization as tfmot
        import tf_keras
        from tensorflow_model_optimization.python.core.clustering.keras.cluster_wrapper import ClusterWeights
        from tensorflow_model_optimization.python.core.clustering.keras.experimental.cluster import cluster_weights

        init = getattr(tfmot.clustering.keras.CentroidInitialization, _INITS[self.init])

        def wrap(layer: Any) -> Any:
            if layer.name not in names:
                return layer
            count = self._count(layer.name)
            if self.per_channel and type(layer).__name__ == "Conv2D":
                # cluster_weights skips a convolution without bias: it mistakes the kernel for one weight per channel.
                return ClusterWeights(layer, count, init, self.preserve_sparsity, cluster_per_channel=True)
            return cluster_weights(layer, count, init, preserve_sparsity=self.preserve_sparsity)

        return tf_keras.models.clone_model(model, clone_function=wrap)

    def _hold(self, wrapped: Any, few: Sequence[str]) -> list[Any]:
        """Freeze kernels that already have few values, or zeros to keep: training would change these values."""
        held = []
        for layer in wrapped.layers:
            if layer.name not in few and not (layer.name in self.skip and self.preserve_sparsity):
                continue
            kernels = [kernel for kernel in layer.get_weights() if kernel.ndim > 1]
            crowded = any(kernel.size > self._count(layer.name) for kernel in kernels)
            sparse = self.preserve_sparsity and any((kernel == 0).any() for kernel in kernels)
            if layer.trainable and (sparse or (crowded and layer.name in few)):
                layer.trainable = False
                held.append(layer)
        return held

    def _values(self, model: Any, name: str) -> int:
        """The largest number of different values in a kernel of a layer.

        Values are counted per channel if channels have their own values.
        """
        kernels = _kernels(model, name)
        if self.per_channel and type(model.get_layer(name)).__name__ == "Conv2D":
            kernels = [channel for kernel in kernels for channel in np.moveaxis(kernel, -1, 0)]
        return max(len(np.unique(kernel)) for kernel in kernels)

    def _snap(self, before: Mapping[str, list[np.ndarray]], after: Any) -> None:
        """Undo what training moved apart: zeros that must stay zero, and values beyond ``count``."""
        for name, kernels in before.items():
            by_channel = self.per_channel and type(after.get_layer(name)).__name__ == "Conv2D"
            for old, variable in zip(kernels, _variables(after, name), strict=True):
                new = variable.numpy()
                if self.preserve_sparsity:
                    new[old == 0] = 0.0
                parts = np.moveaxis(new, -1, 0) if by_channel else new[None]
                few = np.stack([to_codebook(part, self._count(name)) for part in parts])
                variable.assign(np.moveaxis(few, 0, -1) if by_channel else few[0])


def _strip(wrapped: Any) -> Any:
    import tensorflow_model_optimization as tfmot

    return clone(tfmot.clustering.keras.strip_clustering(wrapped))


def _clusterable(model: Any, skip: Sequence[str]) -> list[str]:
    """Names of the layers that tfmot can cluster and that are not in ``skip``."""
    from tensorflow_model_optimization.python.core.clustering.keras import clustering_registry

    registry = clustering_registry.ClusteringRegistry

    def can(layer: Any) -> bool:
        # The registry lists MultiHeadAttention, but tfmot 0.8.1 cannot strip its wrapper (ValueError: weight shapes).
        listed = layer.weights and registry.supports(layer) and type(layer).__name__ != "MultiHeadAttention"
        return bool(listed and _kernels(model, layer.name))

    able = [layer.name for layer in model.layers if can(layer)]
    chosen = [name for name in able if name not in skip]
    if not chosen:
        raise Refused(f"cluster: no layer is left to cluster ({len(able)} can be clustered, {len(skip)} are skipped)")
    return chosen


def _kernels(model: Any, name: str) -> list[np.ndarray]:
    """The weights that tfmot clusters in a layer that its registry supports; none for a depthwise convolution."""
    return [variable.numpy() for variable in _variables(model, name)]


def _variables(model: Any, name: str) -> list[Any]:
    from tensorflow_model_optimization.python.core.clustering.keras import clustering_registry

    # make_clusterable adds a method to the layer, so ``model`` must be a copy of the user's model.
    layer = clustering_registry.ClusteringRegistry.make_clusterable(model.get_layer(name))
    return [weight for _, weight in layer.get_clusterable_weights()]
