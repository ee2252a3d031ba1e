"""Layer names as the user knows them, and kernels as text."""

import re
from collections.abc import Collection, Sequence

PATH = re.compile(r"[^\s:,;]+(?:/[^\s:,;]+)+")
BY_LAYER = re.compile(r"\w+: (?P<layer>[^:]+): (?P<text>.+)")


def layer_name(text: str, known: Collection[str]) -> str:
    """The layer in a tensor's name, else the name itself.

    It is ``conv2d_1`` for ``sequential/conv2d_1/BiasAdd/ReadVariableOp`` if the model has such a layer.
    """
    found = [] if text in known else [part for part in re.split(r"[/;]", text) if part in known]
    return found[-1] if found else text


def with_layer_names(text: str, known: Collection[str]) -> str:
    """A sentence in which tensor names are replaced by the names of their layers."""
    return PATH.sub(lambda match: layer_name(match[0], known), text) if "/" in text else text


def split_by_layer(lines: Sequence[str], known: Collection[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Lines such as ``reconstruct: dense: prune 70%`` as (layer, text), and all other lines."""
    by_layer, others = [], []
    for line in (with_layer_names(line, known) for line in lines):
        found = BY_LAYER.fullmatch(line)
        if found is not None and found["layer"] in known:
            by_layer.append((found["layer"], found["text"]))
        else:
            others.append(line)
    return by_layer, others


def kernel_words(operator: str, shape: Sequence[int]) -> str:
    """A kernel as text: ``3×3 convolution, 16 to 32 channels``. Other operators are shown with their weights' shape."""
    sizes = tuple(shape)
    if operator == "CONV_2D" and len(sizes) == 4:
        return f"{sizes[1]}×{sizes[2]} convolution, {sizes[3]} to {sizes[0]} channels"
    if operator == "DEPTHWISE_CONV_2D" and len(sizes) == 4:
        return f"{sizes[1]}×{sizes[2]} depthwise convolution, {sizes[3]} channels"
    if operator == "FULLY_CONNECTED" and len(sizes) == 2:
        return f"dense, {sizes[1]} to {sizes[0]}"
    return f"{operator.lower().replace('_', ' ')} {'×'.join(map(str, sizes))}"
