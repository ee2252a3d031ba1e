"""Layers that tfmot cannot prune or cluster, according to its own registries."""

from collections.abc import Callable
from typing import Any

from litetuner.spaces.info import UNPROVABLE

# Layers with several kernels of equal size, which cannot be identified by name in the file.
_UNPROVABLE = ("LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional", "TimeDistributed", "MultiHeadAttention")


def registry_refusals(model: Any, registry: Any, verb: str, unlisted: Callable[[Any], bool]) -> dict[str, str]:
    """The layers that a tfmot registry does not support, or whose weights a file cannot identify, each with the reason.

    Layers that are ``unlisted`` count as supported, although the registry does not list their weights.
    """
    found = {}
    for layer in model.layers:
        reason = _refusal(layer, registry, verb, unlisted)
        if reason is None and type(layer).__name__ in _UNPROVABLE:
            reason = UNPROVABLE
        if reason is not None:
            found[layer.name] = reason
    return found


def _refusal(layer: Any, registry: Any, verb: str, unlisted: Callable[[Any], bool]) -> str | None:
    """The reason why a registry does not support a layer: no weights, unknown type, or no weights that it changes."""
    kind = type(layer).__name__
    if not layer.weights:
        return "it has no weights"
    if not registry.supports(layer):
        return f"tfmot cannot {verb} a {kind}"
    # make_prunable and make_clusterable would give the same result, but they change the layer.
    if not unlisted(layer) and not registry._weight_names(layer):
        return f"tfmot leaves the weights of a {kind} as they are"
    return None
