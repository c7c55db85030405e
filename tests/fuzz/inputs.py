"""Random inputs of every kind: text, words of the language, changed programs, programs that are drawn, and trees.

In: a seed. Out: the same text for it each time, with the kind that it is of. Changes are of the sizes that people make:
a token, a number, a name, a line. Programs of the library come with one of their networks alone, and only those whose
network is small enough to be run.
"""

from __future__ import annotations

import re
from functools import cache
from math import prod
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from netc import catalog, parser
from netc import syntax as s
from netc.compiler import analyse
from netc.diagnostics import Report
from netc.files import imported
from netc.formatter import print_tree
from netc.lexer import lex
from netc.source import Source
from netc.summary import weights
from tests.docs.blocks import blocks
from tests.lang.programs import random_program
from tests.lang.test_corpus import cases
from tests.lang.trees import random_tree
from tests.rehearsal.drawn import Program

if TYPE_CHECKING:
    from collections.abc import Callable

    from netc import ir
    from netc.token import Token

ROOT = Path(__file__).parents[2]
RIGHT = 0.8  # how often a changed program was a right one
PARAMETERS, COSTS = 30_000_000, 5_000_000_000  # the largest network that is run, by weights and multiply-adds
WORDS = """
    network module input output param buffer layer init if elif else for in seq train data loss import use -> : = ( ) [
    ] { } , . ; ~ + - * / // ** @ % == < not and or is None True x image _ N C H W T Conv2d Linear ReLU Flatten fc 0 1
    2 3 -1 2.5 1e9 10**9 'a' "b{i}" ... flatten cat mean # range len enumerate zip Digits ToTensor SGD optimizer epochs
    """.split()
CHARACTERS = "abcxyzABC_0123456789 \n\t\r()[]{}<>=:;,.+-*/%@#~^&|!?\\'\"`$§äßЖ中（）：，“”→\u00a0\u200b\u202e\ufeff\0𝔸"


class Input(NamedTuple):
    """A text, and of which kind it is."""

    kind: str
    text: str


def make(seed: int) -> Input:
    """The input of a seed."""
    chance = Random(seed)
    at = chance.random()
    for share, kind, maker in KINDS:
        at -= share
        if at < 0:
            return Input(kind, maker(chance))
    raise AssertionError("the shares of the kinds add up to one")


def characters(chance: Random) -> str:
    return "".join(chance.choice(CHARACTERS) for _ in range(chance.randrange(300)))


def words(chance: Random) -> str:
    text = " ".join(chance.choice([*WORDS, "\n"]) for _ in range(chance.randrange(60)))
    return f"network A {{\n input x: [N, 4]\n {text}\n}}" if chance.random() < 0.6 else text


def drawn(chance: Random) -> str:
    return Program(chance.choice).text()


def tree(chance: Random) -> str:
    return print_tree(random_tree(chance))


def program(chance: Random) -> str:
    return print_tree(random_program(chance))


def changed(chance: Random) -> str:
    return change(chance.choice(programs(chance.random() < RIGHT)), chance)


def changed_library(chance: Random) -> str:
    return change(chance.choice(library()), chance)


KINDS: tuple[tuple[float, str, Callable[[Random], str]], ...] = (
    (0.07, "characters", characters),
    (0.07, "words", words),
    (0.05, "changed library", changed_library),
    (0.40, "changed program", changed),
    (0.11, "drawn modules", drawn),
    (0.12, "tree", tree),
    (0.18, "program", program),
)


# --- what is changed -------------------------------------------------------------------------------------------------


@cache
def programs(right: bool) -> tuple[str, ...]:
    """The right or the wrong programs of the corpus, of the docs, and those that were written from the docs.

    Those that need Python files or other files are left out.
    """
    texts = [case.program for case in cases()]
    texts += [b.text for page in sorted((ROOT / "docs").glob("*.md")) for b in blocks(page) if b.language == "net"]
    texts += [p.read_text() for p in sorted((ROOT / "tests/models/written").glob("*.net"))]
    alone = [t for t in texts if not re.search(r"\buse\b|torchvision\.|import", t)]
    return tuple(t for t in alone if (analyse(t).program is not None) == right)


