"""A step: one compression technique with its knobs, and everything that other code needs to know about it."""

from __future__ import annotations

import dataclasses
import enum
import functools
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from litetuner.spaces.choices import Choices
from litetuner.spaces.constraints import SpaceConstraints
from litetuner.spaces.errors import Refused, nearest
from litetuner.spaces.jobs.record import decode, encode
from litetuner.spaces.models.layer_selection import left_out
from litetuner.spaces.reconstruction.allocation.statistics import Estimate, Statistics


class Stage(enum.IntEnum):
    """The position of a step in the pipeline; the steps of a candidate are in this order."""

    RESHAPE = 0  # changes the structure of the Keras model (structured pruning)
    TRAIN = 1  # trains (prune, cluster, quantization-aware, fine-tune); any number, ordered by the rules
    CONVERT = 2  # Keras -> .tflite; exactly one
    REWRITE = 3  # .tflite -> .tflite


class Role(enum.Enum):
    """What the search needs a particular step for. At most one step has each role."""

    FLOAT = "float conversion"  # the baseline, and the input of rewriting steps
    INTEGER = "integer conversion"
    LAYER_PRECISION = "precision by layer"  # quantizes a float file, some layers with another precision
    BY_LAYER = "treatment by layer"  # compresses a float file after training, with knobs for each layer (rung 0)
    FINE_TUNE = "fine-tuning"  # plain training
    SLIM = "slimming"  # lossless; the last step of every candidate except the baseline


@dataclasses.dataclass(frozen=True)
class Rule:
    """A rule for legal candidates: ``broken`` yields how the steps of a candidate break it, as text, or nothing."""

    name: str
    why: str
    broken: Callable[[tuple[Step, ...], SpaceConstraints], Iterable[str]]


