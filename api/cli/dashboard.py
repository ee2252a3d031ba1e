"""``litetuner dashboard``: show a run in optuna-dashboard, on this machine only."""

import os
import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

SHORT = "Show a run in optuna-dashboard; Ctrl-C stops it."


def dashboard(
    run: Annotated[str, typer.Argument(help="The run folder.", metavar="RUN")],
    port: Annotated[
        int, typer.Option("--port", help="The port to listen on; 0: any free port.", metavar="N", min=0, max=65535)
    ] = 8080,
) -> None:
    """Show a run in optuna-dashboard, also during the search; Ctrl-C stops it. Needs litetuner[dashboard]."""
    from litetuner.objectives.runner.machine import die_with
    from litetuner.search.runs.dashboard import serve

    die_with(os.getppid())  # the server ends when its terminal or script ends
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with serve(Path(run), port) as server:
        typer.echo(f"http://127.0.0.1:{server.server_port}/dashboard")
        typer.echo("Ctrl-C stops it. It shows a copy: changes there do not affect the run.", err=True)
        ended.wait()
