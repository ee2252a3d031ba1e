"""What can be done to each layer of a model, before a search."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from litetuner.spaces.info import DataInfo, ModelInfo


def inspect(model: Any, data: Any = None, **keys: Any) -> tuple[ModelInfo, DataInfo | None]:
    """The layers of a model and which steps suit them; with ``data`` these are read and checked as for a search.

    ``model`` and ``data`` are what ``tune`` takes.
    ``keys`` are those of a search that say how model and data are read: ``metric``, ``task``, ``threshold``, ``preprocess``,
    ``custom_objects``, ``trust_model``; and ``time_budget`` and ``max_job_memory``, its limits.
    Without ``data`` no code of the user runs but the model's own (``module:function``)
    and ``custom_objects``. Raises ``UsageError`` for what cannot be used, ``HostError`` when this machine does not work.
    """
    from litetuner.inputs import as_values, checked_config
    from litetuner.search.listener import Listener
    from litetuner.search.session import describe_model, open_session, temporary_folder

    given = as_values(model, "none" if data is None else data, keys)  # a configuration has data
    config = checked_config(given, "inspect", data=data is not None)
    with temporary_folder(Path(tempfile.gettempdir()), "litetuner-inspect-", "TMPDIR") as folder:
        if data is None:
            return describe_model(config, folder), None
        with open_session(config, folder, Listener()) as session:
            inspection = session.services.inspection
            return inspection.model, inspection.data
