"""Treatments by group of layers, from the price of a byte and a weight for the errors of each group."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from litetuner.spaces.reconstruction.allocation.statistics import SPARSITIES, VALUES, LayerStatistics, Statistics

# Price of a byte: the increase in error that saving one byte may cause. The unit is the error of all layers with 16
# values, divided by their bytes as plain int8. The lowest price leaves 83 % of the bytes of ResNet8 and 94 % of DS-CNN;
# the highest leaves 16 % and 13 % (estimated from their layer statistics, 2026-11-27).
PRICES = tuple(2.0**power for power in range(-4, 11))
WEIGHTS = (1 / 16, 1 / 4, 1.0, 4.0, 16.0)  # for a group's errors, because the statistics measure each layer alone

Place = tuple[int, float]  # values and sparsity


def priced(statistics: Statistics, price: float, weights: Mapping[str, float]) -> dict[str, Place]:
    """Values and sparsity by layer that minimize (error x weight of the group + bytes x price)."""
    errors, deflated = statistics.grids
    unit, group = _unit(statistics), {name: group for group, names in statistics.groups.items() for name in names}
    prices = np.array([price * unit / weights[group[layer.name]] for layer in statistics.layers])
    costs = errors + prices[:, np.newaxis, np.newaxis] * deflated
    rows, columns = np.unravel_index(costs.reshape(len(costs), -1).argmin(axis=1), costs.shape[1:])
    places = zip(statistics.layers, rows.tolist(), columns.tolist(), strict=True)
    return {layer.name: (VALUES[row], SPARSITIES[column]) for layer, row, column in places}


def nearest_prices(statistics: Statistics, sizes: Mapping[str, float]) -> tuple[float, dict[str, float]]:
    """The price, and then the weight of each group, whose treatments come closest to the bytes ``sizes`` by layer."""

    def away(found: Mapping[str, Place], names: Sequence[str]) -> float:
        told = sum(_bytes(by_name[name], found[name]) for name in names)
        return abs(math.log(max(told, 1.0) / max(sum(sizes[name] for name in names), 1.0)))

    by_name = {layer.name: layer for layer in statistics.layers}
    even = dict.fromkeys(statistics.groups, 1.0)
    price = min(PRICES, key=lambda price: away(priced(statistics, price, even), tuple(by_name)))
    weights = {}
    for group, names in statistics.groups.items():
        told = {weight: away(priced(statistics, price, even | {group: weight}), names) for weight in WEIGHTS}
        weights[group] = min(WEIGHTS, key=lambda weight: (told[weight], abs(math.log(weight))))
    return price, weights


def _unit(statistics: Statistics) -> float:
    layers, few, plain = statistics.layers, VALUES.index(16), VALUES.index(256)
    return sum(layer.errors[few][0] for layer in layers) / max(sum(layer.deflated[plain][0] for layer in layers), 1.0)


def _bytes(layer: LayerStatistics, place: Place) -> float:
    return layer.deflated[VALUES.index(place[0])][SPARSITIES.index(place[1])]
