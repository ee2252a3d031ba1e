"""The layers of a float ``.tflite`` whose weights can be reconstructed: their tensors and their weights as matrices."""

import collections
import dataclasses
import math
from typing import Any

import numpy as np

from litetuner.spaces.reconstruction.patches import MOST_FEATURES, chosen_places, places, transposed_windows, windows
from litetuner.spaces.tflite.operators import operators_of
from litetuner.spaces.tflite.schema import ints, type_name
from litetuner.spaces.tflite.tensor_values import dense_values, store_values

KINDS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
_PADDING = ("same", "valid")  # indexed by the number in the TFLite schema


@dataclasses.dataclass(frozen=True)
class Layer:
    """One operator with its own weights, as linear maps from ``features`` inputs to the outputs, plus a bias.

    A convolution has one map; a depthwise convolution has one map for each input channel. If there are more than
    ``most_features`` inputs, they are split into blocks that are solved separately: each block is a map, and the last
    one is padded with zeros. ``bias`` is -1 if the file has none.
    """

    name: str
    operator: int
    kind: str
    source: int  # index of the input tensor; weight and bias are tensor indices, too
    weight: int
    bias: int
    shape: tuple[int, ...]  # shape of the weight in the file
    groups: int
    options: Any
    spatial: tuple[int, ...]  # sizes of the output's axes between the first and the last, in the file
    most_features: int  # maximum number of features of one map

    @property
    def size(self) -> int:
        """The number of weights."""
        return math.prod(self.shape)

    @property
    def outputs(self) -> int:
        return self.shape[-1 if self.kind == "DEPTHWISE_CONV_2D" else 0]

    @property
    def features(self) -> int:
        """The number of weights of one output."""
        return self.size // self.outputs

    @property
    def blocks(self) -> int:
        return math.ceil(self.features / self.most_features) if self.groups == 1 else 1

    @property
    def channel_axes(self) -> tuple[int, ...]:
        """The axes of a matrix (maps, features, outputs) that hold the weights of one output channel."""
        return (0, 1) if self.groups == 1 else (1,)

    def with_outputs(self, count: int) -> "Layer":
        """The same layer with only ``count`` outputs in each group."""
        count *= self.groups
        depthwise = self.kind == "DEPTHWISE_CONV_2D"
        shape = (*self.shape[:-1], count) if depthwise else (count, *self.shape[1:])
        return dataclasses.replace(self, shape=shape)

    def matrix(self, weight: np.ndarray) -> np.ndarray:
        """Converts a weight from the file's shape to (maps, features, outputs), float64."""
        by_output = weight.reshape(-1, self.outputs).T if self.kind == "DEPTHWISE_CONV_2D" else weight
        maps = by_output.reshape(self.groups, self.outputs // self.groups, self.features).transpose(0, 2, 1)
        return self._blocked(maps.astype(np.float64), 1)

    def weights(self, matrix: np.ndarray) -> np.ndarray:
        """The inverse of ``matrix``: converts values to the file's shape and keeps their type."""
        if self.blocks > 1:
            matrix = matrix.reshape(1, -1, matrix.shape[2])[:, : self.features]
        by_output = matrix.transpose(0, 2, 1).reshape(self.outputs, self.features)
        return (by_output.T if self.kind == "DEPTHWISE_CONV_2D" else by_output).reshape(self.shape)

    def rows(self, x: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
        """The inputs in ``x`` (n, ...) at ``count`` random output positions: (maps, positions, features), float32."""
        if self.kind == "FULLY_CONNECTED":
            read = x.reshape(-1, self.features)
            return self._blocked(read[chosen_places(len(read), count, random)][None], 2)
        options = self.options
        sizes = self.shape[1:3]
        strides = int(options.strideH), int(options.strideW)
        if self.kind == "TRANSPOSE_CONV":
            at = places((len(x), *self.spatial, 1), count, random)
            taps = transposed_windows(x, at, sizes, strides, self.spatial if options.padding == 0 else None)
            return self._blocked(taps.reshape(1, len(taps), -1), 2)
        steps = int(options.dilationHFactor), int(options.dilationWFactor)
        kind = _PADDING[options.padding]
        taken = zip(x.shape[1:3], sizes, strides, steps, strict=True)
        spatial = [
            math.ceil((size if kind == "same" else size - (tap - 1) * step) / stride)
            for size, tap, stride, step in taken
        ]
        at = places((len(x), *spatial, 1), count, random)
        taps = windows(x, at, sizes, strides, steps, kind)
        by_group = taps.reshape(*taps.shape[:2], self.groups, -1).transpose(2, 0, 1, 3)
        return self._blocked(by_group.reshape(self.groups, len(taps), -1), 2)

    def _blocked(self, values: np.ndarray, axis: int) -> np.ndarray:
        """Splits one map into several: the feature ``axis`` is cut into blocks of equal size."""
        if self.blocks == 1:
            return np.ascontiguousarray(values)
        width = math.ceil(self.features / self.blocks)
        padding = [(0, 0)] * 3
        padding[axis] = (0, width * self.blocks - self.features)
        return np.concatenate(np.split(np.pad(values, padding), self.blocks, axis))


def layers_of(model: Any, most_features: int | None = None) -> list[Layer]:
    """The layers of a float file (``read_model``) that can be reconstructed, in execution order.

    Operators of other kinds, operators that share their weights, and operators that are not float32 are left out.
    """
    graph = model.subgraphs[0]
    uses = collections.Counter(index for operator in graph.operators for index in ints(operator.inputs))
    found = []
    for operator in operators_of(model):
        node = graph.operators[operator.index]
        inputs = ints(node.inputs)
        if operator.name not in KINDS or operator.weight_index != inputs[1] or uses[inputs[1]] > 1:
            continue
        first = 2 if operator.name == "TRANSPOSE_CONV" else 0  # its first input is the output shape
        used = [inputs[first], inputs[1], *inputs[max(first, 1) + 1 :]]
        if {type_name(graph.tensors[index].type) for index in used if index >= 0} != {"float32"}:
            continue
        shape = operator.weight_shape or ()
        channels = ints(graph.tensors[inputs[first]].shape)[-1]
        depthwise = operator.name == "DEPTHWISE_CONV_2D"
        groups = channels if depthwise else channels // shape[3] if operator.name == "CONV_2D" else 1
        found.append(
            Layer(
                name=operator.output_name.split(";")[-1],
                operator=operator.index,
                kind=operator.name,
                source=inputs[first],
                weight=inputs[1],
                bias=used[2] if len(used) > 2 else -1,
                shape=shape,
                groups=groups,
                options=node.builtinOptions,
                spatial=tuple(ints(graph.tensors[ints(node.outputs)[0]].shape)[1:-1]),
                most_features=most_features or MOST_FEATURES,
            )
        )
    return found


def read_weight(model: Any, layer: Layer) -> tuple[np.ndarray, np.ndarray]:
    """A layer's matrix and its bias (outputs,) in float64. The bias is zero if the layer has none."""
    graph = model.subgraphs[0]

    def values(index: int) -> np.ndarray:
        tensor = graph.tensors[index]
        return dense_values(tensor, type_name(tensor.type), model.buffers[tensor.buffer].data).astype(np.float64)

    return layer.matrix(values(layer.weight)), np.zeros(layer.outputs) if layer.bias < 0 else values(layer.bias)


def write_weight(model: Any, layer: Layer, matrix: np.ndarray, bias: np.ndarray) -> None:
    """Replace a layer's weights in place. It gets its own bias and buffers if they are shared or missing."""
    from ai_edge_litert import schema_py_generated as schema

    graph = model.subgraphs[0]
    node = graph.operators[layer.operator]
    at = layer.bias
    if sum(ints(operator.inputs).count(at) for operator in graph.operators) != 1 or at < 0:
        tensor = schema.TensorT()
        tensor.name, tensor.shape = f"{layer.name}_bias_{layer.operator}".encode(), [layer.outputs]
        graph.tensors.append(tensor)
        at = len(graph.tensors) - 1
        node.inputs = [*ints(node.inputs)[: 3 if layer.kind == "TRANSPOSE_CONV" else 2], at]
    for index, values in ((layer.weight, layer.weights(matrix)), (at, bias)):
        store_values(model, graph.tensors[index], values.astype(np.float32))