def knob(default: Any, choices: Iterable[Any] | None = None, help: str = "") -> Any:
    """A field of a step: its default, the values that the search may choose (``None``: not searched), a help text."""
    metadata = {"choices": None if choices is None else tuple(choices), "help": help}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Step:
    """One technique. Subclasses set ``name`` and ``stage``, declare knobs as fields, and implement ``apply``.

    ``apply(subject, context)`` takes the input of its stage (a tf_keras model for RESHAPE and TRAIN, a model for
    CONVERT, ``bytes`` of a ``.tflite`` for REWRITE) and returns a new one; the subject stays bit-identical.

    Everything else has a default: override only what differs.
    """

    name: ClassVar[str]
    stage: ClassVar[Stage]
    order: ClassVar[int] = 15  # position in its stage: when the step is suggested, and for TRAIN steps when it runs
    role: ClassVar[Role | None] = None
    rules: ClassVar[tuple[Rule, ...]] = ()  # checked for candidates that contain the step
    needs_training_data: ClassVar[bool] = False
    needs_calibration: ClassVar[bool] = False
    takes_tflite: ClassVar[bool] = False  # True if the step works when the model is a finished float .tflite
    selects_layers: ClassVar[bool] = False  # does it work on some layers only? Then ``layer_refusals`` excludes others
    makes: ClassVar[str] = ""  # a property of the weights that later steps must keep: "sparsity", "clusters"
    preserves: ClassVar[Mapping[str, str]] = {}  # properties that the step keeps if a knob is set: {"sparsity": knob}
    undoes: ClassVar[frozenset[str]] = frozenset()  # properties of the weights that the step cannot keep
    in_probe: ClassVar[bool] = True  # False: an untrained probe of a candidate omits the step
    restored_by_wrapping: ClassVar[bool] = False  # True: only weights are stored, ``wrap`` builds the structure again
    changes_shapes: ClassVar[bool] = False  # True if kernels have other shapes afterwards than in the model
    removes_names: ClassVar[bool] = False  # True if its file lacks the names that identify layers
    # Knobs that were added later, with the value that records without them imply. ``to_json`` still omits these values.
    older: ClassVar[Mapping[str, Any]] = {}

    # Applying the step

    def apply(self, subject: Any, context: Any) -> Any:
        """Apply the step. See the class docstring."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it does: define apply()")

    def apply_with_notes(self, subject: Any, context: Any) -> tuple[Any, list[str]]:
        """``apply``, plus notes on the result that the trial records."""
        return self.apply(subject, context), []

    def wrap(self, model: Any, context: Any) -> Any:
        """The structure that ``apply`` returns for ``model``, without training (``restored_by_wrapping``)."""
        raise NotImplementedError(f"{type(self).__name__} is restored by wrapping: define wrap()")

    # Descriptions

    def label(self) -> str:
        """The step's part of the candidate label; empty to omit it."""
        return self.name

    def label_with(self, deployment: str) -> str | None:
        """The joint label of this training and the deployment that it requires; ``None``: each has its own part."""
        return None

    def details(self) -> list[str]:
        """What the label omits, as text (skipped layers, precisions that differ)."""
        return []

    def notes(self, model: Any) -> list[str]:
        """Where the step treats this model differently from what its label says, as text. The trial records it."""
        return []

    def _refuse_unknown(self, what: str, value: str, known: Iterable[str], ending: str = "") -> None:
        """Raise ``Refused`` for an unknown knob value; the message names the closest known value."""
        if value not in known:
            raise Refused(f"{self.name}: there is no {what} {value!r}{nearest(value, known)}{ending}")

    def _refuse_unknown_layers(self, names: Iterable[str], model: Any, purpose: str = "to skip") -> None:
        """Raise ``Refused`` for a layer that the tf_keras model does not have; the message names the closest layer."""
        known = [layer.name for layer in model.layers]
        for name in names:
            if name not in known:
                raise Refused(f"{self.name}: there is no layer {name!r} {purpose}{nearest(name, known)}")

    # Choices of the search

    @classmethod
    def suggest(cls, choices: Choices, before: tuple[Step, ...]) -> tuple[Step, ...]:
        """The step with chosen knobs, or nothing. ``before`` are the steps of the candidate so far.

        The default chooses whether to use the step, then a value for every knob that has ``choices``. Conversions are
        chosen by ``deployments`` instead.
        """
        if cls.stage is Stage.CONVERT or not cls.allowed(choices) or not choices.yes(cls.name):
            return ()
        return (cls.chosen(choices, before),)

    @classmethod
    def allowed(cls, choices: Choices) -> bool:
        """True if the user, the model and the data allow the step."""
        around = choices.constraints
        able = not cls.selects_layers or bool(choices.able(cls.name))
        data = around.has_training_data or not cls.needs_training_data
        data = data and (around.can_calibrate or not cls.needs_calibration)
        convertible = cls.takes_tflite or around.model.source != "tflite"
        return choices.allows(cls.name) and convertible and data and able

    @classmethod
    def chosen(cls, choices: Choices, before: tuple[Step, ...]) -> Step:
        """The step with a choice for each knob that has choices and is not given.

        It preserves what earlier steps made.
        """
        made = {step.makes for step in before}
        keeps = {name: what in made for what, name in cls.preserves.items()}
        knobs: dict[str, Any] = {}
        for field in dataclasses.fields(cls):
            options = field.metadata.get("choices")
            if field.name in keeps or field.name in choices.given:
                knobs[field.name] = (keeps if field.name in keeps else choices.given)[field.name]
            elif options:
                knobs[field.name] = choices.knob(f"{cls.name}.{field.name}", options)
        return cls(**knobs)

    @classmethod
    def deployments(cls, choices: Choices) -> tuple[str, ...]:
        """The names of the deployments that end in this step; the same throughout a run, as Optuna requires."""
        converts = cls.stage is Stage.CONVERT and not choices.constraints.precision  # converters ignore layers
        return (cls.name,) if converts and cls.allowed(choices) else ()

    @classmethod
    def deploy(cls, deployment: str, choices: Choices) -> tuple[Step, ...]:
        """The steps of one of the ``deployments``."""
        return (cls.chosen(choices, ()),)

    @classmethod
    def script(cls, treatments: Mapping[str, tuple[int, float]] | None = None) -> dict[str, Any]:
        """Choices that select this deployment (``Role.BY_LAYER``).

        ``treatments`` gives (number of values, sparsity) by layer. Without it, the treatments are left open and chosen
        by group.
        """
        raise NotImplementedError(f"{cls.__name__} does not treat layers: define script()")

    @classmethod
    def computing_in_float(cls) -> dict[str, Any]:
        """Choices for a file of this deployment (``Role.BY_LAYER``) with float32 arithmetic; empty if it has none."""
        return {}

    def script_by_group(self, statistics: Statistics) -> dict[str, Any] | None:
        """The choices by group of layers that are closest to this step's treatments; ``None`` if there are none."""
        return None

    def estimated(self, statistics: Statistics) -> Estimate | None:
        """Error, bytes and types of the file, estimated from statistics of the float layers; ``None``: impossible."""
        return None

    def required_deployment(self, choices: Choices) -> tuple[Step, ...]:
        """The only deployment that keeps the result of this training; empty if any deployment does."""
        return ()

    @classmethod
    def trained_choices(cls, solved: Mapping[str, Any]) -> dict[str, Any] | None:
        """The choices for a training that starts from a solution found without training.

        ``solved`` are the knobs of that solution. Choices that are not named stay open. ``None``: it cannot be trained.
        """
        return {}

    # Constraints and invariants

    @classmethod
    def layer_refusals(cls, model: Any) -> dict[str, str]:
        """The layers of a tf_keras model that the step cannot work on, each with the reason (``selects_layers``)."""
        return {}

    def invariants(self, layer_names: Sequence[str]) -> list[tuple[Any, ...]]:
        """Invariants of the finished file for the layers that the step works on: (layer, property, value).

        A property of several layers together has their names as a fourth item.
        """
        return []

    def weight_types(self, weights: Mapping[str, Any]) -> dict[str, str] | None:
        """The weight type of every layer in the file (``weights``: ``Weight`` by layer); ``None``: unchanged."""
        return None

    def precision(self, layer: str) -> str | None:
        """The precision that a layer gets; ``None``: the step does not change precisions."""
        return None

    def leaves(self, layers: Sequence[tuple[str, str, bool]]) -> set[str]:
        """The layers that the knob ``leave`` excludes. ``layers`` are (name, type, has a kernel) in execution order."""
        return left_out(layers, self.knobs().get("leave", ()))

    # Knobs

    def knobs(self) -> dict[str, Any]:
        """The knob values by name."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @classmethod
    def choices(cls, knob_name: str) -> tuple[Any, ...]:
        """The values that the search may give to a knob."""
        for field in dataclasses.fields(cls):
            if field.name == knob_name and field.metadata.get("choices"):
                return tuple(field.metadata["choices"])
        raise KeyError(f"{cls.name} has no searched knob {knob_name!r}")

    def to_json(self) -> dict[str, Any]:
        """A JSON object with the step's name and its knobs.

        Knobs in ``older`` are omitted while they have the older value, so that keys of old candidates do not change.
        """
        return dict(self._json)

    @functools.cached_property
    def _json(self) -> dict[str, Any]:
        told = {name: value for name, value in self.knobs().items() if (name, value) not in self.older.items()}
        return {"step": self.name} | encode(told)


def _frozen(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    return value


def step_from_json(record: Mapping[str, Any], known: Mapping[str, type[Step]]) -> Step:
    """The step for the output of ``Step.to_json``.

    Raises ``Refused`` for unknown steps and knobs; the message names the closest known one.
    """
    values = dict(record)
    name = values.pop("step", None)
    if not isinstance(name, str) or name not in known:
        raise Refused(f"there is no step {name!r}{nearest(str(name), known)}")
    kind = known[name]
    values = {**kind.older, **values}
    made: Any = kind  # mypy confuses the hash of a step with that of its class
    types = _knob_types(made)
    for key in values:
        if key not in types:
            raise Refused(f"step {name!r} has no knob {key!r}{nearest(key, types)}")
    return kind(**{key: _frozen(decode(types[key], value)) for key, value in values.items()})


@functools.cache
def _knob_types(kind: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}
