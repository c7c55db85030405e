"""The layout of tokens: what a grammar can't say.

In: the tokens of a text as they stand. Out: the tokens that the grammar speaks of: newlines inside () and [] and before
a line that goes on are dropped, and words that are keywords where they stand become ones. Guarantees: brackets are
balanced. Where they weren't, the mistake is reported, a missing brace is put in where the lines show that it belongs,
and another bracket becomes a token `ERROR`, at which the parser gives up the statement and goes on with the next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from netc.diagnostics import Label
from netc.source import Span

if TYPE_CHECKING:
    from netc.diagnostics import Report
    from netc.source import Source
    from netc.token import Token

# Python's words are reserved everywhere; the others are keywords only where `_keyword` finds that they fit.
RESERVED = {
    word: word.upper()
    for word in ("if", "elif", "else", "for", "in", "and", "or", "not", "is", "True", "False", "None")
}
_BEFORE_NAME = {"input", "output", "param", "layer"}
_BEFORE_STRING = {"import", "use", "replace", "append", "remove"}
_DEFINES = {"module", "network"}
_SECTIONS = {"data", "train"}
_CLOSED_BY = {"LPAR": "RPAR", "LSQB": "RSQB", "LBRACE": "RBRACE"}
_SIGN = {"RPAR": ")", "RSQB": "]", "RBRACE": "}"}
_OPENED_BY = {close: opener for opener, close in _CLOSED_BY.items()}


TRIES = 10  # after so many open brackets before one brace, the statements up to it are given up together


class _Opened(NamedTuple):
    """An open bracket: its token, where it stands among the raw tokens, and how many tokens were out before it."""

    token: Token
    at: int
    before: int


def lay_out(raw: list[Token], source: Source, report: Report) -> list[Token]:
    """The tokens as the parser wants them; `raw` ends in `$END`."""
    return _Layout(raw, source, report).run()


class _Layout:
    """One walk over the raw tokens, which goes back a little where a bracket was never closed."""

    def __init__(self, raw: list[Token], source: Source, report: Report) -> None:
        self.raw = raw
        self.source = source
        self.report = report
        self.out: list[Token] = []
        self.opened: list[_Opened] = []
        self.given_up: dict[int, int] = {}  # how many brackets the token at an index has shown to be open
        kinds = [t.type for t in raw]
        self.lacking = kinds.count("LBRACE") - kinds.count("RBRACE")  # closing braces that the text lacks, if positive

    def run(self) -> list[Token]:
        at = 0
        while at < len(self.raw):
            at = self.take(at)
        return self.out

    def take(self, at: int) -> int:
        """Take the raw token at `at`; give the index of the next one."""
        token = self.raw[at]
        kind = token.type
        if kind == "_NL":
            if self.in_parentheses() and self.begins_statement(at + 1):
                return self.give_up(self.opened[-1], at + 1)
            if not self.in_parentheses() and not self.joins(at):
                self.out.append(token)
            return at + 1
        if self.lacking > 0 and self.opened and not self.in_parentheses() and self.first_on_its_line(at):
            self.close_missing(at)
        if kind in _CLOSED_BY:
            if kind == "LBRACE" and self.in_parentheses():
                return self.give_up(self.opened[-1], at)
            self.opened.append(_Opened(token, at, len(self.out)))
        elif kind in _OPENED_BY:
            return self.close(at)
        elif kind == "$END" and self.opened:
            if self.in_parentheses():
                return self.give_up(self.opened[-1], at)
            self.close_at_end(token)
        elif kind == "ERROR":
            self.forget_parentheses()
        elif kind in ("NAME", "CNAME"):
            kind = _keyword(self.raw, at, self.out)
        self.out.append(token if kind == token.type else token._replace(type=kind))
        return at + 1

    def in_parentheses(self) -> bool:
        return bool(self.opened) and self.opened[-1].token.type != "LBRACE"

    def joins(self, at: int) -> bool:
        """Whether the newline at `at` ends nothing: another one follows, or a line that goes on with this one."""
        if self.out and self.out[-1].type == "_NL":
            return True
        while self.raw[at].type == "_NL":
            at += 1
        following = self.raw[at]
        return following.type == "ARROW" or following.text in ("else", "elif")

    def begins_statement(self, at: int) -> bool:
        """Whether a label stands at `at`, the begin of a line, which no line within parentheses has."""
        raw = self.raw
        if raw[at].type not in ("NAME", "CNAME", "STRING") or raw[at + 1].type != "COLON":
            return False
        opener = self.opened[-1].token
        line, _ = self.source.position(raw[at].span.start)
        outer, _ = self.source.position(opener.span.start)
        return opener.type == "LPAR" or self.indent(line) <= self.indent(outer)  # `[a:b]` may have a line of its own

    def forget_parentheses(self) -> None:
        """Parentheses of a statement that is given up are not missed."""
        while self.in_parentheses():
            self.opened.pop()

    # --- brackets ----------------------------------------------------------------------------------------------------

    def close(self, at: int) -> int:
        """Take a closing bracket."""
        token = self.raw[at]
        if self.opened and self.opened[-1].token.type == _OPENED_BY[token.type]:
            self.opened.pop()
            self.out.append(token)
        elif self.opened and token.type == "RBRACE" and self.in_parentheses():
            return self.give_up(self.opened[-1], at)
        elif self.in_parentheses():
            self.crossed(token)
        else:
            self.report.add(
                "E0104", f"`{token.text}` closes nothing", token.span, help="remove it, or open the bracket before it"
            )
            if token.type != "RBRACE":
                self.out.append(token._replace(type="ERROR"))
        return at + 1

    def crossed(self, token: Token) -> None:
        """`)` where `]` is expected: it was meant to close what is open."""
        opener = self.opened.pop().token
        close = _CLOSED_BY[opener.type]
        outer = self.opened[-1].token if self.in_parentheses() else None
        if outer is not None and _CLOSED_BY[outer.type] == token.type:  # `([1, 2)`: the inner one is missing
            _unclosed(opener, token, self.report)
            self.opened.pop()
            self.out += [token._replace(type=close, text=_SIGN[close]), token]
            return
        self.report.add(
            "E0104",
            f"`{token.text}` does not close `{opener.text}`",
            token.span,
            f"expected `{_SIGN[close]}`",
            secondary=[Label(opener.span, "opened here")],
            help=f"write `{_SIGN[close]}`",
        )
        self.out.append(token._replace(type=close, text=_SIGN[close]))

    def give_up(self, opened: _Opened, at: int) -> int:
        """Report a parenthesis that the token at `at` shows to be open; go on where its statement seems to end."""
        found = self.raw[at]
        if found.type == "$END":
            self.report_end(found)
        else:
            _unclosed(opened.token, found, self.report)
        self.given_up[at] = self.given_up.get(at, 0) + 1
        outermost = opened
        while self.in_parentheses():
            outermost = self.opened.pop()
        del self.out[outermost.before :]
        self.out.append(outermost.token._replace(type="ERROR"))
        return self.statement_end(outermost, at) if self.given_up[at] <= TRIES else at

    def statement_end(self, opened: _Opened, limit: int) -> int:
        """The newline behind which a line stands no further to the right than the line of the bracket."""
        line, _ = self.source.position(opened.token.span.start)
        indent = self.indent(line)
        for at in range(opened.at + 1, limit):
            if self.raw[at].type == "LBRACE":  # a block, whose own end is its closing brace
                return at
            if self.raw[at].type == "_NL" and self.raw[at + 1].type != "_NL":
                following, _ = self.source.position(self.raw[at + 1].span.start)
                if self.indent(following) <= indent:
                    return at
        return limit

    def indent(self, line: int) -> int:
        text = self.source.line(line)
        return len(text) - len(text.lstrip())

    def first_on_its_line(self, at: int) -> bool:
        return at == 0 or self.raw[at - 1].type == "_NL"

    def close_missing(self, at: int) -> None:
        """Put in the closing braces that are missing before a token, the first of its line."""
        token = self.raw[at]
        while self.lacking > 0 and self.opened and self.misses(at):
            opener = self.opened.pop().token
            _unclosed(opener, token, self.report)
            self.lacking -= 1
            here = Span(token.span.start, token.span.start)
            if self.out[-1].type != "_NL":
                self.out.append(token._replace(type="_NL", text="\n", span=here))
            self.out.append(token._replace(type="RBRACE", text="}", span=here))
            self.out.append(token._replace(type="_NL", text="\n", span=here))

    def misses(self, at: int) -> bool:
        """Whether the lines show that the brace opened last should have been closed before the token at `at`."""
        token = self.raw[at]
        _, column = self.source.position(token.span.start)
        line, _ = self.source.position(self.opened[-1].token.span.start)
        if token.type == "RBRACE":
            return column - 1 < self.indent(line)
        return column == 1 and token.type != "$END" and _defines(token, self.raw[at + 1])

    def close_at_end(self, end: Token) -> None:
        """The file ends within braces."""
        self.report_end(end)
        for _ in self.opened:
            if self.out[-1].type != "_NL":
                self.out.append(end._replace(type="_NL", text="\n"))
            self.out.append(end._replace(type="RBRACE", text="}"))
        self.opened.clear()

    def report_end(self, end: Token) -> None:
        """The file ends within brackets: say which one was left open, at the end and where it was opened."""
        opener = self.opened[-1].token
        close = _SIGN[_CLOSED_BY[opener.type]]
        last = self.out[-1].span if self.out[-1].type != "_NL" else self.out[-2].span
        self.report.add(
            "E0105",
            f"the file ends, but `{opener.text}` is still open",
            Span(last.end, last.end + 1) if last.end < end.span.end else Span(last.end - 1, last.end),
            f"`{close}` is missing",
            secondary=[Label(opener.span, "opened here")],
            help=f"add `{close}`" + (f" ({len(self.opened)} are open)" if len(self.opened) > 1 else ""),
        )


def _unclosed(opener: Token, found: Token, report: Report) -> None:
    close = _SIGN[_CLOSED_BY[opener.type]]
    report.add(
        "E0105",
        f"`{opener.text}` is never closed",
        opener.span,
        secondary=[Label(found.span, f"`{close}` is missing before this")],
        help=f"add `{close}`",
    )


def _defines(token: Token, following: Token) -> bool:
    """Whether a definition begins with this token, wherever it stands."""
    if token.text in _DEFINES:
        return following.type in ("NAME", "CNAME")
    if token.text in ("import", "use"):
        return following.type == "STRING"
    return token.text in _SECTIONS and following.type == "LBRACE"


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
