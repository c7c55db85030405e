"""Losses of a `use`d Python file: classes that are called as those of torch are, and functions.

In: the body of a loss, and a call of such a name. Out: its value, with the type that a run on torch's meta device
gives. Guarantees: names, arguments and the number of tensors are checked by what the file says; torch is asked in the
second pass, as for layers. Leaves to others: that the whole is one number (`loss_terms`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc import ir
from netc import syntax as s
from netc.catalog.entry import REQUIRED, Entry
from netc.checker import functions, general_shapes, layer_errors, python_layers
from netc.checker.arguments import bind, ordered
from netc.checker.expressions import ERROR, kind_of
from netc.checker.values import Made, Tensor
from netc.foreign import Raised, entries
from netc.node import replace
from netc.shapes import Reject, TensorType

if TYPE_CHECKING:
    from netc.checker.loss_terms import LossBody
    from netc.checker.units import Unit
    from netc.foreign.source import Signature

FUNCTION = "python:"  # what the callee of a function of a Python file begins with


def stands_in(expr: object, unit: Unit) -> bool:
    """Whether an expression calls or names something of a Python file."""
    if isinstance(expr, s.Name):
        return expr.text in unit.python
    return isinstance(expr, tuple) and any(stands_in(part, unit) for part in expr)


def called(c: LossBody, expr: s.Name | s.Call, callee: s.Name) -> Any:
    """The value of a loss of a Python file; ERROR where it is wrong, or where torch may not be asked yet."""
    entry = c.owner.unit.python[callee.text]
    return _of_class(c, entry, expr, callee) if callee.text[0].isupper() else _of_function(c, entry, expr, callee)


def _of_function(c: LossBody, entry: Entry, expr: s.Name | s.Call, callee: s.Name) -> Any:
    if not isinstance(expr, s.Call):
        given = _meant(c, entry, expr)
        if not given:
            return ERROR
        expr = s.Call(callee, given, expr.span)
    result = functions.apply(c, expr, callee, None, head=True)
    if result is ERROR:
        return ERROR
    if not isinstance(result, Tensor):
        return _no_number(c, entry, kind_of(result), expr)
    if c.rec is None:
        return result
    made = result.expr
    assert isinstance(made, ir.Function)
    c.pair_of(tuple(value for _, value in made.arguments), python=True)
    c.functions[entry.name] = entry
    return result._replace(expr=replace(made, callee=FUNCTION + entry.name))


def _no_number(c: LossBody, entry: Entry, what: str, expr: s.Expr) -> Any:
    c.report.add("E0628", f"a loss is one number, and `{entry.name}` gives {what}", expr.span)
    return ERROR


def _of_class(c: LossBody, entry: Entry, expr: s.Name | s.Call, callee: s.Name) -> Any:
    """A loss that is made once with what is named, and called with the tensors that stand by position."""
    given = expr.arguments if isinstance(expr, s.Call) else ()
    positional, named = (tuple(a for a in given if (a.name is None) is by) for by in (True, False))
    entry = entries.widened(entry, 0, [a.name.text for a in named if a.name is not None])
    bound = bind(entry, named, expr.span, c, c.literal)
    if not python_layers.usable(c, entry, callee) or not bound.ok:
        return ERROR
    positional = positional or _meant(c, entry, expr)
    values = [c.evaluate(a.value) for a in positional]
    if not positional or ERROR in values or not _are_tensors(c, entry, positional, values, expr):
        return ERROR
    if not all(python_layers._can_be_given(c, entry, a.value, bound.spans[n]) for n, a in bound.args.items()):
        return ERROR
    if not c.session.probing:
        c.session.deferred = True
        return ERROR
    result = _run(c, entry, bound.args, tuple(values), expr)
    if result is ERROR:
        return ERROR
    call = ir.Call(entry, ordered(entry, bound.args), expr.span)
    c.pair_of(tuple(t.expr for t in values), python=True)
    name = c.constant_of(call, {p.name: call.get_or(p.name, p.default) for p in entry.params})
    made = ir.Function(name, tuple((None, t.expr) for t in values), result, expr.span)
    return Tensor(made, result, Made(entry.name, expr.span))


def _run(c: LossBody, entry: Entry, args: dict[str, ir.Arg], given: tuple[Tensor, ...], expr: s.Expr) -> Any:
    """What a loss gives, found by running it."""
    rule: Any = entry.rule
    values = python_layers._values(entry, args, {})
    result = general_shapes.shape(c, rule.shape, values, tuple(t.type for t in given))
    if isinstance(result, Reject):
        notes = result.notes if isinstance(result, Raised) else ()
        receives = ", ".join(f"`{_shown(t)}` {t.type}".replace("$", "") for t in given)
        c.report.add(
            getattr(result, "code", "E0707"), f"`{entry.name}`: {result.reason}".replace("$", ""), expr.span,
            secondary=layer_errors.came_from(given), notes=(f"it receives {receives}", *notes),
        )  # fmt: skip
        return ERROR
    weights = list(rule.state(values))
    if weights:
        c.report.add(
            "E0631", f"`{entry.name}` can't be the loss: it has weights of its own, which belong to the network",
            expr.span, f"`{weights[0]}`, for one", help="let a layer hold them, and give what it makes to the loss",
        )  # fmt: skip
        return ERROR
    if not isinstance(result, TensorType):
        return _no_number(c, entry, "several", expr)
    return result


def _shown(value: Tensor) -> str:
    return value.expr.name if isinstance(value.expr, ir.Var) else "it"


# --- what a loss takes ------------------------------------------------------------------------------------------------


def _signature(c: LossBody, entry: Entry) -> Signature | None:
    """What takes the tensors, where the file tells."""
    rule: Any = entry.rule
    file = rule.shape.file
    found = file.functions.get(entry.name)
    return found.signature if found is not None else file.classes[entry.name].forward  # type: ignore[no-any-return]


def _meant(c: LossBody, entry: Entry, expr: s.Expr) -> tuple[s.Argument, ...]:
    """What a loss compares that is only named: the one output with the label. Reported where that isn't clear."""
    from netc.checker.loss_terms import several

    outputs, labels = list(c.available.outputs), list(c.available.labels)
    taken = _signature(c, entry)
    needed = 2 if taken is None else sum(p.default is REQUIRED for p in taken.params)
    if len(outputs) == 1 and len(labels) == 1 and needed <= 2:
        c.bare = True
        return tuple(s.Argument(None, s.Name(n, expr.span), expr.span) for n in (outputs[0], labels[0]))
    if needed > 2 and taken is not None:
        listed = ", ".join(p.name for p in taken.params if p.default is REQUIRED)
        c.report.add("E0629", f"`{entry.name}` takes {listed}", expr.span, help=f"name them: `{entry.name}({listed})`")
    else:
        several(entry.name, expr.span, c.available.network, tuple(outputs), c.report)
    return ()


def _are_tensors(
    c: LossBody, entry: Entry, given: tuple[s.Argument, ...], values: list[Any], expr: s.Expr
) -> bool:  # fmt: skip
    """Whether what stands by position are tensors, as many as `forward` takes."""
    taken = _signature(c, entry)
    wrong = next((i for i, v in enumerate(values) if not isinstance(v, Tensor)), None)
    least, most, listed = 0, len(values), "tensors"
    if taken is not None:
        plain = [p for p in taken.params if not p.keyword_only]
        least, most = sum(p.default is REQUIRED for p in plain), len(values) if taken.more else len(plain)
        listed = ", ".join(p.name for p in plain)
    if wrong is None and least <= len(values) <= most:
        return True
    c.report.add(
        "E0629", f"`{entry.name}` takes tensors by position: {listed}", expr.span if wrong is None else
        given[wrong].span, f"{len(values)} given" if wrong is None else f"this is {kind_of(values[wrong])}",
        help="what the loss is made with is named, as in `gamma=2`",
    )  # fmt: skip
    return False
