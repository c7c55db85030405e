"""`if`, `for`, `if training` and `seq`: statements that hold statements.

In: the checker of a body and such a statement. Out: the values that are left behind it. For one instance a condition is
decided and a loop unrolled. In general (with a recorder) both branches are followed and a loop's body once: a size that
differs between branches or from turn to turn becomes a running variable of the constructor, and one that grows by the
same amount in every turn of `range(n)` an expression over the turn's number.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from netc import ir
from netc import syntax as s
from netc.checker import layers, modules, sources, turns
from netc.checker.expressions import ERROR, kind_of
from netc.checker.labels import Named, is_attribute
from netc.checker.python_text import targets as targets_text
from netc.checker.recorder import UNKNOWN, mark
from netc.checker.values import LayerRef, Made, Tensor, TensorTuple
from netc.diagnostics import Report
from netc.identifiers import python_name
from netc.shapes import Size, symbol

if TYPE_CHECKING:
    from netc.checker.body import Body
    from netc.shapes import Dim

ROUNDS = 6  # of a block's body, until no further size is found that changes in it

Path = tuple[str, tuple[int, ...], int]  # name of a value ("_" for the current one), which of several, axis
Dims = dict[Path, "Dim"]


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
        _record_branches(c, c.forward_code(condition, value), c.truth(value), body, otherwise)
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
    c.block(statement.branches[0][1])
    c.in_training = before
    c.env, c.current = env, current
    if c.rec is not None:
        c.rec.flow, inner = outer, c.rec.flow
        c.rec.flow.append(ir.FlowIf("self.training", tuple(inner), ()))


def loop(c: Body, statement: s.For) -> None:
    """`for … in …`."""
    items = c.items(statement.iterable)
    if items is ERROR or not all(c.may_bind(name) for name in _idents(statement.targets)):
        c.current = ERROR
        for ident in _idents(statement.targets):
            c.env[ident.text] = ERROR
        return
    if c.rec is not None:
        _record_loop(c, statement, items)
        return
    c.nested += 1
    outer, c.turn = c.turn, _idents(statement.targets)[0].text
    before = len(c.report.errors) if c.report.failed else 0
    for item in items:
        if not c.bind(statement.targets, item, statement.iterable.span):
            c.current = ERROR
            break
        c.block(statement.body)
        if c.report.failed and len(c.report.errors) > before:
            break
    c.nested -= 1
    c.turn = outer


def _idents(targets: tuple[s.Target, ...]) -> list[s.Ident]:
    out: list[s.Ident] = []
    for target in targets:
        out += _idents(target.items) if isinstance(target, s.TargetTuple) else [target]
    return out


# --- in general: what a body leaves behind ----------------------------------------------------------------------------


class _State(NamedTuple):
    """Everything that a statement may change."""

    env: dict[str, Any]
    current: Any
    labels: dict[str, Any]
    codes: dict[str, str]
    children: list[ir.Child]
    held: list[ir.Held]
    outputs: list[Any]
    fills: list[s.Init]
    spans: dict[str, Any]
    versions: dict[str, int]


def _save(c: Body) -> _State:
    assert c.rec is not None
    return _State(
        dict(c.env), c.current, dict(c.labels), dict(c.codes), list(c.children), list(c.held), list(c.outputs),
        list(c.fills), dict(c.spans), dict(c.rec.versions),
    )  # fmt: skip


def _restore(c: Body, state: _State) -> None:
    assert c.rec is not None
    c.env, c.current, c.labels, c.codes = dict(state.env), state.current, dict(state.labels), dict(state.codes)
    c.children, c.held, c.outputs = list(state.children), list(state.held), list(state.outputs)
    c.fills, c.spans, c.rec.versions = list(state.fills), dict(state.spans), dict(state.versions)


def _dims(c: Body) -> Dims:
    """The sizes of all tensors that can still be read."""
    out: Dims = {}
    for name, value in (*c.env.items(), ("_", c.current)):
        if name not in c.constants:
            _collect(value, name, (), out)
    return out


def _collect(value: Any, name: str, place: tuple[int, ...], out: Dims) -> None:
    if isinstance(value, Tensor):
        out.update({(name, place, axis): dim for axis, dim in enumerate(value.type.shape)})
    elif isinstance(value, TensorTuple):
        for i, item in enumerate(value.items):
            _collect(item, name, (*place, i), out)


def _set(c: Body, path: Path, dim: Dim) -> None:
    """Put another expression in the place of a size."""
    name, place, axis = path
    value = _with(c.current if name == "_" else c.env[name], place, axis, dim)
    if name == "_":
        c.current = value
    else:
        c.env[name] = value


def _with(value: Any, place: tuple[int, ...], axis: int, dim: Dim) -> Any:
    if place:
        items = list(value.items)
        items[place[0]] = _with(items[place[0]], place[1:], axis, dim)
        return value._replace(items=tuple(items))
    shape = value.type.shape
    return value._replace(type=value.type._replace(shape=(*shape[:axis], dim, *shape[axis + 1 :])))


class _Run(NamedTuple):
    """One run of a block: what it recorded, what it left behind, and whether it went well."""

    build: list[ir.Build]
    flow: list[ir.Flow]
    state: _State
    dims: Dims
    ok: bool


def _run(c: Body, body: s.Body, variables: dict[Path, str]) -> _Run:
    """Follow a block on the side; at its end the running variables get their new values."""
    rec = c.rec
    assert rec is not None
    outer_build, outer_flow, outer_report = rec.build, rec.flow, c.report
    rec.build, rec.flow, c.report = [], [], Report()
    c.nested += 1
    c.block(body)
    c.nested -= 1
    ok = not c.report.failed and c.current is not ERROR
    dims = _dims(c)
    _advance(c, dims, variables)
    run = _Run(rec.build, rec.flow, _save(c), dims, ok)
    rec.build, rec.flow, c.report = outer_build, outer_flow, outer_report
    return run


def _advance(c: Body, dims: Dims, variables: dict[Path, str]) -> None:
    """`channels = …` for each running variable, all from the values that they have before."""
    rec = c.rec
    assert rec is not None
    done: dict[str, Dim] = {}
    for path, name in variables.items():
        if path in dims and name not in done:
            done[name] = dims[path]
    codes = {name: rec.code(dim) for name, dim in done.items()}
    rec.build += _at_once(c, {name: code for name, code in codes.items() if code != mark(name)})
    for name in codes:
        rec.bump(name)
    for path, name in variables.items():
        if path in dims:
            _set(c, path, rec.named(name, rec.witness(dims[path])))


def _at_once(c: Body, codes: dict[str, str]) -> list[ir.Build]:
    """Assignments one after the other that act as if they were all made at once."""
    assert c.rec is not None
    out: list[ir.Build] = []
    while codes:
        free = [n for n in codes if not any(mark(n) in code for other, code in codes.items() if other != n)]
        if free:
            out += [ir.Let(n, codes.pop(n)) for n in free[:1]]
            continue
        name = next(iter(codes))  # of a circle: keep its value for those that read it
        kept = c.rec.fresh("size")
        out.append(ir.Let(kept, mark(name)))
        codes = {n: code if n == name else code.replace(mark(name), mark(kept)) for n, code in codes.items()}
    return out


def _overtaken(c: Body, runs: list[_Run], variables: dict[Path, str]) -> bool:
    """Whether a size that is no running variable hangs on one that has moved on."""
    assert c.rec is not None
    names = {f"${name}" for name in variables.values()}
    return any(
        isinstance(dim, Size) and any(n.partition("@")[0] in names for n in dim.symbols)
        for run in runs
        for path, dim in run.dims.items()
        if path not in variables
    )


def _begin(c: Body, variables: dict[Path, str], before: Dims, apart: bool = False) -> None:
    """Give the running variables their first values; `apart` leaves the sizes as they are."""
    rec = c.rec
    assert rec is not None
    begun: set[str] = set()
    for path, name in variables.items():
        if path not in before:
            continue
        if name not in begun:
            rec.build.append(ir.Let(name, rec.code(before[path])))
            rec.bump(name)
            begun.add(name)
        if not apart:
            _set(c, path, rec.named(name, rec.witness(before[path])))


def _grouped(c: Body, found: dict[Path, tuple[Any, ...]], variables: dict[Path, str]) -> None:
    """One variable for all sizes that begin and end alike."""
    assert c.rec is not None
    names: dict[tuple[Any, ...], str] = {}
    for path, key in found.items():
        if key not in names:
            names[key] = c.rec.fresh("size")
        variables[path] = names[key]


def _hold(c: Body) -> bool:
    """Give the current value its variable before a block that may move it; True where that took a line."""
    rec, value = c.rec, c.current
    assert rec is not None
    if not isinstance(value, Tensor) or (isinstance(value.expr, ir.Var) and value.expr.name == "_") or c.in_seq:
        return False
    rec.flow.append(ir.Assign("_", value.expr, c.owner.span))
    c.current = value._replace(expr=ir.Var("_", value.type))
    return True


def _moves(flow: list[ir.Flow] | tuple[ir.Flow, ...]) -> bool:
    """Whether statements give the current value another one."""
    for statement in flow:
        if isinstance(statement, ir.Assign) and statement.target == "_":
            return True
        if isinstance(statement, ir.FlowIf) and (_moves(statement.then) or _moves(statement.otherwise)):
            return True
        if isinstance(statement, ir.FlowFor) and _moves(statement.body):
            return True
    return False


# --- in general: branches ---------------------------------------------------------------------------------------------


def _record_branches(c: Body, condition: str, taken: bool, then: s.Body, otherwise: s.Body) -> None:
    rec = c.rec
    assert rec is not None
    unmoved, at = c.current, len(rec.flow)
    held = _hold(c)
    _follow_branches(c, condition, taken, then, otherwise)
    if held and not _moves(rec.flow[at + 1 :]):
        del rec.flow[at]
        c.current = unmoved if isinstance(c.current, Tensor) else c.current
        _unhold(c, at, unmoved)


def _unhold(c: Body, at: int, value: Tensor) -> None:
    """Read the value itself again where no block moved it."""
    assert c.rec is not None
    c.rec.flow[at:] = [_instead(st, value.expr) for st in c.rec.flow[at:]]


def _instead(node: Any, expr: ir.Expr) -> Any:
    if isinstance(node, ir.Var):
        return expr if node.name == "_" else node
    if isinstance(node, tuple):
        items = [_instead(item, expr) for item in node]
        return type(node)(*items) if hasattr(node, "_fields") else tuple(items)
    return node


def _follow_branches(c: Body, condition: str, taken: bool, then: s.Body, otherwise: s.Body) -> None:
    rec = c.rec
    assert rec is not None
    start, before = _save(c), _dims(c)
    variables: dict[Path, str] = {}
    apart = False  # whether the branches read the sizes from before, and not the running variables
    for _ in range(ROUNDS):
        _restore(c, start)
        mine = len(rec.build)
        _begin(c, variables, before, apart)
        base = _save(c)
        runs = []
        for body, holds in ((then, True), (otherwise, False)):
            _restore(c, base)
            c.env |= {n: v for n, v in c.hidden.get(_side(condition, holds), {}).items() if c.env.get(n) is None}
            c.untaken, outer = c.untaken or holds != taken, c.untaken
            runs.append(_run(c, body, variables))
            if not runs[-1].ok and holds != taken:
                runs[-1] = _with_number(c, condition, holds, body, variables, base) or runs[-1]
            c.untaken = outer
        new = _differing(runs, base, c) if all(r.ok for r in runs) else {}
        new = {p: key for p, key in new.items() if p not in variables}
        if not new and (apart or not _overtaken(c, runs, variables)):
            break
        apart = apart or not new
        del rec.build[mine:]
        _grouped(c, new, variables)
    chosen, other = runs if taken else runs[::-1]
    if other.ok:
        own = {n: v for n, v in other.state.env.items() if n not in base.env}
        c.hidden[_side(condition, not taken)] = c.hidden.get(_side(condition, not taken), {}) | own
    rec.incomplete = rec.incomplete or not all(run.ok for run in runs)
    _merge(c, chosen, runs, variables)
    if not chosen.ok:
        c.current = ERROR
        c.report.add("E0404", "the branch that is taken has mistakes", then.span)
        return
    _conditional(c, _finish_branches(c, condition, start, runs), start, chosen, runs)


def _with_number(
    c: Body, condition: str, holds: bool, body: s.Body, variables: dict[Path, str], base: _State
) -> _Run | None:
    """The branch behind `n is not None`, where the file never gives `n`: followed with a number for it."""
    rec = c.rec
    assert rec is not None
    match = re.fullmatch(r"ꞏ(\w+)ꞏ is (not )?None", condition)
    name = match.group(1) if match is not None and bool(match.group(2)) == holds else ""
    if name not in c.parameters or c.parameters[name] is not None:
        return None
    _restore(c, base)
    c.env[name] = rec.named(name, 1)
    run = _run(c, body, variables)
    if not run.ok:
        return None
    c.session.numbered.add((c.owner, name))
    c.hidden.setdefault(_side(condition, holds), {})[name] = rec.named(name, 1)
    run.state.env[name] = None
    return run


def _conditional(c: Body, condition: str, start: _State, chosen: _Run, runs: list[_Run]) -> None:
    """Outputs that only one of the branches gives."""
    before = {name for name, _, _ in start.outputs}
    given = [[o for o in run.state.outputs if o[0] not in before] if run.ok else [] for run in runs]
    negated = condition.replace(" is not None", " is None") if " is not None" in condition else f"not {condition}"
    if not re.fullmatch(r"[\wꞏ.]+( is (not )?None)?", condition):
        negated = f"not ({condition})"
    for mine, others, code in ((given[0], given[1], condition), (given[1], given[0], negated)):
        for output in mine:
            name = output[0]
            if name in {o[0] for o in others} or output[2]:
                continue
            earlier = c.conditional.get(name)
            c.conditional[name] = f"{code} and {earlier}" if earlier else code
            if output not in chosen.state.outputs:
                c.absent.add(name)
                c.outputs.append(output)


def _side(condition: str, holds: bool) -> tuple[str, bool]:
    """A condition and whether it holds, the same for `not a` and for `a`."""
    return (condition[4:], not holds) if re.fullmatch(r"not [\wꞏ.]+", condition) else (condition, holds)


def _differing(runs: list[_Run], base: _State, c: Body) -> dict[Path, tuple[Any, ...]]:
    """The sizes that are not the same behind both branches, or that no expression gives there."""
    first, second = runs[0].dims, runs[1].dims
    return {p: (first[p], second[p]) for p in first if p in second and first[p] != second[p]}


def _merge(c: Body, chosen: _Run, runs: list[_Run], variables: dict[Path, str]) -> None:
    """The state behind an `if`: that of the branch that is taken, with what either of them gave another value."""
    rec = c.rec
    assert rec is not None
    _restore(c, chosen.state)
    names = {n for run in runs for n in run.state.versions}
    versions = {n: [run.state.versions.get(n, 0) for run in runs] for n in names}
    for name, counts in versions.items():
        rec.versions[name] = max(counts) + (min(counts) != max(counts))
    for name, value in c.env.items():
        if isinstance(value, Size) and name in versions and min(versions[name]) != max(versions[name]):
            c.env[name] = rec.named(name, rec.witness(value))
    for run in runs:
        if run.ok:
            c.labels = run.state.labels | c.labels
            c.codes = run.state.codes | c.codes
            c.held += [h for h in run.state.held if h not in c.held]
    for path, name in variables.items():
        if path in chosen.dims:
            _set(c, path, rec.named(name, rec.witness(chosen.dims[path])))


def _finish_branches(c: Body, condition: str, start: _State, runs: list[_Run]) -> str:
    """The `if` of the constructor and that of `forward`; gives the latter's condition."""
    rec = c.rec
    assert rec is not None
    builds = [_dropped(run, c) for run in runs]
    optional = [_registered(build) for build in builds]
    alone = sorted((optional[0] | optional[1]) - (optional[0] & optional[1])) if c.path == "self" else []
    rec.build += [ir.Absent(label) for label in alone]
    if any(builds):
        rec.build.append(ir.BuildIf(condition, tuple(builds[0]), tuple(builds[1])))
    flows = [tuple(run.flow) if run.ok else () for run in runs]
    if any(flows):
        only = [label for label in alone if label in optional[0]]
        other = [label for label in alone if label in optional[1]]
        if only and f"self.{only[0]}" in repr(flows[0]):
            condition = f"self.{only[0]} is not None"
        elif other and f"self.{other[0]}" in repr(flows[1]):
            condition = f"self.{other[0]} is None"
        rec.flow.append(ir.FlowIf(condition, flows[0], flows[1]))
    return condition


