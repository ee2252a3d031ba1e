"""A step: one compression technique with its knobs, and all that the rest of the code needs to know of it."""

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
    """Where in the pipeline a step stands; a candidate's steps are in this order."""

    RESHAPE = 0  # changes the structure of the Keras model (structured pruning)
    TRAIN = 1  # trains (prune, cluster, quantization-aware, fine-tune); any number, ordered by the rules
    CONVERT = 2  # Keras -> .tflite; exactly one
    REWRITE = 3  # .tflite -> .tflite


class Role(enum.Enum):
    """What the search itself needs a step for. At most one step has each role."""

    FLOAT = "float conversion"  # the baseline, and what rewriting steps start from
    INTEGER = "integer conversion"
    LAYER_PRECISION = "precision by layer"  # quantizes a float file, with another precision for some layers
    BY_LAYER = "treatment by layer"  # compresses a float file after training, with knobs for each layer (rung 0)
    FINE_TUNE = "fine-tuning"  # plain training
    SLIM = "slimming"  # lossless; the last step of every candidate but the baseline


@dataclasses.dataclass(frozen=True)
class Rule:
    """One rule of legality: ``broken`` says in words how the steps of a candidate break it, or nothing."""

    name: str
    why: str
    broken: Callable[[tuple[Step, ...], SpaceConstraints], Iterable[str]]


