"""Treatments by the price of a byte and the weights of groups, on made-up statistics."""

import pytest

from litetuner.spaces.reconstruction.allocation.pricing import PRICES, WEIGHTS, nearest_prices, priced
from litetuner.spaces.reconstruction.allocation.statistics import Statistics
from tests.spaces.reconstruction.test_allocation import SPARSITIES, VALUES, table

STATISTICS = Statistics(tuple(table(f"layer{at}", seed=at) for at in range(12)))
GROUPS = STATISTICS.groups
EVEN = dict.fromkeys(GROUPS, 1.0)


def sizes(found: dict[str, tuple[int, float]]) -> dict[str, float]:
    by_name = {layer.name: layer for layer in STATISTICS.layers}
    return {
        name: by_name[name].deflated[VALUES.index(values)][SPARSITIES.index(sparsity)]
        for name, (values, sparsity) in found.items()
    }


def test_a_dearer_byte_never_makes_a_file_larger() -> None:
    totals = [sum(sizes(priced(STATISTICS, price, EVEN)).values()) for price in PRICES]
    assert totals == sorted(totals, reverse=True)
    assert totals[-1] < totals[0]


def test_a_group_whose_errors_count_more_keeps_more_bytes() -> None:
    for group, names in GROUPS.items():
        kept = [
            sum(sizes(priced(STATISTICS, 1.0, EVEN | {group: weight}))[name] for name in names) for weight in WEIGHTS
        ]
        assert kept == sorted(kept), group
    others = priced(STATISTICS, 1.0, EVEN | {"first": WEIGHTS[-1]})
    assert {name: place for name, place in others.items() if name != "layer0"} == {
        name: place for name, place in priced(STATISTICS, 1.0, EVEN).items() if name != "layer0"
    }


@pytest.mark.parametrize("price", PRICES[3:-3:3])
def test_sizes_lead_back_to_a_price_and_weights(price: float) -> None:
    """Not always to the same ones, but to treatments of nearly the same bytes in each group."""
    wanted = sizes(priced(STATISTICS, price, EVEN))
    found, weights = nearest_prices(STATISTICS, wanted)
    told = sizes(priced(STATISTICS, found, weights))
    for group, names in GROUPS.items():
        assert sum(told[name] for name in names) == pytest.approx(sum(wanted[name] for name in names), rel=0.2), group
