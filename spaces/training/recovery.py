"""Recovery: training starts from weights that were solved for layer by layer, not only pruned or rounded."""

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
    """Reconstructs kernels of a tf_keras model through its float ``.tflite``."""

    def __init__(self, step: str, model: Any, context: Context, kernels: Mapping[str, Collection[str]]) -> None:
        """``kernels`` are the names of the variables that a step changes, by layer; other layers stay as they are.

        Raises ``Refused`` with the names of layers that cannot be solved for.
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
        """Share of zeros by layer with the least total error and ``sparsity`` over all layers of ``kernels``."""
        costs = Sensitivities(self._file, self._samples, self._seed)
        ours = {place.solved.operator: name for name, place in self._places.items()}
        spread = costs.spread(sparsity, [operator for operator in costs.sizes if operator not in ours])
        # Rounded up to whole numbers of weights, so that the total sparsity is never below the requested one.
        whole = {name: math.ceil(spread[at] * costs.sizes[at] - 1e-6) / costs.sizes[at] for at, name in ours.items()}
        return {name: min(share, MOST_SPARSITY) for name, share in whole.items()}  # layers also round up

    def solved(self, treatments: Mapping[str, Treatment]) -> Any:
        """A copy of the model with treatments applied by layer name, and with batch statistics for the new weights.

        Zeros in the file are also zeros in the model, even if gamma is 0. Raises ``Refused`` without samples. Raises
        ``BuildFailed`` with the name of a layer that cannot be solved for.
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
