"""Quantization-aware training: int8 rounding is simulated while training (Jacob et al. 2018, arXiv:1712.05877; tfmot)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from litetuner.spaces.context import Context
from litetuner.spaces.errors import Refused, nearest
from litetuner.spaces.models.folding import fold
from litetuner.spaces.models.keras_bridge.bridge import clone
from litetuner.spaces.quantization.rounding import SCALES, Rounding, on_grid, weights_only
from litetuner.spaces.step import Stage, Step, knob
from litetuner.spaces.tf import load
from litetuner.spaces.training.augmentation import CHOICES as AUGMENTATIONS
from litetuner.spaces.training.augmentation import NONE, check_augmentation
from litetuner.spaces.training.fit import TrainingHooks, fit, seeded

_RANGE_PASSES = 4  # each widens what the layers behind the first clipped one see
_RANGE_SAMPLES = 256
_DECAY = 0.999  # of tfmot's MovingAverageQuantizer
_CENTROIDS = "cluster_centroids_tf"
_MOST_CLUSTERS = 256  # kernels with more different values were not clustered by us


@dataclasses.dataclass(frozen=True)
class Qat(Step):
    """Trains with simulated int8 weights and activations; the int8 conversion takes over the trained ranges.

    ``preserve_sparsity`` and ``preserve_clusters`` hold what prune and cluster made (tfmot's collaborative schemes). Layers
    in ``skip`` are trained in float and quantized by the conversion; every layer that tfmot cannot quantize must be among
    them, but a batch normalization goes with the convolution before it. A probe is the model unchanged, to be quantized
    after training: an untrained quantization-aware model has no ranges yet.

    With ``scales`` by tensor batch normalizations are folded into the kernels first, and shared values stay shared in the
    file. The layers of ``int4_layers`` are trained on a grid of 4 bits by output channel (-7 to 7); the result is then a
    plain float model whose weights lie on that grid, and litert-quantizer finds it again.
    """

    name = "qat"
    stage = Stage.TRAIN
    order = 40
    needs_training_data = True

    skip: tuple[str, ...] = knob((), None, "layers trained in float")
    preserve_sparsity: bool = knob(False, None, "zeros stay zero")
    preserve_clusters: bool = knob(False, None, "clusters stay clusters")
    scales: str = knob("channel", SCALES, "one weight scale a channel, or one a tensor")
    int4_layers: tuple[str, ...] = knob((), None, "layers with 4-bit weights")
    epochs: float = knob(1.0, (0.5, 1.0, 2.0, 4.0, 8.0), "passes over the training data")
    learning_rate: float = knob(1e-4, (1e-5, 1e-4, 3e-4, 1e-3), "at the start; decays to 0 along a cosine")
    distill: float = knob(0.0, (0.0, 0.5, 1.0), "share of the original model's outputs in what is trained towards")
    augment: str = knob(NONE, AUGMENTATIONS, "views of images that are trained on")

    def __post_init__(self) -> None:
        check_augmentation(self.name, self.augment)
        if self.scales not in SCALES:
            raise Refused(f"qat: there are no scales {self.scales!r}{nearest(self.scales, SCALES)}; channel or tensor")
        both = sorted(set(self.skip) & set(self.int4_layers))
        if both:
            raise Refused(f"qat: {', '.join(both)} cannot be skipped and trained for int4")
        if self.int4_layers and self.preserve_clusters:
            raise Refused("qat: a 4-bit grid has values of its own, so int4 layers and clusters exclude each other")

    def label(self) -> str:
        kind = ("p" if self.preserve_sparsity else "") + ("c" if self.preserve_clusters else "") + "qat"
        marks = ["tensor"] if self.scales == "tensor" else []
        marks += [f"{len(self.int4_layers)}xint4"] if self.int4_layers else []
        marks += [f"-{len(self.skip)}"] if self.skip else []
        return kind + (f"[{','.join(marks)}]" if marks else "")

    def details(self) -> list[str]:
        left = [f"qat: {name} is trained in float, and quantized afterwards" for name in self.skip]
        return left + [f"qat: {name} is trained for 4-bit weights" for name in self.int4_layers]

    def invariants(self, layer_names: Sequence[str]) -> list[tuple[str, str, Any]]:
        """What must hold in the final file, as (layer, property, value): nothing that was trained for integers is left float.

        Prune's and cluster's promises go on.
        """
        names = [name for name in layer_names if name not in self.skip]
        types = [(name, "weight_type", "int4" if name in self.int4_layers else "int8") for name in names]
        return types + [(name, "activation_type", "int8") for name in names]

    def apply(self, subject: Any, context: Context) -> Any:
        """A quantization-aware trained copy of a tf_keras model, ready for the int8 conversion.

        Raises ``Refused`` where a layer that cannot be quantized is not skipped.
        """
        if context.untrained:
            self._check(subject)
            return clone(subject)
        with seeded(context.seed):
            start = self._start(subject)
            model = self._quantized(start)
            _set_ranges(model, context)
            frozen, masks = self._holds(model)
            for layer in frozen:
                layer.trainable = False
            fit(
                model,
                context,
                epochs=self.epochs,
                learning_rate=self.learning_rate,
                distill=self.distill,
                augment=self.augment,
                hooks=TrainingHooks(masks=masks),
            )
            for layer in frozen:
                layer.trainable = True
            return self._on_grid(start, model) if self.int4_layers else self._stripped(model)

    def wrap(self, model: Any, context: Context) -> Any:
        """The structure that ``apply`` returns for ``model``, not fitted: with the weights of a trained one it is that one."""
        if self.int4_layers:
            return self._start(model)
        with seeded(context.seed):
            return self._stripped(self._quantized(self._start(model)))

    def _start(self, model: Any) -> Any:
        """What is trained: the model, or its folded twin, since folding later would scale every channel of a tensor."""
        return fold(model) if self.scales == "tensor" else clone(model)

    def _on_grid(self, subject: Any, trained: Any) -> Any:
        """A plain copy of ``subject`` with the trained weights; those of ``int4_layers`` rounded to their 4-bit grid."""
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
        make = _scheme(self.preserve_sparsity, self.preserve_clusters)
        refused = frozenset(refusals(subject, self.preserve_sparsity, self.preserve_clusters))
        rounding = Rounding(self.preserve_sparsity, self.preserve_clusters, self.scales, self.int4_layers)
        scheme = _Scheme(make, refused, rounding)
        tf_keras.backend.reset_uids()  # tfmot's input quantizers are numbered through the process, and the names reach the file
        try:
            return tfmot.quantization.keras.quantize_apply(marked, scheme)
        except (RuntimeError, ValueError, TypeError) as error:
            raise Refused(f"qat: tfmot cannot quantize this model: {str(error).strip().splitlines()[0]}") from error

    def _check(self, model: Any) -> set[str]:
        """The layers to leave out: those in ``skip`` and the batch normalizations of skipped convolutions."""
        names = [layer.name for layer in model.layers]
        for name in self.skip:
            if name not in names:
                raise Refused(f"qat: there is no layer {name!r} to skip{nearest(name, names)}")
        for name, reason in refusals(model, self.preserve_sparsity, self.preserve_clusters).items():
            if name not in self.skip:
                raise Refused(f"qat: layer {name!r} cannot be quantized: {reason}. Add it to skip.")
        for name in self.int4_layers:
            if name not in names:
                raise Refused(f"qat: there is no layer {name!r} for int4{nearest(name, names)}")
        left_out = set(self.skip)
        left_out |= {layer.name for layer in model.layers if _is_normalization(layer) and _before(layer) in left_out}
        if len(left_out) >= sum(1 for layer in model.layers if not _is_input(layer)):
            raise Refused("qat: every layer is skipped, so there is nothing to train for int8")
        return left_out

    def _holds(self, model: Any) -> tuple[list[Any], list[tuple[Any, np.ndarray]]]:
        """Layers to freeze and (kernel, mask) pairs: what tfmot's scheme does not hold by itself.

        It holds nothing in skipped layers, nor in layers before a concatenation.
        """
        frozen: list[Any] = []
        masks: list[tuple[Any, np.ndarray]] = []
        for layer in model.layers:
            kernels = [variable for variable in layer.trainable_weights if variable.shape.rank > 1]
            if not kernels or any(_CENTROIDS in variable.name for variable in layer.weights):
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


class _Scheme:
    """A tfmot scheme whose quantizers are made anew for each layer, and for every layer with a kernel.

    tfmot's own cluster-preserving registry hands one quantizer to all layers, and a single layer without zeros switches the
    keeping of zeros off for every other one. It also asks for the outputs of skipped layers, so those that it cannot quantize
    are denied by name. And where a ReLU layer follows a convolution or a dense layer, tfmot leaves not only the output
    between the two but the weights unquantized; ``apply`` puts them back.
    """

    def __init__(self, make: Callable[[], Any], refused: frozenset[str] = frozenset(), rounding: Any = None) -> None:
        self._make = make
        self._refused = refused
        self._rounding = rounding

    def get_layout_transformer(self) -> Any:
        return self

    def apply(self, model: Any, quantize_map: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """tfmot's transformer, with the weights of layers before a ReLU quantized as all others are."""
        model, quantize_map = self._make().get_layout_transformer().apply(model, quantize_map)
        for layer in model.layers:
            found = quantize_map.get(layer.name, {}).get("quantize_config")
            weighted = type(layer).__name__ in ("Conv2D", "DepthwiseConv2D", "Dense")
            if weighted and type(found).__name__ == "NoOpQuantizeConfig":
                quantize_map[layer.name]["quantize_config"] = weights_only(self.get_quantize_config(layer))
        return model, quantize_map

    def get_quantize_registry(self) -> Any:
        return self

    def supports(self, layer: Any) -> bool:
        return layer.name not in self._refused and bool(self._make().get_quantize_registry().supports(layer))

    def get_quantize_config(self, layer: Any) -> Any:
        config = self._make().get_quantize_registry().get_quantize_config(layer)
        return config if self._rounding is None else self._rounding.applied(layer, config)


def _scheme(preserve_sparsity: bool, preserve_clusters: bool) -> Callable[[], Any]:
    from tensorflow_model_optimization.python.core.quantization.keras.collab_opts.cluster_preserve import (
        default_8bit_cluster_preserve_quantize_scheme as clusters,
    )
    from tensorflow_model_optimization.python.core.quantization.keras.collab_opts.prune_preserve import (
        default_8bit_prune_preserve_quantize_scheme as zeros,
    )
    from tensorflow_model_optimization.python.core.quantization.keras.default_8bit import (
        default_8bit_quantize_scheme as plain,
    )

    if preserve_clusters:
        return lambda: clusters.Default8BitClusterPreserveQuantizeScheme(preserve_sparsity)
    return zeros.Default8BitPrunePreserveQuantizeScheme if preserve_sparsity else plain.Default8BitQuantizeScheme


def refusals(model: Any, preserve_sparsity: bool = False, preserve_clusters: bool = False) -> dict[str, str]:
    """Layers of a tf_keras model that tfmot cannot quantize, each with the reason in words."""
    load()
    registry = _Scheme(_scheme(preserve_sparsity, preserve_clusters))
    found = {layer.name: _refusal(layer, registry) for layer in model.layers if not _is_input(layer)}
    return {name: reason for name, reason in found.items() if reason}


def _refusal(layer: Any, registry: _Scheme) -> str | None:
    from tensorflow_model_optimization.python.core.quantization.keras.quantize_aware_activation import (
        QuantizeAwareActivation,
    )

    kind = type(layer).__name__
    if _is_normalization(layer):
        return (
            None
            if _before(layer)
            else f"a {kind} needs a Conv2D, DepthwiseConv2D or Dense without activation before it"
        )
    if kind in ("SeparableConv1D", "SeparableConv2D"):
        return "it becomes two convolutions in training, which litetuner does not follow"
    try:
        if not registry.supports(layer):
            return f"tfmot has no quantization for a {kind}"
        config = registry.get_quantize_config(layer)
        config.get_output_quantizers(layer)
        activations = [activation.__name__ for activation, _ in config.get_activations_and_quantizers(layer)]
    except (ValueError, RuntimeError) as error:
        return str(error).strip().splitlines()[0]
    known = QuantizeAwareActivation._PRE_QUANT_ACTIVATIONS | QuantizeAwareActivation._POST_QUANT_ACTIVATIONS
    unknown = [name for name in activations if name not in known]
    return f"tfmot cannot quantize the activation {unknown[0]}" if unknown else None


def _is_input(layer: Any) -> bool:
    return type(layer).__name__ == "InputLayer"


def _is_normalization(layer: Any) -> bool:
    return type(layer).__name__ in ("BatchNormalization", "SyncBatchNormalization")


def _before(layer: Any) -> str | None:
    """The name of the layer that a batch normalization can be folded into, or ``None``."""
    nodes = layer.inbound_nodes
    if len(nodes) != 1:
        return None
    before = nodes[0].inbound_layers
    if isinstance(before, list) or type(before).__name__ not in ("Conv2D", "DepthwiseConv2D", "Dense"):
        return None
    linear = before.activation is None or before.activation.__name__ == "linear"
    return before.name if linear and len(before.outbound_nodes) == 1 else None


def _set_ranges(model: Any, context: Context) -> None:
    """Start the activation ranges from real inputs instead of tfmot's -6..6.

    They are moving averages with a decay of 0.999: a short training would end with mostly the initial guess in them, and
    would clip every larger activation on the way. One pass with ``training=True`` moves an average by a thousandth towards
    the batch's range, which that range is computed back from; a few passes, since a clipped layer hides the range of the
    next one. All other variables are put back.
    """
    tf = load()
    samples = context.calibration if len(context.calibration) else context.x_train
    batch = tf.constant(np.asarray(samples[:_RANGE_SAMPLES], dtype=model.inputs[0].dtype.as_numpy_dtype))
    pairs = [pair for layer in model.layers for pair in _range_pairs(layer)]
    ranges = {variable.ref() for pair in pairs for variable in pair}
    others = [(variable, variable.numpy()) for variable in model.weights if variable.ref() not in ranges]
    for _ in range(_RANGE_PASSES):
        before = [[variable.numpy() for variable in pair] for pair in pairs]
        model(batch, training=True)
        for pair, old in zip(pairs, before, strict=True):
            low, high = ((v.numpy() - _DECAY * o) / (1 - _DECAY) for v, o in zip(pair, old, strict=True))
            pair[0].assign(min(low, 0.0))
            pair[1].assign(max(high, low + 1e-3, 0.0))
    for variable, value in others:
        variable.assign(value)


def _range_pairs(layer: Any) -> list[tuple[Any, Any]]:
    """The (min, max) variables of a wrapped layer's moving averages: its output and its activation."""
    found = []
    for kind in ("output", "pre_activation", "post_activation"):
        named = {v.name.rsplit("/", 1)[-1].split(":")[0]: v for v in layer.non_trainable_weights}
        if f"{kind}_min" in named:
            found.append((named[f"{kind}_min"], named[f"{kind}_max"]))
    return found
