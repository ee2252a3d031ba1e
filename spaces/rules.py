"""The rules: which candidates are legal, with the reasons as text. They are checked before a candidate is built.

This module has the rules for all steps; rules for one technique are in its step (``Step.rules``).
"""

from collections.abc import Iterable

from litetuner.spaces.candidate import Candidate
from litetuner.spaces.constraints import SpaceConstraints as SpaceConstraints
from litetuner.spaces.step import Role, Rule, Stage, Step
from litetuner.spaces.steps import STEPS

Steps = tuple[Step, ...]


def _of(steps: Steps, *stages: Stage) -> Steps:
    return tuple(step for step in steps if step.stage in stages)


def _stages(steps: Steps, around: SpaceConstraints) -> Iterable[str]:
    stages = [step.stage for step in steps]
    if stages != sorted(stages):
        yield "its steps are not in the order reshape, train, convert, rewrite"
    converts = stages.count(Stage.CONVERT)
    if converts != 1:
        yield f"it has {converts} conversions, and needs exactly one"


def _once(steps: Steps, around: SpaceConstraints) -> Iterable[str]:
    names = [step.name for step in steps]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{name} stands in it {names.count(name)} times"


def _training_order(steps: Steps, around: SpaceConstraints) -> Iterable[str]:
    trainings = _of(steps, Stage.TRAIN)
    if [step.order for step in trainings] != sorted(step.order for step in trainings):
        yield f"{' -> '.join(step.name for step in trainings)} is out of order"
    reshaped = _of(steps, Stage.RESHAPE)
    if reshaped and not trainings:
        yield f"{reshaped[0].name} without a training step after it leaves a broken model"


def _preserving(steps: Steps, around: SpaceConstraints) -> Iterable[str]:
    for at, step in enumerate(steps):
        for made, knob in step.preserves.items():
            makers = [before.name for before in steps[:at] if before.makes == made]
            keeps = step.knobs()[knob]
            if makers and not keeps:
                yield f"{step.name} would undo what {makers[0]} did; set {knob}"
            if keeps and not makers:
                usual = next((name for name, kind in STEPS.items() if kind.makes == made), "an earlier step")
                yield f"{step.name} cannot keep what {usual} never made; unset {knob}"


def _training(steps: Steps, around: SpaceConstraints) -> Iterable[str]:
    for step in _of(steps, Stage.RESHAPE, Stage.TRAIN):
        if around.model.bridge_refusal is not None:
            yield f"{step.name} needs a model that tf_keras can train: {around.model.bridge_refusal}"
        elif step.needs_training_data and not around.has_training_data:
            yield f"{step.name} needs training data, and there is none"


def _calibration(steps: Steps, around: SpaceConstraints) -> Iterable[str]:
    if not around.can_calibrate:
        for step in steps:
            if step.needs_calibration:
                yield f"{step.name} needs calibration samples from training data, and there is none"


def _layers(steps: Steps, around: SpaceConstraints) -> Iterable[str]:
    names = {layer.name for layer in around.model.layers}
    for step in steps:
        skipped = step.knobs().get("skip", ())
        for name in skipped:
            if name not in names:
                yield f"{step.name} is to skip the layer {name!r}, which the model does not have"
        if step.selects_layers:
            able = {layer.name for layer in around.model.layers_for(step.name)}
            described = [(layer.name, layer.type, layer.has_kernel) for layer in around.model.layers]
            if not able - set(skipped) - step.leaves(described):
                yield f"{step.name} has no layer left that it could change"


def _converted(steps: Steps, around: SpaceConstraints) -> Iterable[str]:
    if around.model.source == "tflite":
        for step in _of(steps, Stage.CONVERT):
            if not step.takes_tflite:
                instead = [kind.name for kind in STEPS.values() if kind.role is Role.LAYER_PRECISION]
                hint = f"; {instead[0]} does the like" if instead else ""
                yield f"{step.name} converts a Keras model, and the model is a .tflite already{hint}"


def _precision(steps: Steps, around: SpaceConstraints) -> Iterable[str]:
    if Candidate(steps).is_baseline:
        return
    for name, wanted in around.precision:
        found = [kind for step in steps if (kind := step.precision(name)) is not None][-1:]
        if found != [wanted]:
            yield f"--precision wants {wanted} for {name}, and it would be {found[0] if found else 'nothing'}"


def _allowed(steps: Steps, around: SpaceConstraints) -> Iterable[str]:
    if around.steps is None or Candidate(steps).is_baseline:  # every run needs the baseline
        return
    rewritten = len(_of(steps, Stage.CONVERT, Stage.REWRITE)) > 1
    for step in steps:
        needed = step.role is Role.SLIM or (step.role is Role.FLOAT and rewritten)
        if step.name not in around.steps and not needed:
            yield f"{step.name} is not among --steps {','.join(sorted(around.steps))}"


RULES: tuple[Rule, ...] = (
    Rule("stages", "a model is reshaped, trained, converted and rewritten, in this order", _stages),
    Rule("once", "a technique that is done twice costs twice and says less than one with other knobs", _once),
    Rule(
        "training order",
        "pruning decides what is clustered, and quantization-aware training must come last",
        _training_order,
    ),
    Rule(
        "preserving",
        "a later step must keep the zeros and clusters of an earlier one (tfmot's collaborative schemes)",
        _preserving,
    ),
    Rule("training", "tfmot trains tf_keras models on training data only", _training),
    Rule("calibration", "activation ranges come from training samples, never from search or test", _calibration),
    Rule("layers", "each layer type takes what the libraries' registries say", _layers),
    Rule("converted", "a .tflite can be quantized and rewritten, not converted again", _converted),
    Rule("precision", "the user fixed the precision of these layers", _precision),
    Rule("allowed", "the user chose which steps may be tried", _allowed),
)


def rules_for(candidate: Candidate) -> tuple[Rule, ...]:
    """The general rules, followed by those of the candidate's steps."""
    own = [rule for step in dict.fromkeys(type(step) for step in candidate.steps) for rule in step.rules]
    return (*RULES, *own)


def broken_rules(candidate: Candidate, around: SpaceConstraints) -> list[str]:
    """The reasons why a candidate is rejected, as text; an empty list for a legal candidate."""
    return [f"{how} ({rule.why})" for rule in rules_for(candidate) for how in rule.broken(candidate.steps, around)]
