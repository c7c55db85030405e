"""Modules of the file as layers: `BasicBlock(64, stride=2)`, `encoder: module { … }`.

In: the checker of a body, a call of a module or network, and the value that flows into it. Out: the value that it
gives. One instance is followed once for the same arguments and input types, however often the file builds it. In
general, the module is a class of its own: its sizes are expressions over its parameters and inputs, into which those of
the call are put; what no expression gives, the caller reads as an attribute of the child (`out_channels`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from netc import ir
from netc import syntax as s
from netc.checker import sources
from netc.checker.expressions import ERROR
from netc.checker.functions import wrapped
from netc.checker.labels import Named
from netc.checker.python_text import names
from netc.checker.recorder import NoExpression, mark
from netc.checker.units import Definition
from netc.checker.values import LayerRef, Made, Tensor, TensorTuple, tensors
from netc.diagnostics import Label, Report, suggestion
from netc.fixes import spelling
from netc.identifiers import python_name
from netc.limits import ROW, spend
from netc.shapes import Size, TensorType, substitute

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netc.checker.body import Body
    from netc.checker.session import General, Instance
    from netc.shapes import Dim
    from netc.source import Span


def parameter_name(name: str) -> str:
    """The Python name of a parameter: `Block` is `block`."""
    if name[:1].isupper() and not name.isupper():
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return python_name(name)


Values = dict[str, tuple[Any, str]]  # of parameters: value and code


def base(definition: Definition) -> Definition:
    """The module or network that a variant fills in; itself where it is none."""
    while definition.base is not None:
        definition = definition.base
    return definition


def call(c: Body, step: s.Expr, callee: s.Name, ref: LayerRef, label: Named, value: Any) -> Any:
    """Build a module, register it, and give what it makes of the value that flows into it."""
    definition = ref.target
    assert isinstance(definition, Definition)
    c.session.note_target(c.owner, callee, definition)
    given = arguments(c, definition, step.arguments if isinstance(step, s.Call) else (), ref, step.span)
    if value is None:
        value = c.the_current(step.span)
    if given is None or value is ERROR:
        return ERROR
    return _built(c, definition, given, callee, label, value, step)


def given(c: Body, step: s.Expr, ref: LayerRef) -> Values | None:
    """The values of a module's parameters in a call, those that the value names included."""
    assert isinstance(ref.target, Definition)
    return arguments(c, ref.target, step.arguments if isinstance(step, s.Call) else (), ref, step.span)


def inline(c: Body, step: s.Inline, label: Named, value: Any) -> Any:
    """`label: module { … }`: a module that sees the constants and parameters around it."""
    definition = c.session.inline(c.owner, step, label.text, _captured(c, step))
    if value is None:
        value = c.the_current(step.span.before(step.body.span))
    if value is ERROR:
        return ERROR
    given = {p.name.text: (c.env[p.name.text], mark(p.name.text)) for p in definition.params}
    if any(v is ERROR for v, _ in given.values()):
        return ERROR
    return _built(c, definition, given, None, label, value, step)


def _captured(c: Body, step: s.Inline) -> tuple[str, ...]:
    """The names around an inline module that it uses."""
    own = {st.name.text for st in step.body.statements if isinstance(st, s.Input)} | _binds(step.body)
    shapes = {n for st in step.body.statements if isinstance(st, s.Input) for n in names(st.shape) if n[0].isupper()}
    out: dict[str, None] = {}
    for name in all_names(step.body):
        known = name in c.env and name not in c.constants and not isinstance(c.env[name], (Tensor, TensorTuple))
        if known and name not in own and (name not in shapes or name in c.parameters):
            out[name] = None
    return tuple(out)


def _binds(node: object) -> set[str]:
    """The names that statements give a value themselves, those of loops included."""
    if isinstance(node, s.Inline):
        return set()
    found = {name for target in node.targets for name in _words(target)} if isinstance(node, (s.For, s.Bind)) else set()
    return found.union(*map(_binds, node)) if isinstance(node, tuple) else found


def _words(target: s.Target) -> Iterator[str]:
    if isinstance(target, s.Ident):
        yield target.text
    else:
        for item in target.items:
            yield from _words(item)


def all_names(node: object) -> list[str]:
    """The names in a piece of the tree, those of callees and of computed labels among them."""
    if isinstance(node, s.Name):
        return [node.text]
    if isinstance(node, s.String) and "{" in node.value:
        return re.findall(r"[A-Za-z_]\w*", " ".join(re.findall(r"\{([^{}]*)\}", node.value)))
    return [n for item in node for n in all_names(item)] if isinstance(node, tuple) else []


