"""``litetuner demo``: a complete search on data and a model that are included, in a few minutes."""

import subprocess
from pathlib import Path
from typing import Annotated

import typer
from typer import Option

BUDGETS = {"max_drop": "1%", "max_compressed_size": "20kB"}
SHORT = "Train a small classifier and search it: three minutes."


def demo(
    out: Annotated[str, Option("--out", help="The run folder.", metavar="DIR")] = "runs/demo",
    time_budget: Annotated[str, Option("--time-budget", help="Time for the search.", metavar="TEXT")] = "150s",
) -> int:
    """Train a small digit classifier, search its compressions for about three minutes, report and export the best file."""
    from litetuner.cli.search import conduct
    from litetuner.run import Run
    from litetuner.search.config.config import make_config
    from litetuner.spaces.errors import HostError
    from litetuner.spaces.jobs.safe_path import python_command, python_environment
    from litetuner.spaces.store import cannot_write

    inputs = Path(out).with_name(Path(out).name + "-inputs")
    values = {"model": str(inputs / "digits.keras"), "data": str(inputs / "digits.npz"), "out": out}
    config = make_config(values | BUDGETS | {"time_budget": time_budget}, where="demo")
    try:
        inputs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(inputs, error) from error
    if not (inputs / "digits.keras").exists():
        typer.echo("training the model of the demo on 997 handwritten digits ...", err=True)
        command, environment = python_command("-m", "litetuner.demo", str(inputs)), python_environment()
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode:
            lines = done.stderr.strip().splitlines()
            raise HostError(
                f"the model of the demo cannot be trained: {lines[-1] if lines else 'no message'}. "
                "`litetuner doctor` checks the installation."
            )
    code = conduct(config)
    if code == 0:
        file = Run(out).export(Path(out) / "export", force=True)  # a longer demo may find another best file
        typer.echo(f"exported: {file}")
        typer.echo("next: litetuner search --model YOUR.keras --data YOUR.npz --max-drop 1% --time-budget 30m")
    return code
