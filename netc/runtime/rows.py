"""What a trained network says of the rows of a table.

In: the training script as a module, a checkpoint, paths of CSV files. Out: a `RowPrediction` for each row. Guarantees:
rows are read and encoded by the very code of training, with the columns, categories and scales of the checkpoint; the
target need not be there. Leaves printing to the command line.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from netc.runtime.errors import UserError
from netc.runtime.labels import answers
from netc.runtime.script import load_network, probabilities, script_errors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType


class RowPrediction(NamedTuple):
    """A row by its file and line: its class with the probability, or numbers by the names of their columns.

    Where the loss compares yes and no, a number is the probability of yes.
    """

    path: str
    line: int
    values: dict[str, str | float]


def predict_rows(
    script: ModuleType, weights: Path, paths: Sequence[str | Path], device: str = "auto"
) -> list[RowPrediction]:  # fmt: skip
    """Predict the target of each row of CSV files.

    Args:
        script: from `load_script`, of a program that trains on a table.
        weights: a checkpoint of it; a state dict alone does not say how rows are encoded.
        paths: CSV files with the columns of the training rows, in any order; further columns are passed over.
        device: as for training.

    Raises:
        UserError: if a file or a cell is not right, or the weights do not fit.
    """
    network, checkpoint = load_network(script, weights, device)
    if not isinstance(checkpoint.get("encoding"), dict):
        raise UserError(
            f"`{weights}` does not say how rows become numbers", help="name a checkpoint, such as best.pt of a run"
        )
    encoding = script.Encoding()
    encoding.load_state_dict(checkpoint["encoding"])
    found: list[RowPrediction] = []
    for path in paths:
        with script_errors():
            table = script.read_table(Path(path))
            rows = script.finish(script.encode(table, encoding), encoding)
            outputs = script.predict(network, rows).cpu()
        if hasattr(script, "TARGET"):
            chances, best = probabilities(script, outputs).max(1)
            pairs = zip(best.tolist(), chances.tolist(), strict=True)
            values = [{script.TARGET: encoding.classes[i], "probability": p} for i, p in pairs]
        else:
            numbers = answers(script, outputs).reshape(len(outputs), -1).tolist()
            values = [dict(zip(script.TARGETS, row, strict=True)) for row in numbers]
        lines = zip(table.lines, values, strict=True)
        found += [RowPrediction(str(path), line, value) for line, value in lines]
    return found
