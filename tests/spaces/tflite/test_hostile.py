"""Mutated files are read or rejected; no reader meets an index, a shape or a type that it does not expect."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from faults import mutated

from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.tflite.schema import pack_model, read_model

MUTATIONS = 2000


def test_mutations_are_read_or_rejected(tflite: Callable[..., bytes]) -> None:
    file = tflite("plain", "int8")
    found = [mutated(file, random.Random(seed)) for seed in range(MUTATIONS)]
    assert [item for item in found if item.verdict not in ("detected", "harmless")] == []
    assert {item.verdict for item in found} == {"detected", "harmless"}


@pytest.mark.parametrize("what", ["tensor", "operator code", "buffer"])
def test_what_is_not_in_the_file_is_named(tflite: Callable[..., bytes], what: str) -> None:
    model = read_model(tflite("plain", "int8"))
    graph = model.subgraphs[0]
    if what == "tensor":
        graph.operators[0].inputs = [999, *list(graph.operators[0].inputs)[1:]]
    elif what == "buffer":
        graph.tensors[0].buffer = 999
    else:
        graph.operators[0].opcodeIndex = 999
    with pytest.raises(BuildFailed, match=f"there is no {what} 999|index 999"):
        read_model(pack_model(model))
