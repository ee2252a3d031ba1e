"""What Python imports from: the folders of installed modules first; the user's folders last, and only where they are needed."""

import os
import sys
from pathlib import Path

USER_FOLDERS = "LITETUNER_USER_FOLDERS"  # how a child knows the folders of its parent


def user_folders() -> list[str]:
    """Where the user's own modules are: the working folder, that of the script, relative entries of ``sys.path``."""
    if USER_FOLDERS in os.environ:
        return os.environ[USER_FOLDERS].split(os.pathsep)
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    folder = os.path.dirname(os.path.abspath(script)) if script else ""
    # Python has made the entries of PYTHONPATH absolute; an empty one means the working folder.
    entries = ["", *os.environ.get("PYTHONPATH", "").split(os.pathsep), *sys.path]
    found = (os.path.abspath(entry) for entry in entries if not os.path.isabs(entry) or entry == folder)
    return list(dict.fromkeys(found))


def installed_path() -> list[str]:
    """``sys.path`` without the user's folders; one that holds litetuner itself stays."""
    own = Path(str(sys.modules["litetuner"].__file__)).parent
    users = {os.path.realpath(folder) for folder in user_folders()}
    keep = os.path.realpath(own.parent) if own.name == "litetuner" else None
    return [
        entry
        for entry in sys.path
        if os.path.isabs(entry) and (os.path.realpath(entry) not in users or os.path.realpath(entry) == keep)
    ]


def python_command(*arguments: str) -> list[str]:
    """A command of this Python that does not import from the working folder; give it ``python_environment()``."""
    return [sys.executable, "-P", *arguments]


def python_environment() -> dict[str, str]:
    """Our environment, for a child that imports what we would."""
    paths = {"PYTHONPATH": installed_path(), USER_FOLDERS: user_folders()}
    return os.environ | {name: os.pathsep.join(entries) for name, entries in paths.items()}
