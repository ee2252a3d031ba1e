"""Several draws of Optuna's multivariate TPE from the same trials, at little more than the cost of one."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from litetuner.search.front import Objective
from litetuner.search.policy import POLICY
from litetuner.search.proposals.draws.given_trials import given_trials
from litetuner.search.runs.optuna_trials import frozen_params

NAME = "draws"


def joint_draws(
    trials: Sequence[Any], params: Mapping[str, Mapping[str, Any]], objectives: Sequence[Objective], seed: int
) -> Iterator[dict[str, Any]]:
    """Values of ``params`` (as ``Trial.params``), drawn together, after ``trials`` of Optuna's, which all have them."""
    import optuna

    storage = given_trials(trials)
    directions = [objective.direction for objective in objectives]
    study = optuna.create_study(study_name=NAME, storage=storage, directions=directions)
    # The sampler notes what it did with a trial of the study.
    asked = storage.get_trial(storage.create_new_trial(storage.get_study_id_from_name(NAME)))
    space = frozen_params(params, state=asked.state).distributions
    startup = POLICY.samplers.tpe_startup_trials
    sampler = _joint_sampler()(seed=seed, n_startup_trials=startup, multivariate=True, constant_liar=True)
    yield from sampler.draws(study, asked, space, POLICY.samplers.draws)


@functools.cache
def _joint_sampler() -> Any:
    import warnings

    from optuna.exceptions import ExperimentalWarning
    from optuna.samplers import TPESampler

    class JointSampler(TPESampler):
        """What it estimates of the trials is the same for all draws. One after the other, each draw estimated it anew."""

        _estimators: tuple[Any, Any] | None = None

        def __init__(self, **settings: Any) -> None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                super().__init__(**settings)

        def _compute_acquisition_func(self, samples: Any, mpe_below: Any, mpe_above: Any) -> Any:
            self._estimators = mpe_below, mpe_above
            return super()._compute_acquisition_func(samples, mpe_below, mpe_above)

        def draws(self, study: Any, trial: Any, space: dict[str, Any], count: int) -> Iterator[dict[str, Any]]:
            """What ``sample_relative`` gives when it is called so many times."""
            yield self.sample_relative(study, trial, space)
            if self._estimators is None:  # another version of Optuna
                for _ in range(count - 1):
                    yield self.sample_relative(study, trial, space)
                return
            below, above = self._estimators
            rows = [below.sample(self._rng.rng, self._n_ei_candidates) for _ in range(count - 1)]
            together = {name: np.concatenate([row[name] for row in rows]) for name in space}
            values = super()._compute_acquisition_func(together, below, above).reshape(count - 1, -1)
            for row, value in zip(rows, values, strict=True):
                found = self._compare(row, value)
                yield {name: space[name].to_external_repr(found[name]) for name in space}

    return JointSampler