def _dropped(run: _Run, c: Body) -> list[ir.Build]:
    """What a branch builds; one that the file never takes, and that can't be followed, is refused when it is taken."""
    return run.build if run.ok else [ir.Refuse(f"{c.owner.name} is not built with these arguments")]


def _registered(build: list[ir.Build]) -> set[str]:
    """The labels that a branch gives to children of the module itself."""
    out = set()
    for statement in build:
        if isinstance(statement, ir.Register) and statement.owner == "self" and statement.label is not None:
            label = statement.label
            if label.startswith('"') and is_attribute(label[1:-1]):
                out.add(label[1:-1])
    return out


# --- in general: loops ------------------------------------------------------------------------------------------------


def _record_loop(c: Body, statement: s.For, items: list[Any]) -> None:
    rec = c.rec
    assert rec is not None
    if not items:
        rec.incomplete = True
        _record_empty(c, statement)
        return
    iterable = c.forward_code(statement.iterable, items)
    lasting = _read_behind(c, statement)
    c.lasting |= {name: {} for name in lasting}
    unmoved, at = c.current, len(rec.flow)
    held = _hold(c)
    _follow_loop(c, statement, items, iterable)
    _behind(c, lasting)
    if held and not _moves(rec.flow[at + 1 :]):
        del rec.flow[at]
        c.current = unmoved if isinstance(c.current, Tensor) else c.current
        _unhold(c, at, unmoved)


