"""What is known of the user's model and data before anything is computed."""

import dataclasses
import math

from litetuner.spaces.jobs.record import Record
from litetuner.spaces.models.decision import Decision

UNPROVABLE = "its weights cannot be told apart in the finished file, so nothing could be proved"


@dataclasses.dataclass(frozen=True)
class TensorInfo:
    """An input or output of a model or a file. The shape includes the batch axis; ``None`` (in a file -1) is a free size.

    ``scale`` is 0 where the tensor is not quantized.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    scale: float = 0.0
    zero_point: int = 0


@dataclasses.dataclass(frozen=True)
class LayerInfo:
    """One layer of the user's model, in the order in which it runs.

    ``refusals`` gives, for each step that works on some layers only and for ``int4``, the reason in words why the layer cannot
    take it; what is not in it is allowed. ``kernel_shape`` is the largest weight's shape, () without weights.
    """

    name: str
    type: str
    parameters: int
    kernel_shape: tuple[int, ...]
    output_shape: tuple[int | None, ...]
    refusals: dict[str, str]
    macs: int | None = None  # MACs of one sample; None where they are not known
    group: str | None = None  # number and width of the group of channels that are pruned together, "3 (16)"
    group_refusal: str | None = None  # why none of this layer's channels can be pruned

    @property
    def has_kernel(self) -> bool:
        """Does it hold a matrix or more (not just biases or statistics), which is what compression works on?"""
        return len(self.kernel_shape) > 1

    def can(self, technique: str) -> bool:
        return technique not in self.refusals


@dataclasses.dataclass(frozen=True)
class ModelInfo(Record):
    """The model as the search sees it. ``bridge_refusal`` says why it cannot be trained (post-training techniques still run)."""

    name: str
    sha256: str
    source: str  # "keras3", "tf_keras", "traced", "tflite"
    input_shape: tuple[int | None, ...]  # of the first input, with the batch axis
    input_dtype: str
    output_shape: tuple[int | None, ...]
    parameters: int
    layers: tuple[LayerInfo, ...]
    output_activation: str  # "softmax", "sigmoid", "linear", ...
    bridge_refusal: str | None = None
    bridge_difference: float | None = None  # largest difference of outputs on real data, Keras 3 against tf_keras
    inputs: dict[str, tuple[int | None, ...]] = dataclasses.field(default_factory=dict)  # shape by name, in order
    outputs: dict[str, tuple[int | None, ...]] = dataclasses.field(default_factory=dict)
    folds: bool | None = None  # can batch normalizations be folded into the layers before them? ``None``: not examined
    zeros_in_latency: str = ""  # whether zeros can make it faster, in a sentence; "" where layers are not known

    @property
    def output_values(self) -> int:
        """Numbers in all outputs for one sample; an axis of unknown size counts once."""
        shapes = self.outputs.values() or (self.output_shape,)
        return sum(math.prod(size for size in shape if size is not None) for shape in shapes)

    def layers_for(self, technique: str) -> tuple[LayerInfo, ...]:
        """The layers with a kernel that can take a technique."""
        return tuple(layer for layer in self.layers if layer.has_kernel and layer.can(technique))


@dataclasses.dataclass(frozen=True)
class DataInfo(Record):
    """The data as the search sees it: sizes of the splits, and the blobs of their arrays (``x_train`` and so on)."""

    sha256: str
    arrays: dict[str, str]
    counts: dict[str, int]  # samples in "train", "search", "test"
    x_shape: tuple[int, ...]  # of one sample, after preprocessing
    x_dtype: str
    classes: int | None  # number of classes, None for regression
    class_names: tuple[str, ...] | None
    notes: tuple[str, ...] = ()  # what the user should know: splits that were made, files that were skipped
    labeled: bool = True  # does the train split have labels?
    extras: tuple[str, ...] = ()  # of "w_train", "g_search", "g_test" those that the data hold, stored as arrays
    decision: Decision | None = None  # how labels and outputs are read; None: those of all outputs, as they are
    decisions: dict[str, Decision] = dataclasses.field(default_factory=dict)  # by output, of several that have labels
