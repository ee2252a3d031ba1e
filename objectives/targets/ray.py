"""A device that a node of a Ray cluster offers. It runs one timing at a time, for all searches in the cluster."""

import contextlib
import dataclasses
import os
import platform
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from litetuner.objectives.cluster import DEVICE, connect, load_ray, offered
from litetuner.objectives.measurement import Measurement
from litetuner.objectives.targets.choice import find_target
from litetuner.objectives.targets.target import ADDRESS, NAME, Finding, Target, Timing
from litetuner.spaces.errors import CandidateError, HostError, LitetunerError, Lost, TargetLost, from_json, to_json

# Environment variable of a node: the targets that it offers, in the format of ``--target``, separated by spaces.
OFFERED = "LITETUNER_TARGETS"
LOOK_SECONDS = 5.0  # interval for checking that the device is still offered, while a timing runs or waits
CHECK_SECONDS = 60.0  # time limit of a check; if the device is busy for longer, this is not an error


@dataclasses.dataclass(frozen=True, kw_only=True)
class RayDevice(Target):
    """``ray:NAME``: a device that a node offers with ``litetuner worker --target NAME=...``. The node runs the timings.

    A name that several nodes offer is rejected, because it is unknown if their devices have equal latencies. Without
    ``address``, this is the cluster that this process is connected to, or else the cluster that Ray finds on this
    machine.
    """

    name: ClassVar[str] = "ray"
    alone: ClassVar[bool] = False
    device: str = dataclasses.field(metadata=ADDRESS)
    address: str = "auto"

    @classmethod
    def from_spec(cls, rest: str, options: Mapping[str, str]) -> Self:
        """See ``Target.from_spec``."""
        return cls(device=rest, **cls.parse(options))

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.device):
            raise self.error(f"{self.device[:80]!r} is no name of a device; write ray:NAME, such as ray:pi.")

    @property
    def default_name(self) -> str:
        """See ``Target.default_name``."""
        return self.device

    @property
    def on_this_machine(self) -> bool:
        """See ``Target.on_this_machine``."""
        return False

    def describe(self) -> dict[str, Any]:
        """See ``Target.describe``: the name of the device in the cluster."""
        return {"kind": self.name, "device": self.device}

    def check(self) -> list[Finding]:
        """See ``Target.check``: the node that offers the device checks it."""
        try:
            found = self._there(_check, (self.device,), CHECK_SECONDS)
        except LitetunerError as error:
            return [Finding(self.device, "fails", str(error))]
        if found is None:
            return [Finding(self.device, "note", "busy; it was not looked at")]
        return [Finding(**item) for item in found]

    def time(self, file: Path, baseline: Path, threads: int = 1) -> Timing:
        """See ``Target.time``."""
        found = self._there(_time, (self.device, file.read_bytes(), baseline.read_bytes(), threads))
        assert found is not None  # without a time limit, there is always a result
        latency, base = (
            None if found[part] is None else Measurement.from_json(found[part])
            for part in ("latency_us", "baseline_us")
        )
        others = {name: Measurement.from_json(item) for name, item in found["others"].items()}
        return Timing(latency, base, found["ratio"], others, found["misfit"])

    def _there(self, do: Any, arguments: tuple[Any, ...], seconds: float = float("inf")) -> Any:
        """Run a function on the node that has the device and return its result, or ``None`` after ``seconds``."""
        ray = load_ray()
        connect(self.address)
        self._look()
        resources = {DEVICE + self.device: 1}
        asked = ray.remote(do).options(num_cpus=0, resources=resources, max_retries=0).remote(*arguments)
        waited = 0.0
        try:
            while not ray.wait([asked], timeout=min(LOOK_SECONDS, seconds))[0]:
                waited += LOOK_SECONDS
                if waited >= seconds:
                    ray.cancel(asked)
                    return None
                self._look()
            answer = ray.get(asked)
        except (TargetLost, ray.exceptions.RayError) as error:
            with contextlib.suppress(ray.exceptions.RayError):
                ray.cancel(asked, force=True)
            if isinstance(error, ray.exceptions.RayTaskError):
                raise  # the function has raised an exception, which is a bug
            raise TargetLost(
                f"the node that offers {self.device} went away ({type(error).__name__})", self.device
            ) from error
        if "error" in answer:
            raise from_json(answer["error"])
        return answer["result"]

    def _look(self) -> None:
        """Raise ``TargetLost`` if no node offers the device, ``HostError`` if several nodes do."""
        count = offered(self.device)
        if not count:
            raise TargetLost(
                f"no node of the Ray cluster offers {self.device}. Start `litetuner worker --address ADDRESS --target "
                f"{self.device}=...` on a machine that reaches it.",
                self.device,
            )
        if count > 1:
            raise HostError(
                f"{count} devices of the Ray cluster are called {self.device}, and whether they agree was not measured. "
                f"Give each a name of its own, such as {self.device}1 and {self.device}2."
            )


def offered_here(device: str) -> Target:
    """The target that this node offers under a name, or the target kind with that name. Raises ``ConfigError``."""
    for text in os.environ.get(OFFERED, "").split():
        if (found := find_target(text)).name == device:
            return found.target
    return find_target(device).target


def _check(device: str) -> dict[str, Any]:
    """Runs on the node: the findings of its target's check, as JSON."""
    try:
        found = offered_here(device).check()
    except LitetunerError as error:
        return {"error": to_json(error)}
    return {"result": [dataclasses.asdict(finding) for finding in found]}


def _time(device: str, file: bytes, baseline: bytes, threads: int) -> dict[str, Any]:
    """Runs on the node: a timing as JSON, with the node's name in the environment of the measurements."""
    with tempfile.TemporaryDirectory() as folder:
        this, base = Path(folder, "file.tflite"), Path(folder, "baseline.tflite")
        this.write_bytes(file)
        base.write_bytes(baseline)
        try:
            found = offered_here(device).time(this, base, threads)
        except (CandidateError, HostError, Lost) as error:
            return {"error": to_json(error)}
    measured = {"latency_us": found.latency_us, "baseline_us": found.baseline_us}
    node = {"node": platform.node()}
    told = {
        name: None if it is None else dataclasses.replace(it, environment=it.environment | node).to_json()
        for name, it in measured.items()
    }
    others = {name: it.to_json() for name, it in found.others.items()}
    return {"result": told | {"ratio": found.ratio, "others": others, "misfit": found.misfit}}
