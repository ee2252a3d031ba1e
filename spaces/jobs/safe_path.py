"""The import path of child processes: installed modules first; the user's folders last, and only if they are needed."""

import os
import sys
from pathlib import Path

USER_FOLDERS = "LITETUNER_USER_FOLDERS"  # environment variable that passes the user's folders to child processes


def user_folders() -> list[str]:
    """Folders of the user's own modules: the working folder, the script's folder, relative entries of ``sys.path``."""
    if USER_FOLDERS in os.environ:
        return os.environ[USER_FOLDERS].split(os.pathsep)
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    folder = os.path.dirname(os.path.abspath(script)) if script else ""
    # Python has made the entries of PYTHONPATH absolute; an empty one means the working folder.
    entries = ["", *os.environ.get("PYTHONPATH", "").split(os.pathsep), *sys.path]
    found = (os.path.abspath(entry) for entry in entries if not os.path.isabs(entry) or entry == folder)
    return list(dict.fromkeys(found))


def installed_path() -> list[str]:
    """``sys.path`` without the user's folders; a folder that contains litetuner itself is kept."""
    own = Path(str(sys.modules["litetuner"].__file__)).parent
    users = {os.path.realpath(folder) for folder in user_folders()}
    keep = os.path.realpath(own.parent) if own.name == "litetuner" else None
    return [
        entry
        for entry in sys.path
        if os.path.isabs(entry) and (os.path.realpath(entry) not in users or os.path.realpath(entry) == keep)
    ]


def python_command(*arguments: str) -> list[str]:
    """A Python command that does not import from the working folder. Run it with ``python_environment()``."""
    return [sys.executable, "-P", *arguments]


def python_environment() -> dict[str, str]:
    """The environment variables of this process, for a child process with the same import path."""
    paths = {"PYTHONPATH": installed_path(), USER_FOLDERS: user_folders()}
    return os.environ | {name: os.pathsep.join(entries) for name, entries in paths.items()}
