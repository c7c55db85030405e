"""Layers of a `use`d Python file, and models of torchvision with their edits.

In: the checker of a body, a step that names such a layer, and the value that flows into it. Out: the layer as others
are, its result found by running it without numbers. Guarantees: names, arguments and the number of inputs are checked
by what the file or the catalog says; torch is asked in a second pass, which comes only where the first found nothing
wrong. In the first pass the result is unknown, and nothing that follows from it is reported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc import catalog, ir
from netc import syntax as s
from netc.catalog.entry import REQUIRED, Entry, LayerValue
from netc.checker import functions, general_shapes, layer_errors, layers, references, sources
from netc.checker.arguments import bind, ordered
from netc.checker.expressions import ERROR, kind_of
from netc.checker.python_text import quoted
from netc.checker.values import LayerRef, Made, Tensor, TensorTuple, tensors
from netc.diagnostics import nearest
from netc.foreign import Raised, entries, fit, raised
from netc.ir import Arg

if TYPE_CHECKING:
    from netc.checker.arguments import Bound
    from netc.checker.body import Body
    from netc.checker.edits import Change
    from netc.checker.labels import Named
    from netc.source import Span

MODELS = "torchvision.models"


# --- names -----------------------------------------------------------------------------------------------------------


def code_of(c: Body, entry: Entry) -> str:
    """The Python that names a class, a function or the builder of a model."""
    if entry.home.startswith("torchvision"):
        return f"{entry.home.removeprefix('torchvision.')}.{entry.name}"
    return c.session.python_name(entry)


def class_code(c: Body, entry: Entry) -> str:
    """The Python of the class that a layer is an instance of."""
    return catalog.model_class(entry.name) if entry.home.startswith(MODELS) else code_of(c, entry)


def usable(c: Body, entry: Entry, callee: s.Name) -> bool:
    """Whether a class can be a layer, as far as its file tells; reported where not."""
    shape = entry.rule.shape if entry.rule is not None else None
    if isinstance(shape, entries.Probed) and shape.file is not None and entry.name in shape.file.classes:
        found = shape.file.classes[entry.name]
        if found.rootless:
            c.report.add(
                "E0705", f"`{entry.name}` in {shape.file.path} is not a class derived from nn.Module", callee.span,
                notes=[f"in {shape.file.path}, line {found.line}"],
                help=f"derive it: `class {entry.name}(nn.Module):`",
            )  # fmt: skip
            return False
    return True


def none_inside(c: Body, entry: Entry, bound: Bound) -> bool:
    """Whether a layer of torch is given no Python layer, whose weights can't be counted there; reported where it is."""
    for name, arg in bound.args.items():
        target = arg.value.target if isinstance(arg.value, LayerRef) else None
        if isinstance(target, Entry) and _rule(target).probed:
            c.report.add(
                "E0712", f"`{entry.name}` can't be given the Python layer `{target.name}`", bound.spans[name],
                help="build it in the Python file, or write out what the layer does",
            )  # fmt: skip
            return False
    return True


def misnamed(c: Body, callee: s.Name) -> bool:
    """Report a name that a Python file has, but that can't be used as what it is; False where no file has it."""
    file = next((f for f in c.owner.unit.files if callee.text in f.names), None)
    if file is None:
        return False
    kind, other = ("function", "layers are classes") if callee.text in file.functions else ("class", "functions")
    wanted = "a small letter" if kind == "function" else "a capital"
    c.report.add(
        "E0705", f"`{callee.text}` is a {kind} in {file.path}, and its name has to begin with {wanted}", callee.span,
        help="rename it there" if kind == "class" else f"{other}; make it one, or rename it and call it after `->`",
    )  # fmt: skip
    return True


# --- a layer ---------------------------------------------------------------------------------------------------------


def call(
    c: Body, ref: LayerRef, step: s.Expr, label: str, value: Any
) -> tuple[ir.Layer, tuple[Tensor, ...], Any] | None:
    """The layer of a call, as `layers.call` gives it; None where there is none, or not yet."""
    entry = ref.target
    assert isinstance(entry, Entry)
    given = step.arguments if isinstance(step, s.Call) else ()
    bound = _bound(c, entry, ref, given, step.span)
    taken = _taken(c, entry, value, step.span)
    if bound is None or taken is None:
        return None
    entry, args, extra = bound
    if not _counted(c, entry, taken, extra, step.span):
        return None
    if not c.session.probing:
        c.session.deferred = True
        return None
    types = tuple(t.type for t in taken)
    values = _values(entry, args, extra)
    result = general_shapes.shape(c, _rule(entry).shape, values, types)
    if isinstance(result, Raised):
        layer_errors.rejected(c, entry, result, taken, label, step.span)
        return None
    return _layer(c, entry, args, taken, values, result, label, step.span, extra), taken, (result, extra)


