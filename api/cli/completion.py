"""``litetuner completion``: a script that completes commands and flags in a shell."""

from __future__ import annotations

from typing import Annotated, Any

import typer

VALUES = {
    "--pick": ("best", "accurate", "balanced", "smallest", "fastest"),
    "--size": ("compressed", "file"),
    "--io": ("any", "float32", "int8", "uint8"),
    "--sampler": ("tpe", "nsga2", "random"),
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("completion", short_help="Print a completion script for bash, zsh or fish.")(completion)


def completion(
    context: typer.Context, shell: Annotated[str, typer.Argument(help="bash, zsh or fish.", metavar="SHELL")]
) -> None:
    """Print a completion script: eval "$(litetuner completion bash)"."""
    from litetuner.shells import SHELLS
    from litetuner.spaces.errors import ConfigError, nearest

    if shell not in SHELLS:
        raise ConfigError(f"completion: there is no {shell!r}{nearest(shell, SHELLS)} ({', '.join(SHELLS)})")
    root: Any = context.find_root().command
    typer.echo(SHELLS[shell]([_command(name, root.commands[name]) for name in sorted(root.commands)]), nl=False)


def _command(name: str, command: Any) -> Any:
    from litetuner.shells import SHELLS, Command, Flag

    flags = [
        Flag(
            names=tuple(spelt for spelt in (*option.opts, *option.secondary_opts) if spelt.startswith("--")),
            help=option.help or "",
            takes_value=not option.is_flag,
            values=VALUES.get(option.opts[0], ()),
        )
        for option in command.params
        if option.param_type_name == "option"
    ]
    flags.append(Flag(("--help",), "Show what the command does.", False))
    return Command(
        name, command.short_help or command.help or "", tuple(flags), tuple(SHELLS) if name == "completion" else ()
    )
