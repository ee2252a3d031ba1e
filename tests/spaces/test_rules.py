"""The table of rules: every row is broken by some candidate, and what the space offers breaks none."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from typing import Any

import pytest

from litetuner.spaces.candidate import Candidate
from litetuner.spaces.info import UNPROVABLE, LayerInfo, ModelInfo
from litetuner.spaces.rules import SpaceConstraints, broken_rules, rules_for
from litetuner.spaces.space import ScriptedChoices, Space
from litetuner.spaces.steps import STEPS


def model(**refusals: dict[str, str]) -> ModelInfo:
    layers = tuple(
        LayerInfo(name, "Conv2D", 100, (3, 3, 2, 4), (None, 4, 4, 4), refusals.get(name, {}))
        for name in ("a", "b", "c", "d")
    )
    shapes: dict[str, Any] = {"input_shape": (None, 4, 4, 1), "output_shape": (None, 3)}
    return ModelInfo(
        "m",
        "0",
        "tf_keras",
        input_dtype="float32",
        parameters=400,
        layers=layers,
        output_activation="softmax",
        **shapes,
    )


AROUND = SpaceConstraints(model(), has_training_data=True)


def make(name: str, **knobs: Any) -> Any:
    return STEPS[name](**knobs)


BROKEN = {
    "stages": (make("int8"), make("prune")),
    "once": (make("prune"), make("prune"), make("int8")),
    "training order": (make("cluster"), make("prune"), make("int8")),
    "preserving": (make("prune"), make("cluster"), make("int8")),
    "after qat": (make("qat"), make("float16")),
    "fine-tuning": (make("finetune"), make("prune"), make("int8")),
    "int4 layers": (make("qat", int4_layers=("nowhere",)), make("float32"), make("ptq", layers=(("nowhere", "int4"),))),
    "slimming": (make("float32"), make("slim"), make("ptq")),
    "quantizer": (make("float16"), make("ptq")),
    "precisions": (make("float32"), make("ptq", layers=(("nowhere", "int4"),))),
    "sparse encoding": (make("float32"), make("sparse")),
    "layers": (make("prune", skip=("nowhere",)), make("int8")),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_row_refuses_with_its_reason(name: str) -> None:
    candidate = Candidate(BROKEN[name])
    (rule,) = [rule for rule in rules_for(candidate) if rule.name == name]
    found = broken_rules(candidate, AROUND)
    assert any(rule.why in reason for reason in found), found


def test_what_data_model_and_user_do_not_allow_is_refused() -> None:
    trained = Candidate((make("prune"), make("int8")))
    assert not broken_rules(trained, AROUND)
    without = dataclasses.replace(AROUND, has_training_data=False)
    assert any("training data" in reason for reason in broken_rules(trained, without))
    assert any("calibration" in reason for reason in broken_rules(Candidate((make("int8"),)), without))
    assert not broken_rules(Candidate((make("float16"),)), without)
    closed = dataclasses.replace(AROUND, model=dataclasses.replace(model(), bridge_refusal="layer x is custom"))
    assert any("layer x is custom" in reason for reason in broken_rules(trained, closed))
    chosen = dataclasses.replace(AROUND, steps=frozenset({"int8"}))
    assert any("--steps" in reason for reason in broken_rules(trained, chosen))


def test_a_layer_that_cannot_take_int4_is_named() -> None:
    around = dataclasses.replace(AROUND, model=model(b={"int4": "there is no kernel"}))
    found = broken_rules(Candidate((make("float32"), make("ptq", layers=(("b", "int4"),)))), around)
    assert any("b cannot take int4: there is no kernel" in reason for reason in found)


def test_layers_that_were_trained_for_int4_become_int4() -> None:
    trained = make("qat", int4_layers=("a", "b"))
    whole = (("a", "int4"), ("b", "int4"))
    assert not broken_rules(Candidate((trained, make("float32"), make("ptq", layers=whole))), AROUND)
    for deployment in ((make("int8"),), (make("float32"), make("ptq", layers=whole[:1]))):
        found = broken_rules(Candidate((trained, *deployment)), AROUND)
        assert any("trained layers for int4" in reason for reason in found)
    around = dataclasses.replace(AROUND, model=model(b={"int4": "there is no kernel"}))
    assert any("b cannot be trained for int4" in reason for reason in broken_rules(Candidate((trained,)), around))


def test_trained_scales_are_kept() -> None:
    found = broken_rules(Candidate((make("qat"), make("int8", scales="tensor"))), AROUND)
    assert any("set scales of qat" in reason for reason in found)


def test_without_training_data_zeros_and_clusters_come_in_one_shot() -> None:
    space = Space(dataclasses.replace(AROUND, has_training_data=False), ranking=("c", "a", "b", "d"))
    candidate = space.suggest(ScriptedChoices({"prune": "once", "prune.spread": "erk", "cluster": "once"}))
    assert candidate.label == "prune 30% + cluster 8 + float32"
    assert not broken_rules(candidate, space.around)


def test_folded_networks_are_trained_gently() -> None:
    layers = []
    for layer in model().layers:
        normal = dataclasses.replace(layer, name=f"{layer.name}_bn", type="BatchNormalization", kernel_shape=(4,))
        layers += [layer, normal]
    around = dataclasses.replace(AROUND, model=dataclasses.replace(model(), layers=tuple(layers)))
    script = {"train": "yes", "learning_rate": 1e-3, "prune": "constant", "cluster": "linear", "qat": "all"}
    for fold, rate in (("no", 1e-3), ("yes", 1e-3 / 32)):
        steps = Space(around, ranking=()).suggest(ScriptedChoices(script | {"cluster.fold": fold})).prefix.steps
        assert [step.name for step in steps] == ["prune", "cluster", "qat"]
        assert [step.knobs()["learning_rate"] for step in steps] == [1e-3, rate, rate]


def test_spreads_by_layer_stand_in_the_candidate() -> None:
    """Four equal layers, of which the last is the head: the more sensitive a layer, the fewer zeros."""
    space = Space(AROUND, ranking=("c", "a", "b", "d"))
    script = {"train": "yes", "prune": "constant", "prune.sparsity": 0.5, "prune.spread": "sensitivity"}
    targets = dict(space.suggest(ScriptedChoices(script)).steps[0].knobs()["targets"])
    assert targets["c"] < targets["a"] < targets["b"] and "d" not in targets
    assert sum(targets.values()) / 3 == pytest.approx(0.5, abs=1e-3)


@dataclasses.dataclass
class Dice:
    generator: random.Random

    def one_of(self, name: str, options: Sequence[str]) -> str:
        return self.generator.choice(list(options))

    def level(self, name: str, options: Sequence[Any]) -> Any:
        return self.generator.choice(list(options))


@pytest.mark.parametrize(
    "around",
    [
        AROUND,
        dataclasses.replace(AROUND, has_training_data=False),
        dataclasses.replace(
            AROUND, model=model(a={"qat": "no", "int4": "no"}, b={"prune": UNPROVABLE, "cluster": "no"})
        ),
        dataclasses.replace(AROUND, steps=frozenset({"prune", "int8"})),
        dataclasses.replace(AROUND, model=dataclasses.replace(model(), bridge_refusal="custom")),
    ],
)
def test_what_the_space_offers_is_legal(around: SpaceConstraints) -> None:
    space = Space(around, ranking=("c", "a", "b", "d"))
    dice = Dice(random.Random(1))
    candidates = {space.suggest(dice) for _ in range(400)}
    assert len(candidates) > 3
    for candidate in candidates:
        assert broken_rules(candidate, around) == [], candidate.label


def test_mixed_precision_follows_the_ranking() -> None:
    space = Space(dataclasses.replace(AROUND, model=model(d={"int4": "no"})), ranking=("c", "a", "b", "d"))
    candidate = space.suggest(ScriptedChoices({"deploy": "mixed", "mixed.float32": 1, "mixed.int4": 1.0}))
    assert dict(candidate.steps[1].knobs()["layers"]) == {"c": "float32", "a": "int4", "b": "int4"}


def test_layers_that_cannot_be_proved_are_skipped_by_name() -> None:
    space = Space(dataclasses.replace(AROUND, model=model(b={"prune": UNPROVABLE})), ranking=("c", "a", "b", "d"))
    candidate = space.suggest(ScriptedChoices({"train": "yes", "prune": "constant", "prune.skip": 1}))
    assert candidate.steps[0].knobs()["skip"] == ("b", "c")
    assert any("b stays dense" in line for line in candidate.details)
