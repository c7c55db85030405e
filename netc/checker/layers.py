"""Layers: what a step that names one means.

In: the checker of a body, a step, and the value that flows into it. Out: the value that the layer gives, with the layer
registered as a child where it has a label. Unlabelled layers without state become their functions; in a `seq` every
layer is a child. Leaves to others: modules of the file (`modules`), the inside of a `seq` (`blocks`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc import catalog, ir
from netc import syntax as s
from netc.catalog.entry import REQUIRED, SEVERAL, Entry, LayerValue
from netc.catalog.unsupported import REASONS as UNSUPPORTED
from netc.checker import blocks, choices, functions, memory, modules, sources
from netc.checker.arguments import bind, ordered
from netc.checker.expressions import ERROR, kind_of
from netc.checker.labels import Named, name_of
from netc.checker.values import LayerRef, Made, Tensor, TensorTuple, tensors
from netc.diagnostics import Label, nearest
from netc.ir import Arg
from netc.literals import literal
from netc.node import replace
from netc.shapes import Reject, Size, TensorType, same

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from netc.checker.body import Body
    from netc.checker.expressions import Evaluator
    from netc.checker.units import Definition
    from netc.shapes import Dim
    from netc.source import Span


# --- which layer ------------------------------------------------------------------------------------------------------


def find(c: Body, callee: s.Name) -> LayerRef | None:
    """The layer or module of a name, or None with the reason in the report."""
    name = callee.text
    held = c.env.get(name)
    if name in c.env:
        if isinstance(held, LayerRef):
            choices.note(c, callee)
            return held if _usable(c, held, callee) else None
        if held is not ERROR:
            c.report.add(
                "E0202", f"`{name}` is {kind_of(held)}, not a layer", callee.span,
                help=_not_a_layer(name, held),
            )  # fmt: skip
        return None
    target = c.definition(name) or c.python(name) or catalog.layer(name)
    if target is not None:
        ref = LayerRef(target)
        return ref if _usable(c, ref, callee) else None
    if c.owner.unit.files and python_layers().misnamed(c, callee):
        return None
    if c.owner.unit.incomplete:
        return None
    if name in UNSUPPORTED:
        c.report.add("E0900", f"`{name}` can't be used: {UNSUPPORTED[name]}", callee.span)
    elif catalog.loss(name) is not None:
        c.report.add(
            "E0216",
            f"`{name}` is a loss, not a layer",
            callee.span,
            help=f"name it in the `train` section: `loss = {name}`",
        )
    else:
        own = [n for n in (*c.owner.unit.definitions, *c.owner.unit.python) if n[0].isupper()]
        near = _nearest_layer(name) or nearest(name, own)
        help_text = f"did you mean `{near}`?" if near else "layers have the names that torch.nn gives them"
        c.report.add("E0202", f"there is no layer `{name}`", callee.span, help=help_text)
    return None


def _not_a_layer(name: str, held: Any) -> str | None:
    """The way out where a name should be a layer and isn't."""
    if held is None:
        return f"test it first: `if {name} is not None {{ … }}`"
    return (
        f"layers are given without quotes: `{name}={held}`" if isinstance(held, str) and catalog.layer(held) else None
    )


def _usable(c: Body, ref: LayerRef, callee: s.Name) -> bool:
    if isinstance(ref.target, Entry) and ref.target.rule is None:
        reason = UNSUPPORTED.get(ref.name, "its shapes are not known to netc")
        c.report.add("E0900", f"`{ref.name}` can't be used: {reason}", callee.span)
        return False
    probed = isinstance(ref.target, Entry) and ref.target.rule is not None and ref.target.rule.probed
    return not probed or python_layers().usable(c, ref.target, callee)


def python_layers() -> Any:
    """The part for Python layers, loaded where there are any."""
    from netc.checker import python_layers as part

    return part


# What other libraries call torch's layers.
_ELSEWHERE = {
    "Dense": "Linear", "Conv2D": "Conv2d", "Conv1D": "Conv1d", "Conv3D": "Conv3d", "MaxPooling2D": "MaxPool2d",
    "MaxPool2D": "MaxPool2d", "AveragePooling2D": "AvgPool2d", "BatchNormalization": "BatchNorm2d",
    "GlobalAveragePooling2D": "AdaptiveAvgPool2d", "FullyConnected": "Linear", "LayerNormalization": "LayerNorm",
    "Activation": "ReLU", "Relu": "ReLU", "BatchNorm": "BatchNorm2d", "Conv": "Conv2d", "Pool": "MaxPool2d",
}  # fmt: skip


def _nearest_layer(name: str) -> str | None:
    return _ELSEWHERE.get(name) or nearest(name, catalog.layers())


# --- layers as values -------------------------------------------------------------------------------------------------


