"""Training labels of all outputs of a model with several outputs; labels for scoring are stored separately."""

from collections.abc import Mapping

import numpy as np

from litetuner.spaces.data.labels import prepare_labels
from litetuner.spaces.data.raw import Arrays
from litetuner.spaces.errors import ConfigError, DataError
from litetuner.spaces.models.decision import Decision, Evidence, decide

Known = Mapping[str, Evidence]


def training_labels(
    split: str, given: Arrays | None, known: Known, scored: Mapping[str, Decision]
) -> tuple[dict[str, np.ndarray], dict[str, Decision], list[str]]:
    """Labels (n, ...) by output, each prepared for the task of that output, the decisions, and notes.

    ``known`` has the evidence for the decision of each output, ``scored`` the decision of the scored output. Outputs
    without labels are left out. Outputs whose labels do not fit are left out with a note.
    """
    labels: dict[str, np.ndarray] = {}
    decisions: dict[str, Decision] = {}
    notes = []
    named = given if isinstance(given, dict) else {}
    for name, evidence in known.items():
        if name not in named:
            continue
        try:
            decision = scored.get(name) or decide(evidence, [named[name]])
            labels[name] = prepare_labels(f"y_{split}:{name}", named[name], decision.task, evidence.output_shape)
            decisions[name] = decision
        except (DataError, ConfigError) as error:
            notes.append(f"the output {name} cannot be trained: {error}")
    return labels, decisions, notes
