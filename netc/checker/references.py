"""Which layer or module a name stands for, and layers as values: `Act=ReLU`, `Norm=BatchNorm2d(eps=0.001)`.

In: the checker of a body and a name or call. Out: a `LayerRef`, and the Python that names it in generated code; or the
reason why there is none, in the report.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc import catalog
from netc import syntax as s
from netc.catalog.entry import REQUIRED, Entry
from netc.catalog.unsupported import REASONS as UNSUPPORTED
from netc.checker import choices, modules
from netc.checker.arguments import checked
from netc.checker.deferred import python_layers
from netc.checker.expressions import ERROR, kind_of
from netc.checker.values import LayerRef, Tensor, TensorTuple
from netc.diagnostics import nearest
from netc.fixes import rewrite, spelling

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netc.checker.body import Body
    from netc.checker.expressions import Evaluator
    from netc.checker.units import Definition
    from netc.diagnostics import Fix
    from netc.source import Span


def find(c: Body, callee: s.Name) -> LayerRef | None:
    """The layer or module of a name, or None with the reason in the report."""
    name = callee.text
    held = c.env.get(name)
    if name in c.env:
        if isinstance(held, LayerRef):
            choices.note(c, callee)
            held = choices.chosen(c, callee, held)
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
    if c.lacks(name):
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
        way_out = _STEPS.get(name)
        own = [n for n in (*c.owner.unit.definitions, *c.owner.unit.python) if n[0].isupper()]
        near = _nearest_layer(name) or nearest(name, own)
        help_text = f"did you mean `{near}`?" if near else "layers have the names that torch.nn gives them"
        help_text = way_out or help_text
        fix = None if way_out else spelling(name, callee.span, [*catalog.layers(), *own])
        if fix is not None and fix.edits[0].text in own and c.source.text.count(name) > 1:
            fix = None  # then it may be the definition that is misspelt
        fix = rewrite(callee.span, _ELSEWHERE[name]) if name in _SAME and fix is None else fix
        c.report.add("E0202", f"there is no layer `{name}`", callee.span, help=help_text, fix=fix)
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


# What other libraries call torch's layers.
_ELSEWHERE = {
    "Dense": "Linear", "Conv2D": "Conv2d", "Conv1D": "Conv1d", "Conv3D": "Conv3d", "MaxPooling2D": "MaxPool2d",
    "MaxPool2D": "MaxPool2d", "AveragePooling2D": "AvgPool2d", "BatchNormalization": "BatchNorm2d",
    "GlobalAveragePooling2D": "AdaptiveAvgPool2d", "FullyConnected": "Linear", "LayerNormalization": "LayerNorm",
    "Activation": "ReLU", "Relu": "ReLU", "BatchNorm": "BatchNorm2d", "Conv": "Conv2d", "Pool": "MaxPool2d",
    "Convolution2D": "Conv2d", "AvgPool2D": "AvgPool2d", "DepthwiseConv2D": "Conv2d", "SpatialDropout2D": "Dropout2d",
    "GlobalMaxPooling2D": "AdaptiveMaxPool2d", "ZeroPadding2D": "ZeroPad2d", "UpSampling2D": "Upsample",
    "Conv2DTranspose": "ConvTranspose2d", "GlobalAvgPool2d": "AdaptiveAvgPool2d", "FC": "Linear",
}  # fmt: skip


# Those of them that take their arguments in torch's order.
_SAME = {
    "Dense", "FullyConnected", "FC", "MaxPooling2D", "AveragePooling2D", "Convolution2D", "Conv2DTranspose",
    "SpatialDropout2D", "ZeroPadding2D",
}  # fmt: skip


# What is no layer here.
_STEPS = {
    "Concatenate": "write `cat([a, b], 1)`", "Concat": "write `cat([a, b], 1)`", "Add": "write `a + b`",
    "Subtract": "write `a - b`", "Multiply": "write `a * b`", "Reshape": "write `-> reshape(…)`, or `Flatten`",
    "Permute": "write `-> permute(0, 2, 1)`", "View": "write `-> view(…)`, or `Flatten`",
    "Input": "the input is declared: `input image: [N, 3, 32, 32]`",
    "InputLayer": "the input is declared: `input image: [N, 3, 32, 32]`",
    "Lambda": "write the expression itself, as in `_ * 2`",
}  # fmt: skip


def _nearest_layer(name: str) -> str | None:
    return _ELSEWHERE.get(name) or nearest(name, catalog.layers())


def last_name(span: Span, name: str) -> Fix | None:
    """A name without its module, where there is a layer or function of that name."""
    there = catalog.layer(name) is not None or catalog.function(name) is not None
    return rewrite(span, name) if there else None


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
        if isinstance(target, Entry) and not isinstance(value, (Tensor, TensorTuple)):
            value = checked(target, next(p for p in target.params if p.name == name), value, argument, c.report)
        if value is ERROR:
            return ERROR
        code = c.code(argument.value, value) if hasattr(c, "code") else ""
        given[name] = value, code
    return c.apply(lambda: LayerRef(target, tuple((n, v, code) for n, (v, code) in given.items())), (), expr, "a layer")


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
    lead = [] if entry is None else leading(entry, [n for n, _, _ in args])
    codes = {n: code for n, _, code in args}
    first = [codes.pop(n) for n in lead]
    named = [f"{n if entry else modules.parameter_name(n)}={code}" for n, code in codes.items()]
    return f"partial({', '.join([own, *first, *named])})" if args else own


def leading(entry: Entry, given: Iterable[str]) -> list[str]:
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
