"""The rows of a search: aligned below their titles, at every width, and on one line in a log."""

from __future__ import annotations

from litetuner.reports.terminal.trial_rows import NARROW, clock, trial_header, trial_line
from litetuner.search.runs.record import RunRecord


def test_rows_are_aligned_below_their_titles(run_of_forty: RunRecord) -> None:
    trials = run_of_forty.trials
    header = trial_header("accuracy", True)
    wrong = []
    for trial in trials:
        line = trial_line(trial, trials)
        label = len(header) - len("candidate")
        if "\n" in line or line[label - 2 : label] != "  " or line[label] == " ":
            wrong.append(line)
        if line.split()[0] != str(trial.number) or line.split()[1] != clock(trial.seconds_since_start):
            wrong.append(line)
    assert not wrong, "\n".join([header, *wrong])


def test_rows_fit_into_the_terminal(run_of_forty: RunRecord) -> None:
    trials = run_of_forty.trials
    for width in (60, 80, NARROW, 120):
        lines = [trial_header("accuracy", True, width=width)]
        lines += [part for trial in trials for part in trial_line(trial, trials, width=width).split("\n")]
        long = [line for line in lines if len(line) > width]
        assert not long, f"{width}: {long}"
        words = " ".join(" ".join(lines).split())
        assert all(trial.candidate.label.split()[-1] in words for trial in trials)


def test_what_is_said_beside_the_numbers(run_of_forty: RunRecord) -> None:
    trials = run_of_forty.trials
    assert trial_line(trials[0], trials).endswith("(baseline)")
    over = next(trial for trial in trials if trial.number and max(trial.constraints.values(), default=0) > 0)
    assert "(over max-" in trial_line(over, trials)
    stopped = next(trial for trial in trials if not trial.state.scored)
    assert f"({stopped.state.lower()}" in trial_line(stopped, trials)


def test_the_clock() -> None:
    assert [clock(seconds) for seconds in (0, 7.4, 222, 3725)] == ["0:00", "0:07", "3:42", "1:02:05"]
