"""The setting `schedule`: a scheduler of torch, several in sequence or at once, or one that follows a formula.

In: the call as parsed, and how long the run is. Out: an `ir.Call` whose arguments may hold calls and rates; mistakes in
the report. Guarantees: what follows from the run (`T_max`, `milestones`) is filled in; a formula gives a number in
every epoch that is tried. Leaves the fit with the run to `training_checks`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from netc import catalog, ir
from netc import syntax as s
from netc.catalog.metrics import is_better_high
from netc.checker.expressions import ERROR, Evaluator, kind_of
from netc.checker.habits import first_of_torch
from netc.checker.python_text import text
from netc.checker.values import Formula
from netc.diagnostics import Report
from netc.identifiers import python_name
from netc.ir import Arg
from netc.literals import literal

if TYPE_CHECKING:
    from netc.catalog.entry import Entry
    from netc.checker.section_reader import Reader
    from netc.source import Span

TOGETHER = ("SequentialLR", "ChainedScheduler")
_ENDS = {  # what says after how many steps a scheduler has done its work
    "LinearLR": "total_iters", "ConstantLR": "total_iters", "PolynomialLR": "total_iters",
    "CosineAnnealingLR": "T_max", "CosineAnnealingWarmRestarts": "T_0", "OneCycleLR": "total_steps",
}  # fmt: skip
_ITS_OWN = "its own"  # the length of a scheduler that has to say itself when it ends
_TRIED = 1000  # epochs in which a formula is evaluated


def read(reader: Reader, step: s.Expr, chain: s.Chain, length: Any, inside: str = "") -> Any:
    """A scheduler; `length` is how many steps it makes, None where that isn't known."""
    callee = step.callee if isinstance(step, s.Call) else step
    entry = reader.named(callee, chain, "scheduler", catalog.scheduler, catalog.schedulers)
    if entry is ERROR:
        return ERROR
    arguments = step.arguments if isinstance(step, s.Call) else ()
    first = first_of_torch(arguments[0].value) if arguments else None
    if first is not None:
        reader.report.add(
            "E0304", f"`{entry.name}` gets {first} by itself", arguments[0].value.span, help="leave it out"
        )
        return ERROR
    if inside and entry.name == "ReduceLROnPlateau":
        reader.report.add(
            "E0620", f"`{entry.name}` can't be a part of `{inside}`, which steps without a value", step.span,
            help=f"use it alone, or another scheduler in `{inside}`",
        )  # fmt: skip
        return ERROR
    if entry.name in TOGETHER:
        return _together(reader, entry, step, arguments, chain, length)
    follows = entry.name == "CosineAnnealingLR" and length != _ITS_OWN
    call = reader.call(entry, step, {"T_max": length} if follows else {})
    return call if call is ERROR else _rates(reader, call)


def towards(schedule: Any, column: Any) -> Any:
    """ReduceLROnPlateau with the `mode` that suits the column that it watches, unless the file says one."""
    if not isinstance(schedule, ir.Call) or schedule.name != "ReduceLROnPlateau" or not isinstance(column, str):
        return schedule
    name = column.partition("_")[2]
    try:
        high = is_better_high(name)
    except KeyError:  # no column, which is reported
        return schedule
    return schedule if not high or "mode" in schedule.args else schedule._replace(
        args={"mode": Arg("max", '"max"'), **schedule.args}
    )  # fmt: skip


# --- several ----------------------------------------------------------------------------------------------------------