def _record_empty(c: Body, statement: s.For) -> None:
    """A loop that the instance doesn't run: followed as if it ran once, or refused when it runs."""
    rec = c.rec
    assert rec is not None
    if not c.depends(statement.iterable):
        return
    start, before = _save(c), {p: rec.witness(d) for p, d in _dims(c).items()}
    outer = rec.build, rec.flow, c.report, c.untaken
    rec.build, rec.flow, c.report, c.untaken = [], [], Report(), True
    if _counter(statement) is not None:
        _record_loop(c, statement, [0])
    ok = _counter(statement) is not None and not c.report.failed and _back(c, start, before)
    (build, flow), (rec.build, rec.flow, c.report, c.untaken) = (rec.build, rec.flow), outer
    if ok:
        rec.build += build
        rec.flow += flow
        return
    _restore(c, start)
    targets, iterable = targets_text(statement.targets, mark), c.forward_code(statement.iterable, [])
    rec.build.append(ir.BuildFor(targets, iterable, (ir.Refuse(f"{c.owner.name} is not built with these arguments"),)))


def _back(c: Body, start: _State, before: dict[Path, Any]) -> bool:
    """Give what a turn that isn't taken has changed the numbers from before; False where that can't be done."""
    rec = c.rec
    assert rec is not None
    if c.current is ERROR or type(c.current) is not type(start.current):
        return False
    after = _dims(c)
    if any(p not in after for p in before):
        return False
    for path, number in before.items():
        dim = after[path]
        if rec.witness(dim) == number:
            continue
        keys = dim.symbols if isinstance(dim, Size) else ()
        if len(keys) != 1 or dim != symbol(next(iter(keys))):
            return False
        key = next(iter(keys))
        rec.atoms[key] = rec.atoms[key]._replace(witness=number)
    c.env = {n: v for n, v in c.env.items() if n in start.env}
    c.children, c.outputs = list(start.children), list(start.outputs)
    return True


