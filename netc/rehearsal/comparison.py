"""Whether what generated code builds and does is what the checker saw.

In: an `ir.Network`, the module that generated code builds for it, and the steps of its `forward`. Out: nothing, or
`Disagreement`, which says at which child or step the two differ, and what each of them has.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from netc import catalog, ir
from netc.catalog.entry import LayerValue
from netc.identifiers import python_name
from netc.rehearsal.modules import Layer, Module, Sequential
from netc.rehearsal.tensors import tensors
from netc.shapes import TensorType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from netc.catalog.entry import Function, Param
    from netc.rehearsal.tensors import Step


class Disagreement(AssertionError):
    """Generated code isn't what the checker saw: a bug of netc, never a mistake of the user."""


def _disagreement(where: str, what: str, seen: object, made: object) -> Disagreement:
    return Disagreement(f"{where}: {what} is {made} in the generated code, and {seen} for the checker")


def _require(same: bool, where: str, what: str, seen: object, made: object) -> None:
    if not same:
        raise _disagreement(where, what, seen, made)


# --- the tree ---------------------------------------------------------------------------------------------------------


class Trees:
    """Compares children, parameters and buffers; what one module is made of, once for all networks."""

    def __init__(self) -> None:
        self.done: set[tuple[int, int]] = set()

    def network(self, network: ir.Network, module: Module) -> None:
        """Raise `Disagreement` where a network is built of something else than the checker saw."""
        self.held(network.name, network.held, module)
        self.children(network.name, network.children, module)

    def children(self, where: str, seen: tuple[ir.Child, ...], module: Module) -> None:
        made = dict(module.named_children())
        labels = [child.label for child in seen]
        if labels != list(made):
            pairs = zip_longest(labels, made, fillvalue="nothing")
            wanted, got = next((a, b) for a, b in pairs if a != b)
            raise Disagreement(f"{where}: the child {got} stands in the generated code where the checker has {wanted}")
        for child in seen:
            self.child(f"{where}.{child.label}", child, made[child.label])

    def child(self, where: str, seen: ir.Child, made: Module) -> None:
        if isinstance(seen, ir.Layer):
            _layer(where, seen, made)
            if seen.call.entry.rule is not None and seen.call.entry.rule.probed:
                from netc.rehearsal.foreign import ForeignLayer, compare_edits

                assert isinstance(made, ForeignLayer)
                compare_edits(self, where, seen, made)
            return
        if isinstance(seen, ir.Sequential):
            _require(type(made) is Sequential, where, "it", "a Sequential", _kind(made))
        else:
            plain = type(made).__name__.rstrip("0123456789") == seen.name.rstrip("0123456789")
            _require(plain and not isinstance(made, Layer), where, "it", seen.name, _kind(made))
            key = id(seen.children), id(made.__netc_token__)
            if key in self.done:
                return
            self.done.add(key)
            self.held(where, seen.held, made)
        self.children(where, seen.children, made)

    def held(self, where: str, seen: tuple[ir.Held, ...], module: Module) -> None:
        made = [(n, t.type, True, True) for n, t in module.__netc_parameters__.items()]
        made += [(n, t.type, False, persistent) for n, (t, persistent) in module.__netc_buffers__.items()]
        wanted = [tuple(h) for h in seen if h.trained] + [tuple(h) for h in seen if not h.trained]
        _require(made == wanted, where, "what it holds", wanted, made)


def _kind(module: Module) -> str:
    return f"a {type(module).__name__}"


def _layer(where: str, seen: ir.Layer, made: Module) -> None:
    entry = seen.call.entry
    probed = entry.rule is not None and entry.rule.probed
    if probed and isinstance(made, Layer) and (made.entry.home, made.entry.name) == (entry.home, entry.name):
        made.__dict__["entry"] = entry  # that of this call, with its edits
    if not isinstance(made, Layer) or made.entry is not entry:
        raise _disagreement(where, "it", entry.name, _kind(made))
    wanted_args, values = seen.call.args, made.__netc_values__
    for param in entry.params:
        name = param.name
        if name not in wanted_args and name not in made.__netc_given__:
            continue  # the default on both sides
        wanted, got = seen.call.get(name), values[name]
        if wanted is not got and not equal(param, wanted, got):
            raise _disagreement(where, f"`{name}`", _shown(wanted), _shown(got))


def _shown(value: object) -> str:
    return f"{value.entry.name}{dict(value.args)}" if isinstance(value, LayerValue) else repr(value)


def equal(param: Param, a: Any, b: Any) -> bool:
    """Whether two values of a parameter are the same to torch: a number stands for as many as there are axes."""
    if isinstance(a, LayerValue) or isinstance(b, LayerValue):
        return _equal_layers(a, b)
    return bool(a == b or _spread(param, a) == _spread(param, b))


def _equal_layers(a: Any, b: Any) -> bool:
    if not isinstance(a, LayerValue) or not isinstance(b, LayerValue) or a.entry is not b.entry:
        return False
    inferred = a.entry.rule.infers if a.entry.rule else {}
    names = [p for p in a.entry.params if p.name in a.args and p.name in b.args]
    alike = all(equal(p, a.args[p.name], b.args[p.name]) for p in names)
    return alike and {n for n in {*a.args} ^ {*b.args} if n not in inferred} == set()


