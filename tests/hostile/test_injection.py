"""No text of a program reaches generated Python except as a literal or a checked identifier.

Each attempt is compiled, and what comes of it is run; the effect that it is after must not show. Every attempt ends
in an error, or in a literal.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import functools
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netc.api import execute
from netc.compiler import analyse, emit
from netc.identifiers import python_name
from netc.runtime.script import load_script
from tests.hostile.attempts import CANARY, LOOSE, NAMES, PAYLOADS, STRINGS, WORDS, Program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from netc.compiler import Files


@contextlib.contextmanager
def no_effect() -> Iterator[None]:
    """Whatever runs inside must leave no canary behind."""
    assert not hasattr(builtins, CANARY)
    yield
    ran = hasattr(builtins, CANARY)
    if ran:
        delattr(builtins, CANARY)
    assert not ran, "text of the program was run"


def compiled(program: Program) -> Files | None:
    """The generated files, or None where the program has mistakes."""
    checked = analyse(program.text, "prog.net", program.stem, program.settings)
    assert checked.program is not None or any(d.is_error for d in checked.diagnostics)
    return None if checked.program is None else emit(checked.program)


def attempt(program: Program) -> bool:
    """Compile and run; whether it was compiled at all."""
    with no_effect():
        files = compiled(program)
        if files is None:
            return False
        for text in (files.model, files.train):
            assert text is None or mentioned(ast.parse(text)) == set()
        module = execute(files.model, "attempt")
        with contextlib.suppress(RuntimeError):  # sizes beyond any memory
            module.A() if hasattr(module, "A") else None
        if files.train is not None:
            load_script(files.train, files.model)
    return True


def mentioned(tree: ast.AST) -> set[str]:
    """Identifiers of the code that are the canary's: it may stand in strings only."""
    return {word for word in identifiers(tree) if CANARY in word or word in ("__import__", "__class__", "system")}


def identifiers(tree: ast.AST) -> set[str]:
    """Every identifier of a syntax tree."""
    found = set()
    for node in ast.walk(tree):
        for field in ("id", "attr", "arg", "name", "asname"):
            value = getattr(node, field, None)
            if isinstance(value, str):
                found.add(value)
    return found


@functools.lru_cache(64)
def words_of(text: str) -> frozenset[str]:
    """Every identifier of a text."""
    return frozenset(identifiers(ast.parse(text)))


@pytest.mark.parametrize("place", STRINGS)
def test_strings_stay_strings(place: str) -> None:
    for payload in PAYLOADS:
        if '"' not in payload:
            attempt(STRINGS[place](payload))


@pytest.mark.parametrize("place", NAMES)
def test_names_stay_names(place: str) -> None:
    for payload in (*PAYLOADS, *LOOSE, *WORDS):
        attempt(NAMES[place](payload))


def test_the_attempts_get_far_enough() -> None:
    """Most places take a harmless text, so that what the others show is not an error for some other reason."""
    harmless = {place for place, made in STRINGS.items() if attempt(made("a b"))}
    assert len(harmless) >= 26, sorted(set(STRINGS) - harmless)
    assert sum(attempt(made(word)) for made in NAMES.values() for word in ("abc", "1", "Abc", "zeros")) >= 16


@pytest.mark.parametrize("value", ["1e999", "-1e999", "1e999 - 1e999", "-0.0", "1e-400", "0.1", "9223372036854775807"])
def test_numbers_without_a_literal(value: str) -> None:
    """Infinities and NaN have no literals in Python: `inf` would be a name."""
    for text in (
        f"network A(p = {value}) {{\n  input x: [N, 4]\n  _ * p\n}}\n",
        f"c = {value}\nnetwork A {{\n  input x: [N, 4]\n  _ * c\n}}\n",
        f"network A {{\n  input x: [N, 4]\n  elu(alpha={value}) -> where(x > {value}, x)\n}}\n",
        f"network A {{\n  input x: [N, 4]\n  masked_fill(x > 0, {value})\n}}\n",
    ):
        files = compiled(Program(text))
        if files is not None:
            assert not {"inf", "nan"} & identifiers(ast.parse(files.model))
            execute(files.model, "numbers").A()


