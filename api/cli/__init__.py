"""The command line: each command parses, calls the Python API once, and prints.

A command is a function with the name of its module. The list of commands shows ``SHORT`` of the module, or the
docstring of the command if there is no ``SHORT``.

Standard output carries only the result; everything else goes to standard error.
"""

import errno
import gc
import io
import os
import sys
import traceback
from typing import Annotated

import typer

from litetuner.cli.stopping import CODE, WORDS, Stop
from litetuner.spaces.errors import CandidateError, HostError, LitetunerError, UsageError, escaped, nearest
from litetuner.spaces.jobs.safe_path import installed_path
from litetuner.spaces.registry import modules
from litetuner.spaces.store import DISK_REFUSES

USAGE = 2
GIVEN = (errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES, errno.ENOTDIR)  # errors caused by a path that the user gave
INTERNAL = 4
INTERRUPTED = CODE
READING = (["status"], ["report"])  # short commands that read all records: garbage collection would only slow them down
COMPLETE = "_LITETUNER_COMPLETE"  # typer's completion scripts set it when a shell asks for completions

app = typer.Typer(
    name="litetuner",
    help="Search TensorFlow Lite compression for a trained Keras model: accuracy, size and measured latency.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        import litetuner

        typer.echo(f"litetuner {litetuner.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks; works with every command.")] = False,
) -> None:
    """Search TensorFlow Lite compression for a trained Keras model: accuracy, size and measured latency."""


for _module in modules(__name__, list(__path__)):
    _name = _module.__name__.rpartition(".")[2]
    if hasattr(_module, _name):
        app.command(_name, short_help=getattr(_module, "SHORT", None))(getattr(_module, _name))


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code.

    The codes are 0 done, 1 nothing feasible, 2 usage error, 3 host error, 4 internal error, 130 interrupted.
    """
    sys.path[:] = installed_path()
    stop = Stop()
    stop.install()
    arguments = sys.argv[1:] if arguments is None else arguments
    if reading := arguments[:1] in READING:
        gc.disable()
    code = run(arguments)
    if reading:
        gc.freeze()  # avoids the garbage collection that Python runs at exit
    stop.said()
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run the command line and return its exit code. Errors become one message on standard error."""
    debug = "--debug" in arguments
    # A character that the terminal's encoding does not have (such as an arrow) must not end a search.
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="replace")
    if not arguments and COMPLETE not in os.environ:
        return _show_help()
    try:
        for argument in arguments:
            if not argument.isascii() and any("\udc80" <= character <= "\udcff" for character in argument):
                known = sys.getfilesystemencoding() == "utf-8"
                remedy = "Rename the file." if known else "This locale has ASCII only: set LC_ALL=C.UTF-8."
                raise UsageError(f"the argument {argument[:80]!a} is not UTF-8. {remedy}")
        # ``app(...)`` is not used, because it has its own exit codes for Ctrl-C and a closed pipe.
        command = typer.main.get_command(app)
        if COMPLETE in os.environ:
            return int(command.main(prog_name="litetuner", complete_var=COMPLETE) or 0)
        with command.make_context("litetuner", _debug_first(arguments)) as context:
            code = command.invoke(context)
        sys.stdout.flush()  # so that a full disk or a closed pipe raises here, not at exit
        return int(code or 0)
    except CandidateError as error:  # outside of a search, the error is about the file that the user gave
        return _report(error, str(error), USAGE, debug)
    except LitetunerError as error:
        return _report(error, str(error), error.exit_code, debug)
    except typer.TyperException as error:
        return _report(error, _explain(error), USAGE, debug)
    except (KeyboardInterrupt, typer.Abort) as error:
        return _report(error, WORDS, INTERRUPTED, debug)
    except typer.Exit as done:  # after --help and --version
        return done.exit_code
    except SystemExit as done:  # after --show-completion and similar options
        return int(done.code or 0)
    except BrokenPipeError:
        _drop_output()
        return 0  # the process that reads the output has ended
    except Exception as error:
        if isinstance(error, OSError) and error.errno in DISK_REFUSES:
            _drop_output()
            what = f"{error.filename or 'standard output'} cannot be written: {error.strerror}. Free some space and repeat."
            return _report(error, what, HostError.exit_code, debug)
        if isinstance(error, OSError) and error.errno in GIVEN and error.filename:
            return _report(error, f"{str(error.filename)[:300]} cannot be used: {error.strerror}.", USAGE, debug)
        hint = "This is a bug in litetuner; run again with --debug and report the output."
        return _report(error, f"internal error: {type(error).__name__}: {error}. {hint}", INTERNAL, debug)


def _debug_first(arguments: list[str]) -> list[str]:
    """Move ``--debug`` to the front: it may be anywhere, but only ``search`` has it as its own option."""
    if "--debug" not in arguments or arguments[0] == "search":
        return arguments
    return ["--debug", *(argument for argument in arguments if argument != "--debug")]


def _explain(error: typer.TyperException) -> str:
    """The message of typer, with the most similar option or command and a hint about the help."""
    context, option = getattr(error, "ctx", None), getattr(error, "option_name", None)
    message = error.format_message().rstrip(".")
    if context is None:
        return f"{message}."
    if option is not None and message.startswith("No such option"):
        known = [name for parameter in context.command.params for name in parameter.opts if name.startswith("-")]
        bare = option.lstrip("-") in {parameter.name for parameter in context.command.params}
        hint = "; give the value without it" if bare else nearest(option, known)
        message = f"there is no option {option}{hint}"
    if message.startswith("Got unexpected extra argument") and context.info_name == "search":
        message += "; give the data with --data"
    if message.startswith("No such command"):
        name = message.split("'")[1]
        message += (
            " (did you mean 'search'?)"
            if name == "tune"
            else nearest(name, list(getattr(context.command, "commands", ())))
        )
    ending = "" if message.endswith("?") else "."
    return f"{message}{ending} See `{context.command_path} --help`."


def _show_help() -> int:
    """Print the help on standard error, for a call without a command."""
    command = typer.main.get_command(app)
    with typer.Context(command, info_name="litetuner") as context:
        sys.stderr.write(command.get_help(context) + "\n")
    return USAGE


def _drop_output() -> None:
    """Discard the rest of standard output. Otherwise Python would try to write it at exit, and print an error."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _report(error: BaseException, message: str, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    message = escaped(message.rstrip())
    sys.stderr.write(message + "\n" if code == INTERRUPTED else f"error: {message}\n")
    return code
