"""The space: what can be chosen, as a small tree of conditional choices that ends in a candidate.

Which choices there are is declared by the steps; the space asks them in the order of the pipeline.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from litetuner.spaces.candidate import Candidate
from litetuner.spaces.choices import Choices, Chooser
from litetuner.spaces.constraints import SpaceConstraints
from litetuner.spaces.reconstruction.allocation.statistics import Statistics
from litetuner.spaces.step import Role, Stage, Step
from litetuner.spaces.steps import step_for, steps_of

DISTILL = (0.0, 0.5, 1.0)
# Times as long as other trainings: a model that lost channels has much to learn again, and is faster by then.
RECOVERY_EPOCHS = 4.0


@dataclasses.dataclass(frozen=True)
class ScriptedChoices:
    """Chooses by a script, and the first option where the script is silent. Used for baselines and recipes."""

    script: Mapping[str, Any]

    def one_of(self, name: str, options: Sequence[str]) -> str:
        wanted = self.script.get(name, options[0])
        return wanted if wanted in options else options[0]

    def level(self, name: str, options: Sequence[Any]) -> Any:
        wanted = self.script.get(name, options[0])
        return min(options, key=lambda option: abs(option - wanted))


def _place(step: Step) -> tuple[int, int]:
    """Where a step stands; trainings and reshaping come in order already."""
    return step.stage, step.order if step.stage is Stage.REWRITE else 0


@dataclasses.dataclass(frozen=True)
class Space:
    """All candidates for one model. ``ranking`` lists weighted layers, the most sensitive to low precision first."""

    around: SpaceConstraints
    ranking: tuple[str, ...]
    epochs: tuple[float, ...] = (1.0,)
    learning_rates: tuple[float, ...] = (1e-4, 3e-4, 1e-3, 3e-3)
    distill: tuple[float, ...] = DISTILL
    io: tuple[str, ...] = ("float32", "int8", "uint8")
    keep_names: bool = False
    train: bool = True
    statistics: Statistics | None = None  # of the layers of the float file, once they are measured
    # A search asks thousands of times.
    _kept: dict[Any, Any] = dataclasses.field(default_factory=dict, compare=False, repr=False)

    def suggest(self, choose: Chooser) -> Candidate:
        """One candidate, by the choices of ``choose``. Only combinations that the rules allow are offered."""
        trained = self.trained(choose)
        steps = (*trained, *self._deploy(choose, trained))
        found = (*self._suggested(Stage.REWRITE, self._choices(choose), steps), *self.slimming())
        return Candidate(tuple(sorted(found, key=_place)))

    def trained(self, choose: Chooser) -> tuple[Step, ...]:
        """The part of a candidate before it is converted, which several deployments can share."""
        if not self.train or self.around.model.bridge_refusal is not None:
            return ()
        if self.around.has_training_data:
            return self._train(choose)
        return self._suggested(Stage.TRAIN, self._choices(choose), ())  # in one shot

    def slimming(self) -> tuple[Step, ...]:
        """The rewrite that every candidate but the baseline ends with."""
        return (step_for(Role.SLIM)(keep_names=self.keep_names),)  # type: ignore[call-arg]

    def deployments(self) -> tuple[str, ...]:
        """The deployments of a trained model that requires none, by name; always the same ones in a run, as Optuna wants."""
        return tuple(self._deployments(self._choices(ScriptedChoices({}))))

    def folds(self) -> bool:
        """Is there a batch normalization behind a layer that it may be folded into?"""
        return self._choices(ScriptedChoices({})).folds()

    def sums(self) -> bool:
        """Does the model add tensors up, so that several layers must agree on their width?"""
        return any(layer.type in ("Add", "TFOpLambda", "AddV2") for layer in self.around.model.layers)

    def _choices(self, choose: Chooser) -> Choices:
        return Choices(choose, self.around, self.ranking, self.io, cache=self._kept, statistics=self.statistics)

    def _suggested(self, stage: Stage, choices: Choices, before: tuple[Step, ...]) -> tuple[Step, ...]:
        """``before``, and the chosen steps of a stage."""
        for kind in steps_of(stage):
            before = (*before, *kind.suggest(choices, before))
        return before

    def _train(self, choose: Chooser) -> tuple[Step, ...]:
        choices = self._choices(choose)
        if not any(choices.allows(kind.name) for kind in steps_of(Stage.TRAIN)) or not choices.yes("train"):
            return ()
        given = {
            "epochs": choose.level("epochs", self.epochs),
            "learning_rate": choose.level("learning_rate", self.learning_rates),
        }
        tuning = step_for(Role.FINE_TUNE)
        tunes = choices.allows(tuning.name)
        reshaped = self._suggested(Stage.RESHAPE, choices, ()) if tunes else ()
        given["distill"] = choose.level("distill", self.distill)
        steps = self._suggested(Stage.TRAIN, dataclasses.replace(choices, given=given), reshaped)[len(reshaped) :]
        if reshaped:  # what was removed is recovered before anything else is asked of the weights
            return (*reshaped, tuning(**given | {"epochs": RECOVERY_EPOCHS * given["epochs"]}), *steps)
        return steps or ((tuning(**given),) if tunes else ())

    def _deploy(self, choose: Chooser, trained: tuple[Step, ...]) -> tuple[Step, ...]:
        choices = self._choices(choose)
        for step in trained:
            if required := step.required_deployment(choices):
                return required
        offered = self._deployments(choices)
        options = tuple(offered)
        chosen = choose.one_of("deploy", options) if len(options) > 1 else options[0]
        if offered[chosen].undoes & {step.makes for step in trained}:
            chosen = options[0]
        return offered[chosen].deploy(chosen, choices)

    def _deployments(self, choices: Choices) -> dict[str, type[Step]]:
        """The deployments by name, each with the step that offers it."""
        kinds = steps_of(Stage.CONVERT, Stage.REWRITE)
        found = {name: kind for kind in kinds for name in kind.deployments(choices)}
        if not found:
            plain = step_for(Role.FLOAT)
            return {plain.name: plain}
        return found
