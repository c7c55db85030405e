"""The constructor of a generated class: its statements as lines.

In: the `ir.Build` statements of a class. Out: lines that register children, parameters and buffers and fill them, as a
person would write them: one expression for an nn.Sequential where nothing has to be computed between its children,
augmented assignments, one walk over the modules for all initialisers of a block.
"""

from __future__ import annotations

import re
from keyword import iskeyword
from typing import TYPE_CHECKING

from netc import ir
from netc.backends.blocks import branches, indented, loop_header
from netc.backends.expression_text import expression, from_code
from netc.backends.layout import Text, call, fits, join
from netc.identifiers import python_name
from netc.literals import literal
from netc.node import replace

if TYPE_CHECKING:
    from collections.abc import Iterator


def _is_attribute(label: str) -> bool:
    """Whether a child of this label can be written as an attribute."""
    return label.isascii() and label.isidentifier() and not iskeyword(label)


def build_lines(build: tuple[ir.Build, ...], indent: int) -> Iterator[str]:
    """The lines of a constructor."""
    for statement in build:
        yield from _statement(statement, indent)


def _statement(statement: ir.Build, indent: int) -> Iterator[str]:
    match statement:
        case ir.Let():
            yield from _augmented(statement, indent)
        case ir.Assign():
            target = _target(statement.target)
            yield from expression(statement.value, lambda n: python_name(str(n)), str).lines(indent, f"{target} = ")
        case ir.Store():
            yield f"self.{statement.attribute} = {statement.code}"
        case ir.Absent():
            yield f"self.{statement.label} = None"
        case ir.Refuse():
            yield f'raise ValueError("{statement.message}")'
        case ir.Register():
            yield from _register(statement, indent)
        case ir.Replace():
            yield from _made(statement.made).lines(indent, f"{statement.target} = ")
        case ir.Remove():
            name = statement.name
            yield f"del {statement.target}" if name is None else f"delattr({statement.target}, {name})"
        case ir.Hold():
            yield from _held(statement, indent)
        case ir.Fill():
            yield from _fill(statement, indent)
        case ir.BuildIf():
            then, otherwise = (list(build_lines(b, indent + 4)) for b in (statement.then, statement.otherwise))
            yield from branches(statement.condition, then, otherwise)
        case ir.BuildFor():
            targets, iterable = loop_header(statement, repr(statement.body))
            yield f"for {targets} in {iterable}:"
            yield from indented(iter(list(build_lines(statement.body, indent + 4)) or ["pass"]))


def _target(target: ir.Target) -> str:
    if isinstance(target, tuple):
        return ", ".join(f"({_target(t)})" if isinstance(t, tuple) else _target(t) for t in target)
    return python_name(target)


def _augmented(let: ir.Let, indent: int) -> Iterator[str]:
    """`channels += growth` for `channels = channels + growth`."""
    ends = re.fullmatch(rf"([\w.]+(?: \* [\w.]+)*) \+ {re.escape(let.target)}", let.code)
    if ends:
        yield f"{let.target} += {ends.group(1)}"
        return
    match = re.fullmatch(rf"{re.escape(let.target)} ([+*-]|//) ([\w.]+(?: \* [\w.]+)*)", let.code)
    if match and not (match.group(1) != "+" and " * " in match.group(2)):
        yield f"{let.target} {match.group(1)}= {match.group(2)}"
        return
    yield from from_code(let.code).lines(indent, f"{let.target} = ")


def _label(statement: ir.Register) -> str | None:
    """The attribute of a child that can be written as one."""
    label = statement.label
    plain_label = label is not None and label[:1] == '"' and _is_attribute(label[1:-1])
    return label[1:-1] if plain_label and label is not None else None


def _register(statement: ir.Register, indent: int) -> Iterator[str]:
    """The lines that build a child and register it."""
    owner, made, attribute = statement.owner, statement.made, _label(statement)
    if isinstance(made, ir.Series):
        flat = series_text(made, indent)
        if flat is None:
            yield f"{made.owner} = nn.Sequential()"
            yield from build_lines(made.body, indent)
            if statement.label is None:
                yield f"{owner}.append({made.owner})"
            elif made.owner != f"{owner}.{attribute}":
                yield f"{owner}.add_module({statement.label}, {made.owner})"
            return
        text = flat
    else:
        text = _made(made)
    if statement.label is None:
        yield from call(f"{owner}.append(", [text], ")").lines(indent, "")
    elif owner == "self" and attribute is not None:
        yield from text.lines(indent, f"self.{attribute} = ")
    else:
        yield from call(f"{owner}.add_module(", [Text(statement.label), text], ")").lines(indent, "")


def series_text(series: ir.Series, indent: int) -> Text | None:
    """An nn.Sequential as one expression, where its children are unnamed and nothing has to be computed between."""
    items: list[Text] = []
    for statement in series.body:
        if isinstance(statement, ir.Register) and statement.label is None:
            inner = series_text(statement.made, indent) if isinstance(statement.made, ir.Series) else None
            text = inner if isinstance(statement.made, ir.Series) else _made(statement.made)
            if text is None or f"{series.owner}[" in text.flat:
                return None
            items.append(text)
        elif isinstance(statement, ir.BuildFor) and len(series.body) == 1 and len(statement.body) == 1:
            only = statement.body[0]
            if not isinstance(only, ir.Register) or only.label is not None or isinstance(only.made, ir.Series):
                return None
            targets, iterable = loop_header(statement, repr(statement.body))
            made = _made(only.made).flat
            flat = f"nn.Sequential(*({made} for {targets} in {iterable}))"
            return Text(flat) if fits(f"self.{series.owner.rpartition('.')[2]} = {flat}", indent) else None
        else:
            return None
    return call("nn.Sequential(", items, ")", broken=len(items) > 1)


