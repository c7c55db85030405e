"""`if`, `for`, `if training` and `seq`: statements that hold statements.

In: the checker of a body and such a statement. Out: the values that are left behind it. For one instance a condition is
decided and a loop unrolled. In general (with a recorder) both branches are followed and a loop's body once: a size that
differs between branches or from turn to turn becomes a running variable of the constructor, and one that grows by the
same amount in every turn of `range(n)` an expression over the turn's number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc import catalog, ir
from netc import syntax as s
from netc.checker import bindings, deferred, layers, modules, sources
from netc.checker.branches import record_branches
from netc.checker.expressions import ERROR, kind_of
from netc.checker.labels import Named
from netc.checker.loops import record_loop
from netc.checker.needed import moved
from netc.checker.recorder import mark
from netc.checker.values import LayerRef, Made, Tensor, TensorTuple
from netc.fixes import rewrite
from netc.identifiers import python_name
from netc.limits import ROW, STATEMENT, spend
from netc.node import replace
from netc.shapes import Size

if TYPE_CHECKING:
    from netc.checker.body import Body
    from netc.diagnostics import Fix


# --- one instance -----------------------------------------------------------------------------------------------------


def branch(c: Body, statement: s.If) -> None:
    """`if` / `elif` / `else`."""
    (condition, body), *others = statement.branches
    if isinstance(condition, s.Name) and condition.text == "training" and "training" not in c.env:
        training(c, statement)
        return
    value = c.evaluate(condition)
    if isinstance(value, (Tensor, TensorTuple)):
        c.report.add(
            "E0233", "a condition is decided when the network is built, and this is a tensor", condition.span,
            help="compute both and choose with `where(condition, a, b)`",
        )  # fmt: skip
        value = ERROR
    if value is not ERROR and c.rec is None and isinstance(value, Size):
        value = c.open_size(condition.span, "a condition", value)  # `if T`
    if value is ERROR:
        c.current = ERROR
        return
    rest = s.Body((s.If(tuple(others), statement.otherwise, statement.span),), statement.span) if others else None
    otherwise = rest or statement.otherwise or s.Body((), statement.span)
    if c.rec is not None and c.depends(condition):
        record_branches(c, c.forward_code(condition, value), c.truth(value), body, otherwise)
        return
    c.decisions.append(c.truth(value))
    c.nested += 1
    c.block(body if c.decisions[-1] else otherwise)
    c.nested -= 1


def training(c: Body, statement: s.If) -> None:
    """`if training { … }`: a scope, of which only outputs leave."""
    if statement.otherwise is not None or len(statement.branches) > 1:
        c.report.add(
            "E0233", "`if training` has no other branch: what it holds is for training alone",
            statement.otherwise.span if statement.otherwise else statement.span,
            help="compute what evaluation needs before or behind it",
        )  # fmt: skip
    if c.in_seq:
        c.report.add("E0220", "a `seq` holds layers only", statement.span, help="move this out of the `seq`")
        return
    env, current = dict(c.env), c.current
    outer = c.rec.flow if c.rec is not None else []
    if c.rec is not None:
        c.rec.flow = []
    c.in_training, before = True, c.in_training
    given = len(c.outputs)
    c.block(statement.branches[0][1])
    c.in_training = before
    if len(c.outputs) == given:
        c.fruitless = statement.branches[0][0].span
    c.env, c.current = env, current
    if c.rec is not None:
        c.rec.flow, inner = outer, c.rec.flow
        for name in sorted(moved(inner)):
            inner = _apart(c, name, inner, given)
        c.rec.flow.append(ir.FlowIf("self.training", tuple(inner), ()))


def _apart(c: Body, name: str, inner: list[ir.Flow], given: int) -> list[ir.Flow]:
    """Give a variable that is there already another name in `if training`, which leaves it as it was."""
    before = c.current if name == "_" else c.env.get(name)
    if not isinstance(before, (Tensor, TensorTuple)) or before.expr is None:
        return inner
    taken = moved(inner) | set(c.env) | set(c.labels)
    plain = "value" if name == "_" else name
    own = next(n for n in (f"{plain}_in_training{i}" for i in ("", *range(2, 1000))) if n not in taken)
    first = inner[0]
    if isinstance(first, ir.Assign) and first.target == name:
        start: list[ir.Flow] = [first._replace(target=own)]
    else:
        start = [ir.Assign(own, before.expr, c.owner.span), _renamed(first, name, own)]
    c.outputs[given:] = [_renamed(output, name, own) for output in c.outputs[given:]]
    return [*start, *(_renamed(statement, name, own) for statement in inner[1:])]


def _renamed(node: Any, old: str, new: str) -> Any:
    """A node in which a variable has another name."""
    if isinstance(node, ir.Var):
        return replace(node, name=new) if node.name == old else node
    if isinstance(node, ir.Assign):
        return ir.Assign(_target(node.target, old, new), _renamed(node.value, old, new), node.span)
    if isinstance(node, str):
        return node.replace(mark(old), mark(new))
    if isinstance(node, tuple):
        items = [_renamed(item, old, new) for item in node]
        return type(node)(*items) if hasattr(node, "_fields") else tuple(items)
    return node


def _target(target: ir.Target, old: str, new: str) -> ir.Target:
    if isinstance(target, str):
        return new if target == old else target
    return tuple(_target(item, old, new) for item in target)


def loop(c: Body, statement: s.For) -> None:
    """`for … in …`."""
    items = c.items(statement.iterable)
    if items is ERROR or not all(bindings.may_bind(c, name) for name in s.idents(statement.targets)):
        c.current = ERROR
        for ident in s.idents(statement.targets):
            c.env[ident.text] = ERROR
        return
    if c.rec is not None:
        record_loop(c, statement, items)
        return
    c.nested += 1
    outer, c.turn = c.turn, s.idents(statement.targets)[0].text
    before = len(c.report.errors) if c.report.failed else 0
    for item in items:
        spend(STATEMENT)
        if not c.bind(statement.targets, item, statement.iterable.span):
            c.current = ERROR
            break
        c.block(statement.body)
        if c.report.failed and len(c.report.errors) > before:
            break
    c.nested -= 1
    c.turn = outer


# --- in general: what a body leaves behind ----------------------------------------------------------------------------


# --- in general: branches ---------------------------------------------------------------------------------------------


# --- in general: loops ------------------------------------------------------------------------------------------------


# --- seq --------------------------------------------------------------------------------------------------------------


def _counted(body: s.Body) -> set[str]:
    """The names that the loops of a block count with."""
    out: set[str] = set()
    for statement in body.statements:
        if isinstance(statement, s.For):
            out |= {ident.text for ident in s.idents(statement.targets)} | _counted(statement.body)
        elif isinstance(statement, s.If):
            blocks = [b for _, b in statement.branches] + ([statement.otherwise] if statement.otherwise else [])
            out = out.union(*map(_counted, blocks))
    return out


def sequential(c: Body, step: s.Seq, label: Named, value: Any) -> Any:
    """`label: seq { … }`: children by position, or by their own labels."""
    head = step.span.before(step.body.span)
    if value is not ERROR and not isinstance(value, Tensor):
        if value is None:
            c.the_current(head)
        else:
            what = "several values" if isinstance(value, TensorTuple) else kind_of(value)
            c.report.add("E0206", f"a `seq` takes one tensor, and this is {what}", head)
        value = ERROR
    owner = _owner(c, label)
    outer = c.labels, c.codes, c.children, c.current, c.prefix, c.path, c.in_seq
    c.labels, c.codes, c.children, c.prefix, c.path = {}, {}, [], f"{c.prefix}{label.text}.", owner
    c.in_seq, c.current = True, value
    build = c.rec.build if c.rec is not None else []
    flow = c.rec.flow if c.rec is not None else []
    if c.rec is not None:
        c.rec.build, c.rec.flow = [], []
    before, names = _failures(c), dict(c.env)
    c.block(step.body)
    for name in _counted(step.body):  # the names of its loops end with it
        c.env.pop(name, None)
        c.env |= {name: names[name]} if name in names else {}
    current, children = c.current, tuple(c.children)
    c.labels, c.codes, c.children, c.current, c.prefix, c.path, c.in_seq = outer
    inner: list[ir.Build] = []
    if c.rec is not None:
        inner, c.rec.build, c.rec.flow = c.rec.build, build, flow
    if current is ERROR or not isinstance(current, (Tensor, TensorTuple)) or _failures(c) > before:
        return ERROR
    from netc.checker.functions import types, wrapped

    result = types(current)
    child = ir.Sequential(label.text, children, (value.type,), result, step.span)
    layers.register(c, label, child, ir.Series(owner, tuple(inner)))
    expr = ir.Apply(label.access(c.path), (value.expr,), (), result, step.span)
    return sources.like(current, wrapped(result, expr, Made(label.text, head)))


def _failures(c: Body) -> int:
    return len(c.report.errors) if c.report.failed else 0


def _owner(c: Body, label: Named) -> str:
    """The Python that names a seq while it is filled: the attribute, or a variable."""
    if c.path == "self" and label.access("self").startswith("self.") and "(" not in label.access("self"):
        return label.access("self")
    if c.rec is None:
        return "seq"
    letters = "".join(ch for ch in label.text if ch.isascii() and (ch.isalpha() or ch == "_")).strip("_")
    return mark(c.rec.fresh(python_name(letters or "block")))


def whole(c: Body, step: s.Seq, statement: s.Flow) -> None:
    """A `seq` that is a module's whole body: the module is the nn.Sequential."""
    alone = [st for st in c.owner.body.statements if not isinstance(st, (s.Input, s.Init))]
    if len(alone) != 1 or c.owner.kind not in ("module", "inline"):
        c.report.add(
            "E0205", "a `seq` needs a label", step.span.before(step.body.span),
            help="name it, as in `features: seq { … }`",
        )  # fmt: skip
        c.current = ERROR
        return
    c.in_seq, c.is_seq = True, True
    before = _failures(c)
    c.block(step.body)
    c.in_seq = False
    if _failures(c) > before:
        c.current = ERROR


