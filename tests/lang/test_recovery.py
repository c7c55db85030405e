"""How much one run says: everything, up to a limit, and nothing twice."""

from __future__ import annotations

from netc.compiler import analyse
from netc.diagnostics import LIMIT
from tests.lang.test_growth import calls, calls_of, on_lines

HEAD = "network Net {\n  input x: [N, 4]\n"


def codes(text: str) -> list[str]:
    return [d.code for d in analyse(text).diagnostics]


def test_a_flood_of_mistakes_ends() -> None:
    """Of syntax, of characters and of meaning."""
    for line, code in (("$", "E0101"), ("Linear(3 4)", "E0111"), ("y = nothing", "E0201")):
        found = codes(HEAD + f"  {line}\n" * 3 * LIMIT + "}\n")
        assert found == [code] * LIMIT + ["E0115"]


def test_warnings_without_number_are_no_mistake() -> None:
    checked = analyse(HEAD + "".join(f"  y{i} = x -> relu\n" for i in range(2 * LIMIT)) + "  x -> tanh\n}\n")
    assert [d.code for d in checked.diagnostics] == ["W0803"] * LIMIT
    assert checked.program is not None


def test_as_many_as_the_limit_are_all_told() -> None:
    assert codes(HEAD + "  y = nothing\n" * LIMIT + "}\n") == ["E0201"] * LIMIT


def test_a_wrong_program_costs_no_more_than_a_right_one() -> None:
    """In calls of Python functions, which don't vary: where all lines are wrong, and where one is."""
    right = on_lines(400)
    calls(right)
    base = calls(right)
    for old, new in (("3, padding", "3 padding"), ("padding", "paddin"), ("ReLU", "RelU"), ("Conv2d", "Conv2D")):
        wrong = right.replace(old, new)
        assert calls_of_check(wrong) <= 2 * base
        assert calls_of_check(right.replace(old, new, 1)) <= 2 * base


def calls_of_check(text: str) -> int:
    """The calls of Python functions from the text to its diagnostics."""
    return calls_of(lambda: analyse(text))
