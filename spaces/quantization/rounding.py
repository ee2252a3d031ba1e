"""How weights are rounded in quantization-aware training: bits, and one scale per channel or per tensor."""

import dataclasses
from typing import Any

import numpy as np

SCALES = ("channel", "tensor")
INT4 = 7  # the largest integer of the grid; the smallest is -7, so that the grid is symmetric around zero
_BY_TENSOR = ("Default8BitConvTransposeWeightsQuantizer",)  # already one scale per tensor, for a permuted kernel


@dataclasses.dataclass(frozen=True)
class Rounding:
    """Replaces the weight quantizers in tfmot's quantize configs by those of one quantization-aware training."""

    preserve_sparsity: bool = False
    preserve_clusters: bool = False
    scales: str = "channel"
    int4_layers: tuple[str, ...] = ()

    def applied(self, layer: Any, config: Any) -> Any:
        """``config``, which was created for this layer, with the requested weight quantizer if it has one."""
        quantizer = getattr(config, "weight_quantizer", None)
        if quantizer is None or type(quantizer).__name__ in _BY_TENSOR:
            return config
        if layer.name in self.int4_layers:
            config.weight_quantizer = self._quantizer(quantizer, 4, True)
        elif self.scales == "tensor":
            config.weight_quantizer = self._quantizer(quantizer, 8, False)
        return config

    def _quantizer(self, old: Any, bits: int, by_channel: bool) -> Any:
        """A symmetric quantizer of tfmot that preserves the same as ``old``: clusters, sparsity, or nothing."""
        from tensorflow_model_optimization.python.core.quantization.keras.collab_opts.cluster_preserve import (
            cluster_preserve_quantize_registry as clusters,
        )
        from tensorflow_model_optimization.python.core.quantization.keras.collab_opts.prune_preserve import (
            prune_preserve_quantize_registry as zeros,
        )
        from tensorflow_model_optimization.python.core.quantization.keras.quantizers import LastValueQuantizer

        settings = {"num_bits": bits, "per_axis": by_channel, "symmetric": True, "narrow_range": True}
        if isinstance(old, clusters.ClusterPreserveDefaultWeightsQuantizer):
            return clusters.ClusterPreserveDefaultWeightsQuantizer(**settings, preserve_sparsity=self.preserve_sparsity)
        if isinstance(old, zeros.PrunePreserveDefaultWeightsQuantizer):
            return zeros.PrunePreserveDefaultWeightsQuantizer(**settings)
        return LastValueQuantizer(**settings)


def weights_only(config: Any) -> Any:
    """Changes the quantize config of one layer so that it quantizes only weights, no activation and no output."""
    config.get_activations_and_quantizers = lambda layer: []
    config.set_quantize_activations = lambda layer, activations: None
    config.get_output_quantizers = lambda layer: []
    return config


def on_grid(kernel: np.ndarray) -> np.ndarray:
    """A kernel (..., output channels) rounded to -7 to 7 times one step per channel; the largest weight is 7 steps."""
    values = kernel.astype(np.float64)
    steps = np.abs(values).max(axis=tuple(range(values.ndim - 1)), keepdims=True) / INT4
    steps[steps == 0] = 1.0
    return (np.round(values / steps) * steps).astype(np.float32)
