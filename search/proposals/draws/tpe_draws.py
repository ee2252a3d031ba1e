"""Several draws of Optuna's multivariate TPE from the same trials, for little more than the cost of one draw."""

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
    """Yield joint draws of all ``params`` (in the form of ``Trial.params``) from TPE.

    ``trials`` are the Optuna trials that TPE learns from. Each of them must have all of these parameters.
    """
    import optuna

    storage = given_trials(trials)
    directions = [objective.direction for objective in objectives]
    study = optuna.create_study(study_name=NAME, storage=storage, directions=directions)
    # The sampler writes attributes to a trial of the study, so one must exist.
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
        """Fits the Parzen estimators once for all draws. ``TPESampler`` would fit them again for each draw."""

        _estimators: tuple[Any, Any] | None = None  # fitted to the better and to the worse trials

        def __init__(self, **settings: Any) -> None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                super().__init__(**settings)

        def _compute_acquisition_func(self, samples: Any, mpe_below: Any, mpe_above: Any) -> Any:
            self._estimators = mpe_below, mpe_above
            return super()._compute_acquisition_func(samples, mpe_below, mpe_above)

        def draws(self, study: Any, trial: Any, space: dict[str, Any], count: int) -> Iterator[dict[str, Any]]:
            """The same draws as ``count`` calls of ``sample_relative``."""
            yield self.sample_relative(study, trial, space)
            if self._estimators is None:  # this version of Optuna works differently
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
