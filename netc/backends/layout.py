"""Python text that a formatter leaves alone.

What fits is on one line; what doesn't is broken at its outermost bracket, one item on a line, with a comma behind the
last. That comma makes `ruff format` and Black keep the break, so the text is stable at every line length from 88 on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDTH = 88  # the default of ruff format and Black


class Text(NamedTuple):
    """An expression as text: on one line, and if it is a bracket, what opens it, its items, and what closes it."""

    flat: str
    opening: str = ""
    items: tuple[Text, ...] = ()
    closing: str = ""
    always_broken: bool = False

    def broken(self, indent: int, lead: str) -> list[str]:
        """The lines of `lead` and the expression, broken at the outermost bracket; relative to `indent`."""
        if not self.items:
            return [lead + self.flat]
        lines = [lead + self.opening]
        for item in self.items:
            inner = list(item.lines(indent + 4, "", tail=","))
            lines += [f"    {line}" for line in inner]
        return [*lines, self.closing]

    def lines(self, indent: int, lead: str, tail: str = "") -> Iterator[str]:
        """The lines of `lead` and the expression, on one line if it fits."""
        if not self.is_broken and fits(lead + self.flat + tail, indent):
            yield lead + self.flat + tail
            return
        *first, last = self.broken(indent, lead)
        yield from first
        yield last + tail

    @property
    def is_broken(self) -> bool:
        return self.always_broken or any(item.is_broken for item in self.items)


def fits(line: str, indent: int) -> bool:
    """Whether a line at this indent stays within the width."""
    return indent + len(line) <= WIDTH


def call(opening: str, items: list[Text], closing: str, broken: bool = False) -> Text:
    """A bracket with its items: `F.relu(` … `)`."""
    flat = opening + ", ".join(item.flat for item in items) + closing
    if opening == "(" and len(items) == 1:
        flat = f"({items[0].flat},)"
    return Text(flat, opening, tuple(items), closing, broken)


def join(lead: str, text: Text) -> Text:
    """The text with something before it, such as `name=`."""
    return text._replace(flat=lead + text.flat, opening=lead + text.opening if text.opening else "")


def operand(text: Text, level: int, wanted: int) -> str:
    """The text as an operand: in parentheses where it binds less tightly than `wanted`."""
    return text.flat if level >= wanted else f"({text.flat})"
