"""``doctor`` checks that this machine and the targets have everything that a search needs."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from litetuner.spaces.jobs.safe_path import python_command, python_environment

if TYPE_CHECKING:
    from litetuner.objectives.targets.target import Finding

FREE_BYTES = 2_000_000_000
IMPORTS = {
    "tensorflow": "import os; os.environ['TF_USE_LEGACY_KERAS'] = '1'; import tensorflow, tf_keras",
    "tensorflow-model-optimization": "from litetuner.spaces import tf; tf.load(); import tensorflow_model_optimization",
    "ai-edge-litert": "import ai_edge_litert.interpreter",
    "litert-quantizer": "import litert_quantizer",
    "optuna": "import optuna, sqlite3",
}


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """The result of ``doctor``.

    A search can run if there are no ``problems``; ``targets`` has the findings by target.
    """

    environment: dict[str, Any]
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    targets: dict[str, list[Finding]]

    @property
    def works(self) -> bool:
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        document = {"schema_version": 1, "environment": self.environment, "problems": list(self.problems)}
        checked = {name: [dataclasses.asdict(finding) for finding in each] for name, each in self.targets.items()}
        return document | {"warnings": list(self.warnings), "targets": checked}


def doctor(config: Path | str | None = None, *, targets: Sequence[str] = ()) -> Diagnosis:
    """Check libraries, disk, this machine, the targets of the TOML file ``config``, and ``targets``.

    ``targets`` are texts such as ``"pi=ssh://..."``. Raises ``ConfigError`` for a configuration that cannot be read and
    for an invalid target.
    """
    from litetuner.objectives.environment import environment, host_warnings
    from litetuner.objectives.targets.choice import find_target
    from litetuner.spaces.errors import ConfigError

    # ``find_target`` raises ``ConfigError`` for an invalid text.
    named_targets = [find_target(text) for text in (*_configured(None if config is None else Path(config)), *targets)]
    names = [item.name for item in named_targets]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"target: two are called {twice[0]!r}; rename one: NAME=...")
    problems = _imports()
    found: dict[str, list[Finding]] = {item.name: item.target.check() for item in named_targets}
    for name, findings in found.items():
        problems += [f"{name}: {sentence(finding)}" for finding in findings if finding.status == "fails"]
    return Diagnosis(environment(), tuple(problems), (*host_warnings(), *_disk()), found)


def sentence(finding: Finding) -> str:
    """A finding and its remedy as text."""
    return f"{finding.about}: {finding.text}" + (f" -> {finding.remedy}" if finding.remedy else "")


def _configured(config: Path | None) -> tuple[str, ...]:
    """The targets in a configuration file as written. Other keys may be missing or incomplete."""
    from litetuner.spaces.errors import ConfigError

    if config is None:
        return ()
    import tomllib

    try:
        content = tomllib.loads(config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read the configuration {config}: {error}") from error
    asked = content.get("target", ["host"])
    asked = [asked] if isinstance(asked, str) else asked
    if not isinstance(asked, list) or not all(isinstance(text, str) for text in asked):
        wanted = 'a list of texts, such as target = ["host", "pi=ssh://user@pi.local"]'
        raise ConfigError(f"{config}: target must be {wanted}.")
    return tuple(asked)


def _imports() -> list[str]:
    """A message for each library that cannot be imported. Each import runs in a separate process."""
    problems = []
    for name, code in IMPORTS.items():
        how: dict[str, Any] = {"capture_output": True, "text": True, "check": False, "env": python_environment()}
        done = subprocess.run(python_command("-c", code), **how)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [f"ended by signal {-done.returncode}"])[-1]
            remedy = f"Install it again: pip install --force-reinstall {name}"
            problems.append(f"{name} cannot be imported: {last[:200]}. {remedy}")
    return problems


def _disk() -> list[str]:
    from litetuner.search.config.units import format_bytes

    free = shutil.disk_usage(".").free
    if free >= FREE_BYTES:
        return []
    return [
        f"Only {format_bytes(free)} are free in this folder; a run stores checkpoints and files. Choose another --out."
    ]
