"""``check`` tests whether the best file of a run has become worse than a stored result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from litetuner.keys import SearchKeys, with_keys
from litetuner.run import Run
from litetuner.tuning import searched

if TYPE_CHECKING:
    from litetuner.reports.model.regression import Check


@with_keys(SearchKeys)
def check(
    run: Run | Path | str | None = None,
    *,
    against: Run | Path | str,
    progress: bool = True,
    **keys: Unpack[SearchKeys],
) -> Check:
    """Compare the best file of a run with a stored result; ``Check.worse`` is true if a number is worse than its limit.

    ``run`` is a run (default: the newest one), or a configuration (``CONFIG.toml``) whose search is run or resumed
    first; ``keys`` override its keys, and ``progress`` shows that search. ``against`` is a ``summary.json`` that a run
    wrote, or another run. The metric is worse if it is below the stored 95 % interval (above it, if the metric is
    minimized). A size is worse if it grew by more than 5 %. The latency is worse if it grew by more than 5 % and is
    above its stored interval. If the machines differ, the speed relative to the baseline is compared instead. The
    result is also worse if a best file was stored and no file is within the budgets any more.

    Raises ``RunError`` if ``against`` is not a stored result or its numbers have another meaning. Also raises the
    errors of ``tune``.
    """
    from litetuner.inputs import checked_config
    from litetuner.reports.model.regression import check_summaries
    from litetuner.search.config.toml_file import read_toml

    stored = against.summary() if isinstance(against, Run) else _stored(Path(against))
    if isinstance(run, str | Path) and Path(run).suffix == ".toml":
        run = searched(checked_config(read_toml(Path(run)) | keys, str(run)), progress)
    found = run if isinstance(run, Run) else Run(run)
    return check_summaries(found.summary(), stored, str(against.path if isinstance(against, Run) else against))


def _stored(path: Path) -> dict[str, Any]:
    """The summary in a file, or the summary of a run folder."""
    from litetuner.spaces.errors import RunError
    from litetuner.spaces.store import check_size

    if path.is_dir():
        return Run(path).summary()
    try:
        check_size(path, "It is not the summary of a run.")
        content = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise RunError(f"{path} does not exist. Every search writes RUN/summary.json: keep a copy of it.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path} is not a summary.json of a run: {error}.") from error
    if not isinstance(content, dict):
        raise RunError(f"{path} is not a summary.json of a run.")
    return content
