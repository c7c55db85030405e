"""Text to tokens.

In: a source. Out: the tokens that the grammar speaks of, ending in `$END`. The patterns are the grammar's terminals.
What no terminal matches is left to `strange`, and newlines, brackets and keywords to `layout`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from netc import strange
from netc.layout import lay_out
from netc.source import Span
from netc.token import Token

if TYPE_CHECKING:
    from netc.diagnostics import Report
    from netc.grammar import Tables
    from netc.source import Source


_MASTER: dict[tuple[tuple[str, str], ...], re.Pattern[str]] = {}


def lex(source: Source, tables: Tables, report: Report) -> list[Token]:
    """The tokens of a source as the parser wants them. Wrong text is taken for what it seems to mean."""
    return lay_out(_scan(source, tables, report), source, report)


def comments(source: Source, tables: Tables) -> list[Token]:
    """The comments of a source, each from its `#` to the end of its line."""
    pattern, text, found, at = _pattern(tables), source.text, [], 0
    while at < len(text):
        match = pattern.match(text, at)
        if match is not None and match.lastgroup == "COMMENT":
            found.append(Token("COMMENT", match.group(), Span(at, match.end())))
        at = match.end() if match is not None else at + 1
    return found


def _pattern(tables: Tables) -> re.Pattern[str]:
    """One pattern of all terminals."""
    pattern = _MASTER.get(tables.terminals)
    if pattern is None:
        pattern = re.compile("|".join(f"(?P<{name}>{regex})" for name, regex in tables.terminals))
        _MASTER[tables.terminals] = pattern
    return pattern


def _scan(source: Source, tables: Tables, report: Report) -> list[Token]:
    """Cut the text into tokens; what no terminal matches is reported, and replaced by what it looks like."""
    pattern = _pattern(tables)
    text, at = source.text, 0
    tokens: list[Token] = []
    while at < len(text):
        match = pattern.match(text, at)
        if match is None:
            at = strange.take(text, at, tokens, pattern, report)
            continue
        kind = match.lastgroup
        assert kind is not None
        if kind not in tables.ignored:
            tokens.append(Token(kind, match.group(), Span(at, match.end())))
        at = match.end()
    tokens.append(Token("$END", "", Span(len(text), len(text))))
    return tokens


__all__ = ["Token", "comments", "lex"]
