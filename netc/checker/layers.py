"""Layers: what a step that names one means.

In: the checker of a network, a step, and the value that flows into it. Out: the value that the layer gives, with the
layer registered as a child where it has a label. Unlabelled layers without state become their functions; in a `seq`
every layer is a child.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc import catalog, ir
from netc import syntax as s
from netc.checker.arguments import bind, ordered
from netc.checker.expressions import ERROR, kind_of
from netc.checker.values import Made, Tensor, TensorTuple
from netc.diagnostics import Label, nearest
from netc.identifiers import valid_label
from netc.ir import Arg
from netc.node import replace
from netc.shapes import Dim, Reject, Size, TensorType, same

if TYPE_CHECKING:
    from collections.abc import Callable

    from netc.catalog.entry import Entry
    from netc.checker.network import NetworkChecker
    from netc.source import Span


def labelled(c: NetworkChecker, link: s.Link, value: Any) -> Any:
    """`label: step`."""
    label, step = link.label, link.step
    assert label is not None
    if isinstance(label, s.String) and "{" in label.value:
        c.not_yet(label.span, "a computed label")
        name = ""
    else:
        name = label.text if isinstance(label, s.Ident) else label.value
        if not valid_label(name, label.span, c.report) or not _fresh(c, name, label.span):
            name = ""
    if value is None:
        value = c.the_current(link.span)
    child: ir.Child | None
    if isinstance(step, s.Seq):
        child, result = _sequential(c, step, name, value)
    elif isinstance(step, s.Inline):
        child, result = None, c.not_yet(step.span.before(step.body.span), "a module written where it is used")
    elif isinstance(step, s.Edited):
        child, result = None, c.not_yet(step.span, "editing a layer in braces")
    else:
        child, result = _layer(c, step, name, value, label.span)
    if name:
        c.labels[name] = child
    if child is None or not isinstance(result, Tensor):
        return ERROR
    if name:
        c.children.append(child)
    return result


def _fresh(c: NetworkChecker, name: str, span: Span) -> bool:
    if name not in c.labels:
        return True
    key = f"label {name}"
    c.report.add(
        "E0214",
        f"two layers are called `{name}`",
        span,
        "again",
        secondary=[Label(c.spans[key], "first here")] if key in c.spans else (),
        help=f"rename one; to apply the first one again, write `{name}` without a colon",
    )
    return False


def _layer(c: NetworkChecker, step: s.Expr, name: str, value: Any, span: Span) -> tuple[ir.Layer | None, Any]:
    """A labelled step that has to be a layer."""
    callee = step.callee if isinstance(step, s.Call) else step
    if isinstance(callee, s.Attribute):
        return None, dotted(c, step, callee)
    if not isinstance(callee, s.Name) or not callee.text[0].isupper():
        shown = f"`{callee.text}` is a function" if isinstance(callee, s.Name) else "this is an expression"
        c.report.add(
            "E0215",
            f"a label is for a layer, and {shown}",
            step.span,
            help="leave the label out, or bind the value with `name = …`",
        )
        return None, ERROR
    c.spans[f"label {name}"] = span
    return build(c, step, callee, name, value)


def build(c: NetworkChecker, step: s.Expr, callee: s.Name, label: str, value: Any) -> tuple[ir.Layer | None, Any]:
    """The layer that a step names, and what it gives for the value that flows into it."""
    entry = find(c, callee)
    if entry is None:
        return None, ERROR
    call, inputs = _call(c, entry, step, value, c.code)
    if call is None or inputs is None:
        return None, ERROR
    layer, result = _checked(c, entry, call, inputs, label, step.span)
    if layer is None or result is None:
        return None, ERROR
    made = Made(label or entry.name, step.span)
    expr = ir.Apply(label, tuple(t.expr for t in inputs), result, step.span)
    return layer, Tensor(expr, result, made)


def find(c: NetworkChecker, callee: s.Name) -> Entry | None:
    """The layer of a name, or None with the reason in the report."""
    name = callee.text
    if name in c.definitions:
        c.not_yet(callee.span, f"a module as a layer (`{name}`)")
        return None
    entry = catalog.layer(name)
    if entry is None:
        if catalog.loss(name) is not None:
            c.report.add(
                "E0216",
                f"`{name}` is a loss, not a layer",
                callee.span,
                help=f"name it in the `train` section: `loss = {name}`",
            )
            return None
        near = _nearest_layer(name) or nearest(name, [n for n in c.definitions if n[0].isupper()])
        help_text = f"did you mean `{near}`?" if near else "layers have the names that torch.nn gives them"
        c.report.add("E0202", f"there is no layer `{name}`", callee.span, help=help_text)
    elif entry.rule is None:
        c.not_yet(callee.span, f"the layer `{name}`")
        return None
    return entry


# What other libraries call torch's layers.
_ELSEWHERE = {
    "Dense": "Linear", "Conv2D": "Conv2d", "Conv1D": "Conv1d", "Conv3D": "Conv3d", "MaxPooling2D": "MaxPool2d",
    "MaxPool2D": "MaxPool2d", "AveragePooling2D": "AvgPool2d", "BatchNormalization": "BatchNorm2d",
    "GlobalAveragePooling2D": "AdaptiveAvgPool2d", "FullyConnected": "Linear", "LayerNormalization": "LayerNorm",
    "Activation": "ReLU", "Relu": "ReLU", "BatchNorm": "BatchNorm2d", "Conv": "Conv2d", "Pool": "MaxPool2d",
}  # fmt: skip


def _nearest_layer(name: str) -> str | None:
    return _ELSEWHERE.get(name) or nearest(name, catalog.layers())


def _call(
    c: NetworkChecker, entry: Entry, step: s.Expr, value: Any, code: Callable[[s.Expr, Any], str]
) -> tuple[ir.Call | None, tuple[Tensor, ...] | None]:
    """The layer's call as written, inferred arguments still open, and the tensors that flow into it."""
    assert entry.rule is not None
    arguments = step.arguments if isinstance(step, s.Call) else ()
    bound = bind(entry, arguments, step.span, c, code, inferred=entry.rule.infers)
    taken = _tensors(c, value, step.span)
    if not bound.ok:
        return None, taken
    c.argument_spans = bound.spans
    return ir.Call(entry, bound.args, step.span), taken


