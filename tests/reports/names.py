"""Steps that are only names, the candidates made of them, and names that try to break out of wherever they are shown."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, ClassVar

from litetuner.spaces.candidate import Candidate
from litetuner.spaces.step import Stage, Step, knob

HOSTILE = "</script><script>window.hacked=1</script><img src=x onerror='window.hacked=1'>\"'`|[a](http://x)\u202e\u05d0\u05d1\u2028<!--"
LONG = HOSTILE + "x" * 10_000


@dataclasses.dataclass(frozen=True)
class Named(Step):
    """A step that is only a name with knobs."""

    name: ClassVar[str] = "named"
    stage: ClassVar[Stage] = Stage.TRAIN
    text: str = knob("int8")
    sparsity: float = knob(0.0)
    layers: tuple[str, ...] = knob(())

    def label(self) -> str:
        return self.text

    def details(self) -> list[str]:
        return [f"keeps float32: {', '.join(self.layers)}"] if self.layers else []


@dataclasses.dataclass(frozen=True)
class Prune(Named):
    name: ClassVar[str] = "prune"


@dataclasses.dataclass(frozen=True)
class Convert(Named):
    name: ClassVar[str] = "convert"
    stage: ClassVar[Stage] = Stage.CONVERT


def candidate(label: str, sparsity: float | None = None, layers: tuple[str, ...] = ()) -> Candidate:
    head, _, tail = label.rpartition("+")
    steps: tuple[Step, ...] = (Convert(text=tail, layers=layers),)
    if head:
        steps = (Prune(text=head, sparsity=sparsity or 0.0), *steps)
    return Candidate(steps)


def params_of(label: str) -> dict[str, dict[str, Any]]:
    """The choices that would have led to a label, as a study records them."""
    *trained, deploy = label.split("+")
    options: dict[str, list[Any]] = {"deploy": [deploy], "train": ["no", "yes"], "steps": [0, 1, 2, 3, 4, 5]}
    chosen: dict[str, Any] = {"deploy": deploy, "train": "yes" if trained else "no", "steps": len(trained)}
    kind = '{"name": "CategoricalDistribution", "attributes": {"choices": %s}}'
    return {n: {"chosen": v, "value": v, "distribution": kind % json.dumps(options[n])} for n, v in chosen.items()}
