"""Importance of channels: from their weights, from the reconstruction error, or from the change of the loss."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from litetuner.spaces.channels.elimination import eliminations
from litetuner.spaces.channels.groups import ChannelGraph
from litetuner.spaces.channels.layer_rules import KERNELS
from litetuner.spaces.channels.surgery import named_weights, weight_name
from litetuner.spaces.context import Context
from litetuner.spaces.data.named_arrays import by_name
from litetuner.spaces.errors import Refused
from litetuner.spaces.models.signature import feed
from litetuner.spaces.tf import load
from litetuner.spaces.training.losses import like_outputs

IMPORTANCES = ("reconstruction", "l1", "l2", "norm", "taylor")  # recipes use the first one
TAYLOR_SAMPLES = 512
TAYLOR_BATCH = 8  # small, so that effects of opposite sign in different samples do not cancel out in the sums


def importances(model: Any, graph: ChannelGraph, importance: str, context: Context) -> np.ndarray:
    """Importance by channel id, summed over the layers that create a channel.

    ``reconstruction`` is the output error that remains after the layers that read the channel are refitted
    (``eliminations``). It is the value of ``l1`` if none of them can be refitted. ``taylor`` is the squared first-order
    change of the loss if the channel is set to zero (Molchanov et al. 2019, arXiv:1906.10771), on training samples
    drawn by ``context.seed``. It is computed at the batch normalization if there is one, otherwise at the kernel and
    its bias. The other importances are shares of the sum of their group, so that groups can be compared. ``l1`` and
    ``l2`` are norms of the channel's slice of the kernel (Li et al. 2017, arXiv:1608.08710). ``norm`` is the absolute
    scale of the batch normalizations (Liu et al. 2017, arXiv:1708.06519), or the L1 norm in groups where not all
    channels have one.

    Raises ``Refused`` for ``taylor`` without training data or without a loss, and for ``reconstruction`` without
    samples.
    """
    if importance == "taylor":
        return _taylor(model, graph, context)
    by_kernels = _by_kernels(graph, importance)
    if importance != "reconstruction":
        return by_kernels
    samples = context.x_train if len(context.x_train) else context.calibration
    if not len(samples):
        raise Refused(
            "channels: importance reconstruction needs activations, and there are no samples. Use l1 or l2, or give data."
        )
    scores, known = eliminations(model, graph, samples, context.seed)
    return np.where(known, scores, by_kernels)


def _by_kernels(graph: ChannelGraph, importance: str) -> np.ndarray:
    values = {call.layer.name: dict(named_weights(call.layer)) for call in graph.layers().values()}
    scores = _kernel_norms(graph, values, 2 if importance == "l2" else 1)
    scales, found = _norm_scales(graph, values)
    for group in graph.groups:
        if importance == "norm" and found[group.channels].all():
            scores[group.channels] = scales[group.channels]
        scores[group.channels] /= scores[group.channels].sum() or 1.0
    return scores


def _kernel_norms(graph: ChannelGraph, values: Mapping[str, Mapping[str, np.ndarray]], order: int) -> np.ndarray:
    found = np.zeros(len(graph.roots))
    for call in graph.layers().values():
        for made, slices in _slices(call, values[call.layer.name], biased=False):
            np.add.at(found, graph.roots[made], np.linalg.norm(slices.astype(np.float64), ord=order, axis=1))
    return found


def _norm_scales(graph: ChannelGraph, values: Mapping[str, Mapping[str, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    found, seen = np.zeros(len(graph.roots)), np.zeros(len(graph.roots), dtype=bool)
    for call in graph.layers().values():
        scale = values[call.layer.name].get("gamma")
        if scale is not None and call.understood and type(call.layer).__name__ == "BatchNormalization":
            np.add.at(found, graph.roots[call.output], np.abs(scale))
            seen[graph.roots[call.output]] = True
    return found, seen


def _slices(call: Any, weights: Mapping[str, np.ndarray], biased: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    """The numbers of the channels that a layer creates, and their weights (channels, weights of each channel)."""
    kernels = KERNELS.get(type(call.layer).__name__)
    if kernels is None or kernels.made_by is None or not call.understood:
        return []
    name, axes = kernels.made_by
    value = weights[name]
    last = [value.ndim - axis for axis in axes]
    made = call.heads if kernels.heads else call.output
    slices = np.moveaxis(value, last, range(-len(last), 0)).reshape(-1, len(made)).T
    if biased and "bias" in weights and not kernels.heads:
        slices = np.concatenate([slices, weights["bias"][:, None]], axis=1)
    return [(made, slices)]


def _taylor(model: Any, graph: ChannelGraph, context: Context) -> np.ndarray:
    if not len(context.x_train):
        raise Refused(
            "channels: importance taylor measures how the loss changes, and there is no training data. Use l1 or l2."
        )
    total = np.zeros(len(graph.roots))
    for products in _products(model, context):  # one dictionary with (weight x gradient) per batch
        made, normed = np.zeros(len(graph.roots)), np.zeros(len(graph.roots))
        has_norm = np.zeros(len(graph.roots), dtype=bool)
        for call in graph.layers().values():
            own = products.get(call.layer.name, {})
            ids = graph.roots[call.output]
            if type(call.layer).__name__ == "BatchNormalization" and call.understood and own:
                np.add.at(normed, ids, sum(own.values()) ** 2)
                has_norm[ids] = True
            elif own:
                for numbers, slices in _slices(call, own, biased=True):
                    np.add.at(made, graph.roots[numbers], slices.sum(axis=1) ** 2)
        total += np.where(has_norm, normed, made)
    return total


def _products(model: Any, context: Context) -> Any:
    tf = load()
    import tf_keras

    loss: Any = tf_keras.losses.get(context.loss) if isinstance(context.loss, str) else context.loss
    if loss is None:
        raise Refused(
            "channels: ranking by the change of the loss needs one: give --loss beside --fit, or another importance"
        )
    weights = {
        (layer.name, weight_name(layer, weight)): weight
        for layer in model.layers
        for weight in layer.weights
        if weight.dtype.is_floating and "moving_" not in weight.name
    }
    variables = list(weights.values())

    def gradients(x: Any, y: Any) -> list[Any]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            outputs = model(x, training=False)
            labels = y if isinstance(y, dict) else like_outputs(y, outputs.shape)
            value = tf.reduce_mean(loss(labels, outputs))
        found = tape.gradient(value, variables, unconnected_gradients="zero")
        return [tf.convert_to_tensor(gradient) * variable for gradient, variable in zip(found, variables, strict=True)]

    compiled = tf.function(gradients, reduce_retracing=True)
    count = min(TAYLOR_SAMPLES, len(context.x_train))
    chosen = np.sort(np.random.default_rng(context.seed).permutation(len(context.x_train))[:count])
    for start in range(0, count, TAYLOR_BATCH):
        rows = chosen[start : start + TAYLOR_BATCH]
        x, y = feed(model, context.x_train[rows]), tf.nest.map_structure(tf.constant, by_name(context.y_train[rows]))
        found: dict[str, dict[str, np.ndarray]] = {}
        for (layer, name), product in zip(weights, compiled(x, y), strict=True):
            found.setdefault(layer, {})[name] = product.numpy().astype(np.float64)
        yield found
