"""How channels pass through each type of layer, as a table; a layer that is not in the table is opaque."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from litetuner.spaces.channels.numbering import ChannelNumbers, OpaqueError
from litetuner.spaces.models.keras_bridge.layers import is_standard

# Elementwise activations. A softmax is not elementwise: all outputs change if one input is removed.
_ELEMENTWISE = """
elu exponential gelu hard_sigmoid leaky_relu linear mish relu relu6 selu sigmoid silu softplus softsign swish tanh
"""
ELEMENTWISE = frozenset(_ELEMENTWISE.split())
_PASSING = """
ActivityRegularization AlphaDropout AveragePooling1D AveragePooling2D AveragePooling3D Cropping1D Cropping2D Cropping3D
Dropout ELU GaussianDropout GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D
GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D Identity LeakyReLU MaxPooling1D MaxPooling2D MaxPooling3D ReLU
RepeatVector Resizing SpatialDropout1D SpatialDropout2D SpatialDropout3D ThresholdedReLU UpSampling1D UpSampling2D UpSampling3D
ZeroPadding1D ZeroPadding2D ZeroPadding3D
"""
# These layers keep the number of channels, and each output depends on all channels.
_MIXING = "GroupNormalization LayerNormalization Masking Normalization Softmax UnitNormalization"


@dataclasses.dataclass(frozen=True)
class Kernels:
    """Which axes of a layer's weights are channels, and which setting is its width.

    ``axes``: weight name -> (axis from the end -> "source", "middle", "output" or "heads"). ``width`` is the setting
    with the number of channels that the layer creates, if it creates any. ``made_by`` is the weight, with its axes,
    that has one slice for each channel. ``heads``: the channels are attention heads, which exist only inside the layer.
    """

    axes: dict[str, dict[int, str]]
    width: str | None = None
    made_by: tuple[str, tuple[int, ...]] | None = None
    heads: bool = False


_OUT = {1: "output"}
_CONV = Kernels({"kernel": {2: "source", 1: "output"}, "bias": _OUT}, "filters", ("kernel", (1,)))
_TRANSPOSE = Kernels({"kernel": {1: "source", 2: "output"}, "bias": _OUT}, "filters", ("kernel", (2,)))
_DEPTHWISE = Kernels({"depthwise_kernel": {2: "source"}, "bias": _OUT}, None, ("depthwise_kernel", (2, 1)))
_SEPARABLE = Kernels(
    {"depthwise_kernel": {2: "source"}, "pointwise_kernel": {2: "middle", 1: "output"}, "bias": _OUT},
    "filters",
    ("pointwise_kernel", (1,)),
)
_ATTENTION = Kernels(
    {f"{part}/{weight}": {2: "heads"} for part in ("query", "key", "value") for weight in ("kernel", "bias")}
    | {"attention_output/kernel": {3: "heads"}},
    "num_heads",
    ("attention_output/kernel", (3,)),
    heads=True,
)
KERNELS: dict[str, Kernels] = {
    **{f"Conv{rank}D": _CONV for rank in (1, 2, 3)},
    **{f"Conv{rank}DTranspose": _TRANSPOSE for rank in (1, 2, 3)},
    **{f"DepthwiseConv{rank}D": _DEPTHWISE for rank in (1, 2)},
    **{f"SeparableConv{rank}D": _SEPARABLE for rank in (1, 2)},
    "BatchNormalization": Kernels({name: _OUT for name in ("gamma", "beta", "moving_mean", "moving_variance")}),
    "Dense": dataclasses.replace(_CONV, width="units"),
    "MultiHeadAttention": _ATTENTION,
    "PReLU": Kernels({"alpha": _OUT}),
}


@dataclasses.dataclass(frozen=True)
class _LayerCall:
    """One call of a layer: its tensors, the numbers on the last axes of its inputs, and the numbers of its heads."""

    layer: Any
    inputs: list[Any]
    sources: list[np.ndarray]
    outputs: list[Any]
    numbers: ChannelNumbers
    heads: list[np.ndarray] = dataclasses.field(default_factory=list)


def passage(
    layer: Any, inputs: list[Any], sources: list[np.ndarray], outputs: list[Any], numbers: ChannelNumbers
) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of a call's output and of its heads, from the numbers of its inputs. Raises ``OpaqueError``."""
    import tf_keras

    kind = type(layer).__name__
    if kind not in RULES or not is_standard(layer, tf_keras):
        raise OpaqueError(f"how channels go through a {kind} is not known")
    if getattr(layer, "data_format", None) == "channels_first":
        raise OpaqueError("its channels come first")
    if len(outputs) != 1 or any(len(tensor.shape) < 2 or tensor.shape[-1] is None for tensor in (*inputs, *outputs)):
        raise OpaqueError("the size of its last axis is not known")
    case = _LayerCall(layer, inputs, sources, outputs, numbers)
    found = RULES[kind](case)
    if len(found) != outputs[0].shape[-1]:
        raise OpaqueError(f"its {outputs[0].shape[-1]} outputs cannot be told from {len(found)} channels")
    return found, np.concatenate([np.zeros(0, np.int64), *case.heads])


