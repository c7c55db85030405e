"""Text and places in it.

In: the text of a .net file. Out: `Source`, which turns the offsets of a `Span` into lines and columns.
Guarantees: columns count characters from 1, a tab counts as one. Leaves rendering to `render`.
"""

from bisect import bisect_right
from typing import NamedTuple


class Span(NamedTuple):
    """A half-open range of characters, `start <= offset < end`, in one source."""

    start: int
    end: int

    def to(self, other: "Span") -> "Span":
        """The span from the start of this one to the end of `other`."""
        return Span(self.start, max(self.end, other.end))

    def before(self, inner: "Span") -> "Span":
        """The part of this span before another one in it, such as a statement's head before its body."""
        return Span(self.start, max(self.start + 1, inner.start))


class Source:
    """A named text with a table of its line starts."""

    def __init__(self, text: str, name: str = "<text>") -> None:
        self.text = text
        self.name = name
        self._starts = [0, *(i + 1 for i, c in enumerate(text) if c == "\n")]

    @property
    def lines(self) -> int:
        """How many lines the text has; a text that ends in a newline has no empty last line."""
        return len(self._starts) - (1 if self.text.endswith("\n") else 0) or 1

    def position(self, offset: int) -> tuple[int, int]:
        """The line and the column of an offset, both from 1."""
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def line(self, number: int) -> str:
        """The text of a line, without its end."""
        start = self._starts[number - 1]
        end = self._starts[number] - 1 if number < len(self._starts) else len(self.text)
        return self.text[start:end].rstrip("\r")

    def slice(self, span: Span) -> str:
        """The text that a span covers."""
        return self.text[span.start : span.end]
