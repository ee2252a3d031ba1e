"""What is known about the user's model and data before the search computes anything."""

import dataclasses
import math

from litetuner.spaces.jobs.record import Record
from litetuner.spaces.models.decision import Decision

UNPROVABLE = "its weights cannot be told apart in the finished file, so nothing could be proved"


@dataclasses.dataclass(frozen=True)
class TensorInfo:
    """An input or output of a model or a file. ``shape`` includes the batch axis; ``None`` (-1 in a file) is any size.

    ``scale`` is 0 if the tensor is not quantized.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    scale: float = 0.0
    zero_point: int = 0


@dataclasses.dataclass(frozen=True)
class LayerInfo:
    """One layer of the user's model. Layers are listed in execution order.

    ``refusals`` maps a technique to the reason why the layer cannot take it. Its keys are steps that work on selected
    layers, and ``int4``; techniques without a key are allowed. ``kernel_shape`` is the shape of the largest weight, ()
    without weights.
    """

    name: str
    type: str
    parameters: int
    kernel_shape: tuple[int, ...]
    output_shape: tuple[int | None, ...]
    refusals: dict[str, str]
    macs: int | None = None  # MACs of one sample; None: unknown
    group: str | None = None  # number and width of the group of channels that are pruned together, such as "3 (16)"
    group_refusal: str | None = None  # why none of this layer's channels can be pruned

    @property
    def has_kernel(self) -> bool:
        """True if a weight has two or more dimensions (not only biases or statistics), so that it can be compressed."""
        return len(self.kernel_shape) > 1

    def can(self, technique: str) -> bool:
        return technique not in self.refusals


@dataclasses.dataclass(frozen=True)
class ModelInfo(Record):
    """The model as the search sees it.

    ``bridge_refusal`` says why the model cannot be trained; post-training techniques still work.
    """

    name: str
    sha256: str
    source: str  # "keras3", "tf_keras", "traced", "tflite"
    input_shape: tuple[int | None, ...]  # of the first input, including the batch axis
    input_dtype: str
    output_shape: tuple[int | None, ...]
    parameters: int
    layers: tuple[LayerInfo, ...]
    output_activation: str  # "softmax", "sigmoid", "linear", ...
    bridge_refusal: str | None = None
    bridge_difference: float | None = None  # largest output difference on real data between Keras 3 and tf_keras
    inputs: dict[str, tuple[int | None, ...]] = dataclasses.field(default_factory=dict)  # name -> shape, in order
    outputs: dict[str, tuple[int | None, ...]] = dataclasses.field(default_factory=dict)
    folds: bool | None = None  # can batch normalizations be folded into the layers before them? None: not checked
    zeros_in_latency: str = ""  # a sentence on whether zeros can make the model faster; "" if layers are unknown

    @property
    def output_values(self) -> int:
        """The number of values in all outputs for one sample. An axis of unknown size counts as 1."""
        shapes = self.outputs.values() or (self.output_shape,)
        return sum(math.prod(size for size in shape if size is not None) for shape in shapes)

    def layers_for(self, technique: str) -> tuple[LayerInfo, ...]:
        """The layers with a kernel that can take a technique."""
        return tuple(layer for layer in self.layers if layer.has_kernel and layer.can(technique))


@dataclasses.dataclass(frozen=True)
class DataInfo(Record):
    """The data as the search sees it: sizes of the splits, and blob names of their arrays (``x_train`` and so on)."""

    sha256: str
    arrays: dict[str, str]
    counts: dict[str, int]  # samples in "train", "search", "test"
    x_shape: tuple[int, ...]  # of one sample, after preprocessing
    x_dtype: str
    classes: int | None  # None for regression
    class_names: tuple[str, ...] | None
    notes: tuple[str, ...] = ()  # messages for the user: splits that were created, files that were skipped
    labeled: bool = True  # False if the train split has no labels
    extras: tuple[str, ...] = ()  # those of "w_train", "g_search" and "g_test" that exist; stored as arrays
    decision: Decision | None = None  # how to interpret labels and outputs; None: labels of all outputs, as they are
    decisions: dict[str, Decision] = dataclasses.field(default_factory=dict)  # by output, if several have labels
