"""`forward` of a generated class, line by line.

In: an `ir.Class`. Out: a line for each line of the program, each with the shape that it gives; a chain that is too long
for a line is cut into steps.
"""

from __future__ import annotations

import re
from itertools import chain, count
from typing import TYPE_CHECKING

from netc import ir
from netc.backends.blocks import branches, indented, loop_header, signature
from netc.backends.expression_text import expression, type_of
from netc.backends.layout import WIDTH, Text, call, fits
from netc.identifiers import python_name
from netc.node import replace
from netc.shapes import TensorType

if TYPE_CHECKING:
    from collections.abc import Iterator


_CURRENT = "ꞏ_ꞏ"  # in code: the name of the current value


class Forward:
    """`forward` of one class."""

    def __init__(self, made: ir.Class) -> None:
        self.made = made
        self.flow = _flow_name(made)

    def lines(self) -> Iterator[str]:
        inputs = self.made.inputs
        shapes = f"# {inputs[0][1]}" if len(inputs) == 1 else "# " + ", ".join(f"{n}: {t}" for n, t in inputs)
        arguments = ["self", *(f"{python_name(n)}: Tensor" for n, _ in inputs)]
        head = list(signature("def forward(", arguments, f") -> {self.annotation()}:", indent=4))
        if len(head) == 1 and 4 + len(head[0]) + 2 + len(shapes) <= WIDTH:
            head[0] += f"  {shapes}"
            yield from head
        else:
            yield from head
            yield from (f"    # {n}: {t}" for n, t in inputs)
        yield from indented(self.statements(self.made.flow, 8))

    def annotation(self) -> str:
        last = self.made.flow[-1]
        assert isinstance(last, ir.Return)
        if self.made.fields:
            always = [n for n, condition in self.made.fields if not condition]
            alone = len(always) == 1 and len(self.made.fields) > 1
            return f"Tensor | {self.made.name}Output" if alone else f"{self.made.name}Output"
        return _annotation_of(last.values[0][1])

    def statements(self, flow: tuple[ir.Flow, ...], indent: int) -> Iterator[str]:
        for i, statement in enumerate(flow):
            following = flow[i + 1] if i + 1 < len(flow) else None
            if isinstance(statement, ir.Assign) and self._is_result(statement, following):
                assert isinstance(following, ir.Return)
                name = self.name(statement.target)
                yield from self.line(name, "return ", statement.value, indent)
                return
            if isinstance(statement, ir.FlowIf) and isinstance(following, ir.Return) and self._has_all(statement):
                _, *otherwise = self.result(following, indent)
                yield from [f"if {self.code(statement.condition)}:"]
                yield from indented(self.body(statement.then, indent + 4))
                inner = [line for line in otherwise if line.startswith("    ")]
                yield from inner
                yield from otherwise[len(inner) :]
                return
            yield from self.statement(statement, indent)

    def _has_all(self, statement: ir.FlowIf) -> bool:
        """Whether a block at the end of `forward` computes the results that exist under its condition."""
        conditions = {condition for _, condition in self.made.fields} - {""}
        return conditions == {statement.condition} and not statement.otherwise

    def _is_result(self, statement: ir.Assign, following: ir.Flow | None) -> bool:
        """Whether a line computes what the next one returns."""
        if not isinstance(following, ir.Return) or len(following.values) != 1 or self.made.fields:
            return False
        value = following.values[0][1]
        return isinstance(value, ir.Var) and value.name == statement.target

    def statement(self, statement: ir.Flow, indent: int) -> Iterator[str]:
        match statement:
            case ir.Assign():
                target = self.name(statement.target)
                if isinstance(statement.value, ir.Var) and self.name(statement.value.name) == target:
                    return
                yield from self.line(target, f"{target} = ", statement.value, indent)
            case ir.Let():
                yield from Text(self.code(statement.code)).lines(indent, f"{statement.target} = ")
            case ir.FlowIf():
                yield from branches(
                    self.code(statement.condition), list(self.statements(statement.then, indent + 4)),
                    list(self.statements(statement.otherwise, indent + 4)),
                )  # fmt: skip
            case ir.FlowFor():
                lines = list(self.body(statement.body, indent + 4))
                targets, iterable = loop_header(statement, "\n".join(line.partition("# ")[0] for line in lines))
                yield f"for {targets} in {self.code(iterable)}:"
                yield from indented(iter(lines))
            case ir.Return():
                yield from self.result(statement, indent)

    def body(self, flow: tuple[ir.Flow, ...], indent: int) -> Iterator[str]:
        lines = list(self.statements(flow, indent))
        yield from lines or ["pass"]

    def result(self, statement: ir.Return, indent: int) -> Iterator[str]:
        if not self.made.fields:
            value = self.expr(statement.values[0][1])
            plain = isinstance(statement.values[0][1], ir.Items) and len(value.items) > 1
            if plain and fits(f"return {value.flat[1:-1]}", indent):
                value = Text(value.flat[1:-1])
            yield from value.lines(indent, "return ")
            return
        conditions = dict(self.made.fields)
        texts = {n: self.expr(e) for n, e in statement.values}
        found = sorted(set(conditions.values()) - {""})
        always = [text for n, text in texts.items() if not conditions[n]]
        made = f"{self.made.name}Output("
        if len(found) == 1:
            yield f"if {found[0]}:"
            yield from indented(call(made, list(texts.values()), ")").lines(indent + 4, "return "))
            kept = [text if not conditions[n] else Text("None") for n, text in texts.items()]
            while kept[-1].flat == "None":
                kept.pop()
            yield from (always[0] if len(always) == 1 else call(made, kept, ")")).lines(indent, "return ")
            return
        if found and len(always) == 1:
            yield f"if not ({' or '.join(found)}):"
            yield from indented(always[0].lines(indent + 4, "return "))
        every = [
            Text(f"{text.flat} if {conditions[n]} else None") if conditions[n] else text for n, text in texts.items()
        ]
        yield from call(made, every, ")").lines(indent, "return ")

    def line(self, name: str, lead: str, value: ir.Expr, indent: int) -> Iterator[str]:
        """`lead` and the value with its shape; a chain too long for a line is cut into steps by way of `name`."""
        text = self.expr(value)
        comment = f"  # {type_of(value)}" if type_of(value) is not None else ""
        repeated = _repeats(value)
        if not repeated and fits(lead + text.flat + comment, indent):
            yield lead + text.flat + comment
            return
        inner = _inner(value)
        step = name.partition(",")[0].strip("()") if name.partition(",")[0].isidentifier() else ""
        if inner is not None and step and _reads(_rest(value), step, self):
            step = self.free if repeated else ""
        if inner is not None and step:
            yield from self.line(step, f"{step} = ", inner, indent)
            kind = inner.type if isinstance(inner.type, TensorType) else TensorType(())
            yield from self.line(name, lead, _replaced(value, ir.Var(f"={step}", kind)), indent)
        elif _long_right(value) and not fits(lead + text.flat, indent):
            assert isinstance(value, ir.Operation)
            own = self.free
            kind = type_of(value.right) or TensorType(())
            yield from self.line(own, f"{own} = ", value.right, indent)
            yield from self.line(name, lead, replace(value, right=ir.Var(f"={own}", kind)), indent)
        elif fits(lead + text.flat, indent):
            yield from (f"{comment.strip()}", lead + text.flat) if comment else (lead + text.flat,)
        else:
            first, *rest = text.broken(indent, lead)
            if comment and not fits(f"{rest[-1] if rest else first}{comment}", indent):
                yield comment.strip()
                comment = ""
            yield from (first, *rest[:-1], f"{rest[-1]}{comment}") if rest else (f"{first}{comment}",)

    @property
    def free(self) -> str:
        """A name that nothing in `forward` has."""
        taken = _variables(self.made.flow) | _words(self.made.flow) | {self.flow}
        return next(n for n in chain(("y", "z", "h", "out"), (f"y{i}" for i in count(1))) if n not in taken)

    def name(self, target: ir.Target) -> str:
        if isinstance(target, tuple):
            return ", ".join(f"({self.name(t)})" if isinstance(t, tuple) else self.name(t) for t in target)
        if target.startswith("="):
            return target[1:]
        return self.flow if target == "_" else python_name(target)

    def code(self, code: str) -> str:
        return code.replace(_CURRENT, self.flow)

    def expr(self, expr: ir.Expr) -> Text:
        """An expression of `forward` as text."""
        return expression(expr, self.name, self.code)


