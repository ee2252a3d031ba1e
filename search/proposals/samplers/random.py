"""Random search, for comparison: independent uniform choices."""

from typing import Any

from litetuner.search.proposals.samplers.base import Sampler


class Random(Sampler):
    name = "random"

    def make(self, seed: int) -> Any:
        from optuna.samplers import RandomSampler

        return RandomSampler(seed=seed)
