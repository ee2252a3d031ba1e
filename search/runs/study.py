"""The seam to Optuna: ask under a lock, tell once, reload. Our records are the truth; a study can be made again from them."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
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
    """A ``Chooser`` that asks another one and keeps every choice as Optuna parameter and distribution."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.values: dict[str, Any] = {}
        self.chosen: dict[str, Any] = {}
        self.distributions: dict[str, Any] = {}

    def one_of(self, name: str, options: Sequence[str]) -> str:
        from optuna.distributions import CategoricalDistribution

        chosen: str = self.inner.one_of(name, options)
        self.values[name] = self.chosen[name] = chosen
        self.distributions[name] = CategoricalDistribution(tuple(options))
        return chosen

    def level(self, name: str, options: Sequence[Any]) -> Any:
        from optuna.distributions import IntDistribution

        chosen = self.inner.level(name, options)
        self.values[name] = list(options).index(chosen)
        self.chosen[name] = chosen
        self.distributions[name] = IntDistribution(0, len(options) - 1)
        return chosen


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
        """Numbers of all trials in the study."""
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
        proposal = self._proposal(candidate, "sampler", recorder)
        self._set(trial.number, "proposal", proposal)
        return Asked(trial.number, candidate, "sampler", proposal["params"])

    def enqueue(
        self, suggest: Callable[[Any], Candidate], script: Any, origin: str, candidate: Candidate | None = None
    ) -> Asked:
        """Start a trial whose choices are given by ``script``; ``candidate`` replaces what the choices lead to."""
        recorder = ChoiceRecorder(script)
        suggested = suggest(recorder)
        if candidate is not None and candidate.of_stage(Stage.CONVERT) != suggested.of_stage(Stage.CONVERT):
            recorder = ChoiceRecorder(script)  # choices that lead elsewhere say nothing of this candidate
        proposal = self._proposal(candidate or suggested, origin, recorder)
        frozen = self._optuna.trial.create_trial(
            state=self._optuna.trial.TrialState.RUNNING,
            params=recorder.values,
            distributions=recorder.distributions,
            user_attrs={"proposal": json.dumps(proposal)},
        )
        with self._lock:  # the storage tells the new trial's number without reading all others
            number = self._storage.get_trial_number_from_id(self._storage.create_new_trial(self._study_id, frozen))
        return Asked(number, candidate or suggested, origin, proposal["params"])

    def _proposal(self, candidate: Candidate, origin: str, recorder: ChoiceRecorder) -> dict[str, Any]:
        to_json = self._optuna.distributions.distribution_to_json
        params = {
            name: {
                "chosen": recorder.chosen[name],
                "value": value,
                "distribution": to_json(recorder.distributions[name]),
            }
            for name, value in recorder.values.items()
        }
        return {"origin": origin, "params": params, "candidate": candidate.to_json()}

    def tell(self, trial: Trial) -> None:
        """Tell what became of a running trial: the table of states in docs/decisions.md."""
        handle = self._optuna.trial.Trial(self._study, self._id(trial.number))
        for name, value in self._constraints(trial).items():
            handle.set_constraint(name, value)
        summary = {name: measurement.value for name, measurement in trial.measurements.items()}
        self._set(trial.number, "outcome", {"state": str(trial.state), "seed": trial.seed, "summary": summary})
        states = self._optuna.trial.TrialState
        if trial.state.scored:
            self._study.tell(trial.number, self._values(trial))
        else:
            self._study.tell(trial.number, state=states.FAIL if trial.state is State.LOST else states.PRUNED)

    def refill(self, trials: Sequence[Trial]) -> None:
        """Fill a study that new objectives or budgets opened with all that is known, numbers unchanged."""
        known = self.numbers()
        states = self._optuna.trial.TrialState
        from_json = self._optuna.distributions.json_to_distribution
        for trial in sorted(trials, key=lambda item: item.number):
            if trial.number in known:
                continue
            scored = trial.state.scored
            state = states.COMPLETE if scored else states.FAIL if trial.state is State.LOST else states.PRUNED
            frozen = self._optuna.trial.create_trial(
                state=state,
                values=self._values(trial) if scored else None,
                params={name: entry["value"] for name, entry in trial.params.items()},
                distributions={name: from_json(entry["distribution"]) for name, entry in trial.params.items()},
                constraints=self._constraints(trial),
                user_attrs={
                    "proposal": json.dumps(
                        {"origin": trial.origin, "params": trial.params, "candidate": trial.candidate.to_json()}
                    ),
                    "outcome": json.dumps({"state": str(trial.state), "seed": trial.seed}),
                },
            )
            self._study.add_trial(frozen)

    def _values(self, trial: Trial) -> list[float]:
        return [self._finite(trial, objective) for objective in self.objectives]

    def _finite(self, trial: Trial, objective: Objective) -> float:
        value = trial.value(objective.measurement)
        if value is None:
            raise ValueError(f"trial {trial.number} was scored without {objective.measurement}")
        return value

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
    """Write-ahead log: a commit costs no wait for the disk, a killed process loses nothing, a power cut at most the last trials.

    Those stand in the records, which are synced, and are told again.
    """
    import sqlalchemy

    def prepare(connection: Any, _: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.close()

    sqlalchemy.event.listen(engine, "connect", prepare)
    engine.dispose()  # connections that were opened before know nothing of it