def reference(c: Evaluator, expr: s.Call, callee: s.Expr) -> LayerRef | Any:
    """`BatchNorm2d(eps=0.001)` as a value: the layer with some of its arguments. None where the name is no layer."""
    assert isinstance(callee, s.Name)
    held = c.env.get(callee.text)
    target = (
        held.target
        if isinstance(held, LayerRef)
        else (c.definition(callee.text) or c.python(callee.text) or catalog.layer(callee.text))
    )
    if target is None:
        return None
    given: dict[str, tuple[Any, str]] = {}
    if isinstance(held, LayerRef):
        given = {n: (v, code) for n, v, code in held.args}
    names = _open_names(target)
    for i, argument in enumerate(expr.arguments):
        name = argument.name.text if argument.name else names[i] if i < len(names) else None
        value = c.evaluate(argument.value)
        if name is None or (argument.name and name not in _all_names(target)):
            known = ", ".join(f"`{n}`" for n in _all_names(target))
            wrong = f"has no argument `{name}`" if argument.name else "takes fewer arguments"
            c.report.add(
                "E0302" if argument.name else "E0304", f"`{target.name}` {wrong}", argument.span,
                help=f"it takes {known}" if known else "it takes none",
            )  # fmt: skip
            return ERROR
        if value is ERROR:
            return ERROR
        code = c.code(argument.value, value) if hasattr(c, "code") else ""
        given[name] = value, code
    return LayerRef(target, tuple((n, v, code) for n, (v, code) in given.items()))


def _open_names(target: Entry | Definition) -> list[str]:
    """The parameters that positional arguments stand for."""
    if isinstance(target, Entry):
        inferred = target.rule.infers if target.rule else ()
        names = [p for p in target.params if p.name not in inferred and not p.keyword_only]
        return [p.name for p in names if not inferred or p.default is REQUIRED]
    return [p.name.text for p in modules.base(target).params]


def _all_names(target: Entry | Definition) -> list[str]:
    return [p.name for p in target.params] if isinstance(target, Entry) else [
        p.name.text for p in modules.base(target).params
    ]  # fmt: skip


def reference_code(c: Body, ref: LayerRef, own: str | None) -> str:
    """The Python of a layer as a value: `nn.ReLU`, `partial(nn.BatchNorm2d, eps=0.001)`."""
    if own is not None and c.rec is not None:
        held = next((v for n, v in c.env.items() if own == f"ꞏ{n}ꞏ"), None)
        args = [a for a in ref.args if not isinstance(held, LayerRef) or a not in held.args]
    else:
        args = list(ref.args)
        own = callee_code(c, ref.target)
    entry = ref.target if isinstance(ref.target, Entry) else None
    lead = [] if entry is None else _leading(entry, [n for n, _, _ in args])
    codes = {n: code for n, _, code in args}
    first = [codes.pop(n) for n in lead]
    named = [f"{n if entry else modules.parameter_name(n)}={code}" for n, code in codes.items()]
    return f"partial({', '.join([own, *first, *named])})" if args else own


def _leading(entry: Entry, given: Iterable[str]) -> list[str]:
    """The arguments before the inferred ones that a layer as a value gives: by position, as whoever builds it goes on.

    `partial(nn.GroupNorm, 8)` can be built with a number of channels just like `nn.BatchNorm2d`.
    """
    inferred = entry.rule.infers if entry.rule is not None else {}
    names = [p.name for p in entry.params]
    before = names[: min((names.index(n) for n in inferred), default=0)]
    return before if set(before) <= set(given) else []


def callee_code(c: Body, target: Entry | Definition) -> str:
    """The Python that names a layer's class."""
    if isinstance(target, Entry):
        if target.rule is not None and target.rule.probed:
            return str(python_layers().code_of(c, target))
        return f"ops.{target.name}" if target.home.startswith("torchvision") else f"nn.{target.name}"
    return c.session.class_name(target)


# --- steps ------------------------------------------------------------------------------------------------------------


def labelled(c: Body, link: s.Link, value: Any) -> Any:
    """`label: step`."""
    assert link.label is not None
    label = name_of(c, link.label)
    if label is not None and not _fresh(c, label, link.label.span):
        label = None
    if value is None:
        value = c.the_current(link.span)
    result = _labelled(c, link, label or Named("", None, link.span), value)
    if label is not None and label.text not in c.labels:
        c.labels[label.text] = None
    return result


def declare(c: Body, statement: s.Declare) -> None:
    """`layer name: Linear(64, in_features=32)`: register a layer of torch that is applied later, or only read."""
    name, step = statement.name, statement.step
    label = name_of(c, name)
    if c.in_seq:
        c.report.add("E0220", "a `seq` applies its layers in their order", statement.span,
                     help="write it without `layer`, or leave the `seq`")  # fmt: skip
        return
    if label is None or not _fresh(c, label, name.span):
        return
    c.spans[f"label {label.text}"] = name.span
    c.labels[label.text] = None
    callee = step.callee if isinstance(step, s.Call) else step
    capital = isinstance(callee, s.Name) and (callee.text[0].isupper() or isinstance(c.env.get(callee.text), LayerRef))
    ref = find(c, callee) if isinstance(callee, s.Name) and capital else None
    if not capital or (ref is not None and not isinstance(ref.target, Entry)):
        what = "a module is built where it is applied for the first time" if ref else "this is no layer"
        c.report.add("E0215", f"`layer` declares a layer of torch: {what}", step.span)
    if ref is None or not isinstance(ref.target, Entry) or not isinstance(callee, s.Name):
        return
    layer = _declared(c, ref, step, label.text)
    if layer is not None:
        register(c, label, layer, new(c, ref, callee, layer))


