from __future__ import annotations

import dataclasses

import pytest

from litetuner.spaces.candidate import Candidate
from litetuner.spaces.errors import BuildFailed, DataError, Refused, from_json, to_json
from litetuner.spaces.steps import STEPS

PIPELINE = Candidate(
    (
        STEPS["prune"](sparsity=0.7, skip=("a", "b")),
        STEPS["cluster"](count=32, preserve_sparsity=True),
        STEPS["qat"](preserve_sparsity=True, preserve_clusters=True),
        STEPS["int8"](),
        STEPS["slim"](),
    )
)


def test_labels_are_short_and_details_name_the_rest() -> None:
    assert PIPELINE.label == "prune0.7[-2]+cluster32+pcqat+int8"
    assert PIPELINE.details == ["prune: a stays dense", "prune: b stays dense"]
    assert Candidate((STEPS["float32"](), STEPS["ptq"](), STEPS["slim"]())).label == "ptq_static_wi8_ai8"


def test_json_both_ways_and_equal_keys() -> None:
    again = Candidate.from_json(PIPELINE.to_json())
    assert again == PIPELINE and hash(again) == hash(PIPELINE) and again.key == PIPELINE.key
    other = dataclasses.replace(PIPELINE.steps[0], sparsity=0.8)
    assert Candidate((other, *PIPELINE.steps[1:])).key != PIPELINE.key


def test_prefix_and_deployment() -> None:
    assert [step.name for step in PIPELINE.prefix.steps] == ["prune", "cluster", "qat"]
    assert [step.name for step in PIPELINE.deployment] == ["int8", "slim"]


@pytest.mark.parametrize(
    ("record", "hint"), [({"step": "prunne"}, "prune"), ({"step": "prune", "sparsitty": 1}, "sparsity")]
)
def test_unknown_names_suggest_the_nearest(record: dict[str, object], hint: str) -> None:
    with pytest.raises(Refused, match=f"did you mean '{hint}'"):
        Candidate.from_json([record])


def test_errors_cross_a_process_boundary_with_their_type() -> None:
    assert type(from_json(to_json(DataError("x")))) is DataError
    foreign = from_json({"type": "ZeroDivisionError", "message": "by zero"})
    assert type(foreign) is BuildFailed and "ZeroDivisionError: by zero" in str(foreign)
