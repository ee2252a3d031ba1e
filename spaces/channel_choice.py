"""Which channels stay: widths by ratio and multiple, the most important channels of each group."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from litetuner.spaces.channel_atoms import Group
from litetuner.spaces.channel_groups import ChannelGraph
from litetuner.spaces.channel_rules import KERNELS
from litetuner.spaces.channel_surgery import named_weights

IMPORTANCES = ("l1", "l2", "norm")


def choose(graph: ChannelGraph, ratio: float, importance: str, multiple: int) -> np.ndarray:
    """True by channel id for what stays, when the share ``ratio`` of each group goes that can be cut.

    ``importance`` is the sum, over the layers that make a channel, of the L1 or L2 norm of its slice of the kernel (Li et al.
    2017, arXiv:1608.08710), or of the absolute scales of its batch normalizations ("norm"; Liu et al. 2017,
    arXiv:1708.06519), which falls back to L1 in groups that have none.
    """
    scores = {name: _scores(graph, name) for name in {importance, "l1"}}
    kept = np.ones(len(graph.roots), dtype=bool)
    for group in graph.groups:
        width = remaining_width(len(group.channels), ratio, multiple)
        if group.pinned is None and width < len(group.channels):
            ranks = scores[importance][group.channels]
            if np.isnan(ranks).any():
                ranks = scores["l1"][group.channels]
            order = np.argsort(-ranks, kind="stable")
            kept[group.channels[order[width:]]] = False
    return kept


def remaining_width(width: int, ratio: float, multiple: int) -> int:
    """How many of ``width`` channels stay: at most the share 1 - ``ratio``, in whole multiples, and at least one multiple.

    Rounded down, because kernels take as long for 33 channels as for 40. A width below the multiple stays as it is.
    """
    asked = math.floor(width * (1 - ratio) + 1e-9)
    return min(width, max(multiple, asked - asked % multiple))


def too_narrow(graph: ChannelGraph, ratio: float, multiple: int) -> Iterator[Group]:
    """The groups that could be cut but are not wide enough for it."""
    for group in graph.groups:
        if group.pinned is None and remaining_width(len(group.channels), ratio, multiple) == len(group.channels):
            yield group


def _scores(graph: ChannelGraph, importance: str) -> np.ndarray:
    """Importance by channel id. For "norm", NaN where a channel goes through no batch normalization with a scale."""
    found = np.zeros(len(graph.roots))
    seen = np.zeros(len(graph.roots), dtype=bool)
    for call in graph.layers().values():
        kernels = KERNELS.get(type(call.layer).__name__)
        if kernels is None or not call.understood:
            continue
        for name, value in named_weights(call.layer):
            if importance == "norm" and name == "gamma":
                slices = np.abs(value).reshape(-1, 1)
            elif importance != "norm" and kernels.made_by is not None and kernels.made_by[0] == name:
                last = [value.ndim - axis for axis in kernels.made_by[1]]
                moved = np.moveaxis(value, last, range(-len(last), 0))
                slices = moved.reshape(-1, len(call.output)).T
            else:
                continue
            order = 2 if importance == "l2" else 1
            channels = graph.roots[call.output]
            np.add.at(found, channels, np.linalg.norm(slices.astype(np.float64), ord=order, axis=1))
            seen[channels] = True
    if importance == "norm":
        found[~seen] = np.nan
    return found
