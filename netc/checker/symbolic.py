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
from netc.checker.network import NetworkChecker
from netc.checker.values import Tensor
from netc.diagnostics import Report
from netc.node import replace
from netc.shapes import Size, TensorType, evaluate, substitute, symbol

if TYPE_CHECKING:
    from netc import syntax as s
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
    checker = NetworkChecker(source, Report(), constants, definitions)
    checker.parameters = {p.name: p.default for p in network.parameters}
    integers = {p.name for p in network.parameters if isinstance(p.default, int) and not isinstance(p.default, bool)}
    checker.env |= {n: symbol(f"${n}") if n in integers else v for n, v in checker.parameters.items()}
    checker.tainted = {*checker.parameters} - integers
    checker.run(definition.body)
    result = checker.current
    values = {f"${p.name}": p.default for p in network.parameters if p.name in integers}
    values |= _tainted_values(network.children, tuple(checker.children))
    if checker.report.failed or not isinstance(result, Tensor) or len(checker.children) != len(network.children):
        return _fixed(network)
    children = _merge(network.children, tuple(checker.children), values)
    if children is None:
        return _fixed(network)
    named = {n: symbol(n.removeprefix("$")) for n in values}
    stored = tuple((n, checker.attribute(n)) for n, _ in _stored(network, checker))
    body = tuple(ir.Assign(a.target, _renamed(a.value, named), a.span) for a in checker.body)
    return network._replace(children=children, body=body, stored=stored)


def _stored(network: ir.Network, checker: NetworkChecker) -> list[tuple[str, str]]:
    names = [*(p.name for p in network.parameters), *(c.name for c in network.constants)]
    return [(n, n) for n in names if n in checker.stored]


def _tainted_values(concrete: tuple[ir.Child, ...], general: tuple[ir.Child, ...]) -> dict[str, Any]:
    """The values of symbols that stand for an argument: what the argument was for the defaults."""
    found: dict[str, Any] = {}
    for a, b in zip(concrete, general, strict=False):
        if isinstance(a, ir.Sequential) and isinstance(b, ir.Sequential):
            found |= _tainted_values(a.children, b.children)
        elif isinstance(a, ir.Layer) and isinstance(b, ir.Layer):
            for name, arg in b.call.args.items():
                if isinstance(arg.value, Size) and len(arg.value.symbols) == 1 and name in a.call.args:
                    (only,) = arg.value.symbols
                    if str(arg.value) == only:
                        found[only] = a.call.args[name].value
    return found


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
