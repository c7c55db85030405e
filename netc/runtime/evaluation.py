"""How well a trained network does: loss, metrics, and every class for itself.

In: the training script as a module, a checkpoint, a device. Out: an `Evaluation` over all images of a part.
Guarantees: the images are read, prepared and split by the very code of training; counts are exact.
Leaves printing to the command line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from netc.runtime.errors import UserError
from netc.runtime.labels import label_results
from netc.runtime.script import load_network, read_data, script_errors

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from torch import Tensor, nn

    from netc.runtime.labels import LabelResult


_MOST_POINTS = 1500


class ClassResult(NamedTuple):
    """One class: how many of those called so are (precision), how many that are were found (recall), its images.

    Precision is None where nothing was called so, recall where there is no image of the class.
    """

    name: str
    precision: float | None
    recall: float | None
    images: int


class Evaluation(NamedTuple):
    """The result over a part of the data.

    part: "test" where the program has test data, else "validation", else "train".
    epoch: that of the checkpoint, where it says one.
    metrics: those that the program declares, by the names of their columns.
    accuracy, correct: None where the labels are no classes; then there are no `classes` and no `confusion` either.
    confusion: a row for each true class, a column for each predicted one.
    noun: what the samples are called.
    points: where the labels are measured values, pairs of a true and a predicted one, of many an even choice.
    labels: where a sample has several labels, each for itself.
    """

    part: str
    images: int
    epoch: int | None
    loss: float
    accuracy: float | None
    correct: int | None
    classes: tuple[ClassResult, ...]
    confusion: tuple[tuple[int, ...], ...]
    metrics: dict[str, float]
    points: tuple[tuple[float, float], ...] = ()
    noun: str = "images"
    labels: tuple[LabelResult, ...] = ()


def evaluate(script: ModuleType, weights: Path, device: str = "auto", part: str | None = None) -> Evaluation:
    """Evaluate the network of a script with the weights of a file.

    Args:
        script: from `load_script`.
        weights: a checkpoint or a state dict.
        device: as for training.
        part: "train", "validation" or "test"; by default the last of them that the program has.

    Raises:
        UserError: if data, device or weights are not there or do not fit.
    """
    network, checkpoint = load_network(script, weights, device)
    where = next(network.parameters()).device
    with script_errors():
        data = read_data(script, checkpoint)
        chosen = part or next(name for name in ("test", "validation", "train") if name in data)
        if chosen not in data:
            raise UserError(f"the program has no {chosen} data", help=f"it has {', '.join(data)}")
        if chosen == "train" and "prepare_training" in vars(script):
            _as_for_evaluation(script)
            data = read_data(script, checkpoint)
        images, labels = data[chosen]
        confusion = _confusion(script, network, images, labels)
        points = _points(script, network, images, labels)
        several = _several(script, network, images, labels)
        found = script.evaluate(network, images, labels.to(where))
    scores = dict(found) if isinstance(found, dict) else {"loss": found}
    loss = scores.pop("loss")
    names = checkpoint.get("classes")
    count = len(confusion)
    names = names if isinstance(names, list) and len(names) == count else [str(i) for i in range(count)]
    correct = sum(confusion[i][i] for i in range(count)) if confusion else None
    epoch = checkpoint.get("epoch")
    return Evaluation(
        chosen,
        len(labels),
        epoch if isinstance(epoch, int) else None,
        loss,
        None if correct is None else correct / len(labels),
        correct,
        tuple(_class(str(names[i]), i, confusion) for i in range(count)),
        tuple(map(tuple, confusion)),
        scores,
        points,
        "images" if hasattr(script, "preprocess") else "samples",
        several,
    )


def _as_for_evaluation(script: ModuleType) -> None:
    """Let training images be prepared as all others are, where `augment` would give them their size."""
    names = vars(script)
    for own, usual in (("prepare_training", "prepare"), ("TRAINING_STEPS", "STEPS")):
        if own in names:
            names[own] = names[usual]


def _confusion(script: ModuleType, network: nn.Module, images: Any, labels: Tensor) -> list[list[int]]:
    """How often each class was taken for each; empty where the loss compares no classes, or several outputs."""
    from torch import nn

    losses = (nn.CrossEntropyLoss, nn.NLLLoss, nn.MultiMarginLoss)
    if not any(isinstance(value, losses) for value in vars(script).values()) or labels.ndim != 1:
        return []
    outputs = script.predict(network, images)
    if isinstance(outputs, tuple) or outputs.ndim != 2:
        return []
    count, outputs, labels = outputs.shape[1], outputs.cpu(), labels.cpu()
    if int(labels.max()) >= count:
        raise UserError(f"the data has the label {int(labels.max())}, and the network tells {count} classes apart")
    pairs = (labels * count + outputs.argmax(1)).bincount(minlength=count * count)
    table: list[list[int]] = pairs.view(count, count).tolist()
    return table


def _points(script: ModuleType, network: nn.Module, images: Any, labels: Tensor) -> tuple[tuple[float, float], ...]:
    """True and predicted values; none where the labels are classes, or only 0 and 1, or the outputs are others."""
    if not labels.is_floating_point() or bool(((labels == 0) | (labels == 1)).all()):
        return ()
    outputs = script.predict(network, images)
    if isinstance(outputs, tuple) or outputs.numel() != labels.numel():
        return ()
    pairs = list(zip(labels.flatten().tolist(), outputs.flatten().tolist(), strict=True))
    return tuple(pairs[:: -(-len(pairs) // _MOST_POINTS)])


def _several(script: ModuleType, network: nn.Module, images: Any, labels: Tensor) -> tuple[LabelResult, ...]:
    """Each of several labels of a sample for itself."""
    if labels.ndim != 2 or labels.shape[1] < 2 or not labels.is_floating_point():
        return ()
    return label_results(script, script.predict(network, images), labels)


def _class(name: str, i: int, confusion: list[list[int]]) -> ClassResult:
    called, there = sum(row[i] for row in confusion), sum(confusion[i])
    hits = confusion[i][i]
    return ClassResult(name, hits / called if called else None, hits / there if there else None, there)
