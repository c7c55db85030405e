"""Any text at all gives diagnostics, never an exception; what checks clean compiles to Python that parses."""

from __future__ import annotations

import ast
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netc import parser
from netc.compiler import analyse, emit
from netc.diagnostics import Report
from netc.lexer import lex
from netc.render import as_data, render
from netc.source import Source
from tests.lang.test_corpus import cases

PROGRAMS = [case.program for case in cases()]
WORDS = """
    network module input output param buffer init if else for in seq train data loss -> : = ( ) [ ] { } , . ; ~ + - * /
    // ** @ % == < not and or is None True x image _ N C Conv2d Linear ReLU Flatten fc 0 1 -1 2.5 1e9 'a' "b{i}" ...
    flatten cat #
""".split()
WORDS += ["\n", "\t"]


def examine(text: str) -> bool:
    """Run the whole compiler over a text; whether it is right."""
    checked = analyse(text, "any.net", "any")
    for diagnostic in checked.diagnostics:
        assert diagnostic.message
        assert 0 <= diagnostic.primary.span.start <= diagnostic.primary.span.end <= len(text) + 1
        render(diagnostic, checked.source, colour=True)
        as_data(diagnostic, checked.source)
    if checked.program is None:
        assert any(d.is_error for d in checked.diagnostics)
        return False
    files = emit(checked.program)
    ast.parse(files.model)
    if files.train is not None:
        ast.parse(files.train)
    return True


@given(st.text(max_size=200))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_any_characters(text: str) -> None:
    examine(text)


@given(st.lists(st.sampled_from(WORDS), max_size=40))
@settings(max_examples=500, deadline=None, derandomize=True)
def test_any_words(words: list[str]) -> None:
    examine(" ".join(words))
    examine("network A {\n input x: [N, 4]\n" + " ".join(words) + "\n}")


@given(st.integers(0, 2**32), st.sampled_from(PROGRAMS), st.integers(1, 3))
@settings(max_examples=1500, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
def test_changed_programs(seed: int, program: str, changes: int) -> None:
    """Tokens of right and wrong programs dropped, doubled, exchanged, replaced."""
    chance = random.Random(seed)
    tokens = lex(Source(program), parser.tables(), Report())
    texts = [t.text for t in tokens if t.type != "$END"]
    for _ in range(changes):
        if not texts:
            break
        at, other = chance.randrange(len(texts)), chance.randrange(len(texts))
        change = chance.randrange(4)
        if change == 0:
            del texts[at]
        elif change == 1:
            texts.insert(at, texts[other])
        elif change == 2:
            texts[at], texts[other] = texts[other], texts[at]
        else:
            texts[at] = chance.choice(WORDS)
    examine(" ".join(texts))


@pytest.mark.parametrize(
    "text",
    [
        "(" * 20000,
        "network A { input x: [N, 4]; " + "relu(" * 3000 + "x" + ")" * 3000 + " }",
        "network A { input x: [N, " + "-" * 5000 + "4] }",
        "a = " + "[" * 3000 + "]" * 3000,
        "network A { input x: [N, 4]\n" + "relu -> " * 20000 + "relu }",
        "a = " + "1 + " * 20000 + "1",
        "a = 2 ** 2 ** 2 ** 2 ** 2 ** 2",
        'a = "x" * 10 ** 12',
        "a = [0] * 10 ** 12",
        "a = range(10 ** 15)",
        "\ufeff network",
        "a = \u202e 3",
    ],
    ids=lambda text: text[:12] + str(len(text)),
)
def test_hostile_texts(text: str) -> None:
    examine(text)
