"""The whole exception tree. A message says what is wrong, where, why, and what to do.

LitetunerError                 exit 4
├── UsageError                 exit 2    the user's input cannot be used
│   ├── ConfigError                      a key, a flag or a budget
│   ├── ModelError                       the model file or function
│   ├── DataError                        the data, its labels, the preprocessing
│   └── RunError                         the run folder
├── HostError                  exit 3    this machine or a target cannot be used
└── CandidateError                       one candidate fails; the search continues
    ├── Refused                          the candidate is rejected  -> INVALID
    ├── BuildFailed                      would fail again           -> FAILED
    └── Lost                             a fault of the machine     -> LOST, tried again
        ├── TargetLost                   a target was lost and did not come back within the retries
        └── TimeUp                       the time budget ended while the candidate ran
"""

import difflib
import re
import unicodedata
from collections.abc import Iterable
from typing import ClassVar

HIDDEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")  # Unicode categories of invisible characters


class LitetunerError(Exception):
    """Base of all errors that litetuner raises on purpose."""

    exit_code = 4
    carries: ClassVar[tuple[str, ...]] = ()  # attributes besides the message that are sent to another process

    def _render_traceback_(self) -> list[str]:
        """What IPython shows: only the message, which is all that a user needs. ``%tb`` shows the traceback."""
        return [f"{type(self).__name__}: {self}"]


class UsageError(LitetunerError):
    """The user's input cannot be used as it is."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration key, flag or budget is wrong."""


class ModelError(UsageError):
    """The model cannot be read or cannot be used."""


class DataError(UsageError):
    """The data cannot be read or do not fit the model."""


class RunError(UsageError):
    """The run folder cannot be used."""


class HostError(LitetunerError):
    """The environment or a measurement target is not usable."""

    exit_code = 3


class CandidateError(LitetunerError):
    """One candidate cannot be built or measured; the search continues without it."""


class Refused(CandidateError):
    """The candidate is rejected: it breaks a rule, or a step cannot work on this model."""


class BuildFailed(CandidateError):
    """The candidate could not be built, loaded or verified, and would fail again."""


class Lost(CandidateError):
    """The machine lost the work (a process was killed, or a target was lost)."""


class TimeUp(Lost):
    """The time budget ended. With a larger budget the candidate is tried again."""


class TargetLost(Lost):
    """A target was lost and did not come back; ``target`` is its address. The trial waits, the search continues."""

    carries = ("target",)

    def __init__(self, message: str, target: str = "") -> None:
        super().__init__(message)
        self.target = target


def _tree(base: type[LitetunerError]) -> dict[str, type[LitetunerError]]:
    found = {base.__name__: base}
    for child in base.__subclasses__():
        found |= _tree(child)
    return found


def to_json(error: BaseException) -> dict[str, str]:
    """An error as a JSON object, to send it to another process."""
    carried = error.carries if isinstance(error, LitetunerError) else ()
    return {"type": type(error).__name__, "message": str(error)} | {name: getattr(error, name) for name in carried}


def from_json(record: dict[str, str]) -> LitetunerError:
    """The error for the output of ``to_json``. An unknown type becomes a ``BuildFailed`` that names the type."""
    kind = _tree(LitetunerError).get(record["type"])
    if kind is None:
        return BuildFailed(f"{record['type']}: {record['message']}")
    return kind(record["message"], **{name: record[name] for name in kind.carries if name in record})


def escaped(text: str) -> str:
    """A text for a terminal: control characters, which could change the display, are escaped; line breaks stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c == "\n" or unicodedata.category(c) not in HIDDEN else ascii(c)[1:-1] for c in text)


def nearest(name: str, known: Iterable[str]) -> str:
    """`` (did you mean ...?)`` with the closest known name, for an error message; empty if none is close."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean {found[0]!r}?)" if found else ""


# Color codes, node names and operator names in TensorFlow's messages.
_FRAMES = re.compile(r"\x1b\[[0-9;]*m|\{\{.*?\}\}|\[Op:\w+\]( name: .*)?")
_HEADINGS = ("Exception encountered when calling", "in user code:", "Traceback", "File ", "Arguments received")


def keras_error_text(error: BaseException | None) -> str:
    """The message of a Keras or TensorFlow error as one line that ends with a period.

    These errors have a heading before the message ("Exception encountered when calling Dense.call()."), color codes in
    it and the arguments after it. A line that ends with a colon continues in the next line.
    """
    lines = [_FRAMES.sub("", line).strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line]
    quoted = [line.partition("Exception encountered: ")[2] for line in lines if "Exception encountered: " in line]
    telling = quoted or [line for line in lines if not line.startswith(_HEADINGS)] or lines or [type(error).__name__]
    # Nested errors: take the innermost. Traced user code: the message comes after the code, so take the last line.
    said = telling[-1 if quoted or str(error).startswith("in user code:") else 0]
    if said.endswith(":") and len(telling) > 1:
        said = f"{said} {telling[1]}"
    return said[:300].rstrip(". ") + "."
