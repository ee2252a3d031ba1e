"""Hooks of MkDocs: pages generated from the code, and files beside ``docs/`` that pages link to."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Any

from mkdocs.plugins import event_priority

ROOT = Path(__file__).parent.parent
BESIDE = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "examples", "benchmarks", "tests/README.md")
SUFFIXES = (".md", ".py", ".toml", ".csv", ".json", ".png")
LINK = re.compile(r"\]\((?![a-z]+:|#|/)([^)#\s]+)")
PLACE = "repository"  # where files beside docs/ stand in the site


@event_priority(100)  # before mkdocstrings reads its configuration
def on_config(config: Any) -> Any:
    """Let mkdocstrings find ``litetuner``, whose folder is ``api/``."""
    folder = Path(tempfile.mkdtemp(prefix="litetuner-docs-"))
    (folder / "litetuner").symlink_to(ROOT / "api")
    config.plugins["mkdocstrings"].config.handlers["python"]["paths"] = [str(folder)]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the generated reference, and the files beside ``docs/``."""
    from mkdocs.structure.files import File

    files.append(File.generated(config, "reference/cli.md", content=command_line()))
    files.append(File.generated(config, "reference/api.md", content=python_api()))
    for path in _beside():
        files.append(File.generated(config, f"{PLACE}/{path.as_posix()}", abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead links out of ``docs/`` to the copies in the site."""
    source = Path(page.file.src_uri)
    origin = source.relative_to(PLACE) if source.parts[0] == PLACE else Path("docs") / source
    known = set(_beside())

    def lead(match: re.Match[str]) -> str:
        target = Path(os.path.normpath(origin.parent / match[1]))
        if target.parts[0] == "docs":
            place = target.relative_to("docs")
        elif target in known:
            place = Path(PLACE) / target
        else:
            return match[0]
        return f"]({os.path.relpath(place, source.parent)}"

    return LINK.sub(lead, markdown)


def _beside() -> list[Path]:
    found: list[Path] = []
    for name in BESIDE:
        path = ROOT / name
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        found += [item.relative_to(ROOT) for item in inside if item.is_file() and item.suffix in SUFFIXES]
    return [path for path in found if "runs" not in path.parts and "__pycache__" not in path.parts]


def python_api() -> str:
    """One entry for each public name of the package."""
    import litetuner

    names = [name for name in litetuner.__all__ if not name.startswith("_")]
    errors = [name for name in names if name.endswith("Error")]
    lines = ["# Python API", "", "`import litetuner` loads neither TensorFlow nor Optuna.", ""]
    lines += [f"::: {_home(name)}\n" for name in names if name not in errors]
    lines += ["## Errors", "", "| error | when |", "|---|---|"]
    lines += [f"| `{name}` | {_first(getattr(litetuner, name).__doc__)} |" for name in errors]
    return "\n".join(lines) + "\n"


def _home(name: str) -> str:
    import litetuner

    found = getattr(litetuner, name)
    return f"{getattr(found, '__module__', 'litetuner')}.{name}"


def _first(text: str | None) -> str:
    return " ".join((text or "").split("\n\n")[0].split()).replace("|", "\\|").replace("``", "`")


def command_line() -> str:
    """Every command with its arguments and options, from the parser itself."""
    import typer

    from litetuner.cli import app

    group: Any = typer.main.get_command(app)
    lines = [
        "# Command line",
        "",
        "Generated from the parser. Exit codes: 0 done; 1 ran, but nothing is feasible; 2 usage; ",
    ]
    lines[-1] += "3 environment or target; 4 internal error; 130 interrupted."
    for name in sorted(group.commands):
        lines += ["", *_command(name, group.commands[name])]
    return "\n".join(lines) + "\n"


def _command(name: str, command: Any) -> list[str]:
    context = command.make_context(name, [], resilient_parsing=True)
    usage = " ".join(["litetuner", name, *command.collect_usage_pieces(context)])
    lines = [f"## litetuner {name}", "", _cell(command.help or ""), "", f"`{usage}`", ""]
    rows = [row for parameter in command.params if (row := _parameter(parameter))]
    return lines + (["| | meaning | default |", "|---|---|---|", *rows] if rows else [])


def _parameter(parameter: Any) -> str:
    if parameter.hidden:
        return ""
    if parameter.param_type_name == "argument":
        return f"| `{parameter.metavar or parameter.name.upper()}` | {_cell(parameter.help or '')} | |"
    flags = ", ".join(f"`{flag}`" for flag in parameter.opts)
    metavar = "" if parameter.is_flag else f" `{parameter.metavar or 'VALUE'}`"
    value = parameter.default
    shown = "" if value in (None, False, (), []) or callable(value) else f"`{value}`"
    return f"| {flags}{metavar} | {_cell(parameter.help or '')} | {shown} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
