"""What the documentation says is so: programs check, errors come, commands parse, Python runs, links lead somewhere."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
from pathlib import Path
from textwrap import dedent, indent
from typing import TYPE_CHECKING

import click
import pytest

from netc import catalog, cli, cli_run
from netc.catalog.data import DATASETS
from netc.catalog.settings import LATER, SETTINGS
from netc.compiler import analyse, emit
from netc.files import imported
from netc.render import render
from netc.summary import summary
from tests import forked
from tests.docs.blocks import PAGES, ROOT, Block, all_blocks, blocks, program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

CODE = re.compile(r"\b[EW]\d{4}\b")
LINK = re.compile(r"(?<!`)\[[^\]]*\]\(([^)\s]+)\)")
COMMANDS = cli.cli.commands
assert cli_run.train.name in COMMANDS


# --- programs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", all_blocks("net"), ids=str)
def test_program(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for file in all_blocks("python"):
        if file.page == block.page and "name" in file.marks:
            Path(file.marks["name"]).write_text(file.text, encoding="utf-8")
    checked = analyse(program(block), "lenet.net", "lenet", None, imported)
    said = "\n\n".join(render(d, checked.source) for d in checked.diagnostics)
    codes = [d.code for d in checked.diagnostics]
    wrong = block.marks.get("wrong", "")
    if wrong == "E0900":
        assert set(codes) == {wrong}, said
    else:
        assert codes == [c for c in wrong.split(",") if c], said
    if checked.program is not None:
        model = emit(checked.program).model
        assert "gives" not in block.marks or (block.following is not None and block.following in model), model
    if "shown" in block.marks:
        assert block.following is not None
        assert said.startswith(block.following.rstrip("\n")), said
    if "shape" in block.marks:
        assert checked.program is not None
        shapes = " ".join(str(o.type) for o in checked.program.networks[-1].outputs)
        assert shapes.replace(" ", "") == f"[{block.marks['shape']}]"
    if "summary" in block.marks:
        assert checked.program is not None
        assert block.following is not None
        assert "\n\n".join(summary(n) for n in checked.program.networks) == block.following.rstrip("\n")


def test_the_pages_have_programs_of_both_kinds() -> None:
    found = all_blocks("net")
    assert sum("wrong" in b.marks for b in found) >= 12
    assert sum("wrong" not in b.marks for b in found) >= 20


@pytest.mark.parametrize(
    "block", [b for lang in ("net", "python") for b in all_blocks(lang) if "file" in b.marks], ids=str
)
def test_a_file_that_is_shown_is_that_file(block: Block) -> None:
    name = block.marks["file"]
    assert block.text == (emitted()[0] if name == "model.py" else (ROOT / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("block", [b for b in all_blocks("python") if "excerpt" in b.marks], ids=str)
def test_an_excerpt_stands_in_what_is_written(block: Block) -> None:
    assert any(block.text in text for text in emitted())


@pytest.mark.parametrize("block", [b for b in all_blocks("python") if "of" in b.marks], ids=str)
def test_an_excerpt_stands_in_the_model_of_its_program(block: Block) -> None:
    assert block.before is not None
    checked = analyse(program(block.before), "net.net", "net", None, imported)
    assert checked.program is not None
    model = emit(checked.program).model
    at = 0
    for part in re.split(r"\n?^ *# …\n", block.text, flags=re.M):
        depths = (indent(dedent(part), " " * depth) for depth in (0, 4, 8, 12))
        found = next((model.index(text, at) + len(text) for text in depths if text in model[at:]), None)
        assert found is not None, f"{part}\nis not in\n{model}"
        at = found


def emitted() -> tuple[str, str]:
    """model.py and train.py of the example."""
    checked = analyse((ROOT / "examples/lenet.net").read_text(encoding="utf-8"), "examples/lenet.net", "lenet")
    assert checked.program is not None
    files = emit(checked.program)
    assert files.train is not None
    return files.model, files.train


# --- Python -----------------------------------------------------------------------------------------------------------


def test_python_runs(tmp_path: Path) -> None:
    """All blocks in one process, for the sake of torch's import; each in a namespace of its own page."""
    shutil.copy(ROOT / "examples/lenet.net", tmp_path)
    shutil.copytree(ROOT / "models", tmp_path / "models")
    lines = ["import warnings", "warnings.simplefilter('error')"]
    for page in PAGES:
        own = [b for b in blocks(page) if b.language == "python" and not {"file", "excerpt", "of"} & b.marks.keys()]
        lines.append("space = {}")
        for block in own:
            lines.append(f"exec(compile({block.text!r}, {str(block)!r}, 'exec'), space)")
    assert len(lines) > len(PAGES) + 4
    run = forked.run(["-c", "\n".join(lines)], cwd=tmp_path)
    assert run.returncode == 0, run.stderr


