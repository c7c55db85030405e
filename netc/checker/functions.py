"""Functions of tensors, and arithmetic with them.

In: the checker of a network and a call. Out: the tensor that it gives. A function is torch's where an argument is a
tensor, and Python's otherwise; after `->`, and at the head of a chain when no argument is a tensor, the current value
is its first argument.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc import catalog, ir
from netc import syntax as s
from netc.catalog.entry import REQUIRED
from netc.checker.arguments import accepts, describe
from netc.checker.expressions import ERROR, kind_of
from netc.checker.values import Made, Tensor, TensorTuple
from netc.diagnostics import Label, nearest, suggestion
from netc.shapes import Reject, Size, TensorType

if TYPE_CHECKING:
    from netc.catalog.entry import Entry, Param
    from netc.checker.network import NetworkChecker


def unknown(c: NetworkChecker, callee: s.Name) -> Any:
    """Report a function that there isn't."""
    name = callee.text
    candidates = [*catalog.functions(), *c.labels]
    capital = next((n for n in catalog.layers() if n.lower() == name.replace("_", "").lower()), None)
    if name in c.env:
        c.report.add(
            "E0221",
            f"`{name}` is a value; after `->` stands a layer or a function",
            callee.span,
            help=f"begin a new line with it: `{name} -> …`",
        )
        return ERROR
    near = capital or nearest(name, candidates)
    c.report.add(
        "E0221",
        f"there is no function or layer `{name}`",
        callee.span,
        help=f"did you mean `{near}`?" if near else "functions have the names of torch.nn.functional and torch",
    )
    return ERROR


def called_label(c: NetworkChecker, expr: s.Call, name: str) -> Any:
    """Report a label that is called in an expression."""
    c.report.add(
        "E0217",
        f"`{name}` is a layer of this network; it is applied by its name alone",
        expr.span,
        help=f"write `value = _ -> {name}` on a line of its own",
    )
    return ERROR


def called_layer(c: NetworkChecker, expr: s.Call, name: str) -> Any:
    """Report a layer that is called in an expression."""
    c.report.add(
        "E0211",
        f"`{name}` is a layer, and an expression can't hold one",
        expr.callee.span,
        help=f"apply it in a chain: `value = _ -> {name}(…)`",
    )
    return ERROR


def has_tensor(c: NetworkChecker, expr: s.Call) -> bool:
    """Whether an argument of a call is a tensor, so that `abs`, `max`, `sum` … are torch's."""
    return any(mentions_tensor(c, a.value) for a in expr.arguments)


def mentions_tensor(c: NetworkChecker, expr: object) -> bool:
    """Whether a tensor has a part in an expression; the sizes in its shape are none."""
    if isinstance(expr, s.Name):
        return expr.text == "_" or isinstance(c.env.get(expr.text), (Tensor, TensorTuple))
    if isinstance(expr, s.Attribute) and expr.name.text == "shape":
        return False
    return isinstance(expr, tuple) and any(mentions_tensor(c, item) for item in expr)


def apply(c: NetworkChecker, step: s.Expr, callee: s.Name, value: Any, head: bool) -> Any:
    """A call of a function, the flowing value put in front where the call has no tensor of its own."""
    entry = catalog.function(callee.text)
    assert entry is not None
    given = step.arguments if isinstance(step, s.Call) else ()
    arguments = [(a.name, c.evaluate(a.value), a) for a in given]
    flows = value is not None and (not head or not any(_holds_tensor(v) for _, v, _ in arguments))
    if head and value is None and not any(_holds_tensor(v) for _, v, _ in arguments):
        value = ERROR if any(v is ERROR for _, v, _ in arguments) else c.the_current(step.span)
        flows = True
    bound = _bind(c, entry, arguments, value if flows else None, step)
    if bound is None or value is ERROR:
        return ERROR
    return _result(c, entry, bound, step)


def _holds_tensor(value: Any) -> bool:
    if isinstance(value, (list, tuple)) and not isinstance(value, (Tensor, TensorTuple)):
        return any(_holds_tensor(item) for item in value)
    return isinstance(value, (Tensor, TensorTuple))


_Bound = dict[str, tuple[Any, "s.Argument | None", bool]]


