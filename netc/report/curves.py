"""Learning curves as SVG: one picture for each metric, its parts (train, validation) as lines.

In: a run. Out: SVG text, with a title and a description for those who don't see it. Guarantees: text of the user's is
escaped; values that are not finite leave a gap; a run of any length gives a picture of bounded size. Colours are
classes, which the page or the file's own style defines, so that a picture is right in light, dark and print.
"""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from netc.record.reading import is_share, lower_is_better
from netc.record.text import head
from netc.record.text import value as written
from netc.report import axes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netc.record.reading import Run

WIDTH, NARROW, HEIGHT = 440, 344, 272  # of a picture where two, or three, stand side by side
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 14, 44, 40
_MOST_POINTS = 400
_MOST_DOTS = 60
_PARTS = ("train", "validation", "test")


class Chart(NamedTuple):
    """A picture: what it is of, and its lines by the names of their parts."""

    name: str
    lines: tuple[tuple[str, str], ...]


def charts(run: Run) -> list[Chart]:
    """The pictures that a run's columns give: its loss, its metrics, its rate."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for column in (*run.metrics, *(c for c in run.columns if c == "lr" or c.startswith("lr_"))):
        part, _, rest = column.partition("_")
        known = part in _PARTS and rest != ""
        groups.setdefault(rest if known else column, []).append((part if known else "", column))
    if len({row.get("lr") for row in run.rows}) < 2:  # which a number says as well
        groups.pop("lr", None)
    order = sorted(groups, key=lambda name: (name.startswith("lr"), name != "loss"))
    return [Chart(name, tuple(sorted(groups[name], key=lambda line: line[0] != "train"))) for name in order]


def width_of(count: int) -> int:
    """How wide each of so many pictures is: three go side by side where two would leave a gap."""
    return NARROW if count in (3, 5, 6) else WIDTH


def picture(chart: Chart, run: Run, width: int = WIDTH, *, x: float = 0, y: float = 0) -> str:
    """A chart as an `<svg>` element; with `x` and `y` as a part of another picture. Empty where it has no values."""
    epochs = [row.get("epoch", i) for i, row in enumerate(run.rows, 1)]
    values = [row[c] for row in run.rows for _, c in chart.lines if math.isfinite(row.get(c, math.nan))]
    if not values:
        return ""
    share = is_share(chart.name)
    last = max(run.planned or 0, *epochs) if run.state == "running" else max(epochs)
    across = axes.Axis(min(epochs[0], 1), max(last, 2), _LEFT, width - _RIGHT)
    upward = axes.spanning(values, HEIGHT - _BOTTOM, _TOP, share=share, log=not chart.name.startswith("lr"))
    title = _title(chart.name) + (", logarithmic" if upward.log else "")
    place = f' x="{x:g}" y="{y:g}" width="{width}" height="{HEIGHT}"' if x or y else ""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}"{place} class="chart" role="img">',
        f"<title>{escape(title)}</title>",
        f"<desc>{escape(_told(chart, run))}</desc>",
        f'<text class="name" x="0" y="14">{escape(title)}</text>',
        *_grid(across, upward, share),
        *_legend(chart, width),
        *_best(chart, run, across, upward),
    ]
    for i, (part, column) in enumerate(chart.lines):
        points = [(e, row.get(column, math.nan)) for e, row in zip(epochs, run.rows, strict=True)]
        parts += _line(points, across, upward, shade(i, chart), f"{part} {_title(chart.name)}".strip(), column)
    return "\n".join([*parts, "</svg>"])


def _title(name: str) -> str:
    return "learning rate" if name == "lr" else head(name)


def _told(chart: Chart, run: Run) -> str:
    """The chart in words."""
    said = []
    for part, column in chart.lines:
        finite = [row[column] for row in run.rows if math.isfinite(row.get(column, math.nan))]
        if finite:
            name = f"{part} {_title(chart.name)}".strip()
            said.append(f"{name} from {written(finite[0], column)} to {written(finite[-1], column)}")
    return f"{', '.join(said)}, over {len(run.rows)} epochs"


def _grid(across: axes.Axis, upward: axes.Axis, share: bool) -> list[str]:
    """Lines and labels of both axes."""
    found = axes.ticks(upward)
    out = []
    for tick, label in zip(found, axes.labels(found, share=share), strict=True):
        y = upward.at(tick)
        out.append(f'<path class="grid" d="M{_LEFT} {y}H{across.end:g}"/>')
        out.append(f'<text class="tick" x="{_LEFT - 7}" y="{y + 4:g}" text-anchor="end">{label}</text>')
    bottom = HEIGHT - _BOTTOM
    out.append(f'<path class="axis" d="M{_LEFT} {bottom}H{across.end:g}"/>')
    for tick in axes.integers(across):
        x = across.at(tick)
        out.append(f'<path class="axis" d="M{x} {bottom}v4"/>')
        out.append(f'<text class="tick" x="{x}" y="{bottom + 17}" text-anchor="middle">{tick:,.0f}</text>')
    middle = (across.start + across.end) / 2
    return [*out, f'<text class="tick" x="{middle:g}" y="{HEIGHT - 5}" text-anchor="middle">epoch</text>']


def _legend(chart: Chart, width: int) -> list[str]:
    """Which line is which, flush right above the picture."""
    if len(chart.lines) < 2 and not chart.lines[0][0]:
        return []
    out: list[str] = []
    x = float(width - _RIGHT)
    for i, (part, _) in reversed(list(enumerate(chart.lines))):
        name = part or _title(chart.name)
        out.append(f'<text class="key" x="{x:g}" y="14" text-anchor="end">{escape(name)}</text>')
        x -= 6.7 * len(name) + 6
        out.append(f'<path class="line {shade(i, chart)}" d="M{x - 20:g} 10H{x:g}"/>')
        x -= 34
    return out


def shade(i: int, chart: Chart) -> str:
    """The class of a line: grey and dashed for the first of several, which is that of training; else a colour."""
    return f"l{(i + (len(chart.lines) == 1)) % 6}"


def _best(chart: Chart, run: Run, across: axes.Axis, upward: axes.Axis) -> list[str]:
    """A mark at the epoch of best.pt, or where there is none at the best value of the last line."""
    if chart.name.startswith("lr"):
        return []
    column = chart.lines[-1][1]
    epochs = {row.get("epoch", i): row.get(column, math.nan) for i, row in enumerate(run.rows, 1)}
    finite = {e: v for e, v in epochs.items() if math.isfinite(v)}
    if not finite:
        return []
    choose = min if lower_is_better(column) else max
    epoch = float(run.best_epoch) if run.best_epoch in finite else choose(finite, key=lambda e: finite[e])
    x = across.at(epoch)
    text = f"best.pt, epoch {epoch:g}" if run.best_epoch in finite else f"best, epoch {epoch:g}"
    right = x > (across.start + across.end) / 2
    anchor, shift = ("end", -5) if right else ("start", 5)
    return [
        f'<path class="best" d="M{x} {_TOP - 6}V{HEIGHT - _BOTTOM}"/>',
        f'<text class="tick" x="{x + shift:g}" y="{_TOP - 9}" text-anchor="{anchor}">{text}</text>',
        f'<circle class="mark {shade(len(chart.lines) - 1, chart)}" cx="{x}" cy="{upward.at(finite[epoch])}" r="4.5"/>',
    ]


def _line(
    points: Sequence[tuple[float, float]], across: axes.Axis, upward: axes.Axis, colour: str, name: str, column: str
) -> list[str]:
    """A line through points, with gaps where there is no value, and dots that say their values where they are few."""
    out, path, pen = [], [], False
    for epoch, value in thinned(points):
        if not math.isfinite(value):
            pen = False
            continue
        path.append(f"{'L' if pen else 'M'}{across.at(epoch)} {upward.at(value)}")
        pen = True
    out.append(f'<path class="line {colour}" d="{"".join(path)}"/>')
    if len(points) <= _MOST_DOTS:
        for epoch, value in points:
            if math.isfinite(value):
                said = (
                    f"epoch {epoch:g}: {name} {f'{value:.3g}' if column.startswith('lr') else written(value, column)}"
                )
                out.append(f'<circle class="dot {colour}" cx="{across.at(epoch)}" cy="{upward.at(value)}" r="2">'
                           f"<title>{escape(said)}</title></circle>")  # fmt: skip
    return out


def thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """A line's points, of a long one the least and the greatest of each stretch, so that its shape stays."""
    if len(points) <= _MOST_POINTS:
        return list(points)
    size = math.ceil(len(points) / (_MOST_POINTS // 2))
    out = []
    for start in range(0, len(points), size):
        part = points[start : start + size]
        finite = [p for p in part if math.isfinite(p[1])]
        if not finite:
            out.append(part[0])
            continue
        out += sorted({min(finite, key=lambda p: p[1]), max(finite, key=lambda p: p[1])})
    return out