def arguments(
    c: Body, definition: Definition, given: tuple[s.Argument, ...], ref: LayerRef, span: Span, partly: bool = False
) -> Values | None:
    """The arguments of a call by the names of the parameters; None with the reason in the report."""
    params = open_params(definition)
    known = [p.name.text for p in params]
    values: Values = {n: (v, code) for n, v, code in ref.args}
    preset = set(values)
    ok = True
    seen: dict[str, s.Argument] = {}
    place = 0
    for argument in given:
        if argument.name is not None:
            name = argument.name.text
        else:
            while place < len(known) and known[place] in seen:
                place += 1
            name = known[place] if place < len(known) else ""
        ok = _fits(c, definition, argument, name, known, seen) and ok
        value = c.evaluate(argument.value)
        if isinstance(value, (Tensor, TensorTuple)):
            c.report.add(
                "E0307", f"`{name}` of `{definition.name}` is a tensor, and parameters are known when it is built",
                argument.span, help="let the module take it as an `input`, and give it in front: `(_, value) -> …`",
            )  # fmt: skip
            value = ERROR
        ok = ok and value is not ERROR
        seen[name] = argument
        values[name] = value, c.code(argument.value, value) if value is not ERROR else ""
    missing = [p for p in params if p.default is None and p.name.text not in values]
    if ok and missing and not partly:
        what = " and ".join(f"`{p.name.text}`" for p in missing)
        c.report.add("E0306", f"`{definition.name}` needs {what}", span,
                     help=f"give it, as in `{definition.name}({missing[0].name.text}=…)`")  # fmt: skip
    if not ok or (missing and not partly):
        return None
    in_order = {n: values[n] for n in known if n in values}
    return {n: v for n, v in in_order.items() if n in seen or n in preset}


def _fits(
    c: Body, definition: Definition, argument: s.Argument, name: str, known: list[str], seen: dict[str, s.Argument]
) -> bool:
    if name in seen:
        c.report.add(
            "E0305", f"`{definition.name}` is given `{name}` twice", argument.span, "again",
            secondary=[Label(seen[name].span, "first here")], help="remove one of them",
        )  # fmt: skip
        return False
    if name in known:
        return True
    takes = ", ".join(f"`{n}`" for n in known)
    if argument.name is None:
        said = f"`{definition.name}` takes {takes}" if known else f"`{definition.name}` takes no arguments"
        c.report.add("E0304", said, argument.span, "one too many")
    else:
        c.report.add(
            "E0302", f"`{definition.name}` has no parameter `{name}`", argument.name.span,
            help=suggestion(name, known) or (f"it takes {takes}" if known else "it takes none"),
            fix=spelling(name, argument.name.span, [n for n in known if n not in seen])
            if c.source.text.count(name) == 1 else None,  # else it may be the definition that is misspelt
        )  # fmt: skip
    return False


def open_params(definition: Definition) -> tuple[s.Param, ...]:
    """The parameters that a call may give: those that a variant fixes are not among them."""
    if definition.base is None:
        return definition.params
    fixed = definition.unit.fixed.get(definition.name, ())
    return tuple(p for p in open_params(definition.base) if p.name.text not in fixed)