def _declared(c: Body, ref: LayerRef, step: s.Expr, label: str) -> ir.Layer | None:
    """A layer that sees no input: all its sizes are given."""
    entry = ref.target
    assert isinstance(entry, Entry)
    assert entry.rule is not None
    given_ = step.arguments if isinstance(step, s.Call) else ()
    bound = bind(entry, given_, step.span, c, c.code, inferred=entry.rule.infers, filled={n for n, _, _ in ref.args})
    if not bound.ok:
        return None
    args = {n: Arg(v, code) for n, v, code in ref.args if n not in bound.args} | bound.args
    needed = {p.name for p in entry.params if p.default is REQUIRED}
    for name in (n for n in entry.rule.infers if n not in args and n in needed):
        c.report.add(
            "E0306", f"`{ref.name}` needs `{name}`, since nothing flows into it where it is declared", step.span,
            help=f"give it, as in `layer {label}: {ref.name}({name}=…)`",
        )  # fmt: skip
        return None
    for name in entry.rule.infers if c.rec is not None else ():
        c.inferred_code(args[name].value if name in args else (), name)  # for the name of what it hangs on
    args = {n: a._replace(positional=a.positional or n in needed) for n, a in args.items()}
    return ir.Layer(label, ir.Call(entry, ordered(entry, args), step.span), (), TensorType(()), step.span)


def _labelled(c: Body, link: s.Link, label: Named, value: Any) -> Any:
    step = link.step
    c.spans[f"label {label.text}"] = label.span
    if isinstance(step, s.Seq):
        return blocks.sequential(c, step, label, value)
    if isinstance(step, s.Inline):
        return modules.inline(c, step, label, value)
    if isinstance(step, s.Edited):
        return python_layers().built(c, step, label, value)
    callee = step.callee if isinstance(step, s.Call) else step
    if isinstance(callee, s.Attribute):
        return dotted(c, step, callee, label, value)
    layer = isinstance(callee, s.Name) and (callee.text[0].isupper() or isinstance(c.env.get(callee.text), LayerRef))
    if not isinstance(callee, s.Name) or not layer:
        shown = f"`{callee.text}` is a function" if isinstance(callee, s.Name) else "this is an expression"
        c.report.add(
            "E0215",
            f"a label is for a layer, and {shown}",
            step.span,
            help="leave the label out, or bind the value with `name = …`",
        )
        return ERROR
    return build(c, step, callee, label, value)


def _fresh(c: Body, label: Named, span: Span) -> bool:
    if label.text not in c.labels:
        return True
    key = f"label {label.text}"
    again = c.turn is not None and c.spans.get(key) in (None, span)
    c.report.add(
        "E0214",
        f"two layers are called `{label.text}`",
        span,
        "again",
        secondary=[Label(c.spans[key], "first here")] if key in c.spans and c.spans[key] != span else (),
        help=_another_label(c, label, span)
        if again
        else f"rename one; to apply the first one again, write `{label.text}` without a colon",
    )
    return False


def _another_label(c: Body, label: Named, span: Span) -> str:
    """How a label differs from turn to turn."""
    computed = "{" in c.source_text(span)
    return "each turn needs a label of its own" if computed else (
        f'in a loop a label is computed: `"{label.text}{{{c.turn}}}"`'
    )  # fmt: skip


def build(c: Body, step: s.Expr, callee: s.Name, label: Named, value: Any) -> Any:
    """Build the layer that a step names, register it, and give what it makes of the value that flows into it."""
    ref = find(c, callee)
    if ref is None:
        return ERROR
    if not isinstance(ref.target, Entry):
        return modules.call(c, step, callee, ref, label, value)
    made = call(c, ref, step, callee, label.text, value)
    if made is None:
        return ERROR
    layer, _, (types, extra) = made
    result = choices.settled(c, step, callee, label.text, value, types), extra
    register(c, label, layer, new(c, ref, callee, layer, choices.sizes(c, step, callee, label.text, value)))
    if ref.target.rule is not None and ref.target.rule.probed:
        return python_layers().applied(c, layer, value, result, label, step.span)
    return applied(c, ref.target, value, result, label, step.span)


def register(c: Body, label: Named, child: ir.Child, made: ir.Made) -> None:
    """Make a child of a layer, module or seq."""
    c.labels[label.text] = child
    c.children.append(child)
    if c.rec is not None:
        c.codes[label.text] = label.access(c.path)
        c.rec.build.append(ir.Register(c.path, label.code, made))


def new(c: Body, ref: LayerRef, callee: s.Name, layer: ir.Layer, sizes: tuple[str, ...] = ()) -> ir.New:
    """The Python that builds a layer; one that infers no sizes is given those that others in its place need."""
    held = c.env.get(callee.text)
    preset = {n for n, _, _ in held.args} if isinstance(held, LayerRef) else set()
    own = f"ꞏ{callee.text}ꞏ" if isinstance(held, LayerRef) else callee_code(c, ref.target)
    arguments = [(n, a) for n, a in layer.call.args.items() if n not in preset]
    inferred = ref.target.rule.infers if isinstance(ref.target, Entry) and ref.target.rule is not None else {}
    first = [] if inferred else [(None, ir.Code(code)) for code in sizes]
    return ir.New(own, (*first, *((None if a.positional else n, ir.Code(a.code)) for n, a in arguments)))


