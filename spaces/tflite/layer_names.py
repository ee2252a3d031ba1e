"""Find the operator of a ``.tflite`` that computes each Keras layer: by tensor names, then by order and shape.

The converters write these names (all observed in files of TensorFlow 2.21):

- ``model/conv2d/Conv2D``;
- names of fused operators are joined, with the layer that has the weights last:
  ``re_lu/Relu;batch_normalization/FusedBatchNormV3;conv2d/Conv2D``;
- a digit is appended to make a name unique: ``conv2d/Conv2D1``;
- tfmot adds wrappers: ``quant_conv2d/Conv2D;quant_conv2d/LastValueQuant/...``;
- ``StatefulPartitionedCall_1:0`` contains no layer name.

Keras 3 opens the scope of each layer twice, once to build and once to call it. Therefore the layers ``conv2d`` and
``conv2d_1`` are named ``conv2d_1`` and ``conv2d_1_2`` in the file.
"""

import dataclasses
import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence

_WRAPPERS = ("quant_", "prune_low_magnitude_", "cluster_")
_WEIGHTED = re.compile(  # last path components of operations with weights, without the digits that make them unique
    "BatchMatMulV|Conv[123]D|MatMul|conv[123]d_transpose|convolution|depthwise|einsum|embedding_lookup|separable_conv2d"
)
_NUMBERED = re.compile(r"_\d+$")
_COUNTER = re.compile(r"_?\d+$")


@dataclasses.dataclass(frozen=True)
class NamedOperator:
    """An operator with weights: its index, the names of its weight and output tensors, the weight's shape and storage.

    ``storage`` is equal for operators that share one weight, such as those of a layer that is called twice.
    """

    index: int
    names: tuple[str, ...]
    shape: tuple[int, ...]
    storage: int | None = None


Operators = Sequence[NamedOperator]
Shapes = Mapping[str, Sequence[int]]  # layer name: kernel shape in Keras order


def operators_of_layers(operators: Operators, layers: Sequence[str], kernel_shapes: Shapes) -> dict[str, int]:
    """The operator index of each layer that is identified with certainty. ``layers`` must be in the model's order."""
    plain = _explained(operators, {layer: layer for layer in layers}, kernel_shapes)
    keras3 = _explained(operators, _keras3_scopes(layers), kernel_shapes)
    found, used = _choose(operators, plain, keras3)
    return _by_shape(operators, layers, kernel_shapes, found, used)


_Explained = tuple[dict[str, int], set[int]]  # layer -> operator, and all operators whose names contain a layer


def _choose(operators: Operators, plain: _Explained, keras3: _Explained) -> _Explained:
    scopes = [path[-2:] for operator in operators for path in _paths(operator) if len(path) > 1]
    if any(_bare(operation) == "convolution" for _, operation in scopes):
        return keras3  # only Keras 3 uses this name for a convolution
    if not scopes or not all(_NUMBERED.search(scope) for scope, _ in scopes):
        return plain
    if len(plain[0]) != len(keras3[0]):
        return max(plain, keras3, key=lambda explained: len(explained[0]))
    agreed = {layer: index for layer, index in plain[0].items() if keras3[0].get(layer, index) == index}
    return agreed, plain[1]


def _keras3_scopes(layers: Sequence[str]) -> dict[str, str]:
    """Scope -> layer in a Keras 3 export: the second of each layer's two scopes, made unique as TensorFlow does it."""
    used: dict[str, int] = {}

    def unique(name: str) -> str:
        key = name.lower()
        count = used.get(key, 0)
        used[key] = count + 1
        if not count:
            return name
        while f"{key}_{count}" in used:
            count += 1
        used[f"{key}_{count}"] = 1
        return f"{name}_{count}"

    scopes = {}
    for layer in layers:
        unique(layer)
        scopes[unique(layer)] = layer
    return scopes


def _explained(operators: Operators, scopes: Mapping[str, str], kernel_shapes: Shapes) -> _Explained:
    """Layer -> operator by names, and all operators whose names contain a layer. Operators with two layers get none."""
    parts = {tuple(scope.split("/")): layer for scope, layer in scopes.items()}
    claims: dict[str, dict[int, tuple[str, ...]]] = {}
    shapes = {operator.index: operator.shape for operator in operators}
    stored = {operator.index: operator.storage for operator in operators}
    used: set[int] = set()
    for operator in operators:
        claimed = {owner for path in _paths(operator) if (owner := _owner(path, parts)) is not None}
        if len({layer for layer, _ in claimed}) == 1:
            layer, prefix = next(iter(claimed))
            claims.setdefault(layer, {})[operator.index] = prefix
        if claimed:
            used.add(operator.index)
    found = {}
    for layer, owned in claims.items():
        if len(set(owned.values())) > 1:  # layers with the same name in different submodels
            continue
        fitting = [index for index in owned if fits(kernel_shapes.get(layer, ()), shapes[index])]
        sizes = {index: math.prod(shapes[index]) for index in fitting or owned}
        largest = [index for index, size in sizes.items() if size == max(sizes.values())]
        shared = {stored[index] for index in largest}
        if len(largest) == 1 or (len(shared) == 1 and None not in shared):
            found[layer] = largest[0]
    return found, used


