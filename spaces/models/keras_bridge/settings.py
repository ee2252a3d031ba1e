"""Convert the settings of a Keras 3 layer into constructor arguments of its tf_keras layer."""

import inspect
from typing import Any

from litetuner.spaces.models.keras_bridge.functions import UntranslatableError
from litetuner.spaces.models.keras_bridge.operators import native_activation

# Settings that do not affect the computation with given weights.
_MEANINGLESS = """
name dtype trainable seed use_cudnn flash_attention lora_rank lora_alpha renorm_momentum query_shape key_shape value_shape
build_config
"""
MEANINGLESS = frozenset(_MEANINGLESS.split())
_FUSED = """
Activation Conv1D Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose Dense DepthwiseConv1D DepthwiseConv2D
EinsumDense SeparableConv1D SeparableConv2D
"""
FUSED = frozenset(_FUSED.split())
# Settings that tf_keras accepts although they are not in a signature.
UNNAMED = {kind: ("zero_output_for_mask",) for kind in ("GRU", "LSTM", "SimpleRNN")}
RENAMED = {"LeakyReLU": {"negative_slope": "alpha"}}


def settings(layer: Any, twin: type) -> dict[str, Any]:
    """Constructor arguments of ``twin`` from the configuration of a Keras 3 layer. Raises ``UntranslatableError``."""
    kind = type(layer).__name__
    known = _parameters(twin)
    defaults = _parameters(type(layer))
    found: dict[str, Any] = {}
    for key, value in layer.get_config().items():
        # Weights are copied, so initializers do not matter (and Keras 3.15 writes keys that tf_keras rejects).
        if key in MEANINGLESS or key.endswith("_initializer"):
            continue
        target = RENAMED.get(kind, {}).get(key, key)
        if key in ("activation", "recurrent_activation"):
            found[key] = _fused(layer, key)
        elif key.endswith("_regularizer") or key.endswith("_constraint"):
            if value is not None:
                found[key] = _training_object(key, value)
        elif target in known or target in UNNAMED.get(kind, ()):
            found[target] = value
        elif value not in (None, False, defaults.get(key)) and (key, value) != ("data_format", "channels_last"):
            # A setting that is off or has its default can be dropped. Any other value would be lost.
            raise UntranslatableError(f"tf_keras's {kind} has no setting {key}={value!r}")
    return found


def _parameters(kind: type) -> dict[str, Any]:
    """Constructor parameters and their defaults, including those of base classes."""
    found: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        if base.__module__.partition(".")[0] in ("keras", "tf_keras") and "__init__" in vars(base):
            for name, parameter in inspect.signature(base.__init__).parameters.items():  # type: ignore[misc]
                if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY) and name != "self":
                    found[name] = parameter.default
    return found


def _fused(layer: Any, key: str) -> str:
    """The tf_keras name of a fused activation; "linear" if the activation becomes a separate layer."""
    activation = getattr(layer, key, None)
    if activation is None:
        return "linear"
    name = native_activation(activation)
    if name is None and type(layer).__name__ not in FUSED:
        called = getattr(activation, "__name__", activation)
        raise UntranslatableError(
            f"tf_keras's {type(layer).__name__} cannot use {called!r} as its {key.replace('_', ' ')}"
        )
    return name or "linear"


# Regularizers and constraints of Keras, which matter only in training. Name -> settings that tf_keras knows.
TRAINING_OBJECTS = {
    "L1": ("l1",),
    "L2": ("l2",),
    "L1L2": ("l1", "l2"),
    "OrthogonalRegularizer": ("factor", "mode"),
    "MaxNorm": ("max_value", "axis"),
    "NonNeg": (),
    "UnitNorm": ("axis",),
    "MinMaxNorm": ("min_value", "max_value", "rate", "axis"),
}


def _training_object(key: str, record: Any) -> Any:
    import tf_keras

    name = record.get("class_name") if isinstance(record, dict) else None
    if name not in TRAINING_OBJECTS or not str(record.get("module", "")).startswith("keras"):
        raise UntranslatableError(f"its {key} is custom ({name or record})")
    library = tf_keras.regularizers if key.endswith("_regularizer") else tf_keras.constraints
    return getattr(library, name)(**{item: record["config"][item] for item in TRAINING_OBJECTS[name]})
