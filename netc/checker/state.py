"""What a body holds and gives by itself: `param`, `buffer`, `output` and `init`.

In: the checker of a body and such a statement. Out: the parameters and buffers with their types, the outputs, and the
initialisers as the constructor runs them.
"""

from __future__ import annotations

import re
from keyword import iskeyword
from typing import TYPE_CHECKING, Any

from netc import catalog, ir
from netc import syntax as s
from netc.catalog.entry import Entry
from netc.checker.arguments import bind
from netc.checker.expressions import ERROR, Evaluator, kind_of
from netc.checker.functions import as_expr
from netc.checker.needed import LEAVES
from netc.checker.python_text import text
from netc.checker.recorder import mark
from netc.checker.units import Definition
from netc.checker.values import Made, Tensor, TensorTuple
from netc.diagnostics import Label, Report, nearest
from netc.fixes import certain, rewrite, spelling
from netc.identifiers import valid_label
from netc.limits import PATTERN_LENGTH, spend
from netc.shapes import Reject, Size, TensorType

if TYPE_CHECKING:
    from netc.checker.body import Body
    from netc.diagnostics import Fix
    from netc.source import Span


def output(c: Body, statement: s.Output) -> None:
    """`output name = …`: a result by name."""
    name = statement.name
    if c.in_training and c.arriving is not None:
        c.report.add(
            "E0233", "only a network has outputs that exist in training alone; this is a part of one", statement.span,
            help="give the value as a further output at all times, and let the network choose",
        )  # fmt: skip
        c.broken = True
        return
    value = c.chain(statement.chain, bound=True)
    spend(len(c.outputs) // 8)
    if any(name.text == n for n, _, _ in c.outputs):
        c.report.add(
            "E0208", f"the output `{name.text}` is given twice", name.span, "again",
            secondary=[Label(c.spans[f"output {name.text}"], "first here")], help="rename one of them",
        )  # fmt: skip
        return
    c.spans[f"output {name.text}"] = name.span
    if name.text.startswith("_"):
        c.report.add("E0212", f"an output can't be called `{name.text}`: a NamedTuple keeps such names for itself",
                     name.span, help=f"call it `{name.text.strip('_') or 'result'}`")  # fmt: skip
        c.broken = True
        return
    if value is ERROR or value is None:
        c.outputs.append((name.text, Tensor(ir.Value(""), TensorType(())), c.in_training))
        c.broken = True
        return
    if not isinstance(value, Tensor):
        what = "several tensors" if isinstance(value, TensorTuple) else kind_of(value)
        c.report.add(
            "E0206", f"an output is a tensor, and this is {what}", statement.chain.span,
            help="take them apart first: `a, b = …`" if isinstance(value, TensorTuple) else None,
        )  # fmt: skip
        c.broken = True
        return
    inputs = {i.name for i in c.inputs}
    plain = isinstance(value.expr, ir.Var)
    taken = name.text in inputs or name.text in c.env  # which later lines may still read
    target = f"{name.text}_output" if taken else name.text
    if c.rec is not None:
        line = ir.Assign(target, as_expr(value), statement.span)
        c.rec.flow.append(line)
        if plain:
            c.rec.aliases.append(line)
        value = Tensor(ir.Var(target, value.type), value.type, value.made, source=value.source)
    if name.text not in c.env:
        c.env[name.text] = value
    c.outputs.append((name.text, value, c.in_training))


def settle(c: Body) -> None:
    """Take away the variable of an output that only names a value which no later line changes."""
    rec = c.rec
    assert rec is not None
    for line in rec.aliases:
        at = next((i for i, st in enumerate(rec.flow) if st == line), None)
        assert isinstance(line.value, ir.Var)
        if at is None or line.value.name in _assigned(tuple(rec.flow[at + 1 :])):
            continue
        rec.flow[at:] = [_instead(st, line.target, line.value) for st in rec.flow[at + 1 :]]
        c.outputs = [
            (n, t._replace(expr=_instead(t.expr, line.target, line.value)), training) for n, t, training in c.outputs
        ]


def _assigned(node: Any) -> set[str]:
    """The names that statements of `forward` give a value."""
    if isinstance(node, ir.Assign):
        return set(re.findall(r"\w+", str(node.target)))
    if isinstance(node, (ir.Let, ir.FlowFor)):
        head = set(re.findall(r"\w+", node.target if isinstance(node, ir.Let) else node.targets))
        return head | (_assigned(node.body) if isinstance(node, ir.FlowFor) else set())
    if isinstance(node, ir.FlowIf):
        return _assigned(node.then) | _assigned(node.otherwise)
    return set().union(*map(_assigned, node)) if type(node) is tuple and node else set()


def _instead(node: Any, name: Any, expr: ir.Expr) -> Any:
    """A node with an expression in the place of a variable."""
    if isinstance(node, ir.Var):
        return expr if node.name == name else node
    if isinstance(node, tuple) and not isinstance(node, LEAVES):
        items = [_instead(item, name, expr) for item in node]
        return type(node)(*items) if hasattr(node, "_fields") else tuple(items)
    return node


def parameter(c: Body, statement: s.Parameter) -> None:
    """`param name[shape] = initialiser`."""
    name = statement.name
    c.started = True
    c.env[name.text] = ERROR
    dims = [c.evaluate(item) for item in statement.shape.items]
    if c.in_seq or not _may_hold(c, name) or any(d is ERROR for d in dims):
        if c.in_seq:
            c.report.add("E0220", "a `seq` holds layers only", statement.span, help="move this out of the `seq`")
        return
    for item, dim in zip(statement.shape.items, dims, strict=True):
        if not isinstance(dim, (int, Size)) or isinstance(dim, bool):
            c.report.add("E0307", f"an axis of a parameter is an integer, not {kind_of(dim)}", item.span)
            return
        if isinstance(dim, int) and dim < 0:
            c.report.add("E0307", f"an axis of a parameter is an integer from 0, not {dim}", item.span)
            return
        if not c.built(dim):
            c.report.add(
                "E0402", f"the parameter `{name.text}` has an axis `{dim}`, which is known only at run time", item.span,
                help="give the input this size as a number",
            )  # fmt: skip
            return
    type_ = TensorType(tuple(dims))
    new = _initialiser(c, statement.value, type_, name)
    if new is None and statement.value is not None:
        return
    c.held.append(ir.Held(name.text, type_ if c.rec is None else c.rec.witness(type_), True))
    made = Made(name.text, name.span)
    c.env[name.text] = Tensor(ir.Value(f"self.{name.text}"), type_, made, source=(name.text, ()))
    if c.rec is not None:
        codes = [c.code(item, d) for item, d in zip(statement.shape.items, dims, strict=True)]
        c.rec.build.append(ir.Hold(name.text, ", ".join(codes), None, new, True))


def _may_hold(c: Body, name: s.Ident) -> bool:
    if not valid_label(name.text, name.span, c.report):
        return False
    if iskeyword(name.text):
        c.report.add("E0213", f"`{name.text}` is a word of Python's, and can't be the name of a parameter or buffer",
                     name.span, help="choose another name")  # fmt: skip
        return False
    if name.text in c.labels or any(h.name == name.text for h in c.held):
        c.report.add("E0214", f"two children are called `{name.text}`", name.span, "again", help="rename one")
        return False
    return True


def _initialiser(c: Body, value: s.Expr | None, type_: TensorType, name: s.Ident) -> ir.New | None:
    """The call of torch.nn.init that fills a parameter."""
    if value is None:
        return None
    entry = _entry_of(c, value, "a parameter is filled by", f"write `param {name.text}[…] = {_filled_with(c, value)}`")
    return None if entry is None else fill_call(c, entry, value, type_.shape, c.code)


def _entry_of(c: Body, value: s.Expr, said: str, otherwise: str) -> Entry | None:
    """The initialiser that is named; None with the reason in the report."""
    callee = value.callee if isinstance(value, s.Call) else value
    entry = catalog.initializer(callee.text) if isinstance(callee, s.Name) else None
    if entry is None:
        near = nearest(callee.text, catalog.initializers()) if isinstance(callee, s.Name) else None
        c.report.add(
            "E0234", f"{said} an initialiser of torch.nn.init", value.span,
            help=f"did you mean `{near}`?" if near else otherwise,
            fix=_initialiser_fix(c, value, callee, otherwise),
        )  # fmt: skip
    return entry


def _initialiser_fix(c: Body, value: s.Expr, callee: s.Expr, otherwise: str) -> Fix | None:
    """The initialiser that is meant: one of that name, but for a letter, or the constant of a number in a `param`."""
    if isinstance(callee, s.Name):
        plain = not isinstance(value, s.Call) or all(a.name is not None for a in value.arguments)
        return spelling(callee.text, callee.span, catalog.initializers()) if plain else None
    number = isinstance(value, (s.Number, s.Unary)) and "constant_(" in otherwise
    return rewrite(value.span, _filled_with(c, value)) if number else None


def _filled_with(c: Body, value: s.Expr) -> str:
    return f"constant_({c.source_text(value.span)})" if isinstance(value, (s.Number, s.Unary)) else "zeros_()"


def fill_call(c: Any, entry: Entry, value: s.Expr, shape: tuple[Any, ...] | None, code: Any) -> ir.New | None:
    """An initialiser with its arguments, checked against the shape of what it fills."""
    from netc.catalog.rules import initialisers

    given = value.arguments if isinstance(value, s.Call) else ()
    bound = bind(entry, given, value.span, c, code)
    if not bound.ok:
        return None
    args = {p.name: p.default for p in entry.params} | {n: a.value for n, a in bound.args.items()}
    rec = getattr(c, "rec", None)
    if rec is not None:
        args = {n: rec.witness(v) for n, v in args.items()}
        shape = None if shape is None else rec.witness(shape)
    problem = initialisers.check(entry.name, args, shape) if shape is not None else None
    if isinstance(problem, Reject):
        place = bound.spans.get(problem.argument or "", value.span)
        c.report.add("E0309", f"`{entry.name}`: {problem.reason}", place)
        return None
    arguments = tuple((None if a.positional else n, ir.Code(a.code)) for n, a in bound.args.items())
    return ir.New(f"nn.init.{entry.name}", arguments)


def buffer(c: Body, statement: s.Buffer) -> None:
    """`buffer name = …`: a tensor that is no parameter."""
    name = statement.name
    c.started = True
    value = c.evaluate(statement.value)
    c.env[name.text] = ERROR
    persistent = True
    for argument in statement.arguments:
        if argument.name is None or argument.name.text != "persistent":
            c.report.add("E0302", "`buffer` takes `persistent` and nothing else", argument.span)
            return
        persistent = bool(c.evaluate(argument.value))
    if c.in_seq or value is ERROR or not _may_hold(c, name):
        return
    if isinstance(value, (bool, int, float, Size)):
        value = Tensor(ir.Value(f"torch.tensor({c.code(statement.value, value)})"), _scalar(value), None, True)
    if not isinstance(value, Tensor) or not value.constant:
        what = "hangs on an input" if isinstance(value, Tensor) else f"is {kind_of(value)}"
        c.report.add(
            "E0235", f"the buffer `{name.text}` {what}; it is computed when the network is built",
            statement.value.span, help="compute it from `arange`, `zeros`, `ones` …",
        )  # fmt: skip
        return
    type_ = value.type if c.rec is None else c.rec.witness(value.type)
    c.held.append(ir.Held(name.text, type_, False, persistent))
    c.env[name.text] = Tensor(ir.Value(f"self.{name.text}"), value.type, Made(name.text, name.span), True)
    if c.rec is not None:
        c.rec.build.append(ir.Hold(name.text, "", value.expr, None, False, persistent))


def _scalar(value: Any) -> TensorType:
    kind = "bool" if isinstance(value, bool) else "float32" if isinstance(value, float) else "int64"
    return TensorType((), kind)


def version(c: Body, statement: s.Bind, value: Any) -> None:
    """`_version = 2`: the version that torch notes in the state dict beside the module's entries.

    Source: `torch.nn.Module.state_dict`.
    """
    if value is ERROR:
        return
    if c.nested or c.in_seq or c.in_training or len(statement.targets) > 1 or type(value) is not int or value < 1:
        c.report.add(
            "E0301", "`_version` is the version of the state dict, a positive integer for the whole module",
            statement.chain.span, help="write it at the beginning of the body, as in `_version = 2`",
        )  # fmt: skip
        return
    c.version = value


# --- init -------------------------------------------------------------------------------------------------------------


def fills(c: Body) -> None:
    """The `init` blocks of a body, when all of it is built."""
    if c.session.deferred:
        return  # not all layers are known yet
    for statement in c.fills:
        made = {id(r): rule for r in statement.rules if (rule := _rule(c, r)) is not None}
        if c.rec is None:
            _overlaps(c, statement.rules)
            continue
        for key, rule in list(made.items()):
            general = made.get(c.session.instead.get(key, 0))
            if general is not None:
                place, _, _ = rule.attribute.rpartition(".")
                of_type = c.session.instead[key]
                made[of_type] = general._replace(instead=(*made[of_type].instead, (place, rule.call)))
                del made[key]
        c.rec.build.append(ir.Fill(tuple(made.values()), tuple(c.session.foreign.get(c.owner, ()))))


def _overlaps(c: Body, rules: tuple[s.Rule, ...]) -> None:
    """Of a rule for a type and one for a path that fill the same parameter, the path's has to be the later one.

    Of two rules with the same selector, the first would do nothing.
    """
    last = {rule.selector.text: rule for rule in rules}
    for rule in rules:
        if last[rule.selector.text] is not rule:
            c.report.add(
                "E0237", f"what `{rule.selector.text}` is filled with is overwritten", rule.selector.span,
                secondary=[Label(last[rule.selector.text].selector.span, "by this")], help="remove one of the two",
            )  # fmt: skip
    types: dict[int, s.Rule] = {i: r for i, r in enumerate(rules) if not r.selector.is_path}
    for at, rule in enumerate(rules):
        path, _, attribute = rule.selector.text.rpartition(".")
        module = _at_path(c.children, path.split(".")) if rule.selector.is_path else None
        for i, other in types.items() if module is not None else ():
            kind, _, filled = other.selector.text.partition(".")
            target = c.definition(kind) or catalog.layer(kind)
            if target is None or filled != attribute or not _is(c, module, target):  # type: ignore[arg-type]
                continue
            if i > at:
                c.report.add(
                    "E0237", f'what "{rule.selector.text}" is filled with is overwritten', rule.selector.span,
                    secondary=[Label(other.selector.span, "by this")], help="move this rule behind the other one",
                )  # fmt: skip
            else:
                c.session.instead[id(rule)] = id(other)


def _at_path(children: list[ir.Child] | tuple[ir.Child, ...], path: list[str]) -> ir.Child | None:
    """The module of a path that has no pattern in it."""
    found = next((m for m in children if m.label == path[0]), None)
    if len(path) == 1 or found is None:
        return found
    return None if isinstance(found, ir.Layer) else _at_path(found.children, path[1:])


def _rule(c: Body, rule: s.Rule) -> ir.FillRule | None:
    entry = _entry_of(c, rule.value, "behind `~` stands", "write it as in `Conv2d.weight ~ kaiming_normal_()`")
    if entry is None:
        return None
    return _path_rule(c, rule, entry) if rule.selector.is_path else _type_rule(c, rule, entry)


def _selector(c: Body, kind: str, attribute: str, span: Span) -> Fix | None:
    """The type in a rule, spelt as torch does; which parameter is meant has to be there."""
    meant = certain(kind, [*catalog.layers(), *c.owner.unit.definitions])
    same = span.end - span.start == len(f"{kind}.{attribute}")
    return rewrite(span, f"{meant}.{attribute}") if meant is not None and attribute and same else None


def _type_rule(c: Body, rule: s.Rule, entry: Entry) -> ir.FillRule | None:
    kind, _, attribute = rule.selector.text.partition(".")
    if c.python(kind) is not None:
        c.report.add("E0236", f"a Python layer such as `{kind}` is reached by its path only", rule.selector.span,
                     help=f'write it as in `"child.{attribute or "weight"}" ~ …`')  # fmt: skip
        return None
    if c.rec is None:
        _note_foreign(c)
    target = c.definition(kind) or catalog.layer(kind)
    if target is None or not attribute:
        near = nearest(kind, [*catalog.layers(), *c.owner.unit.definitions])
        c.report.add(
            "E0236", f"`{rule.selector.text}` selects no parameter of a layer", rule.selector.span,
            help=f"did you mean `{near}.{attribute or 'weight'}`?" if near else "write it as in `Conv2d.weight`",
            fix=_selector(c, kind, attribute, rule.selector.span),
        )  # fmt: skip
        return None
    found = [m for m in _modules(c.children) if _is(c, m, target)] if c.rec is None else []
    shapes = [_shape(c, m, attribute, target) for m in found]
    if c.rec is None and not any(sh is not None for sh in shapes):
        has = "there is no layer of that type" if not found else f"`{kind}` has no `{attribute}` here"
        c.report.add("E0237", f"`{rule.selector.text}` matches nothing: {has}", rule.selector.span,
                     help="remove the rule")  # fmt: skip
        return None
    if c.rec is None:
        c.session.note_optional(rule, any(sh is None for sh in shapes))
    own = {p.name for p in target.params} if isinstance(target, Entry) else set[str]()
    filled = [m for m, sh in zip(found, shapes, strict=True) if sh is not None and isinstance(m, ir.Layer)]
    filled.sort(key=lambda m: m.call.entry is not target)
    first = filled[0] if filled and filled[0].call.entry is target else None
    inner = _Attributes(c, own, first)
    shape = next((sh for sh in shapes if sh is not None), None)
    call = fill_call(inner, entry, rule.value, shape, inner.code)
    from netc.checker.references import callee_code

    optional = c.session.is_optional(rule)
    return None if call is None else ir.FillRule(callee_code(c, target), attribute, call, optional)


class _Attributes(Evaluator):
    """Evaluates an initialiser's arguments, in which the attributes of the layer may be used."""

    def __init__(self, c: Body, own: set[str], layer: ir.Layer | None) -> None:
        super().__init__(c.report if c.rec is None else Report(), dict(c.env))
        self.c = c
        self.own = own - {n for n in c.env if n in c.constants}
        self.layer = layer
        if isinstance(layer, ir.Layer):
            entry, values = layer.call.entry, layer.call.args
            self.env |= {n: _tupled(entry, n, values[n].value) for n in self.own if n in values}
            defaults = {p.name: _tupled(entry, p.name, p.default) for p in entry.params}
            self.env |= {n: v for n, v in defaults.items() if n not in values and n in self.own}
        else:  # in a layer that holds others, whose sizes are not its own
            self.env |= dict.fromkeys(self.own, 1)
        self.rec = c.rec

    def evaluate(self, expr: s.Expr) -> Any:
        return 1.0 if self.rec is not None and not isinstance(expr, (s.String, s.Literal)) else super().evaluate(expr)

    def code(self, expr: s.Expr, value: Any) -> str:
        return text(expr, lambda name: f"m.{name}" if name in self.own else mark(name))


def _tupled(entry: Entry, name: str, value: Any) -> Any:
    """Torch keeps the sizes of a kernel as a tuple, one for each of the axes that the layer is called after."""
    if name in ("kernel_size", "stride", "padding", "dilation") and type(value) is int:
        axes = entry.name[-2:-1]
        return (value,) * (int(axes) if axes.isdigit() else 1)
    return value


def _modules(children: tuple[ir.Child, ...] | list[ir.Child]) -> list[ir.Child]:
    """All modules below; where one instance stands in several places, what is in it comes once."""
    found: list[ir.Child] = []
    seen: set[int] = set()
    todo = list(reversed(children))
    while todo:
        child = todo.pop()
        found.append(child)
        if not isinstance(child, ir.Layer) and id(child.children) not in seen:
            seen.add(id(child.children))
            todo += reversed(child.children)
    return found


def _note_foreign(c: Body) -> None:
    """Remember whose weights the rules for types leave as they are: those of pretrained and Python layers."""
    for module in _modules(c.children):
        rule = module.call.entry.rule if isinstance(module, ir.Layer) else None
        if isinstance(module, ir.Layer) and rule is not None and rule.probed and _state(c, module):
            from netc.checker.python_layers import class_code

            c.session.foreign.setdefault(c.owner, {})[class_code(c, module.call.entry)] = None


def _is(c: Body, module: ir.Child, target: Entry | Definition) -> bool:
    if isinstance(target, Entry):
        if not isinstance(module, ir.Layer) or (module.call.entry.rule is not None and module.call.entry.rule.probed):
            return False
        return module.call.entry is target or _holds(c, module)
    return isinstance(module, ir.Instance) and module.name == target.name


def _holds(c: Body, module: ir.Layer) -> bool:
    """Whether a layer is made of others, one of which may be of the type."""
    rule = module.call.entry.rule
    return rule is not None and rule.state is not None and any("." in n for n in _state(c, module))


def _state(c: Body, module: ir.Layer) -> dict[str, Any]:
    """The parameters of a layer, computed once: every rule asks for them."""
    known = c.session.states.get(id(module))
    if known is not None:
        return known[1]
    call, rule = module.call, module.call.entry.rule
    state: dict[str, Any] = {}
    if rule is not None and rule.state is not None:
        given = {n: a.value for n, a in call.args.items()}
        state = dict(rule.state({p.name: p.default for p in call.entry.params} | given))
    c.session.states[id(module)] = module, state
    return state


def _shape(
    c: Body, module: ir.Child, attribute: str, target: Entry | Definition | None = None
) -> tuple[Any, ...] | None:
    """The shape of a parameter, also of one in a layer that is made of others, if it is not the layer that is meant."""
    if isinstance(module, ir.Instance):
        held = next((h for h in module.held if h.name == attribute), None)
        return held.type.shape if held is not None else None
    if not isinstance(module, ir.Layer):
        return None
    state = _state(c, module)
    if module.call.entry is target or (isinstance(target, Entry) and _has_none(target)):
        return state.get(attribute) if module.call.entry is target else None
    return state.get(attribute) or next((sh for n, sh in state.items() if n.endswith(f".{attribute}")), None)


def _has_none(entry: Entry) -> bool:
    """Whether no layer of a type has parameters."""
    return entry.rule is None or entry.rule.state is None


def _path_rule(c: Body, rule: s.Rule, entry: Entry) -> ir.FillRule | None:
    pattern = rule.selector.text
    if len(pattern) > PATTERN_LENGTH:
        c.report.add("E0237", f"a path has at most {PATTERN_LENGTH} characters", rule.selector.span)
        return None
    found: list[tuple[str, tuple[Any, ...]]] = []
    if c.rec is None:
        from fnmatch import fnmatchcase

        from netc.summary import entries

        every = [(w.path, w.shape) for w in entries(tuple(c.held), tuple(c.children)) if w.trained]
        found = [(p, sh) for p, sh in every if fnmatchcase(p, pattern)]
        if not found:
            near = nearest(pattern, [p for p, _ in every])
            c.report.add("E0237", f'"{pattern}" matches no parameter', rule.selector.span,
                         help=f'did you mean "{near}"?' if near else None)  # fmt: skip
            return None
    call = fill_call(c, entry, rule.value, found[0][1] if found else None, c.code)
    top = next((m for m in c.children if m.label == pattern.partition(".")[0]), None)
    model = isinstance(top, ir.Layer) and top.call.entry.rule is not None and top.call.entry.rule.probed
    return None if call is None else ir.FillRule(None, pattern, call, by_name=model)
