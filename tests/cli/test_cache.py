"""`netc cache`: what programs keep of their pictures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from netc.cli import run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NETC_CACHE", str(tmp_path / "own"))
    place = tmp_path / "own" / "pictures"
    place.mkdir(parents=True)
    (place / f"{'a' * 32}.decoded").write_bytes(bytes(5000))
    (place / f"{'b' * 32}.decoded").write_bytes(bytes(3 * 1024**2))
    (place / f"{'c' * 32}.decoded.77").write_bytes(bytes(10))
    (place / "letter.txt").write_text("dear")
    for i, path in enumerate(sorted(place.iterdir())):
        os.utime(path, (0, 1_700_000_000 - 86_400 * i))
    return place


def test_the_list(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cache"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{folder}: 3 files, 3.005 MiB"
    assert [line.split()[0] for line in lines[1:]] == ["4.883", "3", "10"]
    assert "last used 2023-11-1" in lines[1]
    assert "unfinished, 2023-11-1" in lines[3]
    assert "letter" not in "".join(lines)


def test_clear_removes_what_scripts_wrote(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cache", "clear"]) == 0
    assert capsys.readouterr().out == f"removed 3 files, 3.005 MiB from {folder}\n"
    assert [path.name for path in folder.iterdir()] == ["letter.txt"]
    assert run(["cache"]) == 0
    assert capsys.readouterr().out == f"{folder}: no files\n"


def test_the_folder_of_a_program(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cache", "--folder", "nowhere"]) == 0
    assert capsys.readouterr().out == "nowhere/pictures: no files\n"
    assert run(["cache", "clear", "--folder", str(folder.parent)]) == 0
    assert capsys.readouterr().out.startswith("removed 3 files")


def test_an_action_that_there_is_not(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cache", "clean"]) == 2
    assert "clear" in capsys.readouterr().err
    assert len(list(folder.iterdir())) == 4


def test_without_a_variable_it_is_the_folder_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NETC_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    run(["cache"])
    assert capsys.readouterr().out == f"{tmp_path}/xdg/netc/pictures: no files\n"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    run(["cache"])
    assert capsys.readouterr().out == f"{tmp_path}/.cache/netc/pictures: no files\n"
