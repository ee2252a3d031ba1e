"""Which channels to keep: ratio and multiple give the width of each group, which keeps its most important channels."""

import math
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

from litetuner.spaces.channels.cost import ChannelCost
from litetuner.spaces.channels.numbering import Group

SPREADS = ("even", "inner", "sensitivity")
# A group may lose at most this many times the ratio. Without a limit, one layer of ResNet8 lost 56 of 64 channels, and
# fine-tuning could not recover the accuracy.
MOST = 2.0


class Grouped(Protocol):
    """The groups of channels, and the channel id of each number (``roots``)."""

    @property
    def groups(self) -> tuple[Group, ...]: ...

    @property
    def roots(self) -> np.ndarray: ...


def choose(
    graph: Grouped, scores: np.ndarray, ratio: float, multiple: int, spread: str, cost: Callable[[], ChannelCost]
) -> np.ndarray:
    """The channels to keep, as a mask by channel id. ``scores`` are importances by channel id; ``cost`` counts MACs.

    ``even`` prunes the share ``ratio`` of each group that can be pruned. ``inner`` prunes only groups that a single
    layer creates: channels that are added up, as between the blocks of a residual network, keep their width.
    ``sensitivity`` prunes as many MACs as ``even``, but where the least importance is lost (``cheapest``).
    """
    even = np.ones(len(graph.roots), dtype=bool)
    for group in _free(graph):
        if spread == "inner" and len(group.layers) > 1:
            continue
        width = remaining_width(len(group.channels), ratio, _multiple(group, multiple))
        even[worst_first(group, scores)[: len(group.channels) - width]] = False
    if spread != "sensitivity":
        return even
    counted = cost()
    return cheapest(graph, scores, min(1.0, MOST * ratio), multiple, counted, counted.total(even))


def cheapest(
    graph: Grouped, scores: np.ndarray, most: float, multiple: int, cost: ChannelCost, goal: float
) -> np.ndarray:
    """The channels to keep, as a mask by channel id, so that at most ``goal`` MACs remain, or as few as possible.

    The group that loses the least importance for each saved MAC always loses the next ``multiple`` channels. No group
    loses more than the share ``most``, rounded up to a multiple.
    """
    least = {
        id(group): remaining_width(len(group.channels), most, _multiple(group, multiple)) for group in _free(graph)
    }
    kept = np.ones(len(graph.roots), dtype=bool)
    groups = list(_free(graph))
    order = {id(group): worst_first(group, scores) for group in groups}
    parts = {id(group): cost.of(group.channels) for group in groups}
    total = cost.total(kept)
    while total > goal:
        best: tuple[float, int, np.ndarray] | None = None
        for group in groups:
            left, some = int(kept[group.channels].sum()), _multiple(group, multiple)
            going = order[id(group)][len(group.channels) - left :][: (left % some) or some]
            if left - len(going) < least[id(group)]:
                continue
            before = parts[id(group)].total(kept)
            kept[going] = False
            saved = before - parts[id(group)].total(kept)
            kept[going] = True
            price = float(scores[going].sum()) / saved if saved else math.inf
            if best is None or price < best[0]:
                best = (price, saved, going)
        if best is None:
            break
        kept[best[2]] = False
        total -= best[1]
    return kept


def remaining_width(width: int, ratio: float, multiple: int) -> int:
    """How many of ``width`` channels stay: at most 1 - ``ratio`` of them, a whole multiple, and at least one multiple.

    The number is rounded down, because kernels take as long for 33 channels as for 40. A width below ``multiple`` does
    not change.
    """
    asked = math.floor(width * (1 - ratio) + 1e-9)
    return min(width, max(multiple, asked - asked % multiple))


def too_narrow(graph: Grouped, ratio: float, multiple: int) -> Iterator[Group]:
    """The groups that are not pinned but too narrow to lose channels."""
    for group in _free(graph):
        width = len(group.channels)
        if remaining_width(width, ratio, _multiple(group, multiple)) == width:
            yield group


def _free(graph: Grouped) -> Iterator[Group]:
    return (group for group in graph.groups if group.pinned is None)


def _multiple(group: Group, multiple: int) -> int:
    return 1 if group.heads else multiple


def worst_first(group: Group, scores: np.ndarray) -> np.ndarray:
    # Of channels with equal scores, the later one goes first, so that the order is deterministic.
    order: np.ndarray = group.channels[np.argsort(-scores[group.channels], kind="stable")[::-1]]
    return order
