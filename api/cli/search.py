"""``litetuner search``: search compressions of a model. Its options are the keys of the configuration."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from litetuner.cli.options import with_keys
from litetuner.spaces.errors import ConfigError

SHORT = "Search compressions of a model within budgets."


@with_keys()
def search(
    source: Annotated[
        str | None,
        typer.Argument(
            help="The model; or a TOML file with the same keys, which flags override; or the folder of a run, to resume it.",
            metavar="[MODEL | CONFIG.toml | RUN]",
        ),
    ] = None,
    **keys: Any,
) -> int:
    """Search compressions of a model within budgets; repeating the same command resumes the run."""
    from litetuner.inputs import checked_config
    from litetuner.search.config.toml_file import read_toml

    given = {name: value for name, value in keys.items() if value not in (None, [])}
    check_not_readable(keys.get("storage"))
    if source is None:
        return conduct(checked_config(given, "search"))
    config = Path(source, "litetuner.toml") if Path(source, "litetuner.toml").is_file() else Path(source)
    if config.suffix == ".toml":
        return conduct(checked_config(read_toml(config) | given, str(config)))
    if "model" in given:
        raise ConfigError(f"search: two models are given, {source} and --model {given['model']}. Leave one out.")
    return conduct(checked_config({"model": source} | given, "search"))


def check_not_readable(storage: str | None) -> None:
    """Raise ``ConfigError`` for a password in the command line, because all users of the machine can read it there."""
    from litetuner.search.config.storage_url import split_password

    if storage and split_password(storage)[1] is not None:
        raise ConfigError(
            "storage: other users of this machine can read a password in a command line. Leave it out there, and put it "
            "into PGPASSWORD, ~/.pgpass or the URL in a TOML file."
        )


def conduct(config: Any) -> int:
    """Run a search with the live view, write the report, and print the result. Returns the exit code."""
    from litetuner.cli import INTERRUPTED
    from litetuner.live import Live

    with Live() as live:
        # These imports take about a second, so the display is started first.
        from litetuner.reporting import Reporting
        from litetuner.reports.files.summary import summary
        from litetuner.reports.html.report import write_report
        from litetuner.reports.terminal.progress import print_result
        from litetuner.search.run import run_search

        with Reporting(live) as reporting:
            outcome = run_search(config, reporting)
        live.doing("writing the report")
        write_report(outcome.record)
    if config.json_:
        json.dump(summary(outcome.record), sys.stdout, indent=1)
        sys.stdout.write("\n")
    else:
        print_result(outcome.record)
    if outcome.interrupted:
        return INTERRUPTED
    return 0 if outcome.record.picks else 1