def depends_on_width(layer: Any) -> bool:
    """True if fewer channels change the layer: it has weights, or settings that depend on the number of channels."""
    return bool(layer.weights) or type(layer).__name__ in ("Reshape", "Rescaling")


def _single(case: _LayerCall) -> np.ndarray:
    if len(case.sources) != 1:
        raise OpaqueError(f"it is called on {len(case.sources)} tensors")
    return case.sources[0]


def _mix(case: _LayerCall) -> np.ndarray:
    case.numbers.pin(_single(case), f"{case.layer.name}: a {type(case.layer).__name__} mixes channels")
    return case.sources[0]


def _normalization(case: _LayerCall) -> np.ndarray:
    axes = case.layer.axis if isinstance(case.layer.axis, (list, tuple)) else [case.layer.axis]
    rank = len(case.inputs[0].shape)
    if [axis % rank for axis in axes] != [rank - 1]:
        raise OpaqueError("it normalizes another axis than the last")
    return _single(case)


def _rescaling(case: _LayerCall) -> np.ndarray:
    for value in (case.layer.scale, case.layer.offset):
        if np.shape(value) not in ((), (1,), (len(case.sources[0]),)):
            raise OpaqueError("it scales more than the last axis")
    return _single(case)


def _permute(case: _LayerCall) -> np.ndarray:
    dims = tuple(case.layer.dims)
    if dims[-1] != len(dims):
        raise OpaqueError("it moves the channels to another axis")
    return _single(case)


def _producer(case: _LayerCall) -> np.ndarray:
    """A layer that mixes its input channels and creates new ones."""
    _single(case)
    if getattr(case.layer, "groups", 1) != 1:
        raise OpaqueError(f"its {case.layer.groups} groups must keep equal widths")
    made = case.numbers.make(int(case.outputs[0].shape[-1]), case.layer.name)
    return _after_activation(case, made)


def _after_activation(case: _LayerCall, made: np.ndarray) -> np.ndarray:
    name = getattr(case.layer.activation, "__name__", "custom")
    if name not in ELEMENTWISE:
        case.numbers.pin(made, f"{case.layer.name}: its activation {name} may mix channels")
    return made


def _attention(case: _LayerCall) -> np.ndarray:
    """Every output depends on all inputs. Heads are independent of each other, and their outputs are added."""
    config = case.layer.get_config()
    if len(np.atleast_1d(config["output_shape"] or 0)) != 1:
        raise OpaqueError("its output has several axes of channels")
    for source in case.sources:
        case.numbers.pin(source, f"{case.layer.name}: attention mixes channels")
    case.heads.append(case.numbers.make_heads(config["num_heads"], case.layer.name))
    made = case.numbers.make(int(case.outputs[0].shape[-1]), case.layer.name)
    case.numbers.pin(made, f"{case.layer.name}: attention mixes channels")
    return made


def _merge(case: _LayerCall) -> np.ndarray:
    """Elementwise operations on tensors of the same rank; an axis of size 1 is broadcast."""
    if len({len(tensor.shape) for tensor in case.inputs}) != 1:
        raise OpaqueError("its inputs have different numbers of axes")
    width = max(len(source) for source in case.sources)
    whole = [source for source in case.sources if len(source) == width]
    for source in case.sources:
        if len(source) != width:
            case.numbers.pin(source, f"{case.layer.name}: it is spread over all channels")
    for source in whole[1:]:
        case.numbers.tie(whole[0], source)
    return whole[0]


def _concatenate(case: _LayerCall) -> np.ndarray:
    rank = len(case.inputs[0].shape)
    if case.layer.axis % rank != rank - 1:
        return _merge(case)  # on another axis than the last, all inputs must have the same channels
    return np.concatenate(case.sources)


def _reshape(case: _LayerCall) -> np.ndarray:
    """Reshape the numbers like the tensor; every row of the new last axis must have the same channels."""
    source, before, after = _single(case), case.inputs[0].shape[1:], case.outputs[0].shape[1:]
    if None in tuple(before) or None in tuple(after):
        raise OpaqueError("it reshapes axes whose size is not known")
    rows = np.tile(source, math.prod(before[:-1])).reshape(-1, after[-1])
    if (rows != rows[0]).any():
        raise OpaqueError("it spreads the channels over several axes")
    return rows[0]


_EACH: dict[str, Callable[[_LayerCall], np.ndarray]] = {
    **dict.fromkeys(("Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract"), _merge),
    **dict.fromkeys(
        ("DepthwiseConv1D", "DepthwiseConv2D"),
        lambda case: _after_activation(case, np.repeat(_single(case), case.layer.depth_multiplier)),
    ),
    **dict.fromkeys(("Flatten", "Reshape"), _reshape),
    "Activation": lambda case: _after_activation(case, _single(case)),
    "BatchNormalization": _normalization,
    "Concatenate": _concatenate,
    "MultiHeadAttention": _attention,
    "PReLU": _single,
    "Permute": _permute,
    "Rescaling": _rescaling,
}
RULES: Mapping[str, Callable[[_LayerCall], np.ndarray]] = (
    dict.fromkeys(_PASSING.split(), _single)
    | dict.fromkeys(_MIXING.split(), _mix)
    | dict.fromkeys((name for name, kernels in KERNELS.items() if kernels.width and not kernels.heads), _producer)
    | _EACH
)
