"""Modules as classes: what was recorded of a body in general becomes an `ir.Class`.

In: a definition and the instances that the file makes of it. Out: its class, in which names are final and only what is
needed is left: a variable that nothing reads goes, a parameter is stored if `forward` reads it, and a size of an input
becomes an argument of the constructor if the constructor reads it. Guarantees: each expression gave the right size for
the instance that was followed. Leaves to others: how the text is laid out.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

from netc import ir
from netc import syntax as s
from netc.checker.body import AXES
from netc.checker.modules import base, export_name, open_params, parameter_name
from netc.checker.needed import LEAVES, codes_of, flat_targets, names_read, needed, read_constants, targets_of
from netc.checker.python_text import text
from netc.checker.recorder import DEVICE, MARK, UNKNOWN, NoExpression, Recorder, mark
from netc.checker.session import General, Session, result_of
from netc.checker.values import LayerRef
from netc.diagnostics import Report
from netc.identifiers import MODULE_ATTRIBUTES, python_name
from netc.shapes import Size, TensorType, substitute, symbol
from netc.source import Span

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netc.checker.session import Instance
    from netc.checker.units import Definition

_OF_MODULE = ("_apply", "_buffers", "_modules", "_parameters")  # what nn.Module keeps under a name with `_` in front
TRIED = 80  # instances of a module, until one is found on which all of its body can be followed
_ROLES = {
    "num_features": "in_channels", "num_channels": "in_channels", "normalized_shape": "dim", "d_model": "dim",
    "embed_dim": "dim", "input_size": "in_features", "": "size",
}  # fmt: skip
_RUNNING = {"in_channels": "channels", "in_features": "features"}


def generalize(session: Session, definition: Definition) -> tuple[General, int]:
    """A module followed in general, on the first of its instances on which everything can be followed.

    The second value is 0, or how many instances there were where none was followed completely.
    """
    best: General | None = None
    for instance in _candidates(session.instances.get(definition, [])):
        recorder, report = Recorder(), Report()
        inputs = None if definition.kind == "network" else instance.inputs
        body = session.follow(definition, instance.values, inputs, report, recorder)
        result = result_of(body)
        if result is None or report.failed:
            continue
        for (place, axis), name in session.exports.get(definition, {}).items():
            dim = _at(result[0], place).shape[axis]
            recorder.build.append(ir.Store(name, recorder.code(dim)))
        places = {i.name: n for n, i in enumerate(body.inputs)}
        sizes = {f"${n}": (places[i], axis) for n, (i, axis) in body.sizes.items()}
        sizes |= {n: (places[i], axis) for n, (i, axis) in body.sizes.items()}
        made = General(
            definition, body, recorder, result[0], sizes, {f"${n}": n for n in body.parameters},
            {p.name.text: body.parameters.get(p.name.text) for p in definition.params if p.default is not None},
        )  # fmt: skip
        _demand(session, made)
        if best is None or not recorder.incomplete:
            best = made
        if not recorder.incomplete:
            break
    if best is None:
        raise NoExpression(f"no instance of {definition.name} can be followed in general")
    return best, len(session.instances[definition]) if best.recorder.incomplete else 0


def _candidates(instances: list[Instance]) -> Iterable[Instance]:
    """The instances in the order in which they are tried: first one for each way in which conditions were decided."""
    ways: dict[tuple[bool, ...], Instance] = {}
    for instance in instances:
        ways.setdefault(instance.decisions, instance)
    seen: set[str] = set()
    for instance in (*ways.values(), *instances[:TRIED], *map(partial(_fullest, instances), instances[:1])):
        if (key := repr((instance.values, instance.inputs))) not in seen:
            seen.add(key)
            yield instance


def _fullest(instances: list[Instance], instance: Instance) -> Instance:
    """An instance that there isn't: of each parameter it has a value that takes loops and branches, if any has one.

    Where one instance leaves out a loop and another one a branch in it, none of the file's own goes everywhere.
    """
    values = dict(instance.values)
    for name, value in instance.values.items():
        if not value:
            values[name] = next((i.values[name] for i in instances if i.values.get(name)), value)
    return instance._replace(values=values)


def _at(types: Any, place: tuple[int, ...]) -> TensorType:
    for i in place:
        types = types[i]
    found: TensorType = types
    return found


def _demand(session: Session, general: General) -> None:
    """The sizes of inputs that the constructor reads."""
    build = read_constants(tuple(general.recorder.build), general.recorder.constants, set())
    live = list(names_read(needed(build)))
    wanted = session.demanded.setdefault(general.definition, [])
    for name in live:
        found = general.sizes.get(f"${name}")
        if found is not None and found not in [w[1:] for w in wanted]:
            wanted.append((_role(general, name), *found))
    for key in live:
        if key in general.recorder.exported:
            targets, place, axis, rank = general.recorder.exported[key]
            for target in targets:
                names = session.exports.setdefault(base(target), {})
                name = export_name(axis, rank)
                taken = {n for p, n in names.items() if p != (place, axis)}
                names.setdefault((place, axis), f"{name}{place[-1] if place else axis}" if name in taken else name)


def _role(general: General, name: str) -> str:
    roles = [_ROLES.get(r, r) for r in general.recorder.roles.get(name, [])]
    return next((r for r in roles if r in ("in_channels", "in_features")), roles[0] if roles else "size")


# --- what is needed ---------------------------------------------------------------------------------------------------


# --- the class --------------------------------------------------------------------------------------------------------


class _Names:
    """The final names of a class."""

    def __init__(self, session: Session, general: General) -> None:
        self.general = general
        self.body = general.body
        self.rec = general.recorder
        self.demanded = session.demanded.get(general.definition, [])
        self.session = session
        self.flow = read_constants(self._flow(), self.rec.constants, set())
        read = frozenset(names_read(self.flow)) & self.once  # which `forward` finds as attributes
        self.build = needed(read_constants(tuple(self.rec.build), self.rec.constants, set()), read)
        self.constructor: dict[str, str] = {}
        self.taken: set[str] = {"self", "torch", "nn", "F", "m"}
        own = {n for code in codes_of(self.build) for n in MARK.findall(code) if "ǀ" not in n}
        self.taken |= {python_name(n) for n in self.rec.constants}
        self.taken |= {python_name(n) for n in own if n not in self.body.parameters and n not in self.body.sizes}
        for name in self.body.parameters:
            self.constructor[name] = self._free(parameter_name(name))
        self.arguments = [(self._argument(role, index, axis), index, axis) for role, index, axis in self.demanded]
        self.stored: dict[str, str] = {}
        self.attributes = {a for s_ in self.build if isinstance(s_, ir.Store) for a in [s_.attribute]}

    def _argument(self, role: str, index: int, axis: int) -> str:
        final = self._free(role)
        for name, (input_, own) in self.body.sizes.items():
            if self.general.sizes[f"${name}"] == (index, axis) and own == axis and input_:
                self.constructor[name] = final
        return final

    def _free(self, name: str) -> str:
        plain = re.sub(r"\d+\Z", "", name) or name
        final = name if name not in self.taken else next(
            f"{plain}{i}" for i in range(2, 1000) if f"{plain}{i}" not in self.taken
        )  # fmt: skip
        self.taken.add(final)
        return final

    def _flow(self) -> tuple[Any, ...]:
        """`forward` without what nothing reads; locals that are computed once are left to the constructor."""
        counts: dict[str, int] = {}
        for let in _within(tuple(self.rec.flow), ir.Let):
            for name in targets_of(let):
                counts[name] = counts.get(name, 0) + 1
        top = {n for st in self.rec.flow if isinstance(st, ir.Let) and ".shape" not in st.code for n in targets_of(st)}
        sized = set(self.body.sizes)
        for _ in range(len(counts)):  # and what hangs on them
            more = {
                n
                for let in _within(tuple(self.rec.flow), ir.Let)
                if sized & set(MARK.findall(let.code))
                for n in targets_of(let)
            }
            if more <= sized:
                break
            sized |= more
        moved = {n for st in _within(tuple(self.rec.flow), ir.Assign) for n in flat_targets(st.target)}
        self.once = {n for n in top if counts[n] == 1 and n not in moved}
        inputs = {i.name for i in self.body.inputs}
        self.rebound = moved & inputs
        self.kept: dict[str, tuple[str, str]] = {}
        self.flow_names = {python_name(n) for n in (moved | inputs) - {"_"}}
        self.flow_names |= {python_name(n) for code in codes_of(tuple(self.rec.flow)) for n in MARK.findall(code)}
        kept = [
            st for st in self.rec.flow
            if not (isinstance(st, ir.Let) and targets_of(st) <= self.once and not sized & set(MARK.findall(st.code)))
        ]  # fmt: skip
        self.once -= {n for st in kept if isinstance(st, ir.Let) for n in targets_of(st)}
        return needed((*kept, self._returned()))

    def _returned(self) -> ir.Return:
        body = self.body
        if body.outputs:
            order = sorted(body.outputs, key=lambda o: o[2])
            return ir.Return(tuple((n, t.expr) for n, t, _ in order))
        from netc.checker.functions import as_expr

        return ir.Return((("", as_expr(body.current)),))

    def field(self, output: tuple[str, Any, bool]) -> tuple[str, str]:
        """An output with the condition under which there is one."""
        return output[0], "self.training" if output[2] else self.body.conditional.get(output[0], "")

    # --- constructor -------------------------------------------------------------------------------------------------

    def in_constructor(self, name: str) -> str:
        if name in self.rec.exported:
            targets, place, axis, _ = self.rec.exported[name]
            return self.session.exports[base(targets[0])][place, axis]
        if name not in self.constructor:
            if "ǀ" in name:
                hint = name.partition("ǀ")[0]
                role = _role(self.general, name) if hint == "size" else hint
                self.constructor[name] = self._free(_RUNNING.get(role, role))
            elif name in self.body.constants:
                self.constructor[name] = python_name(name)
            else:
                self.constructor[name] = python_name(name)
                self.taken.add(python_name(name))
        return self.constructor[name]

    # --- forward -----------------------------------------------------------------------------------------------------

    def in_forward(self, name: str) -> str:
        if name == "_":
            return "ꞏ_ꞏ"
        if name == DEVICE:
            return python_name(self.body.inputs[0].name)
        if name in self.body.sizes:
            input_, axis = self.body.sizes[name]
            code = f"{python_name(input_)}.shape[{axis}]"
            return self._kept(name, code) if input_ in self.rebound else code
        if name in self.body.parameters or name in self.once:
            attribute = self.constructor.get(name) or python_name(name)
            taken = attribute in MODULE_ATTRIBUTES or attribute in self.labels or attribute in self.attributes
            own = f"_{attribute}" if taken else attribute
            self.stored[name] = f"{attribute}_" if own in _OF_MODULE else own
            return f"self.{self.stored[name]}"
        return python_name(name)

    def _kept(self, name: str, code: str) -> str:
        """A size of an input whose name gets another value: read into a variable at the beginning."""
        if name not in self.kept:
            short = python_name(re.sub(r"\W", "_", name.lower()))
            taken = self.flow_names | {own for own, _ in self.kept.values()}
            own = next(n for n in (short, *(f"{short}{i}" for i in range(2, 1000))) if n not in taken)
            self.kept[name] = own, code
        return self.kept[name][0]

    @property
    def labels(self) -> set[str]:
        return {*self.body.labels, *(h.name for h in self.body.held)}

    # --- comments ----------------------------------------------------------------------------------------------------

    def shown(self, type_: TensorType) -> TensorType:
        """A type with the names that a reader knows."""
        rank = len(type_.shape)
        letters = AXES.get(rank, "")
        dims = [self._shown(d, letters[a] if a < len(letters) else f"S{a}") for a, d in enumerate(type_.shape)]
        return type_._replace(shape=tuple(dims))

    def _shown(self, dim: Any, letter: str) -> Any:
        if not isinstance(dim, Size):
            return dim
        if not any(name in self.rec.atoms for name in dim.symbols):
            return dim if len(str(dim)) <= 16 else symbol(f"{letter}'")
        codes: dict[str, Any] = {}
        for name in dim.symbols:
            atom = self.rec.atoms.get(name)
            if atom is None:
                codes[name] = symbol(name)
                continue
            names = MARK.findall(atom.code)
            if atom.code == UNKNOWN or any(("ǀ" in n and n not in self.body.sizes) or ">" in n for n in names):
                return symbol(f"{letter}'")
            text_ = MARK.sub(lambda m, letter=letter: self._word(m.group(1)), atom.code)  # type: ignore[misc]
            codes[name] = symbol(text_ if re.fullmatch(r"\w+(\[\w+\])*", text_) else f"({text_})")
        shown = substitute(dim, codes)
        return shown if len(str(shown)) <= 16 else symbol(f"{letter}'")

    def _word(self, name: str) -> str:
        if name in self.body.sizes and "ǀ" in name:
            input_, axis = self.body.sizes[name]
            rank = next(len(i.type.shape) for i in self.body.inputs if i.name == input_)
            return AXES.get(rank, "")[axis] if rank in AXES else f"S{axis}"
        return name if name in self.body.sizes else self.constructor.get(name, name)


def _within(statements: tuple[Any, ...], kind: type) -> Iterable[Any]:
    """The statements of a kind, those in blocks included."""
    for statement in statements:
        if isinstance(statement, kind):
            yield statement
        elif isinstance(statement, ir.FlowFor):
            yield from _within(statement.body, kind)
        elif isinstance(statement, ir.FlowIf):
            yield from _within(statement.then, kind)
            yield from _within(statement.otherwise, kind)


def _unknown_size(statements: tuple[Any, ...]) -> str:
    """What needs a size that there is no expression for, in words."""
    for statement in statements:
        if UNKNOWN not in "".join(codes_of((statement,))):
            continue
        if isinstance(statement, (ir.BuildIf, ir.BuildFor)):
            inner = statement.body if isinstance(statement, ir.BuildFor) else (*statement.then, *statement.otherwise)
            return _unknown_size(inner)
        if isinstance(statement, ir.Register) and statement.label is not None:
            label = MARK.sub(r"\1", statement.label).lstrip("f").strip("\"'")
            return f"a size of the input of `{label}`"
        if isinstance(statement, ir.Store):
            return "a size of the result"
        if isinstance(statement, ir.Hold):
            return f"a size of `{statement.name}`"
    return "a size"


def build_class(session: Session, general: General) -> ir.Class:
    """The class of a module or network."""
    names = _Names(session, general)
    body = general.body
    flow = _resolved(names.flow, names.in_forward, names)
    build = _resolved(_on_cpu(names.build), names.in_constructor, names)
    order = sorted(body.outputs, key=lambda o: o[2])
    fields = _resolved(tuple(map(names.field, order)), names.in_forward, names) if len(order) > 1 else ()
    flow = (*(ir.Let(own, code) for own, code in sorted(names.kept.values(), key=lambda kept: kept[1])), *flow)
    stored = tuple(ir.Store(a, names.in_constructor(n)) for n, a in names.stored.items())
    inputs = tuple((i.name, names.shown(i.type)) for i in body.inputs)
    arguments = [ir.Argument(name, "int") for name, _, _ in names.arguments]
    arguments += [_argument(session, general, p, names) for p in general.definition.params]
    arguments.sort(key=lambda a: a.default is not None)
    if UNKNOWN in "".join(codes_of((names.build, names.flow))):
        what = _unknown_size((*names.build, *names.flow))
        raise NoExpression(f"{what} in `{general.definition.name}` has no expression over the parameters")
    return ir.Class(
        session.class_name(general.definition),
        "nn.Sequential" if body.is_seq else "nn.Module",
        tuple(arguments),
        (),
        inputs,
        _placed(build, stored),
        () if body.is_seq else flow,
        fields,
        frozenset(),
        version=body.version,
    )


def _on_cpu(node: Any) -> Any:
    """What a constructor makes has no input's device."""
    if isinstance(node, ir.Function):
        kept = tuple(
            (n, _on_cpu(a)) for n, a in node.arguments if n != "device" or a != ir.Value(f"{mark(DEVICE)}.device")
        )
        return ir.Function(node.callee, kept, node.type, node.span)
    if isinstance(node, tuple) and not isinstance(node, LEAVES):
        items = [_on_cpu(item) for item in node]
        return type(node)(*items) if hasattr(node, "_fields") else tuple(items)
    return node


