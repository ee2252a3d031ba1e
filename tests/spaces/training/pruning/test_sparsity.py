"""Zeros spread over layers add up, masks keep the largest, and what cannot become faster is told why."""

from __future__ import annotations

import math

import numpy as np
import pytest

from litetuner.spaces.training.pruning.sparsity import (
    MOST,
    by_magnitude,
    by_rank,
    erk,
    smallest,
    why_not_faster,
)

SHAPES = {"stem": (3, 3, 3, 16), "wide": (3, 3, 64, 64), "point": (1, 1, 64, 128), "out": (128, 10)}
SIZES = {name: math.prod(shape) for name, shape in SHAPES.items()}


def whole(shares: dict[str, float]) -> float:
    return sum(share * SIZES[name] for name, share in shares.items()) / sum(SIZES.values())


@pytest.mark.parametrize("sparsity", [0.3, 0.5, 0.8, 0.95])
def test_the_whole_is_what_was_asked(sparsity: float) -> None:
    generator = np.random.default_rng(0)
    kernels = {name: generator.normal(size=shape) * 0.5**index for index, (name, shape) in enumerate(SHAPES.items())}
    for shares in (
        erk(SHAPES, sparsity),
        by_rank(SHAPES, ("out", "stem"), sparsity),
        by_magnitude(kernels, sparsity),
    ):
        assert whole(shares) == pytest.approx(sparsity, abs=2e-3)
        assert all(0 <= share <= MOST for share in shares.values())


def test_large_insensitive_and_quiet_layers_lose_more() -> None:
    shares = erk(SHAPES, 0.9)
    assert shares["wide"] > shares["point"] > shares["stem"] > shares["out"] == 0
    ranked = by_rank(SHAPES, ("stem", "point", "wide", "out"), 0.5)
    assert ranked["stem"] < ranked["point"] < ranked["wide"] < ranked["out"]
    quiet = by_magnitude(
        {
            "loud": np.full((10, 10), 9.0) + np.arange(100.0).reshape(10, 10),
            "quiet": np.arange(100.0).reshape(10, 10) / 100,
        },
        0.4,
    )
    assert quiet == {"loud": 0.0, "quiet": 0.8}


def test_masks() -> None:
    values = np.array([[3.0, -1.0], [0.5, 2.0], [4.0, -0.1], [-5.0, 0.2], [1.0, 7.0]])
    np.testing.assert_array_equal(smallest(values, 0.8), [[0, 0], [0, 0], [0, 0], [1, 0], [0, 1]])


def test_when_zeros_save_time() -> None:
    stem = ("Conv2D", (3, 3, 3, 32), 2, 0.0)
    point = ("Conv2D", (1, 1, 32, 64), 1, 0.7)
    assert why_not_faster([stem, ("DepthwiseConv2D", (3, 3, 32, 1), 1, 0.0), point]) == []
    assert why_not_faster([stem, (*point[:3], 0.5)]) == ["no 1x1 convolution has two thirds zeros (the most is 50%)"]
    assert why_not_faster([("Conv2D", (3, 3, 3, 16), 1, 0.0), ("Conv2D", (3, 3, 16, 16), 1, 0.9)]) == [
        "the first layer is no 3x3 convolution of stride 2",
        "it has no 1x1 convolutions",
        "1 convolutions behind the first are not 1x1",
    ]