# --- commands ---------------------------------------------------------------------------------------------------------


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every call of netc in a block of shell, with its place."""
    for block in all_blocks("sh"):
        for line in block.text.splitlines():
            for part in line.split("&&"):
                words = shlex.split(part.partition(">")[0], comments=True)
                if words[:1] == ["netc"] and words[-1] not in ("--help", "--version"):
                    yield f"{block}: {' '.join(words)}", words[1:]


@pytest.mark.parametrize(("where", "words"), list(commands()), ids=lambda v: v if isinstance(v, str) else "")
def test_a_command_parses(where: str, words: list[str]) -> None:
    command = COMMANDS[words[0]]
    with click.Context(cli.cli) as parent:
        command.make_context(words[0], words[1:], parent=parent)


def sections() -> dict[str, str]:
    """The sections of docs/cli.md that are about a command, by the command."""
    text = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    parts = re.split(r"^## ", text, flags=re.M)[1:]
    return {m[1]: part for part in parts if (m := re.match(r"`netc (\w+)`\n", part))}


def test_every_command_has_its_section() -> None:
    assert set(sections()) == set(COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_is_in_its_section_and_no_other(name: str) -> None:
    options = {opt for p in COMMANDS[name].params if isinstance(p, click.Option) for opt in p.opts}
    cells = re.findall(r"^\| (`-[^|]*) \|", sections()[name], re.M)
    assert {word for cell in cells for word in re.findall(r"--?[a-z]+(?:-[a-z]+)*", cell)} == options


# --- what there is ----------------------------------------------------------------------------------------------------


def listed(row: str) -> set[str]:
    """The names in a row of a table; `MaxPool1d`–`3d` stands for three."""
    found: set[str] = set()
    for name, last in re.findall(r"`([^`]+)`(?:–`(\d)d`)?", row):
        first = int(name[-2]) if last else 0
        found |= {f"{name[:-2]}{i}d" for i in range(first, int(last) + 1)} if last else {name}
    return found


def test_the_tables_of_layers_are_complete() -> None:
    text = (ROOT / "docs/language.md").read_text(encoding="utf-8")
    compiled = text.partition("These layers are compiled:")[2].strip().partition("\n\n")[0]
    entries = [catalog.layer(name) for name in catalog.layers()]
    assert listed(compiled) == {e.name for e in entries if e is not None and e.rule is not None}


@pytest.mark.parametrize("section", ["data", "train"])
def test_the_tables_of_settings_are_complete(section: str) -> None:
    text = (ROOT / "docs/language.md").read_text(encoding="utf-8")
    own = text.partition(f"\n## `{section}`\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", own, re.M)) >= set(SETTINGS[section])
    later = re.search(rf"^\| `{section}` \| (.*) \|$", text.partition("\n## What parses but")[2], re.M)
    assert (listed(later[1]) if later is not None else set()) >= set(LATER[section])


def test_the_optimizers_and_schedulers_are_all_there() -> None:
    text = (ROOT / "docs/language.md").read_text(encoding="utf-8")
    missing = [n for n in (*catalog.optimizers(), *catalog.schedulers(), *DATASETS) if f"`{n}" not in text]
    assert missing == []


# --- codes and links --------------------------------------------------------------------------------------------------


def used_codes() -> set[str]:
    return {
        code
        for path in (ROOT / "netc").rglob("*.py")
        for code in re.findall(r'"([EW]\d{4})"', path.read_text(encoding="utf-8"))
    }


def test_the_table_of_codes_is_complete() -> None:
    text = (ROOT / "docs/errors.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| ([EW]\d{4}) \|", text, re.M)
    assert listed == sorted(used_codes())


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_codes_in_the_text_exist(page: Path) -> None:
    assert set(CODE.findall(page.read_text(encoding="utf-8"))) <= used_codes()


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for target in LINK.findall(text):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        assert path.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(path), f"{page.name}: {target}"


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as Markdown renderers of code hosts make them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_page_can_be_reached_from_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    missing = [p.name for p in (ROOT / "docs").glob("*.md") if f"](docs/{p.name})" not in text]
    assert missing == []


# --- the library ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted((ROOT / "models").glob("*.net")), ids=lambda p: p.stem)
def test_a_model_of_the_library_builds(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    checked = analyse(text, str(path), path.stem, None, imported)
    assert checked.diagnostics == ()
    assert checked.program is not None
    files = emit(checked.program)
    assert files.train is None
    compile(files.model, path.name, "exec")
    head = re.match(r"(#[^\n]*\n)+", text)
    assert head is not None
    assert re.search(r"Origin: |arXiv|\b(19|20)\d\d\b", head[0]), "a model names its paper or origin"


def library() -> ModuleType:
    """docs/library.py."""
    spec = importlib.util.spec_from_file_location("library", ROOT / "docs/library.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_of_lines_is_counted() -> None:
    text = (ROOT / "docs/models.md").read_text(encoding="utf-8")
    assert library().page(text) == text, "write it anew: python docs/library.py --write"


def test_no_family_is_longer_than_torchvisions() -> None:
    rows = re.findall(r"^\| \[`(\w+)`\].* \| ([\d.]+) \| ([\d.]+) \|$", library().table(), re.M)
    assert len(rows) == len(library().FAMILIES)
    assert [name for name, source, _ in rows if float(source) > 0.55] == []
    assert [name for name, _, written in rows if float(written) >= 1] == []


def test_every_model_has_its_row() -> None:
    text = (ROOT / "docs/models.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| \[`(\w+)`\].*`", text.partition("<!--")[0], re.M)) == {
        p.stem for p in (ROOT / "models").glob("*.net")
    }
