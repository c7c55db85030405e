"""Which lines led to a size: the trail of shapes in front of a mistake.

In: the checker of a body, tensors whose sizes are at fault, and the axes. Out: labels for the layers before, on other
lines, that set these sizes. A size is followed back through what keeps it; where axes were merged (`Flatten`), each of
them is followed on. Leaves to others: the step that gave the tensor itself.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from netc import syntax as s
from netc.diagnostics import Label
from netc.shapes import product, same

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from netc import ir
    from netc.checker.body import Body
    from netc.checker.values import Tensor
    from netc.shapes import TensorType
    from netc.source import Span

LINES = 3  # at most
_STEPS = 10_000  # back; a network has no more


class _At(NamedTuple):
    """A tensor on the way back: what gave it, and its type."""

    source: ir.Source
    type: TensorType


def labels(
    c: Body, tensors: Iterable[Tensor], place: Span, said: Sequence[Label], axes: Sequence[int] | None = None
) -> list[Label]:
    """The labels of the lines that set the sizes of these axes; those of all but the batch where none are given.

    `place` and `said` are what the diagnostic marks anyway: nothing is added on their lines.
    """
    if c.rec is not None:
        return []
    trail = _Trail(c)
    for tensor in tensors:
        rank = len(tensor.type.shape)
        for axis in range(1, rank) if axes is None else axes:
            if axis < rank:
                trail.follow(_At(tensor.source, tensor.type), axis)
    return trail.labels({c.source.position(span.start)[0] for span in (place, *(label.span for label in said))})


def spoken_of(text: str, tensors: Sequence[Tensor]) -> list[int] | None:
    """The axes whose sizes a text speaks of, of one tensor; None, for all of them, where it speaks of axes."""
    if re.search(r"\bax[ei]s\b", text):
        return None
    words = set(re.findall(r"\w+", text))
    shape = tensors[0].type.shape if tensors else ()
    return [i for i, dim in enumerate(shape) if i and str(dim) in words]


def of_both(c: Body, sides: Sequence[tuple[s.Expr, Tensor]], said: Sequence[Label], place: Span) -> list[Label]:
    """The lines that set the sizes in which the two operands of an operation differ."""
    out: list[Label] = []
    axes = _differing([t.type.shape for _, t in sides]) if len(sides) == 2 else []
    inputs = {i.name for i in c.inputs}
    for e, tensor in sides:
        if not isinstance(e, s.Name) or e.text not in inputs:
            own = [i + len(tensor.type.shape) for i in axes]
            out += labels(c, (tensor,), place, [*said, *out], own)
    return out


def _differing(shapes: Sequence[tuple[Any, ...]]) -> list[int]:
    """The axes, counted from the last one, in which two shapes can't be broadcast: negative numbers."""
    a, b = shapes
    count = min(len(a), len(b))
    return [i for i in range(-count, 0) if not same(a[i], b[i]) and 1 not in (a[i], b[i])]


class _Trail:
    def __init__(self, c: Body) -> None:
        self.c = c
        self.seen: set[tuple[int, int]] = set()
        self.steps: dict[int, TensorType] = {}  # what set a size: rows, and inputs as negative numbers

    def follow(self, at: _At, axis: int) -> None:
        """Follow one axis back to the steps that set its size."""
        todo = [(at, axis)]
        for _ in range(_STEPS):
            if not todo:
                return
            at, axis = todo.pop()
            number = _place(at.source)
            if number is None or (number, axis) in self.seen:
                continue
            self.seen.add((number, axis))
            before = self.kept(number, at.type, axis) if number >= 0 else None
            if before is not None:
                todo.append(before)
                continue
            self.steps[number] = at.type
            todo += self.merged(number, at.type, axis) if number >= 0 else ()

    def labels(self, lines: set[int]) -> list[Label]:
        """A label for each further line, the last ones first."""
        found: list[Label] = []
        for number in sorted(self.steps, reverse=True):
            label = self.label(number) if number >= 0 else self.input(number)
            line = self.c.source.position(label.span.start)[0] if label is not None else 0
            if label is not None and line not in lines and len(found) < LINES:
                lines.add(line)
                found.append(label._replace(text=label.text.replace("$", "")))
        return found

    def input(self, number: int) -> Label | None:
        declared = [st for st in self.c.owner.body.statements if isinstance(st, s.Input)]
        at = -1 - number
        return Label(declared[at].span, f"is {self.steps[number]}") if at < len(declared) else None

    def label(self, number: int) -> Label:
        """Mark the step of a row; one of a module is marked where that is called, with what the module gives."""
        for first, end, span in self.c.called:
            if first <= number < end:
                return Label(span, f"gives {self.c.rows[end - 1].output}")
        return Label(self.c.rows[number].span, f"gives {self.steps[number]}")

    def taken(self, number: int) -> list[_At]:
        """The tensors that a row takes."""
        found = []
        for several in self.c.rows[number].sources.values():
            for source in several:
                before = _place(source)
                if before is None:
                    continue
                if before >= 0:
                    found.append(_At(source, self.c.rows[before].output))
                elif -1 - before < len(self.c.inputs):
                    found.append(_At(source, self.c.inputs[-1 - before].type))
        return found

    def kept(self, number: int, type_: TensorType, axis: int) -> tuple[_At, int] | None:
        """The tensor whose axis a row gives on as it is, and which axis it is there."""
        size, rank = type_.shape[axis], len(type_.shape)
        name = self.c.rows[number].name
        for at in self.taken(number):
            shape = at.type.shape
            own = axis - rank + len(shape)  # from the last one on, as broadcasting does
            if name in ("permute", "transpose", "Permute", "movedim", "swapaxes", "stack", "unsqueeze", "squeeze"):
                places = [i for i, dim in enumerate(shape) if same(dim, size)]
                own = places[0] if len(places) == 1 else -1
            elif rank != len(shape) and name not in ("+", "-", "*", "/", "index"):
                continue
            if 0 <= own < len(shape) and same(shape[own], size) and not _sets(name, own):
                return at, own
        return None

    def merged(self, number: int, type_: TensorType, axis: int) -> list[tuple[_At, int]]:
        """The axes that were put together to this one."""
        (at, *more) = self.taken(number) or (None,)
        if at is None or more or len(at.type.shape) <= len(type_.shape):
            return []
        rest = len(type_.shape) - 1 - axis
        last = len(at.type.shape) - rest
        for first in range(last - 1, 0, -1):
            if same(product(at.type.shape[first:last]), type_.shape[axis]):
                return [(at, i) for i in range(first, last)]
        return []


def _sets(name: str, axis: int) -> bool:
    """Whether a layer sets the size of an axis, also where that stays: convolutions their channels."""
    return axis == 1 and name.startswith("Conv")


def _place(source: Any) -> int | None:
    """The row or input of a source that is no part of several results."""
    return source[0] if source is not None and isinstance(source[0], int) and set(source[1]) <= {"-"} else None
