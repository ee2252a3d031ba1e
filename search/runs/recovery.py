"""Makes the study agree with the records after any end of a search. If both differ, the records are right."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from litetuner.search.runs.databases.database import StudyLocation
from litetuner.search.runs.databases.study_copy import StudyCopy
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runs.optuna_trials import Asked
from litetuner.search.trial import State, Trial
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.errors import HostError

UNFINISHED = "the search ended while it ran; it is asked again"
REMOVED = "its record was removed; it is asked again"


@dataclasses.dataclass(frozen=True)
class Recovered:
    """The result of ``recover``.

    ``renewed`` is true if the run has trials, but had other objectives or budgets so far. ``note`` says why the copy
    was filled again, and is empty if it was not.
    """

    copy: StudyCopy
    trials: list[Trial]  # all, without gaps in their numbers
    renewed: bool
    note: str


def recover(
    folder: RunFolder, trials: Sequence[Trial], location: StudyLocation, open_copy: Callable[[], StudyCopy]
) -> Recovered:
    """Open the copy of the study and make it agree with the records.

    A copy that is missing, damaged, or of another run is filled again from the records. A trial that has no record (the
    search ended while it ran, or its record was removed) becomes LOST, and is asked again.
    Raises ``HostError`` if the database or the disk cannot be used.
    """
    names = (folder.read("studies") or {}).get("names", [])  # read before anything is opened
    missing = bool(trials) and location.missing()
    copy, found, note, known = None, list(trials), "", False
    try:
        with location.errors():
            copy = open_copy()
            note = copy.difference(trials)
            asked = {} if note else copy.asked({trial.number for trial in trials})
            known = bool(asked)
            found = _complete(folder, trials, asked)
            if {number for number, (_, finished) in asked.items() if finished} - {trial.number for trial in trials}:
                note = "has trials whose records were removed"
            if not note:
                copy.fill(found)
    except HostError:
        raise
    except Exception as error:  # a damaged or foreign database can fail in any way
        note = f"cannot be used ({str(error).splitlines()[0][:200] if str(error) else type(error).__name__})"
    if note:
        name = "" if copy is None else copy.name
        if copy is not None:
            copy.close()
        with location.errors():
            location.put_aside(name)
            found = _complete(folder, found, {})
            copy = open_copy()
            copy.fill(found)
    if note or missing:
        note = f"{location.words} {note or 'is missing'}: it was filled again from the records of {len(found)} trials."
        folder.note("study filled again", reason=note)
    assert copy is not None
    renewed = bool(trials) and not known and copy.terms not in names
    if copy.terms not in names:
        folder.write("studies", {"names": [*names, copy.terms]})
    return Recovered(copy, found, renewed, note)


def _complete(
    folder: RunFolder, trials: Sequence[Trial], asked: Mapping[int, tuple[Asked | None, bool]]
) -> list[Trial]:
    """All trials, with a LOST one for every number without a record.

    If such a trial had duplicates, the first of them is no longer a duplicate, and the others become its duplicates.
    """
    records = {trial.number: trial for trial in trials}
    gone = [number for number in range(max([*records, *asked], default=-1) + 1) if number not in records]
    for number in gone:
        known, finished = asked.get(number, (None, True))
        known = known or Asked(number, Candidate(()), "sampler", {})
        reason = REMOVED if finished else UNFINISHED
        records[number] = Trial(
            number, known.candidate, State.LOST, known.origin, 0, reason=reason, params=known.params
        )
        folder.write_trial(records[number])
    heirs: dict[int, int] = {}
    for trial in sorted(trials, key=lambda item: item.number) if gone else ():
        if trial.duplicate_of in gone:
            heir = heirs.setdefault(trial.duplicate_of, trial.number)
            records[trial.number] = dataclasses.replace(trial, duplicate_of=None if heir == trial.number else heir)
            folder.write_trial(records[trial.number])
    return [records[number] for number in sorted(records)]
