"""Where a tensor of an instance comes from, so that generated code can be held to it.

A source is a place and a path in it. The place is the number of the row that computed the tensor, -1, -2, … for the
first, the second … input, or the name of a parameter; the path picks one of several results, and "-" negates it. None
is what hangs on no input, or isn't followed. Rows are numbered in their body, and anew where a module is built.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc import ir
from netc.checker.values import Tensor, TensorTuple, tensors

if TYPE_CHECKING:
    from netc.checker.body import Body
    from netc.ir import Source
    from netc.source import Span


def of(value: Any) -> tuple[Source, ...]:
    """The sources of the tensors in a value."""
    return tuple(t.source for t in tensors(value))


def last(c: Body) -> Source:
    """The row that was added last."""
    return (len(c.rows) - 1, ()) if c.rec is None and c.rows else None


def inside(source: Source, part: object) -> Source:
    """A part of several results."""
    return None if source is None else (source[0], (*source[1], part))


def like(value: Any, result: Any) -> Any:
    """Another value with the sources of this one."""
    if isinstance(value, Tensor) and isinstance(result, Tensor):
        return result._replace(source=value.source)
    if isinstance(value, TensorTuple) and isinstance(result, TensorTuple):
        items = tuple(like(a, b) for a, b in zip(value.items, result.items, strict=True))
        return result._replace(items=items)
    return result


def nested(value: Any) -> Any:
    """The sources of a tensor or several, nested as they are."""
    return value.source if isinstance(value, Tensor) else tuple(map(nested, value.items))


class Placed:
    """Moves the sources of a module to where it is built."""

    def __init__(self, c: Body, path: str, taken: tuple[Tensor, ...], span: Span | None = None) -> None:
        self.first = len(c.rows)
        self.path = path
        self.span = span  # of the call, where the module is another file's, whose places mean nothing here
        self.inputs = of(taken)

    def row(self, row: ir.Row) -> ir.Row:
        """A row of the module as one of its caller."""
        path = f"{self.path}.{row.path}" if row.path else self.path
        sources = {n: tuple(map(self.source, parts)) for n, parts in row.sources.items()}
        return ir.Row(path, *row[1:4], self.span or row.span, row.values, sources)

    def source(self, source: Source) -> Source:
        """A source in the module as one in its caller."""
        if source is None:
            return None
        place, path = source
        if isinstance(place, str):
            return f"{self.path}.{place}", path
        if place >= 0:
            return place + self.first, path
        given = self.inputs[-1 - place] if -1 - place < len(self.inputs) else None
        return None if given is None else (given[0], (*given[1], *path))

    def value(self, value: Any, inner: Any) -> Any:
        """What the module gives, with its sources."""
        if isinstance(value, Tensor):
            return value._replace(source=self.source(inner))
        return value._replace(items=tuple(map(self.value, value.items, inner)))