def knob(default: Any, choices: Iterable[Any] | None = None, help: str = "") -> Any:
    """A field of a step: its default, the values that the search may choose from (``None``: not searched), its meaning."""
    metadata = {"choices": None if choices is None else tuple(choices), "help": help}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Step:
    """One technique. Subclasses set ``name`` and ``stage``, declare knobs as fields, and say what ``apply`` does.

    ``apply(subject, context)`` takes what its stage works on (a tf_keras model for RESHAPE and TRAIN, a model for
    CONVERT, ``bytes`` of a ``.tflite`` for REWRITE) and returns a new one; the subject stays bit-equal.

    Everything else has a default: override what is different.
    """

    name: ClassVar[str]
    stage: ClassVar[Stage]
    order: ClassVar[int] = 15  # among the steps of its stage: when it is asked for, and for trainings when it is done
    role: ClassVar[Role | None] = None
    rules: ClassVar[tuple[Rule, ...]] = ()  # when it is legal; checked for candidates that have the step
    needs_training_data: ClassVar[bool] = False
    needs_calibration: ClassVar[bool] = False
    takes_tflite: ClassVar[bool] = False  # does it work where the model is a finished float .tflite?
    selects_layers: ClassVar[bool] = False  # does it work on some layers only? Then ``layer_refusals`` says on which
    makes: ClassVar[str] = ""  # a property of the weights that later steps must keep: "sparsity", "clusters"
    preserves: ClassVar[Mapping[str, str]] = {}  # properties that it keeps where a knob says so: {"sparsity": knob}
    undoes: ClassVar[frozenset[str]] = frozenset()  # properties of the weights that it cannot keep
    in_probe: ClassVar[bool] = True  # False: an untrained probe of a candidate leaves the step out
    restored_by_wrapping: ClassVar[bool] = False  # are only weights stored, and the structure made again by ``wrap``?
    changes_shapes: ClassVar[bool] = False  # have kernels other shapes than the model's afterwards?
    removes_names: ClassVar[bool] = False  # does its file lack the names that layers are found by?
    # Knobs that came later, and what was done before: what a record means that does not name them, and how it is still written.
    older: ClassVar[Mapping[str, Any]] = {}

    # What it does

    def apply(self, subject: Any, context: Any) -> Any:
        """Do the step. See the class's docstring."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it does: define apply()")

    def apply_with_notes(self, subject: Any, context: Any) -> tuple[Any, list[str]]:
        """``apply``, and what a trial should keep of how it went, in words."""
        return self.apply(subject, context), []

    def wrap(self, model: Any, context: Any) -> Any:
        """The structure that ``apply`` returns for ``model``, not fitted (``restored_by_wrapping``)."""
        raise NotImplementedError(f"{type(self).__name__} is restored by wrapping: define wrap()")

    # What is said of it

    def label(self) -> str:
        """The step's part of a candidate's label; empty where nothing is to be said."""
        return self.name

    def label_with(self, deployment: str) -> str | None:
        """The label of a training together with the deployment that it requires; ``None``: each has a part of its own."""
        return None

    def details(self) -> list[str]:
        """What the label leaves out, in words (layers that are skipped, precisions that differ)."""
        return []

    def notes(self, model: Any) -> list[str]:
        """What the step does to this model in another way than its label says, in words; a trial keeps them."""
        return []

    def _refuse_unknown(self, what: str, value: str, known: Iterable[str], ending: str = "") -> None:
        """Raise ``Refused`` for the value of a knob that is not among the known ones; the nearest is named."""
        if value not in known:
            raise Refused(f"{self.name}: there is no {what} {value!r}{nearest(value, known)}{ending}")

    def _refuse_unknown_layers(self, names: Iterable[str], model: Any, purpose: str = "to skip") -> None:
        """Raise ``Refused`` for a layer that a tf_keras model does not have; the nearest is named."""
        known = [layer.name for layer in model.layers]
        for name in names:
            if name not in known:
                raise Refused(f"{self.name}: there is no layer {name!r} {purpose}{nearest(name, known)}")

    # What the search may choose

    @classmethod
    def suggest(cls, choices: Choices, before: tuple[Step, ...]) -> tuple[Step, ...]:
        """The step with chosen knobs, or nothing. ``before`` are the candidate's steps so far.

        The default asks whether to take the step, then for every knob that names its values. Conversions are asked for by
        ``deployments`` instead.
        """
        if cls.stage is Stage.CONVERT or not cls.allowed(choices) or not choices.yes(cls.name):
            return ()
        return (cls.chosen(choices, before),)

    @classmethod
    def allowed(cls, choices: Choices) -> bool:
        """May the step be chosen: by the user, for this model, with this data?"""
        around = choices.constraints
        able = not cls.selects_layers or bool(choices.able(cls.name))
        data = around.has_training_data or not cls.needs_training_data
        data = data and (around.can_calibrate or not cls.needs_calibration)
        convertible = cls.takes_tflite or around.model.source != "tflite"
        return choices.allows(cls.name) and convertible and data and able

    @classmethod
    def chosen(cls, choices: Choices, before: tuple[Step, ...]) -> Step:
        """The step with a choice for each knob that has choices and is not given; it preserves what was made before."""
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
        """The names of the deployments that end in this step; the same ones in a whole run, as Optuna wants."""
        converts = cls.stage is Stage.CONVERT and not choices.constraints.precision  # converters know nothing of layers
        return (cls.name,) if converts and cls.allowed(choices) else ()

    @classmethod
    def deploy(cls, deployment: str, choices: Choices) -> tuple[Step, ...]:
        """The steps of one of ``deployments``."""
        return (cls.chosen(choices, ()),)

    @classmethod
    def script(cls, treatments: Mapping[str, tuple[int, float]] | None = None) -> dict[str, Any]:
        """Choices that lead to this deployment (``Role.BY_LAYER``): values and sparsity by layer, or left open by group."""
        raise NotImplementedError(f"{cls.__name__} does not treat layers: define script()")

    @classmethod
    def computing_in_float(cls) -> dict[str, Any]:
        """The choices with which this deployment's file (``Role.BY_LAYER``) computes in float32; empty where it cannot."""
        return {}

    def script_by_group(self, statistics: Statistics) -> dict[str, Any] | None:
        """The choices by group of layers that come nearest to this step's treatments; ``None`` where there are none."""
        return None

    def estimated(self, statistics: Statistics) -> Estimate | None:
        """Error, bytes and types of a file by statistics of the float file's layers; ``None`` where they do not tell."""
        return None

    def required_deployment(self, choices: Choices) -> tuple[Step, ...]:
        """The only deployment that keeps what this training made; empty where any does."""
        return ()

    @classmethod
    def trained_choices(cls, solved: Mapping[str, Any]) -> dict[str, Any] | None:
        """The choices by which this training begins with what was solved for without training, of which ``solved`` are the knobs.

        Choices that are not named stay open; ``None`` where it cannot be trained.
        """
        return {}

    # What must hold

    @classmethod
    def layer_refusals(cls, model: Any) -> dict[str, str]:
        """The layers of a tf_keras model that the step cannot work on, each with the reason (``selects_layers``)."""
        return {}

    def invariants(self, layer_names: Sequence[str]) -> list[tuple[Any, ...]]:
        """What must hold in the finished file for the layers that the step works on: (layer, property, value).

        A property of several layers together has their names as a fourth item.
        """
        return []

    def weight_types(self, weights: Mapping[str, Any]) -> dict[str, str] | None:
        """The type of every layer's weights (``Weight`` by layer) in the file; ``None``: the step leaves types as they are."""
        return None

    def precision(self, layer: str) -> str | None:
        """The precision that a layer gets; ``None``: the step leaves precisions as they are."""
        return None

    def leaves(self, layers: Sequence[tuple[str, str, bool]]) -> set[str]:
        """The layers that the knob ``leave`` leaves out, of (name, type, has a kernel) in running order."""
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
        """A JSON object with the step's name and all knobs, but later ones that stand as before them: keys stay the same."""
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
    """The step that ``Step.to_json`` described; unknown names and knobs are refused with the nearest one named."""
    values = dict(record)
    name = values.pop("step", None)
    if not isinstance(name, str) or name not in known:
        raise Refused(f"there is no step {name!r}{nearest(str(name), known)}")
    kind = known[name]
    values = {**kind.older, **values}
    made: Any = kind  # mypy takes the hash of a step for that of its class
    types = _knob_types(made)
    for key in values:
        if key not in types:
            raise Refused(f"step {name!r} has no knob {key!r}{nearest(key, types)}")
    return kind(**{key: _frozen(decode(types[key], value)) for key, value in values.items()})


@functools.cache
def _knob_types(kind: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}
