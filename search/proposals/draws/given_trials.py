"""A study of trials that are given: one that they are added to copies and checks each of them, for each proposal."""

import functools
from collections.abc import Sequence
from typing import Any


def given_trials(trials: Sequence[Any]) -> Any:
    """A storage for one study, which has these finished trials of Optuna's. Their numbers are set; what is asked for has 0."""
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
            """Without what is asked for, which samplers leave out, too."""
            return [trial for trial in self._given if states is None or trial.state in states]

    return GivenTrials
