"""Fixes, made where a diagnostic is.

In: a misspelt word with its candidates, or a place and what belongs there. Out: a `Fix`, or None where it isn't
certain. Applying them is left to `netc.mending`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from netc.diagnostics import Edit, Fix, edit_distance
from netc.limits import WORD_LENGTH
from netc.source import Span

if TYPE_CHECKING:
    from collections.abc import Iterable

_LONG = 8  # letters of a word that may have two wrong ones
# Compiled where they are needed, which is only where there is something to mend.
_BLANKS = r"[ \t]*"
_COMMA = r"[ \t]*,[ \t]*"
_ARROW = r"->[ \t]*\Z"
_NAMED = r"\w+\s*=(?!=)"
_VALUE = r"(?:\w+\s*=\s*)?(\"[^\"\n]*\"|'[^'\n]*'|-?[\d._eE]+|True|False|None)"
_QUIET = r"#[^\n]*|\"[^\"\n]*\"|'[^'\n]*'"


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
    if len(word) > WORD_LENGTH:
        return None
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


def leave_out(span: Span, what: str, part: str = "argument") -> Fix:
    """Take an argument out of a call, an "item" out of a list, a "step" out of a chain; the fix calls it `what`."""
    return Fix(f"leave out `{what}`", (Edit(span, "", part),))


def value(span: Span, new: str) -> Fix:
    """Another value for an argument, `name=value` or `value`; there is none where what is written is no plain value."""
    return Fix(f"write `{new}`", (Edit(span, new, "value"),))


def stands_alone(text: str, span: Span) -> bool:
    """Whether an expression is all of a statement up to an arrow, so that a chain can stand in its place."""
    before = text[text.rfind("\n", 0, span.start) + 1 : span.start]
    after = text[span.end :].lstrip(" \t")
    ends = not after or after[0] in "\r\n;}#" or after.startswith("->")
    return ends and re.fullmatch(r"(?:.*[{;])?\s*(?:\w+\s*=\s*)?", before) is not None and not _open(text, span.start)


def _open(text: str, end: int) -> bool:
    """Whether a parenthesis or bracket is open."""
    plain = re.compile(_QUIET).sub("", text[:end])
    return sum(plain.count(c) for c in "([") > sum(plain.count(c) for c in ")]")


def settled(fix: Fix, text: str) -> Fix | None:
    """The fix with the commas and arrows that go with its edits; None where they can't be told."""
    edits = [_settled(edit, text) for edit in fix.edits]
    kept = tuple(edit for edit in edits if edit is not None)
    return Fix(fix.title, kept) if len(kept) == len(edits) else None


def _settled(edit: Edit, text: str) -> Edit | None:
    span = edit.span
    if edit.part == "value":
        match = re.compile(_VALUE).fullmatch(text, span.start, span.end)
        return Edit(Span(match.start(1), span.end), edit.text) if match else None
    if edit.part == "argument" and not re.compile(_NAMED).match(text, span.start, span.end):
        return None
    if edit.part in ("item", "argument"):
        return without(text, span)
    return without_step(text, span) if edit.part == "step" else edit


def without(text: str, span: Span) -> Edit:
    """Take an argument or an item out of a list, with the comma that goes with it; comments stay."""
    after = re.compile(_COMMA).match(text, span.end)
    start, end = span.start, after.end() if after else span.end
    line = text.rfind("\n", 0, start) + 1
    before = text[line:start].rstrip(" \t")
    if not after and before.endswith(","):
        start = line + len(before) - 1
    elif not before.strip():
        blanks = re.compile(_BLANKS).match(text, end)
        assert blanks is not None
        if text.startswith(("\n", "\r\n"), blanks.end()):  # it had the line to itself
            start, end = line, text.index("\n", blanks.end()) + 1
    return Edit(Span(start, end), "")


def without_step(text: str, span: Span) -> Edit | None:
    """Take a step out of its chain, with the arrow before it, or behind it where it is the first; comments stay."""
    arrow = re.compile(_ARROW).search(text, 0, span.start)
    if arrow is None:
        behind = re.compile(r"\s*->[ \t]*").match(text, span.end)
        return Edit(Span(span.start, behind.end()), "") if behind else None
    start = len(text[: arrow.start()].rstrip())
    rest = text[span.end : text.find("\n", span.end) if "\n" in text[span.end :] else len(text)]
    if "\n" in text[start : arrow.start()] and rest.strip():  # something else begins the line then
        blanks = re.compile(_BLANKS).match(text, span.end)
        assert blanks is not None
        return Edit(Span(arrow.start(), blanks.end()), "")
    return Edit(Span(start, span.end), "")
