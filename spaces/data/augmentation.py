"""Random views of images in a short training: mirrored, and shifted by up to an eighth, as the baseline was often trained."""

from collections.abc import Callable

import numpy as np

from litetuner.spaces.errors import Refused

NONE = "none"
_SHIFT = 8  # the part of a side by which an image is shifted at most


def _flip(x: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    chosen = generator.random(len(x)) < 0.5
    return np.where(chosen[:, None, None, None], x[:, :, ::-1], x)


def _shift(x: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Edges are mirrored into what comes in."""
    height, width = x.shape[1:3]
    most = (height // _SHIFT, width // _SHIFT)
    padded = np.pad(x, ((0, 0), (most[0],) * 2, (most[1],) * 2, (0, 0)), mode="reflect")
    rows = generator.integers(0, 2 * most[0] + 1, len(x))[:, None] + np.arange(height)
    columns = generator.integers(0, 2 * most[1] + 1, len(x))[:, None] + np.arange(width)
    return padded[np.arange(len(x))[:, None, None], rows[:, :, None], columns[:, None, :]]


VIEWS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    NONE: lambda x, generator: x,
    "flip": _flip,
    "shift": _shift,
    "flip+shift": lambda x, generator: _shift(_flip(x, generator), generator),
}


def augmented(x: np.ndarray, kind: str, generator: np.random.Generator) -> np.ndarray:
    """Views of images ``x`` (n, height, width, channels), drawn from ``generator``. Raises ``Refused`` for other data."""
    if kind != NONE and x.ndim != 4:
        raise Refused(
            f"augmentation {kind} is for images (height, width, channels), and a sample has shape {x.shape[1:]}"
        )
    return VIEWS[kind](x, generator)
