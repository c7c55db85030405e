"""Every code has a page, whose wrong program has that mistake and whose mended program has none."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netc import explain
from netc.backends.onnx_support import unexportable
from netc.cli_scripts import missing_data
from netc.compiler import Checked, analyse
from netc.explain.terminal import WIDTH, explained, listed
from netc.files import imported, imported_without_python
from netc.render import render

if TYPE_CHECKING:
    from netc.explain import Example

ROOT = Path(__file__).parents[2]
CODES = explain.codes()
ROW = re.compile(r"^\| ([EW]\d{4}) \| (.*) \|$", re.M)


def analysed(given: Example, folder: Path) -> Checked:
    """What comes of an example that is trained and exported in a folder of its own, which has to be the current one."""
    for name, text in given.files:
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "net.net").write_text(given.program, encoding="utf-8")
    loader = imported_without_python if "--no-use" in given.flags else imported
    checked = analyse(given.program, "net.net", "net", dict(given.settings), loader)
    if checked.program is None:
        return checked
    later = [*missing_data(checked.program), *(d for n in checked.program.networks for d in unexportable(n))]
    return checked._replace(diagnostics=(*checked.diagnostics, *later))


def trained(given: Example, folder: Path, capfd: pytest.CaptureFixture[str]) -> set[str]:
    """The codes that training an example ends with."""
    from netc.cli import run

    (folder / "net.net").write_text(given.program, encoding="utf-8")
    run(["train", "net.net", "--device", "cpu"])
    return set(re.findall(r"^error\[(E\d+)\]", capfd.readouterr().err, re.M))


def said(checked: Checked) -> str:
    return "\n\n".join(render(d, checked.source) for d in checked.diagnostics)


@pytest.mark.parametrize("code", CODES)
def test_the_wrong_program_has_this_mistake(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    if code == "E0660":  # which only a run can show
        assert trained(explain.example(explain.page(code).wrong), tmp_path, capfd) == {code}
        assert trained(explain.example(explain.page(code).mended), tmp_path, capfd) == set()
        return
    checked = analysed(explain.example(explain.page(code).wrong), tmp_path)
    found = {d.code for d in checked.diagnostics}
    assert code in found, said(checked)
    companions = {"E0101"} if code == "E0115" else set()
    assert {c for c in found if c.startswith("E")} <= {code} | companions, said(checked)


@pytest.mark.parametrize("code", CODES)
def test_the_mended_program_has_none(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    checked = analysed(explain.example(explain.page(code).mended), tmp_path)
    assert not checked.diagnostics, said(checked)
    assert checked.program is not None


def test_the_table_of_the_documentation_has_the_same_words() -> None:
    assert ROW.findall((ROOT / "docs/errors.md").read_text(encoding="utf-8")) == list(explain.titles().items())


def test_what_netc_reports_has_a_page() -> None:
    """The codes in the compiler's own text are those of the pages, neither more nor fewer."""
    texts = [p.read_text(encoding="utf-8") for p in (ROOT / "netc").rglob("*.py") if p.name != "terminal.py"]
    assert {code for text in texts for code in re.findall(r'"([EW]\d{4})"', text)} == set(CODES)


@pytest.mark.parametrize("code", CODES)
def test_a_page_is_readable_in_a_terminal(code: str) -> None:
    page = explain.page(code)
    assert page.code == code
    assert page.text
    plain = explained(page, colour=False)
    prose = [line for line in plain.splitlines() if not line.startswith("    ")]
    assert all(len(line) <= WIDTH for line in prose)
    assert not any("```" in line for line in prose)
    for section in (page.wrong, page.mended):
        program = explain.example(section).program
        assert "\n".join(f"    {line}".rstrip() for line in program.splitlines()) in plain
    coloured = re.sub(r"\x1b\[\d+m", "", explained(page, colour=True))
    assert coloured.replace("`", "").split() == plain.replace("`", "").split()


def test_the_list_is_readable_in_a_terminal() -> None:
    lines = listed(explain.titles(), colour=False).splitlines()
    assert all(len(line) <= WIDTH for line in lines)
    assert [line.partition("  ")[0] for line in lines if not line.startswith(" ")] == list(CODES)