def _read_behind(c: Body, statement: s.For) -> set[str]:
    """The names that a loop binds for the first time, and that are read behind it."""
    new = {n for n in _bound_in(statement.body) if n not in c.env and n not in c.lasting}
    return {n.text for n in _names(c.owner.body) if n.text in new and n.span.start >= statement.span.end}


def _bound_in(node: object) -> set[str]:
    if isinstance(node, s.Bind):
        return {ident.text for ident in _idents(node.targets)}
    return {n for item in node for n in _bound_in(item)} if isinstance(node, tuple) else set()


def _names(node: object) -> list[s.Name]:
    if isinstance(node, s.Name):
        return [node]
    return [n for item in node for n in _names(item)] if isinstance(node, tuple) else []


def _behind(c: Body, lasting: set[str]) -> None:
    """The sizes of what a loop leaves behind are those of its variables."""
    rec = c.rec
    assert rec is not None
    for name in lasting:
        for axis, variable in c.lasting.pop(name).items():
            value = c.env.get(name)
            if isinstance(value, Tensor):
                number = rec.witness(value.type.shape[axis])
                _set(c, (name, (), axis), rec.named(variable, number))


def _follow_loop(c: Body, statement: s.For, items: list[Any], iterable: str) -> None:
    rec = c.rec
    assert rec is not None
    start, before = _save(c), _dims(c)
    variables: dict[Path, str] = {}
    growth: dict[Path, Dim] = {}
    mine = len(rec.build)
    for _ in range(ROUNDS):
        _restore(c, start)
        del rec.build[mine:]
        _begin(c, variables, before)
        _enter(c, statement, items[0])
        _grow(c, statement, growth, before)
        opened = _dims(c)
        run = _run(c, statement.body, variables)
        if not run.ok:
            c.current = ERROR
            c.report.add("E0404", "the body of a loop can't be followed", statement.span)
            return
        new = {
            p: (before[p], run.dims[p])
            for p in before
            if p in run.dims and p not in variables and run.dims[p] != opened[p] + growth.get(p, 0)
        }
        if not new:
            break
        for path in [p for p in new if p not in growth and _constant_step(c, statement, start, new[p])]:
            growth[path] = run.dims[path] - opened[path]
            del new[path]
        growth = {p: g for p, g in growth.items() if p not in new}
        _grouped(c, new, variables)
    rec.build.append(ir.BuildFor(targets_text(statement.targets, mark), iterable, tuple(run.build)))
    rec.flow.append(ir.FlowFor(targets_text(statement.targets, mark), iterable, tuple(run.flow)))
    _further(c, statement, items, variables, growth, before)


