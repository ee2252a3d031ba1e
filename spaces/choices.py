"""Steps that the space knows nothing of are offered by what they declare: their stage, their order, their knobs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from litetuner.spaces.step import Stage, Step
from litetuner.spaces.steps import STEPS

# What the space composes by hand, because choices depend on each other.
_NAMES = "channels finetune prune cluster qat float32 float16 dynamic int8 int16x8 ptq sparse slim"
COMPOSED = frozenset(_NAMES.split())


class Chooser(Protocol):
    """Who decides: a sampler, a script, a random generator."""

    def one_of(self, name: str, options: Sequence[str]) -> str:
        """One of unordered options."""

    def level(self, name: str, options: Sequence[Any]) -> Any:
        """One of ordered options."""


def others(stage: Stage, may: Callable[[str], bool]) -> list[str]:
    """The names of the steps of a stage that the space does not compose by hand, and that the user allows."""
    return [name for name, kind in STEPS.items() if kind.stage is stage and name not in COMPOSED and may(name)]


def offer(
    choose: Chooser, stage: Stage, may: Callable[[str], bool], given: Mapping[str, Any] | None = None
) -> Iterator[Step]:
    """Each of the others, if chosen, with its knobs; those in ``given`` (epochs, learning rate) are set and not asked for."""
    for name in others(stage, may):
        if choose.one_of(name, ("no", "yes")) != "no":
            yield make(choose, name, given or {})


def make(choose: Chooser, name: str, given: Mapping[str, Any]) -> Step:
    """A step with a choice for each knob that has choices."""
    knobs: dict[str, Any] = {}
    for field in dataclasses.fields(STEPS[name]):
        options = field.metadata.get("choices")
        if field.name in given:
            knobs[field.name] = given[field.name]
        elif options:
            knobs[field.name] = _choice(choose, f"{name}.{field.name}", options)
    return STEPS[name](**knobs)


def _choice(choose: Chooser, name: str, options: Sequence[Any]) -> Any:
    """Numbers are levels, everything else is one of several."""
    if all(isinstance(option, int | float) and not isinstance(option, bool) for option in options):
        return choose.level(name, options)
    by_text = {str(option): option for option in options}
    return by_text[choose.one_of(name, tuple(by_text))]
