"""The target ``host``: the machine that litetuner runs on."""

import dataclasses
import os
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import psutil

from litetuner.objectives.runner import runner
from litetuner.objectives.targets import tiny_model
from litetuner.objectives.targets.limits import run_limited
from litetuner.objectives.targets.python_target import PythonTarget, check_hashes, document_of, timed_sha256
from litetuner.objectives.targets.target import Finding
from litetuner.spaces.errors import CandidateError, HostError, Lost
from litetuner.spaces.jobs.safe_path import python_command, python_environment

# The environment variables that the child process gets: the paths of Python and its libraries, and the language of
# messages. Variables that change how a library computes (OMP_*, TF_*, MALLOC_*, GLIBC_TUNABLES) are removed, because
# they would change the latency without any record of it.
KEPT_VARIABLES = "PATH HOME LANG LC_ALL LD_LIBRARY_PATH PYTHONHOME PYTHONPATH SYSTEMROOT TMPDIR TEMP"
MEMORY_SHARE = 0.8  # share of this machine's memory that a timing may use


@dataclasses.dataclass(frozen=True)
class Host(PythonTarget):
    """Runs ``objectives/runner/runner.py`` in a fresh process."""

    name: ClassVar[str] = "host"

    def check(self) -> list[Finding]:
        """See ``Target.check``: times a tiny model from end to end."""
        with tempfile.TemporaryDirectory() as folder:
            try:
                document = self._run(tiny_model.write(Path(folder)), None, 1)
            except (HostError, CandidateError) as error:
                return [Finding("timing", "fails", str(error))]
        return tiny_model.findings(document)

    def _run(self, file: Path, baseline: Path | None, threads: int) -> dict[str, Any]:
        expected = {path: timed_sha256(path) for path in (file, baseline) if path is not None}
        argv = python_command(str(Path(runner.__file__).resolve()), str(file.absolute()))
        argv += ["--baseline", str(baseline.absolute())] if baseline else []
        argv += [*self.runner_arguments(threads), "--parent", str(os.getpid())]
        document = document_of(file, *_finish(argv, self.timeout_seconds))
        check_hashes(document, expected, baseline, file)
        return document


def _finish(argv: list[str], timeout_seconds: float) -> tuple[int, str, str]:
    """Run a command in its own session, with limits. Returns exit code, standard output and standard error.

    The command and its children end when this call returns or when this process ends.
    """
    environment = {name: value for name, value in python_environment().items() if name in KEPT_VARIABLES.split()}
    memory = int(MEMORY_SHARE * psutil.virtual_memory().total)
    ended = run_limited(argv, seconds=timeout_seconds, memory_bytes=memory, environment=environment)
    if ended.code is None:
        raise Lost(f"timing {argv[3]} took more than {timeout_seconds:g} s and was stopped. Is the machine overloaded?")
    return ended.code, ended.output, ended.messages