def _bind(
    c: NetworkChecker, entry: Entry, arguments: list[tuple[s.Ident | None, Any, s.Argument]], flowing: Any, step: s.Expr
) -> _Bound | None:
    """Arguments by parameter: value, where it stands, whether by position."""
    positions = [p for p in entry.params if not p.keyword_only]
    bound: _Bound = {}
    if flowing is not None:
        if not positions:
            return None
        bound[positions.pop(0).name] = (flowing, None, True)
    rest = positions[0] if positions and positions[0].type == "*ints" else None
    numbers = [v for n, v, _ in arguments if n is None]
    if rest and numbers and all(isinstance(v, (int, Size)) for v in numbers):  # permute(0, 2, 1)
        first = arguments[0][2]
        spread = s.Argument(None, s.Tuple(tuple(a.value for n, _, a in arguments if n is None), first.span), first.span)
        arguments = [(None, tuple(numbers), spread), *[x for x in arguments if x[0] is not None]]
    ok = True
    for name, value, argument in arguments:
        param = _param(c, entry, positions, bound, name, argument)
        if param is None or value is ERROR or not _fits(c, entry, param, value, argument):
            ok = False
            continue
        bound[param.name] = (value, argument, name is None)
    missing = [p for p in entry.params if p.default is REQUIRED and p.name not in bound]
    if ok and missing:
        c.report.add(
            "E0306",
            f"`{entry.name}` needs `{missing[0].name}`",
            step.span,
            help=f"give it, as in `{entry.name}({missing[0].name}=…)`",
        )
    return bound if ok and not missing else None


def _param(
    c: NetworkChecker, entry: Entry, positions: list[Param], bound: _Bound, name: s.Ident | None, argument: s.Argument
) -> Param | None:
    if name is None:
        if not positions:
            c.report.add("E0304", f"`{entry.name}` takes no further argument", argument.span, "one too many")
            return None
        return positions.pop(0)
    param = next((p for p in entry.params if p.name == name.text), None)
    if param is None:
        names = [p.name for p in entry.params]
        c.report.add(
            "E0302",
            f"`{entry.name}` has no argument `{name.text}`",
            name.span,
            help=suggestion(name.text, names) or f"it takes {', '.join(f'`{n}`' for n in names)}",
        )
        return None
    if param.name in bound:
        first = bound[param.name][1]
        c.report.add(
            "E0305",
            f"`{entry.name}` is given `{param.name}` twice",
            argument.span,
            "again",
            secondary=[Label(first.span, "first here")] if first else (),
            help="remove one of them",
        )
        return None
    if param in positions:
        positions.remove(param)
    return param


def _fits(c: NetworkChecker, entry: Entry, param: Param, value: Any, argument: s.Argument) -> bool:
    kinds = param.type.split("|")
    if "tensor" in kinds and isinstance(value, Tensor):
        return True
    if "tensors" in kinds and isinstance(value, (list, tuple)) and not isinstance(value, Tensor) and value:
        items = value.items if isinstance(value, TensorTuple) else value
        if all(isinstance(item, Tensor) for item in items):
            return True
    if accepts(param.type, value) and not isinstance(value, (Tensor, TensorTuple)):
        return True
    c.report.add(
        "E0307", f"`{param.name}` of `{entry.name}` takes {describe(param.type)}, not {kind_of(value)}", argument.span
    )
    return False


def _result(c: NetworkChecker, entry: Entry, bound: _Bound, step: s.Expr) -> Any:
    tensors: list[Tensor] = []
    for value, _, _ in bound.values():
        tensors += _flat(value)
    if entry.rule is None:
        return c.not_yet(step.span, f"the function `{entry.name}`")
    values = {p.name: p.default for p in entry.params} | {n: _type_or_value(v) for n, (v, _, _) in bound.items()}
    types = tuple(t.type for t in tensors)
    result = entry.rule.shape(values, types)
    if isinstance(result, Reject):
        return _rejected(c, entry, result, tensors, bound, step)
    if not isinstance(result, TensorType):
        return c.not_yet(step.span, f"a function of several results (`{entry.name}`)")
    c.rows.append(
        ir.Row("", entry.name, result, entry.rule.macs(values, types, result) if entry.rule.macs else 0, step.span)
    )
    return Tensor(_code(c, entry, bound, result, step), result, Made(entry.name, step.span))


def _type_or_value(value: Any) -> Any:
    return value.type if isinstance(value, Tensor) else value


def _flat(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, TensorTuple):
        return list(value.items)
    if isinstance(value, (list, tuple)):
        return [t for item in value for t in _flat(item)]
    return []


