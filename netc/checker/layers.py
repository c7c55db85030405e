"""Layers: what a step that names one means.

In: the checker of a body, a step, and the value that flows into it. Out: the value that the layer gives, with the layer
registered as a child where it has a label. Unlabelled layers without state become their functions; in a `seq` every
layer is a child. Leaves to others: modules of the file (`modules`), the inside of a `seq` (`blocks`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc import catalog, ir
from netc import syntax as s
from netc.catalog.entry import REQUIRED, SEVERAL, Entry, Rule
from netc.checker import blocks, choices, functions, memory, modules, sources
from netc.checker.arguments import bind, ordered
from netc.checker.deferred import python_layers
from netc.checker.expressions import ERROR, kind_of
from netc.checker.general_shapes import agrees, inferred, layer_value, shape, witness
from netc.checker.labels import Named, free_label, name_of
from netc.checker.layer_errors import mismatch, rejected, unknown_size
from netc.checker.references import callee_code, find, last_name, leading
from netc.checker.values import LayerRef, Made, Tensor, TensorTuple, tensors
from netc.diagnostics import Label, nearest
from netc.ir import Arg
from netc.literals import literal
from netc.node import replace
from netc.shapes import Reject, TensorType, symbol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netc.checker.body import Body
    from netc.source import Span


# --- which layer ------------------------------------------------------------------------------------------------------


# --- layers as values -------------------------------------------------------------------------------------------------


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
    if c.rec is None and not _fits_something(c, entry, args, label, bound.spans, step.span):
        return None
    args = {n: a._replace(positional=a.positional or n in needed) for n, a in args.items()}
    return ir.Layer(label, ir.Call(entry, ordered(entry, args), step.span), (), TensorType(()), step.span)


def _fits_something(
    c: Body, entry: Entry, args: dict[str, Arg], label: str, spans: dict[str, Span], span: Span
) -> bool:  # fmt: skip
    """Whether a layer that may never be applied takes an input of some number of axes; report the argument if not."""
    rule = entry.rule
    assert rule is not None
    values = {p.name: p.default for p in entry.params} | {n: a.value for n, a in args.items()}
    widths = {n: v for n in rule.infers if isinstance(v := values.get(n), int)}
    width = next(iter(widths.values()), symbol("C"))
    wrong = next((n for n, v in widths.items() if v < 0), None)
    problem = None
    if wrong is not None:
        said = f"`{wrong}` is {widths[wrong]}, and must be 0 or more"
        problem = Reject(wrong, "at least 0", str(widths[wrong]), said)
    for shape_, dtype in _SOME if problem is None else ():
        type_ = TensorType(tuple(width if d is None else symbol(d) for d in shape_), dtype)
        found = shape(c, rule.shape, values, (type_,) * rule.repeat, entry.params)
        if not isinstance(found, Reject):
            return True
        problem = found if found.argument in spans else problem
    if problem is None:
        return True
    c.argument_spans = spans
    rejected(c, entry, problem, (), label, span)
    return False


# The inputs that layers take, with None for the width that a layer is told.
_SOME: tuple[tuple[tuple[str | None, ...], str], ...] = (
    (("N", None), "float32"), (("N", None, "L"), "float32"), (("N", None, "H", "W"), "float32"),
    (("N", None, "D", "H", "W"), "float32"), (("N", "T", None), "float32"), (("N", "T"), "int64"),
)  # fmt: skip


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
            help=_model_help(callee) or "leave the label out, or bind the value with `name = …`",
        )
        return ERROR
    return build(c, step, callee, label, value)


def _model_help(callee: s.Expr) -> str | None:
    """The way out where a model of torchvision is named without its home."""
    name = callee.text if isinstance(callee, s.Name) else ""
    known = catalog.model(name) if name and catalog.function(name) is None else None
    return None if known is None else f"the model of torchvision is written `{known.home}.{name}(…)`"


def _fresh(c: Body, label: Named, span: Span) -> bool:
    if any(held.name == label.text for held in c.held):
        c.report.add(
            "E0214", f"two children are called `{label.text}`", span, "again", help="rename the layer or the parameter",
        )  # fmt: skip
        return False
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
    preset = {n: code or literal(v) for n, v, code in ref.args} if isinstance(held, LayerRef) else {}
    own = f"ꞏ{callee.text}ꞏ" if isinstance(held, LayerRef) else callee_code(c, ref.target)
    arguments = [(n, a) for n, a in layer.call.args.items() if preset.get(n) != a.code]
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
    lead = leading(entry, [n for n, _, _ in ref.args])
    preset = {n: Arg(v, code or literal(v), n in lead) for n, v, code in ref.args if n not in bound.args}
    if c.owner.unit.files and not python_layers().none_inside(c, entry, bound):
        return None
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
    values = {n: layer_value(v, types) for n, v in values.items()}
    for name, infer in rule.infers.items():
        size = inferred(c, infer, values, types)
        if isinstance(size, Reject):
            rejected(c, entry, size, taken, label, span)
            return None
        right = name not in args or agrees(witness(c, args[name].value), witness(c, size))
        if not right and not c.untaken:  # what the instance doesn't take may have sizes that hang on a condition
            mismatch(c, entry, name, args[name].value, size, taken, label)
        if not c.built(size):
            unknown_size(c, entry, name, size, taken, span)
            return None
        if name not in args:
            args[name] = Arg(size, c.inferred_code(size, name), positional=True)
        values[name] = size
    args = {
        n: a._replace(value=layer_value(a.value, types)) if isinstance(a.value, LayerRef) else a
        for n, a in args.items()
    }
    result = shape(c, rule.shape, values, types, entry.params)
    if isinstance(result, Reject):
        rejected(c, entry, result, taken, label, span)
        return None
    layer = ir.Layer(label, ir.Call(entry, ordered(entry, args), span), types, result, span)
    if c.rec is None:
        _look_up(c, args, taken)
        first = functions.first(result)
        macs = rule.macs(values, types, result) if rule.macs else 0
        path = f"{c.prefix}{label}" if label else ""
        came = {"": sources.of(taken)} | {n: sources.of(v) for n, (v, _) in extra.items() if tensors(v)}
        shown = {n: values[n] for n in extra} if label else values | _alike(values, rule)
        c.rows.append(ir.Row(path, entry.name, first, macs, span, shown, came))
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
        _label_please(c, ref.name, step, callee, weighs=True)
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
    """The label of a step that has none: the same one in every turn of a loop, and in every instance."""
    known = c.session.own_labels.setdefault(id(c.owner), {})
    text = known.get(callee.span) or known.setdefault(callee.span, free_label(c, callee.text, known.values()))
    return Named(text, f'"{text}"', callee.span)


def _label_please(c: Body, name: str, step: s.Expr | s.Edited, callee: s.Expr, weighs: bool = False) -> None:
    bound = _bound_to(c, step.span)
    label = bound or free_label(c, name)
    if c.turn is not None:  # in a loop a label of its own for each turn
        label = f'"{label}{{{c.turn}}}"'
    entry = catalog.layer(name)
    what = f"`{name}` has weights" if weighs else f"`{c.source_text(callee.span)}` is another layer in each turn"
    c.report.add(
        "E0205",
        f"{what} and needs a label" if entry is not None or weighs else f"the module `{name}` needs a label",
        callee.span,
        help=f"{'label it with `:`, as in' if bound else 'name it, as in'} `{label}: {c.source_text(step.span)}`",
    )


def _bound_to(c: Body, span: Span) -> str | None:
    """The name in `fc1 = Linear(128)`, where nothing else stands on the line."""
    line, column = c.source.position(span.start)
    before, equal, rest = c.source.line(line)[: column - 1].partition("=")
    name = before.strip()
    free = name.isidentifier() and name not in c.labels
    return name if equal and not rest.strip() and free and not name.startswith("_") else None


def _alike(values: Mapping[str, Any], rule: Rule) -> dict[str, Any]:
    """The arguments that the function is given another's number for."""
    like = rule.function.like if rule.function is not None else {}
    return {name: values[other] for name, other in like.items() if values[name] is None}


def function_form(layer: ir.Layer, tensors: tuple[Tensor, ...]) -> ir.Function:
    """A stateless layer as the function that applies it."""
    entry = layer.call.entry
    assert entry.rule is not None
    form = entry.rule.function
    assert form is not None
    arguments: list[tuple[str | None, ir.Expr]] = [(None, t.expr) for t in tensors]
    for param in entry.params:
        arg = layer.call.args.get(param.name)
        if param.name in form.like and (arg is None or arg.value is None):
            arg = layer.call.args.get(form.like[param.name])
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
    if parts[0] in ("torchvision", "models") and ("models" in parts[:2] or catalog.model(parts[-1])):
        return python_layers().built(c, step, label, value)
    if parts[0] in ("nn", "torch", "F", "torchvision") or "nn" in parts:
        c.report.add(
            "E0219",
            f"layers and functions go by their last name: `{parts[-1]}`",
            callee.span,
            help=f"write `{parts[-1]}`",
            fix=last_name(callee.span, parts[-1]),
        )
        return ERROR
    return c.evaluate(step)