def members(c: Body, statement: s.Flow) -> None:
    """A line of a `seq`: every layer of the chain is a child, labelled or not."""
    for link in statement.chain.links:
        c.current = _member(c, link)


def _as_layer(callee: s.Expr) -> Fix | None:
    """`relu` as `ReLU`: the layer that applies this very function."""
    name = callee.text if isinstance(callee, s.Name) else ""
    for layer in catalog.layers() if name else ():
        entry = catalog.layer(layer)
        function = entry.rule.function if entry is not None and entry.rule is not None else None
        if layer.lower() == name and function is not None and function.callee == f"F.{name}":
            return rewrite(callee.span, layer)
    return None


def _member(c: Body, link: s.Link) -> Any:
    spend(ROW)
    if link.label is not None:
        return layers.labelled(c, link, c.current)
    position = Named(str(len(c.children)), None, link.span)
    if isinstance(link.step, s.Seq):
        return sequential(c, link.step, position, c.current)
    if isinstance(link.step, s.Inline):
        return modules.inline(c, link.step, position, c.current)
    if isinstance(link.step, s.Edited):
        return deferred.python_layers().built(c, link.step, position, c.current)
    callee = link.step.callee if isinstance(link.step, s.Call) else link.step
    if isinstance(callee, s.Attribute):
        return layers.dotted(c, link.step, callee, position, c.current)
    named = isinstance(callee, s.Name) and (callee.text[0].isupper() or isinstance(c.env.get(callee.text), LayerRef))
    if not named:
        c.report.add(
            "E0220",
            "a `seq` holds layers only",
            link.step.span,
            help="use the layer of the same effect (`Flatten`), or leave the `seq`",
            fix=_as_layer(callee) if link.step is callee else None,
        )
        return ERROR
    assert isinstance(callee, s.Name)
    if c.current is None:
        return c.the_current(link.span)
    return layers.build(c, link.step, callee, position, c.current)
