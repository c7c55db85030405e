"""One network: names to layers and functions, shapes from the inputs to the result.

In: a `syntax.Network` and the constants around it. Out: an `ir.Network`, or None with the reasons in the report.
Guarantees: every layer has its arguments, inferred ones included, and every value its shape; what follows from a
mistake is not reported again, because a value that is wrong is `ERROR` from then on. Leaves to `layers` and
`functions` what a single call means, and to `symbolic` which sizes stay expressions.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from netc import catalog, ir
from netc import syntax as s
from netc.checker import functions, layers
from netc.checker.expressions import BUILTINS, ERROR, Evaluator, kind_of
from netc.checker.python_text import names, text
from netc.checker.values import Tensor, TensorTuple
from netc.diagnostics import Label, suggestion
from netc.identifiers import MODULE_ATTRIBUTES, python_name, valid_name
from netc.literals import literal
from netc.shapes import Size, TensorType, substitute, symbol

if TYPE_CHECKING:
    from netc.diagnostics import Report
    from netc.shapes import Dim
    from netc.source import Source, Span

DTYPES = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")


class NetworkChecker(Evaluator):
    """Checks one body. `env` holds tensors beside the values that are known when the network is built."""

    def __init__(
        self, source: Source, report: Report, constants: dict[str, Any], definitions: dict[str, s.Definition]
    ) -> None:
        super().__init__(report, dict(constants))
        self.source = source
        self.definitions = definitions
        self.prefix = ""  # of the labels within a `seq`, for the summary
        self.argument_spans: dict[str, Span] = {}  # of the call that is being checked
        self.parameters: dict[str, Any] = {}
        self.constants = frozenset(constants)
        self.stored: set[str] = set()  # parameters and constants that `forward` reads
        self.labels: dict[str, ir.Child | None] = {}
        self.children: list[ir.Child] = []
        self.inputs: list[ir.Input] = []
        self.sizes: dict[str, str] = {}  # a size of run time -> the Python that gives it
        self.body: list[ir.Assign] = []
        self.rows: list[ir.Row] = []
        self.locals: list[ir.Constant] = []
        self.current: Any = None
        self.spans: dict[str, Span] = {}
        self.started = False
        self.declared = 0  # inputs, right or wrong

    # --- statements --------------------------------------------------------------------------------------------------

    def run(self, body: s.Body) -> None:
        for statement in body.statements:
            if not isinstance(statement, s.Broken):
                getattr(self, f"do_{type(statement).__name__.lower()}")(statement)
            else:
                self.current = ERROR

    def do_input(self, statement: s.Input) -> None:
        name = statement.name
        if self.started:
            self.report.add(
                "E0203", "an `input` stands after the first layer", statement.span, help="declare the inputs first"
            )
        if not self.declare(name.text, name.span, "input"):
            return
        dtype = statement.dtype.text if statement.dtype else "float32"
        if dtype not in DTYPES:
            assert statement.dtype is not None
            self.report.add(
                "E0204",
                f"`{dtype}` is not a type of tensor",
                statement.dtype.span,
                help=suggestion(dtype, DTYPES) or f"it is one of {', '.join(DTYPES)}",
            )
            dtype = "float32"
        dims = [self.dimension(item, name.text, axis) for axis, item in enumerate(statement.shape.items)]
        if not dims:
            self.report.add(
                "E0403",
                "an input has at least one axis, the batch",
                statement.shape.span,
                help="write the batch first, as in `[N, 3, 32, 32]`",
            )
        if not dims or ERROR in dims:
            self.env[name.text] = ERROR
        else:
            type_ = TensorType(tuple(dims), dtype)
            self.inputs.append(ir.Input(name.text, type_, statement.span))
            self.env[name.text] = Tensor(ir.Var(name.text, type_), type_)
        self.declared += 1
        self.current = self.env[name.text] if self.declared == 1 else None

    def dimension(self, item: s.Expr, input_name: str, axis: int) -> Any:
        """One axis of an input: a capital is a size of run time, anything else is known."""
        if isinstance(item, s.Name) and item.text[0].isupper() and item.text not in self.env:
            self.sizes.setdefault(item.text, f"{python_name(input_name)}.shape[{axis}]")
            self.env[item.text] = symbol(item.text)
            return self.env[item.text]
        value = self.evaluate(item)
        if value is ERROR or isinstance(value, Size):
            return value
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            shown = f"`{value!r}`" if isinstance(value, (int, float)) else kind_of(value)
            self.report.add("E0403", f"an axis of an input is a positive integer or a capital, not {shown}", item.span)
            return ERROR
        return value

    def do_flow(self, statement: s.Flow) -> None:
        self.started = True
        value = self.chain(statement.chain)
        if isinstance(value, (Tensor, TensorTuple)):
            self.assign("_", value, statement.span)
        elif value is not ERROR and value is not None:
            self.report.add(
                "E0206",
                f"this is {kind_of(value)}, and a step of a network gives a tensor",
                statement.span,
                help="bind it to a name with `name = …`, or remove it",
            )
            self.current = ERROR
        else:
            self.current = value

    def assign(self, target: str, value: Any, span: Span) -> None:
        """Make a line of `forward`, and let later lines refer to its target."""
        if isinstance(value, TensorTuple):
            self.not_yet(span, "a value of several tensors")
            self.current = ERROR
            return
        self.body.append(ir.Assign(target, value.expr, span))
        bound = Tensor(ir.Var(target, value.type), value.type, value.made)
        if target == "_":
            self.current = bound
        else:
            self.env[target] = bound

    def do_bind(self, statement: s.Bind) -> None:
        self.started = True
        if len(statement.targets) > 1 or isinstance(statement.targets[0], s.TargetTuple):
            self.not_yet(statement.span, "taking a tuple apart")
            for target in _idents(statement.targets):
                self.env[target.text] = ERROR
            return
        (name,) = statement.targets
        assert isinstance(name, s.Ident)
        value = self.chain(statement.chain, bound=True)
        if name.text == "_":
            self.report.add(
                "E0207", "`_` is the current value and can't be bound", name.span, help="write the chain without `_ =`"
            )
            return
        if not valid_name(name.text, name.span, self.report):
            return
        if name.text in self.given:
            self.report.add(
                "E0208",
                f"`{name.text}` is a constant or parameter already, and can't be bound again",
                name.span,
                help="choose another name",
            )
            return
        self.spans[name.text] = name.span
        if isinstance(value, (Tensor, TensorTuple)):
            self.assign(name.text, value, statement.span)
            return
        if value is not ERROR:
            self.bind_constant(name.text, value, statement.chain)
        self.env[name.text] = value

    def bind_constant(self, name: str, value: Any, chain: s.Chain) -> None:
        """A value that is known when the network is built becomes a local of the constructor."""
        expr = chain.links[0].step
        assert not isinstance(expr, (s.Seq, s.Inline, s.Edited))
        self.locals.append(ir.Constant(name, self.code(expr, value)))

    def do_output(self, statement: s.Output) -> None:
        self.not_yet(statement.span, "an `output`")

    def do_parameter(self, statement: s.Parameter) -> None:
        self.not_yet(statement.span, "a `param`")
        self.env[statement.name.text] = ERROR

    def do_buffer(self, statement: s.Buffer) -> None:
        self.not_yet(statement.span, "a `buffer`")
        self.env[statement.name.text] = ERROR

    def do_if(self, statement: s.If) -> None:
        self.not_yet(statement.span.before(statement.branches[0][1].span), "an `if`")
        self.current = ERROR

    def do_for(self, statement: s.For) -> None:
        self.not_yet(statement.span.before(statement.body.span), "a `for` loop")
        self.current = ERROR

    def do_init(self, statement: s.Init) -> None:
        self.not_yet(statement.span, "an `init` block")

    def declare(self, name: str, span: Span, what: str) -> bool:
        """Note a name that is declared; False (reported) where it is taken or can't be one."""
        if not valid_name(name, span, self.report):
            self.env[name] = ERROR
            return False
        if name in self.spans:
            self.report.add(
                "E0208",
                f"the {what} `{name}` is declared twice",
                span,
                "again",
                secondary=[Label(self.spans[name], "first here")],
                help="rename one of them",
            )
            return False
        self.spans[name] = span
        return True

    # --- chains ------------------------------------------------------------------------------------------------------

    def chain(self, chain: s.Chain, bound: bool = False) -> Any:
        """The value of a chain. `_` is read once, before it begins."""
        value = self.current
        for i, link in enumerate(chain.links):
            value = self.link(link, value, head=i == 0)
            if i and not isinstance(value, (Tensor, TensorTuple)) and value is not ERROR:
                return ERROR
        return value

    def link(self, link: s.Link, value: Any, head: bool) -> Any:
        step = link.step
        if link.label is not None:
            return layers.labelled(self, link, value)
        if isinstance(step, s.Seq):
            self.report.add(
                "E0205",
                "a `seq` needs a label",
                step.span.before(step.body.span),
                help="name it, as in `features: seq { … }`",
            )
            return ERROR
        if isinstance(step, s.Inline):
            return self.not_yet(step.span, "a module written where it is used")
        if isinstance(step, s.Edited):
            return self.not_yet(step.span, "editing a layer in braces")
        if isinstance(step, s.Paren) and not head:
            step = step.inner
        return self.step(step, value, head)

    def step(self, step: s.Expr, value: Any, head: bool) -> Any:
        """An unlabelled step: a layer, a label, a function, or at the head of a chain any expression."""
        callee = step.callee if isinstance(step, s.Call) else step
        if isinstance(callee, s.Attribute):
            return layers.dotted(self, step, callee)
        if isinstance(callee, s.Name):
            name = callee.text
            if head and isinstance(step, s.Name) and name in self.env:
                return self.env[name]
            if head and name == "_":
                return self.the_current(step.span) if isinstance(step, s.Name) else self.evaluate(step)
            if name in self.labels:
                return layers.again(self, step, name, value)
            if name[0].isupper():
                return layers.unnamed(self, step, callee, value)
            if catalog.function(name) is not None:
                return functions.apply(self, step, callee, value, head)
            if not head:
                return functions.unknown(self, callee)
        if isinstance(step, s.String):
            return layers.by_path(self, step, value)
        if head:
            return self.evaluate(step)
        self.report.add(
            "E0209",
            "after `->` stands a layer or a function",
            step.span,
            help="begin a new line with this expression; `_` is the current value",
        )
        return ERROR

    def the_current(self, span: Span) -> Any:
        """`_`, where there is one."""
        if not self.declared:
            return ERROR  # that there is no input is reported once, for the network
        if self.current is None:
            inputs = ", ".join(f"`{i.name}`" for i in self.inputs)
            self.report.add(
                "E0210",
                "there is no current value yet",
                span,
                help=f"begin with one of the inputs: {inputs}",
            )
            return ERROR
        return self.current

    @property
    def given(self) -> frozenset[str]:
        """The names that come from outside the body: constants of the file and parameters."""
        return self.constants | self.parameters.keys()

    # --- expressions with tensors ------------------------------------------------------------------------------------

    def eval_name(self, expr: s.Name) -> Any:
        if expr.text == "_":
            return self.the_current(expr.span)
        if expr.text in self.env:
            return self.env[expr.text]
        if expr.text in self.labels:
            self.report.add(
                "E0211",
                f"`{expr.text}` is a layer, not a value",
                expr.span,
                help=f"bind what it gives: `value = _ -> {expr.text}`",
            )
            return ERROR
        return self.unknown(expr)

    def unknown(self, expr: s.Name) -> Any:
        if catalog.layer(expr.text) is not None:
            self.report.add(
                "E0211",
                f"`{expr.text}` is a layer, not a value",
                expr.span,
                help=f"apply it in a chain: `value = _ -> {expr.text}(…)`",
            )
            return ERROR
        return super().unknown(expr)

    def eval_binary(self, expr: s.Binary) -> Any:
        left, right = self.evaluate(expr.left), self.evaluate(expr.right)
        if isinstance(left, Tensor) or isinstance(right, Tensor):
            return functions.binary(self, expr, left, right)
        if expr.op == "@":
            return ERROR if ERROR in (left, right) else self.fail(expr.span, "`@` multiplies tensors, not numbers")
        return super().eval_binary(expr)

    def eval_tuple(self, expr: s.Tuple) -> Any:
        value = super().eval_tuple(expr)
        several = isinstance(value, tuple) and value and all(isinstance(item, Tensor) for item in value)
        return TensorTuple(value) if several else value

    def eval_unary(self, expr: s.Unary) -> Any:
        value = self.evaluate(expr.operand)
        if isinstance(value, Tensor):
            if expr.op == "not":
                return self.fail(expr.span, "`not` can't be done with a tensor")
            if expr.op == "+":
                return value
            return Tensor(ir.Operation("-", None, value.expr, value.type, expr.span), value.type)
        return super().eval_unary(expr)

    def eval_compare(self, expr: s.Compare) -> Any:
        if any(isinstance(self.evaluate(operand), Tensor) for operand in expr.operands):
            return self.not_yet(expr.span, "comparing tensors")
        return super().eval_compare(expr)

    def eval_attribute(self, expr: s.Attribute) -> Any:
        value = self.evaluate(expr.value)
        if isinstance(value, Tensor) and expr.name.text == "shape":
            return value.type.shape
        return ERROR if value is ERROR else super().eval_attribute(expr)

    def eval_index(self, expr: s.Index) -> Any:
        value = self.evaluate(expr.value)
        if isinstance(value, (Tensor, TensorTuple)):
            return self.not_yet(expr.span, "indexing a tensor")
        return ERROR if value is ERROR else super().eval_index(expr)

    def eval_call(self, expr: s.Call) -> Any:
        if isinstance(expr.callee, s.Attribute):
            method = expr.callee.name.text
            return self.fail(
                expr.callee.span, f"`{method}` is not called as a method", f"write it as a step: `value -> {method}(…)`"
            )
        if isinstance(expr.callee, s.Name):
            name = expr.callee.text
            if name in self.labels:
                return functions.called_label(self, expr, name)
            if catalog.layer(name) is not None:
                return functions.called_layer(self, expr, name)
            if name not in BUILTINS or functions.has_tensor(self, expr):
                if catalog.function(name) is not None:
                    return functions.apply(self, expr, expr.callee, None, head=False)
                return functions.unknown(self, expr.callee)
        return super().eval_call(expr)

    # --- code --------------------------------------------------------------------------------------------------------

    def code(self, expr: s.Expr, value: Any) -> str:
        """The Python of a value in the constructor."""
        if isinstance(expr, (s.Number, s.String, s.Literal)):
            return literal(value)
        if any(name in self.sizes for name in names(expr)):
            return self.runtime_code(value)
        return text(expr, python_name)

    def forward_code(self, expr: s.Expr, value: Any) -> str:
        """The Python of a value in `forward`, where parameters and constants are attributes."""
        if any(name in self.sizes for name in names(expr)):
            return self.runtime_code(value)
        return text(expr, self._attribute)

    def _attribute(self, name: str) -> str:
        own = name in self.parameters or any(c.name == name for c in self.locals)
        if own:
            self.stored.add(name)
        return f"self.{self.attribute(name)}" if own else python_name(name)

    def attribute(self, name: str) -> str:
        """The attribute that holds a parameter: its name, or with an underscore where a child bears it."""
        taken = name in MODULE_ATTRIBUTES or name in self.labels
        return f"_{name}" if taken else python_name(name)

    def runtime_code(self, value: Any) -> str:
        """The Python of a size of run time, a number, or a list of them."""
        if isinstance(value, (list, tuple)):
            inner = ", ".join(self.runtime_code(item) for item in value)
            return f"[{inner}]" if isinstance(value, list) else f"({inner}{',' * (len(value) == 1)})"
        if not isinstance(value, Size):
            return literal(value)
        attributes = {n: f"self.{self.attribute(n[1:])}" for n in value.symbols if n.startswith("$")}
        self.stored |= {n[1:] for n in attributes}
        return size_code(value, self.sizes | attributes)

    def inferred_code(self, size: Any) -> str:
        """The Python of an argument that follows from the input."""
        if isinstance(size, (list, tuple)):
            inner = ", ".join(self.inferred_code(item) for item in size)
            return f"[{inner}]" if isinstance(size, list) else f"({inner}{',' * (len(size) == 1)})"
        return size_code(size, {}) if isinstance(size, Size) else literal(size)

    # --- for layers --------------------------------------------------------------------------------------------------

    def built(self, size: Any) -> bool:
        """Whether a size is known when the network is built."""
        if isinstance(size, (list, tuple)):
            return all(map(self.built, size))
        return not isinstance(size, Size) or all(n.startswith("$") for n in size.symbols)

    def source_text(self, span: Span) -> str:
        return self.source.slice(span)

    def free_label(self, layer: str) -> str:
        """A label for a layer that has none: its name in lower case, numbered where that is taken."""
        base = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", layer).lower()
        taken = {*self.labels, *self.env, *MODULE_ATTRIBUTES}
        return base if base not in taken else next(f"{base}{i}" for i in range(2, 10**6) if f"{base}{i}" not in taken)


def size_code(size: Dim, sizes: dict[str, str]) -> str:
    """A size as Python: parameters by their names, sizes of run time by the shapes that hold them."""
    if isinstance(size, int):
        return str(size)
    python = {n: symbol(sizes.get(n) or n.removeprefix("$")) for n in size.symbols}
    return str(substitute(size, python))


def _idents(targets: tuple[s.Target, ...]) -> list[s.Ident]:
    out: list[s.Ident] = []
    for target in targets:
        out += _idents(target.items) if isinstance(target, s.TargetTuple) else [target]
    return out
