"""Functions of tensors.

In: the checker of a network and a call. Out: the tensor that it gives. A function is torch's where an argument is a
tensor, and Python's otherwise; after `->`, and at the head of a chain when no argument is a tensor, the current value
is its first argument. Leaves arithmetic, comparison and indexing to `operations`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc import catalog, ir
from netc import syntax as s
from netc.catalog.entry import REQUIRED
from netc.checker import sources
from netc.checker.arguments import accepts, describe
from netc.checker.expressions import BUILTINS, ERROR, kind_of
from netc.checker.recorder import DEVICE, mark
from netc.checker.values import DType, LayerRef, Made, Tensor, TensorTuple, tensors
from netc.diagnostics import Label, nearest, suggestion
from netc.fixes import spelling
from netc.shapes import Reject, Size, TensorType
from netc.source import Span

if TYPE_CHECKING:
    from netc.catalog.entry import Entry, Param
    from netc.checker.body import Body


def unknown(c: Body, callee: s.Name) -> Any:
    """Report a function that there isn't."""
    name = callee.text
    candidates = [*catalog.functions(), *c.labels, *(n for n in c.owner.unit.python if not n[0].isupper())]
    candidates += BUILTINS
    capital = next((n for n in catalog.layers() if n.lower() == name.replace("_", "").lower()), None)
    if name in c.env:
        c.report.add(
            "E0221",
            f"`{name}` is a value; after `->` stands a layer or a function",
            callee.span,
            help=f"begin a new line with it: `{name} -> …`",
        )
        return ERROR
    if c.owner.unit.files and _python().misnamed(c, callee):
        return ERROR
    from netc.checker.hints import elsewhere

    if c.lacks(name) and name not in c.env:
        return ERROR
    near = capital or nearest(name, candidates)
    c.report.add(
        "E0221",
        f"there is no function or layer `{name}`",
        callee.span,
        help=elsewhere(c, name)
        or (f"did you mean `{near}`?" if near else "functions have the names of torch.nn.functional and torch"),
        fix=None if capital or elsewhere(c, name) else spelling(name, callee.span, candidates),
    )
    return ERROR


def called_label(c: Body, expr: s.Call, name: str) -> Any:
    """Report a label that is called in an expression."""
    c.report.add(
        "E0217",
        f"`{name}` is a layer of this network; it is applied by its name alone",
        expr.span,
        help=f"write `value = _ -> {name}` on a line of its own",
    )
    return ERROR


def has_tensor(c: Body, expr: s.Call) -> bool:
    """Whether an argument of a call is a tensor, so that `abs`, `max`, `sum` … are torch's."""
    return any(mentions_tensor(c, a.value) for a in expr.arguments)


def mentions_tensor(c: Body, expr: object) -> bool:
    """Whether a tensor has a part in an expression; the sizes in its shape are none."""
    if isinstance(expr, s.Name):
        return expr.text == "_" or isinstance(c.env.get(expr.text), (Tensor, TensorTuple))
    if isinstance(expr, s.Attribute) and expr.name.text == "shape":
        return False
    if isinstance(expr, s.Attribute) and isinstance(expr.value, s.Name) and expr.value.text in c.labels:
        return True
    if isinstance(expr, s.Call) and isinstance(expr.callee, s.Name) and _makes_tensor(c, expr.callee.text):
        return True
    for item in expr if isinstance(expr, tuple) and type(expr) is not Span else ():
        if isinstance(item, tuple) and mentions_tensor(c, item):
            return True
    return False


def _makes_tensor(c: Body, name: str) -> bool:
    """Whether a name is called that is a function of torch and nothing else, such as `arange`."""
    return name[0].islower() and name not in BUILTINS and name not in c.env and catalog.function(name) is not None


def mentions_shape(c: Body, expr: object) -> bool:
    """Whether the shape of a tensor has a part in an expression."""
    if isinstance(expr, s.Name):
        return expr.text == "_" or isinstance(c.env.get(expr.text), (Tensor, TensorTuple))
    for item in expr if isinstance(expr, tuple) and type(expr) is not Span else ():
        if isinstance(item, tuple) and mentions_shape(c, item):
            return True
    return False


def as_expr(value: Any) -> ir.Expr:
    """A tensor or several as an expression of `forward`."""
    if isinstance(value, TensorTuple):
        return value.expr or ir.Items(tuple(map(as_expr, value.items)), is_list=False)
    expr: ir.Expr = value.expr
    return expr


