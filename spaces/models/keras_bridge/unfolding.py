"""Write the weights of a float ``.tflite`` back into its Keras model, undoing folded batch normalizations."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.models.folding import is_normalization, linear_before
from litetuner.spaces.reconstruction.layers import Layer, layers_of, read_weight
from litetuner.spaces.tf import load
from litetuner.spaces.tflite.schema import ints, read_model
from litetuner.spaces.tflite.weights import weights_by_layer

# Layers that the converter folds a batch normalization into.
_FOLDED_INTO = ("Conv1D", "Conv2D", "Conv2DTranspose", "Dense", "DepthwiseConv2D", "SeparableConv2D")
_TOLERANCE = 1e-3  # relative: allows float32 rounding of scales; weights of another layer differ by far more

_ROUNDING = 1e-6  # a factor this close to 1 is set to 1, so that shared values stay equal over channels


@dataclasses.dataclass(frozen=True)
class Place:
    """A kernel of a Keras layer and the operator of the file that has it: ``index`` is that in ``layer.weights``."""

    layer: str
    index: int
    solved: Layer

    def in_keras(self, matrix: np.ndarray, shape: Sequence[int]) -> np.ndarray:
        """A matrix of the operator's weights (``read_weight``) in the axis order and shape of the Keras kernel."""
        values = self.solved.weights(matrix)
        if self.solved.kind == "TRANSPOSE_CONV":
            values = values.transpose(1, 2, 0, 3)  # (out, h, w, in) -> (h, w, out, in)
        elif self.solved.kind != "DEPTHWISE_CONV_2D":  # (out, ..., in) -> (..., in, out)
            values = np.moveaxis(values, 0, -1)
        return values.reshape(shape)

    def read(self, file: Any, shape: Sequence[int]) -> np.ndarray:
        """The kernel in a file (``read_model``) in the axis order and shape of the Keras kernel."""
        return self.in_keras(read_weight(file, self.solved)[0], shape)

    def by_channel(self, kernel: np.ndarray) -> np.ndarray:
        """A Keras kernel as a matrix (weights, outputs)."""
        if self.solved.kind == "TRANSPOSE_CONV":
            kernel = np.moveaxis(kernel, -2, -1)
        by_output: np.ndarray = kernel.reshape(-1, self.solved.outputs)
        return by_output


def places(model: Any, file: bytes) -> list[Place]:
    """The kernels of a tf_keras model that are certain to be found in its float file (``weights_by_layer``)."""
    kernels = {layer.name: _kernels(layer) for layer in model.layers}
    shapes = {name: max(found.values(), key=np.prod) for name, found in kernels.items() if found}
    matched = weights_by_layer(file, list(shapes), shapes)
    read = read_model(file)
    solved = {layer.operator: layer for layer in layers_of(read)}
    found = []
    for name, weight in matched.items():
        for layer in _with_separable(solved.get(weight.operator_index), solved, read, len(kernels[name])):
            for index, shape in kernels[name].items():
                if np.prod(shape) == layer.size and _takes(layer, shape):
                    found.append(Place(name, index, layer))
                    break
    return found


def _kernels(layer: Any) -> dict[int, tuple[int, ...]]:
    return {at: tuple(weight.shape) for at, weight in enumerate(layer.weights) if len(weight.shape) > 1}


def _takes(layer: Layer, shape: Sequence[int]) -> bool:
    """True if a Keras kernel of this shape can belong to the operator.

    A separable convolution has two kernels of different kinds.
    """
    depthwise = layer.kind == "DEPTHWISE_CONV_2D"
    outputs = shape[-1] * shape[-2] if depthwise else shape[-2] if layer.kind == "TRANSPOSE_CONV" else shape[-1]
    return bool(outputs == layer.outputs)


def _with_separable(layer: Layer | None, solved: dict[int, Layer], file: Any, kernels: int) -> list[Layer]:
    """The operators of a Keras layer.

    A separable convolution has two; ``layer`` is the larger one, which was found by its name.
    """
    if layer is None:
        return []
    if kernels != 2 or layer.kind not in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        return [layer]
    made = {ints(file.subgraphs[0].operators[each.operator].outputs)[0]: each for each in solved.values()}
    outputs = {each.operator: output for output, each in made.items()}
    if layer.kind == "CONV_2D":
        return [each for each in (made.get(layer.source), layer) if each is not None]
    return [layer, *(each for each in solved.values() if each.source == outputs[layer.operator])]


