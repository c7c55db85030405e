"""Layers that are applied again: by their label, or by a string that gives it. Weights are shared.

In: the checker of a body, a label and the value that flows into it. Out: the value that the layer gives this time.
Guarantees: a layer is applied again only where its weights fit the input.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc import ir
from netc import syntax as s
from netc.checker import functions, modules, sources
from netc.checker.expressions import ERROR, kind_of
from netc.checker.general_shapes import agrees, inferred, shape, witness
from netc.checker.labels import name_of
from netc.checker.layer_errors import rejected, type_text, value_text, with_trail
from netc.checker.layers import given
from netc.checker.values import Made, Tensor, TensorTuple, tensors
from netc.diagnostics import Label, nearest
from netc.fixes import rewrite, stands_alone
from netc.literals import literal
from netc.node import replace
from netc.shapes import Reject, TensorType

if TYPE_CHECKING:
    from netc.checker.body import Body
    from netc.diagnostics import Fix
    from netc.shapes import Dim
    from netc.source import Span


def _applied(c: Body, step: s.Call, label: str) -> Fix | None:
    """`label(a, b)` as a chain, where it is all of a statement."""
    given = [c.source_text(a.span) for a in step.arguments]
    if not given or any(a.name is not None for a in step.arguments) or not stands_alone(c.source.text, step.span):
        return None
    taken = given[0] if len(given) == 1 else f"({', '.join(given)})"
    return rewrite(step.span, f"{taken} -> {label}")


def again(c: Body, step: s.Expr, label: str, value: Any) -> Any:
    """A label as a step: the same child applied again, which shares its weights."""
    if isinstance(step, s.Call):
        c.report.add(
            "E0217",
            f"`{label}` is a layer of this network; it is applied by its name alone",
            step.span,
            help=f"write `_ -> {label}`, or `(a, b) -> {label}` for several inputs",
            fix=_applied(c, step, label),
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
    rule = child.call.entry.rule if isinstance(child, ir.Layer) else None
    keywords = tuple((n, ir.Value(literal(v))) for n, v in rule.alone.items()) if rule is not None else ()
    expr = ir.Apply(c.codes.get(label, ""), given(value, rule.repeat if rule else 1), keywords, result, step.span)
    made = functions.wrapped(result, expr, Made(label, step.span), source=sources.last(c))
    return made._replace(of_layer=rule is not None) if isinstance(made, TensorTuple) else made


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
        size = inferred(c, infer, {n: v for n, v in values.items() if n not in rule.infers}, types)
        if c.untaken and not isinstance(size, Reject):
            values[name] = size
        elif isinstance(size, Reject) or not (c.built(size) and agrees(witness(c, values[name]), witness(c, size))):
            got = size.reason if isinstance(size, Reject) else f"it was built for {value_text(values[name])}"
            arrives = "" if isinstance(size, Reject) else f" and now receives {value_text(size)}"
            again_ = " again" if child.inputs else ""
            c.report.add(
                "E0405",
                f"`{child.label}` can't be applied{again_} here: {got}{arrives} ({name})",
                span,
                secondary=[Label(child.span, _built_for(child)), *with_trail(c, taken, span)],
                help="shared layers need inputs of the same size; use a layer of its own here" if again_ else None,
            )
            return None
    result = shape(c, rule.shape, values, types, entry.params)
    if isinstance(result, Reject):
        rejected(c, entry, result, taken, child.label, span)
        return None
    concrete = c.rec is None and rule.macs is not None
    return result, rule.macs(values, types, result) if concrete else 0  # type: ignore[misc]


def _built_for(child: ir.Layer) -> str:
    return f"built for {type_text(child.inputs[0])}" if child.inputs else "declared here"


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