def call(
    c: Body, ref: LayerRef, step: s.Expr, callee: s.Name, label: str, value: Any
) -> tuple[ir.Layer, tuple[Tensor, ...], Any] | None:
    """The layer of a call with all its arguments, the tensors that it takes, and the types that it gives."""
    entry = ref.target
    assert isinstance(entry, Entry)
    assert entry.rule is not None
    if entry.rule.probed:
        return python_layers().call(c, ref, step, label, value)  # type: ignore[no-any-return]
    taken = _taken(c, entry, value, step.span)
    key = memory.key(c, step, taken)
    known = c.session.calls.get(key) if key is not None else None
    if known is not None and taken is not None:
        layer = known.layer if known.layer.label == label else replace(known.layer, label=label)
        c.rows.append(ir.Row(f"{c.prefix}{label}" if label else "", *known.row[1:-1], {"": sources.of(taken)}))
        _look_up(c, layer.call.args, taken)
        return layer, taken, (layer.output, {})
    found = _called(c, ref, entry, step, label, taken)
    if key is not None and found is not None and not found[2][1] and not c.report.failed:
        c.session.calls[key] = memory.Remembered(step, found[0], c.rows[-1])
    return found


def _called(
    c: Body, ref: LayerRef, entry: Entry, step: s.Expr, label: str, taken: tuple[Tensor, ...] | None
) -> tuple[ir.Layer, tuple[Tensor, ...], Any] | None:
    """Bind the arguments of a call, and follow it."""
    assert entry.rule is not None
    arguments = step.arguments if isinstance(step, s.Call) else ()
    of_forward = {p.name for p in entry.rule.forward}
    own = tuple(a for a in arguments if a.name is None or a.name.text not in of_forward)
    bound = bind(entry, own, step.span, c, c.code, inferred=entry.rule.infers, filled={n for n, _, _ in ref.args})
    if not bound.ok or taken is None:
        return None
    lead = _leading(entry, [n for n, _, _ in ref.args])
    preset = {n: Arg(v, code or literal(v), n in lead) for n, v, code in ref.args if n not in bound.args}
    c.argument_spans = bound.spans
    extra = _forward_arguments(c, entry, [a for a in arguments if a not in own])
    return None if extra is None else _checked(c, entry, preset | bound.args, taken, extra, label, step.span)


def _taken(c: Body, entry: Entry, value: Any, span: Span) -> tuple[Tensor, ...] | None:
    if value is ERROR:
        return None
    if value is None:
        c.the_current(span)
        return None
    found = tensors(value)
    if isinstance(value, TensorTuple) and value.names:
        python_layers().not_one(c, value, span)
        return None
    if not found:
        c.report.add("E0206", f"a layer takes a tensor, and this is {kind_of(value)}", span)
        return None
    assert entry.rule is not None
    if entry.rule.nested and isinstance(value, TensorTuple) and len(value.items) > 2:
        c.report.add(
            "E0408", f"`{entry.name}` takes a tensor and a pair of states, and {len(value.items)} values arrive", span,
            help="give the states as a tuple of their own: `(x, (h, c)) -> …`",
        )  # fmt: skip
        return None
    if len(found) > 1 and entry.name not in SEVERAL and not entry.rule.probed:
        labels = dict.fromkeys(Label(t.made.span, "given here") for t in found if t.made is not None)
        c.report.add(
            "E0408", f"`{entry.name}` takes 1 input, and {len(found)} arrive", span, secondary=labels,
            help="join them first, with `cat([a, b], 1)` or `a + b`, or apply the layer to each",
        )  # fmt: skip
        return None
    return found * entry.rule.repeat if len(found) == 1 else found


def given(value: Any, repeat: int) -> tuple[ir.Expr, ...]:
    """The arguments that a value is to a layer: several where it is a tuple, one for each of its parts."""
    if isinstance(value, TensorTuple) and isinstance(value.expr, (ir.Apply, ir.Function)):
        return (ir.Spread(value.expr),)
    if isinstance(value, TensorTuple):
        return tuple(functions.as_expr(item) for item in value.items)
    return (functions.as_expr(value),) * repeat


def _forward_arguments(c: Body, entry: Entry, arguments: list[s.Argument]) -> dict[str, tuple[Any, s.Argument]] | None:
    """Arguments of the layer's `forward` that the call gives by name."""
    assert entry.rule is not None
    out: dict[str, tuple[Any, s.Argument]] = {}
    for argument in arguments:
        assert argument.name is not None
        param = next(p for p in entry.rule.forward if p.name == argument.name.text)
        value = c.evaluate(argument.value)
        if value is ERROR or not functions.fits(c, entry, param, value, argument):
            return None
        out[param.name] = value, argument
    return out


