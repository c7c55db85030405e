"""Results as text for a terminal of 80 columns: an evaluation, an export."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.catalog.metrics import metric_of

if TYPE_CHECKING:
    from netc.backends.onnx import ExportReport
    from netc.runtime.evaluation import Evaluation

_WIDTH = 80
_PAIRS = 10  # of classes taken for each other, where the whole matrix is too wide


def evaluation_text(result: Evaluation, weights: str) -> str:
    """Loss and metrics, a line for each class, and the confusion matrix or its greatest entries."""
    epoch = f", epoch {result.epoch}" if result.epoch is not None else ""
    rows = {"loss": f"{result.loss:.4f}"}
    if result.accuracy is not None:
        rows["accuracy"] = f"{result.accuracy:.2%}  ({result.correct} of {result.images})"
    for name, value in result.metrics.items():
        rows.setdefault(name, f"{value:.2%}" if metric_of(name).share else f"{value:.4f}")
    head = max(map(len, rows))
    lines = [f"{weights}{epoch}, on {result.images} {result.part} images", ""]
    lines += [f"{name:{head}}  {value}" for name, value in rows.items()]
    if not result.classes:
        return "\n".join(lines)
    width = max(5, *(len(c.name) for c in result.classes))
    lines += ["", f"{'class':{width}}  precision  recall  images"]
    lines += [
        f"{c.name:{width}}  {_share(c.precision):>9}  {_share(c.recall):>6}  {c.images:6}" for c in result.classes
    ]
    return "\n".join([*lines, "", *_confusion(result)])


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _confusion(result: Evaluation) -> list[str]:
    names = [c.name for c in result.classes]
    cell = max(len(str(n)) for row in result.confusion for n in row)
    head = max(len(n) for n in names)
    column = max(cell, *(len(n) for n in names)) if max(map(len, names)) <= 6 else cell
    if head + (column + 1) * len(names) + 1 <= _WIDTH and max(map(len, names)) <= 6:
        lines = ["true class down, predicted class across", " " * head + "".join(f" {n:>{column}}" for n in names)]
        for name, row in zip(names, result.confusion, strict=True):
            lines.append(f"{name:>{head}}" + "".join(f" {n if n else '.':>{column}}" for n in row))
        return lines
    found = [(n, i, j) for i, row in enumerate(result.confusion) for j, n in enumerate(row) if n and i != j]
    found.sort(key=lambda item: (-item[0], item[1], item[2]))
    if not found:
        return ["no image is taken for another class"]
    return [
        "most often taken for another class:",
        *(f"  {n:5}  {names[i]} as {names[j]}" for n, i, j in found[:_PAIRS]),
    ]


def export_text(report: ExportReport, weights: str) -> str:
    """What was written, its axes, and how it compares with the module."""
    lines = [f"wrote {report.path} ({_size(report.bytes)}, opset {report.opset}, {report.nodes} nodes) from {weights}"]
    lines += [f"  {name}: [{', '.join(map(str, shape))}]" for name, shape in report.axes.items()]
    tried = "; ".join(", ".join(f"{n} = {v}" for n, v in sizes.items()) for sizes in report.sizes if sizes)
    lines.append(f"ONNX Runtime beside the module{f', at {tried}' if tried else ''}:")
    lines += [f"  {d.output}: greatest difference {d.absolute:.2e}" for d in report.differences]
    return "\n".join(lines)


def _size(count: int) -> str:
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 2**10:.1f} KiB"
