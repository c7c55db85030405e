"""From the lines of model.py to the places of the program that they came from.

In: a checked program. Out: for the lines of each `forward` their spans, in the file that the module was written in.
Guarantees: the text that the lines are of is the very text of `model.emit`, which bears no marks. Leaves to others:
which file that is, and the lines of constructors.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from netc import ir
from netc.backends import model
from netc.backends.forward import Forward
from netc.source import Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MARK = re.compile("\0(\\d+):(\\d+)\0")


class _Marked(Forward):
    """`forward` with the place of each line before it."""

    def line(self, name: str, lead: str, value: ir.Expr, indent: int) -> Iterator[str]:
        span = getattr(value, "span", None)
        mark = f"\0{span.start}:{span.end}\0" if isinstance(span, Span) else ""
        for text in super().line(name, lead, value, indent):
            yield text if _MARK.match(text) else mark + text


def spans(program: ir.Program, networks: Sequence[ir.Network] | None = None) -> dict[int, Span]:
    """The place of each line of model.py that has one; lines count from 1."""
    marked = model.emit(program, networks, _Marked)
    if _MARK.sub("", marked) != model.emit(program, networks):
        return {}
    found = ((number, _MARK.search(line)) for number, line in enumerate(marked.split("\n"), 1))
    return {number: Span(int(m[1]), int(m[2])) for number, m in found if m is not None}