def as_expr_of(c: Body, value: Any, argument: s.Argument | None) -> ir.Expr:
    """An argument as an expression of `forward`."""
    return _expr(c, value, argument)


def types(value: Any) -> ir.Types:
    """The type of a tensor, or the types of several."""
    if isinstance(value, TensorTuple):
        return tuple(map(types, value.items))
    found: TensorType = value.type
    return found


def first(result: Any) -> TensorType:
    """The first type of several."""
    return result if isinstance(result, TensorType) else first(result[0])


def wrapped(result: Any, expr: ir.Expr, made: Made, constant: bool = False, source: ir.Source = None) -> Any:
    """The value of a call: a tensor, or several that one expression gives."""
    if isinstance(result, TensorType):
        return Tensor(expr, result, made, constant, source)
    parts = (
        wrapped(r, ir.Item(expr, (ir.Value(str(i)),), r), made, constant, sources.inside(source, i))
        for i, r in enumerate(result)
    )
    return TensorTuple(tuple(parts), expr, made)


def apply(c: Body, step: s.Expr, callee: s.Name, value: Any, head: bool) -> Any:
    """A call of a function, the flowing value put in front where the call has no tensor of its own."""
    entry = c.function(callee.text)
    assert entry is not None
    given = step.arguments if isinstance(step, s.Call) else ()
    arguments = [(a.name, c.evaluate(a.value), a) for a in given]
    if head and any(v is ERROR and name is None for name, v, _ in arguments):
        return ERROR  # whether it is given its tensor can't be told
    complete = any(_holds_tensor(v) for _, v, _ in arguments) or not _takes_tensor(entry)
    if entry.rule is not None and entry.rule.probed:
        complete = complete or not _python().wants_more(entry, given)
        entry = _python().for_call(entry, given, 0 if complete and (head or value is None) else 1)
    flows = value is not None and not (head and complete)
    if head and value is None and not complete:
        value = ERROR if any(v is ERROR for _, v, _ in arguments) else c.the_current(step.span)
        flows = True
    if flows and value is not ERROR and not _holds_tensor(value):
        c.report.add("E0206", f"`{callee.text}` takes a tensor, and this is {kind_of(value)}", step.span)
        return ERROR
    bound = _bind(c, entry, arguments, value if flows else None, step)
    if bound is None or value is ERROR:
        return ERROR
    return _result(c, entry, bound, step)


def _python() -> Any:
    """The part for Python files, loaded where there are any."""
    from netc.checker import python_layers

    return python_layers


def _takes_tensor(entry: Entry) -> bool:
    """Whether a function computes with a tensor; `arange` and its kin make one of numbers."""
    return any("tensor" in kind for p in entry.params for kind in p.type.split("|"))


def _holds_tensor(value: Any) -> bool:
    if isinstance(value, (list, tuple)) and not isinstance(value, (Tensor, TensorTuple)):
        return any(_holds_tensor(item) for item in value)
    return isinstance(value, (Tensor, TensorTuple))


_Bound = dict[str, tuple[Any, "s.Argument | None", bool]]


def _bind(
    c: Body, entry: Entry, arguments: list[tuple[s.Ident | None, Any, s.Argument]], flowing: Any, step: s.Expr
) -> _Bound | None:
    """Arguments by parameter: value, where it stands, whether by position."""
    positions = [p for p in entry.params if not p.keyword_only]
    bound: _Bound = {}
    star = next((i for i, p in enumerate(positions) if p.type == "*tensors"), None)
    if star is not None:
        arguments = _gathered(arguments, star, flowing)
    elif flowing is not None:
        if not positions or not takes_flow(positions[0], entry):
            takes = f"`{positions[0].name}` first, {describe(positions[0].type)}" if positions else "nothing"
            c.report.add("E0307", f"`{entry.name}` takes {takes}, and not what flows to it", step.span,
                         help=f"call it for itself: `value = {entry.name}(…)`")  # fmt: skip
            return None
        if positions[0].type == "tensors" and isinstance(flowing, Tensor):
            c.report.add("E0307", f"`{entry.name}` takes several tensors, and one flows to it", step.span,
                         help=f"give it all of them: `{entry.name}([a, b], …)`")  # fmt: skip
            return None
        if positions[0].type == "tensor" and isinstance(flowing, TensorTuple) and not flowing.of_layer:
            c.report.add("E0307", f"`{entry.name}` takes one tensor, and {len(flowing.items)} flow to it", step.span,
                         help="take them apart first: `a, b = …`")  # fmt: skip
            return None
        bound[positions.pop(0).name] = (flowing, None, True)
    lead = 1 if flowing is None and arguments and isinstance(arguments[0][1], Tensor) else 0
    rest = positions[lead] if len(positions) > lead and positions[lead].type == "*ints" else None
    placed = [x for x in arguments[lead:] if x[0] is None]
    numbers = [v for _, v, _ in placed]
    if rest and numbers and all(isinstance(v, (int, Size)) and not isinstance(v, bool) for v in numbers):
        at = placed[0][2].span  # permute(0, 2, 1)
        spread = s.Argument(None, s.Tuple(tuple(a.value for _, _, a in placed), at), at)
        named = [x for x in arguments[lead:] if x[0] is not None]
        arguments = [*arguments[:lead], (None, tuple(numbers), spread), *named]
    ok = True
    for name, value, argument in arguments:
        param = _param(c, entry, positions, bound, name, argument)
        if param is None or value is ERROR or not fits(c, entry, param, value, argument):
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


