"""Hostile strings in every field of a run's records: none may be executed, and none may break the output.

The output is the report (HTML), ``trials.csv``, the model card (Markdown), C arrays, ``run_example.py`` and the
terminal.
"""

import ast
import contextlib
import copy
import csv
import hashlib
import html.parser
import io
import random
import re
import shutil
import subprocess
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hostile_folders
from fault_verdicts import Verdict

from litetuner.cli import run as cli
from litetuner.search.runs.folder import RunFolder

PAYLOADS = (
    "</script><script>canary()</script>", '"><img src=x onerror=canary()>', "' onmouseover='canary()", "<!--<script>",
    "=canary()", "+canary()", "-canary()", "@canary()", "\t=canary()", "\r=canary()", " =canary()",
    "*/ canary(); /*", "\n#error canary()\n", "??/\ncanary();", "x\\", "x\\\ncanary();", '"; canary(); "', "'); canary(); ('",
    "\"\"\"\ncanary()\n\"\"\"", "\x1b]0;canary\x07\x1b[2J", "\u202ecanary", "\u2028canary()", "\x85canary()", "\x9b2J",
    "[x](javascript:canary())", "![x](http://canary)", "<http://canary>", "`canary`", "| canary | x", "# canary\n\n***",
    "{{canary()}}",
    "{% raw %}", "${canary()}", "$(canary)", "a\0b", "\r\n\r\ncanary",
)  # fmt: skip
INVISIBLE = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


