"""Lines of a formatted text, and the columns of the comments at their ends.

In: pieces of text, line by line, comments apart. Out: the text. Comments of lines that follow each other on the same
level are aligned, two blanks behind the longest of them, unless that pushes one past the width.
"""

from __future__ import annotations

from typing import NamedTuple

WIDTH = 120
INDENT = 2


class _Line(NamedTuple):
    """A line; `comment` is what stands at its end, its first line first."""

    code: str
    level: int
    comment: tuple[str, ...]


class Lines:
    """The lines so far, and the one that is being written."""

    def __init__(self) -> None:
        self._lines: list[_Line] = []
        self._parts: list[str] = []
        self._level = 0
        self._comment: tuple[str, ...] = ()
        self.column = 0

    def start(self, indent: int, level: int) -> None:
        """End the line, and begin one of a level: as deep as the block or bracket that it belongs to."""
        self._end()
        self._parts = [" " * indent]
        self.column, self._level = indent, level

    def write(self, text: str) -> None:
        """Go on with the line, which must have no comment yet."""
        assert not self._comment, "nothing can follow a comment"
        self._parts.append(text)
        self.column += len(text)

    def comment(self, texts: tuple[str, ...]) -> None:
        """Put a comment at the end of the line; further texts go below the first."""
        if texts:
            assert not self._comment, "a line has one comment at its end"
            self._comment = texts

    def own(self, indent: int, text: str) -> None:
        """A comment on a line of its own."""
        self._end()
        self._lines.append(_Line(" " * indent + text, -1, ()))

    def blank(self) -> None:
        """An empty line."""
        self._end()
        self._lines.append(_Line("", -1, ()))

    def _end(self) -> None:
        if self._parts:
            self._lines.append(_Line("".join(self._parts), self._level, self._comment))
        self._parts, self._comment = [], ()

    def text(self) -> str:
        """The whole text; it ends in a newline, if it has any line."""
        self._end()
        out: list[str] = []
        at = 0
        while at < len(self._lines):
            first = self._lines[at]
            if not first.comment:
                out.append(first.code)
                at += 1
                continue
            end = at + 1
            while end < len(self._lines) and self._lines[end].comment and self._lines[end].level == first.level:
                end += 1
            out += _aligned(self._lines[at:end])
            at = end
        return "".join(f"{line}\n" for line in out)


def _aligned(run: list[_Line]) -> list[str]:
    """The texts of lines with comments."""
    column = max(len(line.code) for line in run) + 2
    pushed = column > WIDTH or any(
        column + len(text) > WIDTH >= len(line.code) + 2 + len(text) for line in run for text in line.comment
    )
    out: list[str] = []
    for line in run:
        place = len(line.code) + 2 if pushed else column
        out.append(line.code.ljust(place) + line.comment[0])
        out += [" " * place + text for text in line.comment[1:]]
    return out
