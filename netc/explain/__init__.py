"""What each code means: a page for each, in this folder, and the list of them.

In: a code. Out: its `Page`. A page is Markdown, named by its code:

    # E0401: what is wrong, in a few words       the same words as in the table of docs/errors.md
    what it means, why netc refuses it, what to do
    ## Wrong                                     a program that gives this code and no other error
    ## Mended                                    the same program without any mistake

The program of a section is its ```` ```net ```` block, and stands in `net.net`. Further blocks say what it needs:
```` ```net file=other.net ```` and ```` ```python file=layers.py ```` are files beside it, ```` ```set ```` holds a
`--set KEY=VALUE` in each line, without the `--set`, and ```` ```flags ```` further options of the command line.
Guarantees nothing of the programs; the tests do.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent
_BLOCK = re.compile(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", re.M | re.S)


class Example(NamedTuple):
    """A program, the files beside it (name, text), what `--set` is given (key, value), and further options."""

    program: str
    files: tuple[tuple[str, str], ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    flags: tuple[str, ...] = ()


class Page(NamedTuple):
    """The page of a code. `text` is the Markdown between the heading and the first example."""

    code: str
    title: str
    text: str
    wrong: str
    mended: str

    @property
    def markdown(self) -> str:
        """All of it but the heading."""
        return f"{self.text}\n\n## Wrong\n\n{self.wrong}\n\n## Mended\n\n{self.mended}\n"


def codes() -> tuple[str, ...]:
    """All codes that a diagnostic can have, in order."""
    return tuple(sorted(page.stem for page in FOLDER.glob("[EW]*.md")))


def titles() -> dict[str, str]:
    """Every code with what it says is wrong, in order."""
    out = {}
    for code in codes():
        with (FOLDER / f"{code}.md").open(encoding="utf-8") as page:
            out[code] = _title(page.readline())
    return out


def page(code: str) -> Page:
    """The page of a code that there is."""
    heading, _, rest = (FOLDER / f"{code}.md").read_text(encoding="utf-8").partition("\n")
    text, _, examples = rest.partition("\n## Wrong\n")
    wrong, _, mended = examples.partition("\n## Mended\n")
    return Page(code, _title(heading), text.strip(), wrong.strip(), mended.strip())


def example(section: str) -> Example:
    """The program of a section with all that it needs.

    Raises:
        ValueError: the section has no program, or several.
    """
    blocks = _BLOCK.findall(f"{section}\n")
    (program,) = (text for language, file, text in blocks if language == "net" and not file)
    files = tuple((file, text) for _, file, text in blocks if file)
    lines = [line for language, _, text in blocks if language == "set" for line in text.splitlines()]
    settings = tuple((key, value) for key, _, value in (line.partition("=") for line in lines))
    flags = tuple(word for language, _, text in blocks if language == "flags" for word in text.split())
    return Example(program, files, settings, flags)


def _title(heading: str) -> str:
    return heading.partition(": ")[2].strip()
