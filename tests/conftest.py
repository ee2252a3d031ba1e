"""Options of the whole suite: the order of the files, and which litetuner is tested."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import pytest

# A busy machine is no fault of a test.
hypothesis.settings.register_profile("tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("tests")

ROOT = Path(__file__).resolve().parent.parent

# The slowest files, in the order in which parallel processes start them: a long file must not be the last one.
SLOWEST = (
    "tests/test_docs.py",
    "tests/api/test_tune.py",
    "tests/test_examples.py",
    "tests/recorded/test_artifacts.py",
    "tests/search/runtime/executors/test_ray.py",
    "tests/api/test_notebook.py",
    "tests/search/test_loop.py",
    "tests/spaces/steps/test_pipelines.py",
    "tests/spaces/steps/test_qat.py",
    "tests/spaces/test_new_steps.py",
    "tests/search/runtime/test_kill.py",
    "tests/search/runtime/executors/test_local.py",
    "tests/search/runtime/executors/test_suspension.py",
    "tests/search/test_in_flight.py",
    "tests/spaces/channels/test_oracle.py",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record", action="store_true", help="tests/recorded: write what is found, instead of comparing")
    parser.addoption(
        "--cpu", action="store_true", help="list the CPU seconds of files and tests, child processes included"
    )


def pytest_configure(config: pytest.Config) -> None:
    """``LITETUNER_INSTALLED=1``, set by ``make test``: the installed wheel must be tested, not the source tree."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what runs in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # as nohup starts what it runs
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if config.getoption("--cpu"):
        config.pluginmanager.register(_Cpu())
    if os.environ.get("LITETUNER_INSTALLED") == "1":
        import litetuner

        file = Path(litetuner.__file__).resolve()
        if file.is_relative_to(ROOT / "api"):
            raise pytest.UsageError(f"LITETUNER_INSTALLED=1, but {file} is the source tree: run `make test`")


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_the_disk() -> Iterator[None]:
    """Files are written as always, but not forced to the disk: a search does that some ten times a trial."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {ROOT / name: number for number, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


def _cpu_seconds() -> float:
    """User and system seconds of this process and of the children that it has waited for."""
    return sum(os.times()[:4])


class _Cpu:
    """CPU seconds of files and of the costliest phases of tests. With xdist they reach the controller in the phase's report."""

    def __init__(self) -> None:
        self._files: Counter[str] = Counter()
        self._phases: Counter[str] = Counter()
        self._before = _cpu_seconds()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        now = _cpu_seconds()
        report.cpu, self._before = now - self._before, now  # type: ignore[attr-defined]
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._files[report.nodeid.partition("::")[0]] += report.cpu  # type: ignore[attr-defined]
        self._phases[f"{report.nodeid} ({report.when})"] += report.cpu  # type: ignore[attr-defined]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for title, found in (("phases", self._phases.most_common(60)), ("files", self._files.most_common())):
            terminalreporter.section(f"CPU seconds of {title}")
            for name, seconds in found:
                terminalreporter.line(f"{seconds:8.1f} {name}")
        terminalreporter.line(f"{sum(self._files.values()):8.1f} in all")
