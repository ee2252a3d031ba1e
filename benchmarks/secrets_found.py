"""Verifies that a search with real workers writes no secrets to files, command lines or environments.

The secrets are in the environment, in the URL of a database, and in keys and options of ssh. This needs PostgreSQL,
sshd and ssh on this machine; the servers are started in separate folders.
"""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from fault_verdicts import Verdict
from real_kills import verdict
from real_runs import CANARIES, Session, make_inputs, settings

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # for the servers of the tests
OPTION = "canary-of-an-option-of-ssh-7740"
TRIALS = 12
PROXY = """
import os, socket, sys, threading
far = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def give():
    while data := os.read(0, 65536):
        far.sendall(data)
    far.shutdown(socket.SHUT_WR)
threading.Thread(target=give, daemon=True).start()
while data := far.recv(65536):
    os.write(1, data)
"""
LATER = """
import litetuner
run = litetuner.Run("run")
run.report(); run.export("exported", c_array=True, trial=0); print(run.status(), run.summary(), run.record())
"""


def secrets_found(count: int, seed: int, done: int, work: Path) -> Iterator[Verdict]:
    from tests.objectives.targets.ssh.sshd import Sshd
    from tests.search.runs.databases.postgresql import Postgresql

    make_inputs(work)
    for name in ("run", "exported", "ssh", "stderr.txt", "stdout.txt"):
        shutil.rmtree(work / name, ignore_errors=True)
        (work / name).unlink(missing_ok=True)
    (work / "ssh").mkdir()
    server, remote = Postgresql(), Sshd(work / "ssh")
    try:
        for kind in ("works", "wrong password", "wrong key"):
            yield from searched(kind, work, server, remote)
    finally:
        server.remove()
        remote.stop()


def searched(kind: str, work: Path, server: Any, remote: Any) -> Iterator[Verdict]:
    """Run a search, and look for secrets in all files, command lines and environments; yields one verdict."""
    config = remote.config("other_key" if kind == "wrong key" else "user_key")
    (work / "ssh" / "proxy.py").write_text(PROXY)
    more = f"  SetEnv LC_TOKEN={OPTION}\n  ProxyCommand {sys.executable} {work}/ssh/proxy.py %h %p {OPTION}\n"
    config.write_text(config.read_text() + more)
    password = server.password + ("x" if kind == "wrong password" else "")
    (work / "search.toml").write_text(f'storage = "{server.url(password)}"\n')
    target = f"far=ssh://127.0.0.1:{remote.port}?config={config}&python={sys.executable}&folder={work}/ssh/far&max_seconds=0.3"
    command, *keys = settings(work / "run", TRIALS)
    key = (work / "ssh" / "user_key").read_text().split("\n")[2]
    secrets = {**CANARIES, "the password of the database": password, "an option of ssh": OPTION, "the key of ssh": key}
    before = set(Path(tempfile.gettempdir()).rglob("*"))
    session = Session(work, [command, "search.toml", *keys, "--target", target, "--debug"])
    lines, environments = set(), set()
    while session.process.poll() is None:
        for process in session.children():
            try:
                line = " ".join(process.cmdline())
                if "proxy.py" not in line:  # ssh starts the proxy with the secret option
                    lines.add(line)
                    environments.add(str(process.environ()))
            except psutil.Error:
                continue
        time.sleep(0.02)
    code = session.end()
    (work / "search.toml").unlink()
    if kind == "works":
        later = Session(work, [], before=LATER + "raise SystemExit")
        code = code or later.end()
    places = [*(work / "run").rglob("*"), *(work / "exported").rglob("*"), work / "stderr.txt", work / "stdout.txt"]
    places += set(Path(tempfile.gettempdir()).rglob("*")) - before
    said = (work / "stderr.txt").read_text()[-300:]
    faults = [f"exit code {code}: {said}"] if code != (0 if kind == "works" else 3) else []
    files = [file for file in places if file.is_file() and work / "ssh" not in file.parents]
    for name, secret in secrets.items():
        faults += [f"{name} in {file}" for file in files if secret.encode() in content(file)]
        faults += [f"{name} in a command line" for line in lines if secret in line]
        if name not in CANARIES:  # secrets of the environment are inherited by child processes
            faults += [f"{name} in an environment" for text in environments if secret in text]
    seen = f"{len(files)} files, {len(lines)} command lines, load {os.getloadavg()[0]:.0f}"
    yield verdict("secrets", f"{kind}: {seen}", faults)


def content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""
