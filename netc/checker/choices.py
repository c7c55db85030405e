"""Steps whose layer is an argument of the module, and so another one in other places: `Act`, `Block(64)`.

In: such a step of a body in general, and the layers and modules that the file was seen to give it. Out: the sizes on
which all of them agree; the others are known in the instance alone. Guarantees: what is an expression is right for
every layer that the file gives. Leaves to others: the Python of the call (`layers`, `modules`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc.catalog.entry import Entry
from netc.checker import general_shapes, layers, modules
from netc.checker.recorder import NoExpression
from netc.checker.units import Definition
from netc.checker.values import LayerRef, tensors
from netc.diagnostics import Report
from netc.shapes import TensorType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netc import syntax as s
    from netc.checker.body import Body


def note(c: Body, callee: s.Name) -> None:
    """Remember which layer a step is given in an instance."""
    held = c.env.get(callee.text)
    if c.rec is None and isinstance(held, LayerRef) and callee.text not in c.constants:
        found = c.session.given.setdefault((id(c.owner), callee.span), [])
        if held not in found:
            found.append(held)


def chosen(c: Body, callee: s.Name, held: LayerRef) -> LayerRef:
    """The layer for which a step is followed: in a branch that the instance doesn't take, one of those that do."""
    noted = _refs(c, callee)
    return noted[0] if c.rec is not None and c.untaken and noted and held not in noted else held


def settled(c: Body, step: s.Expr, callee: s.Name, label: str, value: Any, types: Any) -> Any:
    """The types that a layer of torch gives, with a size unknown where another layer would give another one."""
    if c.rec is None or len(_refs(c, callee)) < 2:
        return types
    return general_shapes.reconciled(c, agreed(c, step, callee, label, value), c.rec.witness(types))


def _refs(c: Body, callee: s.Name) -> Sequence[LayerRef]:
    return () if callee.text in c.constants else c.session.given.get((id(c.owner), callee.span), ())


def sizes(c: Body, step: s.Expr, callee: s.Name, label: str, value: Any) -> tuple[str, ...]:
    """The Python of the sizes of the input with which each of the layers is built; empty where there is no choice.

    Raises NoExpression where they differ, so that no one call can build all of them. nn.Identity takes any.
    """
    refs = _refs(c, callee)
    if c.rec is None or len(refs) < 2:
        return ()
    module = next((ref.target for ref in refs if isinstance(ref.target, Definition)), None)
    needs = [] if module is None else c.session.ask(c.owner, callee, module).convention
    taken = tensors(value)
    found: set[tuple[str, ...]] = set()
    for ref in refs:
        if not isinstance(ref.target, Entry):
            fits = [n for n in needs if n[1] < len(taken) and n[2] < len(taken[n[1]].type.shape)]
            found.add(tuple(c.inferred_code(taken[i].type.shape[axis], name) for name, i, axis in fits))
        elif ref.target.name != "Identity":
            made = _scratch(c, ref, step, callee, label, value)
            inferred = ref.target.rule.infers if ref.target.rule is not None else {}
            found.add(() if made is None else tuple(a.code for n, a in made[0].call.args.items() if n in inferred))
    if len(found) > 1:
        said = f"the layers that `{callee.text}` of {c.owner.name} stands for"
        raise NoExpression(f"{said} are built with different sizes of their input", "give it layers of one kind")
    return found.pop() if found else ()


def _scratch(c: Body, ref: LayerRef, step: s.Expr, callee: s.Name, label: str, value: Any) -> Any:
    """A layer in the place of the one that the instance has, with nothing said of it."""
    outer, c.report = c.report, Report()
    made = layers.call(c, ref, step, callee, label, value)
    c.report = outer
    return made


def agreed(c: Body, step: s.Expr, callee: s.Name, label: str, value: Any) -> Any:
    """The types that all layers of a step give alike, with None for each size in which two differ."""
    found: list[Any] = []
    for ref in _refs(c, callee):
        found.append(_of(c, ref, step, callee, label, value))
    common = found[0] if found else None
    for other in found[1:]:
        common = _common(common, other)
    return common


def _of(c: Body, ref: LayerRef, step: s.Expr, callee: s.Name, label: str, value: Any) -> Any:
    """The types that one layer gives, as expressions of this body."""
    if isinstance(ref.target, Entry):
        made = _scratch(c, ref, step, callee, label, value)
        return None if made is None else made[2][0]
    outer, c.report = c.report, Report()
    given = modules.given(c, step, ref)
    c.report = outer
    if given is None:
        return None
    general = c.session.general(ref.target)
    types = tuple(t.type for t in tensors(value))
    return _put_in(general, general.result, {n: v for n, (v, _) in given.items()}, types)


def _put_in(general: Any, result: Any, given: dict[str, Any], types: tuple[TensorType, ...]) -> Any:
    if not isinstance(result, TensorType):
        return tuple(_put_in(general, part, given, types) for part in result)
    dims: Any = tuple(modules.put_in(general, dim, given, types) for dim in result.shape)
    return result._replace(shape=dims)


def _common(a: Any, b: Any) -> Any:
    if isinstance(a, TensorType) and isinstance(b, TensorType):
        if len(a.shape) != len(b.shape):
            return None
        dims: Any = tuple(x if x == y else None for x, y in zip(a.shape, b.shape, strict=True))
        return a._replace(shape=dims)
    if not isinstance(a, tuple) or not isinstance(b, tuple) or len(a) != len(b):
        return None
    return tuple(_common(x, y) for x, y in zip(a, b, strict=True))
