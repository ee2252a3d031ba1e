"""A real sshd, shared by the tests of a file."""

from __future__ import annotations

import pytest

from tests.objectives.targets.ssh.sshd import Sshd


@pytest.fixture(scope="module")
def sshd(tmp_path_factory):
    found = Sshd(tmp_path_factory.mktemp("sshd"))
    yield found
    found.stop()
