"""Requested and verified kernel shapes take one line of a trial's details, however many layers there are."""

from __future__ import annotations

from types import SimpleNamespace

from litetuner.reports.model.sections.invariants import MOST_SHAPES, invariant_lines


def trial(items):
    return SimpleNamespace(invariants=items, measurements={})


def item(layer, asked, found=None):
    found = asked if found is None else found
    return {"layer": layer, "property": "shape", "requested": asked, "verified": found, "ok": asked == found}


def test_one_line_for_all_layers():
    assert invariant_lines(trial([item("conv", "3x3x16x8"), item("head", "8x5")])) == [
        "kernel shapes: requested for 2 layers, all verified: conv 3×3×16×8, head 8×5"
    ]


def test_many_layers_are_counted_and_what_is_wrong_comes_first():
    items = [item(f"conv{k}", "3x3x8x8") for k in range(40)] + [item("last", "8x5", "8x4")]
    (line,) = invariant_lines(trial(items))
    assert line.startswith(
        "kernel shapes: requested for 41 layers, 1 different: last 8×5 (verified 8×4), conv0 3×3×8×8"
    )
    assert line.endswith(f"and {41 - MOST_SHAPES} more")


def test_other_properties_are_grouped_as_before():
    zeros = {"layer": "a", "property": "sparsity", "requested": 0.5, "verified": 0.5, "ok": True}
    assert invariant_lines(trial([zeros, item("a", "4x4")])) == [
        "kernel shapes: requested for 1 layer, all verified: a 4×4",
        "sparsity: requested 0.5 for 1 layer, verified 0.5",
    ]
