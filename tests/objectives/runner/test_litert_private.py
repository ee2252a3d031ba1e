"""Private attributes of LiteRT exist in the version that is installed, and were checked with it."""

from __future__ import annotations

import importlib.metadata

from ai_edge_litert.interpreter import Interpreter

from litetuner.objectives.runner.delegates import CHECKED_VERSION, list_nodes
from litetuner.objectives.runner.engine import one_addition


def test_the_installed_version_was_checked() -> None:
    assert importlib.metadata.version("ai-edge-litert") == CHECKED_VERSION, "check list_nodes() with this version"


def test_nodes_are_listed_with_their_tensors() -> None:
    interpreter = Interpreter(model_content=one_addition())
    (node,) = list_nodes(interpreter)
    assert (node["index"], node["op_name"], list(node["inputs"]), list(node["outputs"])) == (0, "ADD", [0, 0], [1])
    assert len(node["operand_types"]) == 2 and len(node["result_types"]) == 1
