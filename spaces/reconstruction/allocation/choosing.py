"""The search's choices of treatments: one for all layers, one per group of layers, or one per layer."""

from collections.abc import Mapping
from typing import Any

from litetuner.spaces.choices import Choices
from litetuner.spaces.reconstruction.allocation.pricing import PRICES, WEIGHTS, nearest_prices, priced
from litetuner.spaces.reconstruction.allocation.statistics import (
    INT4,
    SPARSITIES,
    VALUES,
    Statistics,
    place_of,
    treatment_of,
)
from litetuner.spaces.reconstruction.sequence import Treatment

# How the search chooses. "even": evenly spaced values, the same number for all layers. "counted": clusters for each
# kernel, the same number for all layers. "layers": values and sparsity of each layer, as neighbors and allocations
# propose them. "groups": the price of a byte and a weight for the errors of each group, which Optuna chooses.
EVEN, COUNTED, BY_GROUP, BY_LAYER = FORMS = "even", "counted", "groups", "layers"
Treated = tuple[str, float, int, int] | tuple[str, float, int, int, int]  # a layer, and the fields of its Treatment


def choose_form(choices: Choices) -> str:
    return choices.choose.one_of("reconstruct.form", FORMS)


def choose_layers(form: str, choices: Choices) -> tuple[Treated, ...]:
    """The treatment of each layer of the float file. If so chosen, 16 values become int4 in layers that support it."""
    statistics = choices.statistics
    if statistics is None or not statistics.layers:
        return ()
    layers = statistics.layers
    typed = choices.knob("reconstruct.int4", (False, True))
    if form == BY_GROUP:
        price = choices.knob("reconstruct.price", PRICES)
        weights = {name: choices.knob(f"reconstruct.weight.{name}", WEIGHTS) for name in statistics.groups}
        places = priced(statistics, price, weights)
    else:
        places = {
            layer.name: (
                choices.knob(f"reconstruct.values.{layer.name}", VALUES),
                choices.knob(f"reconstruct.sparsity.{layer.name}", SPARSITIES),
            )
            for layer in layers
        }
    found: list[Treated] = []
    for layer in layers:
        values, sparsity = places[layer.name]
        short = typed and values == 16 and layer.int4
        found.append((layer.name, *treatment_of(INT4 if short else values, sparsity).fields))
    return tuple(found)


def grouped(statistics: Statistics, treatments: Mapping[str, Treatment]) -> dict[str, Any] | None:
    """The choices by group that are closest to treatments by layer; ``None`` if a treatment is not on the grid."""
    sizes = {}
    for layer in statistics.layers:
        place = place_of(treatments[layer.name])
        if place is None:
            return None
        sizes[layer.name] = layer.deflated[place[0]][place[1]]
    price, weights = nearest_prices(statistics, sizes)
    typed = any(treatment.bits == 4 for treatment in treatments.values())
    found: dict[str, Any] = {"reconstruct.int4": str(typed), "reconstruct.price": price}
    return found | {f"reconstruct.weight.{group}": weight for group, weight in weights.items()}


def choose_beginning(choices: Choices) -> dict[str, Treatment]:
    """The treatments that training starts from, by Keras layer; empty without statistics or with one for all layers."""
    layers = choices.statistics.layers if choices.statistics else ()
    form = choose_form(choices) if layers else EVEN
    if form not in (BY_GROUP, BY_LAYER):
        return {}
    keras = {each.name: each.keras_layer for each in layers}
    return {keras[treated[0]]: Treatment(*treated[1:]) for treated in choose_layers(form, choices) if keras[treated[0]]}
