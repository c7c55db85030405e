"""What a network says against what is true, as SVG: the confusion matrix of classes, or points for values.

In: an evaluation. Out: SVG text with a title and a description. Guarantees: names are escaped; each number can be read
on its cell in light, dark and print; a matrix of too many classes is None, since nothing could be told in it.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from netc.report import axes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netc.report.results import Result

_MOST_CLASSES = 100
_MOST_NUMBERS = 16
_SIDE = 352  # of the whole matrix, in pixels
_LONGEST = 14  # characters of a name
_CHARACTER = 6.6


def confusion(result: Result) -> str | None:
    """The confusion matrix: rows are true classes, columns predicted ones, colours shares of the row."""
    names = [_short(c.name) for c in result.classes]
    count = len(names)
    if not result.confusion or count > _MOST_CLASSES:
        return None
    cell = min(38.0, _SIDE / count)
    left = 22 + (_CHARACTER * max(map(len, names)) + 8 if count <= 40 else 0)
    upright = count <= 40 and _CHARACTER * max(map(len, names)) > cell - 3
    below = (_CHARACTER * max(map(len, names)) * 0.75 + 14 if upright else 18) if count <= 40 else 4
    top, side = 26, cell * count
    width, height = max(left + side + 2, 250), top + side + below + 18
    right = sum(result.confusion[i][i] for i in range(count))
    said = f"{right} of {result.samples} are right; each row is a true class, each column a predicted one"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" class="matrix" role="img">',
        "<title>Confusion matrix</title>",
        f"<desc>{escape(said)}</desc>",
        '<text class="key" x="0" y="14">true class down, predicted across</text>',
    ]
    for i, row in enumerate(result.confusion):
        parts += _row(i, row, names, result, left, top, cell)
    if count <= 40:
        parts += _names(names, left, top, cell, upright)
    return "\n".join([*parts, "</svg>"])


def _row(
    i: int, row: Sequence[int], names: Sequence[str], result: Result, left: float, top: float, cell: float
) -> list[str]:  # fmt: skip
    out = []
    total = sum(row)
    for j, number in enumerate(row):
        x, y = left + j * cell, top + i * cell
        share = number / total if total else 0.0
        dense = _density(share, i == j)
        kind = "empty" if not number else "hit" if i == j else "miss"
        fill = f' fill-opacity="{dense:.2f}"' if number else ""
        told = f"{result.classes[i].name} taken for {result.classes[j].name}: {number} ({share:.1%})"
        out.append(f'<rect class="cell {kind}" x="{x:.1f}" y="{y:.1f}" width="{cell:.2f}" height="{cell:.2f}"{fill}>'
                   f"<title>{escape(told)}</title></rect>")  # fmt: skip
        if number and len(names) <= _MOST_NUMBERS:
            size = min(12.0, cell / (0.64 * max(len(str(number)), 2) + 0.3))
            on = " on" if dense > 0.87 else ""
            out.append(f'<text class="count{on}" x="{x + cell / 2:.1f}" y="{y + cell / 2 + size * 0.35:.1f}" '
                       f'text-anchor="middle" style="font-size:{size:.1f}px">{number}</text>')  # fmt: skip
    return out


def _density(share: float, right: bool) -> float:
    """How strong a cell's colour is. What is wrong is drawn stronger, as it is rare and what one looks for."""
    if right:
        return 0.1 + 0.5 * share if share < 0.5 else 0.35 + 1.3 * (share - 0.5)
    return min(0.12 + 1.75 * share, 1.0)


def _names(names: Sequence[str], left: float, top: float, cell: float, upright: bool) -> list[str]:
    """The classes' names, where the cells are so small only every second or third of them."""
    step = max(1, round(11 / cell + 0.49)) if cell < 11 else 1
    out = []
    bottom = top + cell * len(names)
    for i, name in list(enumerate(names))[::step]:
        middle = (i + 0.5) * cell
        text = escape(name)
        out.append(f'<text class="tick" x="{left - 6:g}" y="{top + middle + 4:.1f}" text-anchor="end">{text}</text>')
        x, y = left + middle, bottom + 15
        turn = f' transform="rotate(-45 {x + 4:.1f} {y - 4:.1f})"' if upright else ""
        anchor = "end" if upright else "middle"
        shift = 4 if upright else 0
        out.append(f'<text class="tick" x="{x + shift:.1f}" y="{y:.1f}" text-anchor="{anchor}"{turn}>{text}</text>')
    return out


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def scatter(result: Result) -> str | None:
    """Predicted against true values; on the line they are the same."""
    if not result.points:
        return None
    side, left, top = 330, 60, 26
    values = [v for point in result.points for v in point]
    across = axes.spanning(values, left, left + side, log=False)
    upward = across._replace(start=top + side, end=top)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + side + 14} {top + side + 42}" class="matrix" '
        'role="img">',
        "<title>Predicted against true values</title>",
        f"<desc>{len(result.points)} samples; on the dashed line the two are the same</desc>",
        '<text class="key" x="0" y="14">predicted up, true across</text>',
    ]
    found = axes.ticks(across)
    for tick, label in zip(found, axes.labels(found), strict=True):
        x, y = across.at(tick), upward.at(tick)
        parts.append(f'<path class="grid" d="M{left} {y}H{left + side}M{x} {top}V{top + side}"/>')
        parts.append(f'<text class="tick" x="{left - 7}" y="{y + 4:g}" text-anchor="end">{label}</text>')
        parts.append(f'<text class="tick" x="{x}" y="{top + side + 18}" text-anchor="middle">{label}</text>')
    parts.append(f'<path class="ideal" d="M{left} {top + side}L{left + side} {top}"/>')
    for true, predicted in result.points:
        parts.append(f'<circle class="point" cx="{across.at(true)}" cy="{upward.at(predicted)}" r="3"/>')
    return "\n".join([*parts, "</svg>"])


def confused(result: Result, most: int = 8) -> list[tuple[int, str, str]]:
    """The classes that are most often taken for each other: how often, the true one, the predicted one."""
    names = [c.name for c in result.classes]
    found = [(n, i, j) for i, row in enumerate(result.confusion) for j, n in enumerate(row) if n and i != j]
    found.sort(key=lambda item: (-item[0], item[1], item[2]))
    return [(n, names[i], names[j]) for n, i, j in found[:most]]