def _checked(
    c: Body,
    entry: Entry,
    args: dict[str, Arg],
    taken: tuple[Tensor, ...],
    extra: dict[str, tuple[Any, s.Argument]],
    label: str,
    span: Span,
) -> tuple[ir.Layer, tuple[Tensor, ...], Any] | None:
    """Fill in what follows from the input, and ask the layer's rule for the result."""
    rule = entry.rule
    assert rule is not None
    types = tuple(t.type for t in taken)
    values = {p.name: p.default for p in (*entry.params, *rule.forward)} | {n: a.value for n, a in args.items()}
    values |= {n: functions.type_or_value(v) for n, (v, _) in extra.items()}
    for name in rule.infers:
        values.pop(name, None)
    values = {n: _layer_value(v, types) for n, v in values.items()}
    for name, infer in rule.infers.items():
        size = _inferred(c, infer, values, types)
        if isinstance(size, Reject):
            _rejected(c, entry, size, taken, label, span)
            return None
        agrees = name not in args or _agrees(_witness(c, args[name].value), _witness(c, size))
        if not agrees and not c.untaken:  # what the instance doesn't take may have sizes that hang on a condition
            _mismatch(c, entry, name, args[name].value, size, taken, label)
        if not c.built(size):
            _unknown_size(c, entry, name, size, taken, span)
            return None
        if name not in args:
            args[name] = Arg(size, c.inferred_code(size, name), positional=True)
        values[name] = size
    args = {
        n: a._replace(value=_layer_value(a.value, types)) if isinstance(a.value, LayerRef) else a
        for n, a in args.items()
    }
    result = shape(c, rule.shape, values, types)
    if isinstance(result, Reject):
        _rejected(c, entry, result, taken, label, span)
        return None
    layer = ir.Layer(label, ir.Call(entry, ordered(entry, args), span), types, result, span)
    if c.rec is None:
        _look_up(c, args, taken)
        first = functions.first(result)
        macs = rule.macs(values, types, result) if rule.macs else 0
        path = f"{c.prefix}{label}" if label else ""
        came = {"": sources.of(taken)} | {n: sources.of(v) for n, (v, _) in extra.items() if tensors(v)}
        c.rows.append(ir.Row(path, entry.name, first, macs, span, {} if label else values, came))
    return layer, taken, (result, extra)


def _look_up(c: Body, args: Mapping[str, Arg], taken: tuple[Tensor, ...]) -> None:
    """Note how many entries the table has in which an input is looked up."""
    if "num_embeddings" not in args:
        return
    count = args["num_embeddings"].value
    inputs = {i.name for i in c.inputs}
    for tensor in taken:
        if isinstance(count, int) and isinstance(tensor.expr, ir.Var) and tensor.expr.name in inputs:
            c.looked_up[tensor.expr.name] = min(count, c.looked_up.get(tensor.expr.name, count))


def _inferred(c: Body, infer: Any, values: dict[str, Any], types: tuple[TensorType, ...]) -> Any:
    """A size that follows from the input: in general an expression, if it is right for the instance."""
    if c.rec is None:
        return infer(values, types)
    concrete = infer(c.rec.witness(values_of(values, c)), c.rec.witness(types))
    try:
        size = infer(values, types)
    except (TypeError, ValueError, ZeroDivisionError, AttributeError):
        size = concrete
    if isinstance(size, Reject) or c.rec.witness(size) != concrete:
        return concrete if isinstance(concrete, Reject) else _unknown(c, concrete)
    return size


def values_of(values: dict[str, Any], c: Body) -> dict[str, Any]:
    """The arguments as numbers."""
    assert c.rec is not None
    return {n: c.rec.witness(v) for n, v in values.items()}


def _unknown(c: Body, concrete: Any) -> Any:
    assert c.rec is not None
    if isinstance(concrete, (list, tuple)):
        return type(concrete)([_unknown(c, item) for item in concrete])
    return c.rec.unknown(concrete) if type(concrete) is int else concrete


def shape(c: Body, rule: Any, values: dict[str, Any], types: tuple[TensorType, ...]) -> Any:
    """What a rule gives; in general with sizes as expressions, each of which is right for the instance."""
    if c.rec is None:
        return rule(values, types)
    numbers, plain = values_of(values, c), c.rec.witness(types)
    concrete = rule(numbers, plain)
    if isinstance(concrete, Reject) or (plain == types and numbers == values):
        return concrete
    try:
        probed = getattr(rule, "file", rule) is not rule
        general = python_layers().general(c, rule, values, types) if probed else rule(values, types)
    except (TypeError, ValueError, ZeroDivisionError, AttributeError):
        general = concrete
    return reconciled(c, general, concrete)


def reconciled(c: Body, general: Any, concrete: Any) -> Any:
    """The general result with each size that is wrong for the instance, or that isn't there, unknown."""
    assert c.rec is not None
    if isinstance(concrete, TensorType):
        ok = isinstance(general, TensorType) and len(general.shape) == len(concrete.shape)
        dims = general.shape if ok else concrete.shape
        pairs = zip(dims, concrete.shape, strict=True)
        right = (g if ok and g is not None and c.rec.witness(g) == k else _unknown(c, k) for g, k in pairs)
        return concrete._replace(shape=tuple(right))
    if isinstance(concrete, tuple):
        same_form = isinstance(general, tuple) and not hasattr(general, "_fields") and len(general) == len(concrete)
        parts = general if same_form else concrete
        return tuple(reconciled(c, g if same_form else None, k) for g, k in zip(parts, concrete, strict=True))
    return concrete


def _layer_value(value: Any, types: tuple[TensorType, ...]) -> Any:
    """A layer as an argument, for a rule: with its defaults, and with what follows from the inputs."""
    if not isinstance(value, LayerRef) or not isinstance(value.target, Entry):
        return value
    entry = value.target
    args = {p.name: p.default for p in entry.params if p.default is not REQUIRED}
    args |= {n: _layer_value(v, types) for n, v, _ in value.args}
    for name, infer in entry.rule.infers.items() if entry.rule else ():
        if name not in args:
            try:
                size = infer(args, types)
            except (IndexError, KeyError):
                continue
            if not isinstance(size, Reject):
                args[name] = size
    return LayerValue(entry, args)