def takes_flow(param: Param, entry: Entry) -> bool:
    """Whether the first parameter of a function may be given what flows."""
    probed = entry.rule is None or entry.rule.probed
    return probed or bool({"tensor", "tensors", "*tensors"} & set(param.type.split("|")))


def _gathered(
    arguments: list[tuple[s.Ident | None, Any, s.Argument]], at: int, flowing: Any
) -> list[tuple[s.Ident | None, Any, s.Argument]]:
    """Tensors one by one (`meshgrid(a, b)`, `einsum("i,j->ij", a, b)`) as one argument, the flowing one first."""
    placed = [x for x in arguments if x[0] is None]
    several = [v for _, v, _ in placed[at:]]
    if len(several) == 1 and isinstance(several[0], (list, TensorTuple)) and flowing is None:
        return arguments
    if flowing is not None:
        several.insert(0, flowing)
    where = placed[at][2] if len(placed) > at else (arguments[0][2] if arguments else None)
    if where is None or ERROR in several:
        return arguments
    named = [x for x in arguments if x[0] is not None]
    return [*placed[:at], (None, several, s.Argument(None, s.Tuple((), where.span), where.span)), *named]


def _param(
    c: Body, entry: Entry, positions: list[Param], bound: _Bound, name: s.Ident | None, argument: s.Argument
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
            fix=spelling(name.text, name.span, [n for n in names if n not in bound]),
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


def fits(c: Body, entry: Entry, param: Param, value: Any, argument: s.Argument) -> bool:
    """Whether a parameter takes a value; reported where not."""
    kinds = param.type.split("|")
    if "tensor" in kinds and isinstance(value, Tensor):
        return True
    if (
        {"tensors", "*tensors"} & set(kinds)
        and isinstance(value, (list, tuple))
        and not isinstance(value, Tensor)
        and value
    ):
        items = value.items if isinstance(value, TensorTuple) else value
        if all(isinstance(item, Tensor) for item in items):
            return True
    if "dtype" in kinds and isinstance(value, DType):
        return True
    if accepts(param.type, value) and not isinstance(value, (Tensor, TensorTuple, LayerRef)):
        return True
    c.report.add(
        "E0307", f"`{param.name}` of `{entry.name}` takes {describe(param.type)}, not {kind_of(value)}", argument.span
    )
    return False


def _result(c: Body, entry: Entry, bound: _Bound, step: s.Expr) -> Any:
    found: list[Tensor] = []
    for value, _, _ in bound.values():
        found += _flat(value)
    rule = entry.rule
    if rule is None:
        return c.not_yet(step.span, f"the function `{entry.name}`")
    if rule.probed and not c.session.probing:
        c.session.deferred = True
        return ERROR
    plain = _python().plain if rule.probed else type_or_value
    values = {p.name: p.default for p in entry.params} | {n: plain(v) for n, (v, _, _) in bound.items()}
    arriving = tuple(t.type for t in found)
    from netc.checker.general_shapes import shape

    result = shape(c, rule.shape, values, arriving, entry.params)
    if isinstance(result, Reject):
        return _rejected(c, entry, result, found, bound, step)
    constant = all(t.constant for t in found)
    if c.rec is None:
        macs = rule.macs(values, arriving, result) if rule.macs else 0
        if not constant:
            shown = {n: _types_of(v) for n, v in values.items() if n != "training" or n in bound}
            came = {n: sources.of(v) for n, (v, _, _) in bound.items() if tensors(v)}
            c.rows.append(ir.Row("", entry.name, first(result), macs, step.span, shown, came))
        source = None if constant else sources.last(c)
        return wrapped(result, ir.Value(""), Made(entry.name, step.span), constant, source)
    return wrapped(result, _code(c, entry, bound, result, step), Made(entry.name, step.span), constant)


def type_or_value(value: Any) -> Any:
    """An argument for a rule: the type of a tensor, the name of a dtype, or the value."""
    if isinstance(value, DType):
        return value.name
    return value.type if isinstance(value, Tensor) else value


def _types_of(value: Any) -> Any:
    """An argument for a row: several tensors as their types."""
    found = tensors(value)
    return tuple(t.type for t in found) if found else value


def _flat(value: Any) -> list[Tensor]:
    return list(tensors(value))


def _rejected(c: Body, entry: Entry, reject: Reject, tensors: list[Tensor], bound: _Bound, step: s.Expr) -> Any:
    argument = bound.get(reject.argument or "", (None, None, False))[1]
    came = [Label(t.made.span, f"gives {t.type}".replace("$", "")) for t in tensors if t.made is not None]
    notes = [] if came else [f"it receives {', '.join(str(t.type) for t in tensors)}".replace("$", "")]
    notes += getattr(reject, "notes", ())
    expected = f"expected {reject.expected}, got {reject.got}" if reject.expected else ""
    from netc.checker import trail

    place, axes = argument.span if argument else step.span, trail.spoken_of(reject.reason, tensors)
    came += trail.labels(c, [t for t in tensors if t.made is not None], place, came, axes)
    c.report.add(
        "E0309" if argument else getattr(reject, "code", "E0404"),
        f"`{entry.name}`: {reject.reason}".replace("$", ""),
        argument.span if argument else step.span,
        expected.replace("$", ""),
        secondary=came,
        notes=notes,
    )
    return ERROR


def _code(c: Body, entry: Entry, bound: _Bound, type_: ir.Types, step: s.Expr) -> ir.Function:
    """The call in Python: a method where torch's tensors have it and people write it so, else the function."""
    lead = {"torch.nn.functional": "F.", "torch": "torch.", "torch.Tensor": "."}.get(entry.home)
    callee = c.session.python_name(entry) if lead is None else lead + entry.name
    first = next((v for v, _, _ in bound.values()), None)
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
        elif param.type == "*tensors" and isinstance(value, list):
            arguments += [(None, _expr(c, item, None)) for item in value]
        else:
            arguments.append((None if positional else param.name, _expr(c, value, argument)))
    arguments = [(n, _in_training(n or _name_at(entry, i), a)) for i, (n, a) in enumerate(arguments)]
    arguments += [(n, ir.Value(code)) for n, code in _training(entry, bound)]
    if not any(tensors(v) for v, _, _ in bound.values()) and callee.startswith("torch."):
        arguments.append(("device", ir.Value(f"{c.formula}.device" if c.formula else f"{mark(DEVICE)}.device")))
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


def _name_at(entry: Entry, index: int) -> str:
    return entry.params[index].name if index < len(entry.params) else ""


def _in_training(name: str, value: ir.Expr) -> ir.Expr:
    """A probability of dropout counts in training only: `dropout_p=0.1 if self.training else 0.0`."""
    if name != "dropout_p" or not isinstance(value, ir.Value) or value.code in ("0", "0.0"):
        return value
    return ir.Value(f"{value.code} if self.training else 0.0")


def _training(entry: Entry, bound: _Bound) -> list[tuple[str, str]]:
    """Dropout and its kin act in training only, unless the file says otherwise."""
    takes = any(p.name == "training" for p in entry.params)
    return [("training", "self.training")] if takes and "training" not in bound else []


def _expr(c: Body, value: Any, argument: s.Argument | None) -> ir.Expr:
    if isinstance(value, Tensor):
        return value.expr
    if isinstance(value, TensorTuple):
        return as_expr(value)
    if isinstance(value, DType):
        return ir.Value(f"torch.{value.name}")
    if isinstance(value, (list, tuple)) and _flat(value):
        if argument is not None and isinstance(argument.value, s.Name):
            return ir.Value(c.forward_code(argument.value, value))
        return ir.Items(tuple(_expr(c, item, None) for item in value), isinstance(value, list))
    if argument is None:
        return ir.Value(c.runtime_code(value))
    return ir.Value(c.forward_code(argument.value, value))
