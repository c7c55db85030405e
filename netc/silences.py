"""Comments that silence a diagnostic: `# netc: ignore W0803`.

In: a source. Out: `Silences`, which says of a diagnostic whether a comment of its line silences it, and in the end
reports the comments that silenced nothing. A comment that has a line to itself speaks for the next line that has more
than a comment. Only warnings, and those errors that leave a program which can be built, can be silenced.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from netc.diagnostics import Edit, Fix, nearest
from netc.fixes import spelling, without
from netc.source import Span

if TYPE_CHECKING:
    from netc.diagnostics import Report
    from netc.grammar import Tables
    from netc.source import Source

# Errors that judge a program which could be built all the same.
JUDGEMENTS = frozenset({"E0518", "E0519", "E0521", "E0607", "E0608"})
_MARK = "netc:"
_COMMENT = re.compile(r"#\s*netc:\s*(?P<word>\w*)(?P<codes>[^#]*)")
_CODE = re.compile(r"[A-Za-z]+\d*|\S+")


class _Silence(NamedTuple):
    """One code of a comment, and the line that it speaks for."""

    code: str
    line: int
    span: Span
    comment: Span


class Silences:
    """The silencing comments of a source."""

    def __init__(self, source: Source, tables: Tables) -> None:
        self._source = source
        self._silences: dict[tuple[int, str], _Silence] = {}
        self._strange: list[tuple[Span, str]] = []
        self._used: set[tuple[int, str]] = set()
        if _MARK in source.text:
            from netc.lexer import comments

            for comment in comments(source, tables):
                match = _COMMENT.match(comment.text)
                if match:
                    self._read(match, comment.span)

    def _read(self, match: re.Match[str], span: Span) -> None:
        """Take up a comment that begins with `# netc:`."""
        if match["word"] != "ignore":
            self._strange.append((span, match["word"]))
            return
        line = self._line(span)
        codes = [(m[0], span.start + match.start("codes") + m.start()) for m in _CODE.finditer(match["codes"])]
        for code, start in codes:
            if code.strip(",;"):
                silence = _Silence(code.strip(",;"), line, Span(start, start + len(code.strip(",;"))), span)
                self._silences.setdefault((line, silence.code), silence)
        if not codes:
            self._strange.append((span, "ignore"))

    def _line(self, span: Span) -> int:
        """The line that a comment speaks for."""
        line, column = self._source.position(span.start)
        if self._source.line(line)[: column - 1].strip():
            return line
        line += 1
        while line < self._source.lines and self._source.line(line).lstrip()[:1] in ("", "#"):
            line += 1
        return line

    def covers(self, code: str, span: Span) -> bool:
        """Whether a comment silences this diagnostic, which then counts as used."""
        if not self._silences or not silenceable(code):
            return False
        key = self._source.position(span.start)[0], code
        if key not in self._silences:
            return False
        self._used.add(key)
        return True

    def report_unused(self, report: Report) -> None:
        """Report the comments that do nothing. What an error may have hidden is not said of a program with errors."""
        for span, word in self._strange:
            message = "`# netc: ignore` names no code" if word == "ignore" else f"there is no comment `# netc: {word}`"
            report.add("W0802", message, span, help="write the code, as in `# netc: ignore W0803`")
        for key, silence in self._silences.items():
            if key in self._used:
                continue
            self._unused(silence, report)

    def _unused(self, silence: _Silence, report: Report) -> None:
        from netc.explain import codes

        known = codes()
        if silence.code not in known:
            near = nearest(silence.code, known)
            report.add(
                "W0802", f"there is no code `{silence.code}`", silence.span,
                help=f"did you mean `{near}`?" if near else "the codes stand in brackets behind `error` and `warning`",
                fix=spelling(silence.code, silence.span, known),
            )  # fmt: skip
        elif not silenceable(silence.code):
            report.add(
                "W0802", f"{silence.code} can't be silenced: a program with this mistake can't be built", silence.span,
                help="remove the comment, and mend the mistake",
            )  # fmt: skip
        elif not report.failed:
            report.add(
                "W0801", f"this comment silences nothing: line {silence.line} has no {silence.code}", silence.span,
                help="remove it", fix=self._removed(silence),
            )  # fmt: skip

    def _removed(self, silence: _Silence) -> Fix:
        """The comment without a code, or no comment where it has no other one."""
        text, comment = self._source.text, silence.comment
        if sum(other.comment == comment for other in self._silences.values()) > 1:
            return Fix(f"remove `{silence.code}`", (without(text, silence.span),))
        further = text.find("#", comment.start + 1, comment.end)
        if further >= 0:
            return Fix("remove the comment", (Edit(Span(comment.start, further), ""),))
        line = text.rfind("\n", 0, comment.start) + 1
        before = text[line : comment.start]
        if not before.strip() and comment.end < len(text):  # it has the line to itself
            return Fix("remove the comment", (Edit(Span(line, text.index("\n", comment.end) + 1), ""),))
        return Fix("remove the comment", (Edit(Span(line + len(before.rstrip()), comment.end), ""),))


def silenceable(code: str) -> bool:
    """Whether a comment may silence this code."""
    return code.startswith("W") or code in JUDGEMENTS
