"""Which treatment each layer gets so that all together lose least and fit a size: a knapsack with one choice a layer."""

import os

import numpy as np

from litetuner.spaces.reconstruction.allocation.statistics import SPARSITIES, VALUES, LayerStatistics, Statistics
from litetuner.spaces.tf import quiet_stdout

NODES = 500  # that the solver looks at; not seconds, as a busy machine must not change what is proposed. A guess
GAP = 1e-3  # relative: errors are estimates

Place = tuple[int, float]  # values and sparsity


def allocate(statistics: Statistics, most_bytes: float) -> dict[str, Place] | None:
    """Values and sparsity by layer, of the least error together; ``None`` where nothing is as small as ``most_bytes``."""
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
    with open(os.devnull, "w") as nowhere, quiet_stdout(nowhere.fileno()):  # the solver prints whatever disp says
        found = milp(scaled, constraints=limits, integrality=np.ones(count), bounds=Bounds(0, 1), options=solver)
    if found.x is None:
        return None
    chosen, places = found.x.round().astype(bool), [place for each in options for _, _, place in each]
    names = [layer.name for layer, each in zip(statistics.layers, options, strict=True) for _ in each]
    return {name: place for name, place, taken in zip(names, places, chosen, strict=True) if taken}


def _efficient(layer: LayerStatistics) -> list[tuple[float, float, Place]]:
    """(error, bytes, place) of the treatments that no other one betters in both, the largest first. int4 is as large as 16."""
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
