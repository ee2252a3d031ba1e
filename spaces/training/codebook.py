"""Codebooks: the few distinct values of a clustered kernel, which are restored if training has moved them apart."""

from typing import Any

import numpy as np

from litetuner.spaces.tf import load

CENTROIDS = "cluster_centroids_tf"  # part of the names of tfmot's variables and of its quantizers' entries


def to_codebook(values: np.ndarray, count: int) -> np.ndarray:
    """``values`` with at most ``count`` distinct ones, by merging neighbors: the rarer takes the value of the other.

    The pair whose merge causes the least squared error is merged first. Zero stays zero.
    """
    found, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    held = np.where(found == 0, np.inf, counts)  # zero counts as the most frequent value, so it is never replaced
    target, alive = np.arange(found.size), list(range(found.size))
    while len(alive) > count:
        left, right = np.array(alive[:-1]), np.array(alive[1:])
        at = int(np.argmin((found[right] - found[left]) ** 2 * np.minimum(held[left], held[right])))
        goes, stays = int(left[at]), int(right[at])
        if held[goes] > held[stays]:
            goes, stays = stays, goes
        target[target == goes] = stays
        held[stays] += held[goes]
        alive.remove(goes)
    return found[target][inverse].reshape(values.shape).astype(values.dtype)


def begin_with_values(wrapped: Any) -> None:
    """Initialize the centroids of tfmot's clustering wrappers with the values of their kernels. Zeros stay in place."""
    tf = load()
    for wrapper in wrapped.layers:
        for name, centroids in getattr(wrapper, "cluster_centroids", {}).items():
            kernel = wrapper.original_clusterable_weights[name].numpy()
            values = np.unique(to_codebook(kernel, centroids.shape[0]))
            centroids.assign(np.pad(values, (0, centroids.shape[0] - values.size), mode="edge"))
            if wrapper.preserve_sparsity:  # when it was built, the wrapper computed them from its own centroids
                wrapper.sparsity_masks[name] = tf.constant(kernel != 0, tf.float32)
                wrapper.zero_idx[name] = tf.argmin(tf.abs(centroids), axis=-1)


def snap_kernels(trained: Any, start: Any) -> None:
    """Round each clustered kernel in tfmot's quantize wrappers to its integer grid.

    It gets no more distinct values than in ``start``, per channel or, with one scale, in the whole kernel. tfmot trains
    the values of each channel separately, so values of one cluster may be rounded to different integers.
    """
    for wrapper in trained.layers:
        for kernel, quantizer, variables in getattr(wrapper, "_weight_vars", ()):
            if CENTROIDS not in variables:
                continue
            before = next(v.numpy() for v in start.get_layer(wrapper.layer.name).weights if v.shape == kernel.shape)
            top = 2 ** (quantizer.num_bits - 1) - 1
            steps = np.maximum(np.abs(variables["min_var"].numpy()), np.abs(variables["max_var"].numpy())) / top
            steps = np.where(steps > 0, steps, 1.0).astype(np.float64)
            grid = np.clip(np.rint(kernel.numpy() / steps), -top, top)
            most = max(np.unique(channel).size for channel in np.moveaxis(before, -1, 0))
            channels = [to_codebook(channel, most) for channel in np.moveaxis(grid, -1, 0)]
            snapped = np.moveaxis(np.stack(channels), 0, -1)
            if steps.size == 1:
                snapped = to_codebook(snapped, np.unique(before).size)
            kernel.assign((snapped * steps).astype(np.float32))
