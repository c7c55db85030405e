"""The checker: from the surface tree to the checked program.

In: a parsed file, its source, and a function that gives the text of an imported file. Out: an `ir.Program`, or None
with every mistake in the report. Guarantees: a program that comes out has every name resolved, every argument bound,
every shape known, and sections that agree with each other. Leaves to `ir.verify` that this is really so, and to the
backends the writing of Python.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc import ir, limits
from netc import syntax as s
from netc.checker import classes, graph, modules, references, settings, unused
from netc.checker.body import Body
from netc.checker.expressions import ERROR
from netc.checker.gaps import GAP, attempt
from netc.checker.python_text import text
from netc.checker.recorder import NoExpression
from netc.checker.session import Session, _fixed, refuse_foreign
from netc.checker.units import Definition, load
from netc.checker.values import LayerRef
from netc.diagnostics import Label, Report
from netc.identifiers import CLASS_NAMES, python_name, valid_name

if TYPE_CHECKING:
    from netc.checker.settings import Sections
    from netc.checker.units import Loader, Unit
    from netc.source import Source

ROUNDS = 6  # until no class needs a size of another that it didn't before


def check(file: s.File, source: Source, report: Report, stem: str, loader: Loader | None = None) -> ir.Program | None:
    """Check a file. `stem` is the name that builds and runs are filed under."""
    unit = load(file, source, report, loader)
    session = Session(report)
    for own in unit.own:
        _parameters(own, unit, report)
        _defaults(session, own, report)
    for brought in _units(unit):
        _link(session, brought, report if brought is unit else Report())  # theirs are told when they are checked
    networks, all_there = _networks(session, unit, report)
    found = settings.collect(file, report)
    enough = (s.Network, s.Variant, s.Broken) if "train" in found else (s.Network, s.Variant, s.Module, s.Broken)
    if not any(isinstance(d, enough) for d in file.definitions):
        _no_network(file, source, report)
    all_there = all_there and not any(isinstance(d, s.Broken) for d in file.definitions)
    complete = all_there and not session.deferred
    data, train, trained = _sections(found, networks, complete, file, report, session, unit)
    if session.deferred and not report.failed:  # all else has passed: now torch is asked
        session = Session(report, probing=True, reserved=_reserved(unit))
        networks, complete = _networks(session, unit, report)
        data, train, trained = _sections(found, networks, complete, file, report, session, unit)
    if "train" in found and trained is not None:
        from netc.checker import loss_fit

        attempt(loss_fit.check, found, trained, data, file, source, report)
    if report.failed:
        return None
    try:
        made = _classes(session, unit, networks)
    except NoExpression as problem:
        report.add(
            "E0410", f"{problem}, so that the class can't be written", networks[0].span, help=problem.help,
        )  # fmt: skip
        return None
    unused.check(unit, report)
    graph.check(networks, file, source, report)
    constants = tuple(_constant(session, unit, node) for node in _all_constants(unit))
    return ir.Program(stem, constants, made, tuple(networks), trained, data, train, _python(session, unit))


def _sections(
    found: Sections, networks: list[ir.Network], complete: bool, file: s.File, report: Report, session: Session,
    unit: Unit,
) -> tuple[ir.Data | None, ir.Train | None, ir.Network | None]:  # fmt: skip
    """The sections as checked; files of a network alone do without the code for them."""
    if not found:
        return None, None, None
    from netc.checker import sections

    return sections.check(found, networks, complete, file, report, session, unit)


def _reserved(unit: Unit) -> frozenset[str]:
    """The names that the file and its imports define at the top of model.py."""
    return frozenset(n for u in _units(unit) for n in (*u.definitions, *u.constants, *(d.name for d in u.own)))


def _units(unit: Unit) -> list[Unit]:
    """A file and those that it imports, each behind those that it imports itself."""
    found: dict[Unit, None] = {}

    def visit(one: Unit) -> None:
        for brought in dict.fromkeys(one.brought):
            if brought not in found:
                visit(brought)
        found[one] = None

    visit(unit)
    return list(found)


def _python(session: Session, unit: Unit) -> tuple[ir.PythonFile, ...]:
    """The Python files of a program that it uses, with the names that it takes from them."""
    out: dict[str, ir.PythonFile] = {}
    for one in _units(unit):
        for file in one.files:
            names = sorted((n, alias) for (home, n), alias in session.used.items() if home == f"python:{file.path}")
            if names:
                own = tuple(one.python[n] for n, _ in names)
                out[file.module] = ir.PythonFile(file.module, tuple(map(str, file.companions)), tuple(names), own)
    return tuple(out[name] for name in sorted(out))


def _all_constants(unit: Unit) -> list[s.Constant]:
    return [node for one in _units(unit) for node in one.order]


def _constant(session: Session, unit: Unit, node: s.Constant) -> ir.Constant:
    return classes.constant_text(node, lambda e: _layer_text(session, unit, e), session)


def _layer_text(session: Session, unit: Unit, expr: s.Expr) -> str | None:
    """The Python of a layer in a constant."""
    callee = expr.callee if isinstance(expr, s.Call) else expr
    if not isinstance(callee, s.Name) or not callee.text[0].isupper() or callee.text in unit.constants:
        return None
    body = Body(session, Definition(s.Inline(s.Body((), expr.span), expr.span), "constants", unit, "inline"),
                session.report, {}, None)  # fmt: skip
    ref = body.evaluate(expr)
    if not isinstance(ref, LayerRef):
        return None
    args = tuple((n, v, text(a, python_name)) for (n, v, _), a in zip(ref.args, _given(expr), strict=False))
    return references.reference_code(body, ref._replace(args=args), None)


def _given(expr: s.Expr) -> list[s.Expr]:
    return [a.value for a in expr.arguments] if isinstance(expr, s.Call) else []


def _no_network(file: s.File, source: Source, report: Report) -> None:
    at = file.definitions[0].span if file.definitions else type(file.span)(0, min(1, len(source.text)))
    report.add(
        "E0200",
        "the file defines no network",
        at,
        help="a network is written as `network Name { input x: [N, 3, 32, 32]; … }`",
    )


def _link(session: Session, unit: Unit, report: Report) -> None:
    """Find what each variant stands on, and what it fixes."""
    for definition in unit.own:
        if definition.kind != "variant":
            continue
        node = definition.node
        assert isinstance(node, s.Variant)
        callee = node.value.callee if isinstance(node.value, s.Call) else node.value
        mother = unit.definitions.get(callee.text) if isinstance(callee, s.Name) else None
        if mother is None or mother.kind == "module" or modules.base(mother) is definition:
            what = "" if mother is None else ", and this is a module" if mother.kind == "module" else " before it"
            report.add(
                "E0202", f"a variant is written as `network A = B(…)`, where B is a network of the file{what}",
                callee.span,
            )  # fmt: skip
            continue
        definition.base = mother
        _refuse_if_long(definition, report)
    _refuse_long(unit, report)
    for definition in unit.own:
        if definition.base is not None:
            _fix(session, definition, report)


def _refuse_long(unit: Unit, report: Report) -> None:
    """Report networks that stand on too many others."""
    for definition in unit.own:
        _refuse_if_long(definition, report)


def _refuse_if_long(definition: Definition, report: Report) -> None:
    line = definition
    for _ in range(limits.VARIANT_LEVELS + 1):
        if line.base is None:
            return
        line = line.base
    definition.base = None
    report.add(
        "E0114", f"networks stand on each other here, more than {limits.VARIANT_LEVELS} in a row", definition.span,
        help="give the last one all of its arguments",
    )  # fmt: skip


def _fix(session: Session, definition: Definition, report: Report) -> None:
    unit = definition.unit
    if definition.name in unit.fixed:
        return
    unit.fixed[definition.name] = {}
    if modules.base(definition).kind == "variant":  # which is wrong itself
        session.broken.add(definition)
        if definition.base.unit is not unit:
            report.add(
                "E0202", f"`{definition.base.name}` of an imported file is a variant of no network", definition.span,
                help="check that file",
            )  # fmt: skip
        return
    if definition.base.kind == "variant" and definition.base.unit is unit:
        _fix(session, definition.base, report)
    holder = Definition(s.Inline(s.Body((), definition.span), definition.span), definition.name, unit, "inline")
    body = _Outer(session, holder, report, {}, None)
    node = definition.node
    assert isinstance(node, s.Variant)
    given = node.value.arguments if isinstance(node.value, s.Call) else ()
    values = modules.arguments(body, definition.base, given, LayerRef(definition.base), node.span, partly=True)
    if values is None:
        session.broken.add(definition)
    else:
        unit.fixed[definition.name] = values


class _Outer(Body):
    """Evaluates what stands outside of all bodies."""

    def code(self, expr: s.Expr, value: Any) -> str:
        return text(expr, lambda n: self.named(n) if n not in self.env else python_name(n), self.layer_text)


def _networks(session: Session, unit: Unit, report: Report) -> tuple[list[ir.Network], bool]:
    """The networks that can be built without arguments, with gaps where they are wrong, and whether these are all."""
    out: list[ir.Network] = []
    complete = True
    for definition in unit.own:
        if definition.kind not in ("network", "variant"):
            continue
        if definition in session.broken or (definition.kind == "variant" and definition.base is None):
            complete = False
            continue
        if definition.kind == "network":
            _check_name(definition.node.name, report)  # type: ignore[union-attr]
        needed = [p for p in modules.open_params(definition) if p.default is None]
        if needed:
            used = any(d.base is definition for d in unit.own)
            name = needed[0].name
            if not used and definition.base is not None:
                complete = False
                base = definition.base.name
                report.add(
                    "E0224", f"`{definition.name}` gives `{base}` no `{name.text}`, which has no default",
                    definition.span, help=f"give it, as in `{base}(…, {name.text}=…)`",
                )  # fmt: skip
            elif not used:
                complete = False
                report.add(
                    "E0224", f"the parameter `{name.text}` has no default", name.span,
                    help=f"give it one, as in `{name.text} = 10`, so that the network can be built",
                )  # fmt: skip
            continue
        foreign = modules.base(definition).unit is not unit
        inner = Report() if foreign else report
        network = _network(session, definition, inner)
        if foreign and inner.errors:
            refuse_foreign(modules.base(definition), inner, report, definition.span)
        complete = complete and network is not None
        if network is not None:
            out.append(network)
    return out, complete


def _check_name(name: s.Ident, report: Report) -> None:
    if name.text in CLASS_NAMES:
        message = f"a network can't be called `{name.text}`, which is a name of generated code"
        report.add("E0212", message, name.span, help=f"call it `{name.text}Net`")


def _network(session: Session, definition: Definition, report: Report) -> ir.Network | None:
    """One network with the defaults of its parameters."""
    bottom = modules.base(definition)
    values = {n: v for _, n, v in _fixed(definition, {})}
    statements = bottom.body.statements
    if not any(isinstance(st, (s.Input, s.Broken)) for st in statements):
        report.add(
            "E0222", f"the network `{bottom.name}` declares no input", bottom.span,
            help="begin it with `input x: [N, 3, 32, 32]`, the batch first",
        )  # fmt: skip
        return None
    failed = len(report.errors)
    session.open.append(bottom)
    body = session.follow(bottom, values, None, report)
    session.open.pop()
    if len(report.errors) > failed or any(isinstance(st, s.Broken) for st in statements):
        name, declared = session.class_name(definition), tuple(body.inputs)
        right = body.inputs and len(body.inputs) == body.declared and bottom.unit is definition.unit
        return ir.Network(name, GAP, declared, GAP, GAP, GAP, GAP, GAP, definition.span) if right else None
    if not body.rows and not body.outputs:
        body.started, body.current = False, None
    instance = session.finished(bottom, body, values, (), definition.span, report)
    if instance is None:
        return None
    shown = tuple(
        ir.Parameter(p.name.text, instance.values.get(p.name.text), p.span) for p in modules.open_params(definition)
    )
    rows, declared = instance.rows, instance.declared
    if bottom.unit is not definition.unit:  # whose places mean nothing here
        rows = tuple(row._replace(span=definition.span) for row in rows)
        declared = tuple(i._replace(span=definition.span) for i in declared)
    return ir.Network(
        session.class_name(definition), shown, declared, instance.held, instance.children, instance.outputs,
        rows, instance.looked_up, definition.span,
    )  # fmt: skip


def _classes(session: Session, unit: Unit, networks: list[ir.Network]) -> tuple[ir.Class, ...]:
    """The classes of all networks and of the modules that they need, each one's base before it."""
    wanted = [d for d in unit.own if d.kind in ("network", "variant") and session.instances.get(modules.base(d))]
    for _ in range(ROUNDS):
        before = repr(session.demanded), repr(session.exports)
        session.earlier, session.generals = session.generals, {}
        given = [d for d in session.instances if d.kind in ("module", "inline")]  # some only as arguments
        for definition in (*wanted, *given):
            session.general(definition)
        if (repr(session.demanded), repr(session.exports)) == before:
            break
    made = [classes.build_class(session, g) for g in list(session.generals.values())]
    variants = sorted(dict.fromkeys(v for d in wanted for v in _line(d)), key=_height)
    made += [classes.variant_class(session, d) for d in variants]
    names = {c.name for c in made}
    held = {node.name.text: set(_words(text(node.value, str))) for node in _all_constants(unit)}
    seen = [_seen(c, held) for c in made]
    words = [_used(classes.words(c), constants) for c, constants in zip(made, seen, strict=True)]
    for definition, name in session.names.items():
        if name not in names and any(name in found for found in words):
            raise NoExpression(f"`{definition.name}` is given as an argument and never built", "leave it out")
    pairs = zip(words, seen, strict=True)
    listed = {w for found, constants in pairs for name in found & constants.keys() for w in constants[name]}
    for name in sorted((listed - names) & {d.name for d in unit.definitions.values() if d.kind == "module"}):
        raise NoExpression(f"`{name}` stands in a constant that is used, and is never built", "leave it out there")
    return tuple(c._replace(uses=frozenset(found & names - {c.name})) for c, found in zip(made, words, strict=True))


