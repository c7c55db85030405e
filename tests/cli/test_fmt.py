"""`netc fmt` as users call it: files, folders, the standard input; what is written and what is not."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from netc import formatter
from netc.cli import run

UGLY = "network Net {\n input x:[N,8]\n fc : Linear( 2 ) # two\n}\n"
FORMED = "network Net {\n  input x: [N, 8]\n  fc: Linear(2)  # two\n}\n"
WRONG = "network Net {\n input x:[N,,8]\n}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fmt(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[str, str]:
    """What the command prints and what it says of mistakes."""
    assert run(["fmt", *arguments]) == code
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return out, err


def test_a_file_is_formatted_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "a.net"
    path.write_text(UGLY)
    assert fmt(capsys, "a.net") == ("formatted a.net\n", "")
    assert path.read_text() == FORMED
    before = path.stat()
    assert fmt(capsys, "a.net") == ("1 file needs no change\n", "")
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert path.stat().st_ino == before.st_ino
    assert sorted(os.listdir()) == ["a.net"]


def test_without_files_those_of_the_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "b.net").write_text(FORMED)
    (folder / "a.net").write_text(UGLY)
    (folder / "a.txt").write_text(UGLY)
    (folder / "below").mkdir()
    (folder / "below" / "c.net").write_text(UGLY)
    assert fmt(capsys)[0] == "formatted a.net\n"
    assert fmt(capsys)[0] == "2 files need no change\n"
    assert fmt(capsys, "below", "b.net", "b.net")[0] == "formatted below/c.net\n"
    assert (folder / "a.txt").read_text() == UGLY
    assert fmt(capsys, "-q") == ("", "")


def test_a_folder_with_those_below(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("all/a.net", "all/one/b.net", "all/.hidden/c.net", "all/runs/a/001/a.net", "all/build/a/d.net"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(UGLY)
    assert fmt(capsys, "all")[0] == "formatted all/a.net\nformatted all/one/b.net\n"


def test_a_folder_without_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert "has no .net file" in fmt(capsys, code=1)[1]


def test_check_writes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "a.net").write_text(UGLY)
    (folder / "b.net").write_text(FORMED)
    assert fmt(capsys, "--check", code=1) == ("would format a.net\n", "")
    assert (folder / "a.net").read_text() == UGLY
    assert fmt(capsys, "--check", "b.net") == ("1 file needs no change\n", "")


def test_diff_writes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "a.net").write_text(UGLY.rstrip("\n"))
    out, _ = fmt(capsys, "--diff")
    assert out.startswith("--- a.net\n+++ a.net\n@@ -1,4 +1,4 @@\n network Net {\n- input x:[N,8]\n")
    assert "-}\n\\ No newline at end of file\n" in out
    assert out.endswith("\n+  fc: Linear(2)  # two\n+}\n")
    assert (folder / "a.net").read_text() == UGLY.rstrip("\n")
    assert fmt(capsys, "--diff", "--check", code=1)[0] == out
    (folder / "a.net").write_text(FORMED)
    assert fmt(capsys, "--diff", "--check") == ("", "")


def test_mistakes_are_reported_and_the_others_go_on(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "a.net").write_text(WRONG)
    (folder / "b.net").write_text(UGLY)
    (folder / "c.net").write_bytes(b"\xff\xfe\x00\x01")
    out, err = fmt(capsys, "a.net", "gone.net", "c.net", "b.net", code=1)
    assert out == "formatted b.net\n"
    assert "--> a.net:2:13" in err
    assert "1 error in a.net" in err
    assert "there is no file `gone.net`" in err
    assert "`c.net`" in err or "c.net:" in err
    assert (folder / "a.net").read_text() == WRONG


def test_a_program_that_does_not_check_is_formatted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "a.net").write_text(UGLY.replace("Linear", "Lineal"))
    assert fmt(capsys)[0] == "formatted a.net\n"


def stdin(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))


def test_the_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    stdin(monkeypatch, UGLY.encode())
    assert fmt(capsys, "-") == (FORMED, "")
    stdin(monkeypatch, FORMED.encode())
    assert fmt(capsys, "-") == (FORMED, "")
    stdin(monkeypatch, UGLY.encode())
    assert fmt(capsys, "-", "--check", code=1) == ("would format <stdin>\n", "")
    stdin(monkeypatch, UGLY.encode())
    assert fmt(capsys, "-", "--diff")[0].startswith("--- <stdin>\n")
    stdin(monkeypatch, WRONG.encode())
    out, err = fmt(capsys, "-", code=1)
    assert out == ""
    assert "--> <stdin>:2:13" in err
    stdin(monkeypatch, b"#" * 1_000_001)
    assert "1,000,000 bytes" in fmt(capsys, "-", code=1)[1]
    stdin(monkeypatch, b"a = 1 # \xff")
    assert "<stdin>:1:9" in fmt(capsys, "-", code=1)[1]


def test_any_character_comes_through_a_pipe(folder: Path) -> None:
    text = "a = 1  # 3×3 \x1b[31m 日本\n"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    command = [sys.executable, "-m", "netc", "fmt", "-"]
    done = subprocess.run(command, cwd=folder, input=text.encode(), env=environment, capture_output=True, check=True)
    assert done.stdout == text.encode()


def test_a_terminal_gets_no_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is shown of a program is text, whatever it holds."""
    written = io.BytesIO()
    terminal = SimpleNamespace(buffer=written, flush=lambda: None, isatty=lambda: True, write=lambda text: None)
    monkeypatch.setattr(sys, "stdout", terminal)
    stdin(monkeypatch, b"a=1 # \x1b[31mred\n")
    assert run(["fmt", "-", "--diff"]) == 0
    assert b"\x1b" not in written.getvalue()
    assert "+a = 1  # \N{REPLACEMENT CHARACTER}[31mred\n" in written.getvalue().decode()


def test_no_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert "there is no standard input" in fmt(capsys, "-", code=1)[1]


def test_marks_and_line_ends_go(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "a.net"
    path.write_bytes(b"\xef\xbb\xbf" + FORMED.encode())
    assert fmt(capsys)[0] == "formatted a.net\n"
    assert path.read_bytes() == FORMED.encode()
    path.write_bytes(FORMED.replace("\n", "\r\n").encode())
    assert fmt(capsys)[0] == "formatted a.net\n"
    assert path.read_bytes() == FORMED.encode()


def test_links_and_modes_stay(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "there").mkdir()
    (folder / "there" / "real.net").write_text(UGLY)
    (folder / "there" / "real.net").chmod(0o640)
    (folder / "a.net").symlink_to("there/real.net")
    assert fmt(capsys)[0] == "formatted a.net\n"
    assert (folder / "a.net").is_symlink()
    assert (folder / "there" / "real.net").read_text() == FORMED
    assert (folder / "there" / "real.net").stat().st_mode & 0o777 == 0o640


def test_a_file_that_cannot_be_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    (folder / "a.net").write_text(UGLY)
    folder.chmod(0o500)
    try:
        assert "can't be written" in fmt(capsys, code=1)[1]
    finally:
        folder.chmod(0o700)
    assert (folder / "a.net").read_text() == UGLY


def test_a_bug_leaves_the_file_alone(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.net").write_text(UGLY)
    monkeypatch.setattr(formatter, "lay_out", lambda block: "a = 1\n")
    assert run(["fmt"]) == 70
    assert "is another program" in capsys.readouterr().err
    assert (folder / "a.net").read_text() == UGLY