def _together(
    reader: Reader, entry: Entry, step: s.Expr, arguments: tuple[s.Argument, ...], chain: s.Chain, length: Any
) -> Any:  # fmt: skip
    """Schedulers in a list, in sequence or at once."""
    given: dict[str, s.Argument] = {}
    for name, argument in zip(("schedulers", "milestones"), arguments, strict=False):
        if argument.name is not None:
            break
        given[name] = argument
    given |= {a.name.text: a for a in arguments if a.name is not None}
    known = ("schedulers", "milestones") if entry.name == "SequentialLR" else ("schedulers",)
    other = next((a for n, a in given.items() if n not in known), None) or (
        arguments[len(given)] if len(arguments) > len(given) else None
    )
    if other is not None:
        takes = " and ".join(f"`{n}`" for n in known)
        reader.report.add("E0302", f"`{entry.name}` takes {takes}", other.span, help="remove it")
        return ERROR
    items = given["schedulers"].value if "schedulers" in given else None
    if not isinstance(items, (s.List, s.Tuple)) or not items.items:
        reader.report.add(
            "E0620", f"`{entry.name}` takes a list of schedulers", step.span if items is None else items.span,
            help=f"write it as in `{_EXAMPLES[entry.name]}`",
        )  # fmt: skip
        return ERROR
    if entry.name == "ChainedScheduler":
        parts = [read(reader, item, chain, length, entry.name) for item in items.items]
        return _made(reader, entry, parts, None, step, given)
    milestones = _milestones(reader, given.get("milestones"), len(items.items))
    if milestones is ERROR:
        return ERROR
    return _sequence(reader, entry, items, milestones, step, given, chain, length)


_EXAMPLES = {
    "SequentialLR": "SequentialLR([LinearLR(total_iters=5), CosineAnnealingLR])",
    "ChainedScheduler": "ChainedScheduler([ConstantLR(total_iters=5), ExponentialLR(0.9)])",
}


def _milestones(reader: Reader, argument: s.Argument | None, count: int) -> Any:
    """The milestones that are given; None where there are none."""
    if argument is None:
        return None
    value = reader.evaluator.evaluate(argument.value)
    if value is ERROR:
        return ERROR
    whole = isinstance(value, (list, tuple)) and all(type(v) is int and v > 0 for v in value)
    if not whole or len(value) != count - 1 or sorted(set(value)) != list(value):
        reader.report.add(
            "E0620", f"`milestones` of `SequentialLR` are {count - 1} for {count} schedulers, each later than the one "
            "before", argument.span, help="leave them out where they follow from `total_iters`",
        )  # fmt: skip
        return ERROR
    return list(value)


def _sequence(
    reader: Reader, entry: Entry, items: s.List | s.Tuple, milestones: list[int] | None, step: s.Expr,
    given: dict[str, s.Argument], chain: s.Chain, length: Any,
) -> Any:  # fmt: skip
    """Schedulers one after another; each ends at the milestone before the next."""
    parts, ends, begin = [], list(milestones or ()), 0
    for i, item in enumerate(items.items):
        last = i == len(items.items) - 1
        own: Any = _ITS_OWN
        if last:
            own = length if not isinstance(length, int) else max(length - begin, 1)
        elif milestones is not None:
            own = ends[i] - begin
        part = read(reader, item, chain, own, entry.name)
        if part is ERROR:
            return ERROR
        parts.append(part)
        if last:
            break
        if milestones is None:
            end = part.get_or(_ENDS.get(part.name, ""), None)
            if not isinstance(end, int) or end < 1:
                reader.report.add(
                    "E0620", f"`{part.name}` has no end of its own: `SequentialLR` needs `milestones`", item.span,
                    help=f"say when the next begins: `SequentialLR([…], milestones=[{begin + 5}])`",
                )  # fmt: skip
                return ERROR
            ends.append(begin + end)
        begin = ends[i]
    return _made(reader, entry, parts, ends, step, given)


def _made(
    reader: Reader, entry: Entry, parts: list[Any], ends: list[int] | None, step: s.Expr, given: dict[str, s.Argument]
) -> Any:  # fmt: skip
    if ERROR in parts:
        return ERROR
    args = {"schedulers": Arg(tuple(parts), "", positional=True)}
    if ends is not None:
        args["milestones"] = Arg(ends, literal(ends))
    reader.places[step.span] = {name: argument.span for name, argument in given.items()}
    return ir.Call(entry, args, step.span)


