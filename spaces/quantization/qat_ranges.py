"""Initial activation ranges for quantization-aware training."""

from typing import Any

from litetuner.spaces.context import Context
from litetuner.spaces.models.signature import feed
from litetuner.spaces.tf import load

_RANGE_PASSES = 4  # a clipped layer hides the ranges of later layers; each pass corrects more of them
_RANGE_SAMPLES = 256
_DECAY = 0.999  # the decay of tfmot's MovingAverageQuantizer


def set_ranges(model: Any, context: Context) -> None:
    """Initialize activation ranges from real inputs instead of tfmot's default -6 to 6.

    The ranges are moving averages with a decay of 0.999: after a short training they would still be close to the
    initial guess, and training would clip every larger activation. One pass with ``training=True`` moves an average by
    a thousandth towards the range of the batch, so that range can be computed from the change. Several passes are
    needed, because a clipped layer hides the range of the next one. All other variables are restored.
    """
    load()
    samples = context.calibration if len(context.calibration) else context.x_train
    batch = feed(model, samples[:_RANGE_SAMPLES])
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
    """The (min, max) variables of a wrapped layer's moving averages, for its output and its activation."""
    found = []
    for kind in ("output", "pre_activation", "post_activation"):
        named = {v.name.rsplit("/", 1)[-1].split(":")[0]: v for v in layer.non_trainable_weights}
        if f"{kind}_min" in named:
            found.append((named[f"{kind}_min"], named[f"{kind}_max"]))
    return found
