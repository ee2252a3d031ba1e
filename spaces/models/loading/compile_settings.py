"""The compile settings of a model (loss, metrics), read as data: nothing is compiled, no code runs."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from litetuner.spaces.models.loading.keras2_files import h5_config


def stored_settings(path: Path) -> Mapping[str, Any] | None:
    """The compile settings in a readable ``.keras`` or ``.h5`` file; ``None`` if there are none."""
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            found = json.loads(archive.read("config.json")).get("compile_config")
    else:
        found = h5_config(path, "training_config") if path.is_file() and path.suffix != ".tflite" else None
    return found if isinstance(found, dict) else None


def settings_of(model: Any) -> Mapping[str, Any] | None:
    """The compile settings of a model in memory, as far as Keras can serialize them."""
    try:
        found = model.get_compile_config()
    except (AttributeError, TypeError, ValueError, NotImplementedError):  # not compiled, or a loss without a JSON form
        return None
    return found if isinstance(found, Mapping) else None
