"""What a trained network does with the data, as it is kept beside a run: evaluation.json.

In: the folder of a run. Out: a `Result`, or None where there is none of the checkpoint that is there now. Guarantees: a
file that is damaged, foreign or old counts as none. Leaves computing it to `netc.runtime`.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from netc.files import write_text
from netc.record.reading import EVALUATION, text_of

if TYPE_CHECKING:
    from pathlib import Path

_MOST_CLASSES = 10_000


class ClassRow(NamedTuple):
    """A class: of those called so the share that are, of those that are the share that was found, its samples."""

    name: str
    precision: float | None
    recall: float | None
    samples: int

    @property
    def f1(self) -> float | None:
        """The harmonic mean of the two, None where either is not there."""
        if self.precision is None or self.recall is None:
            return None
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


class LabelRow(NamedTuple):
    """One of several labels of a sample: of how many it is true, None for a number to predict; and its measures."""

    name: str
    samples: int | None
    measures: tuple[tuple[str, float | None], ...]


class Result(NamedTuple):
    """An evaluation.

    checkpoint: the file that was evaluated, and its epoch where it says one.
    part: train, validation or test.
    metrics: by name, the loss first.
    classes, confusion: of classification, else empty; a row of the matrix for each true class.
    points: of regression, pairs of a true and a predicted value, else empty.
    labels: where a sample has several labels, a row for each.
    """

    checkpoint: str
    epoch: int | None
    part: str
    samples: int
    metrics: tuple[tuple[str, float], ...]
    classes: tuple[ClassRow, ...]
    confusion: tuple[tuple[int, ...], ...]
    points: tuple[tuple[float, float], ...]
    labels: tuple[LabelRow, ...] = ()


def best_checkpoint(folder: Path) -> Path | None:
    """The checkpoint of a run that is evaluated: the best, else the newest."""
    return next((folder / name for name in ("best.pt", "last.pt") if (folder / name).is_file()), None)


def store(result: Result, folder: Path) -> None:
    """Keep an evaluation beside its run."""
    stamp = _stamp(folder / result.checkpoint)
    data = {**result._asdict(), "classes": [c._asdict() for c in result.classes], "stamp": stamp}
    data["metrics"] = dict(result.metrics)
    data["labels"] = [{**x._asdict(), "measures": dict(x.measures)} for x in result.labels]
    write_text(folder / EVALUATION, json.dumps(data) + "\n")


def stored(folder: Path) -> Result | None:
    """The evaluation of the checkpoint that is in a folder."""
    path = best_checkpoint(folder)
    text = text_of(folder / EVALUATION)
    if path is None or text is None:
        return None
    try:
        data = json.loads(text)
        if data["checkpoint"] != path.name or data["stamp"] != _stamp(path):
            return None
        return _result(data)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        return None


def _result(data: dict[str, Any]) -> Result:
    classes = tuple(
        ClassRow(str(c["name"]), _share(c["precision"]), _share(c["recall"]), int(c["samples"]))
        for c in data["classes"]
    )
    confusion = tuple(tuple(int(n) for n in row) for row in data["confusion"])
    points = tuple((float(a), float(b)) for a, b in data["points"])
    count = len(classes)
    if len(confusion) not in (0, count) or any(len(row) != count for row in confusion) or count > _MOST_CLASSES:
        raise ValueError("not a matrix of the classes")
    if any(n < 0 for row in confusion for n in row) or not all(map(math.isfinite, (v for p in points for v in p))):
        raise ValueError("no counts, or no values")
    epoch = data["epoch"] if isinstance(data["epoch"], int) else None
    metrics = tuple((str(name), float(value)) for name, value in data["metrics"].items())
    return Result(
        data["checkpoint"], epoch, str(data["part"]), int(data["samples"]), metrics, classes, confusion, points,
        tuple(map(_label, data["labels"])),
    )  # fmt: skip


def _label(data: dict[str, Any]) -> LabelRow:
    samples = None if data["samples"] is None else int(data["samples"])
    return LabelRow(str(data["name"]), samples, tuple((str(n), _share(v)) for n, v in data["measures"].items()))


def _share(value: object) -> float | None:
    return None if value is None else float(value)  # type: ignore[arg-type]


def _stamp(path: Path) -> list[int]:
    try:
        stat = path.stat()
    except OSError:
        return []
    return [stat.st_size, stat.st_mtime_ns]
