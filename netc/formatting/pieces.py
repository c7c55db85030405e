"""Expressions as pieces: text, and bracketed groups that may be broken over lines.

In: expressions of the tree. Out: sequences of pieces, each group with its text on one line, or None where it has to be
broken because a comment stands in it or because its author ended it with a comma. Choosing is left to `layout`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from netc import syntax as s

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from netc.formatting.original import Bare, Comment
    from netc.formatting.statements import Block


class Element(NamedTuple):
    """One element of a group; `leading` are comments on lines of their own, `trailing` is what follows it."""

    pieces: Pieces
    flat: str | None
    leading: tuple[str, ...]
    trailing: tuple[str, ...]


class Group(NamedTuple):
    """What stands in brackets.

    `separator` stands between elements on one line. `comma`: one may follow the last element; `single`: a tuple of one,
    which needs it; `numbers`: there is nothing but numbers; `magic`: the author ended it with a comma, and so wants its
    elements on lines of their own. `span` is that of the brackets.
    """

    open: str
    close: str
    elements: tuple[Element, ...]
    opening: tuple[str, ...]
    closing: tuple[str, ...]
    separator: str
    comma: bool
    single: bool
    numbers: bool
    magic: bool
    flat: str | None
    span: tuple[int, int]

    @property
    def empty(self) -> bool:
        return not self.elements and not self.opening and not self.closing

    @property
    def commented(self) -> bool:
        return bool(self.opening or self.closing or any(e.leading or e.trailing for e in self.elements))


Piece: TypeAlias = "str | Group | Block"
Pieces: TypeAlias = "list[Piece]"


def flat(pieces: Pieces) -> str | None:
    """The text of pieces on one line, or None where there can be none."""
    if len(pieces) == 1 and type(pieces[0]) is str:
        return pieces[0]
    texts = [p if type(p) is str else p.flat for p in pieces]  # type: ignore[union-attr]
    return None if None in texts else "".join(texts)  # type: ignore[arg-type]


def texts(comments: Sequence[Comment]) -> tuple[str, ...]:
    """The texts of comments."""
    return tuple(c.text for c in comments)


def split(comments: Sequence[Comment]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Comments between two elements: what stands behind the first of them, and what stands before the second."""
    if not comments or comments[0].own:
        return (), texts(comments)
    end = 1
    while end < len(comments) and comments[end].continues:
        end += 1
    return texts(comments[:end]), texts(comments[end:])


