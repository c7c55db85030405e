"""Every fix that is offered mends its mistake, leaves no new one, and changes nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from netc import explain, fixes
from netc.compiler import Checked, analyse
from netc.diagnostics import Edit, Fix
from netc.files import imported
from netc.lexer import lex
from netc.mending import apply, choose, mend
from netc.parser import tables
from netc.diagnostics import Report
from netc.source import Source, Span
from tests.docs.blocks import all_blocks, program
from tests.lang.test_corpus import cases

if TYPE_CHECKING:
    from pathlib import Path

    from netc.diagnostics import Diagnostic


def programs() -> dict[str, tuple[str, tuple[tuple[str, str], ...]]]:
    """Every wrong program that there is: the corpus, the pages and the documentation, with the files beside it."""
    found = {f"{c.file.stem}: {c.title}": (c.program, ()) for c in cases() if c.expect}
    found |= {str(b): (program(b), ()) for b in all_blocks("net") if "wrong" in b.marks}
    for code in explain.codes():
        given = explain.example(explain.page(code).wrong)
        if not given.settings:
            found[code] = given.program, given.files
    return found


PROGRAMS = programs()


def check(text: str) -> Checked:
    return analyse(text, "case.net", "case", None, imported)


def tokens(text: str) -> list[str]:
    """The text cut into words and signs, its layout left out."""
    import re

    return re.findall(r"\w+|[^\w\s]", text)


def keys(diagnostics: tuple[Diagnostic, ...] | list[Diagnostic]) -> list[tuple[str, str]]:
    return [(d.code, d.message) for d in diagnostics]


@pytest.mark.parametrize("name", PROGRAMS)
def test_fixes(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text, files = PROGRAMS[name]
    for file, content in files:
        (tmp_path / file).write_text(content)
    first = check(text)
    offered = [d for d in first.diagnostics if d.fix is not None]
    if not offered:
        return
    print([d.fix for d in offered])
    mended = mend(first, check)
    left = keys(mended.checked.diagnostics)
    print(left, mended.checked.source.text)
    assert not [k for k in left if k not in keys(first.diagnostics)], "new ones"
    assert not [k for k in keys(offered) if k in left], "not mended"
