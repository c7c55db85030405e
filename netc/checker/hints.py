"""What to say of a name that a body has, but not where it is used, and of methods, which are steps here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc import catalog
from netc import syntax as s
from netc.checker.expressions import ERROR
from netc.checker.references import last_name
from netc.fixes import rewrite, stands_alone

if TYPE_CHECKING:
    from typing import Any

    from netc.checker.body import Body


def elsewhere(c: Body, name: str) -> str | None:
    """What to say of a name that the body has, but not here."""
    if name in (p.name.text for p in c.owner.params):
        return "a default uses constants of the file only; bind the value in the body"
    layer = next((n for n in catalog.layers() if n.lower() == name.replace("_", "")), None)
    if layer is not None and catalog.function(name) is not None:
        return f"a layer as an argument is written `{layer}`"
    if name in ("break", "continue", "pass"):
        return "a loop takes all of its turns; leave some out with `if`"
    if any(name == bound for bound in _bound_names(c.owner.body, within=False)):
        return f"`{name}` is bound in a block that is not taken here, or in `if training`, which nothing leaves"
    return None


def method_call(c: Body, expr: s.Call, callee: s.Attribute) -> Any:
    """`x.view(-1, 400)`, `c.conv1(x)`, `F.relu(x)`: steps here."""
    method, owner = callee.name.text, c.source_text(callee.value.span)
    given = [c.source_text(a.span) for a in expr.arguments]
    if owner in ("F", "torch", "nn", "nn.functional", "torch.nn", "torch.nn.functional"):
        c.report.add(
            "E0219", f"layers and functions go by their last name: `{method}`", callee.span,
            help=f"write `{method}`", fix=last_name(callee.span, method),
        )  # fmt: skip
        return ERROR
    if owner in ("self", "super()"):
        step = f"{given[0]} -> {method}" if len(given) == 1 else f"value -> {method}"
    else:
        step = f"{owner} -> {method}({', '.join(given)})"
    known = owner not in ("self", "super()") and catalog.function(method) is not None
    plain = known and "\n" not in step and not any("(" in argument for argument in given)
    fix = rewrite(expr.span, step) if plain and stands_alone(c.source.text, expr.span) else None
    step = step if len(step) < 60 and "\n" not in step else f"value -> {method}(…)"
    c.report.add(
        "E0301", f"`{method}` is not called as a method", callee.span, help=f"write it as a step: `{step}`", fix=fix
    )
    return ERROR


def _bound_names(body: s.Body, within: bool) -> list[str]:
    """The names of values and labels in the blocks of a body."""
    out: list[str] = []
    for statement in body.statements:
        if isinstance(statement, s.If):
            blocks_ = [b for _, b in statement.branches] + ([statement.otherwise] if statement.otherwise else [])
            out += [n for b in blocks_ for n in _bound_names(b, within=True)]
        elif isinstance(statement, s.For):
            out += _bound_names(statement.body, within=True)
        elif within and isinstance(statement, s.Bind):
            out += [t.text for t in s.idents(statement.targets)]
        if within and isinstance(statement, (s.Flow, s.Bind)):
            labels = [link.label for link in statement.chain.links]
            out += [label.text for label in labels if isinstance(label, s.Ident)]
    return out
