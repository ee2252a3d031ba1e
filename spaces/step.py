"""A step: one compression technique with its knobs."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from litetuner.spaces.errors import Refused, nearest

HEAD = "head"  # among the types of layers that a step leaves out: the last layer with a kernel


class Stage(enum.IntEnum):
    """Where in the pipeline a step stands; a candidate's steps are in this order."""

    RESHAPE = 0  # changes the structure of the Keras model (structured pruning)
    TRAIN = 1  # trains (prune, cluster, quantization-aware, fine-tune); any number, ordered by the rules
    CONVERT = 2  # Keras -> .tflite; exactly one
    REWRITE = 3  # .tflite -> .tflite


def knob(default: Any, choices: Sequence[Any] | None = None, help: str = "") -> Any:
    """A field of a step: its default, the values that the search may choose from (``None``: not searched), its meaning."""
    return dataclasses.field(
        default=default, metadata={"choices": None if choices is None else tuple(choices), "help": help}
    )


@dataclasses.dataclass(frozen=True)
class Step:
    """One technique. Subclasses set ``name`` and ``stage``, declare knobs as fields, and say what ``apply`` does.

    ``apply(subject, context)`` takes what its stage works on (a tf_keras model for RESHAPE and TRAIN, a model for
    CONVERT, ``bytes`` of a ``.tflite`` for REWRITE) and returns a new one; the subject stays bit-equal.
    """

    name: ClassVar[str]
    stage: ClassVar[Stage]
    order: ClassVar[int] = 15  # among the trainings: finetune 10, prune 20, cluster 30, qat 40
    needs_training_data: ClassVar[bool] = False
    needs_calibration: ClassVar[bool] = False
    # Knobs that came later, and what was done before: what a record means that does not name them, and how it is still written.
    older: ClassVar[Mapping[str, Any]] = {}

    def label(self) -> str:
        """The step's part of a candidate's label, short and free of spaces."""
        return self.name

    def details(self) -> list[str]:
        """What the label leaves out, in words (layers that are skipped, precisions that differ)."""
        return []

    def notes(self, model: Any) -> list[str]:
        """What the step does to this model in another way than its label says, in words; a trial keeps them."""
        return []

    def invariants(self, layer_names: Sequence[str]) -> list[tuple[Any, ...]]:
        """What must hold in the final file for the layers that the step works on: (layer, property, value).

        A property of several layers together has their names as a fourth item.
        """
        return []

    def leaves(self, layers: Sequence[tuple[str, str, bool]]) -> set[str]:
        """The layers that the knob ``leave`` leaves out, of (name, type, has a kernel) in running order."""
        types = self.knobs().get("leave", ())
        found = {name for name, kind, _ in layers if kind in types}
        heads = [name for name, _, kernel in layers if kernel][-1:] if HEAD in types else []
        return found | set(heads)

    def leaves_of(self, model: Any) -> set[str]:
        """The layers of a tf_keras model that the knob ``leave`` leaves out."""
        kernels = [any(len(weight.shape) > 1 for weight in layer.weights) for layer in model.layers]
        return self.leaves(
            [(layer.name, type(layer).__name__, kernel) for layer, kernel in zip(model.layers, kernels, strict=True)]
        )

    def knobs(self) -> dict[str, Any]:
        """The knob values by name."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def to_json(self) -> dict[str, Any]:
        """A JSON object with the step's name and all knobs, but later ones that stand as before them: keys stay the same."""
        told = {
            name: value for name, value in self.knobs().items() if name not in self.older or value != self.older[name]
        }
        return {"step": self.name} | {name: _plain(value) for name, value in told.items()}

    @classmethod
    def choices(cls, knob_name: str) -> tuple[Any, ...]:
        """The values that the search may give to a knob."""
        for field in dataclasses.fields(cls):
            if field.name == knob_name and field.metadata.get("choices"):
                return tuple(field.metadata["choices"])
        raise KeyError(f"{cls.name} has no searched knob {knob_name!r}")

    def apply(self, subject: Any, context: Any) -> Any:
        """Do the step. See the class's docstring."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it does: define apply()")


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _frozen(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    return value


def step_from_json(record: Mapping[str, Any], known: Mapping[str, type[Step]]) -> Step:
    """The step that ``Step.to_json`` described; unknown names and knobs are refused with the nearest one named."""
    values = dict(record)
    name = values.pop("step", None)
    if name not in known:
        raise Refused(f"there is no step {name!r}{nearest(str(name), known)}")
    kind = known[name]
    values = {**kind.older, **values}
    fields = {field.name for field in dataclasses.fields(kind)}
    for key in values:
        if key not in fields:
            raise Refused(f"step {name!r} has no knob {key!r}{nearest(key, fields)}")
    return kind(**{key: _frozen(value) for key, value in values.items()})
