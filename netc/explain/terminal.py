"""Pages for a terminal.

In: a page of `netc.explain`. Out: text of at most 80 columns (programs excepted), with colours where they are asked
for. Of Markdown it knows what the pages use: headings, paragraphs, lists and blocks of code.
"""

from __future__ import annotations

import re
from textwrap import wrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netc.explain import Page

WIDTH = 80
_BLOCK = re.compile(r"^```(\w+)(?: file=(\S+))?$")
_CODE = re.compile(r"`[^`\n]+`")
_LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")


def explained(page: Page, colour: bool) -> str:
    """A whole page, without a newline at its end."""
    lines = [_bold(line, colour) for line in wrap(f"{page.code}: {page.title}", WIDTH)] + [""]
    paragraph: list[str] = []
    inside = False
    for line in [*page.markdown.splitlines(), ""]:
        if inside or not line.strip() or line.startswith(("```", "## ", "- ")):
            lines += _paragraph(paragraph, colour)
            paragraph = []
        block = _BLOCK.match(line)
        if inside:
            inside = line != "```"
            lines += [f"    {line}".rstrip()] if inside else []
        elif block:
            inside = True
            lines += _opening(block, colour)
        elif line.startswith("## "):
            lines.append(_bold(line.removeprefix("## "), colour))
        elif line.strip():
            paragraph.append(line)
        elif lines[-1]:
            lines.append("")
    return "\n".join(lines).rstrip()


def listed(titles: dict[str, str], colour: bool) -> str:
    """The list of all codes, each with its title."""
    out = []
    for code, title in titles.items():
        first, *rest = wrap(_LINK.sub(r"\1", title), WIDTH - len(code) - 2)
        out += [f"{_bold(code, colour)}  {first}", *(" " * (len(code) + 2) + line for line in rest)]
    return "\n".join(out)


def _opening(block: re.Match[str], colour: bool) -> list[str]:
    """What stands above a block: the file that it is, or that it goes behind `--set`."""
    if block[1] == "set":
        return [_dim("  with --set", colour)]
    return [_dim(f"  in {block[2]}", colour)] if block[2] else []


def _paragraph(lines: list[str], colour: bool) -> list[str]:
    """A paragraph or an item of a list, filled anew. Code in a line isn't broken."""
    if not lines:
        return []
    text = _LINK.sub(r"\1", " ".join(line.strip() for line in lines))
    item = text.startswith("- ")
    whole = _CODE.sub(lambda m: m[0].replace(" ", "\0"), text)
    filled = wrap(whole, WIDTH, subsequent_indent="  " if item else "", break_long_words=False, break_on_hyphens=False)
    return [_CODE.sub(lambda m: _code(m[0], colour), line.replace("\0", " ")) for line in filled]


def _bold(text: str, colour: bool) -> str:
    return f"\x1b[1m{text}\x1b[0m" if colour else text


def _dim(text: str, colour: bool) -> str:
    return f"\x1b[2m{text}\x1b[0m" if colour else text


def _code(text: str, colour: bool) -> str:
    return f"\x1b[36m{text[1:-1]}\x1b[0m" if colour else text
