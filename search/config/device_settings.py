"""What the profile and the targets of a configuration determine: required keys, the memory measurement, advice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from litetuner.objectives.profiles import PROFILES
from litetuner.objectives.profiles.profile import Profile
from litetuner.objectives.targets.choice import NamedTarget, find_target
from litetuner.spaces.errors import ConfigError, nearest

CHOICES = ("steps", "size")  # keys that users may set otherwise, since every finished file is checked


def decided(given: dict[str, Any]) -> dict[str, Any]:
    """The given keys and those that profile and targets need. Raises ``ConfigError`` if the user set another value."""
    name = given.get("profile")
    if name is not None:
        if not isinstance(name, str) or name not in PROFILES:
            known = ", ".join(sorted(PROFILES))
            raise ConfigError(f"profile: there is no {name!r}{nearest(str(name), PROFILES)} ({known})")
        given = _with(given, PROFILES[name].settings, f"the profile {name}")
    for text in _texts(given.get("target")):
        item = find_target(text)
        given = _with(given, item.target.settings, f"the target {item.name}")
    return given


def _with(given: dict[str, Any], settings: Any, whose: str) -> dict[str, Any]:
    for key, value in settings.items():
        if key not in CHOICES and given.get(key, "any") not in (value, "any"):
            raise ConfigError(f"{key}: {whose} needs {value}, not {given[key]}; leave {key} out")
    return dict(settings) | {key: value for key, value in given.items() if key not in settings or value != "any"}


def _texts(target: Any) -> list[str]:
    """The texts of the targets, split at commas. Other types are skipped; the check of the key rejects them."""
    items = target if isinstance(target, list | tuple) else [target]
    return [part.strip() for item in items if isinstance(item, str) for part in item.split(",") if part.strip()]


def memory_measurement(named_targets: Sequence[NamedTarget], profile: type[Profile] | None) -> str:
    """The measurement that ``max-memory`` bounds: the arena on the first target that has one, else the profile's."""
    for item in named_targets:
        if item.target.memory_measurement is not None:
            return f"{item.target.memory_measurement}:{item.name}"
    return profile.memory if profile else "memory_bytes"


def advice(config: Any) -> tuple[str, ...]:
    """What a user should know about these settings before the search starts, one sentence each."""
    found = [
        f"Target {item.name}: files for it have io {item.target.settings['io']} and these steps: "
        f"{', '.join(config.steps)}."
        for item in config.named_targets
        if item.target.settings and config.profile is None
    ]
    found += [f"Target {item.name}: {item.target.said}" for item in config.named_targets if item.target.said]
    profile = config.suited
    if profile is None:
        return tuple(found)
    given = {budget.key for budget in config.budgets}
    others = [item.name for item in config.named_targets if not item.target.said]
    if others:
        found.insert(
            0,
            f"Profile {profile.name}: latency is measured on {', '.join(others)}, not on such a device; "
            "it ranks candidates, and says nothing about the device.",
        )
    found += [
        f"Profile {profile.name}: no budget bounds its {what}; give --{key}, such as --{key} 256kB."
        for key, what in profile.budgets.items()
        if key not in given
    ]
    return tuple(found)
