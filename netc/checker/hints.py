"""What to say of a name that a body has, but not where it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc import catalog
from netc import syntax as s

if TYPE_CHECKING:
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
