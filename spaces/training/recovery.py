"""Recovery: a training starts from weights that were solved for layer by layer, not from the largest or the nearest ones."""

import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from litetuner.spaces.context import Context
from litetuner.spaces.errors import Refused
from litetuner.spaces.models.keras_bridge.standardization import take_statistics
from litetuner.spaces.models.keras_bridge.unfolding import places, unfolded
from litetuner.spaces.reconstruction.allocation.spreading import Sensitivities
from litetuner.spaces.reconstruction.sequence import MOST_SPARSITY, SAMPLES, Treatment, reconstruct
from litetuner.spaces.tflite.conversion import convert
from litetuner.spaces.tflite.schema import read_model

PLAIN, SECOND_ORDER = "none", "second_order"
RECOVERIES = (PLAIN, SECOND_ORDER)


class Recovery:
    """A tf_keras model as a float file, in which the kernels of its layers are solved for."""

    def __init__(self, step: str, model: Any, context: Context, kernels: Mapping[str, Collection[str]]) -> None:
        """``kernels`` are the names of the variables that a step works on, by layer; other layers stay.

        Raises ``Refused`` for a layer that cannot be solved for.
        """
        self._model, self._seed = model, context.seed
        x = context.x_train if len(context.x_train) else context.calibration
        drawn = np.random.default_rng(context.seed).permutation(len(x))[:SAMPLES]
        self._samples = np.asarray(x[np.sort(drawn)])
        self._file = convert(model, lambda converter, tf: None)
        self._places = {
            place.layer: place
            for place in places(model, self._file)
            if model.get_layer(place.layer).weights[place.index].name in kernels.get(place.layer, ())
        }
        missing = [name for name, variables in kernels.items() if name not in self._places or len(variables) > 1]
        if missing:
            raise Refused(
                f"{step}: {', '.join(missing)} cannot be solved for: the float file has no convolution or dense operator that is "
                f'certain to be theirs. Add them to skip, or set recover="{PLAIN}".'
            )

    def shares(self, sparsity: float) -> dict[str, float]:
        """Shares of zeros by layer, ``sparsity`` over all layers that can be solved for, of the least error together."""
        costs = Sensitivities(self._file, self._samples, self._seed)
        ours = {place.solved.operator: name for name, place in self._places.items()}
        spread = costs.spread(sparsity, [operator for operator in costs.sizes if operator not in ours])
        # Whole weights, rounded up, so that the whole never falls below what was requested.
        whole = {name: math.ceil(spread[at] * costs.sizes[at] - 1e-6) / costs.sizes[at] for at, name in ours.items()}
        return {name: min(share, MOST_SPARSITY) for name, share in whole.items()}  # and layers round up themselves

    def solved(self, treatments: Mapping[str, Treatment]) -> Any:
        """A copy of the model with layers treated by name, and the statistics that a training begins with.

        Zeros of the file are zeros of the model, also where gamma is 0.
        Raises ``Refused`` without samples, ``BuildFailed`` with the name of a layer that cannot be solved for.
        """
        by_operator = {self._places[name].solved.operator: each for name, each in treatments.items()}
        file = reconstruct(self._file, self._samples, by_operator, self._seed).file
        copy, read = unfolded(self._model, self._file, file), read_model(file)
        for name, treatment in treatments.items():
            if treatment.sparsity:
                variable = copy.get_layer(name).weights[self._places[name].index]
                zero = self._places[name].read(read, variable.shape) == 0
                variable.assign(np.where(zero, 0.0, variable.numpy()))
        take_statistics(copy, self._samples)
        return copy
