"""A profile describes a class of devices that a file must run on: operators, input and output types, resources."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal


class Profile:
    """Subclasses set the fields; one file each in ``objectives/profiles``. Nothing is measured on a profile.

    ``settings`` are the configuration keys that the profile sets; another value from the user is an error.
    ``operators`` are the built-in operators for which the runtime has kernels, and ``source`` is the source of this
    list. ``memory`` is the measurement that ``max-memory`` bounds. ``budgets`` are the keys of the budgets that a
    search for such a device should have, and what each of them bounds.
    """

    name: ClassVar[str]
    runtime: ClassVar[str]
    io: ClassVar[Literal["int8", "uint8", "float32"]]
    settings: ClassVar[Mapping[str, Any]]
    operators: ClassVar[frozenset[str]]
    source: ClassVar[str]
    memory: ClassVar[str] = "memory_bytes"
    budgets: ClassVar[Mapping[str, str]]

    @classmethod
    def missing(cls, operators: Iterable[str]) -> tuple[str, ...]:
        """The operators of a file that the runtime has no kernel for."""
        return tuple(sorted(set(operators) - cls.operators))

    @classmethod
    def misfits(cls, operators: Iterable[str], io_types: Mapping[str, Iterable[str]]) -> list[str]:
        """Why a finished file does not fit the profile; empty if it does.

        ``io_types`` are the types of its ``inputs`` and of its ``outputs``, as in ``spaces/tflite/artifact.py``.
        """
        found = []
        missing = cls.missing(operators)
        if missing:
            found.append(f"{cls.runtime} has no kernel for {', '.join(missing)}")
        for kind, types in io_types.items():
            other = sorted(set(types) - {cls.io})
            if other:
                found.append(f"its {kind} are {', '.join(other)}, not {cls.io}")
        return found
