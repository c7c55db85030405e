"""The parser's actions: for each rule of the grammar, the node that its children make.

In: the children of one rule, tokens and nodes in their order, and the span of its text. Out: a node of `syntax`. The
methods bear the names of the rules in grammar/net.lark.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from netc import limits
from netc import syntax as s
from netc.token import Token

if TYPE_CHECKING:
    from netc.diagnostics import Report
    from netc.source import Span

Children = list[Any]


class _Settings(NamedTuple):
    entries: tuple[s.Entry, ...]


class _Arguments(NamedTuple):
    items: tuple[s.Argument, ...]


class _Params(NamedTuple):
    items: tuple[s.Param, ...]


class _Edits(NamedTuple):
    items: tuple[s.Edit, ...]


def _nodes(children: Children) -> Children:
    return [c for c in children if not isinstance(c, Token)]


def _string(token: Token) -> s.String:
    return s.String(token.text[1:-1], token.span)


class Builder:
    """One method for each rule; `report` takes what the grammar can't forbid."""

    def __init__(self, report: Report) -> None:
        self.report = report

    # --- a file ------------------------------------------------------------------------------------------------------

    def start(self, children: Children, span: Span) -> s.File:
        return s.File(tuple(_nodes(children)), span)

    def import_(self, children: Children, span: Span) -> s.Import:
        return s.Import(_string(children[1]), span)

    def use(self, children: Children, span: Span) -> s.Use:
        return s.Use(_string(children[1]), span)

    def module(self, children: Children, span: Span) -> s.Module:
        return s.Module(*self._definition(children), span)

    def network(self, children: Children, span: Span) -> s.Network:
        return s.Network(*self._definition(children), span)

    def _definition(self, children: Children) -> tuple[s.Ident, tuple[s.Param, ...], s.Body]:
        name = s.Ident(children[1].text, children[1].span)
        params = children[2].items if isinstance(children[2], _Params) else ()
        return name, params, children[-1]

    def variant(self, children: Children, span: Span) -> s.Variant:
        params = children[2].items if isinstance(children[2], _Params) else ()
        return s.Variant(s.Ident(children[1].text, children[1].span), params, children[-1], span)

    def constant(self, children: Children, span: Span) -> s.Constant:
        params = children[1].items if isinstance(children[1], _Params) else None
        return s.Constant(children[0], params, children[-1], span)

    def section(self, children: Children, span: Span) -> s.Section:
        return s.Section(children[0], children[1].entries, span)

    def settings(self, children: Children, span: Span) -> _Settings:
        return _Settings(tuple(_nodes(children)))

    def setting(self, children: Children, span: Span) -> s.Setting:
        return s.Setting(children[0], children[2], span)

    def group(self, children: Children, span: Span) -> s.Group:
        return s.Group(children[0], children[1].entries, span)

    def key(self, children: Children, span: Span) -> s.Ident:
        (key,) = children
        return s.Ident(key.text[1:-1], span) if isinstance(key, Token) else key

    def params(self, children: Children, span: Span) -> _Params:
        return _Params(tuple(_nodes(children)))

    def param(self, children: Children, span: Span) -> s.Param:
        return s.Param(children[0], children[2] if len(children) > 1 else None, span)

    # --- statements --------------------------------------------------------------------------------------------------

    def body(self, children: Children, span: Span) -> s.Body:
        return s.Body(tuple(_nodes(children)), span)

    def flow(self, children: Children, span: Span) -> s.Flow:
        return s.Flow(children[0], span)

    def bind(self, children: Children, span: Span) -> s.Bind:
        *targets, chain = _nodes(children)
        return s.Bind(tuple(targets), chain, span)

    def input(self, children: Children, span: Span) -> s.Input:
        dtype = s.Ident(children[4].text, children[4].span) if len(children) > 4 else None
        return s.Input(children[1], children[3], dtype, span)

    def output(self, children: Children, span: Span) -> s.Output:
        return s.Output(children[1], children[3], span)

    def parameter(self, children: Children, span: Span) -> s.Parameter:
        return s.Parameter(children[1], children[2], children[4] if len(children) > 4 else None, span)

    def buffer(self, children: Children, span: Span) -> s.Buffer:
        arguments = children[1].items if isinstance(children[1], _Arguments) else ()
        return s.Buffer(arguments, children[-3], children[-1], span)

    def declare(self, children: Children, span: Span) -> s.Declare:
        return s.Declare(children[1], children[3], span)

    def cond(self, children: Children, span: Span) -> s.If:
        nodes = _nodes(children)
        otherwise = nodes.pop() if len(nodes) % 2 else None
        if len(nodes) > 2 * limits.CHAIN_LINKS:
            message = f"an `if` has at most {limits.CHAIN_LINKS} branches, and this has {len(nodes) // 2}"
            self.report.add("E0114", message, nodes[2 * limits.CHAIN_LINKS].span, "one too many",
                            help="take the values from a list, as in `widths[i]`")  # fmt: skip
            del nodes[2 * limits.CHAIN_LINKS :]
        return s.If(tuple(zip(nodes[::2], nodes[1::2], strict=True)), otherwise, span)

    def loop(self, children: Children, span: Span) -> s.For:
        *targets, iterable, body = _nodes(children)
        return s.For(tuple(targets), iterable, body, span)

    def target(self, children: Children, span: Span) -> s.Target:
        nodes = _nodes(children)
        return nodes[0] if len(children) == 1 else s.TargetTuple(tuple(nodes), span)

    def init(self, children: Children, span: Span) -> s.Init:
        return s.Init(tuple(_nodes(children)), span)

    def rule(self, children: Children, span: Span) -> s.Rule:
        return s.Rule(children[0], children[2], span)

    def selector(self, children: Children, span: Span) -> s.Selector:
        first = children[0]
        if isinstance(first, Token):
            return s.Selector(first.text[1:-1], True, span)
        return s.Selector(".".join(c.text for c in children[::2]), False, span)

    # --- flow --------------------------------------------------------------------------------------------------------

    def chain(self, children: Children, span: Span) -> s.Chain:
        links = tuple(_nodes(children))
        if len(links) > limits.CHAIN_LINKS:
            at = links[limits.CHAIN_LINKS].span
            message = f"a chain of {len(links)} links is longer than {limits.CHAIN_LINKS}"
            self.report.add("E0114", message, at, "from here on", help="begin a new line without `->` here")
            links = links[: limits.CHAIN_LINKS]
        return s.Chain(links, span)

    def link(self, children: Children, span: Span) -> s.Link:
        return s.Link(children[0] if len(children) > 1 else None, children[-1], span)

    def label(self, children: Children, span: Span) -> s.Ident | s.String:
        (label,) = children
        return _string(label) if isinstance(label, Token) else label

    def step(self, children: Children, span: Span) -> s.Step:
        step: s.Step = children[0]
        return step

    def edited(self, children: Children, span: Span) -> s.Edited:
        return s.Edited(children[0], children[1].items, span)

    def seq(self, children: Children, span: Span) -> s.Seq:
        return s.Seq(children[1], span)

    def inline(self, children: Children, span: Span) -> s.Inline:
        return s.Inline(children[1], span)

    def edits(self, children: Children, span: Span) -> _Edits:
        return _Edits(tuple(_nodes(children)))

    def replace(self, children: Children, span: Span) -> s.Edit:
        return s.Edit(children[0].text, _string(children[1]), children[3], span)

    append = replace

    def remove(self, children: Children, span: Span) -> s.Edit:
        return s.Edit("remove", _string(children[1]), None, span)

    def edit_group(self, children: Children, span: Span) -> s.Edit:
        return s.Edit("group", _string(children[0]), children[1].entries, span)

    # --- expressions -------------------------------------------------------------------------------------------------

    def ternary(self, children: Children, span: Span) -> s.Ternary:
        then, condition, otherwise = _nodes(children)
        return s.Ternary(condition, then, otherwise, span)

    def binary(self, children: Children, span: Span) -> s.Binary:
        left, op, right = children
        return s.Binary(op.text, left, right, span)

    def boolean(self, children: Children, span: Span) -> s.Boolean:
        left, op, right = children
        return s.Boolean(op.text, left, right, span)

    def unary(self, children: Children, span: Span) -> s.Unary:
        return s.Unary(children[0].text, children[1], span)

    def compare(self, children: Children, span: Span) -> s.Compare:
        ops: list[str] = []
        previous: object = None
        for child in children:
            if isinstance(child, Token):
                if isinstance(previous, Token):  # `not in`, `is not`
                    ops[-1] += f" {child.text}"
                else:
                    ops.append(child.text)
            previous = child
        return s.Compare(tuple(ops), tuple(_nodes(children)), span)

    def attribute(self, children: Children, span: Span) -> s.Attribute:
        return s.Attribute(children[0], children[2], span)

    def call(self, children: Children, span: Span) -> s.Call:
        return s.Call(children[0], children[1].items, span)

    def index(self, children: Children, span: Span) -> s.Index:
        value, *subscripts = _nodes(children)
        return s.Index(value, tuple(subscripts), span)

    def name_expr(self, children: Children, span: Span) -> s.Name:
        return s.Name(children[0].text, span)

    def number(self, children: Children, span: Span) -> s.Number:
        text = children[0].text.replace("_", "")
        whole = text.isdigit()
        if whole and len(text) > limits.DIGITS:
            self.report.add("E0110", f"a number of {len(text)} digits is too large", span, help="numbers end at 2**63")
            return s.Number(None, span)
        return s.Number(int(text) if whole else float(text), span)

    def string(self, children: Children, span: Span) -> s.String:
        return _string(children[0])

    def literal(self, children: Children, span: Span) -> s.Literal:
        return s.Literal({"True": True, "False": False, "None": None}[children[0].text], span)

    def paren(self, children: Children, span: Span) -> s.Paren:
        return s.Paren(children[1], span)

    def tuple_(self, children: Children, span: Span) -> s.Tuple:
        return s.Tuple(tuple(_nodes(children)), span)

    def list_(self, children: Children, span: Span) -> s.List:
        return s.List(tuple(_nodes(children)), span)

    def comprehension(self, children: Children, span: Span) -> s.Comprehension:
        nodes = _nodes(children)
        condition = nodes.pop() if any(isinstance(c, Token) and c.type == "IF" for c in children) else None
        item, *targets, iterable = nodes
        return s.Comprehension(item, tuple(targets), iterable, condition, span)

    def arguments(self, children: Children, span: Span) -> _Arguments:
        return _Arguments(tuple(_nodes(children)))

    def positional(self, children: Children, span: Span) -> s.Argument:
        return s.Argument(None, children[0], span)

    def keyword(self, children: Children, span: Span) -> s.Argument:
        return s.Argument(children[0], children[2], span)

    def subscript(self, children: Children, span: Span) -> s.Expr:
        expr: s.Expr = children[0]
        return expr

    def ellipsis(self, children: Children, span: Span) -> s.Dots:
        return s.Dots(span)

    def slice_(self, children: Children, span: Span) -> s.Slice:
        parts: list[s.Expr | None] = [None]
        for child in children:
            if isinstance(child, Token):
                parts.append(None)
            else:
                parts[-1] = child
        return s.Slice(parts[0], parts[1], parts[2] if len(parts) > 2 else None, span)

    def bound(self, children: Children, span: Span) -> s.Expr:
        expr: s.Expr = children[0]
        return expr

    def name(self, children: Children, span: Span) -> s.Ident:
        return s.Ident(children[0].text, span)
