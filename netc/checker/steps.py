"""The steps of a chain: which kind of thing each one is.

In: the checker of a body, a step, and the value that flows into it. Out: the value that it gives. A capital is a layer
or module, a label its layer once more, another name a function; at the head of a chain stands any expression.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc import syntax as s
from netc.checker import deferred, functions, layers, reuse
from netc.checker.expressions import BUILTINS, ERROR
from netc.checker.values import LayerRef
from netc.limits import ROW, spend

if TYPE_CHECKING:
    from netc.checker.body import Body


def follow(c: Body, link: s.Link, value: Any, head: bool) -> Any:
    """One link of a chain, labelled or not."""
    spend(ROW)
    step = link.step
    if link.label is not None:
        return layers.labelled(c, link, value)
    if isinstance(step, s.Seq):
        c.report.add(
            "E0205",
            "a `seq` needs a label",
            step.span.before(step.body.span),
            help="name it, as in `features: seq { … }`",
        )
        return ERROR
    if isinstance(step, s.Inline):
        c.report.add(
            "E0205", "a module written where it is used needs a label", step.span.before(step.body.span),
            help="name it, as in `encoder: module { … }`",
        )  # fmt: skip
        return ERROR
    if isinstance(step, s.Edited):
        return deferred.python_layers().built(c, step, None, value)
    while isinstance(step, s.Paren) and not head:
        step = step.inner
    return _unlabelled(c, step, value, head)


def _unlabelled(c: Body, step: s.Expr, value: Any, head: bool) -> Any:
    """An unlabelled step: a layer, a label, a function, or at the head of a chain any expression."""
    callee = step.callee if isinstance(step, s.Call) else step
    if isinstance(callee, s.Attribute):
        return layers.dotted(c, step, callee)
    if isinstance(callee, s.Name):
        name = callee.text
        held = c.env.get(name)
        plain = name in c.env and not isinstance(held, LayerRef) and (held is not None or name[0].islower())
        if head and isinstance(step, s.Name) and plain:
            return held
        if head and name == "_":
            return c.the_current(step.span) if isinstance(step, s.Name) else c.evaluate(step)
        if name in c.labels:
            return reuse.again(c, step, name, value)
        if name[0].isupper() or isinstance(c.env.get(name), LayerRef):
            return layers.unnamed(c, step, callee, value)
        if c.function(name) is not None and (name not in BUILTINS or not head or _is_torch(c, step)):
            return functions.apply(c, step, callee, value, head)
        if not head:
            return functions.unknown(c, callee)
    if isinstance(step, s.String):
        return reuse.by_path(c, step, value)
    if head:
        return c.evaluate(step)
    c.report.add(
        "E0209",
        "after `->` stands a layer or a function",
        step.span,
        help="begin a new line with this expression; `_` is the current value",
    )
    return ERROR


def _is_torch(c: Body, step: s.Expr) -> bool:
    """Whether a name that torch and Python share is torch's: where an argument is a tensor, or there is none."""
    return not isinstance(step, s.Call) or not step.arguments or functions.has_tensor(c, step)
