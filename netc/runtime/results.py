"""The evaluation that a report shows: classes with their confusion matrix, predicted against
true values, or each of several labels.

In: the training script as a module, the folder of a run. Out: a `Result`. Guarantees: the best checkpoint, on the test
data where there is some, else on that of validation. Leaves keeping it to `netc.report`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.report.results import ClassRow, LabelRow, Result, best_checkpoint
from netc.runtime.errors import UserError
from netc.runtime.evaluation import evaluate

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType


def evaluated(script: ModuleType, folder: Path, device: str) -> Result:
    """Evaluate the best checkpoint of a run.

    Args:
        script: from `load_script`.
        folder: of the run.
        device: as for training.

    Raises:
        UserError: if there is no checkpoint, or data, device or weights are not there or do not fit.
    """
    weights = best_checkpoint(folder)
    if weights is None:
        raise UserError("the run has no checkpoint")
    found = evaluate(script, weights, device)
    classes = tuple(ClassRow(c.name, c.precision, c.recall, c.images) for c in found.classes)
    named = {"loss": found.loss} | ({} if found.accuracy is None else {"accuracy": found.accuracy}) | found.metrics
    metrics = tuple(named.items())
    labels = tuple(LabelRow(x.name, x.samples, tuple(x.measures.items())) for x in found.labels)
    return Result(
        weights.name, found.epoch, found.part, found.images, metrics, classes, found.confusion, found.points, labels
    )
