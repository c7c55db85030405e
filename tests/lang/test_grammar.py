"""The grammar: its tables are Lark's, without conflicts; the whole language parses, into a tree with exact places."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from netc import grammar, syntax
from netc.diagnostics import Report
from netc.parser import parse
from netc.resources import resource
from netc.source import Source, Span
from tests.lang.test_corpus import cases

PROGRAMS = sorted(Path(__file__).parent.glob("programs/*.net"))
EXPRESSIONS = get_args(syntax.Expr)


def test_tables_are_those_of_the_grammar() -> None:
    """After a change of grammar/net.lark: `python -m netc.grammar`."""
    made = json.loads(json.dumps(grammar.compile_grammar(resource("grammar/net.lark").read_bytes())))
    assert made == json.loads(grammar.TABLES.read_text())


def test_an_edited_grammar_is_served_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edited = tmp_path / "net.lark"
    edited.write_text(resource("grammar/net.lark").read_text() + "\n// edited\n")
    monkeypatch.setattr(grammar, "resource", lambda name: edited)
    assert grammar.load().states == json.loads(grammar.TABLES.read_text())["states"]


def test_grammar_has_no_conflicts(caplog: pytest.LogCaptureFixture) -> None:
    from lark import Lark, logger

    logger.setLevel(logging.DEBUG)
    logger.addHandler(caplog.handler)
    try:
        Lark(resource("grammar/net.lark").read_text(), parser="lalr", lexer="basic", debug=True)
    finally:
        logger.removeHandler(caplog.handler)
        logger.setLevel(logging.CRITICAL)
    assert "conflict" not in caplog.text.lower()


def nodes(value: object) -> Iterator[tuple[object, Span]]:
    """Every node of a tree with its span, parents first."""
    if isinstance(value, tuple) and not isinstance(value, Span):
        if hasattr(value, "span"):
            yield value, value.span
        for item in value:
            yield from nodes(item)


def without_spans(value: object) -> object:
    if isinstance(value, Span):
        return None
    if isinstance(value, tuple):
        return type(value).__name__, *map(without_spans, value)
    return value


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda p: p.stem)
def test_the_whole_language_parses(path: Path) -> None:
    source, report = Source(path.read_text(), path.name), Report()
    file = parse(source, report)
    assert file is not None
    assert not report.diagnostics
    seen = {type(node) for node, _ in nodes(file)}
    for node, span in nodes(file):
        for _, inner in nodes(tuple(node)):  # type: ignore[arg-type]
            assert span.start <= inner.start <= inner.end <= span.end
        if isinstance(node, EXPRESSIONS):
            again = parse(Source(f"a = ({source.slice(span)})"), Report())
            assert again is not None
            constant = again.definitions[0]
            assert isinstance(constant, syntax.Constant)
            value = constant.value
            if not isinstance(node, syntax.Tuple):
                assert isinstance(value, syntax.Paren)
                value = value.inner
            else:
                assert isinstance(value, syntax.Paren | syntax.Tuple)
                value = value.inner if isinstance(value, syntax.Paren) else value
            assert without_spans(value) == without_spans(node)
    assert len(seen) >= 20


def test_every_kind_of_node_is_seen_in_a_program() -> None:
    texts = [path.read_text() for path in PROGRAMS] + [case.program for case in cases() if not case.expect]
    texts.append(
        "use 'a.py'\nf(x, y = 2) = [i for i in range(x) if not i > 1 and y is None]\nimport 'b.net'\n"
        "network A { input x: [N, 4]; x[..., 1:] -> y: Linear(1); c, (a, b) = x; layer l: Linear(1); output o = x\n"
        "init { 'a.*' ~ ones_() } }\nt = (1, 2) if f(1) else ()\ntrain { ema { decay = 0.9 } }\n"
    )
    seen: set[str] = set()
    for text in texts:
        report = Report()
        file = parse(Source(text), report)
        assert file is not None
        assert not report.diagnostics
        seen |= {type(node).__name__ for node, _ in nodes(file)}
    kinds = {n for n, v in vars(syntax).items() if isinstance(v, type) and hasattr(v, "_fields") and n != "Span"}
    assert kinds - seen == {"Broken"}