def _witness(c: Body, value: Any) -> Any:
    return value if c.rec is None else c.rec.witness(value)


def applied(c: Body, entry: Entry, value: Any, result: Any, label: Named, span: Span) -> Any:
    """The value that a layer gives, and the Python that applies it."""
    types, extra = result
    made = Made(label.text or entry.name, span)
    rule = entry.rule
    assert rule is not None
    keywords = {n: functions.as_expr_of(c, v, a) for n, (v, a) in extra.items()}
    keywords = {n: ir.Value(literal(v)) for n, v in rule.alone.items() if n not in keywords} | keywords
    expr = ir.Apply(label.access(c.path), given(value, rule.repeat), tuple(keywords.items()), types, span)
    value = functions.wrapped(types, expr, made, source=sources.last(c))
    return value._replace(of_layer=True) if isinstance(value, TensorTuple) else value


def with_all(value: TensorTuple) -> TensorTuple:
    """The results of a layer when all of them are wanted."""
    if not isinstance(value.expr, ir.Apply) or not value.of_layer:
        return value
    keywords = tuple((n, e) for n, e in value.expr.keywords if n != "need_weights" or e != ir.Value("False"))
    return value._replace(expr=replace(value.expr, keywords=keywords))


def _agrees(given: Any, arrives: Any) -> bool:
    if isinstance(given, (list, tuple)) and isinstance(arrives, (list, tuple)):
        return len(given) == len(arrives) and all(map(_agrees, given, arrives))
    if isinstance(given, (int, Size)) and isinstance(arrives, (int, Size)):
        return same(given, arrives) is not False
    if isinstance(given, (list, tuple)) and len(given) == 1:
        return _agrees(given[0], arrives)
    if isinstance(arrives, (list, tuple)) and len(arrives) == 1:
        return _agrees(given, arrives[0])
    return bool(given == arrives)


def _mismatch(
    c: Body, entry: Entry, name: str, given: Any, arrives: Any, tensors: tuple[Tensor, ...], label: str
) -> None:
    who = f"`{label or entry.name}`"
    what = name.replace("in_", "input ").replace("num_", "").replace("_", " ")
    shown = ", ".join(map(str, arrives)) if isinstance(arrives, (list, tuple)) else str(arrives)
    message = f"{who} expects {_plain(given)} {what}, but receives {shown}"
    c.report.add(
        "E0401",
        message,
        c.argument_spans[name],
        f"says {_plain(given)}",
        secondary=_came_from(tensors),
        help=f"leave out `{name}`; it follows from the layer before",
    )


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _came_from(tensors: tuple[Tensor, ...]) -> list[Label]:
    return [Label(t.made.span, f"gives {_type(t.type)}") for t in tensors if t.made is not None]


def _type(type_: Any) -> str:
    return str(type_).replace("$", "")


def _unknown_size(c: Body, entry: Entry, name: str, size: Any, tensors: tuple[Tensor, ...], span: Span) -> None:
    shown = str(size).replace("$", "")
    came = _came_from(tensors)
    message = f"`{entry.name}` has to know `{name}` when the network is built, but it is `{shown}`"
    notes = [] if came else [f"it receives {_type(tensors[0].type)}"]
    c.report.add(
        "E0402",
        message,
        span,
        "receives a size that is known only at run time",
        secondary=came,
        notes=notes,
        help="give the input this size as a number, or bring it to a known one (`AdaptiveAvgPool2d`)",
    )


def _rejected(c: Body, entry: Entry, reject: Reject, tensors: tuple[Tensor, ...], label: str, span: Span) -> None:
    """A rule's reason as a diagnostic, at the argument that is at fault where there is one."""
    who = f"`{label}` ({entry.name})" if label and label != entry.name else f"`{entry.name}`"
    place = c.argument_spans.get(reject.argument or "", span)
    came = _came_from(tensors)
    notes = [] if came else list(dict.fromkeys(f"it receives {_type(t.type)}" for t in tensors))
    code = "E0309" if reject.argument in c.argument_spans else getattr(reject, "code", "E0404")
    notes += getattr(reject, "notes", ())
    expected = f"expected {reject.expected}, got {reject.got}" if reject.expected else ""
    c.report.add(
        code,
        f"{who}: {reject.reason}".replace("$", ""),
        place,
        expected.replace("$", ""),
        secondary=came,
        notes=notes,
    )


