"""An Optuna storage that uses given trials as they are.

``Study.add_trial`` would copy and check each of them, again for every proposal.
"""

import functools
from collections.abc import Sequence
from typing import Any


def given_trials(trials: Sequence[Any]) -> Any:
    """A storage for one study with these finished Optuna trials. They get numbers from 1; the next trial has 0."""
    for at, trial in enumerate(trials):
        trial.number = at + 1
    return _storage()(trials)


@functools.cache
def _storage() -> Any:
    from optuna.storages import InMemoryStorage

    class GivenTrials(InMemoryStorage):
        def __init__(self, trials: Sequence[Any]) -> None:
            super().__init__()
            self._given = trials

        def get_all_trials(self, study_id: int, deepcopy: bool = True, states: Any = None) -> list[Any]:
            """The given trials only. The running trial is missing, which samplers ignore anyway."""
            return [trial for trial in self._given if states is None or trial.state in states]

    return GivenTrials
