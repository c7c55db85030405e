"""`netc explain`, and where netc points to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc import cli, explain

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

WRONG = "network Net {\n  input x: [N, 4]\n  fc: Linaer(3, bais=False)\n  act: ReLu\n}\n"


def test_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["explain", "e0401"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("E0401: an argument that says another size than the one that arrives\n\n")
    assert "\nWrong\n\n    network LeNet {\n" in out
    assert "\nMended\n\n    network LeNet {\n" in out
    assert "\x1b" not in out


def test_all_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["explain"]) == 0
    out = capsys.readouterr().out
    assert all(f"\n{code}  " in f"\n{out}" for code in explain.codes())


def test_a_code_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["explain", "e401"]) == 1
    assert capsys.readouterr().err == "error: there is no code `e401`\n  = help: did you mean `E0401`?\n"
    assert cli.run(["explain", "shapes"]) == 1
    assert "`netc explain` alone lists all codes" in capsys.readouterr().err


def test_a_run_with_mistakes_points_on_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.net").write_text(WRONG)
    (tmp_path / "b.net").write_text(WRONG.replace("4", "4.5"))
    assert cli.run(["check", "a.net", "b.net"]) == 1
    err = capsys.readouterr().err
    assert err.count("For more: ") == 1
    assert "\nFor more: netc explain CODE, with CODE one of E0202, E0403\n" in err
    assert cli.run(["summary", "a.net"]) == 1
    assert "\nFor more: netc explain E0202\n" in capsys.readouterr().err
