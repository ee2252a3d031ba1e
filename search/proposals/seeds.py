"""Seeds: each random decision has its own, so that a resumed run continues as an undisturbed one would."""

from litetuner.spaces.candidate import digest


def derive(*parts: int | str) -> int:
    """A 32-bit seed from a root seed and what it is for."""
    return int(digest(list(parts))[:8], 16)
