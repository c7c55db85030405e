"""Modules of the file that are put into a model: `replace "fc" = Head(10)`.

In: an edit whose layer is a module, and what arrives at its place. Out: the module as others are, built once for that
input, with the Python that builds it; and a stand-in with the same parameters and shapes for the model's own runs.
Guarantees: the module is followed by the checker's rules, for every size at which the model is tried.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from netc import ir
from netc.catalog.entry import Entry, LayerValue, Rule
from netc.checker import modules
from netc.checker.references import callee_code
from netc.checker.session import Session, result_of
from netc.diagnostics import Report
from netc.foreign.recipe import Recipe
from netc.summary import entries

if TYPE_CHECKING:
    from collections.abc import Callable

    from netc import syntax as s
    from netc.checker.body import Body
    from netc.checker.modules import Values
    from netc.checker.session import Instance
    from netc.checker.units import Definition
    from netc.shapes import TensorType


_serial = count(1)


class Put(NamedTuple):
    """What is put in: how it is made for the model's runs, and its Python."""

    recipe: Recipe
    code: ir.New


class Stand:
    """The rule of a module in a model.

    `instance` is the module at its place, `weights` what it holds; `follow` gives its types and multiply-adds for types
    of inputs, or None.
    """

    file = None

    def __init__(self, instance: Instance, follow: Callable[[tuple[TensorType, ...]], Any]) -> None:
        self.instance = instance
        self.weights = entries(instance.held, instance.children)
        self.follow = follow


def put(
    c: Body, definition: Definition, given: Values, arriving: tuple[TensorType, ...], node: s.Edit,
    size_code: Callable[[str, int, int], str],
) -> Put | None:  # fmt: skip
    """Build a module at the place of an edit; None with the reason in the report."""
    values = {n: v if c.rec is None else c.rec.witness(v) for n, (v, _) in given.items()}
    instance = c.session.instance(definition, values, arriving, c, node.value.span, ())  # type: ignore[union-attr]
    if instance is None:
        return None

    def follow(types: tuple[TensorType, ...]) -> Any:
        report = Report()
        session = Session(report, probing=True)
        body = session.follow(modules.base(definition), {**_fixed(definition), **values}, types, report)
        found = result_of(body)
        return None if report.failed or found is None else (found[0], sum(row.macs for row in body.rows))

    name = f"{definition.name} {values!r} {arriving!r}"
    name += f"#{c.session.stands.setdefault(name, next(_serial))}"
    rule = Rule(Stand(instance, follow), probed=True)  # type: ignore[arg-type]
    recipe = Recipe(LayerValue(Entry(name, "netc.stand", (), rule)))
    return Put(recipe, _code(c, definition, given, arriving, size_code) if c.rec is not None else ir.New("", ()))


def _fixed(definition: Definition) -> dict[str, Any]:
    """What a variant, and the variants that it stands on, fix."""
    from netc.checker.session import _fixed as fixed

    return {n: v for _, n, v in fixed(definition, {})}


def _code(
    c: Body, definition: Definition, given: Values, arriving: tuple[TensorType, ...],
    size_code: Callable[[str, int, int], str],
) -> ir.New:  # fmt: skip
    """The Python that builds the module: sizes of its inputs, then its arguments."""
    sizes: list[tuple[str | None, ir.Made]] = []
    for name, index, axis in c.session.ask(c.owner, None, definition).convention:
        sizes.append((None, ir.Code(size_code(name, index, axis))))
    written = modules._written(definition, {n: code for n, (_, code) in given.items()})
    return ir.New(callee_code(c, definition), (*sizes, *written))
