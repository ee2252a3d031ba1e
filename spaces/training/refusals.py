"""Layers that tfmot cannot prune or cluster, by its own registries."""

from collections.abc import Callable
from typing import Any

from litetuner.spaces.info import UNPROVABLE

# Several kernels of one size, which the file does not name.
_UNPROVABLE = ("LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional", "TimeDistributed", "MultiHeadAttention")


def registry_refusals(model: Any, registry: Any, verb: str, unlisted: Callable[[Any], bool]) -> dict[str, str]:
    """The layers that a tfmot registry does not take, or whose weights cannot be told apart in a file, each with the reason.

    Layers that are ``unlisted`` are supported without a list of their weights.
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
    """Why a registry does not take a layer: unknown type, or known with nothing in it that is pruned or clustered."""
    kind = type(layer).__name__
    if not layer.weights:
        return "it has no weights"
    if not registry.supports(layer):
        return f"tfmot cannot {verb} a {kind}"
    # make_prunable/make_clusterable would say the same, but they change the layer that they are asked about.
    if not unlisted(layer) and not registry._weight_names(layer):
        return f"tfmot leaves the weights of a {kind} as they are"
    return None
