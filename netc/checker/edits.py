"""Edits of a model in braces: `replace "classifier.6" = Linear(10)`, `append`, `remove`.

In: the edits as they are written, and the layer that they change. Out: the layer's entry with its edits, and the lines
of the constructor that make them. Guarantees: the edits are made one after the other, each on what those before it
left, as the lines of the generated constructor do; a path that leads nowhere is reported with the nearest that does.
Input sizes of what is put in follow from a run of the model; where the run doesn't get there, from what is replaced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from netc import ir
from netc import syntax as s
from netc.catalog.entry import REQUIRED, Entry, LayerValue
from netc.checker import edit_modules, general_shapes, layer_errors, modules, python_layers, references
from netc.checker.arguments import bind, ordered
from netc.checker.labels import is_attribute
from netc.checker.python_text import quoted
from netc.checker.values import LayerRef, Tensor
from netc.diagnostics import nearest
from netc.foreign import Raised, entries, fit
from netc.foreign.recipe import Edit, Recipe
from netc.ir import Arg
from netc.shapes import Reject

if TYPE_CHECKING:
    from torch import nn

    from netc.checker.body import Body
    from netc.checker.labels import Named
    from netc.checker.modules import Values
    from netc.shapes import TensorType


class Change(NamedTuple):
    """An edit with its layer and the arguments that are given, as far as they are known without torch."""

    node: s.Edit
    ref: LayerRef | None
    args: dict[str, Arg]
    given: Values | None = None  # of a module of the file


def read(c: Body, entry: Entry, edits: tuple[s.Edit, ...]) -> list[Change] | None:
    """The edits with their arguments bound; None with the reason in the report."""
    out: list[Change] = []
    ok = True
    for node in edits:
        if node.kind == "group":
            c.report.add("E0711", "a model is edited with `replace`, `append` and `remove`", node.span,
                         help='write it as in `replace "fc" = Linear(10)`')  # fmt: skip
            ok = False
            continue
        if node.kind == "remove":
            out.append(Change(node, None, {}))
            continue
        change = _put(c, node)
        ok = ok and change is not None
        out += [change] if change is not None else []
    return out if ok else None


def _put(c: Body, node: s.Edit) -> Change | None:
    value: Any = node.value
    callee = value.callee if isinstance(value, s.Call) else value
    if not isinstance(callee, s.Name) or not (callee.text[0].isupper() or isinstance(c.env.get(callee.text), LayerRef)):
        c.report.add("E0711", f"`{node.kind}` puts a layer there", value.span,
                     help=f'write it as in `{node.kind} "{node.path.value}" = Linear(10)`')  # fmt: skip
        return None
    ref = references.find(c, callee)
    if ref is None:
        return None
    if not isinstance(ref.target, Entry):
        return _put_module(c, node, ref, callee)
    entry = ref.target
    assert entry.rule is not None
    given = value.arguments if isinstance(value, s.Call) else ()
    if entry.rule.probed:
        bound = python_layers._bound(c, entry, ref, given, value.span)
        return None if bound is None else Change(node, LayerRef(bound[0], ref.args), bound[1])
    found = bind(entry, given, value.span, c, c.code, inferred=entry.rule.infers, filled={n for n, _, _ in ref.args})
    if not found.ok:
        return None
    args = {n: Arg(v, code) for n, v, code in ref.args if n not in found.args} | found.args
    return Change(node, ref, args)


def _put_module(c: Body, node: s.Edit, ref: LayerRef, callee: s.Name) -> Change | None:
    """A module of the file with its arguments."""
    assert not isinstance(ref.target, Entry)
    value: Any = node.value
    if callee.text in c.env:
        c.report.add("E0712", f"`{callee.text}` may stand for several modules, and a model takes one", callee.span,
                     help="name the module itself")  # fmt: skip
        return None
    given = value.arguments if isinstance(value, s.Call) else ()
    values = modules.arguments(c, ref.target, given, ref, value.span)
    return None if values is None else Change(node, ref, {}, values)


def follow(
    c: Body, entry: Entry, values: dict[str, Any], taken: tuple[Tensor, ...], changes: list[Change], label: Named
) -> tuple[Entry, list[ir.Build]] | None:
    """Make the edits one after the other: the entry of the result, and the lines that make it."""
    if not changes:
        return entry, []
    from netc.foreign import probe

    types = tuple(t.type for t in taken)
    if c.rec is not None:
        values, types = {n: c.rec.witness(v) for n, v in values.items()}, c.rec.witness(types)
    shape = entry.rule.shape if entry.rule is not None else None
    assert isinstance(shape, entries.Probed)
    inputs = fit.with_numbers(types, shape.start(values, types))
    lines: list[ir.Build] = []
    for change in changes:
        assert entry.rule is not None
        recipe = entry.rule.shape.recipe(values)  # type: ignore[attr-defined]
        made = probe.module(recipe)
        if isinstance(made, Raised):
            layer_errors.rejected(c, entry, made, taken, label.text, change.node.span)
            return None
        if not _possible(c, made, change.node):
            return None
        put = None
        if change.ref is not None:
            put = _made(c, change, made, _arriving(recipe, made, change.node, inputs), label.access(c.path))
            if put is None:
                return None
        lines += _lines(c, made, change.node, put, label.access(c.path))
        edit = Edit(change.node.kind, change.node.path.value, put.recipe if put is not None else None)
        entry = entries.edited(entry, (edit,))
    return entry, lines


def _possible(c: Body, made: nn.Module, node: s.Edit) -> bool:
    """Whether the path leads to a place where this edit can be made."""
    from torch.nn import Sequential

    from netc.foreign import probe

    path = node.path.value
    above, _, name = path.rpartition(".")
    target = above if node.kind == "append" else path
    parent = probe.child(made, above)
    if not path or probe.child(made, target) is None or (not target and node.kind != "append"):
        near = nearest(target, probe.paths(made))
        has = ", ".join(f'"{n}"' for n, _ in made.named_children())
        c.report.add("E0710", f'the path "{target}" leads to nothing in this model', node.path.span,
                     help=f'did you mean "{near}"?' if near else None,
                     notes=[] if near else [f"its parts are {has}"])  # fmt: skip
        return False
    if node.kind == "append" and not isinstance(parent, Sequential):
        c.report.add("E0711", f'"{above}" is no Sequential, so that nothing can be appended to it', node.path.span,
                     help=f'replace a part of it, as in `replace "{path}" = …`')  # fmt: skip
        return False
    if node.kind == "append" and not name:
        c.report.add("E0711", "the name of the new part is missing", node.path.span,
                     help=f'write it as in `append "{above}.extra" = …`')  # fmt: skip
        return False
    if node.kind == "append" and name in parent._modules:  # type: ignore[union-attr]
        c.report.add("E0711", f'"{above}" has a part `{name}` already', node.path.span, help="choose another name")
        return False
    if node.kind == "append" and "." not in path:
        return True
    if node.kind == "remove" and not isinstance(parent, Sequential):
        c.report.add("E0711", f'"{path}" is no part of a Sequential, and what surrounds it needs it', node.path.span,
                     help=f'write `replace "{path}" = Identity`')  # fmt: skip
        return False
    return True


# --- what is put in --------------------------------------------------------------------------------------------------


def _arriving(
    recipe: Recipe, made: nn.Module, node: s.Edit, inputs: tuple[TensorType, ...]
) -> tuple[TensorType, ...] | None:
    """What the place of an edit receives in a run of the model as it is."""
    from netc.foreign import probe

    path = node.path.value
    if node.kind == "replace":
        return probe.received(recipe, path, inputs)
    above = path.rpartition(".")[0]
    found = probe.after(recipe, above, inputs)
    return None if found is None else (found,)


def _filled(
    c: Body, change: Change, made: nn.Module, arriving: tuple[TensorType, ...] | None, root: str
) -> edit_modules.Put | None:
    """The layer with what follows from its place."""
    assert change.ref is not None
    entry = change.ref.target
    assert isinstance(entry, Entry)
    assert entry.rule is not None
    node = change.node
    args = dict(change.args)
    known = {n: python_layers.plain(a.value if c.rec is None else c.rec.witness(a.value)) for n, a in args.items()}
    values = {p.name: p.default for p in (*entry.params, *entry.rule.forward)} | known
    for name in entry.rule.infers:
        values.pop(name, None)
    for name, infer in entry.rule.infers.items():
        size = infer(values, arriving) if arriving else _as_before(made, node, name)
        if not _agrees(c, entry, node, name, size, known, bool(arriving)):
            return None
        values[name] = known[name] = size
        if name not in args:
            args[name] = Arg(size, _size_code(c, made, node, root, name, size), positional=True)
    arguments = tuple((None if a.positional else n, ir.Code(a.code)) for n, a in ordered(entry, args).items())
    recipe = Recipe(LayerValue(entry, {n: v for n, v in known.items() if v is not REQUIRED}))
    return edit_modules.Put(recipe, ir.New(references.callee_code(c, entry), arguments))


def _agrees(c: Body, entry: Entry, node: s.Edit, name: str, size: Any, known: dict[str, Any], arrives: bool) -> bool:
    """Whether there is a size for an inferred argument, and the one that is given is the same; reported where not."""
    if isinstance(size, Reject) or size is None:
        reason = size.reason if isinstance(size, Reject) else "a run of the model doesn't get there"
        c.report.add("E0711", f'`{name}` of `{entry.name}` can\'t be found at "{node.path.value}": {reason}',
                     node.span, help=None if arrives else f"give it, as in `{name}=…`")  # fmt: skip
        return False
    if name in known and arrives and not general_shapes.agrees(known[name], size):
        c.report.add("E0401", f"`{entry.name}` expects {known[name]} for `{name}`, but receives {size}", node.span,
                     help=f"leave out `{name}`; it follows from the layer before")  # fmt: skip
        return False
    return True


def _made(
    c: Body, change: Change, made: nn.Module, arriving: tuple[TensorType, ...] | None, root: str
) -> edit_modules.Put | None:
    """The layer or module that is put in."""
    assert change.ref is not None
    if isinstance(change.ref.target, Entry):
        return _filled(c, change, made, arriving, root)
    if arriving is None:
        c.report.add("E0711", f"what `{change.ref.name}` receives can't be found: a run of the model doesn't get there",
                     change.node.span, help="let the edit come before those that break the model")  # fmt: skip
        return None

    def size_code(name: str, index: int, axis: int) -> str:
        return _size_code(c, made, change.node, root, name, arriving[index].shape[axis], f"{index}.{axis}")

    for number, type_ in enumerate(arriving):
        for axis, size in enumerate(type_.shape):
            _size_code(c, made, change.node, root, "", size, f"{number}.{axis}")
    return edit_modules.put(c, change.ref.target, change.given or {}, arriving, change.node, size_code)


def _as_before(made: nn.Module, node: s.Edit, name: str) -> Any:
    """The same size of the layer that stands there."""
    from netc.foreign import probe

    found = getattr(probe.child(made, node.path.value), name, None)
    return found if type(found) is int else None


def _size_code(
    c: Body, made: nn.Module, node: s.Edit, root: str, name: str, size: Any, place: str | None = None
) -> str:
    """The Python of a size that follows from the model: a number, where it is the same in all instances.

    Else it is read from the layer that is replaced, where that one has it.
    """
    seen = c.session.sizes.setdefault((id(node), place or name), set())
    if type(size) is int:
        seen.add(size)
    if c.rec is None:
        return ""
    if len(seen) > 1 and node.kind == "replace" and _as_before(made, node, name) == size:
        return f"{_access(made, node.path.value, root)}.{name}"
    return c.inferred_code(size if len(seen) == 1 else c.rec.unknown(size), name)


# --- the lines -------------------------------------------------------------------------------------------------------


def _lines(c: Body, made: nn.Module, node: s.Edit, put: edit_modules.Put | None, root: str) -> list[ir.Build]:
    """The lines of the constructor that make an edit."""
    from torch.nn import ModuleList, Sequential

    from netc.foreign import probe

    if c.rec is None:
        return []
    path = node.path.value
    above, _, name = path.rpartition(".")
    owner = _access(made, above, root)
    parent = made.get_submodule(above)
    place = list(parent._modules).index(name) if name in parent._modules else None
    numbered = name.isdigit() and isinstance(parent, (Sequential, ModuleList))
    if node.kind == "remove":
        if probe.renumbers(parent):
            return [ir.Remove(f"{owner}[{place}]")]
        return [ir.Remove(f"{owner}.{name}")] if is_attribute(name) else [ir.Remove(owner, quoted(name))]
    assert put is not None
    if node.kind == "append" and name == str(len(parent._modules)):
        return [ir.Register(owner, None, put.code)]
    if node.kind == "append" or not (numbered or is_attribute(name)):
        return [ir.Register(owner, quoted(name), put.code)]
    return [ir.Replace(f"{owner}[{place}]" if numbered else f"{owner}.{name}", put.code)]


def _access(made: nn.Module, path: str, root: str) -> str:
    """The Python that names a part of a model."""
    from torch.nn import ModuleList, Sequential

    here, code = made, root
    for name in path.split(".") if path else ():
        if name.isdigit() and isinstance(here, (Sequential, ModuleList)):
            code += f"[{list(here._modules).index(name)}]"
        elif is_attribute(name):
            code += f".{name}"
        else:
            return f"{root}.get_submodule({quoted(path)})"
        here = here.get_submodule(name)
    return code
