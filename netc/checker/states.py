"""What a body leaves behind a block, in general: names, sizes and statements, and the running variables of sizes.

In: the checker of a body that is followed in general. Out: its state, kept and put back, and the runs of a block, each
on the side. A size that is not the same on all ways gets a variable of the constructor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from netc import ir
from netc import syntax as s
from netc.checker.expressions import ERROR
from netc.checker.needed import moved
from netc.checker.recorder import mark
from netc.checker.values import Tensor, TensorTuple
from netc.diagnostics import Report
from netc.limits import ROW, spend
from netc.shapes import Size

if TYPE_CHECKING:
    from collections.abc import Callable

    from netc.checker.body import Body
    from netc.shapes import Dim


ROUNDS = 6  # of a block's body, until no further size is found that changes in it

Path = tuple[str, tuple[int, ...], int]  # name of a value ("_" for the current one), which of several, axis


Dims = dict[Path, "Dim"]


class State(NamedTuple):
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


def save_state(c: Body) -> State:
    """The state of a body, to go back to."""
    assert c.rec is not None
    return State(
        dict(c.env), c.current, dict(c.labels), dict(c.codes), list(c.children), list(c.held), list(c.outputs),
        list(c.fills), dict(c.spans), dict(c.rec.versions),
    )  # fmt: skip


def restore_state(c: Body, state: State) -> None:
    """Go back to a state."""
    assert c.rec is not None
    c.env, c.current, c.labels, c.codes = dict(state.env), state.current, dict(state.labels), dict(state.codes)
    c.children, c.held, c.outputs = list(state.children), list(state.held), list(state.outputs)
    c.fills, c.spans, c.rec.versions = list(state.fills), dict(state.spans), dict(state.versions)


def sizes_of(c: Body) -> Dims:
    """The sizes of all tensors that can still be read."""
    out: Dims = {}
    for name, value in (*c.env.items(), ("_", c.current)):
        if name not in c.constants:
            collect_sizes(value, name, (), out)
    return out


def collect_sizes(value: Any, name: str, place: tuple[int, ...], out: Dims) -> None:
    """Note the sizes of a value under its name."""
    if isinstance(value, Tensor):
        out.update({(name, place, axis): dim for axis, dim in enumerate(value.type.shape)})
    elif isinstance(value, TensorTuple):
        for i, item in enumerate(value.items):
            collect_sizes(item, name, (*place, i), out)


def put_size(c: Body, path: Path, dim: Dim) -> None:
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


class Run(NamedTuple):
    """One run of a block: what it recorded, what it left behind, and whether it went well."""

    build: list[ir.Build]
    flow: list[ir.Flow]
    state: State
    dims: Dims
    ok: bool


def run_block(c: Body, body: s.Body, variables: dict[Path, str]) -> Run:
    """Follow a block on the side; at its end the running variables get their new values."""
    rec = c.rec
    assert rec is not None
    spend(4 * ROW)  # what is left behind is compared, and blocks in blocks are followed for each of them
    outer_build, outer_flow, outer_report = rec.build, rec.flow, c.report
    rec.build, rec.flow, c.report = [], [], Report()
    c.nested += 1
    c.block(body)
    c.nested -= 1
    ok = not c.report.failed and c.current is not ERROR
    dims = sizes_of(c)
    _advance(c, dims, variables)
    run = Run(rec.build, rec.flow, save_state(c), dims, ok)
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
            put_size(c, path, rec.named(name, rec.witness(dims[path])))


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


def overtaken(c: Body, runs: list[Run], variables: dict[Path, str]) -> bool:
    """Whether a size that is no running variable hangs on one that has moved on."""
    assert c.rec is not None
    names = {f"${name}" for name in variables.values()}
    return any(
        isinstance(dim, Size) and any(n.partition("@")[0] in names for n in dim.symbols)
        for run in runs
        for path, dim in run.dims.items()
        if path not in variables
    )


def begin_running(c: Body, variables: dict[Path, str], before: Dims, apart: bool = False) -> None:
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
            put_size(c, path, rec.named(name, rec.witness(before[path])))


def group_running(c: Body, found: dict[Path, tuple[Any, ...]], variables: dict[Path, str]) -> None:
    """One variable for all sizes that begin and end alike."""
    assert c.rec is not None
    names: dict[tuple[Any, ...], str] = {}
    for path, key in found.items():
        if key not in names:
            names[key] = c.rec.fresh("size")
        variables[path] = names[key]


def keeping_current(c: Body, follow: Callable[[], None]) -> None:
    """Follow blocks that may move the current value: it has a variable meanwhile, and keeps it where one moved it."""
    rec = c.rec
    assert rec is not None
    unmoved, at = c.current, len(rec.flow)
    held = _hold(c)
    follow()
    if held and "_" not in moved(rec.flow[at + 1 :]):
        del rec.flow[at]
        c.current = unmoved if isinstance(c.current, Tensor) else c.current
        _release(c, at, unmoved)


def _hold(c: Body) -> bool:
    """Give the current value its variable before a block that may move it; True where that took a line."""
    rec, value = c.rec, c.current
    assert rec is not None
    if not isinstance(value, Tensor) or (isinstance(value.expr, ir.Var) and value.expr.name == "_") or c.in_seq:
        return False
    rec.flow.append(ir.Assign("_", value.expr, c.owner.span))
    c.current = value._replace(expr=ir.Var("_", value.type))
    return True


def _release(c: Body, at: int, value: Tensor) -> None:
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