def _annotation_of(expr: ir.Expr) -> str:
    if isinstance(expr, ir.Items):
        return f"tuple[{', '.join(_annotation_of(item) for item in expr.items)}]"
    kind = getattr(expr, "type", None)
    return _types_text(kind) if isinstance(kind, tuple) and not isinstance(kind, TensorType) else "Tensor"


def _types_text(types: object) -> str:
    if isinstance(types, TensorType) or not isinstance(types, tuple):
        return "Tensor"
    return f"tuple[{', '.join(map(_types_text, types))}]"


def _flow_name(made: ir.Class) -> str:
    """The name for the current value: `x`, unless the class uses that name for something that it still needs."""
    inputs = {n for n, _ in made.inputs}
    flat = list(_flattened(made.flow))
    bound = {name for a in flat if isinstance(a, ir.Assign) for name in _names_of(a.target)} - {"_"}
    bound |= {w for a in flat if isinstance(a, ir.FlowFor) for w in re.findall(r"\w+", a.targets)}
    bound |= {w for a in flat if isinstance(a, ir.Let) for w in re.findall(r"\w+", a.target)}
    moved = next((i for i, a in enumerate(flat) if isinstance(a, ir.Assign) and a.target == "_"), len(flat))
    later = _variables(tuple(flat[moved + 1 :]))
    words = _words(tuple(flat)) | {w for st in made.flow for w in _words(st)}
    taken = bound | words | (inputs & later) | {python_name(n) for n in bound}
    names = chain(("x", "y", "z", "h", "out"), (f"x{i}" for i in count(1)))
    return next(n for n in names if n not in taken)


