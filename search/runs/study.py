"""The seam to Optuna: ask under a lock, tell once, reload. Our records are the truth; a study can be made again from them."""

import dataclasses
import functools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import filelock

from litetuner.search.config.budgets import Budget
from litetuner.search.front import Objective
from litetuner.search.proposals.samplers import SAMPLERS
from litetuner.search.runs.database import open_database
from litetuner.search.runs.folder import RunFolder
from litetuner.search.seeds import derive
from litetuner.search.trial import State, Trial
from litetuner.spaces.candidate import Candidate, digest
from litetuner.spaces.errors import RunError
from litetuner.spaces.step import Stage

UNKNOWN_VIOLATION = 1.0  # told where a trial was stopped before any budget could be compared


@dataclasses.dataclass(frozen=True)
class Asked:
    """A trial that runs: its number in the study, the candidate, and the choices that led to it."""

    number: int
    candidate: Candidate
    origin: str
    params: dict[str, dict[str, Any]]


class ChoiceRecorder:
    """A ``Chooser`` that asks another one and keeps every choice with its Optuna parameter and distribution."""

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
    """A ``Chooser`` that lets an Optuna trial decide; ordered options are integers, so that order means something."""

    trial: Any

    def one_of(self, name: str, options: Sequence[str]) -> str:
        chosen: str = self.trial.suggest_categorical(name, tuple(options))
        return chosen

    def level(self, name: str, options: Sequence[Any]) -> Any:
        return options[self.trial.suggest_int(name, 0, len(options) - 1)]


