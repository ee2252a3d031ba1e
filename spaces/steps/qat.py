"""Quantization-aware training: int8 rounding is simulated while training (Jacob et al. 2018, arXiv:1712.05877; tfmot)."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from litetuner.spaces.choices import FOLDED_RATE, NO, Choices
from litetuner.spaces.constraints import SpaceConstraints
from litetuner.spaces.context import Context
from litetuner.spaces.data.augmentation import NONE, VIEWS
from litetuner.spaces.errors import Refused, nearest
from litetuner.spaces.models.folding import fold, is_normalization
from litetuner.spaces.models.keras_bridge.bridge import clone
from litetuner.spaces.quantization.qat_ranges import set_ranges
from litetuner.spaces.quantization.qat_scheme import Scheme, is_input, layer_before, refusals
from litetuner.spaces.quantization.rounding import SCALES, Rounding, on_grid
from litetuner.spaces.quantization.shared_values import values_by_channel
from litetuner.spaces.step import Rule, Stage, Step, knob
from litetuner.spaces.steps.float32 import Float32
from litetuner.spaces.steps.int8 import Int8
from litetuner.spaces.steps.ptq import Ptq
from litetuner.spaces.tf import load
from litetuner.spaces.training.codebook import CENTROIDS, snap_kernels
from litetuner.spaces.training.fit import TrainingHooks, seeded
from litetuner.spaces.training.step import TrainingStep

_MOST_CLUSTERS = 256  # kernels with more different values were not clustered by litetuner

INT4_RECIPE = "static_wi8_ai8"  # gives int4 to the layers that were trained for it, and int8 to all others
INT4_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


def _deployed_as_trained(steps: tuple[Step, ...], around: SpaceConstraints) -> Iterable[str]:
    small = next(set(step.int4_layers) for step in steps if isinstance(step, Qat))
    if small:
        quantizer = next((step for step in steps if isinstance(step, Ptq)), None)
        found = {name for name, precision in quantizer.layers if precision == "int4"} if quantizer else set()
        if quantizer is None or quantizer.recipe != INT4_RECIPE or found != small:
            yield f"qat trained layers for int4, and only ptq with {INT4_RECIPE} and these layers at int4 gives them that"
        return
    for step in steps:
        if step.stage is Stage.CONVERT and not isinstance(step, Int8):
            yield f"qat -> {step.name}: the 8-bit ranges that were trained would be dropped"
        elif isinstance(step, Int8) and step.scales != "channel":
            yield "qat -> int8 with scales by tensor: weights keep the scales that they were trained with; set scales of qat"
        elif step.stage is Stage.REWRITE and step.name in ("ptq", "sparse"):
            yield f"qat -> {step.name}: {step.name} starts from a float file"


def _shared_values(steps: tuple[Step, ...], around: SpaceConstraints) -> Iterable[str]:
    skip = next(step.skip for step in steps if isinstance(step, Qat))
    for name in values_by_channel(steps, skip, around):
        yield f"qat skips {name}, so its scales are by channel, which spreads its clusters: skip it in both steps, or in none"


def _int4_layers(steps: tuple[Step, ...], around: SpaceConstraints) -> Iterable[str]:
    layers = {layer.name: layer for layer in around.model.layers}
    for name in next(step.int4_layers for step in steps if isinstance(step, Qat)):
        if name not in layers or not (layers[name].can("int4") and layers[name].can("qat")):
            yield f"qat: {name} cannot be trained for int4"


@dataclasses.dataclass(frozen=True)
class Qat(TrainingStep):
    """Trains with simulated int8 weights and activations; the int8 conversion takes over the trained ranges.

    ``preserve_sparsity`` and ``preserve_clusters`` keep what prune and cluster made (tfmot's collaborative schemes).
    Layers in ``skip`` are trained in float and quantized by the conversion. Every layer that tfmot cannot quantize must
    be in ``skip``, except a batch normalization, which is treated like the convolution before it. A probe is the model
    unchanged, to be quantized after training, because an untrained quantization-aware model has no ranges yet.

    With ``scales`` "tensor" batch normalizations are folded into the kernels first, and shared values stay shared in
    the file. The layers in ``int4_layers`` are trained on a 4-bit grid per output channel (-7 to 7). The result is then
    a plain float model whose weights lie on that grid, and litert-quantizer finds the same grid again.
    """

    name = "qat"
    order = 40
    rules = (
        Rule("after qat", "quantization-aware training fixes 8-bit ranges", _deployed_as_trained),
        Rule("int4 layers", "each layer type takes what the quantizer's policy says", _int4_layers),
        Rule(
            "shared values",
            "the converter gives weights that were not trained for int8 scales by channel",
            _shared_values,
        ),
    )
    needs_training_data = True
    selects_layers = True
    preserves: ClassVar[Mapping[str, str]] = {"sparsity": "preserve_sparsity", "clusters": "preserve_clusters"}
    in_probe = False
    restored_by_wrapping = True

    skip: tuple[str, ...] = knob((), None, "layers trained in float")
    preserve_sparsity: bool = knob(False, None, "zeros stay zero")
    preserve_clusters: bool = knob(False, None, "clusters stay clusters")
    scales: str = knob("channel", SCALES, "one weight scale a channel, or one a tensor")
    int4_layers: tuple[str, ...] = knob((), None, "layers with 4-bit weights")
    epochs: float = knob(1.0, (0.5, 1.0, 2.0, 4.0, 8.0), "passes over the training data")
    learning_rate: float = knob(1e-4, (1e-5, 1e-4, 3e-4, 1e-3), "at the start; decays to 0 along a cosine")
    distill: float = knob(0.0, (0.0, 0.5, 1.0), "share of the original model's outputs in what is trained towards")
    augment: str = knob(NONE, VIEWS, "views of images that are trained on")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scales not in SCALES:
            raise Refused(f"qat: there are no scales {self.scales!r}{nearest(self.scales, SCALES)}; channel or tensor")
        both = sorted(set(self.skip) & set(self.int4_layers))
        if both:
            raise Refused(f"qat: {', '.join(both)} cannot be skipped and trained for int4")
        if self.int4_layers and self.preserve_clusters:
            raise Refused("qat: a 4-bit grid has values of its own, so int4 layers and clusters exclude each other")

    def label(self) -> str:
        return "QAT"

    def label_with(self, deployment: str) -> str:
        tensor = self.scales == "tensor" and "per-tensor" not in deployment
        return f"QAT {deployment}" + (" per-tensor" if tensor else "")

    def details(self) -> list[str]:
        left = [f"qat: {name} is trained in float, and quantized afterwards" for name in self.skip]
        return left + [f"qat: {name} is trained for 4-bit weights" for name in self.int4_layers]

    def invariants(self, layer_names: Sequence[str]) -> list[tuple[Any, ...]]:
        """Invariants of the final file: layers trained for integers have integer weights and activations."""
        names = [name for name in layer_names if name not in self.skip]
        types = [(name, "weight_type", "int4" if name in self.int4_layers else "int8") for name in names]
        return types + [(name, "activation_type", "int8") for name in names]

    @classmethod
    def suggest(cls, choices: Choices, before: tuple[Step, ...]) -> tuple[Step, ...]:
        """For all layers, or without the most sensitive ones; with one weight scale per channel or per tensor."""
        around = choices.constraints
        allowed = choices.allows(cls.name) and Int8.allowed(choices)  # a loop cannot be converted to int8
        if not (allowed and around.has_training_data and choices.able(cls.name)) or around.precision:
            return ()
        chosen = choices.choose.one_of(cls.name, (NO, "all", "selective"))
        if chosen == NO:
            return ()
        left_out = choices.skip(cls.name) if chosen == "selective" else ()
        refused = {layer.name for layer in around.model.layers if not layer.can(cls.name)}
        if values_by_channel(before, refused, around):
            return ()
        left_out = tuple(name for name in left_out if not values_by_channel(before, (name,), around))
        made = {step.makes for step in before}
        folded = any(step.knobs().get("fold") for step in before)
        knobs: dict[str, Any] = {name: what in made for what, name in cls.preserves.items()} | dict(choices.given)
        knobs["scales"] = "tensor" if folded else choices.choose.one_of("qat.scales", cls.choices("scales"))
        knobs["int4_layers"] = () if "clusters" in made else cls._chosen_int4(choices, set(left_out))
        if knobs["scales"] == "tensor":
            knobs["learning_rate"] = FOLDED_RATE * choices.given["learning_rate"]
        return (cls(skip=tuple(sorted(refused | set(left_out))), **knobs),)

    @classmethod
    def trained_choices(cls, solved: Mapping[str, Any]) -> dict[str, Any] | None:
        """For a solution with 4 bits all layers at int4, with 8 bits none; fewer bits cannot be trained."""
        shares: dict[int, dict[str, Any]] = {8: {"qat.int4": 0.0}, 4: {cls.name: "all", "qat.int4": 1.0}}
        return shares.get(solved["bits"])

    @classmethod
    def _chosen_int4(cls, choices: Choices, left_out: set[str]) -> tuple[str, ...]:
        """The layers that are trained for 4-bit weights: a chosen share, the least sensitive ones first."""
        if not (choices.allows(Ptq.name) and choices.takes_io("int8")):
            return ()
        small = choices.able("int4")
        able = [name for name in choices.able(cls.name) if name in small and name not in left_out][::-1]
        share = choices.choose.level("qat.int4", INT4_SHARES) if able else 0.0
        return tuple(sorted(able[: round(share * len(able))]))

    def required_deployment(self, choices: Choices) -> tuple[Step, ...]:
        """Full int8, which uses the trained ranges, or the quantizer if layers were trained for int4."""
        if self.int4_layers:
            layers = tuple((name, "int4") for name in self.int4_layers)
            return (Float32(), Ptq(recipe=INT4_RECIPE, layers=layers))
        return (Int8(io=choices.choose_io()),)

    @classmethod
    def layer_refusals(cls, model: Any) -> dict[str, str]:
        """The layers that QAT cannot quantize, also those without weights, which must not be annotated."""
        return refusals(model)

    def apply(self, subject: Any, context: Context) -> Any:
        """A quantization-aware trained copy of a tf_keras model, ready for the int8 conversion.

        Raises ``Refused`` if a layer that cannot be quantized is not in ``skip``.
        """
        if context.untrained:
            self._check(subject)
            return clone(subject)
        with seeded(context.seed):
            start = self._start(subject)
            model = self._quantized(start)
            set_ranges(model, context)
            frozen, masks = self._holds(model)
            for layer in frozen:
                layer.trainable = False
            self._fit(model, context, TrainingHooks(masks=masks))
            for layer in frozen:
                layer.trainable = True
            snap_kernels(model, start)
            return self._on_grid(start, model) if self.int4_layers else self._stripped(model)

    def wrap(self, model: Any, context: Context) -> Any:
        """The structure that ``apply`` returns for ``model``, without training.

        With the weights of a trained model it is that model.
        """
        if self.int4_layers:
            return self._start(model)
        with seeded(context.seed):
            return self._stripped(self._quantized(self._start(model)))

    def _start(self, model: Any) -> Any:
        """The model to train, with batch normalizations folded if scales are per tensor.

        Folding them later would scale every channel of a tensor differently.
        """
        return fold(model) if self.scales == "tensor" else clone(model)

    def _on_grid(self, subject: Any, trained: Any) -> Any:
        """A plain copy of ``subject`` with the trained weights; ``int4_layers`` are rounded to their 4-bit grid."""
        plain = clone(subject)
        found = {variable.name: variable.numpy() for variable in trained.weights}  # wrappers keep their layers' names
        for layer in plain.layers:
            for variable in layer.weights:
                value = found[variable.name]
                variable.assign(on_grid(value) if layer.name in self.int4_layers and value.ndim > 1 else value)
        return plain

    def _quantized(self, subject: Any) -> Any:
        load()
        import tensorflow_model_optimization as tfmot
        import tf_keras

        left_out = self._check(subject)
        annotate = tfmot.quantization.keras.quantize_annotate_layer

        def mark(layer: Any) -> Any:
            return layer if layer.name in left_out else annotate(layer)

        marked = tf_keras.models.clone_model(clone(subject), clone_function=mark)
        refused = frozenset(refusals(subject, self.preserve_sparsity, self.preserve_clusters))
        rounding = Rounding(self.preserve_sparsity, self.preserve_clusters, self.scales, self.int4_layers)
        scheme = Scheme(self.preserve_sparsity, self.preserve_clusters, refused, rounding)
        # tfmot numbers its input quantizers throughout the process, and their names end up in the file.
        tf_keras.backend.reset_uids()
        try:
            return tfmot.quantization.keras.quantize_apply(marked, scheme)
        except (RuntimeError, ValueError, TypeError) as error:
            raise Refused(f"qat: tfmot cannot quantize this model: {str(error).strip().splitlines()[0]}") from error

    def _check(self, model: Any) -> set[str]:
        """The layers to leave out: those in ``skip``, and the batch normalizations after skipped convolutions."""
        self._refuse_unknown_layers(self.skip, model)
        for name, reason in refusals(model, self.preserve_sparsity, self.preserve_clusters).items():
            if name not in self.skip:
                raise Refused(f"qat: layer {name!r} cannot be quantized: {reason}. Add it to skip.")
        self._refuse_unknown_layers(self.int4_layers, model, "for int4")
        left_out = set(self.skip)
        left_out |= {each.name for each in model.layers if is_normalization(each) and layer_before(each) in left_out}
        if len(left_out) >= sum(1 for layer in model.layers if not is_input(layer)):
            raise Refused("qat: every layer is skipped, so there is nothing to train for int8")
        return left_out

    def _holds(self, model: Any) -> tuple[list[Any], list[tuple[Any, np.ndarray]]]:
        """Layers to freeze and (kernel, mask) pairs, for what tfmot's scheme does not preserve by itself.

        The scheme preserves nothing in skipped layers, nor in layers before a concatenation.
        """
        frozen: list[Any] = []
        masks: list[tuple[Any, np.ndarray]] = []
        for layer in model.layers:
            kernels = [variable for variable in layer.trainable_weights if variable.shape.rank > 1]
            if not kernels or any(CENTROIDS in variable.name for variable in layer.weights):
                continue
            values = [kernel.numpy() for kernel in kernels]
            if self.preserve_clusters and any(len(np.unique(v)) <= min(_MOST_CLUSTERS, v.size - 1) for v in values):
                frozen.append(layer)
            elif self.preserve_sparsity:
                masks += [(k, v != 0) for k, v in zip(kernels, values, strict=True) if (v == 0).any()]
        return frozen, masks

    def _stripped(self, model: Any) -> Any:
        if not self.preserve_clusters:
            return model
        from tensorflow_model_optimization.python.core.quantization.keras.collab_opts.cluster_preserve import (
            cluster_utils,
        )

        return cluster_utils.strip_clustering_cqat(model)
