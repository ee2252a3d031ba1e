"""The search space: a small tree of conditional choices that ends in a candidate.

The steps declare the choices. The space goes through the steps in pipeline order.
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
# Factor for the epochs of fine-tuning after channels were pruned: such a model needs more training, and trains faster.
RECOVERY_EPOCHS = 4.0


@dataclasses.dataclass(frozen=True)
class ScriptedChoices:
    """Makes the choices of a script, and takes the first option for all others. Used for baselines and recipes."""

    script: Mapping[str, Any]

    def one_of(self, name: str, options: Sequence[str]) -> str:
        wanted = self.script.get(name, options[0])
        return wanted if wanted in options else options[0]

    def level(self, name: str, options: Sequence[Any]) -> Any:
        wanted = self.script.get(name, options[0])
        return min(options, key=lambda option: abs(option - wanted))


def _place(step: Step) -> tuple[int, int]:
    """Sort key of a step. TRAIN and RESHAPE steps are in order already."""
    return step.stage, step.order if step.stage is Stage.REWRITE else 0


@dataclasses.dataclass(frozen=True)
class Space:
    """All candidates for one model.

    ``ranking`` lists the layers with weights, the most sensitive to low precision first.
    """

    around: SpaceConstraints
    ranking: tuple[str, ...]
    epochs: tuple[float, ...] = (1.0,)
    learning_rates: tuple[float, ...] = (1e-4, 3e-4, 1e-3, 3e-3)
    distill: tuple[float, ...] = DISTILL
    io: tuple[str, ...] = ("float32", "int8", "uint8")
    keep_names: bool = False
    train: bool = True
    statistics: Statistics | None = None  # of the layers of the float file, after they were measured
    # Cache for ``Choices``: a search makes thousands of calls.
    _kept: dict[Any, Any] = dataclasses.field(default_factory=dict, compare=False, repr=False)

    def suggest(self, choose: Chooser) -> Candidate:
        """One candidate, with the choices made by ``choose``. Only combinations that the rules allow are offered."""
        trained = self.trained(choose)
        steps = (*trained, *self._deploy(choose, trained))
        found = (*self._suggested(Stage.REWRITE, self._choices(choose), steps), *self.slimming())
        return Candidate(tuple(sorted(found, key=_place)))

    def trained(self, choose: Chooser) -> tuple[Step, ...]:
        """The part of a candidate before the conversion, which several deployments can share."""
        if not self.train or self.around.model.bridge_refusal is not None:
            return ()
        if self.around.has_training_data:
            return self._train(choose)
        return self._suggested(Stage.TRAIN, self._choices(choose), ())  # in one shot, without training data

    def slimming(self) -> tuple[Step, ...]:
        """The rewrite at the end of every candidate except the baseline."""
        return (step_for(Role.SLIM)(keep_names=self.keep_names),)  # type: ignore[call-arg]

    def deployments(self) -> tuple[str, ...]:
        """The names of the deployments, for models whose training requires none.

        They are the same throughout a run, as Optuna requires.
        """
        return tuple(self._deployments(self._choices(ScriptedChoices({}))))

    def folds(self) -> bool:
        """True if a batch normalization follows a layer that it can be folded into."""
        return self._choices(ScriptedChoices({})).folds()

    def sums(self) -> bool:
        """True if the model adds tensors, so that several layers must have the same width."""
        return any(layer.type in ("Add", "TFOpLambda", "AddV2") for layer in self.around.model.layers)

    def _choices(self, choose: Chooser) -> Choices:
        return Choices(choose, self.around, self.ranking, self.io, cache=self._kept, statistics=self.statistics)

    def _suggested(self, stage: Stage, choices: Choices, before: tuple[Step, ...]) -> tuple[Step, ...]:
        """``before``, followed by the chosen steps of a stage."""
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
        if reshaped:  # recover the accuracy before other techniques change the weights
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
        """The deployments by name, with the step class that offers each."""
        kinds = steps_of(Stage.CONVERT, Stage.REWRITE)
        found = {name: kind for kind in kinds for name in kind.deployments(choices)}
        if not found:
            plain = step_for(Role.FLOAT)
            return {plain.name: plain}
        return found
