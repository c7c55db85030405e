"""Several labels of a sample, each for itself: which of several things are there, or several numbers to predict.

In: the training script as a module, the network's outputs and the labels of a set. Out: a `LabelResult` for each label.
Guarantees: the values are those of the script's own metrics, of one column; nothing for one label alone, or for outputs
of another shape than the labels'. Leaves printing to `netc.tables`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from netc.backends.training_metrics import functions
from netc.catalog.metrics import task, threshold

if TYPE_CHECKING:
    from types import ModuleType

    from torch import Tensor

_MOST = 1000  # labels; beyond, the output is a picture or the like
_MEASURES = {"binary": ("accuracy", "precision", "recall", "f1", "auroc"), "numbers": ("mae", "rmse", "r2")}


class LabelResult(NamedTuple):
    """One of several labels.

    samples: of how many it is true; None where it is a number to predict.
    measures: by their names; None where one is not defined, such as the precision of what was never called so.
    """

    name: str
    samples: int | None
    measures: dict[str, float | None]


def kind_of(script: ModuleType) -> tuple[str, str]:
    """What the labels are, "classes", "binary" or "numbers", and the loss of torch that says it; "" if none does."""
    from torch import nn

    losses = [type(v).__name__ for v in vars(script).values() if isinstance(v, nn.modules.loss._Loss)]
    losses.sort(key=lambda name: ("classes", "binary", "numbers").index(task(name)))
    return (task(losses[0]), losses[0]) if losses else ("", "")


def names_of(script: ModuleType, count: int) -> tuple[str, ...]:
    """What the labels are called: the columns of a table, else their numbers."""
    given: Any = getattr(script, "TARGETS", None)
    return tuple(given) if isinstance(given, list) and len(given) == count else tuple(map(str, range(count)))


def answers(script: ModuleType, outputs: Tensor) -> Tensor:
    """What the outputs say: where the loss compares yes and no the probability of yes, else the numbers."""
    kind, loss = kind_of(script)
    return outputs.sigmoid() if kind == "binary" and threshold(loss) == 0 else outputs


def label_results(script: ModuleType, outputs: Any, labels: Tensor) -> tuple[LabelResult, ...]:
    """The measures of each label; empty where a sample has one, or the loss compares classes."""
    kind, loss = kind_of(script)
    if kind not in _MEASURES or isinstance(outputs, tuple) or outputs.shape != labels.shape or labels.ndim != 2:
        return ()
    if not 1 < labels.shape[1] <= _MOST:
        return ()
    measures = _functions(kind, threshold(loss))
    outputs, labels = outputs.cpu(), labels.cpu()
    found = []
    for i, name in enumerate(names_of(script, labels.shape[1])):
        output, label = outputs[:, i : i + 1], labels[:, i : i + 1]
        samples = int((label > 0.5).sum()) if kind == "binary" else None
        called = int((output > threshold(loss)).sum()) if kind == "binary" else None
        values = {m: _defined(m, measures[m](output, label), samples, called) for m in _MEASURES[kind]}
        found.append(LabelResult(name, samples, values))
    return tuple(found)


def _functions(kind: str, limit: float) -> dict[str, Any]:
    """The functions that the script has for these metrics, or would have."""
    import torch

    names: dict[str, Any] = {"torch": torch, "Tensor": torch.Tensor, "math": math}
    exec(compile("\n".join(functions(_MEASURES[kind], kind, limit, False)), "<metrics>", "exec"), names)
    return names


def _defined(measure: str, value: float, samples: int | None, called: int | None) -> float | None:
    """A value where there is one: no precision of what was never called so, no recall of what is never there."""
    divisor = {"precision": called, "recall": samples, "f1": (called or 0) + (samples or 0)}.get(measure)
    return None if divisor == 0 or math.isnan(value) else value
