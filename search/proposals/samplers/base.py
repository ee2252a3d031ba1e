"""A sampler of Optuna, made anew for each proposal."""

from typing import Any, ClassVar


class Sampler:
    """Subclasses set ``name`` and make Optuna's sampler; one file each in ``search/proposals/samplers``.

    A sampler is made anew for each ask, with a seed from (root seed, trials told), so that a resumed run continues as an
    undisturbed one would: it may keep no state of its own between asks.
    """

    name: ClassVar[str]
    guided: ClassVar[bool] = False  # do the other proposal strategies take turns with it?

    def make(self, seed: int) -> Any:
        """Optuna's sampler for one ask."""
        raise NotImplementedError(f"{type(self).__name__} defines no make()")
