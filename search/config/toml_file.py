"""The configuration as a TOML file."""

import difflib
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tomlkit

from litetuner.search.config.config import Config
from litetuner.spaces.errors import ConfigError
from litetuner.spaces.store import seal_of

NEAR = 0.7  # lowest ratio of difflib: one or two letters differ


def read_toml(path: Path) -> dict[str, Any]:
    """The keys of a TOML file, at top level or in a ``[litetuner]`` or ``[search]`` table. Raises ``ConfigError``."""
    try:
        content = path.read_bytes()
        values = tomllib.loads(content.decode())
        sealed = seal_of(content)
    except FileNotFoundError as error:
        names = [item.name for item in path.parent.iterdir()] if path.parent.is_dir() else []
        raise ConfigError(f"config: {path} does not exist{nearest_file(path, names) or '.'}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"config: {path} is not a TOML file: {error}") from error
    except ValueError as error:
        raise ConfigError(
            f"config: {path} is not as a search wrote it: {error}. If it was edited on purpose, remove its last line."
        ) from error
    if sealed is not None and (path.parent / "identity.json").exists():
        values["out"] = str(path.parent)  # the run folder may have been moved or copied
    for table in ("litetuner", "search"):
        if isinstance(values.get(table), dict):
            values = values | values.pop(table)
    return values


def to_toml(config: Config) -> str:
    """The resolved configuration as TOML; reading it gives the same configuration."""
    values = config.model_dump(by_alias=True, exclude_none=True)
    return tomlkit.dumps({name.replace("_", "-"): value for name, value in values.items()})


def nearest_file(path: Path, names: Iterable[str]) -> str:
    """A `` (did you mean ...?)`` with the most similar name of the same suffix or stem, or an empty string."""
    same = [name for name in names if Path(name).suffix.lower() == path.suffix.lower() or Path(name).stem == path.stem]
    found = difflib.get_close_matches(path.name, same, n=1, cutoff=NEAR)
    found = found or [name for name in same if Path(name).stem == path.stem]
    return f" (did you mean {found[0]!r}?)" if found else ""