def _built(
    c: Body, definition: Definition, given: Values, callee: s.Name | None, label: Named, value: Any,
    step: s.Expr | s.Inline,
) -> Any:  # fmt: skip
    span = step.span.before(step.body.span) if isinstance(step, s.Inline) else step.span
    taken = tensors(value)
    types = tuple(t.type for t in taken)
    witness = {n: v if c.rec is None else c.rec.witness(v) for n, (v, _) in given.items()}
    arriving = types if c.rec is None else c.rec.witness(types)
    instance = c.session.instance(definition, witness, arriving, c, span, taken)
    if instance is None:
        return ERROR
    c.built_from[label.text] = definition, witness, {n: v for n, (v, _) in given.items()}
    made = Made(label.text or definition.name, span)
    child = ir.Instance(label.text, definition.name, instance.held, instance.children, arriving, instance.types, span)
    if c.rec is None:
        c.labels[label.text] = child
        c.children.append(child)
        foreign = definition.unit is not c.owner.unit
        spend(len(instance.rows) * ROW // 8)
        placed = sources.Placed(c, f"{c.prefix}{label.text}", taken, span if foreign else None)
        c.rows.extend(map(placed.row, instance.rows))
        c.called.append((placed.first, len(c.rows), span))
        return placed.value(wrapped(instance.types, ir.Value(""), made), instance.sources)
    return _recorded(c, definition, given, callee, label, value, child, instance, made, step)


def _recorded(
    c: Body, definition: Definition, given: Values, callee: s.Name | None, label: Named, value: Any,
    child: ir.Instance, instance: Instance, made: Made, step: s.Expr | s.Inline,
) -> Any:  # fmt: skip
    """The Python of a call, and the result's sizes as expressions."""
    from netc.checker import choices
    from netc.checker.layers import given as tensors_given
    from netc.checker.layers import register
    from netc.checker.references import callee_code

    rec = c.rec
    assert rec is not None
    held = c.env.get(callee.text) if callee is not None else None
    held = choices.chosen(c, callee, held) if callee is not None and isinstance(held, LayerRef) else held
    from_parameter = callee is not None and isinstance(held, LayerRef)
    asked = c.session.ask(c.owner, callee if from_parameter else None, definition)
    targets, generals = asked.targets, asked.generals
    taken = tensors(value)
    sizes = []
    types = tuple(t.type for t in taken)
    for name, index, axis in asked.convention:
        if index < len(taken):
            at = _axis(generals[0], index, axis, types)
            if at is None:
                said = f"`{definition.name}` has to know a size of an input"
                further = "bring it to one number of axes, or write a module for each"
                raise NoExpression(f"{said} that hasn't the same number of axes everywhere", further)
            sizes.append((None, ir.Code(c.inferred_code(types[index].shape[at], name))))
    preset = {n: code for n, _, code in held.args} if isinstance(held, LayerRef) else {}
    own = mark(callee.text) if from_parameter and callee is not None else callee_code(c, definition)
    written = _written(definition, {n: code for n, (_, code) in given.items() if preset.get(n) != code})
    register(c, label, child, ir.New(own, (*sizes, *written)))
    path = label.access(c.path)
    general = generals[0] if len(generals) == 1 and not from_parameter else None
    agreed = None
    if from_parameter and callee is not None and not isinstance(step, s.Inline):
        refs = c.session.given.get((id(c.owner), callee.span), ())
        choices.sizes(c, step, callee, label.text, value)  # raises where no one call builds all of them
        targets = [*targets, *(ref.target for ref in refs if not isinstance(ref.target, Definition))]
        agreed = choices.agreed(c, step, callee, label.text, value)
    values = {n: v for n, (v, _) in given.items()}
    result = _result(c, general, values, types, instance.types, targets, path, (), agreed)
    c.results[label.text] = result
    expr = ir.Apply(path, tensors_given(value, 1), (), result, child.span)
    return wrapped(result, expr, made)


def _written(definition: Definition, codes: dict[str, str]) -> tuple[tuple[str | None, ir.Made], ...]:
    """Arguments by position as long as none is left out and there are few, then by name."""
    out: list[tuple[str | None, ir.Made]] = []
    positional = True
    for i, param in enumerate(open_params(definition)):
        name = param.name.text
        if name not in codes:
            positional = False
            continue
        plain = positional and (param.default is None or i < 1)
        positional = plain
        out.append((None if plain else parameter_name(name), ir.Code(codes[name])))
    return tuple(out)


def _result(
    c: Body, general: General | None, given: dict[str, Any], inputs: tuple[TensorType, ...], concrete: Any,
    targets: list[Any], path: str, place: tuple[int, ...], agreed: Any = None,
) -> Any:  # fmt: skip
    """The type of a call's result: the module's sizes with the call's put in, else attributes of the child."""
    rec = c.rec
    assert rec is not None
    if not isinstance(concrete, TensorType):
        return tuple(
            _result(c, general, given, inputs, part, targets, path, (*place, i), agreed)
            for i, part in enumerate(concrete)
        )
    known = general.result_at(place) if general is not None else None
    dims: list[Dim] = []
    for axis, number in enumerate(concrete.shape):
        dim = None
        if known is not None and general is not None and len(known.shape) == len(concrete.shape):
            dim = put_in(general, known.shape[axis], given, inputs)
        elif known is not None and general is not None:  # for inputs of other numbers of axes: from the last one on
            back = axis - len(concrete.shape)
            dim = put_in(general, known.shape[back], given, inputs) if -back <= len(known.shape) else None
            if isinstance(number, int) and (dim is None or rec.witness(dim) != number):
                dim = rec.unknown(number)
        elif (alike := _at(agreed, place)) is not None and axis < len(alike.shape):
            dim = alike.shape[axis]
        if dim is None and not isinstance(number, int):
            dim = number
        if (dim is None or rec.witness(dim) != number) and isinstance(number, int):
            dim = _attribute(c, targets, path, place, axis, concrete, number)
        dims.append(number if dim is None else dim)
    return concrete._replace(shape=tuple(dims))


def _at(types: Any, place: tuple[int, ...]) -> TensorType | None:
    for i in place:
        types = None if types is None or isinstance(types, TensorType) or i >= len(types) else types[i]
    return types if isinstance(types, TensorType) else None


def _axis(general: General, index: int, axis: int, inputs: tuple[TensorType, ...]) -> int | None:
    """The axis of an input that arrives, for one of the input that the module was followed with.

    Where the two have other numbers of axes, the last one and that of channels are the same; None for another.
    """
    own, arriving = len(general.body.inputs[index].type.shape), len(inputs[index].shape)
    if own == arriving or (axis == 1 and own > 2 and arriving > 2):
        return axis
    return arriving - 1 if axis == own - 1 else None


def put_in(general: General, dim: Dim, given: dict[str, Any], inputs: tuple[TensorType, ...]) -> Dim | None:
    """A size of a module as one of its caller; None where it hangs on what the caller can't see."""
    if isinstance(dim, int):
        return dim
    env: dict[str, Any] = {}
    for name in dim.symbols:
        if name in general.sizes:
            index, axis = general.sizes[name]
            if index >= len(inputs):
                return None
            at = _axis(general, index, axis, inputs)
            if at is None:
                return None
            env[name] = inputs[index].shape[at]
        elif name in general.parameters:
            value = given.get(general.parameters[name], general.defaults.get(general.parameters[name]))
            if type(value) is not int and not isinstance(value, Size):
                return None
            env[name] = value
        else:
            return None
    return substitute(dim, env)


def _attribute(
    c: Body, targets: list[Any], path: str, place: tuple[int, ...], axis: int, type_: TensorType, number: int
) -> Dim:
    """A size that the child says itself, read into a variable at once."""
    rec = c.rec
    assert rec is not None
    if not all(isinstance(t, Definition) for t in targets):
        return rec.unknown(number)
    key = rec.export(tuple(targets), place, axis, len(type_.shape))
    name = rec.fresh("size")
    rec.assign(name, f"{path}.{mark(key)}")
    return rec.named(name, number)


def again(
    c: Body, child: ir.Instance, types: tuple[TensorType, ...], taken: tuple[Tensor, ...], span: Span
) -> tuple[Any, Dim] | None:
    """What a module that is built already gives for another input of the same sizes."""
    arriving = types if c.rec is None else c.rec.witness(types)
    if len(arriving) == len(child.inputs) and all(_like(a, b) for a, b in zip(arriving, child.inputs, strict=True)):
        return c.results.get(child.label, child.output), 0
    found = _at_other_sizes(c, child, arriving, types, taken, span)
    if found is not None:
        return found
    c.report.add(
        "E0405",
        f"`{child.label}` can't be applied again here: it was built for {_shown(child.inputs)}"
        f" and now receives {_shown(arriving)}",
        span,
        secondary=[Label(child.span, "built here")],
        help="shared modules need inputs of the same size; use a module of its own here",
    )
    return None


def _at_other_sizes(
    c: Body, child: ir.Instance, arriving: tuple[TensorType, ...], types: tuple[TensorType, ...],
    taken: tuple[Tensor, ...], span: Span,
) -> tuple[Any, Dim] | None:  # fmt: skip
    """What a module gives for inputs of other sizes, if it would be built the same for them."""
    if child.label not in c.built_from:
        return None
    definition, witness, given = c.built_from[child.label]
    outer, c.report = c.report, Report()
    instance = c.session.instance(definition, witness, arriving, c, span, taken)
    c.report = outer
    if instance is None or instance.held != child.held or not _same_parts(instance.children, child.children):
        return None
    if c.rec is None:
        macs: Dim = 0
        for row in instance.rows:
            macs = macs + row.macs
        return instance.types, macs
    general = c.session.general(definition)
    path = c.codes.get(child.label, "")
    return _result(c, general, given, types, instance.types, [definition], path, ()), 0


def _same_parts(ours: tuple[ir.Child, ...], theirs: tuple[ir.Child, ...]) -> bool:
    """Whether children are the same, whatever they are applied to."""
    return len(ours) == len(theirs) and all(map(_same_part, ours, theirs))


def _same_part(a: ir.Child, b: ir.Child) -> bool:
    if a.label != b.label:
        return False
    if isinstance(a, ir.Layer) or isinstance(b, ir.Layer):
        if not (isinstance(a, ir.Layer) and isinstance(b, ir.Layer)) or a.call.entry is not b.call.entry:
            return False
        ours, theirs = ({n: arg.value for n, arg in layer.call.args.items()} for layer in (a, b))
        return ours == theirs
    held = [child.held if isinstance(child, ir.Instance) else None for child in (a, b)]
    return held[0] == held[1] and _same_parts(a.children, b.children)


def _like(a: TensorType, b: TensorType) -> bool:
    return a == b


def _shown(types: tuple[TensorType, ...]) -> str:
    return ", ".join(map(str, types)).replace("$", "")


def export_name(axis: int, rank: int) -> str:
    """What a class calls the size of its result that callers read."""
    if axis == 1 and rank >= 3 and rank != 3:
        return "out_channels"
    return "out_features" if axis == rank - 1 else f"out_size{axis}"
