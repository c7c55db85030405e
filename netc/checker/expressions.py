"""Values that are known when a program is compiled: Python's arithmetic over constants, parameters and sizes.

In: expressions of the surface tree and the names around them. Out: numbers, strings, lists, tuples, sizes, or `ERROR`
where a mistake has been reported, so that nothing that follows from it is reported again. Tensors are left to
`network`, which extends the evaluator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from netc import catalog, limits
from netc import syntax as s
from netc.checker.arithmetic import BINARY as BINARY
from netc.checker.arithmetic import BUILTINS as BUILTINS
from netc.checker.arithmetic import Fail, Open, bounded, pay
from netc.checker.values import DTYPES, DType, Formula, LayerRef, TensorTuple
from netc.diagnostics import Label, suggestion
from netc.fixes import rewrite
from netc.limits import spend
from netc.shapes import Size, at_most, identical, less

if TYPE_CHECKING:
    from collections.abc import Callable

    from netc.catalog.entry import Entry
    from netc.diagnostics import Report
    from netc.source import Span


class Error(NamedTuple):
    """The value of what is wrong; anything computed from it is silently wrong too."""


ERROR: Final = Error()


def _decided(answer: bool | None) -> bool:
    if answer is None:
        raise Open("these sizes can't be compared when the network is built, for they are known only at run time")
    return answer


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: _decided(identical(a, b)) if isinstance(a, Size) or isinstance(b, Size) else bool(a == b),
    "!=": lambda a, b: not (_decided(identical(a, b)) if isinstance(a, Size) or isinstance(b, Size) else a == b),
    "<": lambda a, b: _decided(less(a, b)) if isinstance(a, Size) or isinstance(b, Size) else bool(a < b),
    "<=": lambda a, b: _decided(at_most(a, b)) if isinstance(a, Size) or isinstance(b, Size) else bool(a <= b),
    ">": lambda a, b: _decided(less(b, a)) if isinstance(a, Size) or isinstance(b, Size) else bool(a > b),
    ">=": lambda a, b: _decided(at_most(b, a)) if isinstance(a, Size) or isinstance(b, Size) else bool(a >= b),
    "in": lambda a, b: bool(a in b),
    "not in": lambda a, b: a not in b,
    "is": lambda a, b: a is b or (isinstance(a, LayerRef) and bool(a == b)),
    "is not": lambda a, b: not (a is b or (isinstance(a, LayerRef) and bool(a == b))),
}


_METHODS: dict[type, str] = {}  # of a kind of expression


class Evaluator:
    """Evaluates expressions in which no tensor has a part. `env` maps the names that are known."""

    depth = 0  # of formulas

    def __init__(self, report: Report, env: dict[str, Any]) -> None:
        self.report = report
        self.env = env

    def evaluate(self, expr: s.Expr) -> Any:
        """The value of an expression, or ERROR with the reason in the report."""
        spend(1)
        kind = type(expr)
        method = _METHODS.get(kind)
        if method is None:
            method = _METHODS[kind] = f"eval_{kind.__name__.lower()}"
        return getattr(self, method)(expr)

    def eval_number(self, expr: s.Number) -> Any:
        return ERROR if expr.value is None else expr.value

    def eval_string(self, expr: s.String) -> Any:
        return expr.value

    def eval_literal(self, expr: s.Literal) -> Any:
        return expr.value

    def eval_paren(self, expr: s.Paren) -> Any:
        return self.evaluate(expr.inner)

    def eval_tuple(self, expr: s.Tuple) -> Any:
        return self.whole(tuple([self.evaluate(item) for item in expr.items]), expr)

    def eval_list(self, expr: s.List) -> Any:
        return self.whole([self.evaluate(item) for item in expr.items], expr)

    def whole(self, items: Any, expr: s.Expr) -> Any:
        """A list or tuple, or ERROR where one of its items is, or there are too many."""
        return ERROR if any(item is ERROR for item in items) else self.apply(lambda: items, (), expr, "a list")

    def eval_name(self, expr: s.Name) -> Any:
        if expr.text in self.env:
            return self.env[expr.text]
        if expr.text in DTYPES:
            return DType(expr.text)
        return self.layer_value(expr) or self.unknown(expr)

    def definition(self, name: str) -> Any:
        """The module or network of a name, where there are any."""
        return None

    def python(self, name: str) -> Entry | None:
        """The class or function of a name in a `use`d file, where there are any."""
        return None

    def layer_value(self, expr: s.Name) -> LayerRef | None:
        """A layer or module that is named as a value."""
        if not expr.text[0].isupper():
            return None
        target = self.definition(expr.text) or self.python(expr.text) or catalog.layer(expr.text)
        return None if target is None else LayerRef(target)

    def unknown(self, expr: s.Name) -> Any:
        """Report a name that nothing defines."""
        names = [*self.env, *BUILTINS, "True", "False", "None"]
        near = {"true": "True", "false": "False", "none": "None", "null": "None"}.get(expr.text)
        help_text = f"write `{near}`" if near else suggestion(expr.text, names)
        known = ", ".join(f"`{n}`" for n in self.env if n != "_")
        notes = [f"known here: {known}"] if known and not help_text and len(known) < 200 else []
        fix = rewrite(expr.span, near) if near and expr.span.end - expr.span.start == len(expr.text) else None
        self.report.add("E0201", f"`{expr.text}` is not defined", expr.span, help=help_text, notes=notes, fix=fix)
        return ERROR

    def eval_unary(self, expr: s.Unary) -> Any:
        value = self.evaluate(expr.operand)
        operations: dict[str, Callable[[Any], Any]] = {"-": lambda a: -a, "+": lambda a: +a, "not": lambda a: not a}
        return self.apply(operations[expr.op], (value,), expr, f"`{expr.op}`")

    def eval_binary(self, expr: s.Binary) -> Any:
        left, right = self.evaluate(expr.left), self.evaluate(expr.right)
        if expr.op == "@":
            return self.fail(expr.span, "`@` multiplies tensors, and these are numbers")
        return self.apply(BINARY[expr.op], (left, right), expr, f"`{expr.op}`")

    def eval_boolean(self, expr: s.Boolean) -> Any:
        left = self.evaluate(expr.left)
        if left is ERROR:
            return ERROR
        return self.evaluate(expr.right) if self.truth(left) == (expr.op == "and") else left

    def truth(self, value: Any) -> bool:
        """Whether a value counts as true."""
        return bool(value)

    def eval_compare(self, expr: s.Compare) -> Any:
        return self.compared(expr, [self.evaluate(operand) for operand in expr.operands])

    def compared(self, expr: s.Compare, values: list[Any]) -> Any:
        """The value of a comparison of values that are known."""
        for op, a, b in zip(expr.ops, values[:-1], values[1:], strict=True):
            answer = self.apply(_COMPARE[op], (a, b), expr, f"`{op}`")
            if answer is ERROR or not answer:
                return answer
        return True

    def eval_ternary(self, expr: s.Ternary) -> Any:
        condition = self.evaluate(expr.condition)
        if condition is ERROR:
            return ERROR
        return self.evaluate(expr.then if self.truth(condition) else expr.otherwise)

    def eval_comprehension(self, expr: s.Comprehension) -> Any:
        items = self.items(expr.iterable)
        if items is ERROR:
            return ERROR
        outer, out = self.env, []
        for item in items:
            spend(1 + len(outer) // 64)
            self.env = dict(outer)
            ok = self.bind(expr.targets, item, expr.iterable.span)
            kept = ok and (expr.condition is None or self.evaluate(expr.condition))
            value = self.evaluate(expr.item) if ok and kept is not ERROR and kept else None
            self.env = outer
            if not ok or kept is ERROR or value is ERROR:
                return ERROR
            if kept:
                out.append(value)
        return self.whole(out, expr)

    def items(self, expr: s.Expr) -> Any:
        """What a loop goes over, or ERROR with the reason in the report."""
        value = self.evaluate(expr)
        if value is ERROR or (isinstance(value, (list, tuple)) and not hasattr(value, "_fields")):
            return value
        if isinstance(value, Size):
            return self.open_size(expr.span, "a loop", value)
        count = expr.text if isinstance(expr, s.Name) else "n"
        help_text = f"write `range({count})` to count to a number" if isinstance(value, int) else None
        counted = isinstance(expr, (s.Name, s.Number)) and help_text is not None and not isinstance(value, bool)
        fix = rewrite(expr.span, f"range({getattr(expr, 'text', value)})") if counted else None
        self.report.add(
            "E0225", f"a loop goes over a list or a range, and this is {kind_of(value)}", expr.span, help=help_text,
            fix=fix,
        )  # fmt: skip
        return ERROR

    def bind(self, targets: tuple[s.Target, ...], item: Any, span: Span) -> bool:
        """Give the names of a loop one item; False (reported) where it has another number of parts."""
        if len(targets) == 1:
            (target,) = targets
            if isinstance(target, s.Ident):
                self.set_name(target, item)
                return True
            return self.bind(target.items, item, span)
        parts = list(item) if isinstance(item, (list, tuple)) and not hasattr(item, "_fields") else None
        if parts is None or len(parts) != len(targets):
            has = f"{len(parts)} parts" if parts is not None else "no parts"
            self.report.add(
                "E0226", f"{len(targets)} names stand for an item of {has}", _span(targets),
                secondary=[Label(span, "goes over this")],
            )  # fmt: skip
            return False
        return all(self.bind((target,), part, span) for target, part in zip(targets, parts, strict=True))

    def set_name(self, target: s.Ident, value: Any) -> None:
        """Give a name of a loop its value."""
        self.env[target.text] = value

    def eval_attribute(self, expr: s.Attribute) -> Any:
        return self.fail(
            expr.span, f"there is no attribute `{expr.name.text}` here", "a tensor has its sizes, as `.shape`"
        )

    def eval_index(self, expr: s.Index) -> Any:
        value = self.evaluate(expr.value)
        if len(expr.subscripts) != 1 or isinstance(expr.subscripts[0], s.Dots):
            return ERROR if value is ERROR else self.fail(expr.span, "a list has one index")
        subscript = expr.subscripts[0]
        if isinstance(subscript, s.Dots):
            return ERROR
        if isinstance(subscript, s.Slice):
            ends = [None if e is None else self.evaluate(e) for e in (subscript.start, subscript.stop, subscript.step)]
            return self.apply(lambda a, *i: a[slice(*i)], (value, *ends), expr, "a slice")
        return self.apply(lambda a, i: a[i], (value, self.evaluate(subscript)), expr, "indexing")

    def eval_call(self, expr: s.Call) -> Any:
        name = expr.callee.text if isinstance(expr.callee, s.Name) else None
        if name is not None and isinstance(self.env.get(name), Formula):
            return self.call_formula(self.env[name], expr)
        if name is not None and self.env.get(name) is ERROR:
            return ERROR
        if name is not None and name[0].isupper():
            value = self.layer_call(expr, expr.callee)
            if value is not None:
                return value
        if name is None or name not in BUILTINS:
            return self.call_unknown(expr)
        values = [self.evaluate(a.value) for a in expr.arguments if a.name is None]
        named = {a.name.text: self.evaluate(a.value) for a in expr.arguments if a.name is not None}
        if ERROR in values or ERROR in named.values():
            return ERROR
        return self.apply(lambda *given: BUILTINS[name](*given, **named), tuple(values), expr, f"`{name}`")

    def call_formula(self, formula: Formula, expr: s.Call) -> Any:
        """The value of a formula for the arguments of a call."""
        given: dict[str, Any] = {}
        free = [p.name.text for p in formula.params]
        for argument in expr.arguments:
            name = argument.name.text if argument.name else next((n for n in free if n not in given), None)
            if name not in free or name in given:
                known = ", ".join(f"`{n}`" for n in free)
                message = f"`{formula.name}` takes {known}" if free else f"`{formula.name}` takes no arguments"
                self.report.add("E0304" if argument.name is None else "E0302", message, argument.span)
                return ERROR
            given[name] = self.evaluate(argument.value)
        spend(10 + len(formula.env) // 64)
        inner = Evaluator(self.report, dict(formula.env))
        inner.depth = self.depth + 1
        inner.definition = self.definition  # type: ignore[method-assign]
        inner.python = self.python  # type: ignore[method-assign]
        for param in formula.params:
            if param.name.text not in given:
                if param.default is None:
                    self.report.add("E0306", f"`{formula.name}` needs `{param.name.text}`", expr.span)
                    return ERROR
                given[param.name.text] = inner.evaluate(param.default)
        if any(value is ERROR for value in given.values()):
            return ERROR
        if inner.depth > limits.FORMULA_LEVELS:
            return self.fail(expr.span, f"`{formula.name}` calls itself without an end")
        return self.formula_value(inner, formula, given, expr)

    def formula_value(self, inner: Evaluator, formula: Formula, given: dict[str, Any], expr: s.Call) -> Any:
        inner.env |= given
        return inner.evaluate(formula.body)

    def layer_call(self, expr: s.Call, callee: Any) -> Any:
        """`BatchNorm2d(eps=0.001)` as a value: a layer with some of its arguments; None where it is no layer."""
        return None

    def call_unknown(self, expr: s.Call) -> Any:
        if isinstance(expr.callee, s.Name):
            name = expr.callee.text
            self.report.add(
                "E0201", f"there is no function `{name}` here", expr.callee.span, help=suggestion(name, BUILTINS)
            )
        else:
            inner = expr.callee.callee if isinstance(expr.callee, s.Call) else None
            named = isinstance(inner, s.Name) and inner.text[0].isupper()
            self.report.add(
                "E0201", "this can't be called", expr.callee.span,
                help=f"a layer is a step of a chain: `value -> {inner.text}`" if named else None,  # type: ignore[union-attr]
            )  # fmt: skip
        return ERROR

    def apply(self, operation: Callable[..., Any], operands: tuple[Any, ...], expr: s.Expr, what: str) -> Any:
        """Compute, with Python's errors as the user's."""
        if any(operand is ERROR for operand in operands):
            return ERROR
        if what != "indexing":
            for operand in operands:
                pay(operand)
        try:
            return bounded(operation(*operands))
        except Open as problem:
            self.report.add("E0402", str(problem), expr.span, help="give the input these sizes as numbers")
            return ERROR
        except Fail as problem:
            return self.fail(expr.span, str(problem))
        except ZeroDivisionError:
            return self.fail(expr.span, "this divides by zero")
        except (TypeError, ValueError, OverflowError, IndexError, KeyError, AttributeError):
            size = next((o for o in operands if isinstance(o, Size)), None)
            if size is not None and what == "`range`":
                return self.open_size(expr.span, what, size)
            if what == "indexing" and isinstance(operands[0], (list, tuple)) and type(operands[1]) is int:
                count = len(operands[0])
                has = f"has 0 to {count - 1}" if count else "has none"
                return self.fail(expr.span, f"there is no item {operands[1]}: {kind_of(operands[0])} of {count} {has}")
            kinds = " and ".join(kind_of(operand) for operand in operands)
            return self.fail(expr.span, f"{what} can't be done with {kinds}")

    def open_size(self, span: Span, what: str, size: Size) -> Any:
        """Report a size of run time where the compiler needs a number."""
        self.report.add(
            "E0402", f"{what} needs a number when the network is built, and `{size}` is known only at run time", span,
            help="give the input this size as a number; what goes over a sequence is a layer, such as `LSTM`",
        )  # fmt: skip
        return ERROR

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
    names |= {tuple: "a tuple", type(None): "None", Size: "a size", LayerRef: "a layer", Formula: "a formula"}
    names |= {DType: "a type of tensor", TensorTuple: "several tensors"}
    return names.get(type(value), "a tensor")


def _span(targets: tuple[s.Target, ...]) -> Span:
    return targets[0].span.to(targets[-1].span)