def _tensors(c: NetworkChecker, value: Any, span: Span) -> tuple[Tensor, ...] | None:
    if isinstance(value, TensorTuple):
        return value.items
    if isinstance(value, Tensor):
        return (value,)
    if value is not ERROR and value is not None:
        c.report.add("E0206", f"a layer takes a tensor, and this is {kind_of(value)}", span)
    elif value is None:
        c.the_current(span)
    return None


def _checked(
    c: NetworkChecker, entry: Entry, call: ir.Call, tensors: tuple[Tensor, ...], label: str, span: Span
) -> tuple[ir.Layer | None, TensorType | None]:
    """Fill in what follows from the input, and ask the layer's rule for the result."""
    rule = entry.rule
    assert rule is not None
    types = tuple(t.type for t in tensors)
    values = {p.name: p.default for p in entry.params} | {n: a.value for n, a in call.args.items()}
    args = dict(call.args)
    for name in rule.infers:
        values.pop(name)
    for name, infer in rule.infers.items():
        size = infer(values, types)
        if isinstance(size, Reject):
            _rejected(c, entry, size, tensors, label, span)
            return None, None
        if name in args and not _agrees(args[name].value, size):
            _mismatch(c, entry, name, args[name].value, size, tensors, label)
        if not c.built(size):
            _unknown_size(c, entry, name, size, tensors, span)
            return None, None
        if name not in args:
            args[name] = Arg(size, c.inferred_code(size), positional=True)
        values[name] = size
    result = rule.shape(values, types)
    if isinstance(result, Reject):
        _rejected(c, entry, result, tensors, label, span)
        return None, None
    if not isinstance(result, TensorType):
        c.not_yet(span, f"a layer of several results (`{entry.name}`)")
        return None, None
    layer = ir.Layer(label, ir.Call(entry, ordered(entry, args), span), types, result, span)
    macs = rule.macs(values, types, result) if rule.macs else 0
    c.rows.append(ir.Row(f"{c.prefix}{label}" if label else "", entry.name, result, macs, span))
    return layer, result


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
    c: NetworkChecker, entry: Entry, name: str, given: Any, arrives: Any, tensors: tuple[Tensor, ...], label: str
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


def _type(type_: TensorType) -> str:
    return str(type_).replace("$", "")


