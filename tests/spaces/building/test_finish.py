"""What finishing does to a converted file: the baseline stays as the user's model is, all others lose dead channels."""

from __future__ import annotations

import numpy as np
import pytest

from litetuner.spaces.building.finish import _rewrite
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.context import Context
from litetuner.spaces.steps.float32 import Float32
from litetuner.spaces.steps.slim import Slim
from tests.spaces.channels.tflite.test_dead import SAMPLES, converted, widths


@pytest.fixture(scope="module")
def file() -> bytes:
    """Two convolutions, of which the first has four dead filters of eight."""
    return converted(
        lambda layers, x: layers.Conv2D(2, 3, name="last")(layers.Conv2D(8, 3, activation="relu", name="first")(x)),
        {"first": (1, 3, 5, 7)},
        {"first": -1.0},
    )


def test_dead_channels_go_but_for_the_baseline(file: bytes) -> None:
    context = Context(SAMPLES, np.zeros(0), SAMPLES, "", 8, seed=0)
    baseline, _, notes = _rewrite(Candidate((Float32(),)), file, context)
    assert baseline == file and not notes
    slim, _, notes = _rewrite(Candidate((Float32(), Slim())), file, context)
    assert widths(slim) == [4, 2]
    assert any("4 of 10 filters removed" in note for note in notes)
