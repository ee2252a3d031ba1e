"""Texts that try to become commands. Each would make a canary file if a shell, here or on a target, ever read it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

from litetuner.objectives.targets.choice import find_target
from litetuner.spaces.errors import ConfigError

# {C} is the canary.
SNIPPETS = (
    "$(touch {C})",
    "`touch {C}`",
    ";touch {C}",
    "|touch {C}",
    "&&touch {C}",
    "\ntouch {C}\n",
    "'$(touch {C})'",
    '";touch {C};"',
    "${{IFS}}touch${{IFS}}{C}",
    "x\r\ntouch {C}",
    "\x00touch {C}",
    "\x1b]0;touch {C}\x07",
    "\u202etouch {C}",
    "{{a,b}}>{C}",
)


def problem(call: Callable[[], object], match: str) -> str | None:
    """What is wrong with a call that must be rejected by a ``ConfigError`` whose message matches."""
    try:
        made = call()
    except ConfigError as error:
        return None if re.search(match, str(error)) else f"rejected for another reason: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return f"accepted: {made!r}"


def accepted(places: Mapping[str, str], snippets: Iterable[str], canary: Path, patch: pytest.MonkeyPatch) -> list[str]:
    """Every combination of a place in a target's text ({S}) and a snippet that is not rejected before a process starts."""
    started: list[object] = []

    def start(command: object, *_: object, **__: object) -> None:
        started.append(command)
        raise RuntimeError(f"a process was started: {command}")

    patch.setattr(subprocess, "Popen", start)
    wrong = []
    for place, template in places.items():
        for snippet in snippets:
            started.clear()
            text = template.format(S=snippet.format(C=canary))
            said = problem(lambda text=text: find_target(text), "target")  # type: ignore[misc]
            if said or started or canary.exists():
                wrong.append(f"{place}, {snippet!r}: {said or 'rejected, but too late'}, started {started}")
                canary.unlink(missing_ok=True)
    return wrong