def _line(definition: Definition) -> list[Definition]:
    """A variant and those that it stands on; nothing where it is none."""
    found = []
    while definition.base is not None:
        found.append(definition)
        definition = definition.base
    return found


def _height(variant: Definition) -> int:
    """How many variants a variant stands on."""
    count, mother = 0, variant.base
    while mother is not None and mother.kind == "variant":
        count, mother = count + 1, mother.base
    return count


def _words(code: str) -> list[str]:
    return "".join(c if c.isalnum() or c == "_" else " " for c in code).split()


def _seen(made: ir.Class, constants: dict[str, set[str]]) -> dict[str, set[str]]:
    """The constants that no parameter of a class hides."""
    hidden = {a.name for a in made.arguments} - {w for a in made.arguments for w in _words(a.default or "")}
    return {name: words for name, words in constants.items() if name not in hidden}


def _used(words: set[str], constants: dict[str, set[str]]) -> set[str]:
    """The identifiers of a class, and those of the constants that it uses."""
    found, todo = set(words), [w for w in words if w in constants]
    while todo:
        more = constants[todo.pop()] - found
        found |= more
        todo += [w for w in more if w in constants]
    return found


def _parameters(definition: Definition, unit: Unit, report: Report) -> None:
    """The names of the parameters."""
    seen: dict[str, s.Param] = {}
    for param in definition.params:
        name = param.name.text
        if name in seen:
            report.add(
                "E0208",
                f"the parameter `{name}` is declared twice",
                param.name.span,
                "again",
                secondary=[Label(seen[name].name.span, "first here")],
                help="rename one of them",
            )
            continue
        seen[name] = param
        valid_name(name, param.name.span, report)


def _defaults(session: Session, definition: Definition, report: Report) -> None:
    """Report a default that can't be computed, also where every call gives the parameter."""
    outside = _Outer(session, definition, report, {}, None)
    for param in definition.params:
        if param.default is None:
            continue
        value = outside.evaluate(param.default)
        own = isinstance(value, LayerRef) and isinstance(value.target, Definition)
        if own and modules.base(value.target) is definition:
            report.add(
                "E0238", f"`{definition.name}` holds itself as a default", param.default.span,
                help="use another module, or None",
            )  # fmt: skip


__all__ = ["ERROR", "check"]
