"""Random search, for comparison."""

from __future__ import annotations

from typing import Any

from litetuner.search.proposals.samplers.sampler import Sampler


class Random(Sampler):
    """Independent uniform choices."""

    name = "random"

    def make(self, seed: int) -> Any:
        from optuna.samplers import RandomSampler

        return RandomSampler(seed=seed)
