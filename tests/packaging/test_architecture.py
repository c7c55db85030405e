"""Imports point one way, downward; a new module has to say where it stands."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]

# From the bottom up: a module imports what stands above it in this list, never what stands below. A package is one
# entry, its parts are free among themselves; a part that stands elsewhere has an entry of its own.
ORDER = (
    "netc.source",
    "netc.limits",
    "netc.node",
    "netc.literals",
    "netc.resources",
    "netc.runtime.errors",
    "netc.explain",
    "netc.diagnostics",
    "netc.fixes",
    "netc.identifiers",
    "netc.shapes",
    "netc.syntax",
    "netc.render",
    "netc.files",
    "netc.runs",
    "netc.grammar",
    "netc.token",
    "netc.strange",
    "netc.layout",
    "netc.lexer",
    "netc.silences",
    "netc.builder",
    "netc.pasted",
    "netc.syntax_habits",
    "netc.syntax_errors",
    "netc.parser",
    "netc.formatting",
    "netc.formatter",
    "netc.digits",
    "netc.catalog",
    "netc.overrides",
    "netc.foreign",
    "netc.ir",
    "netc.summary",
    "netc.sharding",
    "netc.record",
    "netc.checker",
    "netc.costs",
    "netc.verify",
    "netc.rehearsal",
    "netc.backends",
    "netc.compiler",
    "netc.mending",
    "netc.sarif",
    "netc.report",
    "netc.runtime",
    "netc.tables",
    "netc.api",
    "netc",
    "netc.cli",
    "netc.cli_summary",
    "netc.cli_fmt",
    "netc.cli_runs",
    "netc.cli_profile",
    "netc.cli_report",
    "netc.cli_cache",
    "netc.cli_parallel",
    "netc.cli_scripts",
    "netc.cli_results",
    "netc.cli_run",
    "netc.__main__",
)
FRONT_END = (
    "syntax",
    "token",
    "strange",
    "layout",
    "lexer",
    "grammar",
    "builder",
    "syntax_errors",
    "syntax_habits",
    "pasted",
    "parser",
    "formatting",
    "formatter",
    "overrides",
    "checker",
)
# The text of the file has no part in what comes after the checker.
BEHIND_THE_CHECKER = (
    "netc.catalog", "netc.ir", "netc.verify", "netc.rehearsal", "netc.summary", "netc.backends", "netc.runtime",
)  # fmt: skip


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted((ROOT / "netc").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Every module of netc that a file imports, in functions and for type checking too, with the line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports inside netc are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "netc":
                yield node.lineno, module_of(name)


def module_of(name: str) -> str:
    """`netc.shapes` for `netc.shapes.symbol`: the longest part of the name that is a module."""
    known = {module for module, _ in modules()} | {"netc.backends", "netc.runtime", "netc.digits"}
    while name not in known:
        assert "." in name, name
        name = name.rpartition(".")[0]
    return name


def entry(module: str) -> str:
    """The entry of `ORDER` that a module belongs to."""
    fits = [name for name in ORDER if module == name or (name != "netc" and module.startswith(f"{name}."))]
    assert fits, f"{module} is new: say in ORDER where it stands"
    return max(fits, key=len)


def upward(module: str, path: Path) -> list[str]:
    own = entry(module)
    return [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for line, name in imports(path)
        if entry(name) != own and ORDER.index(entry(name)) > ORDER.index(own)
    ]


@pytest.mark.parametrize(("module", "path"), list(modules()), ids=lambda value: value if isinstance(value, str) else "")
def test_imports_point_downward(module: str, path: Path) -> None:
    assert upward(module, path) == []


def test_the_order_names_what_exists() -> None:
    """An entry for a module that went away would hide the next one of that name."""
    names = {module for module, _ in modules()}
    stale = [name for name in ORDER if name not in names and not any(n.startswith(f"{name}.") for n in names)]
    assert stale == []


@pytest.mark.parametrize("place", BEHIND_THE_CHECKER)
def test_what_follows_the_checker_does_not_see_the_text(place: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for module, path in modules()
        if module == place or module.startswith(f"{place}.")
        for line, name in imports(path)
        if name.split(".")[1:2] and name.split(".")[1] in FRONT_END
    ]
    assert found == []


def test_only_the_command_line_prints() -> None:
    scripts = ("netc.cli", "netc.__main__", "netc.grammar", "netc.catalog.extract", "netc.digits")
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for module, path in modules()
        if not module.startswith(scripts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert found == []


def test_an_import_that_points_upward_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a function, for type checking, and as a name taken from a package alike."""
    bad = ROOT / "netc" / "shapes.py"
    text = (
        "def f():\n    from netc import compiler\nif TYPE_CHECKING:\n    from netc.ir import Arg\nimport netc.source\n"
    )
    monkeypatch.setattr(Path, "read_text", lambda self, **_: text if self == bad else "")
    assert upward("netc.shapes", bad) == [
        "netc/shapes.py:2 imports netc.compiler",
        "netc/shapes.py:4 imports netc.ir",
    ]