def _paths(operator: NamedOperator) -> list[list[str]]:
    """Path components of an operator's names: only those of operations with weights if there are any, else all."""
    paths = [part.split("/") for name in operator.names for part in name.split(";") if part]
    return [path for path in paths if _WEIGHTED.fullmatch(_bare(path[-1]))] or paths


def _bare(operation: str) -> str:
    return _COUNTER.sub("", operation)


def _owner(path: Sequence[str], parts: Mapping[tuple[str, ...], str]) -> tuple[str, tuple[str, ...]] | None:
    """The layer in a path, and the path before it. The deepest match counts: a model can have the name of a layer."""
    for length in range(len(path) - 1, 0, -1):  # the last component is the operation
        for strip in (lambda name: name, _unwrapped):
            for start in range(length):
                inner = tuple(strip(component) for component in path[start:length])
                if inner in parts:
                    while start and (strip(path[start - 1]),) == inner:  # "separable_conv2d/separable_conv2d/depthwise"
                        start -= 1
                    return parts[inner], tuple(path[:start])
    return None


def _unwrapped(component: str) -> str:
    for wrapper in _WRAPPERS:
        component = component.removeprefix(wrapper)
    return component


def _by_shape(
    operators: Operators, layers: Sequence[str], kernel_shapes: Shapes, found: dict[str, int], used: set[int]
) -> dict[str, int]:
    """Add layers that no name identifies, if order and shape leave only one possibility."""
    open_layers = [layer for layer in layers if layer not in found and len(kernel_shapes.get(layer, ())) > 1]
    taken = used | set(found.values())
    open_operators = [operator for operator in operators if operator.index not in taken]
    added: dict[str, int] = {}
    for layer in open_layers:  # layers whose shape fits exactly one operator, which fits no other layer
        fitting = [operator for operator in open_operators if fits(kernel_shapes[layer], operator.shape)]
        rivals = [other for other in open_layers if any(fits(kernel_shapes[other], op.shape) for op in fitting)]
        if len(fitting) == 1 and rivals == [layer]:
            added[layer] = fitting[0].index
    known = found | added
    anchors = [known[layer] for layer in layers if layer in known]
    if anchors == sorted(anchors):  # otherwise the file runs branches in another order than the model lists them
        added |= _by_order(open_operators, layers, kernel_shapes, known)
    return found | added


def _by_order(operators: Operators, layers: Sequence[str], shapes: Shapes, known: dict[str, int]) -> dict[str, int]:
    """Match layers between two known layers in order, if there are as many operators and all shapes fit."""
    added: dict[str, int] = {}
    for low, gap, high in _gaps(layers, shapes, known):
        between = [op for op in operators if low < op.index < high and op.index not in known.values()]
        if len(between) == len(gap) and all(
            fits(shapes[layer], operator.shape) for layer, operator in zip(gap, between, strict=True)
        ):
            added |= {layer: operator.index for layer, operator in zip(gap, between, strict=True)}
    return added


def _gaps(
    layers: Sequence[str], kernel_shapes: Shapes, known: Mapping[str, int]
) -> Iterator[tuple[float, list[str], float]]:
    kept = [layer for layer in layers if layer in known or len(kernel_shapes.get(layer, ())) > 1]
    ends: list[tuple[int, float]] = [(-1, -math.inf)]
    ends += [(place, known[layer]) for place, layer in enumerate(kept) if layer in known]
    ends.append((len(kept), math.inf))
    for (left, low), (right, high) in itertools.pairwise(ends):
        if right - left > 1:
            yield low, kept[left + 1 : right], high


def fits(kernel: Sequence[int], weight: Sequence[int]) -> bool:
    """True if the converter can turn this Keras kernel into this weight.

    The converter permutes axes, adds axes of size 1, and joins the depth multiplier with the channels.
    """
    if not kernel or math.prod(kernel) != math.prod(weight):
        return False
    left, right = (sorted(size for size in shape if size != 1) for shape in (kernel, weight))
    joined = sorted(size for size in (*kernel[:-2], kernel[-1] * kernel[-2]) if size != 1) if len(kernel) > 2 else left
    return right in (left, joined)