def _layer(
    c: Body, entry: Entry, args: dict[str, Arg], taken: tuple[Tensor, ...], values: dict[str, Any], result: Any,
    label: str, span: Span, extra: dict[str, tuple[Any, s.Argument]],
) -> ir.Layer:  # fmt: skip
    types = tuple(t.type for t in taken)
    in_order = ordered(entry, {n: a._replace(value=values[n]) for n, a in args.items()})
    layer = ir.Layer(label, ir.Call(entry, in_order, span), types, result, span)
    if c.rec is None:
        macs = _rule(entry).macs
        cost = macs(values, types, result) if macs is not None else 0
        path, first, came = f"{c.prefix}{label}" if label else "", functions.first(result), {"": sources.of(taken)}
        came |= {n: sources.of(v) for n, (v, _) in extra.items() if tensors(v)}
        c.rows.append(ir.Row(path, entry.name, first, cost, span, {}, came))
    return layer


def _rule(entry: Entry) -> Any:
    assert entry.rule is not None
    return entry.rule


_Bound = tuple[Entry, dict[str, Arg], dict[str, tuple[Any, s.Argument]]]


def _bound(c: Body, entry: Entry, ref: LayerRef, given: tuple[s.Argument, ...], span: Span) -> _Bound | None:
    """The entry with its arguments, those of the constructor and those of `forward`."""
    of_forward = {p.name for p in _rule(entry).forward}
    own = tuple(a for a in given if a.name is None or a.name.text not in of_forward)
    keywords = [a.name.text for a in own if a.name is not None]
    entry = entries.widened(entry, len(own) - len(keywords), keywords)
    bound = bind(entry, own, span, c, c.code, filled={n for n, _, _ in ref.args})
    if not bound.ok:
        return None
    c.argument_spans = bound.spans
    args = {n: Arg(v, code) for n, v, code in ref.args if n not in bound.args} | bound.args
    for name, arg in args.items():
        if not _can_be_given(c, entry, arg.value, bound.spans.get(name, span)):
            return None
    extra = layers._forward_arguments(c, entry, [a for a in given if a not in own])
    return None if extra is None else (entry, args, extra)


def _can_be_given(c: Body, entry: Entry, value: Any, span: Span) -> bool:
    if isinstance(value, (Tensor, TensorTuple)):
        c.report.add("E0307", f"`{entry.name}` is given a tensor when it is built", span,
                     help="let its `forward` take the tensor: `(_, value) -> …`")  # fmt: skip
        return False
    if isinstance(value, LayerRef) and not isinstance(value.target, Entry):
        c.report.add("E0712", f"`{entry.name}` is Python, and can't be given the module `{value.name}` of this file",
                     span, help="give it a layer of torch, or a class of a `use`d file")  # fmt: skip
        return False
    return True


def _taken(c: Body, entry: Entry, value: Any, span: Span) -> tuple[Tensor, ...] | None:
    if isinstance(value, TensorTuple) and any(isinstance(item, TensorTuple) for item in value.items):
        c.report.add("E0206", f"`{entry.name}` takes tensors, and one of these is several", span,
                     help="take them apart first: `a, b = …`")  # fmt: skip
        return None
    return layers._taken(c, entry, value, span)


def _counted(
    c: Body, entry: Entry, taken: tuple[Tensor, ...], extra: dict[str, tuple[Any, s.Argument]], span: Span
) -> bool:
    """Whether `forward` takes this many inputs, as far as the file tells."""
    shape = _rule(entry).shape
    found = shape.file.classes[entry.name].forward if shape.file is not None else None
    if shape.file is None:
        least = most = 1
    elif found is None:
        return True
    else:
        plain = [p for p in found.params if not p.keyword_only]
        least = sum(p.default is REQUIRED and p.name not in extra for p in plain)
        most = 10**9 if found.more else len(plain)
    if least <= len(taken) <= most:
        return True
    takes = f"{least}" if least == most or most == 10**9 else f"{least} to {most}"
    more = " or more" if most == 10**9 else ""
    c.report.add(
        "E0408", f"`{entry.name}` takes {takes}{more} input{'s' * (takes != '1')}, and {len(taken)} arrive", span,
        secondary=layer_errors.came_from(taken),
        help="give several inputs as `(a, b) -> …`" if len(taken) < least else None,
    )  # fmt: skip
    return False


