"""Fixes, made where a diagnostic is.

In: a misspelt word with its candidates, or a place and what belongs there. Out: a `Fix`, or None where it isn't
certain. Applying them is left to `netc.mending`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from netc.diagnostics import Edit, Fix, edit_distance
from netc.source import Span

if TYPE_CHECKING:
    from collections.abc import Iterable

_LONG = 8  # letters of a word that may have two wrong ones
_BLANKS = re.compile(r"[ \t]*")
_COMMA = re.compile(r"[ \t]*,[ \t]*")


def rewrite(span: Span, text: str) -> Fix:
    """Write a text in the place of another one."""
    return Fix(f"write `{text}`", (Edit(span, text),))


def spelling(word: str, span: Span, candidates: Iterable[str]) -> Fix | None:
    """The right spelling of a word, where there is no doubt which of the candidates it is.

    There is none where only the case differs, or where one is a letter or two away and no other one as near. A span
    that holds more than the word, such as a computed label, is left alone.
    """
    meant = certain(word, candidates)
    return rewrite(span, meant) if meant is not None and span.end - span.start == len(word) else None


def certain(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate that a word stands for without doubt. Digits have to be the same: `conv2` isn't `conv1`."""
    known = [c for c in sorted({*candidates} - {word}) if _digits(c) == _digits(word)]
    same = [c for c in known if c.lower() == word.lower()]
    if same:
        return same[0] if len(same) == 1 else None
    allowed = 1 if len(word) < _LONG else 2
    near = [(d, c) for c in known if (d := edit_distance(word.lower(), c.lower())) <= allowed]
    best = min(near, default=None)
    if best is None or sum(d == best[0] for d, _ in near) > 1 or len(word) < 3:
        return None
    return best[1]


def _digits(word: str) -> str:
    return "".join(c for c in word if c.isdigit())


def without(text: str, span: Span) -> Edit:
    """Take an argument or an item out of a list, with the comma that goes with it; comments stay."""
    after = _COMMA.match(text, span.end)
    start, end = span.start, after.end() if after else span.end
    line = text.rfind("\n", 0, start) + 1
    before = text[line:start].rstrip(" \t")
    if not after and before.endswith(","):
        start = line + len(before) - 1
    elif not before.strip():
        blanks = _BLANKS.match(text, end)
        assert blanks is not None
        if text.startswith(("\n", "\r\n"), blanks.end()):  # it had the line to itself
            start, end = line, text.index("\n", blanks.end()) + 1
    return Edit(Span(start, end), "")
