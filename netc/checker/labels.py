"""Labels: the names of children, which are the names of the state dict.

In: a label as it is written, `conv1` or `"layer{i + 1}"`. Out: its text in this instance and the Python that gives it.
"""

from __future__ import annotations

import re
from keyword import iskeyword
from typing import TYPE_CHECKING, Any, NamedTuple

from netc import syntax as s
from netc.checker.expressions import ERROR, kind_of
from netc.checker.python_text import quoted
from netc.diagnostics import Report
from netc.identifiers import MODULE_ATTRIBUTES, valid_label
from netc.parser import parse_expression
from netc.source import Span

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netc.checker.body import Body

_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")


class Named(NamedTuple):
    """text: the label in this instance; code: the Python string that gives it, None where a seq numbers the child."""

    text: str
    code: str | None
    span: Span

    def access(self, owner: str) -> str:
        """The Python that names the child of an owner."""
        if self.code is None:
            return f"{owner}[-1]"
        if self.code == f'"{self.text}"' and is_attribute(self.text):
            return f"{owner}.{self.text}"
        return f"{owner}.get_submodule({self.code})"


def is_attribute(label: str) -> bool:
    """Whether a child of this label can be written as an attribute."""
    return label.isascii() and label.isidentifier() and not iskeyword(label)


def name_of(c: Body, label: s.Ident | s.String) -> Named | None:
    """A label with its text; None with the reason in the report where it can't be one."""
    text = label.text if isinstance(label, s.Ident) else label.value
    if isinstance(label, s.Ident) or "{" not in text:
        return Named(text, quoted(text), label.span) if valid_label(text, label.span, c.report) else None
    parts = _parts(c, label)
    if parts is None:
        return None
    done = "".join(p if isinstance(p, str) else str(p[0]) for p in parts)
    if not valid_label(done, label.span, c.report):
        return None
    return Named(done, _code(parts) if c.rec is not None else "", label.span)


Parts = list["str | tuple[Any, str]"]


def _parts(c: Body, label: s.String) -> Parts | None:
    """The parts of a computed label: texts, and values with their code."""
    out: Parts = []
    end = 0
    for match in _PART.finditer(label.value):
        out.append(label.value[end : match.start()])
        end = match.end()
        if match.group(1) is None:
            out.append(match.group()[0])
            continue
        value, code = _value(c, match.group(1), label.span)
        if value is ERROR:
            return None
        out.append((value, code))
    out.append(label.value[end:])
    return out


def _value(c: Body, text: str, span: Span) -> tuple[Any, str]:
    """The value of an expression in a label, and its Python."""
    expr = _parsed(text)
    if expr is None:
        c.report.add("E0232", f"`{{{text}}}` in a label doesn't parse", span, help='write it as in `"layer{i + 1}"`')
        return ERROR, ""
    expr = _at(expr, span)
    value = c.evaluate(expr)
    shown = value if c.rec is None else c.rec.witness(value)
    if value is not ERROR and (not isinstance(shown, (int, str)) or isinstance(shown, bool)):
        c.report.add("E0232", f"`{{{text}}}` in a label is {_kind(value)}, not an integer or a string", span)
        return ERROR, ""
    return (ERROR, "") if value is ERROR else (shown, c.forward_code(expr, value))


def _kind(value: Any) -> str:
    return "a fraction" if isinstance(value, float) else kind_of(value)


_expressions: dict[str, s.Expr | None] = {}


def _parsed(text: str) -> s.Expr | None:
    if text not in _expressions:
        report = Report()
        chain = parse_expression(text, report)
        step = chain.links[0].step if chain is not None and len(chain.links) == 1 and not report.failed else None
        plain = step is not None and chain is not None and chain.links[0].label is None
        _expressions[text] = step if plain and not isinstance(step, (s.Seq, s.Inline, s.Edited)) else None
    return _expressions[text]


def _at(node: Any, span: Span) -> Any:
    """The node with every span in it at the place of the label."""
    if isinstance(node, Span):
        return span
    if isinstance(node, tuple):
        items = [_at(item, span) for item in node]
        return type(node)(*items) if hasattr(node, "_fields") else tuple(items)
    return node


def _code(parts: Parts) -> str:
    """A computed label as an f-string, or with `format` where quotes or backslashes stand in the expressions."""
    braced = [p.replace("{", "{{").replace("}", "}}") if isinstance(p, str) else p for p in parts]
    codes = [p[1] for p in braced if not isinstance(p, str)]
    if any(q in code for code in codes for q in "\"'\\{}"):
        text = "".join(p if isinstance(p, str) else "{}" for p in braced)
        return f"{quoted(text)}.format({', '.join(codes)})"
    text = quoted("".join(p if isinstance(p, str) else f"\0{i}\0" for i, p in enumerate(braced)))
    for i, part in enumerate(braced):
        if not isinstance(part, str):
            text = text.replace(f"\\x00{i}\\x00", "{" + part[1] + "}")
    return f"f{text}"


def free_label(c: Body, layer: str, others: Iterable[str] = ()) -> str:
    """A label for a layer that has none: its name in lower case, numbered where that is taken."""
    base = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", layer).lower()
    taken = {*c.labels, *c.env, *MODULE_ATTRIBUTES, *others}
    return base if base not in taken else next(f"{base}{i}" for i in range(2, 10**6) if f"{base}{i}" not in taken)