class Expressions:
    """Makes pieces of expressions."""

    def __init__(self, original: Bare) -> None:
        self.original = original
        self._muted: Expressions | None = None

    def unit(self, node: s.Expr) -> tuple[Pieces, tuple[str, ...]]:
        """The pieces of what may have a line to itself, and the comments that must stand before it.

        Comments in brackets stay there. Where one stands elsewhere, behind an operator, there is no place for it once
        the line is joined: then all comments of the expression go before it, in their order.
        """
        pieces = self.pieces(node)
        found = self.original.comments(*node.span)
        if not found:
            return pieces, ()
        within = sum(len(self.original.comments(*p.span)) for p in pieces if type(p) is Group)
        if within == len(found):
            return pieces, ()
        return self.muted.pieces(node), texts(found)

    @property
    def muted(self) -> Expressions:
        """The same for a text without comments."""
        if self._muted is None:
            self._muted = Expressions(self.original.without_comments())
        return self._muted

    def pieces(self, node: Any) -> Pieces:
        """The pieces of an expression."""
        out: Pieces = []
        self._add(node, out)
        return out

    def _add(self, node: Any, out: Pieces) -> None:
        _METHODS[type(node)](self, node, out)

    # --- leaves ------------------------------------------------------------------------------------------------------

    def _name(self, node: s.Name, out: Pieces) -> None:
        _text(node.text, out)

    def _number(self, node: s.Number, out: Pieces) -> None:
        _text(self.original.number(node), out)

    def _string(self, node: s.String, out: Pieces) -> None:
        _text(self.original.string(node), out)

    def _literal(self, node: s.Literal, out: Pieces) -> None:
        _text(str(node.value), out)

    def _dots(self, node: s.Dots, out: Pieces) -> None:
        _text("...", out)

    # --- operators ---------------------------------------------------------------------------------------------------

    def _unary(self, node: s.Unary, out: Pieces) -> None:
        _text("not " if node.op == "not" else node.op, out)
        self._add(node.operand, out)

    def _binary(self, node: s.Binary | s.Boolean, out: Pieces) -> None:
        self._add(node.left, out)
        _text("**" if node.op == "**" else f" {node.op} ", out)
        self._add(node.right, out)

    def _compare(self, node: s.Compare, out: Pieces) -> None:
        first, *others = node.operands
        self._add(first, out)
        for op, operand in zip(node.ops, others, strict=True):
            _text(f" {op} ", out)
            self._add(operand, out)

    def _ternary(self, node: s.Ternary, out: Pieces) -> None:
        self._add(node.then, out)
        _text(" if ", out)
        self._add(node.condition, out)
        _text(" else ", out)
        self._add(node.otherwise, out)

    def _attribute(self, node: s.Attribute, out: Pieces) -> None:
        self._add(node.value, out)
        whole = type(node.value) is s.Number and self.original.number(node.value).replace("_", "").isdigit()
        _text(f" .{node.name.text}" if whole else f".{node.name.text}", out)

    # --- brackets ----------------------------------------------------------------------------------------------------

    def _call(self, node: s.Call, out: Pieces) -> None:
        self._add(node.callee, out)
        start = self.original.find("(", node.callee.span.end)
        if node.arguments and self.original.comments(node.callee.span.end, node.arguments[0].span.start):
            start = self._behind_comments("(", node.callee.span.end)
        out.append(self.group("()", node.arguments, start, node.span.end, comma=True))

    def _behind_comments(self, what: str, start: int) -> int:
        """The first place of a sign that stands in no comment."""
        while True:
            place = self.original.find(what, start)
            inside = [c for c in self.original.comments(start, place + 1) if place < c.end]
            if not inside:
                return place
            start = inside[0].end

    def _index(self, node: s.Index, out: Pieces) -> None:
        self._add(node.value, out)
        start = self._behind_comments("[", node.value.span.end)
        out.append(self.group("[]", node.subscripts, start, node.span.end))

    def _tuple(self, node: s.Tuple, out: Pieces) -> None:
        out.append(self.group("()", node.items, *node.span, comma=True, single=len(node.items) == 1))

    def _list(self, node: s.List, out: Pieces) -> None:
        out.append(self.group("[]", node.items, *node.span, comma=True))

    def _paren(self, node: s.Paren, out: Pieces) -> None:
        out.append(self.group("()", (node.inner,), *node.span))

    def _comprehension(self, node: s.Comprehension, out: Pieces) -> None:
        clauses: list[Any] = [node.item, _Clause("for", node.targets, node.iterable)]
        if node.condition is not None:
            clauses.append(_Clause("if", (), node.condition))
        out.append(self.group("[]", clauses, *node.span, separator=" "))

    def group(
        self,
        brackets: str,
        nodes: Sequence[Any],
        start: int,
        end: int,
        *,
        comma: bool = False,
        single: bool = False,
        separator: str = ", ",
    ) -> Group:
        """A group of elements; `single` is a tuple of one, whose comma always stands."""
        opening, elements, closing = self._elements(nodes, start, end)
        numbers = comma and bool(nodes) and all(_is_number(n) for n in nodes)
        magic = (
            comma and not single and not numbers and bool(nodes)
            and self.original.trailing_comma(nodes[-1].span.end, end)
        )  # fmt: skip
        flats = [e.flat for e in elements]
        left, right = brackets[0], brackets[1]
        group = Group(
            left, right, elements, opening, closing, separator, comma, single, numbers, magic, None, (start, end)
        )
        if magic or None in flats or group.commented:
            return group
        inner = separator.join(flats) + ("," if single else "")  # type: ignore[arg-type]
        return group._replace(flat=f"{left}{inner}{right}")

    def _elements(
        self, nodes: Sequence[Any], start: int, end: int
    ) -> tuple[tuple[str, ...], tuple[Element, ...], tuple[str, ...]]:
        """The comment behind the opening bracket, the elements, and the comments before the closing one."""
        if not self.original.comments(start, end):
            made = [self._element(n)[0] for n in nodes]
            return (), tuple(Element(p, flat(p), (), ()) for p in made), ()
        comments = self.original.comments
        opening, before = split(comments(start, nodes[0].span.start if nodes else end))
        elements: list[Element] = []
        for i, node in enumerate(nodes):
            pieces, hoisted = self._element(node)
            after = comments(node.span.end, nodes[i + 1].span.start if i + 1 < len(nodes) else end)
            trailing, following = split(after)
            elements.append(Element(pieces, flat(pieces), before + hoisted, trailing))
            before = following
        return opening, tuple(elements), before

    def _element(self, node: Any) -> tuple[Pieces, tuple[str, ...]]:
        kind = type(node)
        if kind in (s.Argument, s.Param, _Clause):
            prefix, value, hoisted = self._named(node)
            if value is None:
                return [prefix], hoisted
            pieces, more = self.unit(value)
            if prefix:
                _prefix(prefix, pieces)
            return pieces, hoisted + more
        if kind is s.Slice:
            return self._slice(node)
        return self.unit(node)

    def _named(self, node: s.Argument | s.Param | _Clause) -> tuple[str, s.Expr | None, tuple[str, ...]]:
        """What stands before the value of an element, the value, and comments between."""
        value: s.Expr | None
        if isinstance(node, _Clause):
            names = f"{targets(node.targets)} in " if node.targets else ""
            value, prefix = node.value, f"{node.word} {names}"
        elif isinstance(node, s.Param):
            value, prefix = node.default, node.name.text + (" = " if node.default is not None else "")
        else:
            value, prefix = node.value, ""
            if node.name is not None:
                spaced = type(value) in (s.Ternary, s.Boolean, s.Compare)
                prefix = node.name.text + (" = " if spaced else "=")
        hoisted = texts(self.original.comments(node.span.start, value.span.start)) if value is not None else ()
        return prefix, value, hoisted

    def _slice(self, node: s.Slice) -> tuple[Pieces, tuple[str, ...]]:
        found = texts(self.original.comments(*node.span))
        expressions = self.muted if found else self
        out: Pieces = []
        for i, part in enumerate((node.start, node.stop, node.step)):
            if i == 1 or (i == 2 and part is not None):
                _text(":", out)
            if part is not None:
                expressions._add(part, out)
        return out, found