def unfolded(model: Any, before: bytes, after: bytes) -> Any:
    """A copy of a tf_keras model with the weights of ``after``, so that it computes the same.

    ``before`` is the model's own float file, ``after`` the same file with other weights. A kernel is divided by the
    factor that the converter gave each channel (gamma / sigma of a batch normalization). A change of the bias is added
    to beta. A channel with factor 0 does not change. A layer without a bias gets one if it needs one. Raises
    ``BuildFailed`` with the name of a layer whose weights cannot be written back.
    """
    found, old, new = places(model, before), _weights(before), _weights(after)
    changed = {at for at, values in old.items() if any(map(np.any, map(np.subtract, values, new[at])))}
    lost = changed - {place.solved.operator for place in found}
    if lost:
        names = ", ".join(layer.name for layer in layers_of(read_model(before)) if layer.operator in lost)
        raise BuildFailed(
            f"the reconstructed weights of {names} cannot be written back: no layer of the Keras model is certain to be theirs"
        )
    shifts: dict[str, np.ndarray] = {}
    kernels: dict[tuple[str, int], np.ndarray] = {}
    scales: dict[str, np.ndarray] = {}
    for place in found:  # for a separable convolution, the depthwise part comes first
        variable = model.get_layer(place.layer).weights[place.index]
        (was, bias), (matrix, new_bias) = old[place.solved.operator], new[place.solved.operator]
        now = place.in_keras(matrix, variable.shape)
        own = variable.numpy().astype(np.float64)
        kernels[place.layer, place.index], scale = _divided(place, own, place.in_keras(was, variable.shape), now)
        shift = new_bias - bias
        if place.layer in shifts:  # the shift of the depthwise part passes through the pointwise part
            shift = shift + shifts[place.layer] @ place.by_channel(now)
        shifts[place.layer], scales[place.layer] = shift, scale
    return _written(model, kernels, shifts, scales)


def _weights(file: bytes) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """The matrix and the bias of each layer of a file, by operator."""
    model = read_model(file)
    return {layer.operator: read_weight(model, layer) for layer in layers_of(model)}


def _divided(place: Place, kernel: np.ndarray, was: np.ndarray, now: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The new kernel in the scale of the Keras model, and the converter's factor for each channel."""
    own, folded = place.by_channel(kernel), place.by_channel(was)
    squares = np.sum(own * own, axis=0)
    scale = np.sum(own * folded, axis=0) / np.where(squares > 0, squares, 1.0)
    difference = np.abs(own * scale - folded).max(axis=0)
    if (difference > _TOLERANCE * np.abs(folded).max(axis=0)).any():
        raise BuildFailed(
            f"the weights of {place.layer} cannot be written back: in the file they are not those of the Keras layer times one "
            "factor for each channel"
        )
    scale = np.where(np.abs(scale - 1) < _ROUNDING, 1.0, scale)
    live = scale != 0
    factors = np.where(live, scale, 1.0)
    shape = [1] * kernel.ndim
    axes = {"DEPTHWISE_CONV_2D": (-2, -1), "TRANSPOSE_CONV": (-2,)}.get(place.solved.kind, (-1,))
    for axis in axes:
        shape[axis] = kernel.shape[axis]
    return np.where(live.reshape(shape), now / factors.reshape(shape), kernel), scale


def _written(
    model: Any,
    kernels: dict[tuple[str, int], np.ndarray],
    shifts: dict[str, np.ndarray],
    scales: dict[str, np.ndarray],
) -> Any:
    """A copy with new kernels and with outputs shifted by channel."""
    behind = {}
    for layer in model.layers:
        before = linear_before(layer, _FOLDED_INTO) if is_normalization(layer) else None
        if before is not None:
            behind[before.name] = layer.name
    bare = {
        name
        for name, shift in shifts.items()
        if shift.any() and name not in behind and getattr(model.get_layer(name), "bias", None) is None
    }
    copy = _with_biases(model, bare)
    for (name, index), value in kernels.items():
        copy.get_layer(name).weights[index].assign(value)
    for name, shift in shifts.items():
        if not shift.any():
            continue
        if name in behind:
            _shift_normalized(copy.get_layer(behind[name]), name, shift, scales[name])
        else:
            variable = copy.get_layer(name).bias
            factor = np.where(scales[name] != 0, scales[name], 1.0)
            variable.assign(variable.numpy() + shift / factor)
    return copy


def _shift_normalized(normalization: Any, name: str, shift: np.ndarray, scale: np.ndarray) -> None:
    """Add the shift of layer ``name`` to the batch normalization after it.

    Raises ``BuildFailed`` if that normalization was not folded into the layer.
    """
    factor = 1 / np.sqrt(normalization.moving_variance.numpy().astype(np.float64) + normalization.epsilon)
    if normalization.gamma is not None:
        factor = factor * normalization.gamma.numpy()
    live = scale != 0
    if not np.allclose(scale[live], factor[live], rtol=_TOLERANCE):
        raise BuildFailed(
            f"the weights of {name} cannot be written back: {normalization.name} behind it is in the file another way"
        )
    if normalization.beta is not None:
        normalization.beta.assign(normalization.beta.numpy() + shift)
    else:
        mean = normalization.moving_mean
        mean.assign(mean.numpy() - np.where(live, shift / np.where(live, factor, 1.0), 0.0))


def _with_biases(model: Any, names: set[str]) -> Any:
    """A copy in which these layers, which had no bias, have a bias of zeros."""
    load()
    import tf_keras

    def twin(layer: Any) -> Any:
        return type(layer).from_config(layer.get_config() | ({"use_bias": True} if layer.name in names else {}))

    copy = tf_keras.models.clone_model(model, clone_function=twin)
    for layer in model.layers:
        own = copy.get_layer(layer.name)
        values = layer.get_weights()
        own.set_weights([*values, own.bias.numpy()] if layer.name in names else values)
    return copy