def _enter(c: Body, statement: s.For, item: Any) -> None:
    """Begin a turn: the names of the loop get their values."""
    assert c.rec is not None
    for ident in _idents(statement.targets):
        c.rec.bump(ident.text)
    c.bind(statement.targets, item, statement.iterable.span)


def _counter(statement: s.For) -> tuple[str, s.Expr] | None:
    """The name and the end of `for i in range(n)`."""
    call, (target, *more) = statement.iterable, statement.targets
    plain = isinstance(call, s.Call) and isinstance(call.callee, s.Name) and call.callee.text == "range"
    if not plain or more or not isinstance(target, s.Ident):
        return None
    assert isinstance(call, s.Call)
    return (target.text, call.arguments[0].value) if len(call.arguments) == 1 else None


def _constant_step(c: Body, statement: s.For, start: _State, ends: tuple[Any, ...]) -> bool:
    """Whether a size grows by the same amount in every turn, an amount that is known before the loop."""
    rec = c.rec
    assert rec is not None
    step = ends[1] - ends[0]
    if _counter(statement) is None:
        return False
    if isinstance(step, int):
        return True
    reads = [pair for n in step.symbols if n in rec.atoms for pair in rec.atoms[n].reads]
    runtime = any(n not in rec.atoms or rec.atoms[n].code == UNKNOWN for n in step.symbols)
    known = set(start.versions)
    return not runtime and all(start.versions.get(n, 0) == v and (n in known or n in start.env) for n, v in reads)


