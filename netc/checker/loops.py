"""A `for` in general: its body is followed once, and the class gets a `for` in its constructor and in `forward`.

In: a loop and what it goes over in the instance. Out: the statements. A size that grows by the same amount in every
turn of `range(n)` is an expression over the turn's number; another one that changes is a running variable. The other
turns are followed for their numbers alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc import ir
from netc import syntax as s
from netc.checker import turns
from netc.checker.expressions import ERROR
from netc.checker.python_text import targets as targets_text
from netc.checker.recorder import UNKNOWN, mark
from netc.checker.states import (
    ROUNDS,
    Dims,
    Path,
    State,
    begin_running,
    collect_sizes,
    group_running,
    keeping_current,
    put_size,
    restore_state,
    run_block,
    save_state,
    sizes_of,
)
from netc.checker.values import Tensor
from netc.diagnostics import Report
from netc.shapes import Size, symbol

if TYPE_CHECKING:
    from netc.checker.body import Body
    from netc.shapes import Dim


def record_loop(c: Body, statement: s.For, items: list[Any]) -> None:
    """Follow the turns of a loop, and record it."""
    rec = c.rec
    assert rec is not None
    if not items:
        rec.incomplete = True
        _record_empty(c, statement)
        return
    iterable = c.forward_code(statement.iterable, items)
    lasting = _read_behind(c, statement)
    c.lasting |= {name: {} for name in lasting}

    def follow() -> None:
        outer, c.turn = c.turn, s.idents(statement.targets)[0].text
        _follow_loop(c, statement, items, iterable)
        c.turn = outer
        _behind(c, lasting)

    keeping_current(c, follow)


def _record_empty(c: Body, statement: s.For) -> None:
    """A loop that the instance doesn't run: followed as if it ran once, or refused when it runs."""
    rec = c.rec
    assert rec is not None
    if not c.depends(statement.iterable):
        return
    start, before = save_state(c), {p: rec.witness(d) for p, d in sizes_of(c).items()}
    outer = rec.build, rec.flow, c.report, c.untaken
    rec.build, rec.flow, c.report, c.untaken = [], [], Report(), True
    if _counter(statement) is not None:
        record_loop(c, statement, [0])
    ok = _counter(statement) is not None and not c.report.failed and _back(c, start, before)
    (build, flow), (rec.build, rec.flow, c.report, c.untaken) = (rec.build, rec.flow), outer
    if ok:
        rec.build += build
        rec.flow += flow
        return
    restore_state(c, start)
    targets, iterable = targets_text(statement.targets, mark), c.forward_code(statement.iterable, [])
    rec.build.append(ir.BuildFor(targets, iterable, (ir.Refuse(f"{c.owner.name} is not built with these arguments"),)))


def _back(c: Body, start: State, before: dict[Path, Any]) -> bool:
    """Give what a turn that isn't taken has changed the numbers from before; False where that can't be done."""
    rec = c.rec
    assert rec is not None
    if c.current is ERROR or type(c.current) is not type(start.current):
        return False
    after = sizes_of(c)
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
        return {ident.text for ident in s.idents(node.targets)}
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
                put_size(c, (name, (), axis), rec.named(variable, number))


def _follow_loop(c: Body, statement: s.For, items: list[Any], iterable: str) -> None:
    rec = c.rec
    assert rec is not None
    start, before = save_state(c), sizes_of(c)
    variables: dict[Path, str] = {}
    growth: dict[Path, Dim] = {}
    mine = len(rec.build)
    for _ in range(ROUNDS):
        restore_state(c, start)
        del rec.build[mine:]
        begin_running(c, variables, before)
        _enter(c, statement, items[0])
        _grow(c, statement, growth, before)
        opened = sizes_of(c)
        run = run_block(c, statement.body, variables)
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
        group_running(c, new, variables)
    rec.build.append(ir.BuildFor(targets_text(statement.targets, mark), iterable, tuple(run.build)))
    rec.flow.append(ir.FlowFor(targets_text(statement.targets, mark), iterable, tuple(run.flow)))
    _further(c, statement, items, variables, growth, before)


def _enter(c: Body, statement: s.For, item: Any) -> None:
    """Begin a turn: the names of the loop get their values."""
    assert c.rec is not None
    for ident in s.idents(statement.targets):
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


def _constant_step(c: Body, statement: s.For, start: State, ends: tuple[Any, ...]) -> bool:
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
        put_size(c, path, before[path] + c.env[counter[0]] * step)


def _further(
    c: Body, statement: s.For, items: list[Any], variables: dict[Path, str], growth: dict[Path, Dim], before: Dims
) -> None:
    """Follow the other turns for what the sizes are in the instance; then the sizes behind the loop."""
    rec = c.rec
    assert rec is not None
    counter = _counter(statement)
    opened = _middle(c, statement, items[1:-1])
    for item in items[1:] if opened is None else items[1:][-1:]:
        sizes = {p: rec.witness(d) for p, d in sizes_of(c).items()} if opened is None else opened
        _enter(c, statement, item)
        for path, step in growth.items():
            assert counter is not None
            put_size(c, path, before[path] + c.env[counter[0]] * step)
        for path, name in variables.items():
            if path in sizes:
                put_size(c, path, rec.named(name, sizes[path]))
        restore_state(c, run_block(c, statement.body, variables).state)
    if growth and counter is not None:
        end = c.evaluate(counter[1])
        for path, step in growth.items():
            put_size(c, path, before[path] + end * step)


def _middle(c: Body, statement: s.For, items: list[Any]) -> dict[Path, Any] | None:
    """The sizes behind the turns between the first and the last; None where numbers alone don't do for these."""
    before = save_state(c)
    left = turns.follow(c, statement, items)
    if left is None:
        restore_state(c, before)
        return None
    opened: dict[Path, Any] = {}
    for name, value in left.items():
        if name not in c.constants:
            collect_sizes(value, name, (), opened)
    return opened
