"""A run's identity: hashes of everything that determines its numbers, computed without running the user's code."""

import ast
import hashlib
import importlib.util
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from litetuner.search.config.config import CHANGEABLE, Config
from litetuner.search.config.toml_file import nearest_file
from litetuner.search.runtime.executors import EXECUTORS
from litetuner.spaces.errors import ConfigError, DataError, ModelError, UsageError
from litetuner.spaces.jobs.python_functions import is_missing, is_python_function, missing_words
from litetuner.spaces.jobs.safe_path import user_folders
from litetuner.spaces.user_function import is_function

# Files, folders or functions. All other keys can name functions only.
SOURCES: dict[str, type[UsageError]] = {
    "model": ModelError,
    "data": DataError,
}


def identity(config: Config) -> dict[str, Any]:
    """The hashes that identify a run, by name.

    ``<key>_content`` is the sha256 of the model, of the data, and of each of the user's functions. ``sources`` has the
    sha256 of every file of these functions. ``simulated`` is there if the executor only simulates jobs. Raises
    ``ModelError`` or ``DataError`` for a file that cannot be read.
    """
    found: dict[str, Any] = {"simulated": True} if EXECUTORS[config.executor].simulated else {}
    sources: dict[str, str] = {}
    functions = user_functions(config)
    check_given(functions)
    for key, error in SOURCES.items():
        if key not in functions:
            found[f"{key}_content"] = _content(getattr(config, key), error, key)
    for key, given in functions.items():
        if is_python_function(given) and key not in SOURCES:
            continue  # its name is part of the identity, and contains the hash of its code
        files = {
            name: sha256
            for spec in named_functions(given)
            for name, sha256 in source_files(spec.partition(":")[0]).items()
        }
        # If there is no such module, a worker reports it later.
        found[f"{key.replace('_', '-')}_content"] = _digest(files) if files else given
        sources |= files
    return found | ({"sources": sources} if sources else {})


def user_functions(config: Config) -> dict[str, str]:
    """The values that name the user's functions (``module:function``), by key."""
    found = {}
    for key in sorted(set(type(config).model_fields) - CHANGEABLE):
        given = getattr(config, key)
        named = isinstance(given, str) and named_functions(given)
        if named and not (key in SOURCES and Path(given).exists()):
            found[key] = given
    return found


def check_given(functions: Mapping[str, str]) -> None:
    """Raise ``ConfigError`` if this process was not given Python objects that an earlier call was given."""
    missing = [
        missing_words(key, spec)
        for key, given in functions.items()
        for spec in named_functions(given)
        if is_missing(spec)
    ]
    if missing:
        raise ConfigError(" ".join(missing))


def named_functions(given: str) -> list[str]:
    """The functions that a value names.

    A value is ``module:function``, ``module:function@age`` for one output, or ``age=module:function,...`` for several.
    """
    parts = [part.rpartition("=")[2].partition("@")[0].strip() for part in given.split(",")]
    return [part for part in parts if is_function(part)]


def default_folder(config: Config, contents: dict[str, Any]) -> Path:
    """The default run folder: ``runs/<model file name>-<8 hex digits>``, a hash of all that must not change."""
    frozen = {name: value for name, value in config.model_dump(mode="json").items() if name not in CHANGEABLE}
    # The same path can be written in several ways, so the contents count instead.
    frozen |= {"model": Path(config.model).name, "data": Path(config.data).name} | contents
    stem = config.model.replace(":", "-") if is_function(config.model) else Path(config.model).stem
    safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in stem).strip(".-")[:60] or "model"
    return Path("runs") / f"{safe}-{_digest(frozen)[:8]}"


def source_files(module: str) -> dict[str, str]:
    """The sha256, by path, of a module and of the user's modules that it imports, also indirectly; nothing is imported.

    The user's modules are in ``user_folders``, such as the working folder and the folder of the script. If ``module``
    is not there, its whole installed package is hashed. Imports by a computed name are not found. Empty if there is no
    such module.
    """
    found: dict[str, str] = {}
    waiting, seen = [module], set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for path, inside in (pair for folder in user_folders() for pair in _files(Path(folder), name)):
            if inside.as_posix() not in found:
                text = path.read_bytes()
                found[inside.as_posix()] = hashlib.sha256(text).hexdigest()
                waiting += _imports(text, inside)
    return found or _installed(module.partition(".")[0])


def _files(folder: Path, module: str) -> list[tuple[Path, Path]]:
    """The existing files that ``import a.b`` runs (``a/__init__.py``, ``a/b.py``), with paths below ``folder``."""
    parts = module.split(".")
    places = [folder.joinpath(*parts[:count]) for count in range(1, len(parts) + 1)]
    either = [path for place in places for path in (place.with_name(f"{place.name}.py"), place / "__init__.py")]
    return [(path, path.relative_to(folder)) for path in either if path.is_file()]


def _imports(text: bytes, path: Path) -> Iterator[str]:
    """The modules that a file may import; for ``from a import b`` both ``a`` and ``a.b``."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return  # a worker reports the syntax error
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = path.parent.parts[: len(path.parent.parts) - node.level + 1] if node.level else ()
            base = ".".join([*package, *([node.module] if node.module else [])])
            yield from ([base] if base else [])
            yield from (f"{base}.{alias.name}".strip(".") for alias in node.names if alias.name != "*")


def _installed(package: str) -> dict[str, str]:
    try:
        spec = importlib.util.find_spec(package)
    except ValueError:  # a module that was created without a file
        return {}
    if spec is None:
        return {}
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    files = [path for folder in folders for path in folder.rglob("*.py")] or [Path(spec.origin or "")]
    return {f"installed {package}": _digest(sorted(map(_sha256, filter(Path.is_file, files))))}


def _content(source: str, error: type[UsageError], what: str) -> str:
    path = Path(source)
    try:
        if path.is_dir():
            inside = ((item.relative_to(path), item) for item in path.rglob("*"))
            files = {str(name): item for name, item in inside if not _hidden(name) and item.is_file()}
            with ThreadPoolExecutor() as pool:  # hashing releases the GIL
                return _digest(sorted(zip(files, pool.map(_sha256, files.values()), strict=True)))
        if path.is_file():
            return _sha256(path)
    except OSError as failure:
        raise error(f"{what}: {failure.filename or source} cannot be read: {failure.strerror}.") from failure
    names = [item.name for item in path.parent.iterdir()] if path.parent.is_dir() else []
    folder = "" if names else f" (nor does the folder {path.parent})"
    raise error(f"{what}: {source} does not exist{nearest_file(path, names)}{folder}")


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
