"""The corpus: programs in Markdown with the shapes they have, or the errors they give, rendered in full.

A case is a heading, a line `Expect: CODE at "text"` for each mistake (written by hand, never changed by a flag), a
block `net` with the program, and a block `text` with what netc says of it. A program without errors has the summary of
its networks there, behind its warnings. `pytest tests/lang --update-corpus` writes the `text` blocks anew.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from netc.compiler import analyse
from netc.render import render
from netc.summary import summary

FOLDER = Path(__file__).parent
BLOCK = re.compile(r"^```(net|text)\n(.*?)^```$", re.M | re.S)
EXPECT = re.compile(r'^Expect: ([EW]\d{4}) at "(.*?)"$', re.M | re.S)


class Case(NamedTuple):
    """One program of the corpus."""

    file: Path
    title: str
    expect: tuple[tuple[str, str], ...]
    program: str
    said: str


def cases() -> list[Case]:
    found = []
    for file in sorted(FOLDER.glob("*.md")):
        for part in file.read_text().split("\n## ")[1:]:
            title, _, rest = part.partition("\n")
            blocks = BLOCK.findall(rest)
            assert [kind for kind, _ in blocks] == ["net", "text"], f"{file.name}: {title} is not of the right form"
            expect = tuple((m[1], m[2]) for m in EXPECT.finditer(rest.partition("```")[0]))
            found.append(Case(file, title, expect, blocks[0][1], blocks[1][1]))
    return found


def say(program: str) -> str:
    """What netc says of a program: its errors and warnings, and the summary of its networks where it has no errors."""
    checked = analyse(program, "case.net", "case")
    texts = [render(d, checked.source) for d in checked.diagnostics]
    if checked.program is not None:
        texts += [summary(n) for n in checked.program.networks]
    return "\n\n".join(texts) + "\n"


@pytest.mark.parametrize("case", cases(), ids=lambda c: f"{c.file.stem}: {c.title}")
def test_case(case: Case, request: pytest.FixtureRequest) -> None:
    checked = analyse(case.program, "case.net", "case")
    found = [(d.code, checked.source.slice(d.primary.span)) for d in checked.diagnostics]
    assert found == list(case.expect)
    said = say(case.program)
    if request.config.getoption("--update-corpus"):
        text = case.file.read_text()
        old = f"```net\n{case.program}```\n\n```text\n{case.said}```"
        assert text.count(old) == 1
        case.file.write_text(text.replace(old, f"```net\n{case.program}```\n\n```text\n{said}```"))
    else:
        assert said == case.said


def test_every_case_has_its_own_title() -> None:
    titles = [(c.file, c.title) for c in cases()]
    assert len(set(titles)) == len(titles)


def test_corpus_is_large() -> None:
    assert sum(bool(c.expect) for c in cases()) >= 245
