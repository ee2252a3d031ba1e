"""NSGA-II, a genetic algorithm for several objectives."""

from typing import Any

from litetuner.search.policy import POLICY
from litetuner.search.proposals.samplers.base import Sampler


class Nsga2(Sampler):
    """Optuna's NSGA-II (Deb 2002, doi 10.1109/4235.996017). The study stores its generations, not the sampler."""

    name = "nsga2"

    def make(self, seed: int) -> Any:
        from optuna.samplers import NSGAIISampler

        return NSGAIISampler(seed=seed, population_size=POLICY.samplers.nsga2_population)
