"""Fixes for what the sections say.

In: a name or value of a section that is wrong, and what there is. Out: a fix, or None where it isn't certain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc import syntax as s
from netc.checker.habits import torch_name
from netc.fixes import certain, rewrite, spelling

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netc.diagnostics import Fix


def without_quotes(expr: s.Expr, known: Iterable[str]) -> Fix | None:
    """A name that stands in quotes, as torch spells it."""
    if not isinstance(expr, s.String):
        return None
    meant = expr.value if expr.value in known else certain(expr.value, known)
    return rewrite(expr.span, meant) if meant is not None else None


def same_words(name: s.Name, known: list[str]) -> Fix | None:
    """`cross_entropy` or `mse_loss`: the words of a loss, an optimizer or a scheduler in other letters."""
    meant = torch_name(name.text, known)
    words = name.text.replace("_", "").lower()
    if meant is None or meant.lower() not in (words, f"{words}loss", f"{words}lr"):
        return spelling(name.text, name.span, known)
    return rewrite(name.span, meant)


def count(chain: s.Chain, value: object) -> Fix | None:
    """A whole number that is written as another kind of value."""
    step = chain.links[0].step
    if isinstance(step, s.String) and isinstance(value, str) and value.strip().isdecimal() and value.isascii():
        return rewrite(chain.span, str(int(value)))
    whole = isinstance(step, s.Number) and isinstance(value, float) and value.is_integer() and 0 < value < 1e9
    return rewrite(chain.span, str(int(value))) if whole and isinstance(value, float) else None


def last_layer(file: s.File, span: tuple[int, int], gives: object, classes: int) -> Fix | None:
    """Another size of the last layer, where the text gives it as a number."""
    call = next((c for c in _calls(file) if tuple(c.span) == tuple(span)), None)
    for i, argument in enumerate(call.arguments if call is not None else ()):
        named = argument.name is not None and argument.name.text == "out_features"
        number = isinstance(argument.value, s.Number) and argument.value.value == gives
        if number and (named or (i == 0 and argument.name is None)):
            return rewrite(argument.value.span, str(classes))
    return None


def _calls(node: object) -> Iterable[s.Call]:
    todo = [node]
    while todo:
        one = todo.pop()
        if isinstance(one, s.Call) and isinstance(one.callee, s.Name) and one.callee.text == "Linear":
            yield one
        if isinstance(one, tuple):
            todo += one
