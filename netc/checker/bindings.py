"""Names for values: `y = …`, `out, (h, c) = …`.

In: the checker of a body, the names and the value. Out: the names in its environment; tensors are lines of `forward`,
what is known at building is a local of the constructor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc import ir
from netc import syntax as s
from netc.checker import deferred, functions, layers, state
from netc.checker.expressions import ERROR
from netc.checker.recorder import NoExpression
from netc.checker.values import Tensor, TensorTuple, alone, tensors
from netc.diagnostics import Edit, Fix, Label
from netc.identifiers import valid_name
from netc.shapes import Size
from netc.source import Span

if TYPE_CHECKING:
    from netc.checker.body import Body


def bind(c: Body, statement: s.Bind) -> None:
    """A line that gives names to a value."""
    value = c.chain(statement.chain, bound=True)
    first = statement.targets[0]
    if isinstance(first, s.Ident) and first.text == "_version":
        state.version(c, statement, value)
        return
    if not all(may_bind(c, target, _unbound(statement, value)) for target in s.idents(statement.targets)):
        for target in s.idents(statement.targets):
            if target.text not in c.env:
                c.env[target.text] = ERROR
        return
    if c.in_seq and isinstance(value, (Tensor, TensorTuple)):
        c.report.add("E0220", "a `seq` holds layers only", statement.span, help="move this out of the `seq`")
        return
    if len(statement.targets) > 1 or isinstance(statement.targets[0], s.TargetTuple):
        take_apart(c, statement, value)
        return
    (name,) = statement.targets
    assert isinstance(name, s.Ident)
    value = alone(value)
    c.spans[name.text] = name.span
    if isinstance(value, list) and value and all(isinstance(item, Tensor) for item in value):
        value = TensorTuple(tuple(value), ir.Items(tuple(item.expr for item in value), is_list=True))
    if isinstance(value, (Tensor, TensorTuple)):
        c.assign(name.text, value, statement.span)
    elif value is not ERROR and value is not None:
        bind_known(c, (name,), value, statement.chain)
    else:
        c.env[name.text] = ERROR


def _unbound(statement: s.Bind, value: Any) -> Fix | None:
    """The chain without `_ =`, which moves the current value by itself."""
    alone = len(statement.targets) == 1 and isinstance(value, Tensor)
    start = statement.span.start
    return Fix("remove `_ =`", (Edit(Span(start, statement.chain.span.start), ""),)) if alone else None


def may_bind(c: Body, name: s.Ident, fix: Fix | None = None) -> bool:
    """Whether a name can be bound here; reported where not."""
    if name.text == "_":
        c.report.add(
            "E0207", "`_` is the current value and can't be bound", name.span,
            help="write the chain without `_ =`, or bind another name and write that on a line of its own", fix=fix,
        )  # fmt: skip
        return False
    if not valid_name(name.text, name.span, c.report):
        c.env[name.text] = ERROR
        return False
    if name.text in c.owner.unit.python:
        c.report.add(
            "E0208", f"`{name.text}` is a function of a Python file, and can't be bound", name.span,
            help="choose another name",
        )  # fmt: skip
        return False
    if name.text in c.constants or name.text in c.parameters or name.text in c.sizes:
        c.report.add(
            "E0208",
            f"`{name.text}` is a constant or parameter already, and can't be bound again",
            name.span,
            help="choose another name",
        )
        return False
    return True


def keep_current(c: Body, names: set[str], span: Span) -> None:
    """Give the current value its own variable where the name that it has gets another one: an input bound anew."""
    value = c.current
    if c.rec is None or not isinstance(value, Tensor) or not isinstance(value.expr, ir.Var):
        return
    if value.expr.name in names - {"_"}:
        c.rec.flow.append(ir.Assign("_", value.expr, span))
        c.current = value._replace(expr=ir.Var("_", value.type))


def take_apart(c: Body, statement: s.Bind, value: Any) -> None:
    """`out, (h, c) = …`: a line of `forward` that binds several names, or several values known at building."""
    idents = s.idents(statement.targets)
    if isinstance(value, TensorTuple) and value.names:
        deferred.python_layers().not_one(c, value, statement.chain.span)
        value = ERROR
    if isinstance(value, TensorTuple):
        value = layers.with_all(value)
        target = _target(statement.targets)
        if spread(c, statement.targets, value, statement.span) and c.rec is not None:
            keep_current(c, {i.text for i in idents}, statement.span)
            line = ir.Assign(target, functions.as_expr(value), statement.span)
            c.rec.flow.append(line)
            if all(t.constant for t in tensors(value)):
                c.rec.constant(line, tuple(i.text for i in idents))
        return
    if isinstance(value, Tensor):
        c.report.add(
            "E0226", f"{len(statement.targets)} names stand for one tensor", _whole(statement.targets),
            help="split it first, with `chunk`, `split` or `unbind`",
        )  # fmt: skip
    elif value is not ERROR and value is not None and c.bind(statement.targets, value, statement.chain.span):
        bind_known(c, tuple(idents), value, statement.chain, _target(statement.targets))
        return
    for target_ in idents:
        c.env[target_.text] = ERROR


def spread(c: Body, targets: tuple[s.Target, ...], value: Any, span: Span) -> bool:
    """Bind names to the parts of a value; the parts become variables."""
    items = value.items if isinstance(value, TensorTuple) else None
    if items is None or len(items) != len(targets):
        c.report.add(
            "E0226",
            f"{len(targets)} names stand for {'one tensor' if items is None else f'{len(items)} values'}",
            targets[0].span.to(targets[-1].span),
            secondary=[Label(value.made.span, "gives them")] if value.made is not None else (),
            help=_nested(targets, items),
        )
        for ident in s.idents(targets):
            c.env[ident.text] = ERROR
        return False
    ok = True
    for target, item in zip(targets, items, strict=True):
        if isinstance(target, s.TargetTuple):
            ok = spread(c, target.items, item, span) and ok
        else:
            name: s.Ident = target
            c.spans[name.text] = name.span
            c.env[name.text] = c.bound(name.text, item)
    return ok


def bind_known(c: Body, targets: tuple[s.Ident, ...], value: Any, chain: s.Chain, target: Any = None) -> None:
    """Names for values that are known when the network is built: locals of the constructor."""
    expr = chain.links[0].step
    assert not isinstance(expr, (s.Seq, s.Inline, s.Edited))
    if c.rec is None:
        if target is None:
            c.env[targets[0].text] = value
        return
    names = {ident.text for ident in targets}
    if c.turn is not None and names & {i.name for i in c.inputs}:
        taken = min(names & {i.name for i in c.inputs})
        raise NoExpression(f"in a loop the name of the input `{taken}` is given to a number or list", "choose another")
    keep_current(c, names, chain.span)
    code = c.code(expr, value)
    shown = _joined(target) if target is not None else targets[0].text
    c.rec.flow.append(ir.Let(shown, c.forward_code(expr, value)))
    apart = [c.rec.code(v) for v in value] if target is not None and "(" not in shown else []
    if apart and functions.mentions_shape(c, expr) and len(apart) == len(targets):
        c.rec.build += [ir.Let(t.text, own) for t, own in zip(targets, apart, strict=True)]
    else:
        c.rec.build.append(ir.Let(shown, code))
    for ident in targets:
        c.rec.bump(ident.text)
        c.env[ident.text] = c.known(ident.text, value if target is None else c.env[ident.text])


def lasts(c: Body, target: str, value: Tensor) -> Tensor:
    """A tensor that is bound in a loop and read behind it: its sizes get variables of the constructor."""
    rec = c.rec
    assert rec is not None
    dims = list(value.type.shape)
    for axis, dim in enumerate(dims):
        if isinstance(dim, Size) and c.built(dim):
            variable = c.lasting[target].setdefault(axis, rec.fresh("size"))
            number = rec.witness(dim)
            rec.assign(variable, rec.code(dim))
            dims[axis] = rec.named(variable, number)
    return value._replace(type=value.type._replace(shape=tuple(dims)))


def _joined(target: Any) -> str:
    """Names that are bound together, as Python."""
    return ", ".join(t if isinstance(t, str) else f"({_joined(t)})" for t in target)


def _target(targets: tuple[s.Target, ...]) -> Any:
    """The names of a binding, nested as they are written."""
    return tuple(_target(t.items) if isinstance(t, s.TargetTuple) else t.text for t in targets)


def _whole(targets: tuple[s.Target, ...]) -> Span:
    spans = [ident.span for ident in s.idents(targets)]
    return spans[0].to(spans[-1])


def _nested(targets: tuple[s.Target, ...], items: tuple[Any, ...] | None) -> str | None:
    """How to take apart values of which one is several itself."""
    names_ = [t.text for t in s.idents(targets)]
    count = sum(len(i.items) if isinstance(i, TensorTuple) else 1 for i in items or ())
    if items is None or count != len(names_) or len(targets) != len(names_):
        return None
    out, rest = [], iter(names_)
    for item in items:
        inner = [next(rest) for _ in item.items] if isinstance(item, TensorTuple) else []
        out.append(f"({', '.join(inner)})" if inner else next(rest))
    return f"write `{', '.join(out)} = …`"
