"""A copy of the study in a database, for other tools. A separate thread writes it, so that no proposal has to wait."""

import dataclasses
import json
import warnings
from collections import deque
from collections.abc import Callable, Container, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from litetuner.search.config.budgets import Budget
from litetuner.search.front import Objective
from litetuner.search.runs.databases.database import StudyLocation
from litetuner.search.runs.databases.study_rows import StoredTrial, insert_trials, read_trials, stored
from litetuner.search.runs.optuna_trials import (
    CONSTRAINTS,
    Asked,
    asked_of,
    difference,
    frozen_trial,
    running_trial,
    told_rows,
)
from litetuner.search.runtime.dispatcher import Dispatcher
from litetuner.search.trial import Trial
from litetuner.spaces.candidate import digest
from litetuner.spaces.errors import RunError

# Prefix of the study attributes of samplers: they name trials by number, but Optuna expects the ids of the database.
OWN = "litetuner:"


@dataclasses.dataclass(frozen=True)
class SamplersOwn:
    """What samplers store in the study and in trials (by number), such as the generations of a genetic algorithm."""

    study: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    trials: Mapping[int, Mapping[str, Any]] = dataclasses.field(default_factory=dict)


class StudyCopy:
    """The study for one set of objectives and budgets (``terms``). Each set has its own study in the same database.

    A trial that was asked and has no record yet is stored only here.
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
        self._kept: set[str] = set()  # names of samplers' study attributes that are written
        self._writes: deque[Future[None]] = deque()  # writes whose result was not checked yet
        self._asked: Future[None] | None = None  # the write of the last asked trial
        self._read: list[StoredTrial] | None = None  # the trials of the study, cached until the next write
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
        """Write what is left and close the database. Without this, its files stay open until this process ends."""
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
                name: json.loads(text) for name, text in trial.system.items() if not name.startswith(CONSTRAINTS)
            }
            for trial in self._trials()
        }
        return SamplersOwn(own, trials)

    def _study_attributes(self) -> dict[str, Any]:
        found: dict[str, Any] = self._storage.get_study_system_attrs(self._study_id)
        return found

    def asked(self, known: Container[int] = ()) -> dict[int, tuple[Asked | None, bool]]:
        """The proposal of each trial, by number, and whether the trial has ended.

        The proposal is ``None`` if the trial is ``known`` or if litetuner did not write it.
        """
        return {
            trial.number: (None if trial.number in known else asked_of(trial), trial.finished)
            for trial in self._trials()
        }

    def difference(self, trials: Sequence[Trial]) -> str:
        """The first difference between the copy and the records, in words; empty if there is none.

        Only trials that are in both are compared.
        """
        if self._study.user_attrs.get("run") != self._run:
            return "belongs to another run"
        if [str(direction.name).lower() for direction in self._study.directions] != [
            o.direction for o in self.objectives
        ]:
            return "has other directions than the run"
        records = {trial.number: trial for trial in trials}
        for theirs in self._trials():
            ours = records.get(theirs.number)
            if ours is not None and difference(told_rows(ours, self.objectives), theirs):
                return f"differs from the record of trial {theirs.number}"
        return ""

    def fill(self, trials: Sequence[Trial]) -> None:
        """Write all trials that are missing in the copy or still running there. Their numbers do not change."""
        finished = {trial.number: trial.finished for trial in self._trials()}
        missing = [trial for trial in sorted(trials, key=lambda item: item.number) if not finished.get(trial.number)]
        if not missing:
            return
        self._read = None
        if not finished and insert_trials(
            self._storage, self._study_id, [told_rows(trial, self.objectives) for trial in missing]
        ):
            return
        for trial in missing:
            if trial.number in finished:
                self._tell(trial)
            else:
                self._study.add_trial(frozen_trial(trial, **told_rows(trial, self.objectives).told))

    def begin(self, asked: Asked, own: SamplersOwn) -> None:
        """Write an asked trial in the background. Raises the error of an earlier write."""
        self._asked = self._write(lambda: self._begin(asked, own))

    def settle(self) -> None:
        """Wait until all asked trials are written."""
        if self._asked is not None:
            self._asked.result()

    def tell(self, trial: Trial) -> None:
        """Write the result of a trial in the background. Raises the error of an earlier write."""
        self._write(lambda: self._tell(trial))

    def _write(self, call: Callable[[], None]) -> Future[None]:
        self._look(wait=False)
        self._writes.append(self._writer.submit(call))
        return self._writes[-1]

    def _look(self, *, wait: bool) -> None:
        while self._writes and (wait or self._writes[0].done()):
            self._writes.popleft().result()

    def _trials(self) -> list[StoredTrial]:
        if self._read is None:
            self._read = read_trials(self._storage, self._study_id)
        if self._read is None:
            self._read = [stored(trial) for trial in self._study.get_trials(deepcopy=False)]
        return self._read

    def _begin(self, asked: Asked, own: SamplersOwn) -> None:
        self._read = None
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
        self._read = None
        number: int = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, trial.number)
        told = told_rows(trial, self.objectives).told
        for name, value in told["system_attrs"].items():
            self._storage.set_trial_system_attr(number, name, value)
        self._storage.set_trial_user_attr(number, "outcome", told["user_attrs"]["outcome"])
        self._storage.set_trial_state_values(number, told["state"], told["values"])
