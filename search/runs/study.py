"""The seam to Optuna: ask under a lock, tell once, reload. Our records are the truth; a study can be made again from them."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import filelock

from litetuner.search.config.budgets import Budget
from litetuner.search.front import Objective
from litetuner.search.proposals.samplers import SAMPLERS
from litetuner.search.runs.folder import RunFolder
from litetuner.search.seeds import derive
from litetuner.search.trial import State, Trial
from litetuner.spaces.candidate import Candidate, digest
from litetuner.spaces.errors import HostError, RunError
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
        storage = optuna.storages.RDBStorage(folder.study_url, engine_kwargs={"connect_args": {"timeout": 60}})
        _write_ahead(storage.engine)
        self._storage = storage
        self._study = optuna.create_study(
            study_name=self.name,
            storage=storage,
            directions=[objective.direction for objective in objectives],
            load_if_exists=True,
        )
        self._study_id: int = storage.get_study_id_from_name(self.name)

    def close(self) -> None:
        """Close the database; else its files stay open for as long as this process lives."""
        self._storage.remove_session()
        self._storage.engine.dispose()

    def running(self) -> list[int]:
        """Numbers of trials that were asked for and never told."""
        state = self._optuna.trial.TrialState.RUNNING
        return [trial.number for trial in self._study.get_trials(deepcopy=False, states=(state,))]

    def numbers(self) -> set[int]:
        return {trial.number for trial in self._study.get_trials(deepcopy=False)}

    def candidate(self, number: int) -> Asked | None:
        """What a trial in the study was about, ``None`` when the search died before it was written down."""
        trial = self._study.get_trials(deepcopy=False)[number]
        if "proposal" not in trial.user_attrs:
            return None
        proposal = json.loads(trial.user_attrs["proposal"])
        return Asked(number, Candidate.from_json(proposal["candidate"]), proposal["origin"], proposal["params"])

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
        frozen = frozen_trial(recorder.params, state=running, user_attrs={"proposal": proposal})
        with self._lock:  # the storage tells the new trial's number without reading all others
            number = self._storage.get_trial_number_from_id(self._storage.create_new_trial(self._study_id, frozen))
        return Asked(number, candidate or suggested, origin, recorder.params)

    def tell(self, trial: Trial) -> None:
        """Tell what became of a running trial: the table of states in docs/decisions.md."""
        handle = self._optuna.trial.Trial(self._study, self._id(trial.number))
        for name, value in self._constraints(trial).items():
            handle.set_constraint(name, value)
        summary = {name: measurement.value for name, measurement in trial.measurements.items()}
        self._set(trial.number, "outcome", {"state": str(trial.state), "seed": trial.seed, "summary": summary})
        self._study.tell(trial.number, self._values(trial), state=final_state(trial, trial.state.scored))

    def refill(self, trials: Sequence[Trial]) -> None:
        """Fill a study that new objectives or budgets opened with all that is known, numbers unchanged."""
        known = self.numbers()
        for trial in sorted(trials, key=lambda item: item.number):
            if trial.number in known:
                continue
            told = {
                "proposal": _proposal(trial.candidate, trial.origin, trial.params),
                "outcome": {"state": str(trial.state), "seed": trial.seed},
            }
            frozen = frozen_trial(
                trial.params,
                state=final_state(trial, trial.state.scored),
                values=self._values(trial),
                constraints=self._constraints(trial),
                user_attrs={name: json.dumps(value) for name, value in told.items()},
            )
            self._study.add_trial(frozen)

    def _values(self, trial: Trial) -> list[float] | None:
        if not trial.state.scored:
            return None
        for objective in self.objectives:
            if objective.measurement not in trial.measurements:
                raise ValueError(f"trial {trial.number} was scored without {objective.measurement}")
        return [trial.measurements[objective.measurement].value for objective in self.objectives]

    def _constraints(self, trial: Trial) -> dict[str, float]:
        if trial.state is State.LOST:
            return {}
        if trial.state.scored or any(value > 0 for value in trial.constraints.values()):
            return trial.constraints
        return trial.constraints | {"refused": UNKNOWN_VIOLATION}

    def _set(self, number: int, name: str, value: dict[str, Any]) -> None:
        self._storage.set_trial_user_attr(self._id(number), name, json.dumps(value))

    def _id(self, number: int) -> int:
        trial_id: int = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)
        return trial_id


def frozen_trial(params: Mapping[str, Mapping[str, Any]], **told: Any) -> Any:
    """A trial of Optuna's, by the choices in a record (``Trial.params``)."""
    import optuna

    values = {name: entry["value"] for name, entry in params.items()}
    distributions = {name: _distribution(entry["distribution"]) for name, entry in params.items()}
    return optuna.trial.create_trial(params=values, distributions=distributions, **told)


@functools.cache
def _distribution(text: str) -> Any:
    from optuna.distributions import json_to_distribution

    return json_to_distribution(text)


def final_state(trial: Trial, complete: bool) -> Any:
    """What Optuna is told of a trial that has ended."""
    from optuna.trial import TrialState

    return TrialState.COMPLETE if complete else TrialState.FAIL if trial.state is State.LOST else TrialState.PRUNED


def _proposal(candidate: Candidate, origin: str, params: Mapping[str, Any]) -> dict[str, Any]:
    return {"origin": origin, "params": params, "candidate": candidate.to_json()}


@contextlib.contextmanager
def database_errors(folder: RunFolder) -> Iterator[None]:
    """Name what the database does not do: ``HostError`` where the disk is full, ``RunError`` where ``study.db`` is damaged."""
    import optuna
    import sqlalchemy

    try:
        yield
    except (optuna.exceptions.StorageInternalError, sqlalchemy.exc.DatabaseError) as error:
        cause = error.__cause__ if isinstance(error, optuna.exceptions.StorageInternalError) else error
        words = str(getattr(cause, "orig", None) or cause or error).splitlines()[0]
        path = folder.path / "study.db"
        if isinstance(cause, sqlalchemy.exc.OperationalError):
            raise HostError(
                f"cannot write {path}: {words}. Free some space and repeat the command: it goes on with all that was recorded."
            ) from error
        raise RunError(
            f"{path} is damaged ({words}). Remove it and repeat the command: the records of all trials are kept, and a new "
            "one is filled from them."
        ) from error


def _write_ahead(engine: Any) -> None:
    """Write-ahead log: no commit waits for the disk. What a power cut loses, the synced records tell again."""
    import sqlalchemy

    def prepare(connection: Any, _: Any) -> None:
        with contextlib.closing(connection.cursor()) as cursor:
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA synchronous=NORMAL")

    sqlalchemy.event.listen(engine, "connect", prepare)
    engine.dispose()  # connections that were opened before know nothing of it
