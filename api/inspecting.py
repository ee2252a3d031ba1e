"""``inspect`` lists the layers of a model and the steps that each allows, before a search."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from litetuner.keys import ReadingKeys, with_keys

if TYPE_CHECKING:
    from litetuner.spaces.info import DataInfo, ModelInfo


@with_keys(ReadingKeys)
def inspect(model: Any, data: Any = None, **keys: Unpack[ReadingKeys]) -> tuple[ModelInfo, DataInfo | None]:
    """List the layers of a model and the steps that each allows. ``data`` is read and checked as for a search.

    ``model`` and ``data`` are the same as for ``tune``. ``keys`` are the keys of a search that say how they are read,
    and its limits on time and memory. Without ``data``, the only user code that runs is the model's own
    (``module:function``) and ``custom_objects``. Raises ``UsageError`` for input that cannot be used, ``HostError`` if
    this machine does not work.
    """
    from litetuner.inputs import as_values, checked_config
    from litetuner.search.listener import Listener
    from litetuner.search.session import describe_model, open_session, temporary_folder

    given = as_values(model, "none" if data is None else data, keys)  # "none": a configuration must have data
    config = checked_config(given, "inspect", data=data is not None)
    with temporary_folder(Path(tempfile.gettempdir()), "litetuner-inspect-", "TMPDIR") as folder:
        if data is None:
            return describe_model(config, folder), None
        with open_session(config, folder, Listener()) as session:
            inspection = session.services.inspection
            return inspection.model, inspection.data