def _spread(param: Param, value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        items = tuple(value)
        return items * _axes(param) if len(items) == 1 else items
    return (value,) * _axes(param) if type(value) is int and _axes(param) else value


def _axes(param: Param) -> int:
    for kind in param.type.split("|"):
        if kind.startswith("int*"):
            return int(kind[4:])
        if kind in ("ints", "*ints"):
            return 1
    return 0


# --- forward ----------------------------------------------------------------------------------------------------------


def compare_steps(network: ir.Network, steps: Sequence[Step], training: bool) -> None:
    """Compare what is applied, in order, with the shapes that it gives."""
    for number, (row, step) in enumerate(zip_longest(network.rows, steps), 1):
        where = f"{network.name}, step {number} of forward"
        if row is None or step is None:
            said = f"`{step.path or step.name}` in the generated code, and nothing" if row is None else (
                f"nothing in the generated code, and `{row.path or row.name}`"
            )  # fmt: skip
            raise Disagreement(f"{where}: there is {said} for the checker")
        row = _mirrored(row)
        names = _names(row)
        fits = row.path in (step.path, step.frame) and (not names or step.name in names)
        _require(fits, where, "what is applied", (row.path, row.name), (step.path or step.frame, step.name))
        where = f"{where} ({row.path or row.name})"
        _require(row.output == step.output, where, "the result", row.output, step.output)
        if row.values:
            _compare_values(where, row, step, training)
        _compare_sources(where, row, step)


MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "==", "!=": "!="}


def _mirrored(row: ir.Row) -> ir.Row:
    """`0 < x` as Python asks it of a tensor: `x > 0`."""
    operands: Any = row.values.get("operands", ())
    if row.name not in MIRRORED or isinstance(operands[0], TensorType):
        return row
    return row._replace(name=MIRRORED[row.name], values={"operands": operands[::-1]})


def _form(row: ir.Row) -> Function | None:
    """The function as which a layer without a label is applied."""
    entry = catalog.layer(row.name) if row.name[:1].isupper() else None
    return entry.rule.function if entry is not None and entry.rule is not None else None


def _names(row: ir.Row) -> tuple[str, ...]:
    """What a step may be called that a row stands for; a child that is applied again is known by its path."""
    if row.name.endswith(" again"):
        return ()
    form = _form(row)
    return (row.name,) if form is None else (row.name, form.callee.rpartition(".")[2])


def _compare_values(where: str, row: ir.Row, step: Step, training: bool) -> None:
    """Compare the arguments of a function; where the file doesn't say otherwise, dropout acts in training alone."""
    form = _form(row)
    entry = catalog.function(step.name)
    params = {p.name: p for p in entry.params} if entry is not None else {}
    for name, seen in ({"training": training} | dict(row.values)).items():
        own = name if form is None else form.keywords.get(name, name)
        if own not in step.values or (seen is step.values[own] and own != "dropout_p"):
            continue
        made = step.values[own]
        wanted = 0.0 if own == "dropout_p" and not training else seen
        alike = equal(params[own], wanted, made) if own in params else bool(wanted == made)
        if not alike and repr(wanted) != repr(made):  # NaN equals nothing
            raise _disagreement(where, f"`{own}`", _shown(wanted), _shown(made))


def _compare_sources(where: str, row: ir.Row, step: Step) -> None:
    """Compare where the tensors come from that something is applied to; nobody knows of some."""
    if not row.sources or not step.sources:
        return
    if row.sources.keys() == step.sources.keys():
        pairs = [(row.sources[n], step.sources[n]) for n in row.sources]
    else:  # a layer that is applied as its function
        pairs = [(_all_of(row.sources), _all_of(step.sources))]
    for seen, made in pairs:
        _require_sources(where, "what it takes", seen, made)


def _require_sources(where: str, what: str, seen: tuple[ir.Source, ...], made: tuple[ir.Source, ...]) -> None:
    alike = len(seen) == len(made) and all(a == b or a is None or b is None for a, b in zip(seen, made, strict=True))
    if not alike:
        raise _disagreement(where, what, _from(seen), _from(made))


def _all_of(sources: Mapping[str, tuple[ir.Source, ...]]) -> tuple[ir.Source, ...]:
    return tuple(source for part in sources.values() for source in part)


def _from(sources: tuple[ir.Source, ...]) -> str:
    return ", ".join(map(_shown_source, sources))


def _shown_source(source: ir.Source) -> str:
    if source is None:
        return "a constant"
    place, path = source
    part = "".join(f"[{p}]" for p in path)
    if isinstance(place, str):
        return f"`{place}`{part}"
    return f"the result of step {place + 1}{part}" if place >= 0 else f"input {-place}{part}"


def compare_outputs(network: ir.Network, result: Any, training: bool, followed: bool) -> None:
    """Compare the results in evaluation or training, which several have by name.

    `followed` says that the steps have been compared, so that the sources of the results can be.
    """
    wanted = [o for o in network.outputs if training or not o.training]
    made = tensors(result)
    fields = getattr(result, "_fields", None)
    if fields is not None:
        names = tuple(python_name(o.name) for o in wanted)
        present = tuple(field for field, part in zip(fields, result, strict=True) if part is not None)
        _require(present == names, network.name, "the names of its results", names, present)
    types = [str(o.type) for o in wanted], [str(t.type) for t in made]
    _require(types[0] == types[1], network.name, "its result", *types)
    if followed:
        seen = tuple(o.source for o in wanted)
        _require_sources(network.name, "where its result comes from", seen, tuple(t.source for t in made))
