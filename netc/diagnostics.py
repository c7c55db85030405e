"""What netc has to say about a program: diagnostics as data, and the report that collects them.

A diagnostic has a code, one sentence, the place, further places that explain it, notes, and a way out. Mistakes of the
user are never exceptions; every stage adds them to a `Report` and goes on. Turning them into text is left to `render`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from netc.limits import WORD_LENGTH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from netc.source import Span


class Label(NamedTuple):
    """A place and what is to be said of it (may be empty)."""

    span: Span
    text: str = ""


class Edit(NamedTuple):
    """Replace what a span covers by a text; an empty span inserts.

    part: what the span is, where the text decides what has to change: an "item" of a list, or an "argument" that is
        given by name, with which a comma goes; a "step" of a chain, with which an arrow goes; an argument whose "value"
        changes and whose name stays. `fixes.settled` makes plain edits of them.
    """

    span: Span
    text: str
    part: str = ""


class Fix(NamedTuple):
    """A change of the text that certainly mends a mistake, and nothing else. `title` says what it does."""

    title: str
    edits: tuple[Edit, ...]


class Diagnostic(NamedTuple):
    """One mistake (`E…`) or warning (`W…`). `help` is the way out; `fix` is it as a change of the text."""

    code: str
    message: str
    primary: Label
    secondary: tuple[Label, ...] = ()
    notes: tuple[str, ...] = ()
    help: str | None = None
    fix: Fix | None = None

    @property
    def is_error(self) -> bool:
        return self.code.startswith("E")


LIMIT = 200  # diagnostics of one run


class TooMany(Exception):
    """More mistakes than anybody reads: what comes behind the last one is not looked at."""


class Report:
    """The diagnostics of one run, each place and code once, without those that a comment silences.

    Raises `TooMany` at the first error beyond `limit`; warnings beyond it are dropped.
    """

    def __init__(
        self, silenced: Callable[[str, Span], bool] = lambda code, span: False, limit: int | None = None
    ) -> None:
        self.limit = limit
        self.silenced: dict[tuple[str, Span], Diagnostic] = {}
        self._found: dict[tuple[str, Span], Diagnostic] = {}
        self._counts = {True: 0, False: 0}  # of errors, of warnings
        self._silenced = silenced
        self._unread: set[Span] = set()  # the places of text that was no token: nothing further is said of them

    def add(
        self,
        code: str,
        message: str,
        span: Span,
        label: str = "",
        *,
        secondary: Iterable[Label] = (),
        notes: Iterable[str] = (),
        help: str | None = None,
        fix: Fix | None = None,
    ) -> None:
        """Add a diagnostic; a second one with the same code at the same place is dropped."""
        diagnostic = Diagnostic(code, message, Label(span, label), tuple(secondary), tuple(notes), help, fix)
        if self._silenced(code, span):
            self.silenced.setdefault((code, span), diagnostic)
            return
        if span in self._unread and not code.startswith("E01"):
            return
        if code.startswith("E01"):
            self._unread.add(span)
        if (code, span) in self._found:
            return
        if self.limit is not None and self._counts[diagnostic.is_error] == self.limit:
            if diagnostic.is_error:
                raise TooMany
            return  # a right program stays one, whatever there is to warn of
        self._counts[diagnostic.is_error] += 1
        self._found[code, span] = diagnostic

    @property
    def count(self) -> int:
        return len(self._found)

    def explain(self, since: int, codes: Iterable[str], label: Label) -> None:
        """Give those of these codes that came after the first `since` a further place, unless one says the same."""
        wanted = set(codes)
        for key, found in list(self._found.items())[since:]:
            if found.code in wanted and all(other.text != label.text for other in found.secondary):
                self._found[key] = found._replace(secondary=(*found.secondary, label))

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """All of them, in the order of their places."""
        return tuple(sorted(self._found.values(), key=lambda d: (d.primary.span, d.code)))

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        return tuple(d for d in self.diagnostics if d.is_error)

    @property
    def failed(self) -> bool:
        return any(d.is_error for d in self._found.values())


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate that a typist most probably meant, or None: at most a third of the letters wrong."""
    if not 2 <= len(word) <= WORD_LENGTH:
        return None
    lowered, letters = word.lower(), sorted(word.lower())
    limit = max(1.1, len(word) / 3 + 0.1)
    best: tuple[float, str] | None = None
    for candidate in sorted(set(candidates)):
        if abs(len(candidate) - len(word)) > limit or _strange_letters(letters, candidate.lower()) > limit:
            continue
        distance = edit_distance(lowered, candidate.lower()) + 0.1 * (word != candidate)
        if distance <= limit and (best is None or distance < best[0]):
            best = distance, candidate
    return best[1] if best else None


def _strange_letters(letters: list[str], other: str) -> int:
    """How many letters of `other` are not among these: no fewer edits lead from one word to the other."""
    left = list(letters)
    strange = 0
    for c in other:
        if c in left:
            left.remove(c)
        else:
            strange += 1
    return strange


def suggestion(word: str, candidates: Iterable[str]) -> str | None:
    """The help line for a misspelt word, or None where nothing is near."""
    near = nearest(word, candidates)
    return f"did you mean `{near}`?" if near else None


def edit_distance(a: str, b: str) -> int:
    """Edits from `a` to `b`, a swap of two neighbours counted as one (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, ca in enumerate(a, 1):
        before, last, row = row, before, [i]
        for j, cb in enumerate(b, 1):
            cost = min(before[j] + 1, row[-1] + 1, before[j - 1] + (ca != cb))
            if i > 1 and j > 1 and ca == b[j - 2] and a[i - 2] == cb:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]
