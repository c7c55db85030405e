"""Python's operators and functions on numbers, strings and lists, within limits.

In: values that are known when a program is compiled. Out: what Python would give; `Fail` with a reason for the user
where it would be larger than the limits allow. Guarantees: what can take long or much memory is refused before it is
computed, and pays the meter for the rest.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from netc.checker.values import LayerRef, TensorTuple
from netc.limits import AXES, DIGITS, ITEMS, NUMBER, VALUE_LEVELS, meter, spend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Fail(Exception):
    """Raised inside the evaluator, and caught by it, when a value can't be computed; the text is for the user."""


class Open(Fail):
    """Raised where a size of run time would have to be known."""


_TOO_LARGE = "the result is larger than 2**63"
_TOO_LONG = f"the result has more than {ITEMS:,} items"


def bounded(value: Any) -> Any:
    """The value, if it is within the limits."""
    kind = type(value)
    if kind is int:
        if abs(value) >= NUMBER:
            raise Fail(_TOO_LARGE)
    elif kind is str:
        spend(len(value) // 16)
        if len(value) > ITEMS:
            raise Fail(_TOO_LONG)
    elif kind is list or kind is tuple or kind is LayerRef:
        held = value.args if kind is LayerRef else value
        spend(len(held) // 4)
        items, levels = _weight(held)
        if items > ITEMS:
            raise Fail(_TOO_LONG)
        if levels > VALUE_LEVELS:
            raise Fail(f"the result has lists in each other, more than {VALUE_LEVELS} levels deep")
    return value


def pay(value: Any) -> None:
    """Pay for going through a value."""
    if type(value) in (list, tuple, str):
        known = meter.weights.get(id(value))
        spend((len(value) if known is None else known[1]) // 16)
    elif type(value) is LayerRef:
        pay(value.args)


def _weight(value: Any) -> tuple[int, int]:
    """How many items a list has, those of the lists in it included, and how many levels; known lists aren't walked."""
    known = meter.weights.get(id(value))
    if known is not None:
        return known[1:]
    items, levels, nested = len(value), 1, False
    for item in value:
        inner = _held(item)
        if inner:
            nested = True
            more, deep = _weight(inner)
            items, levels = items + more, max(levels, deep + 1)
    if nested:  # the value is held, so that no other gets its identity
        meter.weights[id(value)] = value, items, levels
    return items, levels


def _held(item: Any) -> Any:
    """What an item of a list holds in turn."""
    kind = type(item)
    if kind is list or kind is tuple:
        return item
    return item.args if kind is LayerRef else item.items if kind is TensorTuple else ()


def _power(a: Any, b: Any) -> Any:
    if isinstance(a, int) and isinstance(b, int) and b > 0 and b * a.bit_length() > 256:
        raise Fail(_TOO_LARGE)
    if not isinstance(a, (int, float)) and isinstance(b, int) and b > AXES:  # a size: a product of as many
        raise Fail(f"a size has powers up to {AXES}")
    result = a**b
    if isinstance(result, complex):
        raise Fail("a negative number has no such root")
    return result


def _times(a: Any, b: Any) -> Any:
    for sequence, count in ((a, b), (b, a)):
        if isinstance(sequence, (list, tuple, str)) and isinstance(count, int) and len(sequence) * count > ITEMS:
            raise Fail(_TOO_LONG)
    return a * b


def _modulo(a: Any, b: Any) -> Any:
    if isinstance(a, str):
        raise TypeError  # Python would format
    return a % b


BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": _times,
    "/": lambda a, b: a / b,
    "//": lambda a, b: a // b,
    "%": _modulo,
    "**": _power,
}


def _range(*args: int) -> list[int]:
    if len(range(*args)) > ITEMS:
        raise Fail(f"the range has more than {ITEMS:,} items")
    return list(range(*args))


def _sum(items: Iterable[Any], start: Any = 0) -> Any:
    total = start
    for item in items:
        total = bounded(total + item)
    return total


def _round(number: float, digits: int | None = None) -> Any:
    if digits is None:
        return round(number)
    if abs(digits) > 20 * DIGITS:
        raise Fail("a number has no such digit to be rounded to")
    return round(number, digits)


def _sorted(items: Iterable[Any], reverse: bool = False) -> list[Any]:
    return sorted(items, reverse=reverse)


BUILTINS: dict[str, Callable[..., Any]] = {
    "range": _range,
    "enumerate": lambda items, start=0: [tuple(pair) for pair in enumerate(items, start)],
    "zip": lambda *items: list(zip(*items, strict=False)),
    "len": len,
    "min": min,
    "max": max,
    "int": int,
    "float": float,
    "round": _round,
    "ceil": math.ceil,
    "floor": math.floor,
    "sqrt": math.sqrt,
    "log": math.log,
    "sum": _sum,
    "abs": abs,
    "list": list,
    "tuple": tuple,
    "sorted": _sorted,
    "reversed": lambda items: list(reversed(items)),
    "all": all,
    "any": any,
    "bool": bool,
    "str": str,
}
