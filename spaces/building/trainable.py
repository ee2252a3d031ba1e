"""The tf_keras copy of a user's model. All training uses this copy."""

from typing import Any

import numpy as np

from litetuner.spaces.errors import ModelError


def rebuild(model: Any, sample: np.ndarray) -> tuple[Any | None, str | None, float | None]:
    """The tf_keras copy of a model, or the reason why there is none; and the largest output difference on ``sample``.

    With several inputs or outputs, the copy must have the same names, because data and metrics refer to them by name.
    """
    from litetuner.spaces.models.keras_bridge.bridge import bridge, clone
    from litetuner.spaces.models.signature import input_tensors, output_tensors

    ports, outputs = input_tensors(model), output_tensors(model)
    try:
        copy, difference = bridge(model, sample)
        clone(copy)  # every training step starts with a clone, which fails if the config of a layer is incomplete
    except ModelError as error:
        return None, str(error), None
    except Exception as error:  # a user's own layer can raise any exception
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return None, f"the model's copy in tf_keras cannot be made from its settings: {first[:200]}", None
    names, found = (
        [port.name for port in side] for side in ((*ports, *outputs), (*input_tensors(copy), *output_tensors(copy)))
    )
    if len(names) > 2 and names != found:
        return None, f"its inputs and outputs {', '.join(names)} are {', '.join(found)} in its copy in tf_keras", None
    return copy, None, difference
