"""The formatter: the same tree, the same comments, nothing left to do; and what belongs to the project is formatted."""

from __future__ import annotations

import importlib.util
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netc import formatter, parser, syntax
from netc.compiler import analyse, emit
from netc.diagnostics import Report
from netc.formatter import format_text, print_tree, same
from netc.formatting.lines import WIDTH
from netc.lexer import comments
from netc.source import Source
from tests.docs.blocks import PAGES
from tests.lang.layouts import relayout
from tests.lang.programs import random_program
from tests.lang.test_corpus import cases
from tests.lang.trees import random_tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

ROOT = Path(__file__).parents[2]
FORMATTED = sorted(
    p for folder in ("models", "examples", "tests/models/written") for p in (ROOT / folder).glob("*.net")
)
PROGRAMS = [
    *(p.read_text(encoding="utf-8") for p in (*FORMATTED, *sorted((ROOT / "tests/lang/programs").glob("*.net")))),
    *(case.program for case in cases()),
]


def tree(text: str) -> syntax.File | None:
    """The tree of a text, or None where it has syntax errors."""
    report = Report()
    file = parser.parse(Source(text), report)
    return None if report.failed else file


PARSED = [(text, file) for text in PROGRAMS if (file := tree(text)) is not None]


def formatted(text: str) -> str:
    """The canonical form, which a second run must leave as it is."""
    report = Report()
    once = format_text(Source(text), report)
    assert once is not None, report.diagnostics
    assert format_text(Source(once), report) == once
    assert not report.diagnostics
    return once


def said(text: str) -> list[str]:
    return [c.text.rstrip(" \t\f") for c in comments(Source(text), parser.tables())]