class _Clause:
    """`for … in …` or `if …` of a comprehension."""

    def __init__(self, word: str, targets: tuple[s.Target, ...], value: s.Expr) -> None:
        self.word = word
        self.targets = targets
        self.value = value
        start = targets[0].span if targets else value.span
        self.span = start.to(value.span)


def _is_number(node: object) -> bool:
    if type(node) is s.Unary:
        return node.op == "-" and type(node.operand) is s.Number
    return type(node) is s.Number


def _text(text: str, out: Pieces) -> None:
    """Add text, to the text before it where there is some."""
    if out and type(out[-1]) is str:
        out[-1] += text
    else:
        out.append(text)


def _prefix(text: str, pieces: Pieces) -> None:
    if type(pieces[0]) is str:
        pieces[0] = text + pieces[0]
    else:
        pieces.insert(0, text)


def targets(nodes: Sequence[s.Target]) -> str:
    """The names of a binding or a loop."""
    return ", ".join(n.text if isinstance(n, s.Ident) else f"({targets(n.items)})" for n in nodes)


_METHODS: dict[type, Callable[[Expressions, Any, Pieces], None]] = {
    s.Name: Expressions._name,
    s.Number: Expressions._number,
    s.String: Expressions._string,
    s.Literal: Expressions._literal,
    s.Dots: Expressions._dots,
    s.Unary: Expressions._unary,
    s.Binary: Expressions._binary,
    s.Boolean: Expressions._binary,
    s.Compare: Expressions._compare,
    s.Ternary: Expressions._ternary,
    s.Attribute: Expressions._attribute,
    s.Call: Expressions._call,
    s.Index: Expressions._index,
    s.Tuple: Expressions._tuple,
    s.List: Expressions._list,
    s.Paren: Expressions._paren,
    s.Comprehension: Expressions._comprehension,
}