# --- any text at all --------------------------------------------------------------------------------------------------


@functools.lru_cache(64)
def shape(text: str | None, known: frozenset[str]) -> str:
    """The syntax tree of a text with every literal as 0, and every identifier that isn't known as one name."""
    if text is None:
        return ""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            node.value, node.kind = 0, None
        elif isinstance(node, ast.JoinedStr):
            node.values = [part for part in node.values if isinstance(part, ast.FormattedValue)]
        for field in ("id", "attr", "arg", "name"):
            value = getattr(node, field, None)
            if isinstance(value, str) and value not in known:
                setattr(node, field, "given")
    return ast.dump(tree)


def in_strings(text: str) -> bool:
    return not any(c in text for c in "\"'\n")


@pytest.mark.parametrize("place", STRINGS)
@given(text=st.text(max_size=40).filter(in_strings))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_any_string_changes_literals_only(place: str, text: str) -> None:
    differs_in_literals_only(STRINGS[place], text)


@pytest.mark.parametrize("place", NAMES)
@given(text=st.text(st.characters(codec="utf-8"), max_size=40) | st.sampled_from(WORDS + LOOSE))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_any_name_changes_literals_only(place: str, text: str) -> None:
    if place in ("name of the file", "name of the file of a run", "set string", "set path"):
        differs_in_literals_only(NAMES[place], text)
    else:
        attempt(NAMES[place](text))


HARMLESS = ("a b", "ab", "x", "8", "", "*")


def differs_in_literals_only(place: Callable[[str], Program], text: str) -> None:
    """Compare what is generated for a text with what is generated for harmless ones in its place."""
    files = compiled(place(text))
    if files is None:
        return
    for part in ("model", "train"):
        mine, theirs = getattr(files, part), [getattr(other, part) for other in others(place)]
        words = [words_of(code or "") for code in theirs]
        known = frozenset.intersection(*words) - {text}
        for word in words_of(mine or "").difference(*words):
            assert is_checked(word, text), word
        assert shape(mine, known) in {shape(code, known) for code in theirs}


@functools.cache
def others(place: Callable[[str], Program]) -> list[Files]:
    """What is generated for the harmless texts."""
    return [made for made in map(compiled, map(place, HARMLESS)) if made is not None]


def is_checked(word: str, text: str) -> bool:
    """Whether an identifier is one that netc makes of a text or gives a value where the text has taken another."""
    letters = "".join(c for c in text if c.isalnum()).lower()
    made = word.removeprefix("Part").rstrip("0123456789").lower()
    return word in (text, python_name(text), f"_{text}", "y", "z", "h", "out") or made in letters


@pytest.mark.parametrize("name", ["Tensor", "F", "Any", "Callable", "NamedTuple", "ValueError", "Exception", "Path"])
def test_classes_hide_nothing_that_generated_code_uses(name: str) -> None:
    """A network of such a name is an error, or works; a module gets a name of its own."""
    attempt(Program(f"network {name} {{ input x: [N, 4]; fc: Linear(3) }}"))
    program = (
        f"module {name}(p = 1) {{ fc: Linear(3) }}\nnetwork A(q = 1, L = ReLU) {{\n  input x: [N, 4]\n  m: {name}; L\n"
        "  if q == 1 { relu } else { fc: Linear(3, in_features=9) }\n  output a = _\n  output b = x\n}\n"
    )
    assert attempt(Program(program))


@pytest.mark.parametrize("name", ["netc_buffers", "netc_children", "netc_token", "netc_path", "netc_adopt"])
def test_labels_meet_no_name_of_the_rehearsal(name: str) -> None:
    assert attempt(Program(
        f"module M({name} = 3) {{ {name}: Linear({name}) }}\n"
        f"network A({name} = 2) {{\n  input x: [N, 4]\n  {name}: M({name}) -> ReLU -> {name}_2: Linear(5)\n}}\n"
    ))  # fmt: skip
