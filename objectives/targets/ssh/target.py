"""A remote machine with Python and ai-edge-litert, accessed with the system's ``ssh`` and ``scp``."""

import dataclasses
import functools
import hashlib
import importlib.metadata
import ipaddress
import re
import secrets
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from litetuner.objectives.runner import runner
from litetuner.objectives.targets import tiny_model
from litetuner.objectives.targets.connection import PAUSES_SECONDS, Dropped, retry
from litetuner.objectives.targets.options import check_path
from litetuner.objectives.targets.python_target import PythonTarget, check_hashes, document_of, timed_sha256
from litetuner.objectives.targets.ssh.client import PYTHON_REMEDY, SshClient
from litetuner.objectives.targets.target import ADDRESS, Finding
from litetuner.spaces.errors import CandidateError, ConfigError, HostError, Lost

LOOPBACK = ("localhost", "127.0.0.1", "::1")
HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9])?")
USER = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,62}[A-Za-z0-9_])?")
SPEC = re.compile(r"//(?:(?P<user>[^@]*)@)?(?P<host>\[[^\]]*\]|[^:\[\]]*)(?::(?P<port>.*))?", re.DOTALL)
PYTHON = re.compile(r"python(3(\.[0-9]{1,2})?)?")
FOLDER = re.compile(r"/?[A-Za-z0-9_.][A-Za-z0-9_.-]*(/[A-Za-z0-9_.][A-Za-z0-9_.-]*)*")  # safe in a shell command
PUSH_BYTES_A_SECOND = 100_000  # a slower copy is aborted
ANSWER_SECONDS = 60.0  # time limit of a call without any work, in addition to the timing itself


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ssh(PythonTarget):
    """``ssh://[user@]host[:port]``: the runner and the files are copied under their sha256, verified and timed there.

    ``python`` is the remote Python. ``folder`` is litetuner's folder on the remote machine (relative to the home
    folder, or absolute). ``config`` is an ssh configuration file that replaces the user's own. A dropped connection is
    retried three times; then ``TargetLost`` is raised.
    """

    name: ClassVar[str] = "ssh"
    alone: ClassVar[bool] = False
    host: str = dataclasses.field(metadata=ADDRESS)
    user: str | None = dataclasses.field(default=None, metadata=ADDRESS)
    port: int | None = dataclasses.field(default=None, metadata=ADDRESS)
    python: str = "python3"
    folder: str = ".cache/litetuner"
    config: Path | None = None
    connect_seconds: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not HOST.fullmatch(self.host) and not _is_address(self.host):
            raise self.error(f"{self.host[:80]!r} is no host name or address, such as pi.local.")
        if self.user is not None and not USER.fullmatch(self.user):
            raise self.error(f"{self.user[:80]!r} is no user name.")
        if self.port is not None and not 1 <= self.port <= 65535:
            raise self.error(f"the port must be 1 to 65535, not {self.port}.")
        if not PYTHON.fullmatch(self.python):
            check_path("target ssh: python, unless a name such as python3.11,", self.python)
        if not FOLDER.fullmatch(self.folder) or ".." in self.folder.split("/") or len(self.folder) > 500:
            raise self.error(f"folder must be a path of letters, digits and _ . - /, not {self.folder[:80]!r}.")
        if self.config is not None:
            check_path("target ssh: config", str(self.config))
        if not 0 < self.connect_seconds <= 600:
            raise self.error(f"connect_seconds must be above 0 and at most 600, not {self.connect_seconds!r}.")

    @classmethod
    def from_spec(cls, rest: str, options: Mapping[str, str]) -> Self:
        """See ``Target.from_spec``; ``rest`` is ``//[user@]host[:port]``."""
        found = SPEC.fullmatch(rest)
        if found is None:
            raise ConfigError(f"target: write ssh://user@host, or ssh://user@host:port, not {'ssh:' + rest[:80]!r}.")
        host, port = found["host"], found["port"]
        if port is not None and not (port.isascii() and port.isdecimal() and len(port) < 6):
            raise ConfigError(f"target ssh: the port must be 1 to 65535, not {port[:80]!r}.")
        plain = host[1:-1] if host.startswith("[") else host
        return cls(host=plain, user=found["user"], port=None if port is None else int(port), **cls.parse(options))

    @property
    def default_name(self) -> str:
        """The first part of the host name (``pi`` for pi.local), or the IP address with dashes instead of colons."""
        if _is_address(self.host):
            return self.host.replace(":", "-").strip("-")
        return self.host.split(".")[0]

    @property
    def on_this_machine(self) -> bool:
        return self.host in LOOPBACK

    @property
    def address(self) -> str:
        return self.client.address

    @property
    def client(self) -> SshClient:
        return SshClient(self.host, self.user, self.port, self.config, self.connect_seconds)

    def check(self) -> list[Finding]:
        """See ``Target.check``: checks the connection, Python, its packages and our folder, and times a tiny model."""
        start = time.monotonic()
        try:
            about = self._ask({}, [])["about"]
        except Dropped as error:
            remedy = f"Is it switched on and in this network? By hand: {self.client.by_hand()}"
            return [Finding("connection", "fails", str(error), remedy)]
        except HostError as error:
            return [Finding("connection", "fails", str(error))]
        took = time.monotonic() - start
        found = [Finding("connection", "works", f"{self.address} answers in {took:.1f} s")]
        python = f"{about['executable']}, Python {about['python']} on {about['machine']}"
        found.append(Finding("python", "works", python))
        lacking = _lacking(about)
        if lacking:
            return [*found, Finding("packages", "fails", lacking, PYTHON_REMEDY)]
        found.append(_compare_runtimes(about))
        with tempfile.TemporaryDirectory() as folder:
            file = tiny_model.write(Path(folder))
            try:
                document = self._once(file, None, 1)
            except (Dropped, HostError, CandidateError) as error:
                return [*found, Finding("timing", "fails", str(error))]
        return [*found, *tiny_model.findings(document)]

    def _run(self, file: Path, baseline: Path | None, threads: int) -> dict[str, Any]:
        work = functools.partial(self._once, file, baseline, threads)
        return retry(work, PAUSES_SECONDS, self.address, self.client.by_hand())

    def _once(self, file: Path, baseline: Path | None, threads: int) -> dict[str, Any]:
        """Copy missing files, run the runner, and check that it timed the requested files."""
        models = {path: timed_sha256(path) for path in (file, baseline) if path is not None}
        names = {path: f"{digest}.tflite" for path, digest in models.items()}
        parts, script = _runner_parts()
        argv = [f"{{{script}}}", f"{{{names[file]}}}", *(["--baseline", f"{{{names[baseline]}}}"] if baseline else [])]
        sources = {names[path]: path for path in models} | parts
        answer = self._ask(sources, argv + self.runner_arguments(threads))
        if "timeout" in answer:
            raise Lost(f"timing {file} on {self.address} took more than {self.timeout_seconds:g} s and was stopped.")
        ran = answer["run"]
        document = document_of(file, ran["code"], ran["output"], ran["messages"])
        check_hashes(document, models, baseline, file)
        document["environment"] |= {"host": self.host, **{key: ran[key] for key in ("waited_seconds", "safe_path")}}
        return document

    def _ask(self, sources: dict[str, Path], argv: list[str]) -> dict[str, Any]:
        """Let ``remote.py`` run ``argv``. Files of ``sources`` that are missing there are copied first."""
        digests = {name: timed_sha256(path) for name, path in sources.items()}
        incoming = f"in-{secrets.token_hex(8)}"
        request: dict[str, Any] = {"folder": self.folder, "incoming": incoming, "files": digests, "argv": argv}
        request["timeout_seconds"] = self.timeout_seconds
        answer = self._call(request)
        if answer.get("missing"):
            self._push({digests[name]: sources[name] for name in answer["missing"]}, incoming, answer)
            answer = self._call(request)
        if answer.get("missing"):
            raise Dropped(f"{self.address}: {', '.join(answer['broken'] or answer['missing'])} did not arrive whole")
        return answer

    def _call(self, request: dict[str, Any]) -> dict[str, Any]:
        answer = self.client.call(self.python, request, self.connect_seconds + self.timeout_seconds + ANSWER_SECONDS)
        if "error" in answer:
            raise HostError(f"{self.address}: {answer['error']}. Its folder {self.folder!r} is chosen by ?folder=.")
        if request["argv"] and (lacking := _lacking(answer["about"])):
            raise HostError(f"{self.address}: {lacking}. {PYTHON_REMEDY}")
        return answer

    def _push(self, files: dict[str, Path], incoming: str, answer: dict[str, Any]) -> None:
        needed, free = sum(path.stat().st_size for path in files.values()), answer["free_bytes"]
        if needed > free:
            raise HostError(f"{self.address}: {needed} bytes are to be pushed and {free} are free. Make room there.")
        with tempfile.TemporaryDirectory() as stage:
            # The copies are named by their hashes, so that the user's file names are never part of a command.
            for digest, path in files.items():
                (Path(stage) / digest).symlink_to(path.absolute())
            timeout = self.connect_seconds + ANSWER_SECONDS + needed / PUSH_BYTES_A_SECOND
            self.client.push([Path(stage) / digest for digest in files], f"{self.folder}/{incoming}", timeout)


def _runner_parts() -> tuple[dict[str, Path], str]:
    """The runner's files by remote name, in a folder that is named by their content; and the name of the script."""
    here = Path(runner.__file__).resolve().parent
    digest = hashlib.sha256(b"\0".join((here / name).read_bytes() for name in runner.FILES)).hexdigest()[:16]
    return {f"runner-{digest}/{name}": here / name for name in runner.FILES}, f"runner-{digest}/{runner.FILES[0]}"


def _lacking(about: dict[str, Any]) -> str:
    missing = [name for name in ("ai-edge-litert", "numpy") if about[name] is None]
    return f"{about['executable']} has no {' and no '.join(missing)}" if missing else ""


def _compare_runtimes(about: dict[str, Any]) -> Finding:
    theirs, ours = about["ai-edge-litert"], importlib.metadata.version("ai-edge-litert")
    if theirs == ours:
        return Finding("packages", "works", f"ai-edge-litert {theirs}, numpy {about['numpy']}")
    remedy = f"If what ships is {ours}: {about['executable']} -m pip install ai-edge-litert=={ours}"
    return Finding("packages", "note", f"ai-edge-litert {theirs} there, {ours} here, whose kernels differ", remedy)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return "%" not in host
