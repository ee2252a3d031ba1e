"""The job describe: find out which compression steps a model allows, without data."""

from typing import Any

import numpy as np

from litetuner.spaces.building.jobs import DescribeResult
from litetuner.spaces.building.models import user_model
from litetuner.spaces.building.trainable import rebuild
from litetuner.spaces.jobs.workspace import Workspace

SAMPLES = 4


def describe(workspace: Workspace) -> DescribeResult:
    """Describe a model; its tf_keras copy is tested on random inputs. Raises ``ModelError`` if it cannot be used."""
    from litetuner.spaces.models.inspection import model_info
    from litetuner.spaces.models.loading.load import sized
    from litetuner.spaces.models.signature import input_tensors

    loaded = sized(user_model(workspace.sources), None, workspace.sources.model)
    copy, refusal, difference = rebuild(loaded.model, _random_samples(input_tensors(loaded.model)))
    return DescribeResult(model_info(loaded, copy, refusal, difference))


def _random_samples(inputs: tuple[Any, ...]) -> np.ndarray:
    from litetuner.spaces.data.named_arrays import pack

    rng = np.random.default_rng(0)
    drawn = {
        # Integers may be indices into a table of unknown length: use only its first two rows.
        tensor.name: rng.random((SAMPLES, *tensor.shape[1:]), dtype=np.float32)
        if tensor.dtype.startswith(("float", "bfloat"))
        else rng.integers(0, 2, (SAMPLES, *tensor.shape[1:]))
        for tensor in inputs
    }
    return pack(drawn) if len(drawn) > 1 else next(iter(drawn.values()))
