"""The column of netc in docs/comparison.md is true today: 25 mistakes named with code and place, without torch."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from netc.compiler import analyse
from tests.docs.blocks import ROOT

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType


def script(path: str) -> ModuleType:
    """A script of the project, as a module."""
    spec = importlib.util.spec_from_file_location(path.rpartition("/")[2].removesuffix(".py"), ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


RUNNER = script("benchmarks/mistakes.py")
MISTAKES: list[dict[str, Any]] = RUNNER.mistakes()
named = pytest.mark.parametrize("mistake", MISTAKES, ids=lambda m: m["name"])


def test_there_are_25() -> None:
    assert len({m["name"] for m in MISTAKES}) == 25


def test_the_right_program_has_no_mistake() -> None:
    checked = analyse(RUNNER.right("netc"), "right.net", "right", None)
    assert checked.program is not None
    assert checked.diagnostics == ()


@named
def test_netc_names_the_mistake_alone_and_in_its_place(mistake: dict[str, Any]) -> None:
    text = RUNNER.wrong("netc", mistake["netc"])
    found = analyse(text, "wrong.net", "wrong", None).diagnostics
    assert [(d.code, text[d.primary.span.start : d.primary.span.end]) for d in found] == [
        (mistake["code"], mistake["at"])
    ]


@named
def test_each_tool_has_the_mistake_or_a_reason(mistake: dict[str, Any]) -> None:
    for tool in RUNNER.TOOLS:
        bases = [base for base in RUNNER.bases(tool) if base in mistake]
        assert bases or isinstance(mistake[tool], str)
        for base in bases:
            if not isinstance(mistake[base], str):
                text = RUNNER.wrong(base, mistake[base])
                assert RUNNER.changed(base, text)


def test_all_are_named_where_torch_cannot_be_imported(tmp_path: Path) -> None:
    for mistake in MISTAKES:
        (tmp_path / f"{mistake['name']}.net").write_text(RUNNER.wrong("netc", mistake["netc"]), encoding="utf-8")
    files = [str(file) for file in sorted(tmp_path.glob("*.net"))]
    command = [sys.executable, "-c", RUNNER.NO_TORCH, "check", "--json", *files]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    found = {d["file"].rpartition("/")[2].removesuffix(".net"): d["code"] for d in json.loads(done.stdout)}
    assert found == {m["name"]: m["code"] for m in MISTAKES}


def test_the_tables_are_those_of_the_log() -> None:
    comparison = script("docs/comparison.py")
    text = comparison.PAGE.read_text(encoding="utf-8")
    assert comparison.page(text) == text, "write them anew: python docs/comparison.py --write"
    assert all(set(part["wrong"]) == {m["name"] for m in MISTAKES} for part in comparison.log().values())
