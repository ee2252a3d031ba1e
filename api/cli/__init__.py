"""The command line: every command is parse, one call of the Python API, print. A new file registers its own command.

Standard output carries the result only; everything else goes to standard error.
"""

from __future__ import annotations

import sys
import traceback

import typer

from litetuner.spaces.errors import LitetunerError
from litetuner.spaces.registry import modules

INTERRUPTED = 130
INTERNAL = 4

app = typer.Typer(
    name="litetuner",
    help="Search TensorFlow Lite compression for a trained Keras model: accuracy, size and measured latency.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def _root() -> None:
    """Search TensorFlow Lite compression for a trained Keras model: accuracy, size and measured latency."""


for _module in modules(__name__, list(__path__)):
    if hasattr(_module, "register"):
        _module.register(app)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code: 0 done, 1 nothing feasible, 2 usage, 3 host, 4 internal, 130 interrupted."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """Run the command line and give its exit code; errors become one message on standard error."""
    debug = "--debug" in arguments
    try:
        code = app(arguments, standalone_mode=False)
        return int(code or 0)
    except LitetunerError as error:
        return _report(error, str(error), error.exit_code, debug)
    except typer.TyperException as error:
        return _report(error, error.format_message(), 2, debug)
    except (KeyboardInterrupt, typer.Abort) as error:
        return _report(error, "interrupted; repeat the command to go on where it stopped.", INTERRUPTED, debug)
    except BrokenPipeError:
        return 0  # the reader of our output has seen enough
    except Exception as error:
        hint = "This is a fault of litetuner; run again with --debug and report what it prints."
        return _report(error, f"internal error: {type(error).__name__}: {error}. {hint}", INTERNAL, debug)


def _report(error: BaseException, message: str, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    sys.stderr.write(message.rstrip() + "\n" if code == INTERRUPTED else f"error: {message.rstrip()}\n")
    return code
