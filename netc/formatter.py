"""The text of a program in its one canonical form.

In: a source, or a tree. Out: the text that `netc fmt` writes: the same tree, the same comments in the same order, and
nothing for a second run to do. Syntax errors go into the report. The result is parsed and compared with what came in
before it is handed out; a difference is a bug, and an exception. What the form is, docs/fmt.md says.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

from netc import parser
from netc.diagnostics import Report
from netc.formatting.layout import lay_out
from netc.formatting.original import Bare, Original
from netc.formatting.statements import Statements
from netc.lexer import comments
from netc.source import Source, Span

if TYPE_CHECKING:
    from netc import syntax


class Unfaithful(Exception):
    """The formatted text is not the same program, which is a bug of netc."""


def format_text(source: Source, report: Report) -> str | None:
    """The canonical text of a source, or None where it has syntax errors, which are then in the report.

    Raises `Unfaithful` where the result would not be the same program with the same comments.
    """
    collecting = gc.isenabled()
    gc.disable()  # trees hold no cycles
    try:
        return _format(source, report)
    finally:
        if collecting:
            gc.enable()


def print_tree(file: syntax.File) -> str:
    """The canonical text of a tree, whatever its spans say.

    Operands have to stand in `Paren` where precedence asks for it, as the parser makes trees.
    """
    return lay_out(Statements(Bare()).file(file, 0))


def _format(source: Source, report: Report) -> str | None:
    file = parser.parse(source, report)
    if file is None or report.failed:
        return None
    original = source
    if "\r\n" in source.text:
        original = Source(source.text.replace("\r\n", "\n"), source.name)
        again = parser.parse(original, Report())
        assert again is not None
        file = again
    found = comments(original, parser.tables())
    layout = Original(original.text, found)
    text = lay_out(Statements(layout).file(file, len(original.text)))
    if text != original.text:
        _compare(file, [c.text for c in layout.all_comments], Source(text, source.name))
    return text


def _compare(file: syntax.File, said: list[str], made: Source) -> None:
    """Parse what was made, and hold it against what came in."""
    report = Report()
    again = parser.parse(made, report)
    if again is None or report.failed:
        raise Unfaithful(f"what was made of {made.name} doesn't parse: {report.diagnostics[0].message}")
    if not same(file, again):
        raise Unfaithful(f"what was made of {made.name} is another program")
    if said != [c.text.rstrip(" \t\f") for c in comments(made, parser.tables())]:
        raise Unfaithful(f"what was made of {made.name} has other comments")


def same(one: Any, other: Any) -> bool:
    """Whether two trees are the same but for their spans."""
    if type(one) is Span:
        return type(other) is Span
    if isinstance(one, tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other)
