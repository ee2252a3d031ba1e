"""The rules: which candidates are legal, as a table with reasons in words. Checked before any work is done."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

from litetuner.spaces.candidate import Candidate
from litetuner.spaces.info import ModelInfo
from litetuner.spaces.quantization.policy import RECIPES
from litetuner.spaces.step import Stage

INTEGER_ONLY = ("int8",)  # what a quantization-aware trained model can become: its ranges are 8-bit
SPARSE_RECIPES = ("weight_only_wi8", "weight_only_wf16")  # seen to compute the same when encoded
TECHNIQUE = {"prune": "prune", "cluster": "cluster", "qat": "qat"}


@dataclasses.dataclass(frozen=True)
class SpaceConstraints:
    """What the rules need to know besides the candidate."""

    model: ModelInfo
    has_training_data: bool
    steps: frozenset[str] | None = None  # the user's --steps, None: all
    unsupported_operators: frozenset[str] = frozenset()  # what a target cannot run; data, not code
    precision: tuple[tuple[str, str], ...] = ()  # the user's --precision: (layer, float32 | int8 | int4)


@dataclasses.dataclass(frozen=True)
class Rule:
    """One row: ``broken`` says in words how a candidate breaks it, or nothing."""

    name: str
    why: str
    broken: Callable[[Candidate, SpaceConstraints], Iterable[str]]


def _names(candidate: Candidate) -> list[str]:
    return [step.name for step in candidate.steps]


def _stages(candidate: Candidate, around: SpaceConstraints) -> Iterable[str]:
    stages = [step.stage for step in candidate.steps]
    if stages != sorted(stages):
        yield "its steps are not in the order reshape, train, convert, rewrite"
    converts = stages.count(Stage.CONVERT)
    if converts != 1:
        yield f"it has {converts} conversions, and needs exactly one"


def _once(candidate: Candidate, around: SpaceConstraints) -> Iterable[str]:
    names = _names(candidate)
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{name} stands in it {names.count(name)} times"


def _training_order(candidate: Candidate, around: SpaceConstraints) -> Iterable[str]:
    steps = candidate.of_stage(Stage.TRAIN)
    names = [step.name for step in steps]
    if names != [step.name for step in sorted(steps, key=lambda step: step.order)]:
        yield f"{' -> '.join(names)} is out of order"
    reshaped = bool(candidate.of_stage(Stage.RESHAPE))
    if "finetune" in names and len(names) > 1 and not reshaped:
        yield "finetune before another training step only costs time, since each trains by itself"
    if reshaped and not names:
        yield f"{candidate.of_stage(Stage.RESHAPE)[0].name} without a training step after it leaves a broken model"


def _preserving(candidate: Candidate, around: SpaceConstraints) -> Iterable[str]:
    names = _names(candidate)
    for step in candidate.steps:
        knobs = step.knobs()
        for knob, needed in (("preserve_sparsity", "prune"), ("preserve_clusters", "cluster")):
            if knob not in knobs:
                continue
            before = needed in names[: names.index(step.name)]
            if before and not knobs[knob]:
                yield f"{step.name} would undo what {needed} did; set {knob}"
            if knobs[knob] and not before:
                yield f"{step.name} cannot keep what {needed} never made; unset {knob}"


def _after_qat(candidate: Candidate, around: SpaceConstraints) -> Iterable[str]:
    names = _names(candidate)
    if "qat" not in names:
        return
    small = set(candidate.steps[names.index("qat")].knobs()["int4_layers"])
    if small:
        chosen = next((step.knobs() for step in candidate.steps if step.name == "ptq"), {})
        found = {name for name, precision in chosen.get("layers", ()) if precision == "int4"}
        if chosen.get("recipe") != "static_wi8_ai8" or found != small:
            yield "qat trained layers for int4, and only ptq with static_wi8_ai8 and these layers at int4 gives them that"
        return
    for step in candidate.of_stage(Stage.CONVERT):
        if step.name not in INTEGER_ONLY:
            yield f"qat -> {step.name}: the 8-bit ranges that were trained would be dropped"
        elif step.knobs()["scales"] != "channel":
            yield "qat -> int8 with scales by tensor: weights keep the scales that they were trained with; set scales of qat"
    for name in ("ptq", "sparse"):
        if name in names:
            yield f"qat -> {name}: {name} starts from a float file"


def _rewrites(candidate: Candidate, around: SpaceConstraints) -> Iterable[str]:
    names = _names(candidate)
    convert = next((step.name for step in candidate.of_stage(Stage.CONVERT)), None)
    for name, starts in (("ptq", ("float32",)), ("sparse", ("float32", "float16"))):
        if name in names and convert not in starts:
            yield f"{convert} -> {name}: {name} starts from a {' or '.join(starts)} file"
    if "sparse" in names and "prune" not in names:
        yield "sparse without prune: there are no zeros to leave out"
    if "sparse" in names and "ptq" in names:
        recipe = next(str(step.knobs()["recipe"]) for step in candidate.steps if step.name == "ptq")
        if recipe not in SPARSE_RECIPES:
            yield f"ptq {recipe} and sparse: only what computes in float can be encoded ({', '.join(SPARSE_RECIPES)})"
        elif names.index("sparse") < names.index("ptq"):
            yield "sparse -> ptq: the quantizer reads dense weights"
    if "slim" in names and names[-1] != "slim":
        yield "slim must come last: it removes the names that other rewrites need"


def _training(candidate: Candidate, around: SpaceConstraints) -> Iterable[str]:
    for step in candidate.of_stage(Stage.RESHAPE, Stage.TRAIN):
        if around.model.bridge_refusal is not None:
            yield f"{step.name} needs a model that tf_keras can train: {around.model.bridge_refusal}"
        elif step.needs_training_data and not around.has_training_data:
            yield f"{step.name} needs training data, and there is none"


def _calibration(candidate: Candidate, around: SpaceConstraints) -> Iterable[str]:
    if not around.has_training_data:
        for step in candidate.steps:
            if step.needs_calibration:
                yield f"{step.name} needs calibration samples from training data, and there is none"


def _layers(candidate: Candidate, around: SpaceConstraints) -> Iterable[str]:
    by_name = {layer.name: layer for layer in around.model.layers}
    for step in candidate.steps:
        knobs = step.knobs()
        for name in knobs.get("skip", ()):
            if name not in by_name:
                yield f"{step.name} is to skip the layer {name!r}, which the model does not have"
        if step.name in TECHNIQUE:
            able = {layer.name for layer in around.model.layers_for(TECHNIQUE[step.name])}
            described = [(layer.name, layer.type, layer.has_kernel) for layer in around.model.layers]
            if not able - set(knobs.get("skip", ())) - step.leaves(described):
                yield f"{step.name} has no layer left that it could change"
        for name in knobs.get("int4_layers", ()):
            if name not in by_name or not (by_name[name].can("int4") and by_name[name].can("qat")):
                yield f"{step.name}: {name} cannot be trained for int4"
        for name, precision in knobs.get("layers", ()) if step.name == "ptq" else ():
            if name not in by_name:
                yield f"ptq names the layer {name!r}, which the model does not have"
            elif precision == "int4" and not by_name[name].can("int4"):
                yield f"ptq: {name} cannot take int4: {by_name[name].refusals['int4']}"


def _converted(candidate: Candidate, around: SpaceConstraints) -> Iterable[str]:
    if around.model.source == "tflite":
        for step in candidate.of_stage(Stage.CONVERT):
            if step.name != "float32":
                yield f"{step.name} converts a Keras model, and the model is a .tflite already; ptq does the like"


def _precision(candidate: Candidate, around: SpaceConstraints) -> Iterable[str]:
    if _names(candidate) == ["float32"]:  # the baseline
        return
    last = next((step for step in candidate.deployment[::-1] if step.name not in ("slim", "sparse")), None)
    knobs = {} if last is None else last.knobs()
    for name, wanted in around.precision:
        usual = RECIPES[knobs["recipe"]].weight_type if "recipe" in knobs else last.name if last else "nothing"
        found = dict(knobs.get("layers", ())).get(name, usual)
        if found != wanted:
            yield f"--precision wants {wanted} for {name}, and it would be {found}"


def _allowed(candidate: Candidate, around: SpaceConstraints) -> Iterable[str]:
    is_baseline = [step.name for step in candidate.steps] == ["float32"]  # the baseline, which every run needs
    if around.steps is not None and not is_baseline:
        for step in candidate.steps:
            if step.name not in around.steps | {"slim"} and not (
                step.name == "float32" and len(candidate.deployment) > 1
            ):
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
    Rule("after qat", "quantization-aware training fixes 8-bit ranges", _after_qat),
    Rule("rewrites", "litert-quantizer and sparse encoding work on float files; slimming removes names", _rewrites),
    Rule("training", "tfmot trains tf_keras models on training data only", _training),
    Rule("calibration", "activation ranges come from training samples, never from search or test", _calibration),
    Rule("layers", "each layer type takes what the libraries' registries say", _layers),
    Rule("converted", "a .tflite can be quantized and rewritten, not converted again", _converted),
    Rule("precision", "the user fixed the precision of these layers", _precision),
    Rule("allowed", "the user chose which steps may be tried", _allowed),
)


def broken_rules(candidate: Candidate, around: SpaceConstraints) -> list[str]:
    """Why a candidate is refused, in words; an empty list for a legal one."""
    return [f"{how} ({rule.why})" for rule in RULES for how in rule.broken(candidate, around)]