def _rejected(
    c: NetworkChecker, entry: Entry, reject: Reject, tensors: list[Tensor], bound: _Bound, step: s.Expr
) -> Any:
    argument = bound.get(reject.argument or "", (None, None, False))[1]
    came = [Label(t.made.span, f"gives {t.type}".replace("$", "")) for t in tensors if t.made is not None]
    notes = [] if came else [f"it receives {', '.join(str(t.type) for t in tensors)}".replace("$", "")]
    expected = f"expected {reject.expected}, got {reject.got}" if reject.expected else ""
    c.report.add(
        "E0309" if argument else "E0404",
        f"`{entry.name}`: {reject.reason}".replace("$", ""),
        argument.span if argument else step.span,
        expected.replace("$", ""),
        secondary=came,
        notes=notes,
    )
    return ERROR


def _code(c: NetworkChecker, entry: Entry, bound: _Bound, type_: TensorType, step: s.Expr) -> ir.Function:
    """The call in Python: a method where torch's tensors have it and people write it so, else the function."""
    callee = {"torch.nn.functional": "F.", "torch": "torch.", "torch.Tensor": "."}[entry.home] + entry.name
    first = next(iter(bound.values()))[0]
    if callee.startswith("torch.") and entry.name in _METHODS and isinstance(_expr(c, first, None), _FLUENT):
        callee = f".{entry.name}"
    arguments: list[tuple[str | None, ir.Expr]] = []
    positional = True
    for param in entry.params:
        if param.name not in bound:
            positional = False
            continue
        value, argument, by_position = bound[param.name]
        positional = positional and by_position
        if param.type == "*ints" and callee.startswith(".") and argument and isinstance(argument.value, _LISTS):
            pairs = zip(argument.value.items, value, strict=True)
            arguments += [(None, ir.Value(c.forward_code(item, v))) for item, v in pairs]
        else:
            arguments.append((None if positional else param.name, _expr(c, value, argument)))
    arguments += [(n, ir.Value(code)) for n, code in _training(entry, bound)]
    return ir.Function(callee, tuple(arguments), type_, step.span)


_LISTS = (s.Tuple, s.List)
# Functions of torch that are written as methods: `x.flatten(1)` and not `torch.flatten(x, 1)`.
_METHODS = frozenset(
    """
    flatten reshape permute transpose mean sum unflatten squeeze unsqueeze chunk split unbind softmax
    log_softmax view expand repeat contiguous amax amin std var argmax argmin cumsum movedim swapaxes narrow
    """.split()
)
_FLUENT = (ir.Var, ir.Apply, ir.Function)


def _training(entry: Entry, bound: _Bound) -> list[tuple[str, str]]:
    """Dropout and its kin act in training only, unless the file says otherwise."""
    takes = any(p.name == "training" for p in entry.params)
    return [("training", "self.training")] if takes and "training" not in bound else []


def _expr(c: NetworkChecker, value: Any, argument: s.Argument | None) -> ir.Expr:
    if isinstance(value, Tensor):
        return value.expr
    if isinstance(value, TensorTuple):
        return ir.Items(tuple(t.expr for t in value.items), False)
    if isinstance(value, (list, tuple)) and _flat(value):
        return ir.Items(tuple(_expr(c, item, None) for item in value), isinstance(value, list))
    if argument is None:
        return ir.Value(c.runtime_code(value))
    return ir.Value(c.forward_code(argument.value, value))


def binary(c: NetworkChecker, expr: s.Binary, left: Any, right: Any) -> Any:
    """Arithmetic of two tensors, or of a tensor and a number."""
    from netc.catalog.rules.arithmetic import binary as rule

    if left is ERROR or right is ERROR:
        return ERROR
    for side, e in ((left, expr.left), (right, expr.right)):
        if not isinstance(side, (Tensor, int, float, Size)) or isinstance(side, bool):
            return c.fail(e.span, f"`{expr.op}` can't be done with a tensor and {kind_of(side)}")
    operands = [side.type if isinstance(side, Tensor) else side for side in (left, right)]
    result = rule(expr.op, *operands)
    if isinstance(result, Reject):
        labels = []
        for side, e in ((left, expr.left), (right, expr.right)):
            if isinstance(side, Tensor):
                labels.append(Label(e.span, str(side.type).replace("$", "")))
        reason = result.reason.replace("$", "")
        c.report.add("E0406", f"`{expr.op}`: {reason}", expr.span, secondary=labels)
        return ERROR
    c.rows.append(ir.Row("", expr.op, result, 0, expr.span))
    op = ir.Operation(expr.op, _operand(c, left, expr.left), _operand(c, right, expr.right), result, expr.span)
    return Tensor(op, result, Made(expr.op, expr.span))


def _operand(c: NetworkChecker, value: Any, expr: s.Expr) -> ir.Expr:
    return value.expr if isinstance(value, Tensor) else ir.Value(c.forward_code(expr, value))
