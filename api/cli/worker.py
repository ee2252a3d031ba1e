"""``litetuner worker``: add this machine to a Ray cluster as a node, for jobs or for timings."""

import os
from typing import Annotated

from typer import Option

SHORT = "Join a Ray cluster, for jobs or to offer devices for timings."


def worker(
    address: Annotated[str, Option("--address", help="The head of the cluster, HOST:PORT.", metavar="TEXT")],
    target: Annotated[
        list[str] | None,
        Option("--target", help="A device to offer, such as pi=ssh://me@pi.local, or host.", metavar="TEXT"),
    ] = None,
) -> int:
    """Join a Ray cluster until Ctrl-C. With --target the machine offers devices for timings and runs no other jobs.

    A search measures on such a device with --target ray:NAME. Each device runs one timing at a time. Needs
    litetuner[ray].
    """
    import json
    import subprocess

    from litetuner.objectives.cluster import DEVICE, load_ray
    from litetuner.objectives.targets.choice import find_target
    from litetuner.objectives.targets.ray import OFFERED
    from litetuner.spaces.errors import HostError
    from litetuner.spaces.jobs.safe_path import python_command, python_environment

    load_ray()
    names = [find_target(text).name for text in target or ()]
    command = python_command("-m", "ray.scripts.scripts", "start", "--address", address, "--block")
    if names:  # no CPUs and GPUs for Ray, so that no training runs on a machine that measures latency
        command += [
            "--num-cpus",
            "0",
            "--num-gpus",
            "0",
            "--resources",
            json.dumps({DEVICE + name: 1 for name in names}),
        ]
    offers = {OFFERED: " ".join(target or ())}
    try:
        code = subprocess.run(command, env=python_environment() | offers, check=False).returncode
    except KeyboardInterrupt:
        code = 0
    if code:
        raise HostError(f"Ray did not start here, or ended with code {code}: see its output above.")
    return os.EX_OK
