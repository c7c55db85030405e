"""Pieces to lines: what fits on a line stays on one, what does not is broken.

In: the block of a file. Out: its text. A statement that is too wide becomes, in this order: a block in braces of
several lines; a chain with each `->` on a line of its own; brackets with their contents on one line of their own, then
each element on one. All of it follows from the tree, the comments and what the author decided, so that a second run
finds nothing to do.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from netc.formatting.lines import INDENT, WIDTH, Lines
from netc.formatting.pieces import Group, flat

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from netc.formatting.pieces import Element, Pieces
    from netc.formatting.statements import Block, Item, Link, Statement

# How far from the beginning of a statement its arrows may stand below each other.
_FARTHEST_ARROW = 24
_ENDLESS = 10**9
# A line with more brackets side by side than this is left as long as it is.
_MOST_GROUPS = 50
_PRAGMA = re.compile(r"#\s*netc:")


def lay_out(file: Block) -> str:
    """The text of a file."""
    layout = _Layout()
    layout.items(file.items, 0, 0)
    return layout.lines.text()


class _Layout:
    """Writes lines; `width` is how wide they may be."""

    def __init__(self) -> None:
        self.lines = Lines()
        self.width = WIDTH

    def fits(self, text: str | None, tail: int = 0) -> bool:
        return text is not None and self.lines.column + len(text) + tail <= self.width

    # --- blocks ------------------------------------------------------------------------------------------------------

    def items(self, items: Sequence[Item], indent: int, level: int) -> None:
        """The items of a block, each line begun by itself."""
        pads = _pads(items, indent, self.width)
        pragma = False
        for first, end in _joined(items, indent, self.width):
            item = items[first]
            if item.blank:
                self.lines.blank()
            if item.statement is None:
                self.lines.own(indent, item.comment[0])
                pragma = bool(_PRAGMA.match(item.comment[0]))
                continue
            comment = items[end - 1].comment
            # What silences a line has to stay on the line that it silences.
            pragma = bool(_PRAGMA.match(item.statement.leading[-1])) if item.statement.leading else pragma
            self.width = _ENDLESS if pragma or _is_pragma(comment) else WIDTH
            for text in item.statement.leading:
                self.lines.own(indent, text)
            self.lines.start(indent, level)
            if end - first > 1:
                self.lines.write("; ".join(i.statement.flat or "" for i in items[first:end] if i.statement))
            else:
                self.statement(item.statement, pads.get(first, 0), indent, level)
            self.lines.comment(comment)
            self.width, pragma = WIDTH, False

    def block(self, block: Block, indent: int, level: int) -> None:
        """A block on several lines; one that is empty stays on its line."""
        if block.empty:
            self.lines.write("{}")
            return
        width, self.width = self.width, WIDTH
        self.lines.write("{")
        self.lines.comment(block.opening)
        self.items(block.items, indent + INDENT, level + 1)
        self.lines.start(indent, level)
        self.lines.write("}")
        self.width = width

    # --- statements --------------------------------------------------------------------------------------------------

    def statement(self, statement: Statement, pad: int, indent: int, level: int) -> None:
        if statement.operator == "if":
            self.branches(statement, indent, level)
            return
        head = statement.head.ljust(pad) + statement.operator
        text = statement.flat
        if text is not None:
            text = head + text[len(statement.head) + len(statement.operator) :]
            if self.fits(text):
                self.lines.write(text)
                return
        self.lines.write(head)
        if len(statement.links) == 1:
            self.pieces(statement.links[0].pieces, indent, level)
        elif self.hugs(statement.links, indent):
            self.hugged(statement.links, indent, level)
        else:
            self.chain(statement.links, indent, level)

    def branches(self, statement: Statement, indent: int, level: int) -> None:
        """`if`, `elif`, `else`: on one line, or all blocks on several."""
        if self.fits(statement.flat):
            self.lines.write(statement.flat or "")
            return
        apart = False
        for i, link in enumerate(statement.links):
            if i and (link.leading or apart):
                for text in link.leading:
                    self.lines.own(indent, text)
                self.lines.start(indent, level)
            elif i:
                self.lines.write(" ")
            if _block_of(link.pieces) is not None:
                self.opened(link.pieces, indent, level)
            else:
                self.pieces(link.pieces, indent, level)
            self.lines.comment(link.trailing)
            apart = bool(link.trailing)

    def hugs(self, links: Sequence[Link], indent: int) -> bool:
        """Whether a chain stays on the lines on which its blocks begin and end: `x -> a: seq {`, …, `} -> ReLU`."""
        if any(link.leading or link.trailing or link.begins for link in links):
            return False
        column, hugging = self.lines.column, False
        for i, link in enumerate(links):
            arrow = 4 if i else 0
            own = indent + INDENT + 3 if i else self.lines.column
            block = _block_of(link.pieces)
            if block is not None and (link.flat is None or own + len(link.flat) > self.width):
                before = flat(link.pieces[:-1])
                if before is None or column + arrow + len(before) + 1 > self.width:
                    return False
                column, hugging = indent + 1, True
            elif link.flat is None:
                return False
            else:
                column += arrow + len(link.flat)
                if column > self.width:
                    return False
        return hugging

    def hugged(self, links: Sequence[Link], indent: int, level: int) -> None:
        for i, link in enumerate(links):
            own = indent + INDENT + 3 if i else self.lines.column
            if i:
                self.lines.write(" -> ")
            if _block_of(link.pieces) is not None and (link.flat is None or own + len(link.flat) > self.width):
                self.opened(link.pieces, indent, level)
            else:
                self.lines.write(link.flat or "")

    def chain(self, links: Sequence[Link], indent: int, level: int) -> None:
        """A chain on several lines: those of its author, where they fit, else with each arrow on a line of its own.

        The arrow behind a value that begins the chain stays on its line, and the others stand below it where there is
        room.
        """
        start, deeper = self.lines.column, indent + INDENT
        lines = _by_author(links)
        if not self._fit(lines, start, deeper):
            lines = _one_by_one(links, self.width - start)
        first = lines[0]
        column = start + len(first[0].flat or "") + 1
        if len(first) > 1 and first[0].plain and column - indent <= _FARTHEST_ARROW and self._fit(lines, start, column):
            deeper = column
        for i, line in enumerate(lines):
            for text in line[0].leading:
                self.lines.own(deeper, text)
            if i:
                self.lines.start(deeper, level)
                self.lines.write("-> ")
            self.line(line, deeper if i else indent, level)

    def _fit(self, lines: Sequence[Sequence[Link]], start: int, indent: int) -> bool:
        """Whether lines of links fit, the first from one column on, the others from another."""
        for i, line in enumerate(lines):
            flats = [link.flat for link in line]
            if None in flats:
                return False
            length = sum(len(text or "") + 4 for text in flats) - 4
            if (indent + 3 if i else start) + length > self._width(line):
                return False
        return True

    def _width(self, line: Sequence[Link]) -> int:
        """How wide a line of links may be; one that silences something must stay whole."""
        first, last = line[0], line[-1]
        pragma = _is_pragma(last.trailing) or (first.leading and _PRAGMA.match(first.leading[-1]))
        return _ENDLESS if pragma else self.width

    def line(self, line: Sequence[Link], indent: int, level: int) -> None:
        """Links on one line, or a link that is broken within, and the comment behind them."""
        width, self.width = self.width, self._width(line)
        for i, link in enumerate(line):
            if i:
                self.lines.write(" -> ")
            self.pieces(link.pieces, indent, level)
        self.lines.comment(line[-1].trailing)
        self.width = width

    # --- pieces ------------------------------------------------------------------------------------------------------

    def pieces(self, pieces: Pieces, indent: int, level: int, tail: int = 0) -> None:
        """Pieces from the current column on, with `tail` characters to follow them on their last line."""
        text = flat(pieces)
        if text is not None and self.fits(text, tail):
            self.lines.write(text)
        else:
            self.opened(pieces, indent, level, tail)

    def opened(self, pieces: Pieces, indent: int, level: int, tail: int = 0) -> None:
        """Pieces with some of them broken: those that have to be, else blocks, else the longest brackets."""
        chosen = _chosen(pieces)
        start = 0
        for at in chosen:
            piece = pieces[at]
            width = self.width
            if not isinstance(piece, str) and _is_pragma(piece.opening):
                self.width = _ENDLESS
            self.pieces(pieces[start:at], indent, level, 1)
            self.width = width
            if isinstance(piece, Group):
                self.group(piece, indent, level)
            else:
                assert not isinstance(piece, str)
                self.block(piece, indent, level)
            start = at + 1
        if start == 0:  # nothing can be broken
            self.lines.write(flat(pieces) or "")
        else:
            self.pieces(pieces[start:], indent, level, tail)

    def group(self, group: Group, indent: int, level: int) -> None:
        """Brackets over several lines."""
        self.lines.write(group.open)
        inner = indent + INDENT
        hugged = _hugged(group)
        if hugged is not None:
            self.group(hugged, indent, level)
            self.lines.write(group.close)
            return
        self.lines.comment(group.opening)
        line = self._one_line(group)
        if line is not None and inner + len(line) <= self.width:
            self.lines.start(inner, level + 1)
            self.lines.write(line)
        elif group.numbers and not group.commented:
            self._filled(group.elements, inner, level + 1)
        else:
            self._elements(group, inner, level + 1)
        for text in group.closing:
            self.lines.own(inner, text)
        self.lines.start(indent, level)
        self.lines.write(group.close)

    def _one_line(self, group: Group) -> str | None:
        """What stands in brackets, where it may stand on one line."""
        if group.magic or group.flat is None or not group.elements:
            return None
        return group.flat[1:-1]

    def _filled(self, elements: Sequence[Element], indent: int, level: int) -> None:
        """Numbers, as many on a line as fit."""
        self.lines.start(indent, level)
        for i, element in enumerate(elements):
            text = f"{element.flat},"
            if i and self.lines.column + 1 + len(text) > self.width:
                self.lines.start(indent, level)
            elif i:
                self.lines.write(" ")
            self.lines.write(text)

    def _elements(self, group: Group, indent: int, level: int) -> None:
        """Each element on a line of its own."""
        listed = group.separator == ", "
        width = self.width
        for i, element in enumerate(group.elements):
            for text in element.leading:
                self.lines.own(indent, text)
            if _is_pragma(element.trailing):
                self.width = _ENDLESS
            self.lines.start(indent, level)
            comma = listed and (group.comma or i + 1 < len(group.elements))
            self.pieces(element.pieces, indent, level, int(comma))
            if comma:
                self.lines.write(",")
            self.lines.comment(element.trailing)
            self.width = width


def _is_pragma(comment: tuple[str, ...]) -> bool:
    return bool(comment) and bool(_PRAGMA.match(comment[0]))


def _joined(items: Sequence[Item], indent: int, width: int) -> Iterator[tuple[int, int]]:
    """The items that share a line, as ranges: those joined by `;`, where they fit."""
    at = 0
    while at < len(items):
        end = at + 1
        while end < len(items) and items[end].joined:
            end += 1
        if end - at > 1 and not _share_a_line(items[at:end], indent, width):
            for i in range(at, end):
                yield i, i + 1
        else:
            yield at, end
        at = end


def _share_a_line(items: Sequence[Item], indent: int, width: int) -> bool:
    flats = [i.statement.alone if i.statement is not None else None for i in items]
    if None in flats:
        return False
    length = indent + sum(len(text or "") + 2 for text in flats) - 2
    return length <= width or _is_pragma(items[-1].comment)


def _pads(items: Sequence[Item], indent: int, width: int) -> dict[int, int]:
    """How wide the heads of aligned statements are: of those that follow each other without an empty line between."""
    pads: dict[int, int] = {}
    run: list[int] = []

    def close() -> None:
        widest = max((len(statement.head) for i in run if (statement := items[i].statement)), default=0)
        pads.update((i, widest) for i in run)
        run.clear()

    for first, end in _joined(items, indent, width):
        item = items[first]
        if item.blank or (item.statement is not None and (not item.statement.aligned or end - first > 1)):
            close()
        if item.statement is not None and item.statement.aligned and end - first == 1:
            run.append(first)
    close()
    return pads


def _by_author(links: Sequence[Link]) -> list[list[Link]]:
    """The lines of a chain where its author began them."""
    lines: list[list[Link]] = []
    for link in links:
        if link.begins or not lines:
            lines.append([link])
        else:
            lines[-1].append(link)
    return lines


def _one_by_one(links: Sequence[Link], room: int) -> list[list[Link]]:
    """A line for each link, but for a value that begins the chain and fits, and what comes behind it."""
    first = links[0]
    fits = first.flat is not None and len(first.flat) <= room
    together = 2 if first.plain and fits and not links[1].begins else 1
    return [list(links[:together]), *([link] for link in links[together:])]


def _block_of(pieces: Pieces) -> Block | None:
    """The block that ends a link, unless it is empty."""
    last = pieces[-1]
    return None if isinstance(last, str | Group) or last.empty else last


def _chosen(pieces: Pieces) -> list[int]:
    """Which pieces are to be broken."""
    forced = [i for i, p in enumerate(pieces) if not isinstance(p, str) and p.flat is None]
    blocks = [i for i, p in enumerate(pieces) if not isinstance(p, str | Group) and not p.empty]
    if forced or blocks:
        return sorted({*forced, *blocks})
    groups = [(len(p.flat or ""), i) for i, p in enumerate(pieces) if isinstance(p, Group) and not p.empty]
    return [max(groups)[1]] if 0 < len(groups) <= _MOST_GROUPS else []


def _hugged(group: Group) -> Group | None:
    """The only element of brackets, where it is itself in brackets and no comment stands between the two."""
    if len(group.elements) != 1 or group.magic or group.single or group.commented:
        return None
    (element,) = group.elements
    if len(element.pieces) != 1 or not isinstance(element.pieces[0], Group):
        return None
    return None if element.pieces[0].empty else element.pieces[0]
