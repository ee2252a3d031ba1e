from __future__ import annotations

import ast

import pytest

from litetuner.reports.export.run_example import run_example


@pytest.mark.parametrize(
    ("classes", "outputs", "names"),
    [
        (10, 10, None),
        (2, 2, ("cat", "dog")),
        (2, 1, None),
        (None, 3, None),
        (3, 3, ("a'b", '"""', "\n\u202eimport os")),
    ],
)
def test_it_is_python_of_about_twenty_lines(classes: int | None, outputs: int, names: tuple[str, ...] | None) -> None:
    text = run_example("x.tflite", classes=classes, outputs=outputs, class_names=names, preprocess="m:f\nimport os")
    tree = ast.parse(text)
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert imported == {"sys", "numpy"}
    assert len([line for line in text.splitlines() if line.strip()]) <= 27


def test_class_names_are_values_and_nothing_more() -> None:
    text = run_example("x.tflite", classes=2, outputs=2, class_names=("'] + [print(1)", "b"), preprocess=None)
    (value,) = [
        node.value
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.List)
    ]
    assert ast.literal_eval(value) == ["'] + [print(1)", "b"]
