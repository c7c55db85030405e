"""Results as text for a terminal of 80 columns: an evaluation, an export; an evaluation as data for JSON too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc.catalog.metrics import is_better_high, metric_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from netc.backends.onnx import ExportReport
    from netc.runtime.evaluation import Evaluation
    from netc.runtime.labels import LabelResult
    from netc.runtime.profile import Profile

_WIDTH = 80
_PARTS = 12  # of a step, and operations, that are shown
_PAIRS = 10  # of classes taken for each other, where the whole matrix is too wide
_LABELS, _WORST = 40, 10  # several labels: how many are all shown, and how many of more


def evaluation_text(result: Evaluation, weights: str) -> str:
    """Loss and metrics, a line for each class or label, and the confusion matrix or its greatest entries."""
    epoch = f", epoch {result.epoch}" if result.epoch is not None else ""
    rows = {"loss": f"{result.loss:.4f}"}
    if result.accuracy is not None:
        rows["accuracy"] = f"{result.accuracy:.2%}  ({result.correct} of {result.images})"
    for name, value in result.metrics.items():
        rows.setdefault(name, f"{value:.2%}" if metric_of(name).share else f"{value:.4f}")
    head = max(map(len, rows))
    lines = [f"{weights}{epoch}, on {result.images} {result.part} {result.noun}", ""]
    lines += [f"{name:{head}}  {value}" for name, value in rows.items()]
    if not result.classes:
        return "\n".join([*lines, *label_lines(result.labels, result.noun)])
    width = max(5, *(len(c.name) for c in result.classes))
    lines += ["", f"{'class':{width}}  precision  recall  {result.noun}"]
    lines += [
        f"{c.name:{width}}  {_share(c.precision):>9}  {_share(c.recall):>6}  {c.images:{len(result.noun)}}"
        for c in result.classes
    ]
    return "\n".join([*lines, "", *_confusion(result)])


def evaluation_data(result: Evaluation) -> dict[str, Any]:
    """An evaluation as JSON takes it; the points are for pictures."""
    data = result._asdict()
    del data["points"]
    return {
        **data,
        "classes": [c._asdict() for c in result.classes],
        "confusion": [list(r) for r in result.confusion],
        "labels": [x._asdict() for x in result.labels],
    }


def label_lines(labels: Sequence[LabelResult], noun: str) -> list[str]:
    """A table of several labels, behind an empty line; of many those that do worst."""
    if not labels:
        return []
    measures = list(labels[0].measures)
    binary = labels[0].samples is not None
    of = measures[3] if binary else measures[-1]
    shown = list(labels)
    if len(labels) > _LABELS:
        low = [(x.measures[of], i) for i, x in enumerate(labels) if x.measures[of] is not None]
        shown = [labels[i] for _, i in sorted(low)[:_WORST]]
    rows = [("label" if binary else "target", *measures, *([noun] if binary else []))]
    for label in shown:
        cells = [_measure(name, label.measures[name]) for name in measures]
        rows.append((label.name, *cells, *([f"{label.samples}"] if binary else [])))
    lines = ["", *_columns(rows, tuple(range(1, len(rows[0]))))]
    if len(shown) < len(labels):
        end = "lowest" if is_better_high(of) else "highest"
        lines.append(f"the {len(shown)} with the {end} {of}, of {len(labels)} labels")
    return lines


def _measure(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1%}" if name in ("accuracy", "precision", "recall") else f"{value:.4f}"


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
        return [f"none of the {result.noun} is taken for another class"]
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


def profile_text(found: Profile, places: Mapping[str, tuple[str, int]], title: str, memory: int | None) -> str:
    """The parts of a step and its operations, the most expensive ones.

    Args:
        found: what was seen.
        places: what each layer is, and its line in the file, by its path.
        title: what was run.
        memory: the most bytes that were held at once, where that is known.
    """
    whole = sum(part.total for part in found.parts) or 1.0
    lines = [
        f"{title}: {found.steps} steps of {found.step:.2f} ms (median)",
        "",
        f"{found.unit} time of a step, in ms",
    ]
    rows = [("", "line", "", "forward", "backward", "share")]
    for part in found.parts[:_PARTS]:
        kind, line = places.get(part.name, ("", 0))
        rows.append((part.name, str(line or ""), kind, f"{part.forward:.2f}", f"{part.backward:.2f}",
                     f"{part.total / whole:.1%}"))  # fmt: skip
    rest = found.parts[_PARTS:]
    if rest:
        forward, backward = sum(p.forward for p in rest), sum(p.backward for p in rest)
        rows.append(
            (f"{len(rest)} more", "", "", f"{forward:.2f}", f"{backward:.2f}", f"{(forward + backward) / whole:.1%}")
        )
    lines += _columns(rows, (1, 3, 4, 5))
    operations = [
        (o.name, f"{o.time:.2f}", f"{o.calls:.1f}", f"{o.time / whole:.1%}") for o in found.operations[:_PARTS]
    ]
    lines += ["", *_columns([("operation", "ms", "calls", "share"), *operations], (1, 2, 3))]
    if memory is not None:
        lines += ["", f"peak memory {_size(memory)}{'' if found.unit == 'gpu' else ', of the whole process'}"]
    return "\n".join(lines)


def _columns(rows: Sequence[tuple[str, ...]], right: tuple[int, ...]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
