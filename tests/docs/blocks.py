"""Code blocks of the documentation, and the programs that fragments of the language stand in.

In: a page of Markdown. Out: its blocks, each with its language, its marks and the line it begins at. A mark is a word
behind the language (```` ```net body wrong=E0401 ````):

    body, data, train  a fragment, to be put into a program; `input=3,224,224` says what its network takes
    wrong=CODE         the program gives exactly this error, or these, separated by commas; E0900 may come several times
    shown              the `text` block that follows begins what netc says of the error
    gives              the `text` block that follows stands in model.py
    name=FILE          the block is a file beside the programs of its page
    summary            the `text` block that follows begins the summary of the program
    file=PATH          the block is this file, byte for byte
    shape=N,10         what the last network of the program gives
    excerpt            the lines stand in what netc writes for the example
    of                 the lines stand in the model.py of the program before, at any depth; `# …` stands for some others
"""

from __future__ import annotations

import re
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
_BLOCK = re.compile(r"^```(\S+)([^\n]*)\n(.*?)^```$", re.M | re.S)


class Block(NamedTuple):
    """A code block. `following` is the text of the next block, where that one is marked `text`."""

    page: str
    line: int
    language: str
    marks: dict[str, str]
    text: str
    following: str | None
    before: Block | None = None  # the last program

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in their order."""
    text = page.read_text(encoding="utf-8")
    found = list(_BLOCK.finditer(text))
    out: list[Block] = []
    program_before: Block | None = None
    for match, after in zip_longest(found, found[1:]):
        marks = dict(word.partition("=")[::2] for word in match[2].split())
        following = after[3] if after is not None and after[1] == "text" else None
        line = text.count("\n", 0, match.start()) + 1
        where = page.relative_to(ROOT).as_posix()
        out.append(Block(where, line, match[1], marks, match[3], following, program_before))
        program_before = out[-1] if match[1] == "net" else program_before
    return out


def all_blocks(language: str) -> list[Block]:
    return [block for page in PAGES for block in blocks(page) if block.language == language]


_TAKES_ALL = """network Net {{
  input image: [N, {sizes}]
  mean([1, 2, 3]) -> reshape(-1, 1) -> fc: Linear({classes})
}}
"""
_DATA = "data { train = Digits(); validation = 0.1; transform = ToTensor; batch_size = 64 }\n"
_TRAIN = "train { loss = CrossEntropyLoss; optimizer = SGD(lr=0.1); epochs = 3 }\n"


def program(block: Block) -> str:
    """The whole program of a block."""
    text = block.text
    sizes = block.marks.get("input", "C, H, W").replace(",", ", ")
    net = _TAKES_ALL.format(sizes=sizes, classes=block.marks.get("classes", "10"))
    if "body" in block.marks:
        given = "" if text.lstrip().startswith("input ") else "input image: [N, 3, 32, 32]\n"
        return f"network Net {{\n{given}{text}}}\n"
    if "data" in block.marks:
        return f"{net}data {{\n{text}}}\n{_TRAIN}"
    if "train" in block.marks:
        return f"{net}{_DATA}train {{\n{text}}}\n"
    return text
