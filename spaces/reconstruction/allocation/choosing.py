"""Choices of treatments: one for all layers, or one for each group of layers or each layer, without training and with it."""

import dataclasses

from litetuner.spaces.choices import Choices
from litetuner.spaces.reconstruction.allocation.statistics import INT4, SPARSITIES, VALUES, groups_of, treatment_of
from litetuner.spaces.reconstruction.sequence import Treatment

# How the search chooses: values for all layers that are evenly spaced, or chosen for each kernel; then values and sparsity for
# groups of layers, as Optuna likes it, or for each layer, as neighbors and allocations do.
EVEN, COUNTED, BY_GROUP, BY_LAYER = FORMS = "even", "counted", "groups", "layers"
Treated = tuple[str, float, int, int]  # a layer, and the fields of its Treatment
MOST_GROUPS = 8  # of two parameters each: with those of the deployment a study has at most 20


def choose_form(choices: Choices) -> str:
    return choices.choose.one_of("reconstruct.form", FORMS)


def choose_layers(form: str, choices: Choices) -> tuple[Treated, ...]:
    """Values and sparsity by layer of the float file, and whether 16 values are the type int4 where a layer can take it."""
    layers = choices.statistics.layers if choices.statistics else ()
    groups = groups_of(layers, MOST_GROUPS if form == BY_GROUP else 0)
    by_name = {layer.name: layer for layer in layers}
    typed = bool(layers) and choices.knob("reconstruct.int4", (False, True))
    found: dict[str, Treated] = {}
    for group, names in groups.items():
        values = choices.knob(f"reconstruct.values.{group}", VALUES)
        sparsity = choices.knob(f"reconstruct.sparsity.{group}", SPARSITIES)
        for name in names:
            short = typed and values == 16 and by_name[name].int4
            found[name] = (name, *dataclasses.astuple(treatment_of(INT4 if short else values, sparsity)))
    return tuple(found[layer.name] for layer in layers)


def choose_beginning(choices: Choices) -> dict[str, Treatment]:
    """What a training begins with, by Keras layer; nothing where all layers are treated alike or there are no statistics."""
    layers = choices.statistics.layers if choices.statistics else ()
    form = choose_form(choices) if layers else EVEN
    if form not in (BY_GROUP, BY_LAYER):
        return {}
    keras = {each.name: each.keras_layer for each in layers}
    return {keras[treated[0]]: Treatment(*treated[1:]) for treated in choose_layers(form, choices) if keras[treated[0]]}