def _flattened(flow: tuple[ir.Flow, ...]) -> Iterator[ir.Flow]:
    for statement in flow:
        yield statement
        if isinstance(statement, ir.FlowIf):
            yield from _flattened(statement.then)
            yield from _flattened(statement.otherwise)
        elif isinstance(statement, ir.FlowFor):
            yield from _flattened(statement.body)


def _names_of(target: ir.Target) -> set[str]:
    return {target} if isinstance(target, str) else set().union(*map(_names_of, target))


def _variables(node: object) -> set[str]:
    if isinstance(node, ir.Var):
        return {node.name}
    if isinstance(node, tuple):
        return set().union(*map(_variables, node)) if node else set()
    return set()


def _words(node: object) -> set[str]:
    """The identifiers in the Python of a node."""
    if isinstance(node, ir.Value):
        return set(re.findall(r"\w+", re.sub(r"\bself\.\w+|\w+\.device\b", "", node.code)))
    if isinstance(node, (ir.Let, ir.FlowIf, ir.FlowFor)):
        heads = {ir.Let: "code", ir.FlowIf: "condition", ir.FlowFor: "iterable"}
        own: str = getattr(node, heads[type(node)])
        return set(re.findall(r"\w+", re.sub(r"\bself\.\w+", "", own)))
    if isinstance(node, tuple):
        return set().union(*map(_words, node)) if node else set()
    return set()


def _inner(expr: ir.Expr) -> ir.Apply | ir.Function | ir.Operation | ir.Item | None:
    """The expression that an application is of, where it is one that can stand on a line of its own."""
    if isinstance(expr, ir.Item):
        return _inner(expr.value)
    if isinstance(expr, ir.Apply) and len(set(expr.inputs)) == 1:
        found = expr.inputs[0]
    elif isinstance(expr, ir.Function) and expr.arguments:
        found = expr.arguments[0][1]
    elif isinstance(expr, ir.Operation) and expr.left is not None:
        found = expr.left
    else:
        return None
    return found if isinstance(found, (ir.Apply, ir.Function, ir.Operation, ir.Item)) else None


def _long_right(expr: ir.Expr) -> bool:
    """Whether the right side of an operation can stand on a line of its own."""
    return isinstance(expr, ir.Operation) and isinstance(expr.right, (ir.Apply, ir.Function))


def _repeats(expr: ir.Expr) -> bool:
    """Whether a layer is given something several times that has to be computed once."""
    inner = _inner(expr)
    own = expr.value if isinstance(expr, ir.Item) else expr
    return inner is not None and ((isinstance(own, ir.Apply) and len(own.inputs) > 1) or _repeats(inner))


def _replaced(expr: ir.Expr, by: ir.Var) -> ir.Expr:
    if isinstance(expr, ir.Item):
        return replace(expr, value=_replaced(expr.value, by))
    if isinstance(expr, ir.Apply):
        return replace(expr, inputs=(by,) * len(expr.inputs))
    if isinstance(expr, ir.Operation):
        return replace(expr, left=by)
    assert isinstance(expr, ir.Function)
    return replace(expr, arguments=((expr.arguments[0][0], by), *expr.arguments[1:]))


def _rest(expr: ir.Expr) -> tuple[ir.Expr, ...]:
    if isinstance(expr, ir.Operation):
        return (expr.right,)
    return tuple(a for _, a in expr.arguments[1:]) if isinstance(expr, ir.Function) else ()


def _reads(rest: tuple[ir.Expr, ...], name: str, of: Forward) -> bool:
    """Whether what stays behind reads the variable that the step would overwrite."""
    return any(of.name(v) == name for v in _variables(rest))