class Study:
    """One Optuna study for one set of objectives and budgets. Other sets open other studies in the same database."""

    def __init__(
        self, folder: RunFolder, objectives: Sequence[Objective], budgets: Sequence[Budget], sampler: str, seed: int
    ) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._optuna = optuna
        self._sampler = SAMPLERS[sampler]()
        self._seed = seed
        self.guided = self._sampler.guided
        self.objectives = tuple(objectives)
        self._lock = filelock.FileLock(folder.path / ".ask.lock")
        terms = [[o.measurement, o.direction] for o in objectives] + [[b.name, b.limit, b.sense] for b in budgets]
        self.name = f"litetuner-{digest(terms)}"
        self._run = folder.id
        self._database = open_database(folder)
        self._storage = storage = self._database.storage
        try:
            self._study = optuna.create_study(
                study_name=self.name,
                storage=storage,
                directions=[objective.direction for objective in objectives],
                load_if_exists=True,
            )
            self._study_id: int = storage.get_study_id_from_name(self.name)
            if not self.numbers():
                self._study.set_user_attr("run", self._run)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the database; else its files stay open for as long as this process lives."""
        self._database.close()

    def running(self) -> list[int]:
        """Numbers of trials that were asked for and never told."""
        return [trial.number for trial in self._trials() if not trial.state.is_finished()]

    def numbers(self) -> set[int]:
        return {trial.number for trial in self._trials()}

    def asked(self) -> dict[int, tuple[Asked | None, bool]]:
        """What each trial in the study is about (``None`` when the search died before it was written down), and has it ended?"""
        found = {}
        for trial in self._trials():
            proposal = json.loads(trial.user_attrs.get("proposal", "null"))
            known = proposal and Asked(
                trial.number, Candidate.from_json(proposal["candidate"]), proposal["origin"], proposal["params"]
            )
            found[trial.number] = (known, trial.state.is_finished())
        return found

    def difference(self, trials: Sequence[Trial]) -> str:
        """Does the study tell the same as the records, as far as it goes? Where it does not, what is different; else nothing."""
        if self._study.user_attrs.get("run") != self._run:
            return "belongs to another run"
        if [str(direction.name).lower() for direction in self._study.directions] != [
            o.direction for o in self.objectives
        ]:
            return "has other directions than the run"
        records = {trial.number: self._frozen(trial) for trial in trials}
        for theirs in self._trials():
            ours = records.get(theirs.number)
            if ours is None:
                continue
            same = (
                "params",
                "distributions",
                *(("state", "values", "constraints") if theirs.state.is_finished() else ()),
            )
            proposals = [
                json.loads(side.user_attrs["proposal"]) for side in (ours, theirs) if "proposal" in side.user_attrs
            ]
            if any(getattr(ours, name) != getattr(theirs, name) for name in same) or proposals[0] != proposals[-1]:
                return f"differs from the record of trial {theirs.number}"
        return ""

    def _trials(self) -> list[Any]:
        return list(self._study.get_trials(deepcopy=False))

    def ask(self, suggest: Callable[[Any], Candidate], told: int, *, at_random: bool = False) -> Asked:
        """Let the sampler propose. The seed is of (root seed, trials told), so a resumed search goes on as if undisturbed."""
        sampler = SAMPLERS["random"]() if at_random else self._sampler
        with self._lock:
            self._study.sampler = sampler.make(derive(self._seed, told))
            trial = self._study.ask()
        recorder = ChoiceRecorder(OptunaChoices(trial))
        candidate = suggest(recorder)
        self._set(trial.number, "proposal", _proposal(candidate, "sampler", recorder.params))
        return Asked(trial.number, candidate, "sampler", recorder.params)

    def enqueue(
        self, suggest: Callable[[Any], Candidate], script: Any, origin: str, candidate: Candidate | None = None
    ) -> Asked:
        """Start a trial whose choices are given by ``script``; ``candidate`` replaces what the choices lead to."""
        recorder = ChoiceRecorder(script)
        suggested = suggest(recorder)
        if candidate is not None and candidate.of_stage(Stage.CONVERT) != suggested.of_stage(Stage.CONVERT):
            recorder = ChoiceRecorder(script)  # choices that lead elsewhere say nothing of this candidate
        proposal = json.dumps(_proposal(candidate or suggested, origin, recorder.params))
        running = self._optuna.trial.TrialState.RUNNING
        frozen = frozen_params(recorder.params, state=running, user_attrs={"proposal": proposal})
        with self._lock:  # the storage tells the new trial's number without reading all others
            number = self._storage.get_trial_number_from_id(self._storage.create_new_trial(self._study_id, frozen))
        return Asked(number, candidate or suggested, origin, recorder.params)

    def tell(self, trial: Trial) -> None:
        """Tell what became of a running trial: the table of states in docs/decisions.md."""
        handle = self._optuna.trial.Trial(self._study, self._id(trial.number))
        for name, value in told_constraints(trial).items():
            handle.set_constraint(name, value)
        self._set(trial.number, "outcome", _outcome(trial))
        self._study.tell(trial.number, self._values(trial), state=final_state(trial, trial.state.scored))

    def refill(self, trials: Sequence[Trial]) -> None:
        """Tell the study all that it does not know: what still runs in it, and what is new to it, numbers unchanged."""
        known, running = self.numbers(), set(self.running())
        for trial in sorted(trials, key=lambda item: item.number):
            if trial.number in running:
                self.tell(trial)
            elif trial.number not in known:
                self._study.add_trial(self._frozen(trial))

    def _frozen(self, trial: Trial) -> Any:
        told = {"proposal": _proposal(trial.candidate, trial.origin, trial.params), "outcome": _outcome(trial)}
        return frozen_trial(
            trial,
            state=final_state(trial, trial.state.scored),
            values=self._values(trial),
            constraints=told_constraints(trial),
            user_attrs={name: json.dumps(value) for name, value in told.items()},
        )

    def _values(self, trial: Trial) -> list[float] | None:
        if not trial.state.scored:
            return None
        for objective in self.objectives:
            if objective.measurement not in trial.measurements:
                raise ValueError(f"trial {trial.number} was scored without {objective.measurement}")
        return [trial.measurements[objective.measurement].value for objective in self.objectives]

    def _set(self, number: int, name: str, value: dict[str, Any]) -> None:
        self._storage.set_trial_user_attr(self._id(number), name, json.dumps(value))

    def _id(self, number: int) -> int:
        trial_id: int = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)
        return trial_id


def frozen_trial(trial: Trial, **told: Any) -> Any:
    """A trial of Optuna's with the choices of a record. Raises ``RunError`` for choices that Optuna cannot read."""
    try:
        return frozen_params(trial.params, **told)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        why = f"{type(error).__name__}: {str(error)[:200]}"
        raise RunError(f"the choices in the record of trial {trial.number} cannot be read ({why})") from error


def frozen_params(params: Mapping[str, Mapping[str, Any]], **told: Any) -> Any:
    """A trial of Optuna's, by choices (``Trial.params``)."""
    import optuna

    values = {name: entry["value"] for name, entry in params.items()}
    distributions = {name: _distribution(entry["distribution"]) for name, entry in params.items()}
    return optuna.trial.create_trial(params=values, distributions=distributions, **told)


@functools.cache
def _distribution(text: str) -> Any:
    from optuna.distributions import json_to_distribution

    return json_to_distribution(text)


def told_constraints(trial: Trial) -> dict[str, float]:
    if trial.state is State.LOST:
        return {}
    if trial.state.scored or any(value > 0 for value in trial.constraints.values()):
        return trial.constraints
    return trial.constraints | {"refused": UNKNOWN_VIOLATION}


def final_state(trial: Trial, complete: bool) -> Any:
    """What Optuna is told of a trial that has ended."""
    from optuna.trial import TrialState

    return TrialState.COMPLETE if complete else TrialState.FAIL if trial.state is State.LOST else TrialState.PRUNED


def _outcome(trial: Trial) -> dict[str, Any]:
    summary = {name: measurement.value for name, measurement in trial.measurements.items()}
    return {"state": str(trial.state), "seed": trial.seed, "summary": summary}


def _proposal(candidate: Candidate, origin: str, params: Mapping[str, Any]) -> dict[str, Any]:
    return {"origin": origin, "params": params, "candidate": candidate.to_json()}
