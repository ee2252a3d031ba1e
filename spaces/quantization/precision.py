"""Precisions that the user sets for single layers, by name."""

import collections
from collections.abc import Sequence

from litetuner.spaces.errors import ConfigError, nearest
from litetuner.spaces.info import ModelInfo
from litetuner.spaces.quantization.quantizer_policy import PRECISIONS
from litetuner.spaces.step import Role
from litetuner.spaces.steps import step_for


def fixed_precision(
    texts: Sequence[str], model: ModelInfo, steps: frozenset[str] | None
) -> tuple[tuple[str, str], ...]:
    """Sorted (layer, precision) pairs from texts such as ``conv2d_3=float32``.

    Names are the model's layer names and taken literally. Raises ``ConfigError`` for a layer name that does not exist
    (the message suggests the nearest one), is not unique, or belongs to a layer without weights; for a precision that
    does not exist, that the layer does not support, or that contradicts another one; and if ``steps`` has no
    quantization step.
    """
    counts = collections.Counter(layer.name for layer in model.layers)
    layers = {layer.name: layer for layer in model.layers}
    found: dict[str, str] = {}
    for text in texts:
        name, equals, precision = (part.strip() for part in text.rpartition("="))
        if not equals or not name:
            raise ConfigError(f"precision: {text!r} is not layer=precision, such as dense=float32")
        if precision not in PRECISIONS:
            raise ConfigError(
                f"precision: {name} is to be {precision!r}{nearest(precision, PRECISIONS)} (known: {', '.join(PRECISIONS)})"
            )
        if name not in layers:
            able = [layer.name for layer in model.layers if layer.has_kernel]
            raise ConfigError(
                f"precision: the model has no layer {name!r}{nearest(name, layers)}; layers with weights: {', '.join(able[:12])}"
                + ("..." if len(able) > 12 else "")
            )
        if counts[name] > 1:
            raise ConfigError(
                f"precision: {counts[name]} layers are called {name!r} (in nested models), and the file cannot tell them "
                "apart. Give them different names."
            )
        if not layers[name].has_kernel:
            raise ConfigError(f"precision: {name} ({layers[name].type}) has no weights whose precision could be set")
        if precision == "int4" and not layers[name].can("int4"):
            raise ConfigError(f"precision: {name} cannot take int4: {layers[name].refusals['int4']}")
        if found.setdefault(name, precision) != precision:
            raise ConfigError(f"precision: {name} is to be {found[name]} and {precision}")
    quantizer = step_for(Role.LAYER_PRECISION).name
    if found and steps is not None and quantizer not in steps:
        raise ConfigError(f"precision: only the step {quantizer} sets precisions by layer; add it to --steps")
    return tuple(sorted(found.items()))
