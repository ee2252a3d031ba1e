"""The verdict on each injected fault. A file stores one line for each fault, so that a benchmark can be resumed."""

import collections
import dataclasses
import json
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from litetuner.spaces.errors import LitetunerError

VERDICTS = ("detected", "harmless", "internal", "silent")


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The verdict on one fault.

    ``detected``: a litetuner error says what is wrong. ``harmless``: no error and a correct result. ``internal``:
    another exception. ``silent``: a wrong result without an error.
    """

    kind: str
    file: str
    verdict: str
    message: str = ""


def judged(kind: str, what: str, do: Callable[[], object]) -> Verdict:
    """Call ``do`` and return a verdict by the exception that it raises, if any."""
    try:
        do()
    except LitetunerError as error:
        return Verdict(kind, what, "detected", str(error)[:300])
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}:{last.lineno}"
        return Verdict(kind, what, "internal", f"{type(error).__name__}: {str(error)[:300]} ({where})")
    return Verdict(kind, what, "harmless")


def read(log: Path) -> list[Verdict]:
    return [Verdict(**json.loads(line)) for line in log.read_text().splitlines()] if log.exists() else []


def write(log: Path, found: Iterator[Verdict]) -> None:
    """Append each verdict when it is found. Verdicts ``internal`` and ``silent`` are also printed."""
    with log.open("a") as stream:
        for item in found:
            stream.write(json.dumps(dataclasses.asdict(item)) + "\n")
            stream.flush()
            if item.verdict in ("internal", "silent"):
                sys.stderr.write(f"{item}\n")


def table(verdicts: list[Verdict]) -> str:
    found: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for item in verdicts:
        found[item.kind][item.verdict] += 1
        found["all"][item.verdict] += 1
    lines = [f"| {'kind':24} | faults | {' | '.join(VERDICTS)} |", f"|{'---|' * (2 + len(VERDICTS))}"]
    for kind in [*sorted(found.keys() - {"all"}), "all"]:
        counts = " | ".join(f"{found[kind][verdict]:8}" for verdict in VERDICTS)
        lines.append(f"| {kind:24} | {found[kind].total():6} | {counts} |")
    return "\n".join(lines)
