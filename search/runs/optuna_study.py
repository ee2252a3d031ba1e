"""The interface to Optuna: an in-memory study that the sampler works on.

The study is filled from the records. A copy in a database follows it.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from litetuner.search.front import Objective
from litetuner.search.proposals.samplers import SAMPLERS
from litetuner.search.proposals.seeds import derive
from litetuner.search.runs.databases.study_copy import SamplersOwn, StudyCopy
from litetuner.search.runs.optuna_trials import (
    Asked,
    final_state,
    running_trial,
    told_constraints,
    told_trial,
    told_values,
)
from litetuner.search.trial import Trial
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.step import Stage

NAME = "litetuner"


class ChoiceRecorder:
    """A ``Chooser`` that asks another one, and records every choice with its Optuna parameter and distribution."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.params: dict[str, dict[str, Any]] = {}

    def one_of(self, name: str, options: Sequence[str]) -> str:
        from optuna.distributions import CategoricalDistribution

        chosen: str = self.inner.one_of(name, options)
        self._keep(name, chosen, chosen, CategoricalDistribution(tuple(options)))
        return chosen

    def level(self, name: str, options: Sequence[Any]) -> Any:
        from optuna.distributions import IntDistribution

        chosen = self.inner.level(name, options)
        self._keep(name, chosen, list(options).index(chosen), IntDistribution(0, len(options) - 1))
        return chosen

    def _keep(self, name: str, chosen: Any, value: Any, distribution: Any) -> None:
        from optuna.distributions import distribution_to_json

        self.params[name] = {"chosen": chosen, "value": value, "distribution": distribution_to_json(distribution)}


@dataclasses.dataclass(frozen=True)
class OptunaChoices:
    """A ``Chooser`` that lets an Optuna trial decide. Ordered options become integers, which keeps their order."""

    trial: Any

    def one_of(self, name: str, options: Sequence[str]) -> str:
        chosen: str = self.trial.suggest_categorical(name, tuple(options))
        return chosen

    def level(self, name: str, options: Sequence[Any]) -> Any:
        return options[self.trial.suggest_int(name, 0, len(options) - 1)]


class Study:
    """One Optuna study, used by one thread. ``trials`` are all trials of the run, without gaps in their numbers."""

    def __init__(
        self,
        objectives: Sequence[Objective],
        sampler: str,
        seed: int,
        trials: Sequence[Trial] = (),
        copy: StudyCopy | None = None,
    ) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._optuna = optuna
        self._sampler = SAMPLERS[sampler]()
        self._seed = seed
        self._copy = copy
        self.guided = self._sampler.guided
        self.objectives = tuple(objectives)
        self._storage = optuna.storages.InMemoryStorage()
        directions = [objective.direction for objective in objectives]
        self._study = optuna.create_study(study_name=NAME, storage=self._storage, directions=directions)
        self._study_id: int = self._storage.get_study_id_from_name(NAME)
        own = SamplersOwn() if copy is None else copy.samplers_own()
        for name, value in own.study.items():
            self._storage.set_study_system_attr(self._study_id, name, value)
        for trial in trials:
            self._study.add_trial(told_trial(trial, objectives, system_attrs=own.trials.get(trial.number, {})))

    def ask(self, suggest: Callable[[Any], Candidate], told: int, *, at_random: bool = False) -> Asked:
        """Let the sampler suggest a candidate.

        The seed depends only on the root seed and ``told`` (the number of completed and running trials), so a resumed
        search continues as if it had not been interrupted.
        """
        sampler = SAMPLERS["random"]() if at_random else self._sampler
        self._study.sampler = sampler.make(derive(self._seed, told))
        trial = self._study.ask()
        recorder = ChoiceRecorder(OptunaChoices(trial))
        return self._begun(Asked(trial.number, suggest(recorder), "sampler", recorder.params))

    def enqueue(
        self, suggest: Callable[[Any], Candidate], script: Any, origin: str, candidate: Candidate | None = None
    ) -> Asked:
        """Start a trial with the choices of ``script``. If given, ``candidate`` replaces the one that they describe."""
        recorder = ChoiceRecorder(script)
        suggested = suggest(recorder)
        if candidate is not None and candidate.of_stage(Stage.CONVERT) != suggested.of_stage(Stage.CONVERT):
            recorder = ChoiceRecorder(script)  # the choices describe another candidate: record none
        asked = Asked(0, candidate or suggested, origin, recorder.params)
        # The storage returns the number of the new trial without reading all others.
        number = self._storage.get_trial_number_from_id(
            self._storage.create_new_trial(self._study_id, running_trial(asked))
        )
        return self._begun(dataclasses.replace(asked, number=number))

    def _begun(self, asked: Asked) -> Asked:
        if self._copy is not None:
            own = dict(self._storage.get_trial_system_attrs(self._id(asked.number)))
            study = dict(self._storage.get_study_system_attrs(self._study_id))
            self._copy.begin(asked, SamplersOwn(study, {asked.number: own}))
        return asked

    def settle(self) -> None:
        """Wait until the copy has all asked trials: it must show what was in flight if the search is killed later."""
        if self._copy is not None:
            self._copy.settle()

    def tell(self, trial: Trial) -> None:
        """Tell Optuna the result of a running trial. See the table of states in docs/development/decisions.md."""
        handle = self._optuna.trial.Trial(self._study, self._id(trial.number))
        for name, value in told_constraints(trial).items():
            handle.set_constraint(name, value)
        values = told_values(trial, self.objectives)
        self._study.tell(trial.number, values, state=final_state(trial, values is not None))
        if self._copy is not None:
            self._copy.tell(trial)

    def _id(self, number: int) -> int:
        found: int = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)
        return found
