"""The base class of samplers. Each one creates a new Optuna sampler for every proposal."""

from typing import Any, ClassVar


class Sampler:
    """Base class: a subclass sets ``name`` and defines ``make``; one file each in ``search/proposals/samplers``.

    Each ask creates a new Optuna sampler with a seed from (root seed, ``History.asked``), so that a resumed run
    continues like an uninterrupted one. A sampler must not keep state of its own between asks.
    """

    name: ClassVar[str]
    guided: ClassVar[bool] = False  # True if the other proposal strategies take turns with it

    def make(self, seed: int) -> Any:
        """A new Optuna sampler for one ask."""
        raise NotImplementedError(f"{type(self).__name__} defines no make()")
