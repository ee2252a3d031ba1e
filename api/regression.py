"""``check``: has the best file of a run become worse than a stored result?"""

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
    """Compare the best file of a run with a stored result; ``Check.worse`` says whether something is worse beyond its interval.

    ``run`` is a run (default: the newest one), or a configuration (``CONFIG.toml``) whose search is run, or resumed, first,
    with ``keys`` instead of its own; ``progress`` shows that search. ``against`` is a ``summary.json`` that a run wrote, or
    another run. The metric is worse outside of the stored 95 % interval, a size by more than 5 %, the latency by more than 5
    % and its stored interval; where the machines differ, the speed relative to the baseline is compared instead. It is also
    worse where a best file was stored and no file is within the budgets any more.

    Raises ``RunError`` for a stored result that is none, or whose numbers do not mean the same, and what ``tune`` raises.
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
    """The summary in a file, or that of a run folder."""
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
