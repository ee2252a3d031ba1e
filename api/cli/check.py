"""``litetuner check``: fail if the best file is worse than a stored result."""

import json
from typing import Annotated

import typer
from typer import Argument, Option

SHORT = "Fail if the best file is worse than a stored result."


def check(
    source: Annotated[
        str | None,
        Argument(
            help="A run, or a configuration whose search is run first. [default: newest run]",
            metavar="[RUN | CONFIG.toml]",
        ),
    ] = None,
    against: Annotated[
        str, Option("--against", help="A summary.json that an earlier run wrote, or a run folder.", metavar="FILE.json")
    ] = "",
    as_json: Annotated[bool, Option("--json", help="Print the comparison as JSON.")] = False,
) -> int:
    """Compare the best file with a stored result; exits with 1 if a number is worse than its limit."""
    from litetuner.regression import check as compare_with
    from litetuner.spaces.errors import ConfigError

    if not against:
        raise ConfigError("check: give a stored result with --against, such as a copy of RUN/summary.json.")
    found = compare_with(source, against=against)
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=1))
    else:
        lines = [found.reason, *(change.words for change in found.changes), *(f"note: {note}" for note in found.notes)]
        verdict = "worse than the stored result" if found.worse else "not worse than the stored result"
        typer.echo("\n".join([*filter(None, lines), verdict]))
    return 1 if found.worse else 0
