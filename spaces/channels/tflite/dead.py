"""Dead channels: removes filters with constant outputs from a float ``.tflite``, exactly, without data or training.

The constant output of a filter is added to the biases of the layers that read it. That is not exact if such a layer
pads its input with zeros; then only filters with an output of 0 can be removed.
"""

import dataclasses
import functools
from typing import Any

import numpy as np

from litetuner.spaces.channels.numbering import Group
from litetuner.spaces.channels.tflite.constancy import Constancy
from litetuner.spaces.channels.tflite.removal import remove
from litetuner.spaces.channels.tflite.tracing import FileChannels, trace_file
from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.reconstruction.layers import layers_of, read_weight, write_weight
from litetuner.spaces.tflite.operators import operators_of
from litetuner.spaces.tflite.running import run
from litetuner.spaces.tflite.schema import pack_model, read_model

LARGEST = 1e-6  # dead filters have only smaller weights; 971 of 1,496 filters of MLPerf Tiny's MobileNet are dead
TOLERANCE = 1e-5  # allowed difference as a share of the largest output, for float32 rounding
SAMPLES = 8
_READING = ("CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")  # they mix the channels that they read


@dataclasses.dataclass(frozen=True)
class Removal:
    """A file without dead channels: ``removed`` of ``filters`` filters. ``note`` says what was removed or why not."""

    file: bytes
    removed: int
    filters: int
    note: str


def without_dead_channels(file: bytes, samples: np.ndarray) -> Removal:
    """Remove the dead channels of a float file. ``samples`` (n, *sample) verify that the outputs stay the same.

    Without samples, random ones are used. The file is returned unchanged if it has no dead channels. It is returned
    unchanged with a note if the outputs would differ by more than 1e-5 of the largest, or if the removal fails.
    """
    shown = samples[:SAMPLES]
    return _removal(file, shown.tobytes(), shown.dtype, shown.shape)


@functools.lru_cache(maxsize=2)
def _removal(file: bytes, content: bytes, dtype: Any, shape: tuple[int, ...]) -> Removal:
    """The removal, cached for the last two files: a worker builds many candidates of one file."""
    samples = np.frombuffer(content, dtype).reshape(shape)
    before = _filters(file)
    if not _any_dead(file):
        return Removal(file, 0, before, "")
    try:
        narrow = _narrowed(file)
        difference = run(file, samples).difference(run(narrow, samples))
    except BuildFailed as error:
        return Removal(file, 0, before, f"dead channels are not removed: {error}")
    if difference > TOLERANCE:
        return Removal(file, 0, before, f"dead channels are not removed: outputs would differ by {difference:.1g}")
    removed = before - _filters(narrow)
    said = f"dead channels: {removed:,} of {before:,} filters removed, outputs equal to {max(difference, 1e-9):.0e}"
    return Removal(narrow if removed else file, removed, before, said if removed else "")


def _filters(file: bytes) -> int:
    return sum(layer.outputs for layer in layers_of(read_model(file)))


def _any_dead(file: bytes) -> bool:
    model = read_model(file)
    return any((np.abs(read_weight(model, layer)[0]).max(axis=1) < LARGEST).any() for layer in layers_of(model))


def _narrowed(file: bytes) -> bytes:
    """The file without its dead channels; their constants are added to the biases of the layers that read them."""
    model = read_model(file)
    channels = trace_file(model)
    constancy = Constancy(model, LARGEST)
    kept = np.ones(len(channels.roots), bool)
    goes = np.ones(len(channels.roots), bool)
    known = {layer.operator: layer for layer in layers_of(model) if layer.kind != "DEPTHWISE_CONV_2D"}
    for operator in operators_of(model):
        numbers = channels.constants.get((operator.index, 1, len(operator.weight_shape or ()) - 1))
        if operator.name in _READING and numbers is not None:
            layer = known.get(operator.index)
            stays = np.ones(len(numbers), bool) if layer is None else ~constancy.absorbed(layer)
            goes[channels.roots[numbers[stays]]] = False
    for group in channels.groups:
        kept[_going(group, goes, channels)] = False
    narrow = read_model(remove(file, channels, kept))
    by_operator = {layer.operator: layer for layer in layers_of(narrow)}
    for layer in known.values():
        numbers = channels.constants.get((layer.operator, 1, len(layer.shape) - 1))
        if numbers is None or kept[channels.roots[numbers]].all():
            continue
        lost = np.where(kept[channels.roots[numbers]], 0.0, constancy.values(layer))
        weight = np.moveaxis(layer.weights(read_weight(model, layer)[0]), -1, 0)  # (inputs, outputs, ...)
        shift = np.tensordot(lost, weight, 1).reshape(layer.outputs, -1).sum(axis=1)
        twin = by_operator[layer.operator]
        stays = channels.remaining(channels.constants[layer.operator, 1, 0], kept)
        kernel, bias = read_weight(narrow, twin)
        write_weight(narrow, twin, kernel, bias + shift[stays])
    return pack_model(narrow)


def _going(group: Group, goes: np.ndarray, channels: FileChannels) -> np.ndarray:
    """The channels of a group to remove. If all could be removed, one stays: no kernel works without channels."""
    if group.pinned is not None:
        return group.channels[:0]
    found = group.channels[goes[group.channels]]
    return found[1:] if len(found) == len(group.channels) else found
