"""Parse the user's text for a target, ``[name=]kind[:rest][?option=value&...]``."""

import dataclasses
import re

from litetuner.objectives.targets import TARGETS
from litetuner.objectives.targets.options import split_query
from litetuner.objectives.targets.target import NAME, Target
from litetuner.spaces.errors import ConfigError, nearest

SPEC = re.compile(r"(?:(?P<name>[^=?:/@]*)=)?(?P<kind>[^=?:/@]*)(?::(?P<rest>[^?]*))?(?:\?(?P<options>.*))?", re.DOTALL)
LONGEST = 2000  # maximum characters of a target's text
PASSWORD = re.compile(r":[^/@:]*:[^@]*@|//[^@/]*[:@][^@]*@")  # user:password@host in all its forms
EXAMPLES = "host, pi=ssh://user@pi.local or adb:SERIAL"


@dataclasses.dataclass(frozen=True)
class NamedTarget:
    """A target and its name in budgets (``--max-latency pi=4ms``), columns and reports."""

    name: str
    target: Target


def find_target(text: str) -> NamedTarget:
    """The target that ``text`` describes; nothing is started. Raises ``ConfigError`` with the nearest known name."""
    if PASSWORD.search(text.partition("?")[0]):
        raise ConfigError(
            "target: no password can be in an address: it would be in every record. Use a key: ssh-copy-id."
        )
    found = SPEC.fullmatch(text)
    if len(text) > LONGEST or not text.isprintable() or found is None:
        raise ConfigError(f"target: {text[:80]!r} is not a target; write {EXAMPLES}.")
    kind = found["kind"]
    if kind not in TARGETS:
        known = ", ".join(sorted(TARGETS))
        guess = nearest(kind, TARGETS) or "."
        raise ConfigError(f"target: there is no kind {kind!r}{guess} Kinds are {known}; write {EXAMPLES}.")
    target = TARGETS[kind].from_spec(found["rest"] or "", split_query(found["options"] or ""))
    name = target.default_name if found["name"] is None else found["name"]
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"target: {name!r} cannot be a name: 1 to 40 of A-Z a-z 0-9 _ . -, the first a letter or a digit. "
            f"Give it one: NAME={text[:80]}"
        )
    return NamedTarget(name, target)
