"""How well a trained network does: loss, accuracy, and every class for itself.

In: the training script as a module, a checkpoint, a device. Out: an `Evaluation` over all images of a part.
Guarantees: the images are read, prepared and split by the very code of training; counts are exact.
Leaves printing to the command line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from netc.runtime.errors import UserError
from netc.runtime.script import load_network, script_errors

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType


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
    confusion: a row for each true class, a column for each predicted one.
    """

    part: str
    images: int
    epoch: int | None
    loss: float
    accuracy: float
    correct: int
    classes: tuple[ClassResult, ...]
    confusion: tuple[tuple[int, ...], ...]


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
    import torch

    network, checkpoint = load_network(script, weights, device)
    with script_errors():
        data = script.load_data()
        chosen = part or next(name for name in ("test", "validation", "train") if name in data)
        if chosen not in data:
            raise UserError(f"the program has no {chosen} data", help=f"it has {', '.join(data)}")
        images, labels = data[chosen]
        outputs = script.predict(network, images).cpu()
    loss = script.loss_function(outputs, labels).item()
    count = outputs.shape[1]
    if int(labels.max()) >= count:
        raise UserError(f"the data has the label {int(labels.max())}, and the network tells {count} classes apart")
    confusion = torch.bincount(labels * count + outputs.argmax(1), minlength=count * count).view(count, count)
    names = checkpoint.get("classes")
    names = names if isinstance(names, list) and len(names) == count else [str(i) for i in range(count)]
    correct = int(confusion.diagonal().sum())
    epoch = checkpoint.get("epoch")
    return Evaluation(
        chosen,
        len(labels),
        epoch if isinstance(epoch, int) else None,
        loss,
        correct / len(labels),
        correct,
        tuple(_class(str(names[i]), i, confusion.tolist()) for i in range(count)),
        tuple(tuple(row) for row in confusion.tolist()),
    )


def _class(name: str, i: int, confusion: list[list[int]]) -> ClassResult:
    called, there = sum(row[i] for row in confusion), sum(confusion[i])
    hits = confusion[i][i]
    return ClassResult(name, hits / called if called else None, hits / there if there else None, there)