def _unknown_size(
    c: NetworkChecker, entry: Entry, name: str, size: Any, tensors: tuple[Tensor, ...], span: Span
) -> None:
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


def _rejected(
    c: NetworkChecker, entry: Entry, reject: Reject, tensors: tuple[Tensor, ...], label: str, span: Span
) -> None:
    """A rule's reason as a diagnostic, at the argument that is at fault where there is one."""
    who = f"`{label}` ({entry.name})" if label and label != entry.name else f"`{entry.name}`"
    place = c.argument_spans.get(reject.argument or "", span)
    came = _came_from(tensors)
    notes = [] if came else [f"it receives {_type(t.type)}" for t in tensors]
    code = "E0309" if reject.argument in c.argument_spans else "E0404"
    expected = f"expected {reject.expected}, got {reject.got}" if reject.expected else ""
    c.report.add(
        code,
        f"{who}: {reject.reason}".replace("$", ""),
        place,
        expected.replace("$", ""),
        secondary=came,
        notes=notes,
    )


def unnamed(c: NetworkChecker, step: s.Expr, callee: s.Name, value: Any) -> Any:
    """A layer without a label: its function where it has no state; else it needs a label."""
    entry = find(c, callee)
    if value is None:
        value = c.the_current(step.span)
    if entry is None:
        return ERROR
    call, tensors = _call(c, entry, step, value, c.forward_code)
    if call is None or tensors is None:
        if call is not None:
            _needs_label(c, entry, call, step, callee)
        return ERROR
    if _needs_label(c, entry, call, step, callee):
        return ERROR
    layer, result = _checked(c, entry, call, tensors, "", step.span)
    if layer is None or result is None:
        return ERROR
    assert entry.rule is not None
    made = Made(entry.name, step.span)
    if entry.rule.function is None:
        label = c.free_label(entry.name)
        c.labels[label] = replace(layer, label=label)
        c.children.append(replace(layer, label=label))
        return Tensor(ir.Apply(label, tuple(t.expr for t in tensors), result, step.span), result, made)
    return Tensor(function_form(layer, tensors), result, made)


def _needs_label(c: NetworkChecker, entry: Entry, call: ir.Call, step: s.Expr, callee: s.Name) -> bool:
    rule = entry.rule
    assert rule is not None
    if rule.state is None and rule.buffers is None:
        return False
    label = c.free_label(entry.name)
    c.report.add(
        "E0205",
        f"`{entry.name}` has weights and needs a label",
        callee.span,
        help=f"name it, as in `{label}: {c.source_text(step.span)}`",
    )
    return True


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


def again(c: NetworkChecker, step: s.Expr, label: str, value: Any) -> Any:
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
    tensors = _tensors(c, value, step.span)
    if child is None or tensors is None:
        return ERROR
    types = tuple(t.type for t in tensors)
    found = _again(c, child, types, tensors, step.span)
    if found is None:
        return ERROR
    result, macs = found
    c.rows.append(ir.Row(label, f"{label} again", result, macs, step.span))
    return Tensor(ir.Apply(label, tuple(t.expr for t in tensors), result, step.span), result, Made(label, step.span))


def _again(
    c: NetworkChecker, child: ir.Child, types: tuple[TensorType, ...], tensors: tuple[Tensor, ...], span: Span
) -> tuple[TensorType, Dim] | None:
    """What a child that is built already gives for another input, and its multiply-adds."""
    if isinstance(child, ir.Sequential):
        inner = types
        total: Dim = 0
        for sub in child.children:
            found = _again(c, sub, inner, tensors, span)
            if found is None:
                return None
            inner, total = (found[0],), total + found[1]
        return inner[0], total
    entry = child.call.entry
    assert entry.rule is not None
    values = {p.name: p.default for p in entry.params} | {n: a.value for n, a in child.call.args.items()}
    for name, infer in entry.rule.infers.items():
        size = infer({n: v for n, v in values.items() if n not in entry.rule.infers}, types)
        if isinstance(size, Reject) or not (c.built(size) and _agrees(values[name], size)):
            got = size.reason if isinstance(size, Reject) else f"it was built for {_plain(values[name])}"
            arrives = "" if isinstance(size, Reject) else f" and now receives {_plain(size)}"
            c.report.add(
                "E0405",
                f"`{child.label}` can't be applied again here: {got}{arrives} ({name})",
                span,
                secondary=[Label(child.span, f"built for {_type(child.inputs[0])}"), *_came_from(tensors)],
                help="shared layers need inputs of the same size; use a layer of its own here",
            )
            return None
    result = entry.rule.shape(values, types)
    if isinstance(result, Reject):
        _rejected(c, entry, result, tensors, child.label, span)
        return None
    if not isinstance(result, TensorType):
        return None
    return result, entry.rule.macs(values, types, result) if entry.rule.macs else 0


