from __future__ import annotations

import dataclasses
from typing import Any

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
    assert PIPELINE.label == "prune 70% + cluster 32 + QAT int8"
    assert PIPELINE.details == ["prune: a stays dense", "prune: b stays dense"]
    assert PIPELINE.id == PIPELINE.key[:6]


@pytest.mark.parametrize(
    ("steps", "label"),
    [
        ((STEPS["float32"](),), "float32"),
        ((STEPS["float32"](), STEPS["ptq"](), STEPS["slim"]()), "int8"),
        ((STEPS["float32"](), STEPS["ptq"](granularity="tensor", algorithm="mse")), "int8 per-tensor"),
        ((STEPS["float32"](), STEPS["ptq"](layers=(("a", "int4"),))), "int8 mixed"),
        ((STEPS["float32"](), STEPS["ptq"](recipe="weight_only_wi4")), "weight-only int4"),
        ((STEPS["float32"](), STEPS["ptq"](recipe="static_wi8_ai16")), "int16x8"),
        ((STEPS["int8"](scales="tensor", io="int8", calibration=50),), "int8 per-tensor"),
        ((STEPS["dynamic"](),), "dynamic int8"),
        ((STEPS["channels"](), STEPS["finetune"](), STEPS["int8"]()), "channels -50% + int8"),
        (
            (STEPS["channels"](ratio=0.125), STEPS["qat"](scales="tensor"), STEPS["int8"]()),
            "channels -12.5% + QAT int8 per-tensor",
        ),
        ((STEPS["finetune"](), STEPS["float16"](), STEPS["slim"](keep_names=True)), "fine-tune + float16"),
        ((STEPS["prune"](epochs=0.0), STEPS["float32"](), STEPS["sparse"]()), "prune 50% + float32 + sparse"),
        (
            (STEPS["qat"](int4_layers=("a",)), STEPS["float32"](), STEPS["ptq"](layers=(("a", "int4"),))),
            "QAT int8 mixed",
        ),
    ],
)
def test_labels(steps: tuple[Any, ...], label: str) -> None:
    assert Candidate(steps).label == label


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
