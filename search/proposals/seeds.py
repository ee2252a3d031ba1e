"""Seeds: each random decision has its own seed, so that a resumed run continues like an uninterrupted one."""

from litetuner.spaces.candidate import digest


def derive(*parts: int | str) -> int:
    """A 32-bit seed, derived from ``parts``: usually a root seed and the purpose of the new seed."""
    return int(digest(list(parts))[:8], 16)
