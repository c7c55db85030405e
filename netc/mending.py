"""Applying the fixes of diagnostics.

In: a checked text, and how to check another one. Out: the mended text, checked, and what was mended. Guarantees: edits
never overlap, what they don't cover stays as it is, and the work ends. Reading and writing files is left to others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from netc.compiler import Checked
    from netc.diagnostics import Diagnostic
    from netc.source import Source, Span

ROUNDS = 100  # a list without its commas is mended one comma at a time


class Mended(NamedTuple):
    """What came of mending a text: the last check, and what was mended, each with the text that it was found in."""

    checked: Checked
    applied: tuple[tuple[Source, Diagnostic], ...]


def mend(checked: Checked, analyse: Callable[[str], Checked]) -> Mended:
    """Apply the fixes of a text, check what came of it, and go on until there are none left."""
    applied: list[tuple[Source, Diagnostic]] = []
    seen = {checked.source.text}
    for _ in range(ROUNDS):
        chosen = choose(checked.diagnostics)
        text = apply(checked.source.text, chosen)
        if text in seen:  # nothing to do, or fixes that undo each other
            break
        seen.add(text)
        applied += ((checked.source, d) for d in chosen)
        checked = analyse(text)
    return Mended(checked, tuple(applied))


def choose(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """The diagnostics whose fixes can be applied together: of those that overlap, the first."""
    chosen: list[Diagnostic] = []
    taken: list[Span] = []
    for diagnostic in diagnostics:
        spans = [e.span for e in diagnostic.fix.edits] if diagnostic.fix is not None else []
        if spans and not any(_overlap(a, b) for a in spans for b in taken):
            chosen.append(diagnostic)
            taken += spans
    return chosen


def apply(text: str, diagnostics: Iterable[Diagnostic]) -> str:
    """The text with the fixes of diagnostics that were chosen."""
    edits = [e for d in diagnostics if d.fix is not None for e in d.fix.edits]
    for edit in sorted(edits, reverse=True):
        text = text[: edit.span.start] + edit.text + text[edit.span.end :]
    return text


def done(diagnostic: Diagnostic, source: Source) -> str:
    """What a fix does, in words: its title, and what was written before."""
    assert diagnostic.fix is not None
    title, edits = diagnostic.fix
    old = source.slice(edits[0].span) if len(edits) == 1 and edits[0].text else ""
    return f"{title} for `{old}`" if old and title.startswith("write") and "\n" not in old else title


def _overlap(a: Span, b: Span) -> bool:
    return a == b or (a.start < b.end and b.start < a.end)
