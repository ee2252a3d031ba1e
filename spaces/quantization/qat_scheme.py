"""tfmot's schemes for quantization-aware training, and which layers they support."""

from collections.abc import Callable
from typing import Any

from litetuner.spaces.models.folding import is_normalization, linear_before
from litetuner.spaces.quantization.rounding import weights_only
from litetuner.spaces.tf import load

_WEIGHTED = ("Conv2D", "DepthwiseConv2D", "Dense")  # tfmot quantizes them together with a following normalization


class Scheme:
    """A tfmot scheme with new quantizers for each layer, and with quantized weights in every layer with a kernel.

    tfmot's own cluster-preserving registry uses one quantizer for all layers, so a single layer without zeros disables
    sparsity preservation for all others. tfmot also requests output quantizers for skipped layers, so layers that it
    cannot quantize (``refused``) are excluded by name. If a ReLU layer follows a convolution or a dense layer, tfmot
    quantizes neither the output between the two nor the weights; ``apply`` restores the quantization of the weights.
    """

    def __init__(
        self, sparsity: bool, clusters: bool, refused: frozenset[str] = frozenset(), rounding: Any = None
    ) -> None:
        self._make = _scheme(sparsity, clusters)
        self._refused = refused
        self._rounding = rounding

    def get_layout_transformer(self) -> Any:
        return self

    def apply(self, model: Any, quantize_map: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Apply tfmot's layout transformer, and quantize the weights of layers before a ReLU like all others."""
        model, quantize_map = self._make().get_layout_transformer().apply(model, quantize_map)
        for layer in model.layers:
            found = quantize_map.get(layer.name, {}).get("quantize_config")
            if type(layer).__name__ in _WEIGHTED and type(found).__name__ == "NoOpQuantizeConfig":
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
    """A function that creates tfmot's scheme that preserves sparsity, clusters, both or nothing."""
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
    """Layers of a tf_keras model that tfmot cannot quantize, each with the reason."""
    load()
    registry = Scheme(preserve_sparsity, preserve_clusters)
    found = {layer.name: _refusal(layer, registry) for layer in model.layers if not is_input(layer)}
    return {name: reason for name, reason in found.items() if reason}


def _refusal(layer: Any, registry: Scheme) -> str | None:
    from tensorflow_model_optimization.python.core.quantization.keras.quantize_aware_activation import (
        QuantizeAwareActivation,
    )

    kind = type(layer).__name__
    if is_normalization(layer):
        needed = f"a {kind} needs a Conv2D, DepthwiseConv2D or Dense without activation before it"
        return None if layer_before(layer) else needed
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


def is_input(layer: Any) -> bool:
    """True for an input layer of a tf_keras model."""
    return type(layer).__name__ == "InputLayer"


def layer_before(layer: Any) -> str | None:
    """The name of the layer that a batch normalization can be folded into, or ``None``."""
    before = linear_before(layer, _WEIGHTED)
    return None if before is None else str(before.name)
