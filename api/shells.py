"""Completion scripts for shells, written from the commands as they are: nothing of litetuner starts when Tab is pressed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence


@dataclasses.dataclass(frozen=True)
class Flag:
    """An option: its spellings, what it is for, whether a value follows, and which values where they are few."""

    names: tuple[str, ...]
    help: str
    takes_value: bool
    values: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Command:
    """A command with its flags, and the words that its arguments may be where they are few (else they are files)."""

    name: str
    help: str
    flags: tuple[Flag, ...]
    words: tuple[str, ...] = ()


def bash(commands: Sequence[Command]) -> str:
    """For bash 4 and later."""
    cases, values = [], []
    for command in commands:
        flags = " ".join(name for flag in command.flags for name in flag.names)
        cases.append(f'    {command.name}) flags="{flags}"; words="{" ".join(command.words)}" ;;')
    for flag in _with_values(commands):
        values.append(
            f'    {"|".join(flag.names)}) COMPREPLY=($(compgen -W "{" ".join(flag.values)}" -- "$current")); return ;;'
        )
    names = " ".join(command.name for command in commands)
    return f"""# litetuner: completion for bash. Put into ~/.bashrc:  eval "$(litetuner completion bash)"
_litetuner() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" flags="" words=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{names} --help --version --debug" -- "$current")); return
  fi
  case "$before" in
{chr(10).join(values)}
    *) ;;
  esac
  case "${{COMP_WORDS[1]}}" in
{chr(10).join(cases)}
    *) ;;
  esac
  case "$current" in
    -*) COMPREPLY=($(compgen -W "$flags" -- "$current")) ;;
    *) COMPREPLY=($(compgen -W "$words" -- "$current") $(compgen -f -- "$current")) ;;
  esac
}}
complete -o filenames -o bashdefault -F _litetuner litetuner
"""


def zsh(commands: Sequence[Command]) -> str:
    """For zsh, by its own ``_arguments`` and ``_describe``."""
    named = "\n".join(f"    {_quoted(f'{command.name}:{_plain(command.help)}')}" for command in commands)
    cases = []
    for command in commands:
        lines = [f"{_quoted(_zsh_flag(name, flag))}" for flag in command.flags for name in flag.names]
        rest = f"'*:argument:({' '.join(command.words)})'" if command.words else "'*:file:_files'"
        cases.append(f"    {command.name})\n      _arguments {' '.join([*lines, rest])} ;;")
    return f"""#compdef litetuner
# litetuner: completion for zsh. Put into ~/.zshrc, after compinit:  eval "$(litetuner completion zsh)"
_litetuner() {{
  local -a commands
  commands=(
{named}
  )
  if (( CURRENT == 2 )); then
    _describe 'command' commands
    return
  fi
  local command="$words[2]"
  shift words
  (( CURRENT -= 1 ))
  case "$command" in
{chr(10).join(cases)}
    *) _files ;;
  esac
}}
compdef _litetuner litetuner
"""


def fish(commands: Sequence[Command]) -> str:
    """For fish."""
    lines = ["# litetuner: completion for fish. Put into config.fish:  litetuner completion fish | source"]
    for command in commands:
        lines.append(
            f"complete -c litetuner -n __fish_use_subcommand -f -a {command.name} -d {_quoted(_plain(command.help))}"
        )
        seen = f"'__fish_seen_subcommand_from {command.name}'"
        if command.words:
            lines.append(f"complete -c litetuner -n {seen} -f -a {_quoted(' '.join(command.words))}")
        for flag in command.flags:
            value = " -r" if flag.takes_value else ""
            value += f" -f -a {_quoted(' '.join(flag.values))}" if flag.values else ""
            for name in flag.names:
                lines.append(f"complete -c litetuner -n {seen} -l {name[2:]}{value} -d {_quoted(_plain(flag.help))}")
    return "\n".join(lines) + "\n"


SHELLS: Mapping[str, Callable[[Sequence[Command]], str]] = {"bash": bash, "zsh": zsh, "fish": fish}


def _with_values(commands: Sequence[Command]) -> list[Flag]:
    """The flags that have a few values, each once."""
    found: dict[tuple[str, ...], Flag] = {}
    for command in commands:
        found |= {flag.names: flag for flag in command.flags if flag.values}
    return list(found.values())


def _zsh_flag(name: str, flag: Flag) -> str:
    text = f"{name}[{_plain(flag.help).replace('[', '(').replace(']', ')')}]"
    if not flag.takes_value:
        return text
    return f"{text}:value:({' '.join(flag.values)})" if flag.values else f"{text}:value:_files"


def _plain(text: str) -> str:
    """A help text on one line, its first sentence, without what shells read."""
    first = " ".join(text.split()).partition(". ")[0].rstrip(".")
    return "".join(c for c in first if c not in "'\"`$\\:")[:90]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "") + "'"