def _placed(build: tuple[Any, ...], stored: tuple[ir.Store, ...]) -> tuple[Any, ...]:
    """What `forward` reads is stored first, or where its value has been computed."""
    out = list(build)
    computed = {n for st in build if isinstance(st, ir.Let) for n in targets_of(st)}
    first = [st for st in stored if not set(re.findall(r"\w+", st.code)) & computed]
    later = [st for st in stored if st not in first]
    for store in later:
        words = set(re.findall(r"\w+", store.code))
        at = max(i for i, st in enumerate(out) if isinstance(st, ir.Let) and targets_of(st) & words)
        out.insert(at + 1, store)
    return (*first, *out)


def _resolved(node: Any, names: Any, of: _Names) -> Any:
    """A node with final names, and with types as a reader sees them."""
    if isinstance(node, str):
        return MARK.sub(lambda m: names(m.group(1)), node) if "ꞏ" in node else node
    if isinstance(node, TensorType):
        return of.shown(node)
    if isinstance(node, Span):
        return node
    if isinstance(node, ir.Let):
        kept = {*of.body.parameters, "_"}
        target = re.sub(r"[\wǀ]+", lambda m: m.group() if m.group() in kept else names(m.group()), node.target)
        return ir.Let(target, _resolved(node.code, names, of))
    if isinstance(node, tuple):
        if hasattr(node, "_fields"):
            return type(node)(*(_resolved(item, names, of) for item in node))
        return tuple(_resolved(item, names, of) for item in node)
    return node


