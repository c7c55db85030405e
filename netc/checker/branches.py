"""An `if` in general: both branches are followed, and the class gets an `if` in its constructor and in `forward`.

In: a condition that hangs on the instance, and the two bodies. Out: the statements, and the state of the branch that
the instance takes, with running variables for the sizes that the branches leave different.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from netc import ir
from netc import syntax as s
from netc.checker.expressions import ERROR
from netc.checker.labels import is_attribute
from netc.checker.states import (
    ROUNDS,
    Path,
    Run,
    State,
    begin_running,
    group_running,
    keeping_current,
    overtaken,
    put_size,
    restore_state,
    run_block,
    save_state,
    sizes_of,
)
from netc.shapes import Size

if TYPE_CHECKING:
    from netc.checker.body import Body


def record_branches(c: Body, condition: str, taken: bool, then: s.Body, otherwise: s.Body) -> None:
    """Follow both branches of an `if`, and record it."""
    keeping_current(c, lambda: _follow_branches(c, condition, taken, then, otherwise))


def _follow_branches(c: Body, condition: str, taken: bool, then: s.Body, otherwise: s.Body) -> None:
    rec = c.rec
    assert rec is not None
    start, before = save_state(c), sizes_of(c)
    variables: dict[Path, str] = {}
    apart = False  # whether the branches read the sizes from before, and not the running variables
    for _ in range(ROUNDS):
        restore_state(c, start)
        mine = len(rec.build)
        begin_running(c, variables, before, apart)
        base = save_state(c)
        runs = []
        for body, holds in ((then, True), (otherwise, False)):
            restore_state(c, base)
            c.env |= {n: v for n, v in c.hidden.get(_side(condition, holds), {}).items() if c.env.get(n) is None}
            c.untaken, outer = c.untaken or holds != taken, c.untaken
            runs.append(run_block(c, body, variables))
            if not runs[-1].ok and holds != taken:
                runs[-1] = _with_number(c, condition, holds, body, variables, base) or runs[-1]
            c.untaken = outer
        new = _differing(runs, base, c) if all(r.ok for r in runs) else {}
        new = {p: key for p, key in new.items() if p not in variables}
        if not new and (apart or not overtaken(c, runs, variables)):
            break
        apart = apart or not new
        del rec.build[mine:]
        group_running(c, new, variables)
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
    c: Body, condition: str, holds: bool, body: s.Body, variables: dict[Path, str], base: State
) -> Run | None:
    """The branch behind `n is not None`, where the file never gives `n`: followed with a number for it."""
    rec = c.rec
    assert rec is not None
    match = re.fullmatch(r"ꞏ(\w+)ꞏ is (not )?None", condition)
    name = match.group(1) if match is not None and bool(match.group(2)) == holds else ""
    if name not in c.parameters or c.parameters[name] is not None:
        return None
    restore_state(c, base)
    c.env[name] = rec.named(name, 1)
    run = run_block(c, body, variables)
    if not run.ok:
        return None
    c.session.numbered.add((c.owner, name))
    c.hidden.setdefault(_side(condition, holds), {})[name] = rec.named(name, 1)
    run.state.env[name] = None
    return run


def _conditional(c: Body, condition: str, start: State, chosen: Run, runs: list[Run]) -> None:
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


def _differing(runs: list[Run], base: State, c: Body) -> dict[Path, tuple[Any, ...]]:
    """The sizes that are not the same behind both branches, or that no expression gives there."""
    first, second = runs[0].dims, runs[1].dims
    return {p: (first[p], second[p]) for p in first if p in second and first[p] != second[p]}


def _merge(c: Body, chosen: Run, runs: list[Run], variables: dict[Path, str]) -> None:
    """The state behind an `if`: that of the branch that is taken, with what either of them gave another value."""
    rec = c.rec
    assert rec is not None
    restore_state(c, chosen.state)
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
            put_size(c, path, rec.named(name, rec.witness(chosen.dims[path])))


def _finish_branches(c: Body, condition: str, start: State, runs: list[Run]) -> str:
    """The `if` of the constructor and that of `forward`; gives the latter's condition."""
    rec = c.rec
    assert rec is not None
    builds = [_dropped(run, c) for run in runs]
    optional = [_registered(build) for build in builds]
    alone = (
        sorted((optional[0] | optional[1]) - (optional[0] & optional[1])) if c.path == "self" and c.turn is None else []
    )
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


def _dropped(run: Run, c: Body) -> list[ir.Build]:
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
