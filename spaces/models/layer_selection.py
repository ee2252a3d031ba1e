"""Layers that a step leaves out because of their type."""

from collections.abc import Sequence

HEAD = "head"  # special layer type: the last layer with a kernel


def left_out(layers: Sequence[tuple[str, str, bool]], types: Sequence[str]) -> set[str]:
    """The layers with one of the given types; ``layers`` are (name, type, has a kernel) in execution order."""
    found = {name for name, kind, _ in layers if kind in types}
    heads = [name for name, _, kernel in layers if kernel][-1:] if HEAD in types else []
    return found | set(heads)
