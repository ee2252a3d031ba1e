from __future__ import annotations

import pytest

from litetuner.reports.export.file_names import artifact_name, safe_name
from litetuner.reports.text.formatting import beyond, budget_for, clean, drop_words, minus, number, points, times
from litetuner.search.config.budgets import Budget, BudgetTexts, parse_budgets
from litetuner.spaces.candidate import Candidate


def test_a_name_is_one_line_without_control_and_direction_characters() -> None:
    assert clean("a\n\tb\u202ec\u2028d\x00") == "a b\ufffdc d\ufffd"
    assert clean("שלום") == "שלום"
    assert len(clean("x" * 1_000_000, 100)) == 100
    assert clean("begin" + "x" * 500 + "end", 60).endswith("end")


def test_numbers_in_words() -> None:
    assert [times(r) for r in (13.53, 1.023, 123.4, 0.06, None)] == ["13.5×", "1.02×", "123×", "0.06×", "–"]
    assert [points(d) for d in (0.0062, -0.0008, -0.0, None)] == ["0.62", "−0.08", "0.00", "–"]
    assert points(0.0062, bounded=False) == "0.62 %"
    assert [number(v) for v in (0.87204, 1234.5678, None, float("nan"))] == ["0.8720", "1234.57", "–", "–"]
    assert [number(v) for v in (0.0, 0.00412, 2.14e-5, -2.14e-5)] == [
        "0.0000",
        "0.0041",
        "2.14e-05",
        minus("-2.14e-05"),
    ]
    assert minus("-0.00 %") == "0.00 %"
    assert [beyond(v) for v in (0.0333, 3.94, 26.5)] == ["3.3 %", "394 %", "2,650 %"]
    assert drop_words(0.0062, True) == "a drop of 0.62 points"
    assert drop_words(-0.02, False) == "a gain of 2.00 %"
    assert drop_words(0.00001, True) == "a drop of 0.00 points"


@pytest.mark.parametrize(
    ("key", "measurement", "value", "expected"),
    [
        ("max-compressed-size", "compressed_bytes", 21_904, "--max-compressed-size 22kB"),
        ("max-size", "file_bytes", 999, "--max-size 999B"),
        ("max-size", "file_bytes", 1_234_567, "--max-size 1.24MB"),
        ("max-latency", "latency_us:host", 38.41, "--max-latency 38.5us"),
        ("max-latency", "latency_us:pi", 4120.0, "--max-latency pi=4.12ms"),
        ("max-drop", "drop", 0.01234, "--max-drop 1.24%"),
        ("min-metric", "metric", 0.84129, "--min-metric 0.8412"),
    ],
)
def test_a_relaxed_budget_can_be_typed_and_lets_the_value_pass(
    key: str, measurement: str, value: float, expected: str
) -> None:
    sense = "at least" if key == "min-metric" else "at most"
    target = measurement.partition(":")[2].replace("host", "")  # host is the first one here
    setting = budget_for(Budget(key, measurement, 1.0, sense, "1", target), value)
    assert setting == expected
    typed = setting.split(" ")[1]
    name = key.replace("-", "_")
    given: object = (typed,) if name == "max_latency" else float(typed) if name == "min_metric" else typed
    (budget,) = parse_budgets(BudgetTexts(**{name: given}), "maximize", dict.fromkeys(("host", "pi"), ("latency_us",)))  # type: ignore[arg-type]
    assert budget.violation(value) <= 0


class Named(Candidate):
    """A candidate of any label."""

    def __init__(self, label: str) -> None:
        self.__dict__ |= {"steps": (), "key": "0a1b2c3d4e5f6071", "own_label": label}

    @property
    def label(self) -> str:
        return str(self.__dict__["own_label"])


@pytest.mark.parametrize(
    "text", ["../../etc/passwd", "-rf", ".hidden", "a/b\\c", "x" * 5000, "", "שלום", "con\x00trol", "a b"]
)
def test_file_names_are_safe(text: str) -> None:
    for name in (safe_name(text), artifact_name(text, Named(text))):
        assert name and len(name) <= 100 and name[0] not in ".-"
        assert not set(name) & set("/\\\x00 \n")
    assert artifact_name(text, Named(text)).endswith(".tflite")


def test_file_name_of_a_usual_export() -> None:
    assert (
        artifact_name("resnet8.keras", Named("channels -50% + QAT int8"))
        == "resnet8-channels-50-qat-int8-0a1b2c.tflite"
    )
