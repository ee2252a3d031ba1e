"""The whole exception tree. A message says what, where, why, and what to do.

LitetunerError                 exit 4
├── UsageError                 exit 2    what the user gave cannot be used
│   ├── ConfigError                      a key, a flag or a budget
│   ├── ModelError                       the model file or function
│   ├── DataError                        the data, its labels, the preprocessing
│   └── RunError                         the run folder
├── HostError                  exit 3    this machine or a target does not play along
└── CandidateError                       one candidate's fate; the search goes on
    ├── Refused                          the rules say no           -> INVALID
    ├── BuildFailed                      fails again if repeated    -> FAILED
    └── Lost                             the machine's fault        -> LOST, asked again
        ├── TargetLost                   a target went away, and did not come back within the retries
        └── TimeUp                       the time budget ended while it ran
"""

import difflib
import re
import unicodedata
from collections.abc import Iterable
from typing import ClassVar

HIDDEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")  # Unicode's categories of what is not seen


class LitetunerError(Exception):
    """Base of all errors that litetuner raises on purpose."""

    exit_code = 4
    carries: ClassVar[tuple[str, ...]] = ()  # attributes, besides the message, that cross a process boundary

    def _render_traceback_(self) -> list[str]:
        """What IPython shows: the message, which says all that a user can act on. ``%tb`` shows the traceback."""
        return [f"{type(self).__name__}: {self}"]


class UsageError(LitetunerError):
    """What the user gave cannot be used as it is."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration key, flag or budget is wrong."""


class ModelError(UsageError):
    """The model cannot be read, or cannot be used."""


class DataError(UsageError):
    """The data cannot be read, or do not fit the model."""


class RunError(UsageError):
    """The run folder cannot be used."""


class HostError(LitetunerError):
    """The environment or a measurement target is not usable."""

    exit_code = 3


class CandidateError(LitetunerError):
    """One candidate cannot be built or measured; the search continues without it."""


class Refused(CandidateError):
    """The rules refuse the candidate."""


class BuildFailed(CandidateError):
    """Building, loading or checking the candidate fails, and would fail again."""


class Lost(CandidateError):
    """The machine lost the work (a killed process, a target that went away)."""


class TimeUp(Lost):
    """The time budget ended; with a larger one it is asked again."""


class TargetLost(Lost):
    """A target went away and did not come back; ``target`` is its address. The trial waits, the search goes on."""

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
    """An error as JSON, for another process."""
    carried = error.carries if isinstance(error, LitetunerError) else ()
    return {"type": type(error).__name__, "message": str(error)} | {name: getattr(error, name) for name in carried}


def from_json(record: dict[str, str]) -> LitetunerError:
    """The error that ``to_json`` described; one of a foreign type becomes a ``BuildFailed`` that names it."""
    kind = _tree(LitetunerError).get(record["type"])
    if kind is None:
        return BuildFailed(f"{record['type']}: {record['message']}")
    return kind(record["message"], **{name: record[name] for name in kind.carries if name in record})


def escaped(text: str) -> str:
    """A text for a terminal: control characters, which could change what is shown, as escapes; lines stay lines."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c == "\n" or unicodedata.category(c) not in HIDDEN else ascii(c)[1:-1] for c in text)


def nearest(name: str, known: Iterable[str]) -> str:
    """A `` (did you mean ...?)`` for an error message, or an empty string."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean {found[0]!r}?)" if found else ""


_FRAMES = re.compile(r"\x1b\[[0-9;]*m|\{\{.*?\}\}|\[Op:\w+\]( name: .*)?")  # colours, nodes and operators of TensorFlow
_HEADINGS = ("Exception encountered when calling", "in user code:", "Traceback", "File ", "Arguments received")


def keras_error_text(error: BaseException | None) -> str:
    """What an error of Keras or TensorFlow says, in one line that ends with a full stop.

    They put a heading before it ("Exception encountered when calling Dense.call()."), colours around it and the arguments
    behind it; a line that ends with a colon goes on in the next.
    """
    lines = [_FRAMES.sub("", line).strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line]
    quoted = [line.partition("Exception encountered: ")[2] for line in lines if "Exception encountered: " in line]
    telling = quoted or [line for line in lines if not line.startswith(_HEADINGS)] or lines or [type(error).__name__]
    # Of errors in errors the innermost; behind the lines of a user's code that was traced stands what it raised.
    said = telling[-1 if quoted or str(error).startswith("in user code:") else 0]
    if said.endswith(":") and len(telling) > 1:
        said = f"{said} {telling[1]}"
    return said[:300].rstrip(". ") + "."
