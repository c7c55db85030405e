"""The metrics: what each measures, and whether more is better.

In: the name of a metric, or that of a column, which says the arguments too: `topk(5)` is the column "top5", and
`f1(average="micro")` is "f1_micro". Out: facts. Guarantees: no torch. Leaves how a metric is computed to the generated
script.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Metric(NamedTuple):
    """What a metric is.

    tasks: of which it tells something: "classes" (one class of several), "binary" (yes or no, for one thing or
        several), "numbers".
    best: "max" or "min"; "" for what is no number.
    share: whether it is a share of all, which people read in per cent.
    """

    name: str
    tasks: frozenset[str]
    best: str
    share: bool = False


_SORTED = frozenset({"classes", "binary"})
AVERAGES = ("macro", "micro", "weighted")
METRICS = {
    metric.name: metric
    for metric in (
        Metric("accuracy", _SORTED, "max", share=True),
        Metric("topk", frozenset({"classes"}), "max", share=True),
        Metric("precision", _SORTED, "max"),
        Metric("recall", _SORTED, "max"),
        Metric("f1", _SORTED, "max"),
        Metric("auroc", _SORTED, "max"),
        Metric("confusion_matrix", frozenset({"classes"}), ""),
        Metric("mae", frozenset({"numbers"}), "min"),
        Metric("mse", frozenset({"numbers"}), "min"),
        Metric("rmse", frozenset({"numbers"}), "min"),
        Metric("r2", frozenset({"numbers"}), "max"),
    )
}
# What a label is for a loss; all others compare numbers.
_TASKS = {
    "CrossEntropyLoss": "classes", "NLLLoss": "classes", "MultiMarginLoss": "classes",
    "BCELoss": "binary", "BCEWithLogitsLoss": "binary", "MultiLabelSoftMarginLoss": "binary",
}  # fmt: skip
_LOGITS = frozenset({"BCEWithLogitsLoss", "MultiLabelSoftMarginLoss"})


def metric_of(column: str) -> Metric:
    """The metric of a column.

    Raises:
        KeyError: if there is none of that name.
    """
    if re.fullmatch(r"top\d+", column):
        return METRICS["topk"]
    base, _, average_ = column.rpartition("_")
    return METRICS[base if average_ in AVERAGES else column]


def is_better_high(column: str) -> bool:
    """Whether the best value of a column is its greatest; a loss is best where it is least."""
    return column != "loss" and metric_of(column).best == "max"


def direction(column: str) -> str:
    """Which end of a column of metrics.csv is the best, "min" or "max": of "validation_f1", say."""
    return "max" if is_better_high(column.partition("_")[2]) else "min"


def task(loss: str) -> str:
    """What the labels are that a loss of torch compares with: "classes", "binary" or "numbers"."""
    return _TASKS.get(loss, "numbers")


def fits(metric: Metric, kind: str, loss: str) -> bool:
    """Whether a metric says something of a task with this loss of torch; probabilities are numbers as well."""
    return kind in metric.tasks or (kind == "binary" and loss == "BCELoss" and "numbers" in metric.tasks)


def threshold(loss: str) -> float:
    """Above which output a loss of yes and no says yes."""
    return 0.0 if loss in _LOGITS else 0.5


def numbers(columns: tuple[str, ...]) -> tuple[str, ...]:
    """The columns that are numbers, in order."""
    return tuple(c for c in columns if c != "confusion_matrix")


def average(column: str) -> str:
    """Over what a column is the mean: "macro", "micro" or "weighted"."""
    return column.rpartition("_")[2] if column.rpartition("_")[2] in AVERAGES else "macro"