def _grow(c: Body, statement: s.For, growth: dict[Path, Dim], before: Dims) -> None:
    """At the beginning of turn `i`, a size that grows has grown `i` times."""
    counter = _counter(statement)
    for path, step in growth.items():
        assert counter is not None
        _set(c, path, before[path] + c.env[counter[0]] * step)


def _further(
    c: Body, statement: s.For, items: list[Any], variables: dict[Path, str], growth: dict[Path, Dim], before: Dims
) -> None:
    """Follow the other turns for what the sizes are in the instance; then the sizes behind the loop."""
    rec = c.rec
    assert rec is not None
    counter = _counter(statement)
    opened = _middle(c, statement, items[1:-1])
    for item in items[1:] if opened is None else items[1:][-1:]:
        sizes = {p: rec.witness(d) for p, d in _dims(c).items()} if opened is None else opened
        _enter(c, statement, item)
        for path, step in growth.items():
            assert counter is not None
            _set(c, path, before[path] + c.env[counter[0]] * step)
        for path, name in variables.items():
            if path in sizes:
                _set(c, path, rec.named(name, sizes[path]))
        _restore(c, _run(c, statement.body, variables).state)
    if growth and counter is not None:
        end = c.evaluate(counter[1])
        for path, step in growth.items():
            _set(c, path, before[path] + end * step)


def _middle(c: Body, statement: s.For, items: list[Any]) -> dict[Path, Any] | None:
    """The sizes behind the turns between the first and the last; None where numbers alone don't do for these."""
    before = _save(c)
    left = turns.follow(c, statement, items)
    if left is None:
        _restore(c, before)
        return None
    opened: dict[Path, Any] = {}
    for name, value in left.items():
        if name not in c.constants:
            _collect(value, name, (), opened)
    return opened


# --- seq --------------------------------------------------------------------------------------------------------------


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
    before = _failures(c)
    c.block(step.body)
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


def _member(c: Body, link: s.Link) -> Any:
    if link.label is not None:
        return layers.labelled(c, link, c.current)
    position = Named(str(len(c.children)), None, link.span)
    if isinstance(link.step, s.Seq):
        return sequential(c, link.step, position, c.current)
    if isinstance(link.step, s.Inline):
        return modules.inline(c, link.step, position, c.current)
    if isinstance(link.step, s.Edited):
        return layers.python_layers().built(c, link.step, position, c.current)
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
        )
        return ERROR
    assert isinstance(callee, s.Name)
    if c.current is None:
        return c.the_current(link.span)
    return layers.build(c, link.step, callee, position, c.current)
