"""Axes of pictures: where values lie, and which of them are written beside the axis.

In: the least and the greatest value, the pixels that they span. Out: positions and ticks. Guarantees: ticks are round
numbers within the axis, and their labels tell them apart. Leaves drawing to the pictures.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_DECADES_FOR_LOG = 1.5


class Axis(NamedTuple):
    """Values from `low` to `high` on pixels from `start` to `end`; the greater pixel may be the first."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """The pixel of a value, rounded to a tenth."""
        low, high, here = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        return round(self.start + (here - low) / (high - low) * (self.end - self.start), 1)


def spanning(values: Sequence[float], start: float, end: float, *, share: bool = False, log: bool = True) -> Axis:
    """An axis for finite values, with a little room; logarithmic where they span orders of magnitude.

    Args:
        values: what has to lie on it; at least one.
        start, end: its pixels.
        share: whether the values are shares of all, which end at 0 and 1.
        log: whether it may be logarithmic.
    """
    low, high = min(values), max(values)
    if log and not share and low > 0 and math.log10(high / low) > _DECADES_FOR_LOG:
        return Axis(low / 1.15, high * 1.15, start, end, True)
    if low == high:
        room = abs(low) * 0.1 or 0.5
    else:
        room = (high - low) * 0.06
    bottom, top = low - room, high + room
    if low >= 0:
        bottom = max(bottom, 0.0)
        bottom = 0.0 if low < 0.3 * high else bottom
    if share and low >= 0 and high <= 1:
        top = min(top, 1.0) if bottom < 1 else top
        bottom = bottom if bottom < top else top - 0.1
    return Axis(bottom, top, start, end)


def ticks(axis: Axis, count: int = 5) -> list[float]:
    """About so many round values on an axis."""
    if axis.log:
        return _log_ticks(axis)
    raw = (axis.high - axis.low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(f * power for f in (1, 2, 5, 10) if f * power >= raw * 0.999)
    first, last = math.ceil(axis.low / step - 1e-9), math.floor(axis.high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def _log_ticks(axis: Axis) -> list[float]:
    low, high = math.floor(math.log10(axis.low)), math.ceil(math.log10(axis.high))
    for factors in ((1, 2, 5), (1, 3), (1,)):
        found = [f * 10.0**p for p in range(low, high + 1) for f in factors]
        found = [v for v in found if axis.low <= v <= axis.high]
        if len(found) <= 7:
            return found
    return found[:: len(found) // 6]


def integers(axis: Axis, count: int = 6) -> list[float]:
    """Round whole numbers on an axis; never closer than 1."""
    if axis.high - axis.low < count:
        return [float(i) for i in range(math.ceil(axis.low), math.floor(axis.high) + 1)]
    return [t for t in ticks(axis, count) if t == int(t)]


def labels(values: Sequence[float], *, share: bool = False) -> list[str]:
    """The ticks as they are written: as many decimals as tell them apart, thousands apart, shares in percent."""
    if share:
        return [f"{text}%" for text in labels([round(100 * v, 10) for v in values])]
    if (values and max(map(abs, values)) >= 1e6) or any(0 < abs(v) < 1e-4 for v in values):
        return [_power(v) for v in values]
    decimals = max((_decimals(v) for v in values), default=0)
    if values and min((abs(v) for v in values if v), default=1) * 50 < max(map(abs, values)):
        return [f"{v:,.{_decimals(v)}f}" for v in values]  # of a logarithmic axis
    return [f"{v:,.{decimals}f}" for v in values]


def _decimals(value: float) -> int:
    text = f"{value:.6f}".rstrip("0")
    return len(text.partition(".")[2])


def _power(value: float) -> str:
    if value == 0:
        return "0"
    mantissa, _, exponent = f"{value:.2e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