def _made(made: ir.Made) -> Text:
    """The Python that builds a child."""
    if isinstance(made, ir.Code):
        return from_code(made.code)
    assert isinstance(made, ir.New)
    return call(f"{made.callee}(", [join("" if n is None else f"{n}=", _made(a)) for n, a in made.arguments], ")")


def _held(statement: ir.Hold, indent: int) -> Iterator[str]:
    """A parameter with its initialiser, or a buffer."""
    if not statement.trained:
        assert statement.value is not None
        value = expression(statement.value, lambda n: str(n), str)
        extra = [] if statement.persistent else [Text("persistent=False")]
        yield from call("self.register_buffer(", [Text(f'"{statement.name}"'), value, *extra], ")").lines(indent, "")
        return
    fill = statement.initialiser
    kind = fill.callee if fill is not None else ""
    made = {"nn.init.zeros_": "torch.zeros", "nn.init.ones_": "torch.ones"}.get(kind, "torch.empty")
    shape = statement.shape or "()"
    yield from call("nn.Parameter(", [Text(f"{made}({shape})")], ")").lines(indent, f"self.{statement.name} = ")
    if fill is not None and made == "torch.empty":
        yield from _made(replace(fill, arguments=((None, ir.Code(f"self.{statement.name}")), *fill.arguments))).lines(
            indent, ""
        )


def _fill(statement: ir.Fill, indent: int) -> Iterator[str]:
    """One walk over the modules; of several rules for one type, each parameter has its own line."""
    kinds: dict[str, list[ir.FillRule]] = {}
    for rule in statement.rules:
        if rule.kind is not None:
            kinds.setdefault(rule.kind, []).append(rule)
    if kinds and statement.kept:
        yield from _kept(statement.kept, indent)
    if kinds:
        yield "for m in self.modules():"
    if kinds and statement.kept:
        yield "    if m in kept:"
        yield "        continue"
    bodies: dict[tuple[str, ...], list[str]] = {}
    for kind, rules in kinds.items():
        lines: list[str] = []
        for rule in rules:
            lines += _fill_attribute(rule, indent + 8)
        bodies.setdefault(tuple(lines), []).append(kind)
    for i, (lines_, names) in enumerate(bodies.items()):
        shown = names[0] if len(names) == 1 else f"({', '.join(names)})"
        yield f"    {'if' if i == 0 else 'elif'} isinstance(m, {shown}):"
        yield from (f"        {line}" for line in lines_)
    for rule in statement.rules:
        if rule.kind is None:
            yield from _fill_path(rule, indent)


def _kept(classes: tuple[str, ...], indent: int) -> Iterator[str]:
    """The modules whose weights stay as they are: all parts of a pretrained model or Python layer."""
    shown = Text(classes[0]) if len(classes) == 1 else call("(", [Text(name) for name in classes], ")")
    yield "kept: set[nn.Module] = set()"
    yield "for part in self.modules():"
    lines = list(call("isinstance(", [Text("part"), shown], "):").lines(indent + 4, "if "))
    yield from (f"    {line}" for line in lines)
    yield "        kept.update(part.modules())"


def _fill_attribute(rule: ir.FillRule, indent: int) -> list[str]:
    """The lines that fill one parameter of the module `m`."""
    if rule.optional:
        inner = _fill_attribute(rule._replace(optional=False), indent + 4)
        return [f"if m.{rule.attribute} is not None:", *(f"    {line}" for line in inner)]
    lines: list[str] = []
    calls = [*((path, call_) for path, call_ in rule.instead), (None, rule.call)]
    for i, (path, new) in enumerate(calls):
        deeper = 4 if rule.instead else 0
        inner = list(_made(_filled(new, f"m.{rule.attribute}")).lines(indent + deeper, ""))
        if rule.instead:
            lines.append("else:" if path is None else f"{'el' * (i > 0)}if m is {_path_code(path)}:")
        lines += [" " * deeper + line for line in inner]
    return lines


def _path_code(path: str) -> str:
    """The Python of a child's path: `self.classifier[1]`."""
    parts = path.split(".")
    if all(_is_attribute(p) or p.isdigit() for p in parts):
        return "self" + "".join(f"[{p}]" if p.isdigit() else f".{p}" for p in parts)
    return f"self.get_submodule({literal(path)})"


def _filled(new: ir.New, what: str) -> ir.New:
    return replace(new, arguments=((None, ir.Code(what)), *new.arguments))


def _fill_path(rule: ir.FillRule, indent: int) -> Iterator[str]:
    path = _path_code(rule.attribute)
    if rule.by_name and not set(rule.attribute) & set("*?["):
        top, _, rest = rule.attribute.partition(".")
        path = f"{_path_code(top)}.get_parameter({literal(rest)})"
        yield from _made(_filled(rule.call, path)).lines(indent, "")
        return
    if not path.endswith(")"):
        yield from _made(_filled(rule.call, path)).lines(indent, "")
        return
    read = set(re.findall(r"\w+", _made(rule.call).flat))
    name, parameter = ("path", "parameter") if not read & {"path", "parameter"} else ("name", "p")
    yield f"for {name}, {parameter} in self.named_parameters():"
    yield f"    if fnmatch({name}, {literal(rule.attribute)}):"
    yield from (f"        {line}" for line in _made(_filled(rule.call, parameter)).lines(indent + 8, ""))