# --- formulas ---------------------------------------------------------------------------------------------------------


def _rates(reader: Reader, call: ir.Call) -> Any:
    """The call with its formulas as rates; ERROR where one is none, or gives no number."""
    args = {}
    for name, arg in call.args.items():
        span = reader.spans.get(name, call.span)
        wanted = name in ("lr_lambda", "scale_fn") and arg.value is not None
        if wanted and not isinstance(arg.value, Formula):
            reader.report.add(
                "E0307", f"`{name}` of `{call.name}` takes a formula of the file, not {kind_of(arg.value)}", span,
                help=f"write `warm(epoch) = min(1, (epoch + 1) / 5)` above, and `{name}=warm` here",
            )  # fmt: skip
            return ERROR
        if wanted:
            rate = _rate(reader, arg.value, span, tried=name == "lr_lambda")
            if rate is ERROR:
                return ERROR
            arg = arg._replace(value=rate, code=rate.name)
        args[name] = arg
    return call._replace(args=args)


def _rate(reader: Reader, formula: Any, span: Span, tried: bool) -> Any:
    if not formula.params or any(p.default is None for p in formula.params[1:]):
        reader.report.add(
            "E0307", f"`{formula.name}` is given one number, and takes {len(formula.params)}", span,
            help="give the others defaults",
        )  # fmt: skip
        return ERROR
    if tried and not _gives_numbers(reader, formula, span):
        return ERROR
    return _function(formula, {})


def _gives_numbers(reader: Reader, formula: Formula, span: Span) -> bool:
    """Whether a formula gives a number in every epoch that is tried."""
    for epoch in (*range(50), *range(50, _TRIED, 50)):
        value = _value(formula, epoch, Report())
        if value is ERROR:
            _value(formula, epoch, reader.report)
            return False
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            reader.report.add("E0620", f"`{formula.name}` gives {value!r} in epoch {epoch + 1}, and no rate", span)
            return False
    return True


def _value(formula: Formula, epoch: int, report: Report) -> Any:
    inner = Evaluator(report, dict(formula.env))
    for param in formula.params[1:]:
        assert param.default is not None
        inner.env[param.name.text] = inner.evaluate(param.default)
    inner.env[formula.params[0].name.text] = epoch
    return inner.evaluate(formula.body)


def value_of(rate: ir.Rate, epoch: int) -> float:
    """What a rate is in an epoch, counted from 0."""
    formula: Any = rate.formula
    value = _value(formula, epoch, Report())
    assert isinstance(value, (int, float))
    return value


def _function(formula: Formula, known: dict[str, ir.Rate]) -> ir.Rate:
    """The Python of a formula, and the formulas that it calls."""
    own = {p.name.text for p in formula.params}
    uses = []
    for name in _called(formula.body):
        other = formula.env.get(name)
        if isinstance(other, Formula) and name not in own:
            if name not in known:
                known[name] = ir.Rate(name, (), "", (), other)  # against circles
                known[name] = _function(other, known)
            uses.append(known[name])

    def named(name: str) -> str:
        if name in own or name not in formula.env:
            return python_name(name)
        code = literal(formula.env[name])
        return code if code.isidentifier() or code[0].isdigit() or code[0] in '"[(' else f"({code})"

    parameters = [f"{python_name(p.name.text)}{'' if p.default is None else _default(p.default, named)}"
                  for p in formula.params]  # fmt: skip
    return ir.Rate(formula.name, tuple(parameters), text(formula.body, named), tuple(uses), formula)


def _default(expr: s.Expr, named: Any) -> str:
    return f": float = {text(expr, named)}"


def _called(expr: object) -> list[str]:
    """The names that are called in an expression."""
    found: list[str] = []
    if isinstance(expr, s.Call) and isinstance(expr.callee, s.Name):
        found.append(expr.callee.text)
    for item in expr if isinstance(expr, tuple) else ():
        found += _called(item)
    return list(dict.fromkeys(found))


__all__ = ["read", "towards", "value_of"]
