"""A real sshd on the loopback address, with keys of its own in a temporary folder."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil

from litetuner.objectives.targets.ssh.target import Ssh

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
LACKING = [name for name in ("ssh", "scp", "ssh-keygen") if not shutil.which(name)] + ([] if SSHD else ["sshd"])
REASON = f"not installed: {', '.join(LACKING)} (Debian: openssh-server, openssh-client)"

SSHD_CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
"""
SSH_CONFIG = """\
Host *
  IdentityFile {folder}/{key}
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile {folder}/{known_hosts}
  GlobalKnownHostsFile none
  StrictHostKeyChecking yes
  KexAlgorithms curve25519-sha256
"""


class Sshd:
    """A daemon that a test started; only it and processes below it are ever ended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        for name in ("host_key", "user_key", "other_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        for name, key in (("known_hosts", "host_key"), ("changed_hosts", "other_key")):
            (folder / name).write_text(f"[127.0.0.1]:{self.port} {(folder / f'{key}.pub').read_text()}")
        (folder / "no_hosts").write_text("")
        (folder / "sshd_config").write_text(SSHD_CONFIG.format(port=self.port, folder=folder))
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # a daemon of root wants it, and may never have run here
        argv = [SSHD, "-D", "-f", folder / "sshd_config", "-E", folder / "sshd.log"]
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while not self._listens():
            assert self.process.poll() is None and time.monotonic() < deadline, (folder / "sshd.log").read_text()
            time.sleep(0.02)

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def config(self, key: str = "user_key", known_hosts: str = "known_hosts") -> Path:
        """A configuration of the client with one of our keys and one of our lists of known hosts."""
        path = self.folder / f"config-{key}-{known_hosts}"
        path.write_text(SSH_CONFIG.format(folder=self.folder, key=key, known_hosts=known_hosts))
        return path

    def target(self, **options: object) -> Ssh:
        fields = {
            "python": sys.executable,
            "folder": str(self.folder / "far"),
            "config": self.config(),
            "max_seconds": 0.3,
            "user": pwd.getpwuid(os.getuid()).pw_name,
            "port": self.port,
        }
        return Ssh(host="127.0.0.1", **(fields | options))

    def timing(self) -> psutil.Process | None:
        """The runner that some session of ours runs right now."""
        for process in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if any(part.endswith("/runner.py") for part in process.cmdline()):
                    return process
            except psutil.NoSuchProcess:
                continue
        return None

    def drop(self, inside: psutil.Process) -> None:
        """Kill the session's process of sshd that ``inside`` runs under: what a lost connection is to both ends."""
        sessions = {process.pid: process for process in psutil.Process(self.process.pid).children()}
        next(sessions[parent.pid] for parent in inside.parents() if parent.pid in sessions).kill()

    def stop(self) -> None:
        own = psutil.Process(self.process.pid)
        for process in [*own.children(recursive=True), own]:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        self.process.wait()