def _values(entry: Entry, args: dict[str, Arg], extra: dict[str, tuple[Any, s.Argument]]) -> dict[str, Any]:
    """Every parameter with its value, as rules take them."""
    values = {p.name: p.default for p in (*entry.params, *_rule(entry).forward)}
    values |= {n: plain(a.value) for n, a in args.items()}
    return values | {n: plain(v) for n, (v, _) in extra.items()}


def general(c: Body, rule: Any, values: dict[str, Any], types: Any) -> Any:
    """What a layer gives in general: sizes as expressions that fit the runs with other numbers."""
    assert c.rec is not None
    used = fit.symbols_of([*types, *values.values()])
    return rule.general(values, types, {n: c.rec.atoms[n].witness for n in used if n in c.rec.atoms})


def applied(c: Body, layer: ir.Layer, value: Any, result: Any, label: Named, span: Span) -> Any:
    """The value that a layer gives; the parts of a dictionary have their names."""
    types, extra = result
    made = Made(label.text or layer.call.name, span)
    keywords = {n: functions.as_expr_of(c, v, a) for n, (v, a) in extra.items()}
    expr = ir.Apply(label.access(c.path), layers.given(value, 1), tuple(keywords.items()), types, span)
    names = _names(c, layer)
    out = functions.wrapped(types, expr, made, source=sources.last(c))
    return with_names(out, names) if names else out


def with_names(value: Any, names: tuple[str, ...]) -> Any:
    """Several values as those of a dictionary."""
    items = tuple(
        item._replace(expr=ir.Item(value.expr, (ir.Value(quoted(name)),), functions.types(item)))
        for name, item in zip(names, value.items, strict=True)
    )
    return value._replace(items=items, names=names)


def _names(c: Body, layer: ir.Layer) -> tuple[str, ...]:
    entry = layer.call.entry
    values = {p.name: layer.call.get(p.name) for p in entry.params}
    values |= {p.name: p.default for p in _rule(entry).forward}
    if c.rec is not None:
        values, types = general_shapes.values_of(values, c), c.rec.witness(layer.inputs)
    else:
        types = layer.inputs
    return tuple(getattr(_rule(entry).shape(values, types), "names", ()))


def not_one(c: Body, value: TensorTuple, span: Span) -> None:
    """Report a dictionary where a tensor is needed."""
    keys = ", ".join(f"`{n}`" for n in value.names)
    c.report.add("E0206", f"this is a dictionary of {keys}, and not a tensor", span,
                 help=f'take one of them: `_["{value.names[0]}"]`')  # fmt: skip


# --- functions -------------------------------------------------------------------------------------------------------


def wants_more(entry: Entry, given: tuple[s.Argument, ...]) -> bool:
    """Whether a call leaves out an argument that the function needs, so that it takes the current value first."""
    named = {a.name.text for a in given if a.name is not None}
    required = [p for p in entry.params if p.default is REQUIRED and p.name not in named]
    return len(required) > len(given) - len(named)


def for_call(entry: Entry, given: tuple[s.Argument, ...], flowing: int) -> Entry:
    """The entry of a function for one call, where it takes any arguments."""
    keywords = [a.name.text for a in given if a.name is not None]
    return entries.widened(entry, flowing + len(given) - len(keywords), keywords)


def plain(value: Any) -> Any:
    """An argument for a rule: a tensor as its type, in lists too; a layer with the arguments that it was given."""
    if isinstance(value, Tensor):
        return value.type
    if isinstance(value, TensorTuple):
        return tuple(map(plain, value.items))
    if isinstance(value, LayerRef) and isinstance(value.target, Entry):
        return LayerValue(value.target, {n: plain(v) for n, v, _ in value.args})
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return type(value)(map(plain, value))
    return value


# --- models of torchvision -------------------------------------------------------------------------------------------


def model(c: Body, step: s.Expr, callee: s.Attribute) -> tuple[LayerRef, s.Expr] | None:
    """The model that a dotted name means; None with the reason in the report."""
    path = c.source_text(callee.span).replace(" ", "")
    name = path.rpartition(".")[2]
    entry = catalog.model(name)
    if entry is not None and path == f"{entry.home}.{name}":
        found = c.session.models.setdefault(name, entries.of_model(entry))
        return LayerRef(found), step
    if entry is not None:
        help_text: str | None = f"it is `{entry.home}.{name}`"
    else:
        near = nearest(name, catalog.models())
        home = catalog.model(near) if near else None
        help_text = f"did you mean `{home.home}.{near}`?" if home is not None else (
            "it has the models for classification, and those of `segmentation` and `video`"
        )  # fmt: skip
    c.report.add("E0709", f"torchvision has no model `{path.removeprefix('torchvision.models.')}` that netc can build"
                 if path.startswith(f"{MODELS}.") else f"`{path}` is no model of torchvision", callee.span,
                 help=help_text)  # fmt: skip
    return None