class Tags(html.parser.HTMLParser):
    """The tags of a page with their counts, the names of attributes, and links that contain ``canary``."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: set[str] = set()
        self.links: set[str] = set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        for name, value in attrs:
            self.attributes.add(name)
            if name in ("href", "src", "action", "srcset") and "canary" in (value or ""):
                self.links.add(value or "")


def page_faults(text: str, sound: Tags) -> list[str]:
    found = Tags(text)
    faults = [f"a tag {tag}" for tag in found.tags if tag not in sound.tags]
    faults += [
        f"{tag} {found.tags[tag]} times"
        for tag in ("script", "style", "img", "iframe", "form")
        if found.tags[tag] != sound.tags[tag]
    ]
    faults += [f"an attribute {name}" for name in found.attributes - sound.attributes]
    return faults + [f"a link to {link}" for link in found.links]


def csv_faults(text: str) -> list[str]:
    rows = list(csv.reader(io.StringIO(text)))
    if len({len(row) for row in rows}) != 1:
        return ["rows of several lengths"]
    cells = [cell for row in rows for cell in row if cell[:1] in ("=", "+", "-", "@", "\t", "\r")]
    return [f"a cell {cell[:40]!r}" for cell in cells if not re.fullmatch(r"[-+]?[0-9.]+(e[-+]?[0-9]+)?|-?inf", cell)]


def c_faults(path: Path) -> list[str]:
    compiler = ["g++", "-x", "c++"] if path.suffix == ".cc" else ["gcc", "-x", "c", "-std=c11"]
    done = subprocess.run(
        [*compiler, "-trigraphs", "-fsyntax-only", "-I", str(path.parent), str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    return [f"{path.name}: {done.stderr[:200]}"] if done.returncode else []


def python_faults(text: str) -> list[str]:
    names = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    return ["run_example.py calls it"] if "canary" in names else []


def card_faults(text: str, sound: Tags | None) -> list[str]:
    import markdown

    found = Tags(markdown.markdown(text, extensions=["tables"]))
    if sound is None:
        return []
    return [f"the card has {tag}" for tag in found.tags if tag not in sound.tags] + [
        f"the card links to {link}" for link in found.links
    ]


def screen_faults(text: str) -> list[str]:
    return [
        f"the terminal gets {character!r}"
        for character in sorted(set(text))
        if character != "\n" and unicodedata.category(character) in INVISIBLE
    ]


class Injected:
    """A valid run, and a copy of it with a hostile string in one field."""

    def __init__(self, work: Path) -> None:
        folders = hostile_folders.Folders(work)
        self.sound, self.strange, self.out = folders.sound, folders.strange, work / "export"
        self.records = {name: RunFolder(self.sound).read(name) or {} for name in folders.names}
        self.fields = list(self._fields())
        self.pages: dict[str, Tags] = {}
        self.compiled: set[str] = set()  # hashes of C sources that were compiled without an error
        self.make(self.sound)
        self.pages = {"report": Tags((self.sound / "report.html").read_text())}
        import markdown

        self.pages["card"] = Tags(markdown.markdown((self.out / "MODEL_CARD.md").read_text(), extensions=["tables"]))

    def _fields(self) -> Iterator[tuple[str, tuple[Any, ...], bool]]:
        """The fields as (record, path, True for the name of the key or False for its value).

        Similar fields, such as those of several trials or list items, are yielded only once.
        """
        seen = set()
        for name, record in self.records.items():
            for path in hostile_folders.places(record):
                value = record
                for key in path:
                    value = value[key]
                alike = (name.partition("/")[0], *("#" if isinstance(key, int) else key for key in path))
                for is_key in (False, True):
                    if (alike, is_key) not in seen and isinstance(path[-1] if is_key else value, str):
                        seen.add((alike, is_key))
                        yield name, path, is_key

    def make(self, run: Path) -> str:
        """Make all output of a run. Returns the terminal output."""
        shutil.rmtree(self.out, ignore_errors=True)
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown):
            for arguments in (
                ["status"],
                ["report"],
                ["export", "--out", str(self.out), "--c-array", "--trial", "1"],
                ["compare", str(self.sound)],
            ):
                code = cli([arguments[0], str(run), *arguments[1:]])
                if code == 4:
                    raise RuntimeError(shown.getvalue()[-400:])
        return shown.getvalue()

    def judge(self, field: tuple[str, tuple[Any, ...], bool], payload: str) -> Verdict:
        name, path, is_key = field
        record = copy.deepcopy(self.records[name])
        inside: Any = record
        for key in path[:-1]:
            inside = inside[key]
        if is_key:
            inside[payload] = inside.pop(path[-1])
        else:
            inside[path[-1]] = payload
        shutil.rmtree(self.strange, ignore_errors=True)
        shutil.copytree(self.sound, self.strange)
        for stale in ("report.html", "trials.csv", "summary.json"):
            (self.strange / stale).unlink(missing_ok=True)
        record.pop("checksum", None)
        RunFolder(self.strange).write(name, record, durable=False)
        what = f"{name} {'key ' if is_key else ''}{path} {payload!r}"[:200]
        try:
            shown = self.make(self.strange)
        except Exception as error:
            return Verdict("injection", what, "internal", f"{type(error).__name__}: {error}"[:400])
        faults = screen_faults(shown)
        report, table, card = (self.strange / "report.html", self.strange / "trials.csv", self.out / "MODEL_CARD.md")
        made = [file for file in (report, table, card) if file.exists()]
        faults += page_faults(report.read_text(), self.pages["report"]) if report.exists() else []
        faults += csv_faults(table.read_text()) if table.exists() else []
        faults += card_faults(card.read_text(), self.pages["card"]) if card.exists() else []
        sources = sorted(self.out.glob("*.[hc]*"))
        code = hashlib.sha256(
            b"\0".join(file.name.encode() + b"\0" + file.read_bytes() for file in sources)
        ).hexdigest()
        if code not in self.compiled:  # most strings do not change the C sources, so they are not compiled again
            wrong = [text for file in sources for text in c_faults(file)]
            faults += wrong
            self.compiled |= set() if wrong else {code}
        example = self.out / "run_example.py"
        faults += python_faults(example.read_text()) if example.exists() else []
        return Verdict(
            "injection", what, "silent" if faults else "harmless" if made else "detected", "; ".join(faults)[:400]
        )


def injections(count: int, seed: int, done: int, work: Path) -> Iterator[Verdict]:
    """All fields in turn, each with a random payload."""
    made = Injected(work)
    for index in range(done, count):
        rng = random.Random(seed * 1_000_003 + index)
        yield made.judge(made.fields[index % len(made.fields)], rng.choice(PAYLOADS))
