"""Tree-structured Parzen estimator (TPE) for several objectives with constraints, Optuna's default sampler."""

from typing import Any

from litetuner.search.policy import POLICY
from litetuner.search.proposals.samplers.base import Sampler


class Tpe(Sampler):
    """Optuna's TPE (Watanabe 2023, arXiv 2304.11127). Baselines and recipes serve as its startup trials."""

    name = "tpe"
    guided = True

    def make(self, seed: int) -> Any:
        from optuna.samplers import TPESampler

        # Constant liar (Ginsbourger 2010, doi 10.1007/978-3-642-10701-6_6): running trials count as bad ones, so that
        # the next trial is not close to them.
        startup = POLICY.samplers.tpe_startup_trials
        return TPESampler(seed=seed, n_startup_trials=startup, constant_liar=True)
