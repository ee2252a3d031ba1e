"""Layers that a step leaves out by their type."""

from collections.abc import Sequence

HEAD = "head"  # among the types: the last layer with a kernel


def left_out(layers: Sequence[tuple[str, str, bool]], types: Sequence[str]) -> set[str]:
    """The layers of some types, of (name, type, has a kernel) in running order."""
    found = {name for name, kind, _ in layers if kind in types}
    heads = [name for name, _, kernel in layers if kernel][-1:] if HEAD in types else []
    return found | set(heads)
