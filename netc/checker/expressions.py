"""Values that are known when a program is compiled: Python's arithmetic over constants, parameters and sizes.

In: expressions of the surface tree and the names around them. Out: numbers, strings, lists, tuples, sizes, or `ERROR`
where a mistake has been reported, so that nothing that follows from it is reported again. Tensors are left to
`network`, which extends the evaluator.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from netc import syntax as s
from netc.diagnostics import suggestion
from netc.shapes import Size, at_most, less, same

if TYPE_CHECKING:
    from collections.abc import Callable

    from netc.diagnostics import Report
    from netc.source import Span


class Error(NamedTuple):
    """The value of what is wrong; anything computed from it is silently wrong too."""


ERROR: Final = Error()
# Beyond this no size, seed or count makes sense, and computing on would only cost time.
LARGEST: Final = 2**63
LONGEST: Final = 100_000


class Fail(Exception):
    """Raised inside the evaluator, and caught by it, when a value can't be computed; the text is for the user."""


def _bounded(value: Any) -> Any:
    if isinstance(value, int) and abs(value) >= LARGEST:
        raise Fail("the result is larger than 2**63")
    if isinstance(value, (list, tuple, str)) and len(value) > LONGEST:
        raise Fail(f"the result has more than {LONGEST:,} items")
    return value


def _power(a: Any, b: Any) -> Any:
    if isinstance(a, int) and isinstance(b, int) and b > 0 and b * a.bit_length() > 256:
        raise Fail("the result is larger than 2**63")
    return a**b


def _times(a: Any, b: Any) -> Any:
    for sequence, count in ((a, b), (b, a)):
        if isinstance(sequence, (list, tuple, str)) and isinstance(count, int) and len(sequence) * count > LONGEST:
            raise Fail(f"the result has more than {LONGEST:,} items")
    return a * b


_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": _times,
    "/": lambda a, b: a / b,
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b,
    "**": _power,
}


def _decided(answer: bool | None) -> bool:
    if answer is None:
        raise Fail("the sizes can't be compared before the network runs")
    return answer


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: _decided(same(a, b)) if isinstance(a, Size) or isinstance(b, Size) else bool(a == b),
    "!=": lambda a, b: not (_decided(same(a, b)) if isinstance(a, Size) or isinstance(b, Size) else a == b),
    "<": lambda a, b: _decided(less(a, b)) if isinstance(a, Size) or isinstance(b, Size) else bool(a < b),
    "<=": lambda a, b: _decided(at_most(a, b)) if isinstance(a, Size) or isinstance(b, Size) else bool(a <= b),
    ">": lambda a, b: _decided(less(b, a)) if isinstance(a, Size) or isinstance(b, Size) else bool(a > b),
    ">=": lambda a, b: _decided(at_most(b, a)) if isinstance(a, Size) or isinstance(b, Size) else bool(a >= b),
    "in": lambda a, b: bool(a in b),
    "not in": lambda a, b: a not in b,
    "is": lambda a, b: a is b,
    "is not": lambda a, b: a is not b,
}


def _range(*args: int) -> list[int]:
    if len(range(*args)) > LONGEST:
        raise Fail(f"the range has more than {LONGEST:,} items")
    return list(range(*args))


BUILTINS: dict[str, Callable[..., Any]] = {
    "range": _range,
    "enumerate": lambda items, start=0: [tuple(pair) for pair in enumerate(items, start)],
    "zip": lambda *items: list(zip(*items, strict=False)),
    "len": len,
    "min": min,
    "max": max,
    "int": int,
    "float": float,
    "round": round,
    "ceil": math.ceil,
    "floor": math.floor,
    "sqrt": math.sqrt,
    "log": math.log,
    "sum": sum,
    "abs": abs,
}


