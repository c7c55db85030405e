"""Whole files in another language: Python, Keras, YAML, JSON.

In: the text of a file that doesn't parse. Out: one diagnostic in the place of the hundred that its tokens would give.
A file that has a network, a module or a section of the language's own is never taken for another's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from netc.source import Span

if TYPE_CHECKING:
    from netc.diagnostics import Report
    from netc.source import Source

_OWN = re.compile(r"^[ \t]*(?:(?:network|module)[ \t]+[A-Z]\w*[^\n:]*\{|(?:data|train|init)[ \t]*\{)", re.M)
_KERAS = re.compile(r"^.*\b(?:tensorflow|keras)\b.*$", re.M)
_PYTHON = re.compile(
    r"^[ \t]*(?:class[ \t]+\w+[^\n]*:|def[ \t]+\w+[ \t]*\([^\n]*|(?:async|@\w)[^\n]*|import[ \t]+[A-Za-z_][\w.]*[^\n]*"
    r"|from[ \t]+[\w.]+[ \t]+import\b[^\n]*)$|^[^\n#]*\bnn\.(?:Sequential|Module)\b[^\n]*$",
    re.M,
)
_JSON = re.compile(r"\s*(\{\s*(?:\"[^\"\n]*\"\s*:|\})|\[\s*[\[{\"\d])")
_YAML = re.compile(r"^(?:---[ \t]*|[ \t]*-[ \t]+\w[^\n]*|[ \t]*(?:-[ \t]+)?[\w\"'-]+:(?:[ \t][^\n{]*)?)$")
_SHAPE = "declare what comes in with `input image: [N, 3, 32, 32]`"


class _Language(NamedTuple):
    """A language, where it shows, and the way out."""

    name: str
    span: Span
    help: str


def other_language(source: Source, report: Report) -> bool:
    """Report a text that is no .net file from beginning to end; False where it is one."""
    text = source.text
    if _OWN.search(text):
        return False
    found = _python(text) or _json(text) or _yaml(text)
    if found is None:
        return False
    report.add("E0120", f"this file is {found.name}, and not in the language of netc", found.span, help=found.help)
    return True


def _python(text: str) -> _Language | None:
    match = _PYTHON.search(text)
    if match is None:
        return None
    span = _trimmed(match)
    if _KERAS.search(text):
        return _Language(
            "a program for Keras", span,
            f"write `network Net {{ … }}`, {_SHAPE}, and name the layers as torch does: `Conv2d`, `Linear`",
        )  # fmt: skip
    if re.search(r"\bnn\b|\btorch\b", text):
        return _Language(
            "a program for PyTorch", span,
            f"write `network Net {{ … }}`, {_SHAPE}, and the layers as `conv1: Conv2d(6, 5) -> ReLU`; "
            'a layer of one\'s own can stay in Python: `use "layers.py"`',
        )  # fmt: skip
    return _Language("Python", span, f"a network is written `network Net {{ … }}`: {_SHAPE}, then its layers")


def _json(text: str) -> _Language | None:
    match = _JSON.match(text)
    if match is None:
        return None
    return _Language(
        "JSON", Span(match.start(1), match.start(1) + 1),
        f"write `network Net {{ … }}`: {_SHAPE}, then a line for each layer, as in `conv1: Conv2d(6, 5) -> ReLU`",
    )  # fmt: skip


def _yaml(text: str) -> _Language | None:
    """Keys and dashes on every line that has anything."""
    lines = [line for line in text.split("\n") if line.strip() and not line.lstrip().startswith("#")]
    if len(lines) < 2 or not all(_YAML.match(line.rstrip()) for line in lines):
        return None
    start = text.index(lines[0])
    first = Span(start + len(lines[0]) - len(lines[0].lstrip()), start + len(lines[0].rstrip()))
    return _Language(
        "YAML", first,
        f"blocks stand in braces: `network Net {{ … }}`; {_SHAPE}, then write the layers, as in "
        "`conv1: Conv2d(6, 5) -> ReLU`",
    )  # fmt: skip


def _trimmed(match: re.Match[str]) -> Span:
    """The place of a match without the blanks around it."""
    found = match[0]
    return Span(match.start() + len(found) - len(found.lstrip()), match.end() - (len(found) - len(found.rstrip())))
