"""Reconstruction after channel pruning: each layer is refitted to reproduce its output in the unpruned model.

He, Zhang and Sun 2017 (arXiv:1707.06168): the kernel of a layer with fewer input channels becomes the least-squares
solution that reproduces the original output. Layers are refitted one after the other on the activations of the pruned
model, so later layers correct the errors of earlier ones. The branch that is added to a shortcut corrects the
shortcut's error.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from litetuner.spaces.channels.groups import Call, ChannelGraph
from litetuner.spaces.channels.layer_rules import KERNELS
from litetuner.spaces.data.named_arrays import parts
from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.models.keras_graph import call_arguments, call_outputs, nodes
from litetuner.spaces.reconstruction.least_squares import correction
from litetuner.spaces.reconstruction.normalization import fit_normalization, is_normalization
from litetuner.spaces.reconstruction.patches import features, is_depthwise, patches, places, why_not_refitted
from litetuner.spaces.tf import load

SAMPLES = 1024
TENSOR_BYTES = 128_000_000  # limit for the largest tensor over all samples; large images then get fewer samples
LEAST_SAMPLES = 32
# Output positions per layer: ROWS, or ROWS_PER_FEATURE times the weights of one output if that is more.
ROWS = 12_288
ROWS_PER_FEATURE = 8
ROW_BYTES = 400_000_000  # limit for the inputs at these positions
LEFT_OUT = 4  # every fourth sample is held out to evaluate the fit


@dataclasses.dataclass(frozen=True)
class Refit:
    """A refitted layer, and its squared error on held-out samples before and after, as shares of the variance."""

    layer: str
    before: float
    after: float


def reconstruct(
    model: Any, narrow: Any, graph: ChannelGraph, kept: np.ndarray, samples: np.ndarray, seed: int
) -> list[Refit]:
    """Refit ``narrow`` in place on ``samples`` (n, *sample). It is ``model`` with only the channels ``kept``.

    ``graph`` is the channel graph of ``model``; ``model`` does not change. ``seed`` draws samples and output positions.
    """
    random = np.random.default_rng([seed, 2])
    count = min(len(samples), SAMPLES, max(LEAST_SAMPLES, TENSOR_BYTES // _largest(model)))
    chosen = np.sort(random.permutation(len(samples))[:count])
    pairs = zip(parts(np.asarray(samples[chosen])), model.inputs, strict=True)
    inputs = [np.asarray(part, tensor.dtype.as_numpy_dtype) for part, tensor in pairs]
    return _Reconstruction(model, narrow, graph, kept, random).run(inputs)


def refusals(model: Any, graph: ChannelGraph) -> list[tuple[str, str]]:
    """Layers whose kernels pruning may affect and that are not refitted, each with the reason."""
    loses = {channel for group in graph.groups if group.pinned is None for channel in group.channels.tolist()}
    reached: set[int] = set()
    found: dict[str, str] = {}
    for node, call in zip(nodes(model), graph.calls, strict=True):
        here = any(id(tensor) in reached for tensor in node.keras_inputs)
        here = here or bool(loses.intersection(graph.roots[call.source].tolist()))
        if here or loses.intersection(graph.roots[call.heads].tolist()):
            reached |= {id(tensor) for tensor in call_outputs(node)}
            reason = why_not_refitted(call.layer)
            if reason is not None and _has_kernel(call.layer):
                found.setdefault(call.layer.name, reason)
    return list(found.items())


def _has_kernel(layer: Any) -> bool:
    return any(len(weight.shape) > 1 for weight in layer.weights)


def _largest(model: Any) -> int:
    """Bytes of the largest tensor of one sample; an axis of unknown size counts as 64."""
    tensors = [tensor for node in nodes(model) for tensor in call_outputs(node)]
    return max(4 * math.prod(size or 64 for size in tensor.shape[1:]) for tensor in (*tensors, *model.inputs))


class _Reconstruction:
    """Runs both models side by side, node by node; a tensor is kept until its last reader has run."""

    def __init__(
        self, model: Any, narrow: Any, graph: ChannelGraph, kept: np.ndarray, random: np.random.Generator
    ) -> None:
        self.graph = graph
        self.kept = kept
        self.random = random
        self.pairs = list(zip(nodes(model), nodes(narrow), graph.calls, strict=True))
        if any(before.layer.name != after.layer.name for before, after, _ in self.pairs):
            raise BuildFailed("channels: the narrower model's layers are in another order than the unpruned model's")
        self.inputs = ([id(tensor) for tensor in model.inputs], [id(tensor) for tensor in narrow.inputs])
        self.readers: dict[int, list[Any]] = {}
        for before, _, _ in self.pairs:
            for tensor in before.keras_inputs:
                self.readers.setdefault(id(tensor), []).append(before)
        self.outputs = {id(tensor) for tensor in model.outputs}
        self.calls = {id(before): call for before, _, call in self.pairs}
        self.original: dict[int, np.ndarray] = {}
        self.current: dict[int, np.ndarray] = {}  # values in the pruned model, by tensor id of the unpruned model
        self.exact: set[int] = set()  # tensors with equal values in both models, at the remaining channels
        self.fitted: set[int] = set()  # normalizations whose preceding kernel was refitted for their outputs
        self.found: list[Refit] = []

    def run(self, inputs: Sequence[np.ndarray]) -> list[Refit]:
        for tensor_id, x in zip(self.inputs[0], inputs, strict=True):
            self.original[tensor_id] = self.current[tensor_id] = x
            self.exact.add(tensor_id)
        for before, after, call in self._ordered():
            lost = len(self.graph.remaining(call.source, self.kept)) < len(call.source) and _mixes(call.layer)
            lost = lost or not self.kept[self.graph.roots[call.heads]].all()
            exact = not lost and all(id(tensor) in self.exact for tensor in before.keras_inputs)
            outputs = call_outputs(before)
            self._compute(before, before, self.original)
            if not exact and why_not_refitted(call.layer) is None:
                self._refit(before, after, call)
            elif not exact and call.understood and is_normalization(call.layer, len(outputs[0].shape)):
                self._renormalize(before, after, call)
            self._compute(before, after, self.current)
            if exact:
                self.exact |= {id(tensor) for tensor in outputs}
            self._forget(before)
        return self.found

    def _ordered(self) -> Iterator[tuple[Any, Any, Call]]:
        """A valid execution order: layers without a kernel as early as possible, then always the smallest kernel.

        So a shortcut comes before its branch, and the branch's last kernel corrects the error of their sum.
        """
        waiting = list(self.pairs)
        while waiting:
            ready = [each for each in waiting if all(id(tensor) in self.original for tensor in each[0].keras_inputs)]
            first = min(
                ready,
                key=lambda each: max(
                    (math.prod(w.shape) for w in each[0].layer.weights if len(w.shape) > 1), default=0
                ),
            )
            waiting.remove(first)
            yield first

    def _compute(self, before: Any, node: Any, values: dict[int, np.ndarray]) -> None:
        for tensor, value in zip(call_outputs(before), _outputs(node, before, values), strict=True):
            values[id(tensor)] = np.asarray(value)

    def _renormalize(self, before: Any, after: Any, call: Call) -> None:
        """Fit a batch normalization to its inputs; if a kernel was refitted for it, its outputs stay as they are."""
        x = self.current[id(before.keras_inputs[0])]
        at = places((*x.shape[:-1], 1), ROWS, self.random)
        wanted = self.original[id(before.outputs)][tuple(at)][:, self.graph.remaining(call.output, self.kept)]
        fitted = id(before) in self.fitted
        fit_normalization(after.layer, x[tuple(at)], None if fitted else wanted, at[0] % LEFT_OUT == 0)

    def _forget(self, node: Any) -> None:
        for tensor in {id(tensor): tensor for tensor in node.keras_inputs}.values():
            self.readers[id(tensor)] = [reader for reader in self.readers[id(tensor)] if reader is not node]
            if not self.readers[id(tensor)]:
                self.original[id(tensor)] = self.current[id(tensor)] = np.zeros(0)

    def _refit(self, before: Any, after: Any, call: Call) -> None:
        source, layer = before.keras_inputs[0], after.layer
        deep = is_depthwise(layer)
        kernel, *bias = layer.get_weights()
        shape = (
            len(self.original[id(source)]),
            *before.layer.compute_output_shape(self.original[id(source)].shape)[1:-1],
            1,
        )
        rows = min(
            max(ROWS, ROWS_PER_FEATURE * features(layer)),
            ROW_BYTES // (4 * math.prod(call.layer.weights[0].shape[:-1])),
        )
        at = places(shape, rows, self.random)
        remaining = self.graph.remaining(call.output, self.kept)
        wanted = _linear(call.layer, patches(call.layer, self.original[id(source)], at))[:, remaining]
        normalization = self._normalization(before)
        wanted = wanted + self._shortcut(before, normalization, at)
        read = patches(layer, self.current[id(source)], at)
        missing = wanted - _linear(layer, read)
        if deep:  # one map for each input channel
            read = read.transpose(2, 0, 1)
            missing = missing.reshape(len(missing), len(read), -1).transpose(1, 0, 2)
        else:
            read, missing = read.reshape(1, len(read), -1), missing[None]
        biased = bool(bias) or normalization is not None
        found = correction(read, missing, at[0] % LEFT_OUT == 0, float(wanted.var(axis=0).mean()), biased)
        if found is None:
            return
        change = found.kernel.transpose(1, 0, 2) if deep else found.kernel
        shift = found.bias.reshape(-1)
        kernel = (kernel + change.reshape(kernel.shape)).astype(np.float32)
        layer.set_weights([kernel, *((value + shift).astype(np.float32) for value in bias)])
        self.fitted |= set() if normalization is None else {id(normalization)}
        if not bias and normalization is not None:  # the normalization's mean replaces the missing bias
            twin = self._twin(normalization)
            twin.moving_mean.assign(twin.moving_mean - shift.astype(np.float32))
        self.found.append(Refit(layer.name, found.before, found.after))

    def _twin(self, node: Any) -> Any:
        return next(after.layer for before, after, _ in self.pairs if before is node)

    def _normalization(self, node: Any) -> Any | None:
        """The batch normalization that is the only reader of a layer without activation, if it is called once."""
        tensor = node.outputs
        readers = self.readers.get(id(tensor), [])
        if _activates(node.layer) or id(tensor) in self.outputs or len(readers) != 1:
            return None
        layer = readers[0].layer
        call = self.calls[id(readers[0])]
        return readers[0] if call.understood and is_normalization(layer, len(tensor.shape)) else None

    def _shortcut(self, node: Any, normalization: Any | None, at: np.ndarray) -> np.ndarray | float:
        """The error of the other summands in the sum after a layer, in units of the layer's output; 0 without a sum."""
        tensor = node.outputs if normalization is None else normalization.outputs
        readers = self.readers.get(id(tensor), [])
        if (
            _activates(node.layer)
            or id(tensor) in self.outputs
            or len(readers) != 1
            or type(readers[0].layer).__name__ != "Add"
        ):
            return 0.0
        others = [each for each in readers[0].keras_inputs if each is not tensor]
        known = all(id(each) in self.current and tuple(each.shape) == tuple(tensor.shape) for each in others)
        if not known or not others or all(id(each) in self.exact for each in others):
            return 0.0
        remaining = self.graph.remaining(self.calls[id(readers[0])].output, self.kept)
        lacks: np.ndarray = sum(
            self.original[id(each)][tuple(at)][:, remaining] - self.current[id(each)][tuple(at)] for each in others
        )
        if normalization is None:
            return lacks
        twin = self._twin(normalization)
        scale = 1 / np.sqrt(twin.moving_variance.numpy() + twin.epsilon) * (twin.gamma.numpy() if twin.scale else 1.0)
        usable = np.abs(scale) > 1e-3 * np.abs(scale).max()  # a division by smaller scales gives huge values
        return np.where(usable, lacks / np.where(usable, scale, 1.0), 0.0)


def _outputs(node: Any, names: Any, values: dict[int, np.ndarray]) -> list[Any]:
    """The outputs of a call; keys of ``values`` are tensor ids of ``names``, the same call in the unpruned model."""
    pairs = zip(node.keras_inputs, names.keras_inputs, strict=True)
    args, kwargs = call_arguments(node, {id(own): values[id(other)] for own, other in pairs})
    return list(load().nest.flatten(node.layer(*args, **kwargs)))


def _mixes(layer: Any) -> bool:
    kernels = KERNELS.get(type(layer).__name__)
    return kernels is not None and kernels.width is not None


def _activates(layer: Any) -> bool:
    return getattr(layer.activation, "__name__", "custom") != "linear"


def _linear(layer: Any, read: np.ndarray) -> np.ndarray:
    """A layer's outputs (positions, channels) before its activation."""
    kernel, *bias = layer.get_weights()
    if is_depthwise(layer):
        kernel = kernel.reshape(-1, *kernel.shape[-2:])
        outputs = np.einsum("ptc,tcm->pcm", read, kernel).reshape(len(read), -1)
    else:
        outputs = read.reshape(len(read), -1) @ kernel.reshape(-1, kernel.shape[-1])
    return outputs + bias[0] if bias else outputs
