"""Private attributes of LiteRT that have no public equivalent, in one place. Part of the runner (``runner.FILES``).

``tests/objectives/runner/test_litert_private.py`` fails for a version of LiteRT that it was not checked with.
"""

from __future__ import annotations

from typing import Any

CHECKED_VERSION = "2.3.0"
Node = dict[str, Any]  # index, op_name, inputs, outputs, operand_types, result_types


def list_nodes(interpreter: Any) -> list[Node]:
    """The nodes of the main graph: the operators of the file, then one ``DELEGATE`` node per partition."""
    nodes: list[Node] = interpreter._get_ops_details()
    return nodes