# --- what belongs to the project --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", FORMATTED, ids=lambda p: p.stem)
def test_a_program_of_the_project_is_formatted(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert formatted(text) == text, "format it: netc fmt models examples tests/models/written"


@pytest.mark.parametrize("path", [*PAGES, *sorted((ROOT / "netc/explain").glob("*.md"))], ids=lambda p: p.name)
def test_the_programs_of_a_page_are_formatted(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert documentation().page(text) == text, "format it: python docs/format.py"


def documentation() -> ModuleType:
    """docs/format.py."""
    spec = importlib.util.spec_from_file_location("docs_format", ROOT / "docs/format.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_fragments_of_pages_are_formatted_as_they_would_stand() -> None:
    """And what doesn't parse stays."""
    page = "```net body\na:B\n```\n```net\na=1\n```\n```net wrong=E0106\na=\n```\n```net data\na=1\nbcd = 2\n```\n"
    expected = page.replace("a:B", "a: B").replace("a=1", "a = 1", 1).replace("a=1", "a   = 1")
    assert documentation().page(page) == expected


# --- the same program -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_any_layout_gives_the_same_program(seed: int) -> None:
    """Blanks, newlines, `;` and comments between the tokens of programs, anywhere the language has them."""
    chance = random.Random(seed)
    for _ in range(20):
        text, file = chance.choice(PARSED)
        made, texts = relayout(text, chance, chance.choice([0, 0.05, 0.3]))
        before = tree(made)
        assert before is not None
        assert same(before, file), made
        after = formatted(made)
        found = tree(after)
        assert same(found, file), made
        assert said(after) == texts, made
        assert "\r" not in after


def test_without_comments_only_the_choices_of_the_author_are_left() -> None:
    """Blanks and newlines in brackets make no difference."""
    text = "network A {\n  input x: [N, 4]\n  a: Linear(2 * (3 + 4), bias=False) -> b: Foo([1, 2], x[:, 1:2])\n}\n"
    wide = text.replace(" ", "   ").replace("(", "(\n").replace(", ", "\n,\n\n").replace("]", "\n]")
    assert formatted(wide) == text


def test_a_result_that_is_not_the_same_program_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ("a = 2\n", "a = 1  # other\n", "a = (\n"):
        monkeypatch.setattr(formatter, "lay_out", lambda block, wrong=wrong: wrong)
        with pytest.raises(formatter.Unfaithful):
            format_text(Source("a  =  1  # one"), Report())


def test_a_text_with_mistakes_is_not_formatted() -> None:
    report = Report()
    assert format_text(Source("network A {\n  input x: [N,, 4]\n}\n"), report) is None
    assert report.failed


# --- the form ---------------------------------------------------------------------------------------------------------

FORMS = {
    "blanks": ("a=-1+2*x**2 if  not  b  else[1,2 , 3][ 0 : 1 ]", "a = -1 + 2 * x**2 if not b else [1, 2, 3][0:1]\n"),
    "quotes": ("""a = ['x', "y", 'say "no"']""", """a = ["x", "y", 'say "no"']\n"""),
    "numbers": ("a = [.5, 1_000, 1E5, 5 .real]", "a = [.5, 1_000, 1E5, 5 .real]\n"),
    "arguments": ("a = f(x=1, y=1 if b else 2, z=a<b)", "a = f(x=1, y = 1 if b else 2, z = a < b)\n"),
    "parameters": ("module A(x=1){}\nmodule B(){}", "module A(x = 1) {}\nmodule B {}\n"),
    "empty lines": ("\n\n\na = 1\n\n\n\nb = 2\n\n", "a = 1\n\nb = 2\n"),
    "nothing": ("\n \n", ""),
    "only comments": ("  # a\n\n\n# b", "# a\n\n# b\n"),
    "semicolons": ("a = 1;b = 2;\nc = 3 ; ; d = 4", "a = 1; b = 2\nc = 3; d = 4\n"),
    "settings": (
        "train { loss = A\n epochs = 3\n\n x = 1; seed = 2\n 'a.*' { lr = 1 }\n optimizer = B\n }",
        'train {\n  loss   = A\n  epochs = 3\n\n  x = 1; seed = 2\n  "a.*" { lr = 1 }\n  optimizer = B\n}\n',
    ),
    "rules": (
        "network A { init { Linear.weight ~ zeros_()\n 'a' ~ ones_() } }",
        'network A {\n  init {\n    Linear.weight ~ zeros_()\n    "a"           ~ ones_()\n  }\n}\n',
    ),
    "variants": ("network A = B(1)\nnetwork Long = B(2)", "network A    = B(1)\nnetwork Long = B(2)\n"),
    "comments at the ends": (
        "a = 1 # x\nbcd = 2# y\n    # z\n\ne = 3    # f",
        "a = 1    # x\nbcd = 2  # y\n# z\n\ne = 3  # f\n",
    ),
    "a comment that goes on": ("a = 1  # x\n       # y\nbcd = 2 # z", "a = 1    # x\n         # y\nbcd = 2  # z\n"),
    "comments in braces": (
        "module A { # a\n\n# b\n\n\n ReLU # c\n # d\n}",
        "module A {  # a\n  # b\n\n  ReLU  # c\n  # d\n}\n",
    ),
    "comments in empty braces": ("module A {\n# a\n}", "module A {\n  # a\n}\n"),
    "comments in a chain": (
        "module A {\n a: B -> c: D # 1\n # 2\n -> E(1) # 3\n}",
        "module A {\n  a: B -> c: D  # 1\n    # 2\n    -> E(1)  # 3\n}\n",
    ),
    "comments in brackets": (
        "a = [ # 1\n b, # 2\n # 3\n c # 4\n , # 5\n # 6\n]",
        "a = [  # 1\n  b,  # 2\n  # 3\n  c,  # 4\n  # 5\n  # 6\n]\n",
    ),
    "comments in expressions": (
        "a = f(b + # 1\n c, # 2\n d = # 3\n 1)",
        "a = f(\n  # 1\n  b + c,  # 2\n  # 3\n  d=1,\n)\n",
    ),
    "comments before else": (
        "module A { if b { C } # 1\n # 2\n elif d { E } else { F } # 3\n}",
        "module A {\n  if b {\n    C\n  }  # 1\n  # 2\n  elif d {\n    E\n  } else {\n    F\n  }  # 3\n}\n",
    ),
    "a comma at the end": ("a = [1, b,]\nc = (1,)\nd = [1, 2,]", "a = [\n  1,\n  b,\n]\nc = (1,)\nd = [1, 2]\n"),
    "braces": (
        "module A {\n seq {B;C}\n seq {\n B; C\n D }\n if a {B} else {\n C }\n}",
        "module A {\n  seq { B; C }\n  seq {\n    B; C\n    D\n  }\n  if a {\n    B\n  } else {\n    C\n  }\n}\n",
    ),
    "arrows": (
        "module A {\n a -> B\n -> C -> D\n x = a + b\n -> C\n seq {\n B\n } -> C\n}",
        "module A {\n  a -> B\n    -> C -> D\n  x = a + b\n    -> C\n  seq {\n    B\n  } -> C\n}\n",
    ),
    "line ends": ("a = 1\r\nb = 2\rc = 3", "a = 1\nb = 2\nc = 3\n"),
}


@pytest.mark.parametrize("name", FORMS)
def test_form(name: str) -> None:
    text, expected = FORMS[name]
    assert formatted(text) == expected


LONG = ", ".join(f"argument_{i}={i}" for i in range(8))  # 110 characters
WIDE = {
    "a call": (f"a = long_name({LONG})", f"a = long_name(\n  {LONG}\n)\n"),
    "a longer call": (
        f"a = f({LONG}, {LONG})",
        "a = f(\n" + "".join(f"  {e},\n" for e in f"{LONG}, {LONG}".split(", ")) + ")\n",
    ),
    "the longest of several": (f"a = g(1, 2) + f({LONG}) * h(3)", f"a = g(1, 2) + f(\n  {LONG}\n) * h(3)\n"),
    "brackets in brackets": (f"a = f(g=2) + f([b({LONG})])", f"a = f(g=2) + f([\n  b({LONG})\n])\n"),
    "braces": (
        f"module A {{ ReLU; seq {{ C({LONG}) }} }}",
        f"module A {{\n  ReLU\n  seq {{\n    C({LONG})\n  }}\n}}\n",
    ),
    "braces with statements that fit on a line": (
        f"module A {{ seq {{ B; C; D({LONG[:-14]}) }} }}",
        f"module A {{\n  seq {{ B; C; D({LONG[:-14]}) }}\n}}\n",
    ),
    "a chain": (
        f"module A {{ a = x -> f({LONG[:-14]}) -> g -> h }}",
        f"module A {{\n  a = x -> f({LONG[:-14]}) -> g -> h\n}}\n",
    ),
    "a longer chain": (
        f"module A {{ a = x -> f({LONG[:-14]}) -> g -> h -> i }}",
        f"module A {{\n  a = x -> f({LONG[:-14]})\n        -> g\n        -> h\n        -> i\n}}\n",
    ),
    "a chain without a value": (
        f"module A {{ a: B -> f({LONG[:-14]}) -> g -> h -> i }}",
        f"module A {{\n  a: B\n    -> f({LONG[:-14]})\n    -> g\n    -> h\n    -> i\n}}\n",
    ),
    "a call in a chain": (
        f"module A {{ a: B -> long_name({LONG}) }}",
        f"module A {{\n  a: B\n    -> long_name(\n      {LONG}\n    )\n}}\n",
    ),
    "braces in a chain": (
        f"module A {{ a = x -> b: seq {{ C({LONG}) }} -> ReLU }}",
        f"module A {{\n  a = x -> b: seq {{\n    C({LONG})\n  }} -> ReLU\n}}\n",
    ),
    "a line that is silenced": (f"a = f({LONG}, 1)  # netc: ignore W0803", f"a = f({LONG}, 1)  # netc: ignore W0803\n"),
    "parameters": (
        f"module A({LONG}) {{}}",
        "module A(\n" + "".join(f"  {e.replace('=', ' = ')},\n" for e in LONG.split(", ")) + ") {}\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WIDE)
def test_what_is_too_wide(name: str) -> None:
    text, expected = WIDE[name]
    assert formatted(text) == expected


def test_numbers_fill_lines() -> None:
    lines = formatted(f"a = {list(range(1000, 1100))}").splitlines()
    assert len(lines) == 2 + 6
    assert all(90 < len(line) <= WIDTH for line in lines[1:6])


def test_deep_trees() -> None:
    """As deep as the parser goes."""
    for before, inner, after in (("a = ", "f(1,\n", ")"), ("module A { ", "x -> seq { B\n", "}")):
        depth = max(n for n in range(60) if tree(before + inner * n + "1" + after * (n + ("{" in before))) is not None)
        assert depth > 10
        formatted(before + inner * depth + "1" + after * (depth + ("{" in before)))


def test_long_names_move_nothing_else() -> None:
    """A setting or a line of any length does not push its neighbours to its end."""
    long = "k" * 5000
    for text in (
        f'train {{\n  "{long}" = 1\n' + "  a = 1\n" * 5 + "}\n",
        f"a = {long}  # {long}\n" + f"a = 1  # {long}\n" * 5,
        "a = 1 < f(1)" + " < f(2)" * 1000 + "\n",
    ):
        assert formatted(text) == text


def test_a_line_that_is_silenced_stays_whole() -> None:
    wide = ", ".join(f"argument_{i}={i}" for i in range(12))
    for text in (
        f"module A({wide.replace('=', ' = ')}) {{  # netc: ignore W0803\n  ReLU\n}}\n",
        f"# netc: ignore W0803\na = f({wide})\n",
        f"a = [\n  f({wide}),  # netc: ignore W0803\n]\n",
        f"module A {{\n  a: B\n    -> f({wide}) -> g  # netc: ignore W0803\n    -> h\n}}\n",
    ):
        assert formatted(text) == text


def test_long_programs_take_linear_time() -> None:
    text = "\n".join(p.read_text(encoding="utf-8") for p in FORMATTED)
    times = []
    for n in (1, 4):
        start = time.process_time()
        assert format_text(Source(text * n), Report()) is not None
        times.append(time.process_time() - start)
    assert times[1] < 8 * times[0]


# --- random trees -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", range(0, 1000, 50))
def test_random_trees_are_printed_and_parsed(start: int) -> None:
    """1,000 programs of every kind of node: the same tree, the same comments, unchanged by a second run."""
    for seed in range(start, start + 50):
        chance = random.Random(seed)
        file = random_tree(chance)
        text = print_tree(file)
        assert same(tree(text), file), seed
        assert formatted(text) == text, seed
        made, texts = relayout(text, chance, chance.choice([0, 0.05, 0.3]))
        after = formatted(made)
        assert same(tree(after), file), seed
        assert said(after) == texts, seed


def test_random_trees_have_every_kind_of_node() -> None:
    kinds = {n for n, v in vars(syntax).items() if isinstance(v, type) and hasattr(v, "_fields") and n != "Span"}
    seen = {type(node).__name__ for seed in range(200) for node in every(random_tree(random.Random(seed)))}
    assert kinds - seen == {"Broken"}


def every(value: object) -> Iterator[object]:
    """Every node of a tree."""
    if isinstance(value, tuple):
        yield value
        for item in value:
            yield from every(item)


def test_random_programs_mostly_check_clean() -> None:
    """What checks clean builds; the mistakes that are meant to be there are found."""
    right, wrong = 0, 0
    for seed in range(60):
        file = random_program(random.Random(seed), mistakes=0 if seed < 40 else 0.2)
        text = print_tree(file)
        assert same(tree(text), file), seed
        assert formatted(text) == text, seed
        checked = analyse(text)
        if checked.program is None:
            assert seed >= 40, text
            wrong += 1
        else:
            emit(checked.program)
            right += 1
    assert right >= 40
    assert wrong >= 10
