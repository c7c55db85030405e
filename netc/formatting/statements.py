"""Statements, definitions and settings as pieces, and the blocks that hold them.

In: the tree, and what its author wrote beyond it. Out: a `Block` for the file, whose items are comments and statements;
a statement is a head, an operator, and links. Which of them share a line is known here only where the author decided
it; the rest is left to `layout`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from netc import syntax as s
from netc.formatting.pieces import Expressions, Group, flat, split, targets, texts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from netc.formatting.original import Bare
    from netc.formatting.pieces import Pieces
    from netc.source import Span


class Link(NamedTuple):
    """A link of a chain, or the whole of what is no chain.

    `plain`: a value that a chain may begin with. `begins`: its author began a line with the arrow before it.
    """

    pieces: Pieces
    flat: str | None
    leading: tuple[str, ...]
    trailing: tuple[str, ...]
    plain: bool = False
    begins: bool = False


class Statement(NamedTuple):
    """`head`, `operator`, links: `train`, ` = `, what it is set to. `aligned`: the operators of neighbours are."""

    head: str
    operator: str
    links: tuple[Link, ...]
    aligned: bool
    leading: tuple[str, ...]
    flat: str | None

    @property
    def alone(self) -> str | None:
        """Its text on one line, where it has no comments and so may share one."""
        return None if self.leading else self.flat


class Item(NamedTuple):
    """A line of a block: a comment of its own, or a statement with what stands behind it.

    `blank`: an empty line stands before it; `joined`: it stands on the line of the statement before, behind a `;`.
    """

    statement: Statement | None
    comment: tuple[str, ...]
    blank: bool
    joined: bool


class Block(NamedTuple):
    """What stands in braces, or the file. `flat` is its text on one line, where its author wrote it on one."""

    items: tuple[Item, ...]
    opening: tuple[str, ...]
    flat: str | None

    @property
    def empty(self) -> bool:
        return not self.items and not self.opening


class Statements:
    """Makes blocks and statements of a tree."""

    def __init__(self, original: Bare) -> None:
        self.original = original
        self.expressions = Expressions(original)

    def file(self, file: s.File, end: int) -> Block:
        """The whole file, of a text with `end` characters."""
        opening, items = self._items(file.definitions, 0, end, True)
        assert not opening
        return Block(items, (), None)

    # --- blocks ------------------------------------------------------------------------------------------------------

    def _block(self, nodes: Sequence[Any], start: int, end: int) -> Block:
        """The block of these statements between the offsets of its braces, the closing one included."""
        opening, items = self._items(nodes, start + 1, end - 1, False)
        if not items and not opening:
            return Block((), (), "{}")
        text = None
        if not opening and self.original.one_line(start, end):
            flats = [i.statement.alone if i.statement is not None else None for i in items]
            if None not in flats:
                text = f"{{ {'; '.join(flats)} }}"  # type: ignore[arg-type]
        return Block(items, opening, text)

    def _items(
        self, nodes: Sequence[Any], start: int, end: int, is_file: bool
    ) -> tuple[tuple[str, ...], tuple[Item, ...]]:
        """The comment behind the opening brace, and the items."""
        out: list[Item] = []
        opening: tuple[str, ...] = ()
        at = start
        for i, node in enumerate([*nodes, None]):
            until = end if node is None else node.span.start
            gap = self.original.comments(at, until)
            behind, _ = split(gap)
            if behind and is_file and i == 0:
                behind = ()
            elif behind and i == 0:
                opening = behind
            elif behind:
                out[-1] = out[-1]._replace(comment=behind)
            at = gap[len(behind) - 1].end if behind else at
            for comment in gap[len(behind) :]:
                out.append(Item(None, (comment.text,), bool(out) and self.original.blank(at, comment.start), False))
                at = comment.end
            if node is not None:
                joined = i > 0 and not gap and self.original.one_line(at, until)
                out.append(Item(self._statement(node), (), bool(out) and self.original.blank(at, until), joined))
                at = node.span.end
        return opening, tuple(out)

    def _body(self, body: s.Body) -> Block:
        return self._block(body.statements, *body.span)

    def _entries(self, entries: Sequence[Any], behind: Span, end: int) -> Block:
        """The block of what stands in the braces behind a span."""
        return self._block(entries, self.original.find("{", behind.end), end)

    # --- statements --------------------------------------------------------------------------------------------------

    def _statement(self, node: Any) -> Statement:
        return _METHODS[type(node)](self, node)

    def _chain(self, head: str, operator: str, chain: s.Chain, *, aligned: bool = False) -> Statement:
        links: list[Link] = []
        before: tuple[str, ...] = ()
        end = chain.span.start
        for i, link in enumerate(chain.links):
            pieces, hoisted = self._link(link)
            begins = bool(hoisted) or self.original.begins_line(end, link.span.start)
            end = link.span.end
            until = chain.links[i + 1].span.start if i + 1 < len(chain.links) else link.span.end
            trailing, following = split(self.original.comments(link.span.end, until))
            plain = link.label is None and _is_plain(link.step)
            links.append(Link(pieces, flat(pieces), before + hoisted, trailing, plain, begins))
            before = following
        return _made(head, operator, links, aligned=aligned)

    def _link(self, link: s.Link) -> tuple[Pieces, tuple[str, ...]]:
        label = ""
        if link.label is not None:
            named = isinstance(link.label, s.Ident)
            label = (link.label.text if named else self.original.string(link.label)) + ": "  # type: ignore[union-attr,arg-type]
        step = link.step
        hoisted: tuple[str, ...] = ()
        pieces: Pieces
        if isinstance(step, s.Seq | s.Inline):
            pieces = [f"{label}{'seq' if isinstance(step, s.Seq) else 'module'} ", self._body(step.body)]
        elif isinstance(step, s.Edited):
            pieces, hoisted = self.expressions.unit(step.value)
            pieces = [label, *pieces, " ", self._entries(step.edits, step.value.span, step.span.end)]
        else:
            pieces, hoisted = self.expressions.unit(step)
            pieces = [label, *pieces] if label else pieces
        return pieces, hoisted

    def _expression(self, head: str, operator: str, node: s.Expr, *, aligned: bool = False) -> Statement:
        pieces, hoisted = self.expressions.unit(node)
        return _made(head, operator, [Link(pieces, flat(pieces), (), ())], hoisted, aligned=aligned)

    def _flow(self, node: s.Flow) -> Statement:
        return self._chain("", "", node.chain)

    def _bind(self, node: s.Bind) -> Statement:
        made = self._chain(targets(node.targets), " = ", node.chain)
        return self._with_leading(made, node.span.start, node.chain.span.start)

    def _with_leading(self, made: Statement, start: int, end: int) -> Statement:
        """The statement with the comments between two offsets before it."""
        found = texts(self.original.comments(start, end))
        return made._replace(leading=found + made.leading) if found else made

    def _input(self, node: s.Input) -> Statement:
        pieces, hoisted = self.expressions.unit(node.shape)
        pieces = [f"input {node.name.text}: ", *pieces, *([f" {node.dtype.text}"] if node.dtype is not None else [])]
        return _made("", "", [Link(pieces, flat(pieces), (), ())], hoisted)

    def _output(self, node: s.Output) -> Statement:
        return self._chain(f"output {node.name.text}", " = ", node.chain)

    def _parameter(self, node: s.Parameter) -> Statement:
        def make(expressions: Expressions) -> tuple[Pieces, tuple[str, ...]]:
            pieces, hoisted = expressions.unit(node.shape)
            pieces = [f"param {node.name.text}", *pieces]
            if node.value is not None:
                value, more = expressions.unit(node.value)
                pieces, hoisted = [*pieces, " = ", *value], hoisted + more
            return pieces, hoisted

        return self._whole(node.span, make)

    def _buffer(self, node: s.Buffer) -> Statement:
        def make(expressions: Expressions) -> tuple[Pieces, tuple[str, ...]]:
            pieces: Pieces = ["buffer"]
            if node.arguments:
                start = self.original.find("(", node.span.start)
                end = self.original.find_last(")", node.arguments[-1].span.end, node.name.span.start) + 1
                pieces.append(expressions.group("()", node.arguments, start, end, comma=True))
            value, hoisted = expressions.unit(node.value)
            return [*pieces, f" {node.name.text} = ", *value], hoisted

        return self._whole(node.span, make)

    def _whole(self, span: Span, make: Callable[[Expressions], tuple[Pieces, tuple[str, ...]]]) -> Statement:
        """A statement of several expressions; where a comment of one must stand before it, so must all, in order."""
        pieces, hoisted = make(self.expressions)
        if hoisted:
            pieces, hoisted = make(self.expressions.muted)[0], texts(self.original.comments(*span))
        return _made("", "", [Link(pieces, flat(pieces), (), ())], hoisted)

    def _declare(self, node: s.Declare) -> Statement:
        return self._expression(f"layer {node.name.text}", ": ", node.step)

    def _if(self, node: s.If) -> Statement:
        """A link for each branch; comments before `elif` and `else` are those before the link."""
        links: list[Link] = []
        before: tuple[str, ...] = ()
        branches = [*node.branches, *([(None, node.otherwise)] if node.otherwise is not None else [])]
        for i, (condition, body) in enumerate(branches):
            pieces: Pieces = ["else "]
            hoisted: tuple[str, ...] = ()
            if condition is not None:
                pieces, hoisted = self.expressions.unit(condition)
                pieces = ["elif " if i else "if ", *pieces, " "]
            pieces = [*pieces, self._body(body)]
            trailing: tuple[str, ...] = ()
            following: tuple[str, ...] = ()
            if i + 1 < len(branches):
                after, until = branches[i + 1]
                end = (until if after is None else after).span.start
                trailing, following = split(self.original.comments(body.span.end, end))
            links.append(Link(pieces, flat(pieces), before + hoisted, trailing))
            before = following
        return _made("", "if", links)

    def _for(self, node: s.For) -> Statement:
        pieces, hoisted = self.expressions.unit(node.iterable)
        pieces = [f"for {targets(node.targets)} in ", *pieces, " ", self._body(node.body)]
        made = _made("", "", [Link(pieces, flat(pieces), (), ())], hoisted)
        return self._with_leading(made, node.span.start, node.iterable.span.start)

    def _init(self, node: s.Init) -> Statement:
        pieces: Pieces = ["init ", self._entries(node.rules, node.span._replace(end=node.span.start), node.span.end)]
        return _made("", "", [Link(pieces, flat(pieces), (), ())])

    def _rule(self, node: s.Rule) -> Statement:
        selector = node.selector
        text = self.original.string(s.String(selector.text, selector.span)) if selector.is_path else selector.text
        return self._expression(text, " ~ ", node.value, aligned=True)

    # --- definitions -------------------------------------------------------------------------------------------------

    def _import(self, node: s.Import) -> Statement:
        return _text(f"import {self.original.string(node.path)}")

    def _use(self, node: s.Use) -> Statement:
        return _text(f"use {self.original.string(node.path)}")

    def _module(self, node: s.Module) -> Statement:
        return self._definition("module", node)

    def _network(self, node: s.Network) -> Statement:
        return self._definition("network", node)

    def _definition(self, word: str, node: s.Module | s.Network) -> Statement:
        pieces: Pieces = [f"{word} {node.name.text}"]
        if node.params:
            pieces.append(self._params(node.params, node.name.span.end, node.body.span.start, self.expressions))
        pieces += [" ", self._body(node.body)]
        return _made("", "", [Link(pieces, flat(pieces), (), ())])

    def _params(self, params: Sequence[s.Param], start: int, end: int, expressions: Expressions) -> Group:
        first = self.original.find("(", start)
        last = self.original.find_last(")", start, end) + 1
        return expressions.group("()", params, first, last, comma=True)

    def _variant(self, node: s.Variant) -> Statement:
        return self._defined(f"network {node.name.text}", node, node.params or None, aligned=True)

    def _constant(self, node: s.Constant) -> Statement:
        return self._defined(node.name.text, node, node.params)

    def _defined(
        self, head: str, node: s.Variant | s.Constant, params: Sequence[s.Param] | None, *, aligned: bool = False
    ) -> Statement:
        """What is defined with `=`; its head is a text where its parameters fit on a line."""
        if params is None:
            return self._expression(head, " = ", node.value, aligned=aligned)

        value, leading = self.expressions.unit(node.value)
        expressions = self.expressions
        if leading:  # then those of the parameters go there too, in their order
            expressions, leading = expressions.muted, texts(self.original.comments(*node.span))
        group = self._params(params, node.name.span.end, node.value.span.start, expressions)
        if group.flat is not None and len(head) + len(group.flat) <= _LONG_HEAD:
            link = Link(value, flat(value), (), ())
            return _made(head + group.flat, " = ", [link], leading, aligned=aligned)
        pieces = [head, group, " = ", *value]
        return _made("", "", [Link(pieces, flat(pieces), (), ())], leading)

    def _section(self, node: s.Section) -> Statement:
        return self._named_entries(node.name.text, node.entries, node.name.span, node.span.end)

    def _named_entries(self, name: str, entries: Sequence[Any], behind: Span, end: int) -> Statement:
        pieces: Pieces = [f"{name} ", self._entries(entries, behind, end)]
        return _made("", "", [Link(pieces, flat(pieces), (), ())])

    def _setting(self, node: s.Setting) -> Statement:
        return self._chain(self.original.key(node.key), " = ", node.value, aligned=True)

    def _group(self, node: s.Group) -> Statement:
        return self._named_entries(self.original.key(node.key), node.entries, node.key.span, node.span.end)

    def _edit(self, node: s.Edit) -> Statement:
        path = self.original.string(node.path)
        if node.kind == "remove":
            return _text(f"remove {path}")
        if node.kind == "group":
            assert type(node.value) is tuple
            return self._named_entries(path, node.value, node.path.span, node.span.end)
        value: Any = node.value
        return self._expression(f"{node.kind} {path}", " = ", value)


# A longer head is not aligned with others.
_LONG_HEAD = 60


def _made(
    head: str,
    operator: str,
    links: Sequence[Link],
    leading: tuple[str, ...] = (),
    *,
    aligned: bool = False,
) -> Statement:
    """A statement; comments before its first link stand before it."""
    first = links[0]
    leading += first.leading
    links = (first._replace(leading=()), *links[1:])
    joint = " " if operator == "if" else " -> "
    aligned = aligned and len(head) <= _LONG_HEAD
    text = None
    if not any(link.flat is None or link.leading or link.trailing or link.begins for link in links):
        text = joint.join(link.flat for link in links if link.flat is not None)
        text = text if operator == "if" else f"{head}{operator}{text}"
    return Statement(head, operator, tuple(links), aligned, leading, text)


def _text(text: str) -> Statement:
    return _made("", "", [Link([text], text, (), ())])


def _is_plain(step: object) -> bool:
    """Whether a chain begins with a value: a name, or part of one, or several."""
    if type(step) is s.Name:
        return not step.text[:1].isupper()
    if type(step) is s.Index or type(step) is s.Attribute:
        return _is_plain(step.value)
    return type(step) is s.Tuple and all(map(_is_plain, step.items))


_METHODS: dict[type, Callable[[Statements, Any], Statement]] = {
    s.Flow: Statements._flow,
    s.Bind: Statements._bind,
    s.Input: Statements._input,
    s.Output: Statements._output,
    s.Parameter: Statements._parameter,
    s.Buffer: Statements._buffer,
    s.Declare: Statements._declare,
    s.If: Statements._if,
    s.For: Statements._for,
    s.Init: Statements._init,
    s.Rule: Statements._rule,
    s.Import: Statements._import,
    s.Use: Statements._use,
    s.Module: Statements._module,
    s.Network: Statements._network,
    s.Variant: Statements._variant,
    s.Constant: Statements._constant,
    s.Section: Statements._section,
    s.Setting: Statements._setting,
    s.Group: Statements._group,
    s.Edit: Statements._edit,
}
