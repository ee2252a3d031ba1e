"""Which channels of a float ``.tflite`` have the same value for any input and at every position, and these values."""

from typing import Any

import numpy as np

from litetuner.spaces.reconstruction.activations import Walk
from litetuner.spaces.reconstruction.layers import Layer, layers_of, read_weight
from litetuner.spaces.tflite.operators import Operator, operators_of
from litetuner.spaces.tflite.schema import ints, type_name
from litetuner.spaces.tflite.tensor_values import dense_values

# For these operators, an output channel is constant if the same input channel is constant.
_KEEPING = """
ABS AVERAGE_POOL_2D CEIL COS ELU EXP FLOOR GELU HARD_SWISH LEAKY_RELU LOGISTIC MAX_POOL_2D MEAN MIRROR_PAD NEG PRELU REDUCE_MAX
REDUCE_MIN RELU RELU6 RELU_N1_TO_1 ROUND SIGN SIN SLICE SQUARE STRIDED_SLICE SUM TANH
"""
_PAIRED = ("ADD", "MUL", "SUB")
_SEED = 0


class Constancy:
    """Constant channels of a model, by tensor. Weights with a magnitude below ``largest`` count as zero."""

    def __init__(self, model: Any, largest: float) -> None:
        self._model, self._largest = model, largest
        self._graph = model.subgraphs[0]
        self._layers = {layer.operator: layer for layer in layers_of(model)}
        self._constant: dict[int, np.ndarray] = {}
        self._values: dict[int, np.ndarray] = {}
        walk = Walk(model, self._random_inputs())
        for operator in operators_of(model):
            walk.advance(operator.index + 1)
            for index in ints(self._graph.operators[operator.index].outputs):
                flags = self._flags(operator, index)
                value = walk.values.get(index)
                if value is not None and value.ndim > 1 and flags is not None and flags.shape == value.shape[-1:]:
                    flat = value.reshape(-1, value.shape[-1]).astype(np.float64)
                    self._constant[index] = flags & (np.ptp(flat, axis=0) <= 100 * largest)
                    self._values[index] = flat.mean(axis=0)

    def absorbed(self, layer: Layer) -> np.ndarray:
        """True for each input channel of a layer that is constant and can be moved into the layer's bias."""
        width = ints(self._graph.tensors[layer.source].shape)[-1]
        constant = self._constant.get(layer.source, np.zeros(width, bool))
        absorbed = constant if _unpadded(layer) else constant & self._zero(layer.source, width)
        return np.tile(absorbed, layer.shape[-1] // len(absorbed)) if layer.kind == "FULLY_CONNECTED" else absorbed

    def values(self, layer: Layer) -> np.ndarray:
        """The values of the channels for which ``absorbed`` is true; values of other channels mean nothing."""
        width = ints(self._graph.tensors[layer.source].shape)[-1]
        values = self._values.get(layer.source, np.zeros(width))
        return np.tile(values, layer.shape[-1] // len(values)) if layer.kind == "FULLY_CONNECTED" else values

    def _zero(self, tensor: int, width: int) -> np.ndarray:
        return np.abs(self._values.get(tensor, np.ones(width))) <= self._largest

    def _flags(self, operator: Operator, output: int) -> np.ndarray | None:
        """True for each output channel of an operator that is constant; ``None`` if nothing is known."""
        inputs = ints(self._graph.operators[operator.index].inputs)
        layer = self._layers.get(operator.index)
        if layer is not None:
            return self._of_layer(layer)
        if operator.name in _PAIRED:
            return self._of_pair(operator.name, inputs, ints(self._graph.tensors[output].shape))
        if operator.name == "CONCATENATION":
            parts = [self._constant.get(index) for index in inputs]
            return None if any(part is None for part in parts) else np.concatenate(parts)  # type: ignore[arg-type]
        source = self._constant.get(inputs[0]) if inputs else None
        if source is None:
            return None
        if operator.name == "RESHAPE":
            after = ints(self._graph.tensors[output].shape)[-1]
            return (
                source
                if after == len(source)
                else np.tile(source, after // len(source))
                if after % len(source) == 0
                else None
            )
        if operator.name == "PAD":
            return source & self._zero(inputs[0], len(source))
        return source if operator.name in _KEEPING.split() else None

    def _of_layer(self, layer: Layer) -> np.ndarray:
        weighs = np.abs(layer.weights(read_weight(self._model, layer)[0])) >= self._largest
        absorbed = self.absorbed(layer)
        if layer.kind == "DEPTHWISE_CONV_2D":
            absorbed = np.repeat(absorbed, layer.outputs // len(absorbed))
            return ~weighs.reshape(-1, layer.outputs).any(axis=0) | absorbed
        if weighs.shape[-1] != len(absorbed):  # a convolution with groups
            return ~weighs.reshape(layer.outputs, -1).any(axis=1)
        return ~(weighs & ~absorbed).reshape(layer.outputs, -1).any(axis=1)

    def _of_pair(self, name: str, inputs: list[int], shape: list[int]) -> np.ndarray:
        """Constant channels of a sum or product: all operands are constant, or one factor of a product is zero."""
        found, zero = np.ones(shape[-1], bool), np.zeros(shape[-1], bool)
        for index in inputs:
            sizes = ints(self._graph.tensors[index].shape)
            width = sizes[-1] if sizes else 1
            data = self._model.buffers[self._graph.tensors[index].buffer].data
            if data is not None:
                tensor = self._graph.tensors[index]
                values = dense_values(tensor, type_name(tensor.type), data).reshape(-1, width)
                found &= (values == values[0]).all(axis=0)
                zero |= (np.abs(values) < self._largest).all(axis=0)
            else:
                constant = self._constant.get(index, np.zeros(width, bool))
                found &= constant
                zero |= constant & self._zero(index, width)
        return found | zero if name == "MUL" else found

    def _random_inputs(self) -> dict[int, np.ndarray]:
        """Two random samples: a constant channel has the same value in both."""
        random, found = np.random.default_rng(_SEED), {}
        for index in ints(self._graph.inputs):
            tensor = self._graph.tensors[index]
            shape = (2, *(abs(size) for size in ints(tensor.shape)))
            dtype = np.dtype(type_name(tensor.type))
            drawn = (
                random.normal(size=shape) if np.issubdtype(dtype, np.floating) else random.integers(0, 2, size=shape)
            )
            found[index] = drawn.astype(dtype)
        return found


def _unpadded(layer: Layer) -> bool:
    """True if every output position reads the same number of inputs; never for a transposed convolution."""
    if layer.kind == "FULLY_CONNECTED":
        return True
    return layer.kind != "TRANSPOSE_CONV" and (int(layer.options.padding) == 1 or layer.shape[1:3] == (1, 1))