def unnamed(c: Body, step: s.Expr, callee: s.Name, value: Any) -> Any:
    """A layer without a label: its function where it has no state; else it needs a label."""
    ref = find(c, callee)
    if value is None:
        value = c.the_current(step.span)
    if ref is None:
        return ERROR
    parameter = isinstance(c.env.get(callee.text), LayerRef) and callee.text not in c.constants
    if not isinstance(ref.target, Entry):
        label = _own_label(c, callee)
        if parameter and label.text not in c.labels:
            return modules.call(c, step, callee, ref, label, value)
        _label_please(c, ref.name, step, callee)
        return ERROR
    made = call(c, ref, step, callee, "", value)
    rule = ref.target.rule
    assert rule is not None
    if made is None and rule.probed:
        return ERROR
    if made is not None and rule.probed:
        has_state = bool(_state_of(made[0]))
    else:
        has_state = rule.state is not None or rule.buffers is not None
    if has_state:
        _label_please(c, ref.name, step, callee)
        return ERROR
    if made is None:
        return ERROR
    layer, taken, result = made
    if rule.function is not None and not parameter:
        types, _ = result
        made_ = Made(ref.name, step.span)
        return functions.wrapped(types, function_form(layer, taken), made_, source=sources.last(c))
    result = choices.settled(c, step, callee, "", value, result[0]), result[1]
    label = _own_label(c, callee)
    if label.text in c.labels:  # a further turn of a loop
        before = c.labels[label.text]
        if not isinstance(before, ir.Layer) or (before.call.entry, _values(before)) != (ref.target, _values(layer)):
            _label_please(c, ref.name, step, callee)
            return ERROR
    else:
        sizes = choices.sizes(c, step, callee, "", value)
        register(c, label, replace(layer, label=label.text), new(c, ref, callee, layer, sizes))
    if rule.probed:
        return python_layers().applied(c, layer, value, result, label, step.span)
    return applied(c, ref.target, value, result, label, step.span)


def _state_of(layer: ir.Layer) -> list[str]:
    """The parameters and buffers of a Python layer."""
    rule = layer.call.entry.rule
    assert rule is not None
    args = {p.name: layer.call.get(p.name) for p in layer.call.entry.params}
    return [*(rule.state(args) if rule.state else ()), *(rule.buffers(args) if rule.buffers else ())]


def _values(layer: ir.Layer) -> dict[str, Any]:
    return {n: a.value for n, a in layer.call.args.items()}


def _own_label(c: Body, callee: s.Name) -> Named:
    """The label of a step that has none: the same one in every turn of a loop."""
    text = c.own_labels.setdefault(callee.span, c.free_label(callee.text))
    return Named(text, f'"{text}"', callee.span)


def _label_please(c: Body, name: str, step: s.Expr, callee: s.Name) -> None:
    label = c.free_label(name)
    if c.turn is not None:  # in a loop a label of its own for each turn
        label = f'"{label}{{{c.turn}}}"'
    entry = catalog.layer(name)
    weighs = entry is not None and entry.rule is not None and (entry.rule.state or entry.rule.buffers)
    what = f"`{name}` has weights" if weighs else f"`{callee.text}` is another layer in each turn"
    c.report.add(
        "E0205",
        f"{what} and needs a label" if entry is not None else f"the module `{name}` needs a label",
        callee.span,
        help=f"name it, as in `{label}: {c.source_text(step.span)}`",
    )


def function_form(layer: ir.Layer, tensors: tuple[Tensor, ...]) -> ir.Function:
    """A stateless layer as the function that applies it."""
    entry = layer.call.entry
    assert entry.rule is not None
    form = entry.rule.function
    assert form is not None
    arguments: list[tuple[str | None, ir.Expr]] = [(None, t.expr) for t in tensors]
    for param in entry.params:
        arg = layer.call.args.get(param.name)
        if arg is None:
            if param.name in form.always:
                bare = form.callee.startswith(".") and all(n is None for n, _ in arguments)
                arguments.append((None if bare else param.name, ir.Value(repr(param.default))))
            continue
        count = form.spread.get(param.name, 1)
        code = arg.code if count == 1 or isinstance(arg.value, (list, tuple)) else f"({', '.join([arg.code] * count)})"
        keyword = form.keywords.get(param.name)
        positional = arg.positional and keyword is None and all(n is None for n, _ in arguments)
        arguments.append((None if positional else keyword or param.name, ir.Value(code)))
    for extra in form.extra:
        name, _, code = extra.partition("=")
        arguments.append((name, ir.Value(code)))
    return ir.Function(form.callee, tuple(arguments), layer.output, layer.span)


def again(c: Body, step: s.Expr, label: str, value: Any) -> Any:
    """A label as a step: the same child applied again, which shares its weights."""
    if isinstance(step, s.Call):
        c.report.add(
            "E0217",
            f"`{label}` is a layer of this network; it is applied by its name alone",
            step.span,
            help=f"write `_ -> {label}`, or `(a, b) -> {label}` for several inputs",
        )
        return ERROR
    child = c.labels[label]
    if value is None:
        value = c.the_current(step.span)
    taken = tensors(value)
    if value is not ERROR and not taken:
        c.report.add("E0206", f"a layer takes a tensor, and this is {kind_of(value)}", step.span)
    if child is None or not taken:
        return ERROR
    if isinstance(child, ir.Layer) and len(taken) == 1 and child.call.entry.rule is not None:
        taken = taken * child.call.entry.rule.repeat
    types = tuple(t.type for t in taken)
    found = _again(c, child, types, taken, step.span)
    if found is None:
        return ERROR
    result, macs = found
    if c.rec is None:
        named = f"{label} again"
        if isinstance(child, ir.Layer) and not child.inputs:
            named = child.call.name
            _apply_declared(c, replace(child, inputs=types, output=result))
        came = {"": sources.of(list(taken))}
        c.rows.append(ir.Row(f"{c.prefix}{label}", named, functions.first(result), macs, step.span, {}, came))
    repeat = child.call.entry.rule.repeat if isinstance(child, ir.Layer) and child.call.entry.rule else 1
    expr = ir.Apply(c.codes.get(label, ""), given(value, repeat), (), result, step.span)
    return functions.wrapped(result, expr, Made(label, step.span), source=sources.last(c))


