"""Image augmentation for short trainings: random flips, and random shifts by up to an eighth of each side."""

from collections.abc import Callable

import numpy as np

from litetuner.spaces.errors import Refused

NONE = "none"
_SHIFT = 8  # an image is shifted by at most 1 / _SHIFT of each side


def _flip(x: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    chosen = generator.random(len(x)) < 0.5
    return np.where(chosen[:, None, None, None], x[:, :, ::-1], x)


def _shift(x: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Shift at random; the edges are filled by reflection."""
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
    """Randomly changed images ``x`` (n, height, width, channels). Raises ``Refused`` for other data."""
    if kind != NONE and x.ndim != 4:
        raise Refused(
            f"augmentation {kind} is for images (height, width, channels), and a sample has shape {x.shape[1:]}"
        )
    return VIEWS[kind](x, generator)
