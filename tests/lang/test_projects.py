"""The corpus of programs that need more than their own text: files beside them, `--set`, a run or an export.

The form is that of the corpus, with the blocks of the pages of `netc explain` (see there) in the place of the one block
`net`. `pytest tests/lang/test_projects.py --update-corpus` writes the `text` blocks anew.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from netc import explain
from tests.explain.test_pages import analysed
from tests.explain.test_pages import said as rendered
from tests.lang.test_corpus import EXPECT
from tests.lang.test_corpus import cases as small_cases

FILE = Path(__file__).parent / "projects" / "projects.md"
MANY = {"E0115"}  # more than 200 mistakes, which test_recovery.py counts
IN_RUNS = {"E0660"}  # which only training shows; tests/training/test_nonfinite.py has its cases


class Case(NamedTuple):
    """A program with what it needs. `asked` is the text of its blocks, `said` what netc says of it."""

    title: str
    expect: tuple[tuple[str, str], ...]
    asked: str
    said: str


def cases() -> list[Case]:
    found = []
    for part in FILE.read_text(encoding="utf-8").split("\n## ")[1:]:
        title, _, rest = part.partition("\n")
        asked, fence, said = rest.partition("```text\n")
        assert fence, title
        assert said.rstrip().endswith("```"), title
        expect = tuple((m[1], m[2]) for m in EXPECT.finditer(asked.partition("```")[0]))
        found.append(Case(title, expect, asked, said.rstrip().removesuffix("```")))
    return found


@pytest.mark.parametrize("case", cases(), ids=lambda c: c.title)
def test_project(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.chdir(tmp_path)
    checked = analysed(explain.example(case.asked), tmp_path)
    assert [(d.code, checked.source.slice(d.primary.span)) for d in checked.diagnostics] == list(case.expect)
    said = rendered(checked) + "\n"
    if request.config.getoption("--update-corpus"):
        text = FILE.read_text(encoding="utf-8")
        old = f"{case.asked}```text\n{case.said}```"
        assert text.count(old) == 1
        FILE.write_text(text.replace(old, f"{case.asked}```text\n{said}```"), encoding="utf-8")
    else:
        assert said == case.said


def test_every_code_has_a_case() -> None:
    expected = [*(c.expect for c in cases()), *(c.expect for c in small_cases())]
    told = {code for expect in expected for code, _ in expect}
    assert set(explain.codes()) - told == MANY | IN_RUNS