def _argument(session: Session, general: General, param: s.Param, names: _Names) -> ir.Argument:
    name = param.name.text
    seen = [i.values[name] for i in session.instances.get(general.definition, []) if name in i.values]
    default = None
    if param.default is not None:
        default = text(param.default, lambda n: f"torch.{n}" if n in ("float32",) else python_name(n),
                       lambda e: _layer_text(general, e))  # fmt: skip
    if isinstance(param.default, s.List) and default is not None:  # a default that is shared must not change
        seen = [tuple(v) if isinstance(v, list) else v for v in seen]
        inner = default[1:-1]
        default = f"({inner},)" if len(param.default.items) == 1 else f"({inner})"
    kind = annotation(seen, session)
    if kind == "None" and (general.definition, name) in session.numbered:
        kind = "int | None"
    return ir.Argument(names.constructor[name], kind, default)


def _layer_text(general: General, expr: s.Expr) -> str | None:
    """The Python of a layer in a default, which stands outside of the body: its sizes hide no layer there."""
    body = general.body
    hidden = {name: body.env.pop(name) for name in body.sizes if name in body.env}
    try:
        return body.layer_text(expr)
    finally:
        body.env |= hidden


def annotation(values: list[Any], session: Session) -> str:
    """The type of a parameter, from all values that the file gives it."""
    kinds: dict[str, None] = {}
    for value in values:
        kinds[_kind(value)] = None
    found = sorted(kinds, key=lambda k: (k == "None", k))
    if "int" in found and "float" in found:
        found.remove("int")
    return " | ".join(found) or "object"