class Evaluator:
    """Evaluates expressions in which no tensor has a part. `env` maps the names that are known."""

    def __init__(self, report: Report, env: dict[str, Any]) -> None:
        self.report = report
        self.env = env

    def evaluate(self, expr: s.Expr) -> Any:
        """The value of an expression, or ERROR with the reason in the report."""
        method = getattr(self, f"eval_{type(expr).__name__.lower()}")
        return method(expr)

    def eval_number(self, expr: s.Number) -> Any:
        return ERROR if expr.value is None else expr.value

    def eval_string(self, expr: s.String) -> Any:
        return expr.value

    def eval_literal(self, expr: s.Literal) -> Any:
        return expr.value

    def eval_paren(self, expr: s.Paren) -> Any:
        return self.evaluate(expr.inner)

    def eval_tuple(self, expr: s.Tuple) -> Any:
        return _whole(tuple(self.evaluate(item) for item in expr.items))

    def eval_list(self, expr: s.List) -> Any:
        return _whole([self.evaluate(item) for item in expr.items])

    def eval_name(self, expr: s.Name) -> Any:
        if expr.text in self.env:
            return self.env[expr.text]
        return self.unknown(expr)

    def unknown(self, expr: s.Name) -> Any:
        """Report a name that nothing defines."""
        names = [*self.env, *BUILTINS, "True", "False", "None"]
        near = {"true": "True", "false": "False", "none": "None", "null": "None"}.get(expr.text)
        help_text = f"write `{near}`" if near else suggestion(expr.text, names)
        known = ", ".join(f"`{n}`" for n in self.env if n != "_")
        notes = [f"known here: {known}"] if known and not help_text and len(known) < 200 else []
        self.report.add("E0201", f"`{expr.text}` is not defined", expr.span, help=help_text, notes=notes)
        return ERROR

    def eval_unary(self, expr: s.Unary) -> Any:
        value = self.evaluate(expr.operand)
        operations: dict[str, Callable[[Any], Any]] = {"-": lambda a: -a, "+": lambda a: +a, "not": lambda a: not a}
        return self.apply(operations[expr.op], (value,), expr, f"`{expr.op}`")

    def eval_binary(self, expr: s.Binary) -> Any:
        left, right = self.evaluate(expr.left), self.evaluate(expr.right)
        if expr.op == "@":
            return self.fail(expr.span, "`@` multiplies tensors, and these are numbers")
        return self.apply(_BINARY[expr.op], (left, right), expr, f"`{expr.op}`")

    def eval_boolean(self, expr: s.Boolean) -> Any:
        left = self.evaluate(expr.left)
        if left is ERROR:
            return ERROR
        return self.evaluate(expr.right) if bool(left) == (expr.op == "and") else left

    def eval_compare(self, expr: s.Compare) -> Any:
        values = [self.evaluate(operand) for operand in expr.operands]
        for op, a, b in zip(expr.ops, values[:-1], values[1:], strict=True):
            answer = self.apply(_COMPARE[op], (a, b), expr, f"`{op}`")
            if answer is ERROR or not answer:
                return answer
        return True

    def eval_ternary(self, expr: s.Ternary) -> Any:
        condition = self.evaluate(expr.condition)
        if condition is ERROR:
            return ERROR
        return self.evaluate(expr.then if condition else expr.otherwise)

    def eval_comprehension(self, expr: s.Comprehension) -> Any:
        return self.not_yet(expr.span, "a list comprehension")

    def eval_attribute(self, expr: s.Attribute) -> Any:
        return self.fail(expr.span, f"there is no attribute `{expr.name.text}` here")

    def eval_index(self, expr: s.Index) -> Any:
        value = self.evaluate(expr.value)
        if len(expr.subscripts) != 1 or isinstance(expr.subscripts[0], (s.Slice, s.Dots)):
            return self.not_yet(expr.span, "a slice")
        return self.apply(lambda a, i: a[i], (value, self.evaluate(expr.subscripts[0])), expr, "indexing")

    def eval_call(self, expr: s.Call) -> Any:
        name = expr.callee.text if isinstance(expr.callee, s.Name) else None
        if name is None or name not in BUILTINS:
            return self.call_unknown(expr)
        values = [self.evaluate(a.value) for a in expr.arguments if a.name is None]
        named = {a.name.text: self.evaluate(a.value) for a in expr.arguments if a.name is not None}
        if ERROR in values or ERROR in named.values():
            return ERROR
        return self.apply(lambda *given: BUILTINS[name](*given, **named), tuple(values), expr, f"`{name}`")

    def call_unknown(self, expr: s.Call) -> Any:
        if isinstance(expr.callee, s.Name):
            name = expr.callee.text
            self.report.add(
                "E0201", f"there is no function `{name}` here", expr.callee.span, help=suggestion(name, BUILTINS)
            )
        else:
            self.report.add("E0201", "this can't be called", expr.callee.span)
        return ERROR

    def apply(self, operation: Callable[..., Any], operands: tuple[Any, ...], expr: s.Expr, what: str) -> Any:
        """Compute, with Python's errors as the user's."""
        if any(operand is ERROR for operand in operands):
            return ERROR
        try:
            return _bounded(operation(*operands))
        except Fail as problem:
            return self.fail(expr.span, str(problem))
        except ZeroDivisionError:
            return self.fail(expr.span, "this divides by zero")
        except (TypeError, ValueError, OverflowError, IndexError, KeyError, AttributeError):
            kinds = " and ".join(kind_of(operand) for operand in operands)
            return self.fail(expr.span, f"{what} can't be done with {kinds}")

    def fail(self, span: Span, message: str, help: str | None = None) -> Any:
        self.report.add("E0301", message, span, help=help)
        return ERROR

    def not_yet(self, span: Span, what: str) -> Any:
        """Report something that is of the language, but that this version doesn't compile."""
        self.report.add(
            "E0900",
            f"{what} is part of the language, but this version of netc does not compile it yet",
            span,
            help="write the program without it",
        )
        return ERROR


def kind_of(value: object) -> str:
    """A value's kind in words, for messages."""
    names = {bool: "a truth value", int: "an integer", float: "a number", str: "a string", list: "a list"}
    names |= {tuple: "a tuple", type(None): "None", Size: "a size"}
    return names.get(type(value), "a tensor")


def _whole(items: Any) -> Any:
    return ERROR if any(item is ERROR for item in items) else items
