"""Text to tokens, and their layout.

In: a source. Out: the tokens that the grammar speaks of, ending in `$END`. The patterns are the grammar's terminals;
the layout does what a grammar can't say: it drops newlines inside () and [] and before a line that goes on, and makes
keywords of words where they are ones. Guarantees: brackets are balanced where no mistake was reported.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, NamedTuple

from netc.diagnostics import Label
from netc.source import Span

if TYPE_CHECKING:
    from netc.diagnostics import Report
    from netc.grammar import Tables
    from netc.source import Source


class Token(NamedTuple):
    type: str
    text: str
    span: Span


# Python's words are reserved everywhere; the others are keywords only where `_keyword` finds that they fit.
RESERVED = {
    word: word.upper()
    for word in ("if", "elif", "else", "for", "in", "and", "or", "not", "is", "True", "False", "None")
}
_BEFORE_NAME = {"input", "output", "param", "layer"}
_BEFORE_STRING = {"import", "use", "replace", "append", "remove"}
_DEFINES = {"module", "network"}
_OPEN = {"LPAR": ")", "LSQB": "]", "LBRACE": "}"}
_CLOSE = {"RPAR": "LPAR", "RSQB": "LSQB", "RBRACE": "LBRACE"}
_MASTER: dict[tuple[tuple[str, str], ...], re.Pattern[str]] = {}

# Signs that look like the language's own, and what they stand for.
LOOKALIKES = {
    "\uff08": "(", "\uff09": ")", "\uff0c": ",", "\uff1a": ":", "\uff1d": "=", "\uff1b": ";", "\uff3b": "[",
    "\uff3d": "]", "\uff5b": "{", "\uff5d": "}", "\uff0d": "-", "\uff0b": "+", "\uff0a": "*", "\uff0f": "/",
    "\u3010": "[", "\u3011": "]", "\u3001": ",", "\u3002": ".", "\u201c": '"', "\u201d": '"', "\u2018": "'",
    "\u2019": "'", "\u2013": "-", "\u2014": "-", "\u2212": "-", "\u2192": "->", "\u00d7": "*", "\uff5e": "~",
    "\u00a0": " ", "\u3000": " ", "`": '"',
}  # fmt: skip


def lex(source: Source, tables: Tables, report: Report) -> list[Token] | None:
    """The tokens of a source as the parser wants them, or None where characters or brackets are wrong."""
    raw = _scan(source, tables, report)
    if report.failed:
        return None
    tokens = _layout(raw, report)
    return None if report.failed else tokens


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
    """Cut the text into tokens; what no terminal matches is reported and passed over."""
    pattern = _pattern(tables)
    text, tokens, at = source.text, [], 0
    while at < len(text):
        match = pattern.match(text, at)
        if match is None:
            at = _foreign(source, at, report)
            continue
        kind = match.lastgroup
        assert kind is not None
        if kind not in tables.ignored:
            tokens.append(Token(kind, match.group(), Span(at, match.end())))
        at = match.end()
    tokens.append(Token("$END", "", Span(len(text), len(text))))
    return tokens


def _foreign(source: Source, at: int, report: Report) -> int:
    """Report a character that no token begins with; give the offset behind it."""
    c = source.text[at]
    if c in "\"'":
        end = source.text.find("\n", at)
        span = Span(at, len(source.text) if end < 0 else end)
        report.add("E0102", "a string is not closed", span, "begins here", help=f"close it with {c} on the same line")
        return span.end
    if c in LOOKALIKES:
        ours = LOOKALIKES[c]
        what = "a blank" if ours == " " else f"`{ours}`"
        report.add(
            "E0103",
            f"U+{ord(c):04X}, `{c}`, looks like {what}, but is another character",
            Span(at, at + 1),
            help=f"write {what}; an editor or an input method may have replaced it",
        )
        return at + 1
    name = unicodedata.name(c, f"U+{ord(c):04X}")
    shown = f"`{c}`" if c.isprintable() else f"U+{ord(c):04X}"
    help_text = "names are written in ASCII letters, digits and `_`" if c.isalpha() else None
    report.add("E0101", f"{shown} ({name.lower()}) has no meaning here", Span(at, at + 1), help=help_text)
    return at + 1


def _layout(raw: list[Token], report: Report) -> list[Token]:
    """Drop the newlines that end nothing, and make keywords of words."""
    out: list[Token] = []
    opened: list[Token] = []
    for i, token in enumerate(raw):
        kind = token.type
        if kind == "_NL":
            if not (opened and opened[-1].type != "LBRACE") and not _joins(raw, i, out):
                out.append(token)
            continue
        if kind in _OPEN:
            if kind == "LBRACE" and opened and opened[-1].type != "LBRACE":
                _unclosed(opened[-1], token, report)
                return out
            opened.append(token)
        elif kind in _CLOSE:
            if not _closes(opened, token, report):
                return out
        elif kind == "$END" and opened:
            _at_end(opened, token, out, report)
        elif kind in ("NAME", "CNAME"):
            kind = _keyword(raw, i, out)
        out.append(token if kind == token.type else Token(kind, token.text, token.span))
    return out


def _joins(raw: list[Token], i: int, out: list[Token]) -> bool:
    """Whether the newline at `i` ends nothing: another one follows, or a line that goes on with this one."""
    if out and out[-1].type == "_NL":
        return True
    while raw[i].type == "_NL":
        i += 1
    following = raw[i]
    return following.type == "ARROW" or following.text in ("else", "elif")


def _closes(opened: list[Token], token: Token, report: Report) -> bool:
    """Take the bracket that `token` closes from `opened`, or report why it closes none."""
    if opened and opened[-1].type == _CLOSE[token.type]:
        opened.pop()
        return True
    if not opened:
        report.add(
            "E0104", f"`{token.text}` closes nothing", token.span, help="remove it, or open the bracket before it"
        )
    elif token.type == "RBRACE":
        _unclosed(opened[-1], token, report)
    else:
        report.add(
            "E0104",
            f"`{token.text}` does not close `{opened[-1].text}`",
            token.span,
            f"expected `{_OPEN[opened[-1].type]}`",
            secondary=[Label(opened[-1].span, "opened here")],
            help=f"write `{_OPEN[opened[-1].type]}`",
        )
    return False


def _unclosed(opener: Token, found: Token, report: Report) -> None:
    close = _OPEN[opener.type]
    report.add(
        "E0105",
        f"`{opener.text}` is never closed",
        opener.span,
        secondary=[Label(found.span, f"`{close}` is missing before this")],
        help=f"add `{close}`",
    )


def _at_end(opened: list[Token], end: Token, out: list[Token], report: Report) -> None:
    """The file ends within brackets: say which one was left open, at the end and where it was opened."""
    opener = opened[-1]
    last = out[-1].span if out[-1].type != "_NL" else out[-2].span
    report.add(
        "E0105",
        f"the file ends, but `{opener.text}` is still open",
        Span(last.end, last.end + 1) if last.end < end.span.end else Span(last.end - 1, last.end),
        f"`{_OPEN[opener.type]}` is missing",
        secondary=[Label(opener.span, "opened here")],
        help=f"add `{_OPEN[opener.type]}`" + (f" ({len(opened)} are open)" if len(opened) > 1 else ""),
    )


def _keyword(raw: list[Token], i: int, out: list[Token]) -> str:
    """The type of the word at `i`: a keyword's where it is one, else its own."""
    token, following = raw[i], raw[i + 1]
    word = token.text
    if word in RESERVED:
        return RESERVED[word]
    if word in ("seq", "module") and following.type == "LBRACE":
        return word.upper()
    if out and out[-1].type not in ("_NL", "LBRACE"):
        return token.type
    named = following.type in ("NAME", "CNAME")
    if (
        (word in _BEFORE_NAME and named)
        or (word in _DEFINES and named)
        or (word in _BEFORE_STRING and following.type == "STRING")
        or (word == "init" and following.type == "LBRACE")
        or (word == "buffer" and (named or following.type == "LPAR"))
    ):
        return word.upper()
    return token.type
