"""Micro F1: the F1 score over all labels of all samples together."""

from litetuner.objectives.metrics.macro_f1 import MacroF1


class MicroF1(MacroF1):
    """sklearn.metrics.f1_score with average="micro"; where each sample has one class it is the accuracy."""

    name = "micro-f1"
    average = "micro"
