"""Tree-structured Parzen estimator for several objectives with constraints, Optuna's default."""

from typing import Any

from litetuner.search.policy import POLICY
from litetuner.search.proposals.samplers.sampler import Sampler


class Tpe(Sampler):
    """Optuna's TPE (Watanabe 2023, arXiv 2304.11127). Baselines and recipes are its start-up trials."""

    name = "tpe"
    guided = True

    def make(self, seed: int) -> Any:
        from optuna.samplers import TPESampler

        return TPESampler(seed=seed, n_startup_trials=POLICY.samplers.tpe_startup_trials)
