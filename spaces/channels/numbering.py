"""Channels by number: which are tied together, which cannot be pruned, and which layers create them."""

import dataclasses

import numpy as np


class OpaqueError(Exception):
    """The reason why channels cannot be followed through a layer; ``trace`` pins all its inputs and outputs."""


@dataclasses.dataclass(frozen=True)
class Group:
    """Channels (roots of tied numbers, in order) that the same layers create.

    ``pinned`` is the reason why they cannot be pruned, or ``None``. ``heads``: they are attention heads, of which any
    number may stay.
    """

    layers: tuple[str, ...]
    channels: np.ndarray
    pinned: str | None
    heads: bool = False


class ChannelNumbers:
    """Channels by number, which are created, tied and pinned while the graph is traversed; a union-find structure."""

    def __init__(self) -> None:
        self._parents: list[int] = []
        self._makers: list[str] = []
        self._pins: list[tuple[np.ndarray, str]] = []
        self._heads: set[int] = set()

    def __len__(self) -> int:
        return len(self._parents)

    def make(self, count: int, maker: str) -> np.ndarray:
        """``count`` new numbers for the layer ``maker``."""
        first = len(self._parents)
        self._parents += range(first, first + count)
        self._makers += [maker] * count
        return np.arange(first, first + count)

    def make_heads(self, count: int, maker: str) -> np.ndarray:
        """``count`` new numbers for the heads of the attention layer ``maker``."""
        heads = self.make(count, f"{maker} (heads)")
        self._heads |= set(heads.tolist())
        return heads

    def tie(self, left: np.ndarray, right: np.ndarray) -> None:
        """Tie the numbers at the same positions: they are kept or pruned together."""
        for one, other in zip(left.tolist(), right.tolist(), strict=True):
            a, b = self._root(one), self._root(other)
            self._parents[max(a, b)] = min(a, b)  # the smallest is the root, so that groups keep the order of channels

    def pin(self, numbers: np.ndarray, reason: str, foremost: bool = False) -> None:
        """Never prune these numbers. The first reason is reported, unless a later one is ``foremost``."""
        self._pins.insert(0 if foremost else len(self._pins), (numbers, reason))

    def roots(self) -> np.ndarray:
        """The root of every number."""
        return np.array([self._root(number) for number in range(len(self._parents))], dtype=np.int64)

    def groups(self, roots: np.ndarray) -> tuple[Group, ...]:
        """All channels, grouped by the layers that create them. One pinned channel pins its whole group."""
        makers: dict[int, list[str]] = {}
        for root, maker in zip(roots.tolist(), self._makers, strict=True):
            makers.setdefault(root, []).append(maker)
        reasons: dict[int, str] = {}
        for numbers, reason in self._pins:
            for root in np.unique(roots[numbers]).tolist():
                reasons.setdefault(root, reason)
        alike: dict[tuple[str, ...], list[int]] = {}
        for root, names in makers.items():
            alike.setdefault(tuple(names), []).append(root)
        return tuple(
            Group(
                tuple(dict.fromkeys(names)),
                np.array(members),
                next((reasons[root] for root in members if root in reasons), None),
                members[0] in self._heads,
            )
            for names, members in alike.items()
        )

    def _root(self, number: int) -> int:
        parents = self._parents
        while parents[number] != number:
            parents[number] = parents[parents[number]]
            number = parents[number]
        return number
