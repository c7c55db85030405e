"""Characters with which no token begins.

In: a text and a place where no terminal matches. Out: a diagnostic, and the tokens that the text seems to mean, so that
the rest is parsed and checked all the same: a sign that looks like one of the language's is taken for it, a word with
letters that are not ASCII for a name, a string that is not closed for an `ERROR`.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from netc.diagnostics import Edit, Fix
from netc.source import Span
from netc.token import Token

if TYPE_CHECKING:
    import re
    from collections.abc import Sequence

    from netc.diagnostics import Report

# Signs that look like the language's own, and what they stand for. Full-width forms are known to Unicode.
LOOKALIKES = {
    "\u3010": "[", "\u3011": "]", "\u3001": ",", "\u3002": ".", "\u2013": "-", "\u2014": "-", "\u2212": "-",
    "\u2192": "->", "\u00d7": "*", "\uff5e": "~", "\u2264": "<=", "\u2265": ">=", "\u2260": "!=",
}  # fmt: skip
_QUOTES = "\u201c\u201d\u201e\u2018\u2019\u201a\u00ab\u00bb\u300c\u300d\uff02\uff07`\u00b4"
# Letters of other alphabets that look like Latin ones.
_LETTERS = dict(
    zip(
        "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0425\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456"
        "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03bf\u03bd",
        "ABEKMHOPCTXaeopcyxiABEZHIKMNOPTYXov",
        strict=True,
    )
)
_NEWLINES = "\u2028\u2029\u0085\x0b"


def take(text: str, at: int, tokens: list[Token], pattern: re.Pattern[str], report: Report) -> int:
    """Report what stands at `at`, add the tokens that it seems to mean, and give the offset behind it."""
    c = text[at]
    if c in "\"'":
        return _open_string(text, at, tokens, report)
    if c in _QUOTES:
        return _quoted(text, at, tokens, report)
    if c.isalnum():
        return _word(text, at, tokens, pattern, report)
    ours = meant(c)
    if ours is not None:
        _looks_like(c, ours, at, report, (at,))
        tokens += _tokens(ours, Span(at, at + 1), pattern)
        return at + 1
    end = at + 1
    while text[end : end + 1] == c:
        end += 1
    shown = f"`{c}`" if c.isprintable() else f"U+{ord(c):04X}"
    name = unicodedata.name(c, f"U+{ord(c):04X}")
    report.add("E0101", f"{shown} ({name.lower()}) has no meaning here", Span(at, end))
    tokens.append(Token("_NL" if c in _NEWLINES else "ERROR", "\n", Span(at, end)))
    return end


def meant(c: str) -> str | None:
    """What a sign looks like: a sign of the language, a blank, or None."""
    if c in LOOKALIKES:
        return LOOKALIKES[c]
    if unicodedata.category(c) == "Zs":
        return " "
    plain = unicodedata.normalize("NFKC", c)
    return plain if plain != c and len(plain) == 1 and "!" <= plain <= "~" else None


def _tokens(ours: str, span: Span, pattern: re.Pattern[str]) -> list[Token]:
    """The token of a text of ours, if it is one."""
    match = pattern.fullmatch(ours)
    kind = match.lastgroup if match is not None else None
    if kind is None or kind in ("WS", "COMMENT"):
        return []
    return [Token(kind, ours, span)]


def _looks_like(c: str, ours: str, at: int, report: Report, mended: Sequence[int]) -> None:
    """Report a sign; `mended` are the places where ours belongs, of which this is one, if that is certain."""
    what = "a blank" if ours == " " else f"`{ours}`"
    edits = tuple(Edit(Span(i, i + 1), ours) for i in mended)
    report.add(
        "E0103",
        f"U+{ord(c):04X}, `{c}`, looks like {what}, but is another character",
        Span(at, at + 1),
        help=f"write {what}; an editor or an input method may have replaced it",
        fix=Fix(f"write {what}", edits) if edits else None,
    )


def _open_string(text: str, at: int, tokens: list[Token], report: Report) -> int:
    end = text.find("\n", at)
    span = Span(at, len(text) if end < 0 else end)
    c = text[at]
    report.add("E0102", "a string is not closed", span, "begins here", help=f"close it with {c} on the same line")
    tokens.append(Token("ERROR", text[at : span.end], span))
    return span.end


def _quoted(text: str, at: int, tokens: list[Token], report: Report) -> int:
    """A string in quotes of another kind, up to the next quote of any kind on its line."""
    line_end = text.find("\n", at)
    line_end = len(text) if line_end < 0 else line_end
    end = next((i for i in range(at + 1, line_end) if text[i] in _QUOTES or text[i] in "\"'"), None)
    closing = text[end] if end is not None else ""
    # An apostrophe may belong to the string, which then goes on.
    mended = [] if end is None or closing == "'" else [at, end] if closing in _QUOTES else [at]
    _looks_like(text[at], '"', at, report, mended)
    if end is None:
        tokens.append(Token("ERROR", text[at:line_end], Span(at, line_end)))
        return line_end
    if closing in _QUOTES:
        _looks_like(text[end], '"', end, report, mended)
    tokens.append(Token("STRING", f'"{text[at + 1 : end]}"', Span(at, end + 1)))
    return end + 1


def _word(text: str, at: int, tokens: list[Token], pattern: re.Pattern[str], report: Report) -> int:
    """A word with a letter or digit that is not ASCII, from its begin on, which may have been taken for a name."""
    start = at
    if tokens and tokens[-1].span.end == at and tokens[-1].type in ("NAME", "CNAME", "NUMBER"):
        start = tokens.pop().span.start
    end = at + 1
    while end < len(text) and (text[end].isalnum() or text[end] == "_"):
        end += 1
    word, span = text[start:end], Span(start, end)
    plain = "".join(_LETTERS.get(c, c) for c in unicodedata.normalize("NFKC", word))
    if plain.isascii() and (found := _tokens(plain, span, pattern)):
        c = text[at]
        name = unicodedata.name(c, f"U+{ord(c):04X}").lower()
        report.add(
            "E0103",
            f"`{c}` ({name}) looks like `{plain[at - start]}`, but is another character",
            span,
            help=f"write `{plain}`",
            fix=Fix(f"write `{plain}`", (Edit(span, plain),)),
        )
        tokens += found
        return end
    report.add(
        "E0101",
        f"`{word}` has letters that are not ASCII",
        span,
        help="names are written in ASCII letters, digits and `_`",
    )
    tokens.append(Token("CNAME" if word[0].isupper() else "NAME", word, span))
    return end
