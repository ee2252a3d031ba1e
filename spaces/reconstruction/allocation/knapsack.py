"""The treatment of each layer with the least total error that fits a size: a knapsack with one choice per layer."""

import os

import numpy as np

from litetuner.spaces.reconstruction.allocation.statistics import SPARSITIES, VALUES, LayerStatistics, Statistics
from litetuner.spaces.tf import quiet_stdout

# Node limit of the solver. It is not a time limit, because a busy machine must not change the proposals. A guess.
NODES = 500
GAP = 1e-3  # relative MIP gap; errors are only estimates

Place = tuple[int, float]  # values and sparsity


def allocate(statistics: Statistics, most_bytes: float) -> dict[str, Place] | None:
    """Values and sparsity by layer with the least total error; ``None`` if nothing fits into ``most_bytes``."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    options = [_efficient(layer) for layer in statistics.layers]
    if not options or sum(found[-1][1] for found in options) > most_bytes:
        return None
    count = sum(len(found) for found in options)
    errors = np.array([error for found in options for error, _, _ in found])
    sizes = np.array([[size for found in options for _, size, _ in found]])
    once, at = np.zeros((len(options), count)), 0
    for row, found in enumerate(options):
        once[row, at : at + len(found)] = 1
        at += len(found)
    limits = [LinearConstraint(once, 1, 1), LinearConstraint(sizes, -np.inf, most_bytes)]
    solver = {"node_limit": NODES, "mip_rel_gap": GAP}
    scaled = errors / max(float(errors.max()), 1e-300) * 1e3  # the solver's tolerances are absolute
    with open(os.devnull, "w") as nowhere, quiet_stdout(nowhere.fileno()):  # the solver prints even if disp is off
        found = milp(scaled, constraints=limits, integrality=np.ones(count), bounds=Bounds(0, 1), options=solver)
    if found.x is None:
        return None
    chosen, places = found.x.round().astype(bool), [place for each in options for _, _, place in each]
    names = [layer.name for layer, each in zip(statistics.layers, options, strict=True) for _ in each]
    return {name: place for name, place, taken in zip(names, places, chosen, strict=True) if taken}


def _efficient(layer: LayerStatistics) -> list[tuple[float, float, Place]]:
    """The Pareto front of a layer's treatments as (error, bytes, (values, sparsity)), the largest first.

    int4 is left out, because it is as large as 16 values.
    """
    every = sorted(
        (layer.errors[row][column], layer.deflated[row][column], (values, sparsity))
        for row, values in enumerate(VALUES)
        for column, sparsity in enumerate(SPARSITIES)
    )
    kept: list[tuple[float, float, Place]] = []
    for each in every:
        if not kept or each[1] < kept[-1][1]:
            kept.append(each)
    return kept