def with_enums(entry: Entry, args: dict[str, Arg], given: tuple[s.Argument, ...]) -> dict[str, Arg]:
    """Weights that are named by a string, as the member of torchvision's enumeration."""
    written = {a.name.text: a.value for a in given if a.name is not None and isinstance(a.value, s.String)}
    enums = catalog.model_weights(entry.name)
    return {n: a._replace(code=f"{enums[n]}.{a.value}") if n in enums and n in written else a for n, a in args.items()}


def built(c: Body, step: s.Expr | s.Edited, label: Named | None, value: Any) -> Any:
    """A Python layer or model with edits, or a model without: registered, edited and applied."""
    from netc.checker import edits

    inner = step.value if isinstance(step, s.Edited) else step
    callee = inner.callee if isinstance(inner, s.Call) else inner
    if isinstance(step, s.Edited) and any(isinstance(e, s.Broken) for e in step.edits):
        return ERROR
    ref = _named(c, inner, callee)
    if ref is None:
        return ERROR
    entry = ref.target
    assert isinstance(entry, Entry)
    if value is None:
        value = c.the_current(step.span)
    if label is None:
        layers._label_please(c, entry.name, step, callee, weighs=True)
        return ERROR
    bound = _bound(c, entry, ref, inner.arguments if isinstance(inner, s.Call) else (), inner.span)
    taken = _taken(c, entry, value, inner.span)
    changes = edits.read(c, entry, step.edits if isinstance(step, s.Edited) else ())
    if bound is None or taken is None or changes is None or not _counted(c, entry, taken, bound[2], inner.span):
        return ERROR
    if not c.session.probing:
        c.session.deferred = True
        return ERROR
    return _edited(c, inner, ref, bound, taken, changes, label, value)


def _edited(
    c: Body, inner: s.Expr, ref: LayerRef, bound: _Bound, taken: tuple[Tensor, ...], changes: list[Change],
    label: Named, value: Any,
) -> Any:  # fmt: skip
    """The layer with its edits, once torch may be asked."""
    from netc.checker import edits

    entry, args, extra = bound
    if entry.home.startswith(MODELS):
        args = with_enums(entry, args, inner.arguments if isinstance(inner, s.Call) else ())
    values = _values(entry, args, extra)
    done = edits.follow(c, entry, values, taken, changes, label)
    if done is None:
        return ERROR
    entry, lines = done
    result = general_shapes.shape(c, _rule(entry).shape, values, tuple(t.type for t in taken))
    if isinstance(result, Raised):
        if changes:
            result = raised(result.code, result.reason, (*result.notes, "its edits are made before it is run"))
        layer_errors.rejected(c, entry, result, taken, label.text, inner.span)
        return ERROR
    layer = _layer(c, entry, args, taken, values, result, label.text, inner.span, extra)
    preset = {n for n, _, _ in ref.args}
    arguments = [(None if a.positional else n, ir.Code(a.code)) for n, a in layer.call.args.items() if n not in preset]
    layers.register(c, label, layer, ir.New(code_of(c, entry), tuple(arguments)))
    if c.rec is not None:
        c.rec.build += lines
    return applied(c, layer, value, (result, extra), label, inner.span)


def _named(c: Body, inner: s.Expr, callee: s.Expr) -> LayerRef | None:
    """The layer that is built, where it is one of Python's or torchvision's."""
    if isinstance(callee, s.Attribute):
        found = model(c, inner, callee)
        return found[0] if found is not None else None
    ref = None
    if isinstance(callee, s.Name) and (callee.text[0].isupper() or isinstance(c.env.get(callee.text), LayerRef)):
        ref = references.find(c, callee)
        if ref is None:
            return None
        if isinstance(ref.target, Entry) and _rule(ref.target).probed:
            return ref
    shown = f"`{ref.name}`" if ref is not None else kind_of(None) if callee is None else "this"
    c.report.add(
        "E0711", f"{shown} can't be edited in braces: models of torchvision and Python layers can", inner.span,
        help=f"its arguments stand in parentheses: `{ref.name}(…)`" if ref is not None else None,
    )  # fmt: skip
    return None
