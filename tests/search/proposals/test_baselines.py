"""Baselines: the float model first, whatever the space offers."""

from __future__ import annotations

import dataclasses

from litetuner.search.history import History
from litetuner.search.proposals import baselines, sampler
from litetuner.search.proposals.proposal import Spaces
from tests.search.made_up import SPACE, SPACES, told, trial


def test_the_float_model_comes_first_then_int8_then_none() -> None:
    first = baselines.propose(History(), SPACES, 0)
    assert first is not None and first.candidate == baselines.BASELINE
    second = baselines.propose(told(), SPACES, 0)
    assert second is not None and second.candidate is not None and "int8" in second.candidate.label
    assert baselines.propose(told(trial(1, 0.0, deploy="int8")), SPACES, 0) is None


def test_a_space_without_float32_still_has_the_float_baseline() -> None:
    small = dataclasses.replace(SPACE, around=dataclasses.replace(SPACE.around, steps=frozenset({"float16", "slim"})))
    found = baselines.propose(History(), Spaces(small, small), 0)
    assert found is not None and found.candidate == baselines.BASELINE
    assert baselines.propose(told(), Spaces(small, small), 0) is None, "the space offers no int8"


def test_the_sampler_chooses_later_and_trains_short_where_promotions_help_it() -> None:
    found, alone = sampler.propose(told(), SPACES, 0), sampler.propose_any_length(told(), SPACES, 0)
    assert found is not None and found.candidate is None and found.script is None
    assert found.space.epochs == SPACE.epochs[:1]
    assert alone is not None and alone.space.epochs == SPACE.epochs
