"""Micro F1: the F1 score over all labels of all samples together."""

from litetuner.objectives.metrics.macro_f1 import MacroF1


class MicroF1(MacroF1):
    """sklearn.metrics.f1_score with average="micro". If each sample has exactly one class, it equals the accuracy."""

    name = "micro-f1"
    average = "micro"
