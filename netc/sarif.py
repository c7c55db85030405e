"""Diagnostics for code-scanning services: SARIF 2.1.0.

In: files with their diagnostics, and the errors of those that can't be read. Out: a SARIF log as plain data. Guarantees
that it is valid by the schema, the same for the same input, and has no absolute path for files below the working
folder. Columns count code points from 1. What a code means comes from the pages of `netc.explain`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from netc import explain
from netc.explain.terminal import explained
from netc.source import Source, Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netc.diagnostics import Diagnostic, Fix, Label

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


class Unreadable(NamedTuple):
    """A file that can't be checked, and why."""

    file: str
    message: str
    help: str | None


class Findings(NamedTuple):
    """What is said of a file, and what its comments silence."""

    source: Source
    diagnostics: Sequence[Diagnostic]
    silenced: Sequence[Diagnostic] = ()


def log(checked: Sequence[Findings], unreadable: Sequence[Unreadable], version: str) -> Any:
    """The SARIF log of one run of netc. What is silenced is there too, as suppressed in the source."""
    codes = sorted({d.code for one in checked for d in (*one.diagnostics, *one.silenced)})
    driver = {"name": "netc", "version": version, "semanticVersion": version, "rules": [_rule(code) for code in codes]}
    invocation: dict[str, Any] = {"executionSuccessful": not unreadable}
    if unreadable:
        invocation["toolExecutionNotifications"] = [_notification(one) for one in unreadable]
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [invocation],
        "results": [result for one in checked for result in _results(one, codes)],
    }
    return {"version": "2.1.0", "$schema": SCHEMA, "runs": [run]}


def _results(one: Findings, codes: list[str]) -> list[dict[str, Any]]:
    found = [_result(d, codes.index(d.code), one.source) for d in one.diagnostics]
    silenced = [_result(d, codes.index(d.code), one.source) for d in one.silenced]
    return [*found, *(result | {"suppressions": [{"kind": "inSource"}]} for result in silenced)]


def _rule(code: str) -> dict[str, Any]:
    page = explain.page(code)
    return {
        "id": code,
        "shortDescription": {"text": page.title},
        "fullDescription": {"text": page.text},
        "help": {"text": explained(page, colour=False), "markdown": page.markdown},
        "defaultConfiguration": {"level": _level(code)},
    }


def _level(code: str) -> str:
    return "error" if code.startswith("E") else "warning"


def _result(diagnostic: Diagnostic, rule: int, source: Source) -> dict[str, Any]:
    out: dict[str, Any] = {
        "ruleId": diagnostic.code,
        "ruleIndex": rule,
        "level": _level(diagnostic.code),
        "message": _message(_sentences(diagnostic)),
        "locations": [_location(diagnostic.primary, source)],
    }
    if diagnostic.secondary:
        out["relatedLocations"] = [_location(label, source, i) for i, label in enumerate(diagnostic.secondary, 1)]
    if diagnostic.fix is not None:
        out["fixes"] = [_fix(diagnostic.fix, source)]
    return out


def _sentences(diagnostic: Diagnostic) -> str:
    notes = [f"note: {note}" for note in diagnostic.notes]
    ways_out = [f"help: {diagnostic.help}"] if diagnostic.help else []
    return "\n".join([diagnostic.message, *notes, *ways_out])


def _location(label: Label, source: Source, number: int | None = None) -> dict[str, Any]:
    place = {"artifactLocation": {"uri": uri(source.name)}, "region": _region(label.span, source)}
    out: dict[str, Any] = {"physicalLocation": place}
    if number is not None:
        out["id"] = number
    if label.text:
        out["message"] = _message(label.text)
    return out


def _region(span: Span, source: Source) -> dict[str, int]:
    (line, column), (end_line, end_column) = source.position(span.start), source.position(span.end)
    return {"startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column}


def _fix(fix: Fix, source: Source) -> dict[str, Any]:
    replacements = [
        {"deletedRegion": _region(edit.span, source), "insertedContent": {"text": edit.text}} for edit in fix.edits
    ]
    change = {"artifactLocation": {"uri": uri(source.name)}, "replacements": replacements}
    return {"description": _message(fix.title), "artifactChanges": [change]}


def _notification(one: Unreadable) -> dict[str, Any]:
    place = {"physicalLocation": {"artifactLocation": {"uri": uri(one.file)}}}
    text = one.message if one.help is None else f"{one.message}\nhelp: {one.help}"
    return {"level": "error", "message": _message(text), "locations": [place]}


def _message(text: str) -> dict[str, str]:
    """A message that is taken as it stands: braces would be placeholders, and `[a](b)` a link."""
    return {"text": text.replace("{", "{{").replace("}", "}}").replace("](", "] (")}


def uri(name: str) -> str:
    """A path as a URI reference: relative to the working folder where it lies below."""
    path = Path(name)
    relative = Path(os.path.relpath(path))
    if relative.parts[:1] == ("..",):
        return path.absolute().as_uri()
    return quote(relative.as_posix())