def _kind(value: Any) -> str:
    if value is None:
        return "None"
    if isinstance(value, LayerRef):
        return "Callable[..., nn.Module]"
    if isinstance(value, Size):
        return "int"
    if isinstance(value, list):
        inner = {_kind(item) for item in value}
        return f"list[{inner.pop()}]" if len(inner) == 1 else "list"
    if isinstance(value, tuple):
        inner = {_kind(item) for item in value}
        return f"tuple[{inner.pop()}, ...]" if len(inner) == 1 else "tuple"
    return type(value).__name__


def variant_class(session: Session, definition: Definition) -> ir.Class:
    """The class of `network A = B(…)`: a subclass that fixes some of the parameters."""
    fixed = definition.unit.fixed[definition.name]
    mother = definition.base
    general = session.general(mother)
    taken = open_params(mother)
    own = [p for p in taken if p.name.text not in fixed]
    names = _Names(session, general)
    arguments = sorted((_argument(session, general, p, names) for p in own), key=lambda a: a.default is not None)
    forwarded: list[str] = []
    positional = mother.kind != "variant"  # which may take its options by name only
    for param in taken:
        name = param.name.text
        code = fixed[name][1] if name in fixed else names.constructor[name]
        positional = positional and (name in fixed or param.default is None or positional)
        forwarded.append(code if positional and name in fixed else f"{names.constructor[name]}={code}")
        positional = positional and name in fixed
    return ir.Class(
        session.class_name(definition), session.class_name(mother), tuple(arguments), tuple(forwarded), (), (), (), (),
        frozenset(),
    )  # fmt: skip


