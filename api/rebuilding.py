"""``rebuild`` builds a trial's file again and compares it with the record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from litetuner.keys import GivenKeys, with_keys

if TYPE_CHECKING:
    from litetuner.search.listener import Listener
    from litetuner.search.runs.rebuild import Rebuilt


@with_keys(GivenKeys)
def rebuild(
    trial_json: Path | str,
    out: Path | str | None = None,
    *,
    trust: bool = False,
    force: bool = False,
    listener: Listener | None = None,
    **inputs: Unpack[GivenKeys],
) -> Rebuilt:
    """Build a trial's file again from its record, and compare both files.

    The jobs are those of the search, but its cache is not used.

    ``trial_json`` is the ``trial.json`` of a run, or of an export with its ``provenance.json`` in the same folder.
    ``inputs`` are ``model`` and ``data``, if they have moved, in the same forms as for ``tune`` (both are verified by
    sha256), and the Python objects that were passed to the run: ``metric``, ``preprocess``, ``loss``, ``fit``,
    ``custom_objects``. The file is written to ``out``, or into ``rebuilt/``. ``force`` replaces another file there.
    ``listener`` gets the events. ``trust`` allows the model file and the functions that the record names (such as
    metric and preprocessing) to execute code. ``Rebuilt.agrees`` is true if the file is identical, or, for a trained
    recipe, if its metric is within the recorded interval.

    Raises ``RunError`` for a record that cannot be used or that names functions that are not trusted, ``ConfigError``
    for a Python object that is missing or differs, ``ModelError`` or ``DataError`` if model or data are not those of
    the record, ``BuildFailed`` if the file cannot be made.
    """
    from litetuner.reports.export.file_names import artifact_name
    from litetuner.search.runs.rebuild import check_functions
    from litetuner.search.runs.rebuild import rebuild as make_again
    from litetuner.search.runs.rebuild_source import read_rebuild_source
    from litetuner.spaces.errors import RunError
    from litetuner.spaces.store import file_sha256

    given = _given(inputs)
    where = {name: given.get(name) for name in ("model", "data")}
    source = read_rebuild_source(Path(trial_json), trust=trust, **where)
    _check_same_functions(source.config, given)
    if not trust:
        check_functions(source, named=where)
    name = artifact_name(Path(source.config.model).name, source.candidate)
    file = Path(out) if out is not None else Path("rebuilt") / name
    if file.exists() and not force and (not file.is_file() or file_sha256(file) != source.sha256):
        raise RunError(f"{file} exists and is another file. Choose another --out, or replace it with --force.")
    return make_again(source, file, listener)


def _given(inputs: Mapping[str, Any]) -> dict[str, str]:
    """Model, data and functions as values of a configuration. Raises ``ConfigError`` for unknown names."""
    from litetuner.inputs import FUNCTIONS, as_data_source, as_keys, as_model_source
    from litetuner.spaces.errors import ConfigError, nearest

    known = ("model", "data", *FUNCTIONS)
    if unknown := [name for name in inputs if name not in known]:
        raise ConfigError(
            f"rebuild: there is no argument {unknown[0]!r}{nearest(unknown[0], known)} ({', '.join(known)})"
        )
    given = {name: value for name, value in as_keys(inputs).items() if value is not None}
    made: dict[str, Callable[[Any], str]] = {"model": as_model_source, "data": as_data_source}
    return {name: made.get(name, str)(value) for name, value in given.items()}


def _check_same_functions(config: Any, given: dict[str, str]) -> None:
    """Raise ``ConfigError`` if a Python object is not the one that the run used."""
    from litetuner.inputs import FUNCTIONS
    from litetuner.spaces.errors import ConfigError

    for key in FUNCTIONS:
        before = getattr(config, key)
        if key in given and given[key] != before:
            raise ConfigError(f"{key}: {given[key]} is not what the run used, which is {before}.")
