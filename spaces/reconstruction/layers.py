"""The layers of a float ``.tflite`` whose weights are solved for: where they are, and as matrices."""

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
_PADDING = ("same", "valid")  # by the schema's number


@dataclasses.dataclass(frozen=True)
class Layer:
    """One operator with weights of its own, as ``maps`` linear maps from ``features`` inputs to outputs plus a bias.

    A convolution has one map and a depthwise one a map for each input channel. More than ``most_features`` inputs are cut
    into blocks that are solved one by one: each is a map then, and zeros fill the last one. ``bias`` is -1 where the file has
    none.
    """

    name: str
    operator: int
    kind: str
    source: int  # tensors by index
    weight: int
    bias: int
    shape: tuple[int, ...]  # of the weight in the file
    groups: int
    options: Any
    spatial: tuple[int, ...]  # the output's axes between the first and the last, in the file
    most_features: int  # of one map

    @property
    def size(self) -> int:
        """How many weights there are."""
        return math.prod(self.shape)

    @property
    def outputs(self) -> int:
        return self.shape[-1 if self.kind == "DEPTHWISE_CONV_2D" else 0]

    @property
    def features(self) -> int:
        """Weights of one output."""
        return self.size // self.outputs

    @property
    def blocks(self) -> int:
        return math.ceil(self.features / self.most_features) if self.groups == 1 else 1

    @property
    def channel_axes(self) -> tuple[int, ...]:
        """The axes of a matrix (maps, features, outputs) over which one output channel's weights lie."""
        return (0, 1) if self.groups == 1 else (1,)

    def with_outputs(self, count: int) -> "Layer":
        """The same with only ``count`` outputs of each group."""
        count *= self.groups
        depthwise = self.kind == "DEPTHWISE_CONV_2D"
        shape = (*self.shape[:-1], count) if depthwise else (count, *self.shape[1:])
        return dataclasses.replace(self, shape=shape)

    def matrix(self, weight: np.ndarray) -> np.ndarray:
        """A weight as in the file as (maps, features, outputs), float64."""
        by_output = weight.reshape(-1, self.outputs).T if self.kind == "DEPTHWISE_CONV_2D" else weight
        maps = by_output.reshape(self.groups, self.outputs // self.groups, self.features).transpose(0, 2, 1)
        return self._blocked(maps.astype(np.float64), 1)

    def weights(self, matrix: np.ndarray) -> np.ndarray:
        """The inverse of ``matrix``: values in the file's shape, of the given type."""
        if self.blocks > 1:
            matrix = matrix.reshape(1, -1, matrix.shape[2])[:, : self.features]
        by_output = matrix.transpose(0, 2, 1).reshape(self.outputs, self.features)
        return (by_output.T if self.kind == "DEPTHWISE_CONV_2D" else by_output).reshape(self.shape)

    def rows(self, x: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
        """What is read of inputs ``x`` (n, ...) at ``count`` places of the outputs: (maps, places, features), float32."""
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
        """One map as several, whose ``axis`` of features is cut into equal blocks."""
        if self.blocks == 1:
            return np.ascontiguousarray(values)
        width = math.ceil(self.features / self.blocks)
        padding = [(0, 0)] * 3
        padding[axis] = (0, width * self.blocks - self.features)
        return np.concatenate(np.split(np.pad(values, padding), self.blocks, axis))


def layers_of(model: Any, most_features: int | None = None) -> list[Layer]:
    """The layers of a float file (``read_model``) that can be solved for, in running order.

    Left out are other operators with weights, weights that several operators share, and what is not float32.
    """
    graph = model.subgraphs[0]
    uses = collections.Counter(index for operator in graph.operators for index in ints(operator.inputs))
    found = []
    for operator in operators_of(model):
        node = graph.operators[operator.index]
        inputs = ints(node.inputs)
        if operator.name not in KINDS or operator.weight_index != inputs[1] or uses[inputs[1]] > 1:
            continue
        first = 2 if operator.name == "TRANSPOSE_CONV" else 0  # it is given its output's shape before
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
    """A layer's matrix and its bias (outputs,), zeros where there is none; float64."""
    graph = model.subgraphs[0]

    def values(index: int) -> np.ndarray:
        tensor = graph.tensors[index]
        return dense_values(tensor, type_name(tensor.type), model.buffers[tensor.buffer].data).astype(np.float64)

    return layer.matrix(values(layer.weight)), np.zeros(layer.outputs) if layer.bias < 0 else values(layer.bias)


def write_weight(model: Any, layer: Layer, matrix: np.ndarray, bias: np.ndarray) -> None:
    """Give a layer other weights, in place. Where others use its bias or its buffers, it gets its own."""
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
