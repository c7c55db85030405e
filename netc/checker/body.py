"""One body, of a network or module, for one instance of it: names to layers and functions, inputs to result.

In: a `Definition`, the values of its parameters, and the types of its inputs (none for a network, which declares them).
Out: what the instance is made of, or mistakes in the report. Guarantees: every layer has its arguments, inferred ones
included, and every value its shape; what follows from a mistake is not reported again, because a value that is wrong
is `ERROR` from then on. With a `Recorder`, the body is followed in general: sizes are expressions over parameters,
branches that the instance doesn't take are followed too, and the statements of the class are recorded.
Leaves to others: a single call (`layers`, `modules`, `functions`), `if`, `for` and `seq` (`blocks`), weights of its
own, outputs and initialisers (`state`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc import catalog, ir
from netc import syntax as s
from netc.checker import (
    bindings,
    blocks,
    deferred,
    formulas,
    functions,
    inputs,
    layers,
    operations,
    references,
    sources,
    state,
    steps,
)
from netc.checker.expressions import BINARY, BUILTINS, ERROR, Evaluator, kind_of
from netc.checker.hints import elsewhere, method_call
from netc.checker.python_text import names, text
from netc.checker.recorder import UNKNOWN, mark
from netc.checker.units import lost_words
from netc.checker.values import DTYPES, Formula, LayerRef, Tensor, TensorTuple, alone, has_size, key_of, tensors
from netc.diagnostics import Label, Report
from netc.identifiers import valid_name
from netc.limits import STATEMENT, meter, spend
from netc.literals import literal
from netc.shapes import Size, TensorType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netc.catalog.entry import Entry
    from netc.checker.recorder import Recorder
    from netc.checker.session import Session
    from netc.checker.units import Definition
    from netc.source import Span

CARRY = ("zip", "enumerate", "list", "tuple", "reversed")  # functions that lay out values and compute nothing
AXES = {1: "F", 2: "NF", 3: "NTD", 4: "NCHW", 5: "NCDHW"}  # what the axes of an unnamed input are called


class Body(Evaluator):
    """Follows one body. `env` holds tensors beside the values that are known when the network is built."""

    def __init__(
        self,
        session: Session,
        definition: Definition,
        report: Report,
        values: Mapping[str, Any],
        inputs: tuple[TensorType, ...] | None,
        recorder: Recorder | None = None,
    ) -> None:
        unit = definition.unit
        super().__init__(report, {**unit.constants, **values})
        self.session = session
        self.owner = definition
        self.source = unit.source
        self.rec = recorder
        self.parameters: dict[str, Any] = {}
        self.arriving = inputs
        self.constants = frozenset(unit.constants)
        self.argument_spans: dict[str, Span] = {}  # of the call that is being checked
        self.labels: dict[str, Any] = {}
        self.results: dict[str, Any] = {}  # label of a module -> the types that it gives
        self.built_from: dict[str, tuple[Definition, dict[str, Any], dict[str, Any]]] = {}  # label -> module, arguments
        self.codes: dict[str, str] = {}  # label -> the Python that names the child
        self.children: list[ir.Child] = []
        self.held: list[ir.Held] = []
        self.inputs: list[ir.Input] = []
        self.sizes: dict[str, tuple[str, int]] = {}  # name of a size -> the input and axis that hold it
        self.rows: list[ir.Row] = []
        self.called: list[tuple[int, int, Span]] = []  # modules: their first row, the row behind them, and the call
        self.outputs: list[tuple[str, Tensor, bool]] = []
        self.conditional: dict[str, str] = {}  # output -> the condition in `forward` under which there is one
        self.absent: set[str] = set()  # outputs that the instance doesn't have
        self.fills: list[s.Init] = []
        self.looked_up: dict[str, int] = {}
        self.decisions: list[bool] = []  # of the conditions, in order
        self.prefix = ""  # of the labels within a `seq`, for the summary
        self.path = "self"  # the Python of what labels belong to
        self.in_seq = False
        self.in_training = False
        self.nested = 0  # in how many `for` and `if`
        self.turn: str | None = None  # the name that the innermost loop counts with
        self.comprehended: set[str] = set()  # names of the comprehension that is being followed
        self.lasting: dict[str, dict[int, str]] = {}  # bound in a loop, read behind it: the variables of its sizes
        self.untaken = False  # in a branch that the instance doesn't take
        self.hidden: dict[tuple[str, bool], dict[str, Any]] = {}  # condition -> what its untaken branch has bound
        self.formula: str | None = None  # that is being followed: the tensor that it is given first
        self.current: Any = None
        self.spans: dict[str, Span] = {}
        self.started = False
        self.declared = 0  # inputs, right or wrong
        self.fruitless: Span | None = None  # an `if training` that nothing leaves
        self.refused = False  # an input doesn't fit its pattern
        self.broken = False  # an output is wrong
        self.is_seq = False  # the whole body is one nn.Sequential
        self.version: int | None = None  # of the state dict

    def set_parameters(self, values: Mapping[str, Any]) -> None:
        """Give the parameters their values; in general integers become symbols."""
        self.parameters = dict(values)
        for name, value in values.items():
            self.env[name] = self.known(name, value)

    def known(self, name: str, value: Any) -> Any:
        """The value of a name of the constructor; in general an integer is an expression."""
        if self.rec is not None and (type(value) is int or isinstance(value, Size)):
            return self.rec.named(name, self.rec.witness(value))
        return value if self.rec is None else self.items_of(mark(name), value)

    def items_of(self, code: str, value: Any) -> Any:
        """A list of a name of the constructor, its sizes as `sizes[0]`."""
        assert self.rec is not None
        if isinstance(value, Size):
            return self.rec.opaque(code, self.rec.witness(value))
        if isinstance(value, list) or type(value) is tuple:
            return type(value)(self.items_of(f"{code}[{i}]", item) for i, item in enumerate(value))
        return value

    # --- names -------------------------------------------------------------------------------------------------------

    def definition(self, name: str) -> Definition | None:
        return self.owner.unit.definitions.get(name)

    def python(self, name: str) -> Entry | None:
        return self.owner.unit.python.get(name)

    def function(self, name: str) -> Entry | None:
        """A function of a `use`d file, or of torch."""
        return self.owner.unit.python.get(name) or catalog.function(name)

    def layer_call(self, expr: s.Call, callee: s.Expr) -> Any:
        return references.reference(self, expr, callee)

    def set_name(self, target: s.Ident, value: Any) -> None:
        """Give a name of a loop, or of a value known at building, its value."""
        if self.rec is not None and (type(value) is int or isinstance(value, Size)):
            value = self.rec.named(target.text, self.rec.witness(value))
        self.env[target.text] = value

    # --- values in general -------------------------------------------------------------------------------------------

    def evaluate(self, expr: s.Expr) -> Any:
        value = super().evaluate(expr)
        if self.rec is None:
            return value
        if isinstance(value, Size) and self.chooses(expr):
            hidden = self.formula or self.comprehended & set(names(expr)) or functions.mentions_shape(self, expr)
            number = self.rec.witness(value)
            return self.rec.unknown(number) if hidden else self.rec.opaque(self.code(expr, value), number)
        if type(value) is int and not isinstance(expr, (s.Number, s.Paren)) and self.depends(expr):
            hidden = self.formula or self.comprehended & set(names(expr))
            return self.rec.unknown(value) if hidden else self.rec.opaque(self.code(expr, value), value)
        return value

    def chooses(self, expr: s.Expr) -> bool:
        """Whether an expression gives one of several values, and which one hangs on the instance."""
        if isinstance(expr, s.Ternary):
            return self.varies(expr.condition)
        if isinstance(expr, s.Boolean):
            return self.varies(expr.left)
        if not isinstance(expr, s.Index) or isinstance(expr.value, s.Attribute):
            return False
        return any(self.varies(item) for item in expr.subscripts)

    def varies(self, node: object) -> bool:
        """Whether a part of an expression hangs on the instance, the shape of a tensor included."""
        return any(name == "_" or (name in self.env and name not in self.constants) for name in names(node))

    def depends(self, expr: s.Expr) -> bool:
        """Whether an expression hangs on the instance: on a parameter, a size, a local, but on no tensor."""
        found = False
        for name in names(expr):
            if isinstance(self.env.get(name), (Tensor, TensorTuple)) or name == "_":
                return False
            found = found or (name in self.env and name not in self.constants)
        return found

    def apply(self, operation: Any, operands: tuple[Any, ...], expr: s.Expr, what: str) -> Any:
        if self.rec is None or any(operand is ERROR for operand in operands):
            return super().apply(operation, operands, expr, what)
        if isinstance(expr, (s.Binary, s.Unary)) and all(type(o) is int or isinstance(o, Size) for o in operands):
            try:
                result = operation(*operands)
            except (TypeError, ValueError, ZeroDivisionError, AttributeError):
                result = None
            if type(result) is int or isinstance(result, Size):
                return result
        first = operands[0] if operands else None
        carries = isinstance(expr, s.Index) or (
            isinstance(expr, s.Call) and isinstance(expr.callee, s.Name) and expr.callee.text in CARRY
        )
        if carries:  # what only picks or lays out values keeps the expressions
            others = operands[1:] if isinstance(expr, s.Call) else tuple(self.rec.witness(o) for o in operands[1:])
            return super().apply(operation, (first, *others), expr, what)
        concrete = tuple(self.rec.witness(o) for o in operands)
        result = super().apply(operation, concrete, expr, what)
        sized = any(o is not w and has_size(o) for o, w in zip(operands, concrete, strict=True))
        return self.rec.unknown(result) if sized and type(result) is int and not self.depends(expr) else result

    def eval_comprehension(self, expr: s.Comprehension) -> Any:
        outer = self.comprehended
        self.comprehended = outer | {ident.text for ident in s.idents(expr.targets)}
        value = super().eval_comprehension(expr)
        self.comprehended = outer
        return value

    def truth(self, value: Any) -> bool:
        return bool(value if self.rec is None else self.rec.witness(value))

    def formula_value(self, inner: Evaluator, formula: Formula, given: dict[str, Any], expr: s.Call) -> Any:
        if any(map(tensors, given.values())):
            return formulas.formula(self, formula, given, expr)
        concrete = given if self.rec is None else {n: self.rec.witness(v) for n, v in given.items()}
        key = id(formula.body), key_of(concrete)
        if key not in self.session.computed:
            value = super().formula_value(inner, formula, concrete, expr)
            if value is ERROR:
                return ERROR
            self.session.computed[key] = value
        return self.session.computed[key]

    # --- statements --------------------------------------------------------------------------------------------------

    def run(self) -> Body:
        """Follow the whole body."""
        body = self.owner.body
        if self.arriving is not None and not any(isinstance(st, s.Input) for st in body.statements):
            inputs.take_input(self, "x", None, body.span)
        self.block(body)
        return self

    def block(self, body: s.Body) -> None:
        first = self.owner.unit.first
        for statement in body.statements:
            spend(STATEMENT)
            if first:
                meter.place = statement.span
            if isinstance(statement, s.Broken):
                self.current = ERROR
            else:
                getattr(self, f"do_{type(statement).__name__.lower()}")(statement)

    def do_input(self, statement: s.Input) -> None:
        name = statement.name
        if self.started or self.in_seq or self.nested:
            self.report.add(
                "E0203", "an `input` stands after the first layer", statement.span, help="declare the inputs first"
            )
            self.env[name.text] = ERROR
            return
        if self.declare(name.text, name.span, "input"):
            inputs.take_input(self, name.text, statement, statement.span)

    def do_flow(self, statement: s.Flow) -> None:
        self.started = True
        if self.in_seq:
            blocks.members(self, statement)
            return
        first = statement.chain.links[0]
        if isinstance(first.step, s.Seq) and first.label is None and len(statement.chain.links) == 1:
            blocks.whole(self, first.step, statement)
            return
        value = alone(self.chain(statement.chain))
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
        bound = self.bound(target, value)
        if self.rec is not None:
            if target in self.lasting and isinstance(bound, Tensor):
                bound = bindings.lasts(self, target, bound)
            bindings.keep_current(self, {target}, span)
            line = ir.Assign(target, functions.as_expr(value), span)
            self.rec.flow.append(line)
            if target != "_" and all(t.constant for t in tensors(value)):
                self.rec.constant(line, (target,))
        if target == "_":
            self.current = bound
        else:
            self.env[target] = bound

    def bound(self, target: str, value: Any) -> Any:
        if isinstance(value, TensorTuple):
            names_ = ir.Var(target, value.items[0].type if isinstance(value.items[0], Tensor) else TensorType(()))
            items = tuple(self.part(names_, i, item) for i, item in enumerate(value.items))
            if value.names:
                return deferred.python_layers().with_names(TensorTuple(items, names_, value.made), value.names)
            return TensorTuple(items, names_, value.made)
        return Tensor(ir.Var(target, value.type), value.type, value.made, value.constant, value.source)

    def part(self, whole: ir.Expr, index: int, item: Any) -> Any:
        """One of several values, by its position."""
        expr = ir.Item(whole, (ir.Value(str(index)),), functions.types(item))
        if isinstance(item, TensorTuple):
            return TensorTuple(tuple(self.part(expr, i, inner) for i, inner in enumerate(item.items)), expr, item.made)
        return Tensor(expr, item.type, item.made, item.constant, item.source)

    def do_bind(self, statement: s.Bind) -> None:
        self.started = True
        bindings.bind(self, statement)

    def do_output(self, statement: s.Output) -> None:
        state.output(self, statement)

    def do_parameter(self, statement: s.Parameter) -> None:
        state.parameter(self, statement)

    def do_buffer(self, statement: s.Buffer) -> None:
        state.buffer(self, statement)

    def do_declare(self, statement: s.Declare) -> None:
        self.started = True
        layers.declare(self, statement)

    def do_init(self, statement: s.Init) -> None:
        self.fills.append(statement)

    def do_if(self, statement: s.If) -> None:
        self.started = True
        blocks.branch(self, statement)

    def do_for(self, statement: s.For) -> None:
        self.started = True
        blocks.loop(self, statement)

    def declare(self, name: str, span: Span, what: str) -> bool:
        """Note a name that is declared; False (reported) where it is taken or can't be one."""
        if not valid_name(name, span, self.report):
            self.env[name] = ERROR
            return False
        declared = {p.name.text: p.name.span for p in self.owner.params} | self.spans
        if name in declared:
            self.report.add(
                "E0208",
                f"the {what} `{name}` is declared twice",
                span,
                "again",
                secondary=[Label(declared[name], "first here")],
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
            value = steps.follow(self, link, alone(value), head=i == 0)
            if i and not isinstance(value, (Tensor, TensorTuple)) and value is not ERROR:
                return ERROR
        return value

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
        return super().eval_name(expr)

    def lacks(self, name: str) -> bool:
        """Whether a name that isn't there may be missing because of another mistake."""
        return self.owner.unit.lacks(name) or name in lost_words(self.source, self.owner.body.statements)

    def unknown(self, expr: s.Name) -> Any:
        if self.lacks(expr.text):
            return ERROR
        why = elsewhere(self, expr.text)
        if why is None:
            return super().unknown(expr)
        self.report.add("E0201", f"`{expr.text}` is not defined", expr.span, help=why)
        return ERROR

    def eval_binary(self, expr: s.Binary) -> Any:
        left, right = self.evaluate(expr.left), self.evaluate(expr.right)
        several = [v for v in (left, right) if isinstance(v, TensorTuple) and not v.of_layer]
        if several and ERROR not in (left, right):
            lists = all(isinstance(v, (list, TensorTuple)) for v in (left, right))
            return self.fail(
                expr.span, f"`{expr.op}` can't be done with several tensors",
                "a list of tensors doesn't grow: join tensors with `cat([a, b], 1)` or `stack`, or give each its name"
                if lists else "take them apart first: `a, b = …`",
            )  # fmt: skip
        if isinstance(left, Tensor) or isinstance(right, Tensor):
            return operations.binary(self, expr, left, right)
        for side, value in ((expr.left, left), (expr.right, right)):
            if isinstance(value, LayerRef):
                return self.no_value(side, value)
        if expr.op == "@":
            return ERROR if ERROR in (left, right) else self.fail(expr.span, "`@` multiplies tensors, not numbers")
        return self.apply(BINARY[expr.op], (left, right), expr, f"`{expr.op}`")

    def no_value(self, expr: s.Expr, value: LayerRef) -> Any:
        """Report a layer where a number or tensor is needed."""
        self.report.add(
            "E0211",
            f"`{value.name}` is a layer, not a value",
            expr.span,
            help=f"apply it in a chain: `value = _ -> {value.name}(…)`",
        )
        return ERROR

    def eval_tuple(self, expr: s.Tuple) -> Any:
        value = super().eval_tuple(expr)
        several = isinstance(value, tuple) and value and all(isinstance(i, (Tensor, TensorTuple)) for i in value)
        return TensorTuple(value) if several else value

    def eval_unary(self, expr: s.Unary) -> Any:
        value = self.evaluate(expr.operand)
        if isinstance(value, Tensor):
            if expr.op == "not":
                return self.fail(expr.span, "`not` can't be done with a tensor")
            if expr.op == "+":
                return value
            made = ir.Operation("-", None, value.expr, value.type, expr.span)
            return Tensor(made, value.type, None, value.constant, sources.inside(value.source, "-"))
        return super().eval_unary(expr)

    def eval_compare(self, expr: s.Compare) -> Any:
        values = [self.evaluate(operand) for operand in expr.operands]
        if any(isinstance(v, Tensor) for v in values):
            return operations.compare(self, expr, values)
        return self.compared(expr, values)

    def _is_tensor(self, expr: s.Expr) -> bool:
        return functions.mentions_tensor(self, expr) and isinstance(self.evaluate(expr), (Tensor, TensorTuple))

    def eval_boolean(self, expr: s.Boolean) -> Any:
        if self._is_tensor(expr.left):
            return self.fail(expr.left.span, f"`{expr.op}` is decided when the network is built, and this is a tensor",
                             f"for tensors there is `logical_{expr.op}(a, b)`")  # fmt: skip
        return super().eval_boolean(expr)

    def eval_ternary(self, expr: s.Ternary) -> Any:
        if self._is_tensor(expr.condition):
            self.report.add(
                "E0233", "a condition is decided when the network is built, and this is a tensor", expr.condition.span,
                help="compute both and choose with `where(condition, a, b)`",
            )  # fmt: skip
            return ERROR
        value = super().eval_ternary(expr)
        if isinstance(value, (Tensor, TensorTuple)):
            return self.fail(expr.span, "`if … else` in an expression chooses between values, and this is a tensor",
                             "write it as a block: `if condition { y = a } else { y = b }`")  # fmt: skip
        return value

    def eval_attribute(self, expr: s.Attribute) -> Any:
        if isinstance(expr.value, s.Name) and expr.value.text in self.labels and expr.value.text not in self.env:
            return layers.attribute(self, expr, expr.value.text)
        value = self.evaluate(expr.value)
        if isinstance(value, Tensor) and expr.name.text == "shape":
            return value.type.shape
        return ERROR if value is ERROR else super().eval_attribute(expr)

    def eval_index(self, expr: s.Index) -> Any:
        value = self.evaluate(expr.value)
        if isinstance(value, (Tensor, TensorTuple)):
            return operations.index(self, expr, value)
        return ERROR if value is ERROR else super().eval_index(expr)

    def eval_call(self, expr: s.Call) -> Any:
        if isinstance(expr.callee, s.Attribute):
            return method_call(self, expr, expr.callee)
        if isinstance(expr.callee, s.Name):
            name = expr.callee.text
            if name in self.labels:
                return functions.called_label(self, expr, name)
            if self.env.get(name) is ERROR:
                return ERROR
            known = name in BUILTINS or isinstance(self.env.get(name), (Formula, LayerRef)) or name[0].isupper()
            if not known or (name in BUILTINS and functions.has_tensor(self, expr)):
                if self.function(name) is not None:
                    return functions.apply(self, expr, expr.callee, None, head=False)
                return functions.unknown(self, expr.callee)
        return super().eval_call(expr)

    # --- code --------------------------------------------------------------------------------------------------------

    def code(self, expr: s.Expr, value: Any) -> str:
        """The Python of a value in the constructor."""
        if self.rec is None:
            return ""
        if functions.mentions_shape(self, expr):
            return self.rec.code(value)
        return text(expr, self.named, self.layer_text)

    def forward_code(self, expr: s.Expr, value: Any) -> str:
        """The Python of a value in `forward`."""
        return "" if self.rec is None else text(expr, self.named, self.layer_text)

    def named(self, name: str) -> str:
        """A name in code: a mark, torch's type, or a child."""
        if name in self.labels and name not in self.env:
            return self.codes.get(name, mark(name))
        return f"torch.{name}" if name in DTYPES and name not in self.env else mark(name)

    def layer_text(self, expr: s.Expr) -> str | None:
        """The Python of a layer as a value; None for what is none."""
        name = expr if isinstance(expr, s.Name) else expr.callee if isinstance(expr, s.Call) else None
        if not isinstance(name, s.Name) or (name is expr and name.text in self.env):
            return None
        value = self.env.get(name.text)
        if not name.text[0].isupper() and not isinstance(value, LayerRef):
            return None
        ref = self.evaluate(expr)
        if not isinstance(ref, LayerRef):
            return None
        own = mark(name.text) if isinstance(value, LayerRef) else None
        return references.reference_code(self, ref, own)

    def runtime_code(self, value: Any) -> str:
        """The Python of a number, a list, or a size of run time, in `forward`."""
        if self.rec is None:
            return ""
        if isinstance(value, (list, tuple)):
            inner = ", ".join(self.runtime_code(item) for item in value)
            return f"[{inner}]" if isinstance(value, list) else f"({inner}{',' * (len(value) == 1)})"
        if not isinstance(value, Size):
            return literal(value)
        codes = {n: self.rec.atoms[n].code if n.startswith("$") else mark(n) for n in value.symbols}
        return UNKNOWN if UNKNOWN in codes.values() else self.rec.text(codes, value)

    def inferred_code(self, size: Any, role: str) -> str:
        """The Python of an argument that follows from the input; `role` is what torch calls it."""
        if self.rec is None:
            return ""
        for one in size if isinstance(size, (list, tuple)) else (size,):
            if isinstance(one, Size):
                self.rec.consume(one, role)
        return self.rec.code(size)

    # --- for layers --------------------------------------------------------------------------------------------------

    def built(self, size: Any) -> bool:
        """Whether a size is known when the network is built."""
        if isinstance(size, (list, tuple)):
            return all(map(self.built, size))
        return not isinstance(size, Size) or all(n.startswith("$") for n in size.symbols)

    def source_text(self, span: Span) -> str:
        return self.source.slice(span)