@cache
def library() -> tuple[str, ...]:
    """The library's programs, each with one network that is small enough."""
    found = []
    for path in sorted([*(ROOT / "models").glob("*.net"), *(ROOT / "examples").rglob("*.net")]):
        checked = analyse(path.read_text(), str(path), path.stem, None, imported)
        if checked.program is not None:
            small = {n.name for n in checked.program.networks if _small(n)}
            found += [text for name, text in _single(checked.source) if name in small]
    return tuple(found)


def _small(network: ir.Network) -> bool:
    counted = sum(prod(w.shape) for w in weights(network))
    costs = sum(row.macs for row in network.rows if isinstance(row.macs, int))
    return counted <= PARAMETERS and costs <= COSTS


def _single(source: Source) -> list[tuple[str, str]]:
    """The text of a file for each of its networks, by name: that one, and what it stands on."""
    file = parser.parse(source, Report())
    assert file is not None
    networks = {d.name.text: d for d in file.definitions if isinstance(d, (s.Network, s.Variant))}
    out = []
    for name in networks:
        kept = {name}
        for _ in networks:
            kept |= {n for n in networks for k in kept if re.search(rf"\b{n}\b", source.slice(networks[k].span))}
        gone = [d.span for n, d in networks.items() if n not in kept]
        text = source.text
        for span in sorted(gone, reverse=True):
            text = text[: span.start] + text[span.end :]
        out.append((name, text))
    return out


# --- changes ---------------------------------------------------------------------------------------------------------


def change(text: str, chance: Random) -> str:
    """A program with one change, or a few."""
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3))):
        text = chance.choice((_token, _number, _number, _number, _name, _name, _layer, _line))(text, chance)
    return text


def _tokens(text: str) -> list[Token]:
    return [t for t in lex(Source(text), parser.tables(), Report()) if t.span.end > t.span.start]


def _replaced(text: str, token: Token, new: str) -> str:
    return text[: token.span.start] + new + text[token.span.end :]


def _token(text: str, chance: Random) -> str:
    """A token dropped, doubled, exchanged for another."""
    tokens = _tokens(text)
    if not tokens:
        return text
    token, other = chance.choice(tokens), chance.choice(tokens)
    new = chance.choice(("", f"{token.text} {token.text}", other.text, chance.choice(WORDS)))
    return _replaced(text, token, new)


def _number(text: str, chance: Random) -> str:
    numbers = [t for t in _tokens(text) if t.type == "NUMBER"]
    if not numbers:
        return text
    token = chance.choice(numbers)
    value = int(token.text) if token.text.isdigit() else 1
    new = chance.choice((value + 1, max(value - 1, 0), value * 2, max(value // 2, 1), 1, 2, 3, 5, 0, -1, 0.5, 10**9))
    return _replaced(text, token, str(new))


def _name(text: str, chance: Random) -> str:
    """A name exchanged for another of the program."""
    names = [t for t in _tokens(text) if t.type in ("NAME", "CNAME")]
    if not names:
        return text
    token = chance.choice(names)
    same = [t for t in names if t.type == token.type]
    return _replaced(text, token, chance.choice(same).text)


def _layer(text: str, chance: Random) -> str:
    """A layer exchanged for any of torch's."""
    layers = [t for t in _tokens(text) if t.type == "CNAME" and catalog.layer(t.text) is not None]
    if not layers:
        return text
    return _replaced(text, chance.choice(layers), chance.choice(sorted(catalog.layers())))


def _line(text: str, chance: Random) -> str:
    """A line dropped, doubled or moved."""
    lines = text.split("\n")
    line = lines.pop(chance.randrange(len(lines)))
    for _ in range(chance.choice((0, 1, 2))):
        lines.insert(chance.randrange(len(lines) + 1), line)
    return "\n".join(lines)
