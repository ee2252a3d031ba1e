"""``litetuner demo``: run a complete search in a few minutes, with included data and a small model."""

import shlex
import subprocess
from pathlib import Path
from typing import Annotated

import typer
from typer import Option

MAX_DROP = "1%"  # the baseline is within it, so that the demo always has a best file
TRIALS = 18  # enough for all kinds of recipes and some trials that the search itself proposes
SHORT = "Train a small classifier and search it: three minutes."


def demo(
    out: Annotated[str, Option("--out", help="The run folder.", metavar="DIR")] = "runs/demo",
    time_budget: Annotated[
        str | None, Option("--time-budget", help=f"Time for the search. [default: {TRIALS} trials]", metavar="TEXT")
    ] = None,
) -> int:
    """Train a small digit classifier, search compressions of it for three minutes, report and export the best file."""
    from litetuner.cli.search import conduct
    from litetuner.run import Run
    from litetuner.search.config.config import make_config

    inputs = Path(out).with_name(Path(out).name + "-inputs")
    model, data = inputs / "digits.keras", inputs / "digits.npz"
    length = {"trials": TRIALS} if time_budget is None else {"time_budget": time_budget}
    values = {"model": str(model), "data": str(data), "out": out, "max_drop": MAX_DROP}
    config = make_config(values | length, where="demo")
    _train(inputs, model)
    code = conduct(config)
    if code == 0:
        file = Run(out).export(Path(out) / "export", force=True)  # a longer demo may find another best file
        typer.echo(f"exported: {file}")
        named = f"{shlex.quote(str(model))} --data {shlex.quote(str(data))}"
        typer.echo(
            f"next, with your own files in place of these: litetuner search {named} --max-drop 1% --time-budget 10m"
        )
    return code


def _train(inputs: Path, model: Path) -> None:
    """Write data and model into ``inputs`` in a separate process. Raises ``HostError`` or ``RunError``."""
    from litetuner.live import Live
    from litetuner.spaces.errors import HostError
    from litetuner.spaces.jobs.safe_path import python_command, python_environment
    from litetuner.spaces.store import cannot_write

    try:
        inputs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(inputs, error) from error
    if model.exists():
        return
    command, environment = python_command("-m", "litetuner.demo", str(inputs)), python_environment()
    with Live() as live:
        live.doing("training the model of the demo on 997 handwritten digits")
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise HostError(
            f"the model of the demo cannot be trained: {lines[-1] if lines else 'no message'}. "
            "`litetuner doctor` checks the installation."
        )
