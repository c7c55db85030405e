"""Which sizes of a network stay expressions over its parameters.

In: a network that was checked for the defaults of its parameters. Out: the same network, with the Python of inferred
arguments in terms of the parameters, so that `LeNet(width=2)` builds a network whose sizes agree.

The body is checked once more with integer parameters as symbols. This proposes an expression for each inferred size and
reports nothing; an expression is used only if it gives the concrete size for the defaults. Where one doesn't, or the
body can't be followed without numbers, the sizes are literals and the parameters part of the text, no longer arguments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc import ir
from netc import syntax as s
from netc.checker.expressions import ERROR, Evaluator
from netc.checker.functions import mentions_tensor
from netc.checker.network import NetworkChecker
from netc.checker.python_text import names
from netc.checker.values import Tensor
from netc.diagnostics import Report
from netc.node import replace
from netc.shapes import Size, TensorType, evaluate, substitute, symbol

if TYPE_CHECKING:
    from netc.source import Source


def generalize(
    network: ir.Network,
    definition: s.Network,
    source: Source,
    constants: dict[str, Any],
    definitions: dict[str, s.Definition],
) -> ir.Network:
    """The network with expressions for its inferred sizes, where it has parameters."""
    if not network.parameters:
        return network
    checker = _SymbolicChecker(network, source, constants, definitions)
    checker.run(definition.body)
    if checker.report.failed or not isinstance(checker.current, Tensor):
        return _fixed(network)
    children = _merge(network.children, tuple(checker.children), checker.values)
    if children is None:
        return _fixed(network)
    named = {n: symbol(n.removeprefix("$")) for n in checker.values}
    body = tuple(ir.Assign(a.target, _renamed(a.value, named), a.span) for a in checker.body)
    in_order = [*(p.name for p in network.parameters), *(c.name for c in network.constants)]
    stored = tuple((n, checker.attribute(n)) for n in in_order if n in checker.stored)
    return network._replace(children=children, body=body, stored=stored)


class _SymbolicChecker(NetworkChecker):
    """Checks a body with its integer parameters as symbols `$name`; `values` is what each symbol is for the defaults.

    What can't be computed with symbols (`int(ratio * width)`) becomes a symbol of its own, `$int(ratio * width)`.
    """

    def __init__(
        self, network: ir.Network, source: Source, constants: dict[str, Any], definitions: dict[str, s.Definition]
    ) -> None:
        super().__init__(source, Report(), constants, definitions)
        self.parameters = {p.name: p.default for p in network.parameters}
        integers = [p.name for p in network.parameters if type(p.default) is int]
        self.concrete: dict[str, Any] = {**constants, **self.parameters}
        self.values: dict[str, int] = {f"${n}": self.parameters[n] for n in integers}
        self.env |= {**self.parameters, **{n: symbol(f"${n}") for n in integers}}
        self.parametric = set(self.parameters)  # names whose value hangs on a parameter
        self.tainted = self.parametric - set(integers)  # those on one that is no integer
        self.inside = False

    def evaluate(self, expr: s.Expr) -> Any:
        used = self.parametric.intersection(names(expr))
        if self.inside or not used or mentions_tensor(self, expr):
            return super().evaluate(expr)
        if isinstance(expr, (s.List, s.Tuple)):
            items = [self.evaluate(item) for item in expr.items]
            return items if isinstance(expr, s.List) else tuple(items)
        value = self._attempt(expr)
        if value is not ERROR and not used & self.tainted:
            return value
        concrete = Evaluator(Report(), self.concrete).evaluate(expr)
        if type(concrete) is not int or isinstance(expr, s.Name):
            return concrete
        opaque = f"${self.code(expr, concrete)}"
        self.values[opaque] = concrete
        return symbol(opaque)

    def _attempt(self, expr: s.Expr) -> Any:
        report, self.report, self.inside = self.report, Report(), True
        try:
            value = super().evaluate(expr)
            return ERROR if self.report.failed else value
        finally:
            self.report, self.inside = report, False

    def bind_constant(self, name: str, value: Any, chain: s.Chain) -> None:
        super().bind_constant(name, value, chain)
        expr = chain.links[0].step
        assert not isinstance(expr, (s.Seq, s.Inline, s.Edited))
        used = self.parametric.intersection(names(expr))
        self.concrete[name] = Evaluator(Report(), self.concrete).evaluate(expr)
        self.parametric |= {name} if used else set()
        if not isinstance(value, Size) and used:
            self.tainted.add(name)


def _merge(
    concrete: tuple[ir.Child, ...], general: tuple[ir.Child, ...], values: dict[str, Any]
) -> tuple[ir.Child, ...] | None:
    """The concrete children with the general ones' code; None where an expression gives another size."""
    if len(concrete) != len(general):
        return None
    out: list[ir.Child] = []
    for a, b in zip(concrete, general, strict=True):
        if isinstance(a, ir.Sequential) and isinstance(b, ir.Sequential):
            children = _merge(a.children, b.children, values)
            if children is None:
                return None
            out.append(replace(a, children=children))
        elif isinstance(a, ir.Layer) and isinstance(b, ir.Layer):
            args = {n: arg._replace(code=b.call.args[n].code) for n, arg in a.call.args.items()}
            if any(not _gives(b.call.args[n].value, arg.value, values) for n, arg in a.call.args.items()):
                return None
            out.append(replace(a, call=a.call._replace(args=args)))
        else:
            return None
    return tuple(out)


def _gives(general: Any, concrete: Any, values: dict[str, Any]) -> bool:
    if isinstance(general, (list, tuple)):
        return len(general) == len(concrete) and all(
            _gives(g, c, values) for g, c in zip(general, concrete, strict=True)
        )
    if not isinstance(general, Size):
        return bool(general == concrete)
    return all(n in values for n in general.symbols) and evaluate(general, values) == concrete


def _renamed(expr: Any, names: dict[str, Any]) -> Any:
    """An expression whose types speak of parameters by their names."""
    if isinstance(expr, TensorType):
        return TensorType(tuple(substitute(d, names) for d in expr.shape), expr.dtype)
    if isinstance(expr, tuple):
        items = [_renamed(item, names) for item in expr]
        return type(expr)(*items) if hasattr(expr, "_fields") else tuple(items)
    return expr


def _fixed(network: ir.Network) -> ir.Network:
    """The network without parameters: what they were is written out, for its sizes hang on them."""
    constants = tuple(ir.Constant(p.name, repr(p.default)) for p in network.parameters)
    return network._replace(parameters=(), constants=(*constants, *network.constants))