def _apply_declared(c: Body, child: ir.Layer) -> None:
    """Note what a layer that was declared takes and gives."""
    c.labels[child.label] = child
    c.children[:] = [child if m.label == child.label else m for m in c.children]


def _again(
    c: Body, child: ir.Child, types: tuple[TensorType, ...], taken: tuple[Tensor, ...], span: Span
) -> tuple[Any, Dim] | None:
    """What a child that is built already gives for another input, and its multiply-adds."""
    if isinstance(child, ir.Sequential):
        inner = types
        total: Dim = 0
        output: Any = types[0]
        for sub in child.children:
            found = _again(c, sub, inner, taken, span)
            if found is None:
                return None
            output, total = found[0], total + found[1]
            inner = (functions.first(output),)
        return output, total
    if isinstance(child, ir.Instance):
        return modules.again(c, child, types, taken, span)
    entry = child.call.entry
    rule = entry.rule
    assert rule is not None
    values = {p.name: p.default for p in (*entry.params, *rule.forward)}
    values |= {n: a.value for n, a in child.call.args.items()}
    for name, infer in rule.infers.items():
        size = _inferred(c, infer, {n: v for n, v in values.items() if n not in rule.infers}, types)
        if c.untaken and not isinstance(size, Reject):
            values[name] = size
        elif isinstance(size, Reject) or not (c.built(size) and _agrees(_witness(c, values[name]), _witness(c, size))):
            got = size.reason if isinstance(size, Reject) else f"it was built for {_plain(values[name])}"
            arrives = "" if isinstance(size, Reject) else f" and now receives {_plain(size)}"
            c.report.add(
                "E0405",
                f"`{child.label}` can't be applied again here: {got}{arrives} ({name})",
                span,
                secondary=[Label(child.span, _built_for(child)), *_came_from(taken)],
                help="shared layers need inputs of the same size; use a layer of its own here",
            )
            return None
    result = shape(c, rule.shape, values, types)
    if isinstance(result, Reject):
        _rejected(c, entry, result, taken, child.label, span)
        return None
    concrete = c.rec is None and rule.macs is not None
    return result, rule.macs(values, types, result) if concrete else 0  # type: ignore[misc]


def _built_for(child: ir.Layer) -> str:
    return f"built for {_type(child.inputs[0])}" if child.inputs else "declared here"


def by_path(c: Body, step: s.String, value: Any) -> Any:
    """A string as a step applies the child of that label again."""
    label = name_of(c, step)
    if label is None:
        return ERROR
    if label.text in c.labels:
        if c.rec is not None:
            c.codes[label.text] = label.access(c.path)
        return again(c, step, label.text, value)
    near = nearest(label.text, c.labels)
    c.report.add(
        "E0218", f'no layer is called "{label.text}"', step.span, help=f"did you mean `{near}`?" if near else None
    )
    return ERROR


def attribute(c: Body, expr: s.Attribute, label: str) -> Any:
    """`wte.weight`: a parameter of a layer of this body, as a tensor; another attribute is a number of its call."""
    child, name = c.labels[label], expr.name.text
    if child is None:
        return ERROR
    if isinstance(child, ir.Layer) and child.call.entry.rule is not None:
        entry, rule = child.call.entry, child.call.entry.rule
        args = {p.name: child.call.get(p.name) for p in entry.params}
        state: dict[str, Any] = dict(rule.state(args)) if rule.state is not None else {}
        if name in state:
            type_ = TensorType(tuple(state[name]))
            code, source = f"{c.codes.get(label, '')}.{name}", (f"{c.prefix}{label}.{name}", ())
            return Tensor(ir.Value(code), type_, Made(f"{label}.{name}", expr.span), source=source)
        if name in args and name != "bias":
            return args[name]
        near = nearest(name, [*state, *(n for n in args if n != name)])
    elif isinstance(child, ir.Instance):
        held = next((h for h in child.held if h.name == name), None)
        if held is not None:
            code, source = f"{c.codes.get(label, '')}.{name}", (f"{c.prefix}{label}.{name}", ())
            made = Made(f"{label}.{name}", expr.span)
            return Tensor(ir.Value(code), held.type, made, not held.trained, source if held.trained else None)
        near = nearest(name, [h.name for h in child.held])
    else:
        near = None
    c.report.add(
        "E0231", f"`{label}` has no attribute `{name}`", expr.name.span,
        help=f"did you mean `{near}`?" if near else None,
    )  # fmt: skip
    return ERROR


def dotted(c: Body, step: s.Expr, callee: s.Attribute, label: Named | None = None, value: Any = None) -> Any:
    """`nn.Conv2d(…)`, `torch.relu`, `torchvision.models.vgg16(…)`."""
    parts = c.source_text(callee.span).split(".")
    if parts[0] == "torchvision" and parts[1:2] == ["models"]:
        return python_layers().built(c, step, label, value)
    if parts[0] in ("nn", "torch", "F", "torchvision") or "nn" in parts:
        c.report.add(
            "E0219",
            f"layers and functions go by their last name: `{parts[-1]}`",
            callee.span,
            help=f"write `{parts[-1]}`",
        )
        return ERROR
    return c.evaluate(step)
