"""A loss that is computed of outputs, inputs and labels: `CrossEntropyLoss(logits, label) + 0.3 * mean(exp(logvar))`.

In: the expression as parsed, the trained network, and what a label is. Out: an `ir.Computed`, or None with the reason
in the report. Guarantees: every term has its type, checked as `forward` is; the whole is one number; what evaluation
lacks is left out of its form. Leaves to others: a loss that is only named (`train_section`), and how the network ends
(`loss_fit`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from netc import catalog, ir
from netc import syntax as s
from netc.catalog import loss_facts as facts
from netc.checker.arguments import bind, ordered
from netc.checker.body import Body
from netc.checker.expressions import ERROR, Evaluator, kind_of
from netc.checker.loss_scale import scale_of
from netc.checker.python_text import names, text
from netc.checker.recorder import UNKNOWN, Recorder
from netc.checker.units import Definition
from netc.checker.values import Formula, LayerRef, Made, Tensor, has_size, key_of
from netc.diagnostics import Label, Report
from netc.identifiers import python_name
from netc.literals import literal
from netc.shapes import Reject, TensorType
from netc.source import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netc.catalog.entry import Entry
    from netc.checker.session import Session
    from netc.checker.units import Unit


class Pending:
    """A loss that is computed, before the network is known that it is computed of."""

    def __init__(self, expr: s.Expr) -> None:
        self.expr = expr


def is_computed(step: s.Expr, known: frozenset[str]) -> bool:
    """Whether a loss is computed, and not named; `known` are formulas and what `use`d files define."""
    if isinstance(step, (s.Binary, s.Unary, s.Paren, s.Index)):
        return True
    if not isinstance(step, s.Call) or not isinstance(step.callee, s.Name):
        return False
    name = step.callee.text
    given = any(a.name is None for a in step.arguments)
    return given and (catalog.loss(name) is not None or name in known or catalog.function(name) is not None)


def mentions_classes(expr: object) -> bool:
    """Whether an expression has a loss of classes in it, or makes vectors of their numbers."""
    if isinstance(expr, s.Name):
        return expr.text == "one_hot" or facts.FUNCTIONS.get(expr.text, expr.text) in facts.CLASS_LOSSES
    return isinstance(expr, tuple) and any(mentions_classes(e) for e in expr)


def follow(
    expr: s.Expr, network: ir.Network, labels: dict[str, TensorType], session: Session, unit: Unit, report: Report,
    classes: bool,
) -> ir.Computed | None:  # fmt: skip
    """The loss, or None with the reason in the report. `labels`, by name, may be `classes`."""
    available = _Available(network, labels)
    body = LossBody(session, unit, report, available, expr.span)
    before = len(report.errors)
    whole = body.evaluate(expr)
    if not _is_number(whole, expr, report) or len(report.errors) > before:
        return None
    kept = without(expr, available.in_training)
    if kept is None:
        report.add(
            "E0628", "in evaluation nothing is left of the loss: each term needs an output of training", expr.span,
            help="add a term of an output that evaluation has as well",
        )  # fmt: skip
        return None
    written = LossBody(session, unit, Report(), available, expr.span, Recorder())
    training = written.evaluate(expr)
    if not _is_of_outputs(training.expr, set(available.outputs), expr, report):
        return None
    evaluation = training if kept is expr else written.evaluate(kept)
    used = dict.fromkeys(names(expr))
    computed = ir.Computed(
        tuple(written.written), training.expr, evaluation.expr,
        tuple(n for n in available.outputs if n in used or body.bare),
        tuple(n for n in available.inputs if n in used and n not in available.outputs),
        tuple(n for n in labels if n in used or body.bare),
        scale_of(evaluation.expr, dict(written.written)), written.pair, classes, expr.span,
        written.one_hot or (written.of_python and classes), tuple(written.functions.values()),
    )  # fmt: skip
    _mixed(computed, report)
    return computed


def _is_number(value: Any, expr: s.Expr, report: Report) -> bool:
    """Whether the loss is one number, floating-point."""
    if value is ERROR:
        return False
    if not isinstance(value, Tensor):
        what = kind_of(value)
        report.add("E0628", f"a loss is computed of the network's outputs, and this is {what}", expr.span)
    elif value.type.shape != ():
        report.add(
            "E0628", f"a loss is one number, and this gives {value.type}", expr.span,
            help="take the mean over all: `mean(…)`",
        )  # fmt: skip
    elif value.type.dtype not in facts.FLOATS:
        report.add("E0628", f"a loss is a floating-point number, and this is {value.type.dtype}", expr.span)
    else:
        return True
    return False


def _is_of_outputs(made: ir.Expr, outputs: set[str], expr: s.Expr, report: Report) -> bool:
    """Whether a loss has something to train, and no part that only a network can have."""
    if not outputs & set(_variables(made)):
        report.add("E0628", "no output of the network has a part in this loss", expr.span,
                   help=f"use {' or '.join(f'`{o}`' for o in outputs)} in it")  # fmt: skip
        return False
    if any("self." in code or UNKNOWN in code for code in _codes(made)):
        report.add("E0628", "a loss has no functions that act in training only, such as dropout", expr.span,
                   help="put them into the network")  # fmt: skip
        return False
    return True


def _variables(node: object) -> Iterator[str]:
    if isinstance(node, ir.Var):
        yield node.name
    elif isinstance(node, tuple):
        for part in node:
            yield from _variables(part)


def _codes(node: object) -> Iterator[str]:
    if isinstance(node, ir.Value):
        yield node.code
    elif isinstance(node, tuple):
        for part in node:
            yield from _codes(part)


def _mixed(computed: ir.Computed, report: Report) -> None:
    if computed.scale == "mixed":
        report.add(
            "W0835", "one term is a mean over the batch and another a sum: which counts for more hangs on `batch_size`",
            computed.span, help='take the mean in all terms, or `reduction="sum"` and `sum(…)` in all',
        )  # fmt: skip


def without(expr: s.Expr, missing: frozenset[str]) -> s.Expr | None:
    """An expression without the terms that use these names; None where nothing is left."""
    if not missing & set(names(expr)):
        return expr
    if isinstance(expr, s.Paren):
        inner = without(expr.inner, missing)
        return None if inner is None else expr._replace(inner=inner)  # type: ignore[attr-defined]
    if not isinstance(expr, s.Binary) or expr.op not in ("+", "-", "*", "/"):
        return None
    left, right = without(expr.left, missing), without(expr.right, missing)
    if expr.op in ("*", "/") and (left is None or right is None):
        return None
    if left is None:
        return right if expr.op == "+" or right is None else s.Unary("-", right, right.span)
    return left if right is None else expr._replace(left=left, right=right)  # type: ignore[attr-defined]


class _Available:
    """The tensors that a loss may be computed of, by name."""

    def __init__(self, network: ir.Network, labels: dict[str, TensorType]) -> None:
        one = len(network.outputs) == 1 and not network.outputs[0].name
        self.outputs = {(facts.OUTPUT if one else o.name): o.type for o in network.outputs}
        self.inputs = {i.name: i.type for i in network.inputs}
        self.labels = labels
        self.in_training = frozenset(o.name for o in network.outputs if o.training)
        self.network = network.name

    @property
    def all(self) -> dict[str, TensorType]:
        return self.inputs | self.labels | self.outputs

    @property
    def twice(self) -> set[str]:
        """Names of an output that are an input's or a label's as well."""
        return self.outputs.keys() & (self.inputs.keys() | self.labels.keys())


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _hot(expr: ir.Expr) -> ir.Var | None:
    """What a one-hot vector is made of, and nothing else, as in `one_hot(label, 10) * 1.0`."""
    if isinstance(expr, ir.Operation):
        sides = [side for side in (expr.left, expr.right) if side is not None and not isinstance(side, ir.Value)]
        return _hot(sides[0]) if len(sides) == 1 else None
    if not isinstance(expr, ir.Function) or not expr.arguments:
        return None
    first = expr.arguments[0][1]
    return first if expr.callee.endswith("one_hot") and isinstance(first, ir.Var) else _hot(first)


class LossBody(Body):
    """Follows a loss as a body is followed; with a recorder, its Python is recorded."""

    def __init__(
        self, session: Session, unit: Unit, report: Report, available: _Available, span: Span,
        recorder: Recorder | None = None,
    ) -> None:  # fmt: skip
        owner = Definition(s.Inline(s.Body((), span), span), "loss", unit, "inline")
        tensors = {n: Tensor(ir.Var(n, t), t) for n, t in available.all.items()}
        super().__init__(session, owner, report, tensors, None, recorder)
        self.available = available
        self.written: list[tuple[str, ir.Call]] = []
        self.declared = 1
        self.known_losses: dict[Any, str] = {}
        self.pair: tuple[str, str] | None = None
        self.one_hot = False  # whether the second of them is the number of a class, of which a vector is made
        self.of_python = False  # a loss of a Python file compares them
        self.functions: dict[str, Entry] = {}  # of Python files
        self.bare = False  # a loss is only named, so that it compares the output with the label

    def eval_name(self, expr: s.Name) -> Any:
        if expr.text in self.available.twice:
            return self.fail(expr.span, f"`{expr.text}` is an output and an input here", "give the output another name")
        if expr.text not in self.env and expr.text in self.owner.unit.python:
            return self.of_file(expr, expr)
        if expr.text not in self.env and catalog.loss(expr.text) is not None:
            return self.loss(expr, ())
        if expr.text == "_":
            return self.fail(expr.span, "`_` is no value of a loss", "name the output")
        return super().eval_name(expr)

    def unknown(self, expr: s.Name) -> Any:
        return Evaluator.unknown(self, expr)

    def eval_call(self, expr: s.Call) -> Any:
        name = expr.callee.text if isinstance(expr.callee, s.Name) else ""
        if isinstance(expr.callee, s.Name) and name in self.owner.unit.python and name not in self.env:
            return self.of_file(expr, expr.callee)
        if catalog.loss(name) is not None or (name in facts.FUNCTIONS and name not in self.env):
            return self.loss(expr, expr.arguments)
        return super().eval_call(expr)

    def of_file(self, expr: s.Name | s.Call, callee: s.Name) -> Any:
        """A loss of a Python file."""
        from netc.checker import loss_python

        return loss_python.called(self, expr, callee)

    def formula_value(self, inner: Evaluator, formula: Formula, given: dict[str, Any], expr: s.Call) -> Any:
        """The value of a formula, which stands in the loss as if it had been written there."""
        outer, self.env = self.env, {**formula.env, **given}
        value = self.evaluate(formula.body)
        self.env = outer
        return value

    # --- losses of torch ---------------------------------------------------------------------------------------------

    def loss(self, expr: s.Name | s.Call, arguments: tuple[s.Argument, ...]) -> Any:
        """A loss of torch: its tensors by position, the arguments of its constructor by name."""
        callee = expr.callee if isinstance(expr, s.Call) else expr
        assert isinstance(callee, s.Name)
        found = catalog.loss(facts.FUNCTIONS.get(callee.text, callee.text))
        assert found is not None
        if refused(found.name, callee.span, self.report):
            return ERROR
        entry = facts.constructor(found)
        given = self._tensors(entry.name, expr, tuple(a for a in arguments if a.name is None))
        bound = bind(entry, tuple(a for a in arguments if a.name is not None), expr.span, self, self.literal)
        if given is ERROR or not bound.ok:
            return ERROR
        function = next((n for n, a in bound.args.items() if isinstance(a.value, (Formula, LayerRef))), None)
        if function is not None:
            self.report.add(
                "E0307", f"`{function}` of `{entry.name}` can't be a function of the file here", bound.spans[function],
                help="leave it out, or write the loss as an expression",
            )  # fmt: skip
            return ERROR
        call = ir.Call(entry, ordered(entry, bound.args), expr.span)
        values = {p.name: call.get(p.name) for p in entry.params}
        result = facts.loss_type(entry.name, values, tuple(t.type for t in given))
        if isinstance(result, Reject):
            misfit(entry.name, result, bound.spans.get(result.argument or "", expr.span), given, self.report)
            return ERROR
        self.pair_of(tuple(t.expr for t in given))
        made = ir.Function(self.constant_of(call, values), tuple((None, t.expr) for t in given), result, expr.span)
        return Tensor(made, result, Made(entry.name, expr.span))

    def pair_of(self, given: tuple[ir.Expr, ...], python: bool = False) -> None:
        """What metrics compare: what the first loss does."""
        first, second = given[0], given[1] if len(given) > 1 else None
        if self.pair is not None or not isinstance(first, ir.Var) or second is None:
            return
        target, hot = (second, False) if isinstance(second, ir.Var) else (_hot(second), True)
        if target is not None:
            self.pair, self.one_hot, self.of_python = (first.name, target.name), hot, python

    def constant_of(self, call: ir.Call, values: dict[str, Any]) -> str:
        """The name of the constant that holds a loss; the same loss is one constant."""
        key = call.name, key_of(values)
        if key not in self.known_losses:
            base, number = _snake(call.name), 2
            name = base
            taken = {*self.available.all, *self.known_losses.values(), *self.owner.unit.python}
            while name in taken:
                name, number = f"{base}{number}", number + 1
            self.known_losses[key] = name
            self.written.append((name, call))
        return self.known_losses[key]

    def _tensors(self, name: str, expr: s.Expr, arguments: tuple[s.Argument, ...]) -> Any:
        wanted = facts.tensors(name)
        if not arguments:
            arguments = self._meant(name, expr)
            self.bare = bool(arguments)
        values = [self.evaluate(a.value) for a in arguments]
        if ERROR in values or (not arguments and not self.bare):
            return ERROR
        wrong = next((i for i, v in enumerate(values) if not isinstance(v, Tensor)), None)
        if wrong is not None and isinstance(values[wrong], LayerRef):
            return self.no_value(arguments[wrong].value, values[wrong])
        if wrong is not None or len(values) != len(wanted.names):
            self.report.add(
                "E0629", f"`{name}` takes {len(wanted.names)} tensors by position: {wanted.listed}",
                expr.span if wrong is None else arguments[wrong].span,
                f"{len(values)} given" if wrong is None else f"this is {kind_of(values[wrong])}",
                help="what the loss is made with is named, as in `reduction=\"sum\"`",
            )  # fmt: skip
            return ERROR
        return tuple(values)

    def _meant(self, name: str, expr: s.Expr) -> tuple[s.Argument, ...]:
        """What a loss compares that is only named: the one output with the label."""
        outputs, labels = list(self.available.outputs), list(self.available.labels)
        if len(outputs) == 1 and len(labels) == 1 and len(facts.tensors(name).names) == 2:
            return tuple(s.Argument(None, s.Name(n, expr.span), expr.span) for n in (outputs[0], labels[0]))
        if len(facts.tensors(name).names) != 2:
            listed = facts.tensors(name).listed
            self.report.add("E0629", f"`{name}` takes {listed}", expr.span, help=f"name them: `{name}({listed})`")
        else:
            several(name, expr.span, self.available.network, tuple(outputs), self.report)
        return ()

    # --- code --------------------------------------------------------------------------------------------------------

    def literal(self, expr: s.Expr, value: Any) -> str:
        """The Python of an argument of a constructor."""
        if isinstance(value, (Formula, LayerRef)):  # which is refused
            return value.name
        written = isinstance(expr, (s.Number, s.List, s.Tuple)) and not any(names(expr))
        return text(expr, python_name) if written else literal(value)

    def code(self, expr: s.Expr, value: Any) -> str:
        return self.forward_code(expr, value)

    def forward_code(self, expr: s.Expr, value: Any) -> str:
        if self.rec is None:
            return ""
        if has_size(value):
            return text(expr, lambda n: f"ꞏ{n}ꞏ" if n in self.available.all else python_name(n))
        return self.literal(expr, self.rec.witness(value))


def several(name: str, span: Span, network: str, outputs: tuple[str, ...], report: Report) -> None:
    """Report a loss that is only named, of a network with several outputs."""
    listed = ", ".join(f"`{o}`" for o in outputs)
    report.add(
        "E0611", f"`{name}` compares one output with the labels, and `{network}` has {len(outputs)}", span,
        notes=[f"the outputs are {listed}"], help=f"say which: `{name}({outputs[0]}, label)`",
    )  # fmt: skip


def refused(name: str, span: Span, report: Report) -> bool:
    """Report a loss that netc doesn't compute."""
    if name not in facts.REFUSED:
        return False
    why, way_out = facts.REFUSED[name]
    report.add("E0631", f"`{name}` can't be the loss: {why}", span, help=way_out)
    return True


def misfit(name: str, reject: Reject, span: Span, given: tuple[Tensor, ...], report: Report) -> None:
    """Report tensors that a loss doesn't take."""
    labels = [Label(t.made.span, f"gives {t.type}") for t in given if t.made is not None]
    said = f"`{reject.argument}` of `{name}` doesn't fit" if reject.argument else f"`{name}` can't compare these"
    report.add("E0627", f"{said}: {reject.reason}", span, secondary=labels, help=_way_out(reject, given))


def _way_out(reject: Reject, given: tuple[Tensor, ...]) -> str | None:
    """How shapes that differ by an axis of one number are made the same."""
    if reject.argument is not None:
        return f"expected {reject.expected}"
    if len(given) < 2:
        return None
    a, b = given[0], given[1]
    if len(a.type.shape) == len(b.type.shape) + 1 and a.type.shape[-1] == 1:
        name = a.expr.name if isinstance(a.expr, ir.Var) else "it"
        return f"torch would compare each with each; take the last axis off: `flatten(0)`, or `squeeze({name}, -1)`"
    return None
