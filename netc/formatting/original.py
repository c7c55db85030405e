"""What the author of a text wrote that the tree does not hold: comments, spellings, and choices of layout.

In: the text and its comments. Out: `Original`, which answers by offsets: which comments stand between two of them,
which of these have a line of their own, whether something was written on one line. `Bare` answers for trees without a
text.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netc import syntax
    from netc.lexer import Token

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_RESERVED = frozenset("if elif else for in and or not is True False None".split())


class Comment(NamedTuple):
    """A comment without the blanks at its end. `own`: it has a line to itself; `continues`: it stands exactly below
    the comment at the end of the line before, and goes on with it."""

    text: str
    start: int
    end: int
    own: bool
    continues: bool


class Bare:
    """Answers for a tree that was never written: no comments, blocks of several lines, canonical spellings."""

    def comments(self, start: int, end: int) -> Sequence[Comment]:
        """The comments that begin between two offsets."""
        return ()

    def find(self, what: str, start: int) -> int:
        """The first place of a sign from an offset on."""
        return 0

    def find_last(self, what: str, start: int, end: int) -> int:
        """The last place of a sign between two offsets."""
        return 0

    def trailing_comma(self, start: int, end: int) -> bool:
        """Whether a comma stands between two offsets, the last element and the bracket behind it."""
        return False

    def one_line(self, start: int, end: int) -> bool:
        """Whether what stands between two offsets, those of braces or of neighbours, was written on one line."""
        return False

    def begins_line(self, start: int, end: int) -> bool:
        """Whether a line was begun between two offsets, those of two links of a chain."""
        return False

    def blank(self, start: int, end: int) -> bool:
        """Whether an empty line stands between two offsets with nothing else between them."""
        return False

    def number(self, node: syntax.Number) -> str:
        """The number as it is written."""
        value = node.value
        assert value is not None, "a number that is too large has no text"
        assert value >= 0, "a negative number is a `Unary`"
        text = repr(value)
        return "1e999" if text == "inf" else text

    def string(self, node: syntax.String) -> str:
        """The string in its quotes: double ones, unless it holds one."""
        return quoted(node.value)

    def key(self, node: syntax.Ident) -> str:
        """The key of a setting: a name, or in quotes."""
        return node.text if _NAME.match(node.text) and node.text not in _RESERVED else quoted(node.text)

    def without_comments(self) -> Bare:
        """The same, as if there were no comments."""
        return self


class Original(Bare):
    """Answers for a text whose lines end in newlines (a carriage return within a string aside)."""

    def __init__(self, text: str, comments: Sequence[Token]) -> None:
        self.text = text
        self._comments = _comments(text, comments)
        self._starts = [c.start for c in self._comments]

    @property
    def all_comments(self) -> list[Comment]:
        return self._comments

    def comments(self, start: int, end: int) -> Sequence[Comment]:
        first = bisect_left(self._starts, start)
        if first == len(self._starts) or self._starts[first] >= end:
            return ()
        return self._comments[first : bisect_left(self._starts, end)]

    def find(self, what: str, start: int) -> int:
        return self.text.index(what, start)

    def find_last(self, what: str, start: int, end: int) -> int:
        return self.text.rindex(what, start, end)

    def trailing_comma(self, start: int, end: int) -> bool:
        gap = self.text[start:end]
        return "," in gap and ("#" not in gap or "," in re.sub(r"#[^\r\n]*", "", gap))

    def one_line(self, start: int, end: int) -> bool:
        gap = self.text[start:end]
        return "\n" not in gap and "\r" not in gap

    def begins_line(self, start: int, end: int) -> bool:
        return not self.one_line(start, end)

    def blank(self, start: int, end: int) -> bool:
        gap = self.text[start:end]
        return gap.count("\n") + gap.count("\r") > 1

    def number(self, node: syntax.Number) -> str:
        return self.text[node.span.start : node.span.end]

    def key(self, node: syntax.Ident) -> str:
        return quoted(node.text) if self.text[node.span.start] in "\"'" else node.text

    def without_comments(self) -> Original:
        return Original(self.text, ())


def quoted(text: str) -> str:
    """A string of the language, which has no escapes."""
    if '"' not in text:
        return f'"{text}"'
    assert "'" not in text, "a string can't hold both kinds of quotes"
    return f"'{text}'"


def _comments(text: str, tokens: Sequence[Token]) -> list[Comment]:
    """The comments with what their place says of them."""
    out: list[Comment] = []
    column_before, end_before = -1, 0
    for token in tokens:
        start = token.span.start
        line = text.rfind("\n", 0, start) + 1
        line = max(line, text.rfind("\r", line, start) + 1)
        own = not text[line:start].strip(" \t\f")
        below = own and line == end_before + 1 and start - line == column_before
        out.append(Comment(token.text.rstrip(" \t\f"), start, token.span.end, own, below))
        column_before, end_before = (start - line, token.span.end) if below or not own else (-1, 0)
    return out
