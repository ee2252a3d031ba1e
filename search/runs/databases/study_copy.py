"""A copy of the study in a database, for other tools: a thread of its own writes it, and no proposal waits for it."""

import dataclasses
import json
import warnings
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from litetuner.search.config.budgets import Budget
from litetuner.search.front import Objective
from litetuner.search.runs.databases.database import StudyLocation
from litetuner.search.runs.databases.study_rows import insert_trials
from litetuner.search.runs.optuna_trials import (
    Asked,
    asked_of,
    final_state,
    outcome,
    running_trial,
    told_constraints,
    told_trial,
    told_values,
)
from litetuner.search.runtime.dispatcher import Dispatcher
from litetuner.search.trial import Trial
from litetuner.spaces.candidate import digest
from litetuner.spaces.errors import RunError

# optuna-dashboard knows constraints only as this list; without it, it takes every trial for feasible.
CONSTRAINTS = "constraints"
OWN = "litetuner:"  # before what a sampler keeps in the study: it names trials by their number here


@dataclasses.dataclass(frozen=True)
class SamplersOwn:
    """What samplers keep in the study and in trials (by number), such as the generations of a genetic algorithm."""

    study: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    trials: Mapping[int, Mapping[str, Any]] = dataclasses.field(default_factory=dict)


class StudyCopy:
    """One study for one set of objectives and budgets (``terms``). Other sets have other studies in the same database.

    What was asked for and has no record is only known here.
    """

    def __init__(
        self, location: StudyLocation, objectives: Sequence[Objective], budgets: Sequence[Budget], run: str
    ) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._optuna = optuna
        self.objectives = tuple(objectives)
        self._location, self._run = location, run
        terms = [[o.measurement, o.direction] for o in objectives] + [[b.name, b.limit, b.sense] for b in budgets]
        self.terms = f"litetuner-{digest(terms)}"
        self.name = location.study_name(self.terms)
        self._writer = Dispatcher("litetuner study")
        self._kept: set[str] = set()  # of what samplers keep in the study: written
        self._writes: deque[Future[None]] = deque()  # not looked at yet
        self._asked: Future[None] | None = None  # the last one that was asked for
        self._database = location.open()
        self._storage = self._database.storage
        try:
            self._study = optuna.create_study(
                study_name=self.name,
                storage=self._storage,
                directions=[objective.direction for objective in objectives],
                load_if_exists=True,
            )
            self._study_id: int = self._storage.get_study_id_from_name(self.name)
            if not self._trials():
                self._study.set_user_attr("run", self._run)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                    self._study.set_metric_names([objective.measurement for objective in objectives])
        except BaseException:
            self._database.close()
            raise

    def close(self) -> None:
        """Write what is left, and close the database; else its files stay open for as long as this process lives."""
        try:
            self._look(wait=True)
        finally:
            self._writes.clear()
            self._writer.close()
            self._database.close()

    def samplers_own(self) -> SamplersOwn:
        own = {
            name.removeprefix(OWN): value for name, value in self._study_attributes().items() if name.startswith(OWN)
        }
        trials = {
            trial.number: {
                name: value for name, value in trial.system_attrs.items() if not name.startswith(CONSTRAINTS)
            }
            for trial in self._trials()
        }
        return SamplersOwn(own, trials)

    def _study_attributes(self) -> dict[str, Any]:
        found: dict[str, Any] = self._storage.get_study_system_attrs(self._study_id)
        return found

    def asked(self) -> dict[int, tuple[Asked | None, bool]]:
        """What each trial is about (``None`` where somebody else wrote it), and has it ended?"""
        return {trial.number: (asked_of(trial), trial.state.is_finished()) for trial in self._trials()}

    def difference(self, trials: Sequence[Trial]) -> str:
        """Does the copy tell the same as the records, as far as it goes? Where it does not, what is different; else nothing."""
        if self._study.user_attrs.get("run") != self._run:
            return "belongs to another run"
        if [str(direction.name).lower() for direction in self._study.directions] != [
            o.direction for o in self.objectives
        ]:
            return "has other directions than the run"
        records = {trial.number: told_trial(trial, self.objectives) for trial in trials}
        for theirs in self._trials():
            ours = records.get(theirs.number)
            if ours is None:
                continue
            same = (
                "params",
                "distributions",
                *(("state", "values") if theirs.state.is_finished() else ()),
            )
            proposals = [
                json.loads(side.user_attrs["proposal"]) for side in (ours, theirs) if "proposal" in side.user_attrs
            ]
            wrong = any(getattr(ours, name) != getattr(theirs, name) for name in same) or proposals[0] != proposals[-1]
            if wrong or (theirs.state.is_finished() and not ours.constraints.items() <= theirs.constraints.items()):
                return f"differs from the record of trial {theirs.number}"
        return ""

    def fill(self, trials: Sequence[Trial]) -> None:
        """Write all that it does not know: what still runs in it, and what is new to it, numbers unchanged."""
        finished = {trial.number: trial.state.is_finished() for trial in self._trials()}
        ordered = sorted(trials, key=lambda item: item.number)
        if not finished and insert_trials(self._storage, self._study_id, [self._told(trial) for trial in ordered]):
            return
        for trial in ordered:
            if trial.number not in finished:
                self._study.add_trial(self._told(trial))
            elif not finished[trial.number]:
                self._tell(trial)

    def _told(self, trial: Trial) -> Any:
        constraints = {CONSTRAINTS: list(told_constraints(trial).values())}
        return told_trial(trial, self.objectives, system_attrs=constraints)

    def begin(self, asked: Asked, own: SamplersOwn) -> None:
        """Have a trial written that is asked for. Raises what an earlier writing raised."""
        self._asked = self._write(lambda: self._begin(asked, own))

    def settle(self) -> None:
        """Wait until all that was asked for is written."""
        if self._asked is not None:
            self._asked.result()

    def tell(self, trial: Trial) -> None:
        """Have written what became of a trial. Raises what an earlier writing raised."""
        self._write(lambda: self._tell(trial))

    def _write(self, call: Callable[[], None]) -> Future[None]:
        self._look(wait=False)
        self._writes.append(self._writer.submit(call))
        return self._writes[-1]

    def _look(self, *, wait: bool) -> None:
        while self._writes and (wait or self._writes[0].done()):
            self._writes.popleft().result()

    def _trials(self) -> list[Any]:
        return list(self._study.get_trials(deepcopy=False))

    def _begin(self, asked: Asked, own: SamplersOwn) -> None:
        number = self._storage.get_trial_number_from_id(
            self._storage.create_new_trial(
                self._study_id, running_trial(asked, system_attrs=own.trials.get(asked.number, {}))
            )
        )
        if number != asked.number:
            raise RunError(
                f"{self._location.words}: somebody else writes into the study {self.name}, which belongs to this run. Stop that, "
                "and repeat the command: it is filled again from the records."
            )
        for name in own.study.keys() - self._kept:
            self._storage.set_study_system_attr(self._study_id, f"{OWN}{name}", own.study[name])
            self._kept.add(name)

    def _tell(self, trial: Trial) -> None:
        number: int = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, trial.number)
        handle = self._optuna.trial.Trial(self._study, number)
        constraints, known = told_constraints(trial), self._storage.get_trial(number).constraints
        for name, value in constraints.items():
            if name not in known:  # a search that was killed may have told a part
                handle.set_constraint(name, value)
        self._storage.set_trial_system_attr(number, CONSTRAINTS, list(constraints.values()))
        self._storage.set_trial_user_attr(number, "outcome", json.dumps(outcome(trial)))
        values = told_values(trial, self.objectives)
        self._storage.set_trial_state_values(number, final_state(trial, values is not None), values)