def by_path(c: NetworkChecker, step: s.String, value: Any) -> Any:
    """A string as a step applies the child of that label again."""
    if "{" in step.value:
        return c.not_yet(step.span, "a computed label")
    if step.value in c.labels:
        return again(c, step, step.value, value)
    near = nearest(step.value, c.labels)
    c.report.add(
        "E0218", f'no layer is called "{step.value}"', step.span, help=f"did you mean `{near}`?" if near else None
    )
    return ERROR


def dotted(c: NetworkChecker, step: s.Expr, callee: s.Attribute) -> Any:
    """`nn.Conv2d(…)`, `torch.relu`, `torchvision.models.vgg16(…)`."""
    parts = c.source_text(callee.span).split(".")
    if parts[0] == "torchvision":
        return c.not_yet(callee.span, "a model of torchvision as a layer")
    if parts[0] in ("nn", "torch", "F") or "nn" in parts:
        c.report.add(
            "E0219",
            f"layers and functions go by their last name: `{parts[-1]}`",
            callee.span,
            help=f"write `{parts[-1]}`",
        )
        return ERROR
    return c.evaluate(step)


def _sequential(c: NetworkChecker, step: s.Seq, label: str, value: Any) -> tuple[ir.Sequential | None, Any]:
    """`label: seq { … }`: children by position, or by their own labels."""
    tensors = _tensors(c, value, step.span.before(step.body.span))
    outer = c.labels, c.children, c.current, c.prefix
    c.labels, c.children, c.prefix = {}, [], f"{c.prefix}{label}."
    c.spans[f"label {label}"] = step.span.before(step.body.span)
    current: Any = ERROR if tensors is None else tensors[0]
    ok, named = tensors is not None, False
    for statement in step.body.statements:
        for link in _links(c, statement):
            own = link.label
            current, child_label = _member(c, link, len(c.children), current)
            ok = ok and current is not ERROR
            named = named or (own is not None and child_label is not None)
    children = tuple(c.children)
    c.labels, c.children, c.current, c.prefix = outer
    if not ok or not isinstance(current, Tensor) or tensors is None:
        return None, ERROR
    types = tuple(t.type for t in tensors)
    child = ir.Sequential(label, children, named, types, current.type, step.span)
    expr = ir.Apply(label, tuple(t.expr for t in tensors), current.type, step.span)
    return child, Tensor(expr, current.type, Made(label, step.span.before(step.body.span)))


def _links(c: NetworkChecker, statement: s.Statement) -> tuple[s.Link, ...]:
    if isinstance(statement, s.Flow):
        return statement.chain.links
    if isinstance(statement, (s.If, s.For)):
        getattr(c, f"do_{type(statement).__name__.lower()}")(statement)
    elif not isinstance(statement, s.Broken):
        c.report.add(
            "E0220", "a `seq` holds layers only", statement.span, help="move this before the `seq`, or into a module"
        )
    return ()


def _member(c: NetworkChecker, link: s.Link, position: int, value: Any) -> tuple[Any, str | None]:
    """One child of a Sequential: every layer is a child, labelled or not."""
    if link.label is not None or isinstance(link.step, (s.Seq, s.Inline, s.Edited)):
        labelled_link = link if link.label is not None else replace(link, label=s.Ident(str(position), link.span))
        return labelled(c, labelled_link, value), "named"
    callee = link.step.callee if isinstance(link.step, s.Call) else link.step
    if not isinstance(callee, s.Name) or not callee.text[0].isupper():
        c.report.add(
            "E0220",
            "a `seq` holds layers only",
            link.step.span,
            help="use the layer of the same effect (`Flatten`), or leave the `seq`",
        )
        return ERROR, None
    child, result = build(c, link.step, callee, str(position), value)
    if child is None:
        return ERROR, None
    c.children.append(child)
    c.labels[str(position)] = child
    return result, None
