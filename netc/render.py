"""Diagnostics to text for a terminal, or to plain data for JSON.

In: diagnostics and their source. Out: text in the manner of rustc and Elm: the sentence, the place, the lines with
their labels, notes and the way out. Nothing in it depends on the terminal; colour is the caller's choice.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netc.diagnostics import Diagnostic, Edit, Label
    from netc.source import Source

_LONGEST_LINE = 240  # characters of the program that are shown
_LONGEST_TEXT = 1200
_COLOURS = {"error": "1;31", "warning": "1;33", "frame": "1;34", "bold": "1"}


class _Painter:
    def __init__(self, colour: bool) -> None:
        self._colour = colour

    def __call__(self, text: str, name: str) -> str:
        return f"\x1b[{_COLOURS[name]}m{text}\x1b[0m" if self._colour and text else text


def render(diagnostic: Diagnostic, source: Source, colour: bool = False) -> str:
    """One diagnostic as text, without a newline at its end."""
    paint = _Painter(colour)
    kind = "error" if diagnostic.is_error else "warning"
    labels = sorted((diagnostic.primary, *diagnostic.secondary), key=lambda label: label.span)
    width = len(str(source.position(labels[-1].span.start)[0]))
    line, column = source.position(diagnostic.primary.span.start)
    margin = " " * (width + 1)
    out = [
        paint(f"{kind}[{diagnostic.code}]", kind) + paint(f": {_said(diagnostic.message)}", "bold"),
        f"{paint(margin + '-->', 'frame')} {visible(source.name)}:{line}:{column}",
        paint(f"{margin} |", "frame"),
    ]
    out += _excerpt(labels, diagnostic.primary, source, width, paint, kind)
    texts = [*(("note", note) for note in diagnostic.notes), *((("help", diagnostic.help),) if diagnostic.help else ())]
    for name, text in texts:
        first, *rest = _said(text).split("\n")
        out.append(f"{paint(margin + ' =', 'frame')} {paint(name, 'bold')}: {first}")
        out += [f"{margin}         {more}".rstrip() for more in rest]
    return "\n".join(out)


def _excerpt(labels: list[Label], primary: Label, source: Source, width: int, paint: _Painter, kind: str) -> list[str]:
    """The lines that the labels stand on, each followed by its labels; `...` where lines are left out."""
    out: list[str] = []
    shown = from_ = 0
    frame = paint(f"{' ' * width}  |", "frame")
    for row in _rows(labels, source):
        line, _ = source.position(row[0].span.start)
        text, first = _window(source.line(line), source.position(row[0].span.start)[1] - 1)
        if (line, first) != (shown, from_):
            if shown and line > shown + 1:
                out.append(paint("...", "frame"))
            out.append(f"{paint(f' {line:>{width}} |', 'frame')} {visible(text)}".rstrip())
            shown, from_ = line, first
        marked = ""
        at = 0
        for label in row:
            column = source.position(label.span.start)[1] - first
            covered = text[column - 1 : column - 1 + max(1, label.span.end - label.span.start)]
            start = _columns(text[: column - 1])
            mark = ("^" if label is primary else "-") * max(1, _columns(covered))
            tail = f"{mark} {_said(label.text)}".rstrip()
            marked += " " * max(0, start - at) + paint(tail, kind if label is primary else "frame")
            at = start + _columns(tail)
        out.append(f"{frame} {marked}")
    return out


def _rows(labels: list[Label], source: Source) -> list[list[Label]]:
    """The labels of each row of marks: one, and before it those of its line that have nothing to say."""
    rows: list[list[Label]] = []
    for label in labels:
        before = rows[-1][-1] if rows else None
        same = before is not None and source.position(before.span.start)[0] == source.position(label.span.start)[0]
        if same and before is not None and not before.text and before.span.end <= label.span.start:
            rows[-1].append(label)
        else:
            rows.append([label])
    return rows


def _window(line: str, column: int) -> tuple[str, int]:
    """What is shown of a line, so that the column is in it, and the column that it begins with; nearly always all."""
    if len(line) <= _LONGEST_LINE:
        return line, 0
    first = max(0, min(column - _LONGEST_LINE // 4, len(line) - _LONGEST_LINE))
    cut = line[first : first + _LONGEST_LINE]
    cut = "…" + cut[1:] if first else cut
    return (cut[:-1] + "…" if first + _LONGEST_LINE < len(line) else cut), first


def _said(text: str) -> str:
    """A sentence as it is printed: what of it is the program's may be long."""
    if len(text) > _LONGEST_TEXT:
        text = f"{text[: _LONGEST_TEXT // 2]} … {text[-_LONGEST_TEXT // 4 :]}"
    return visible(text)


def visible(text: str) -> str:
    """The text with tabs as four blanks and other control characters made visible: none reaches a terminal.

    Lines stay lines.
    """
    if text.isprintable():
        return text
    return "".join("    " if c == "\t" else "\N{REPLACEMENT CHARACTER}" if _invisible(c) else c for c in text)


def _invisible(c: str) -> bool:
    return c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def _columns(text: str) -> int:
    """How many columns of a terminal the text takes."""
    return sum(4 if c == "\t" else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def as_data(diagnostic: Diagnostic, source: Source) -> dict[str, Any]:
    """One diagnostic as JSON-ready data; lines and columns count from 1, ends are exclusive."""

    def place(label: Label | Edit) -> dict[str, Any]:
        line, column = source.position(label.span.start)
        end_line, end_column = source.position(label.span.end)
        return {"line": line, "column": column, "end_line": end_line, "end_column": end_column, "text": label.text}

    fix = diagnostic.fix

    return {
        "code": diagnostic.code,
        "severity": "error" if diagnostic.is_error else "warning",
        "message": diagnostic.message,
        "file": source.name,
        **place(diagnostic.primary),
        "secondary": [place(label) for label in diagnostic.secondary],
        "notes": list(diagnostic.notes),
        "help": diagnostic.help,
        "fix": None if fix is None else {"title": fix.title, "edits": [place(edit) for edit in fix.edits]},
    }


def unreadable_as_data(file: str, message: str, help: str | None) -> dict[str, Any]:
    """A file that can't be checked, with the same keys: it has no code and no place."""
    place = dict.fromkeys(("line", "column", "end_line", "end_column"))
    head = {"code": None, "severity": "error", "message": message, "file": file}
    return {**head, **place, "text": "", "secondary": [], "notes": [], "help": help, "fix": None}