def constant_text(node: s.Constant, body_text: Any, session: Session) -> ir.Constant:
    """A constant or formula of the file, as Python."""
    if node.name.text in session.formulas and node.params is not None:
        value, kinds = session.formulas[node.name.text]
        arguments = tuple(
            ir.Argument(python_name(p.name.text), kinds.get(p.name.text, "float"),
                        None if p.default is None else text(p.default, python_name))
            for p in node.params
        )  # fmt: skip
        return ir.Constant(node.name.text, "", arguments, _plainly(value))
    params = None
    if node.params is not None:
        params = tuple(
            ir.Argument(python_name(p.name.text), "float", None if p.default is None else text(p.default, python_name))
            for p in node.params
        )
    return ir.Constant(node.name.text, text(node.value, python_name, body_text), params)


def _plainly(node: Any) -> Any:
    """An expression with the names of the program as those of Python."""
    if isinstance(node, str):
        return MARK.sub(lambda m: python_name(m.group(1)), node) if "ꞏ" in node else node
    if isinstance(node, tuple) and not isinstance(node, TensorType):
        items = [_plainly(item) for item in node]
        return type(node)(*items) if hasattr(node, "_fields") else tuple(items)
    return node


def words(made: ir.Class) -> set[str]:
    """The identifiers in all Python of a class."""
    return {w for code in codes_of(made) for w in re.findall(r"\w+", code)}
