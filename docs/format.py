"""The programs in the pages of the documentation in their canonical form, as `netc fmt` writes files.

In: README.md, docs/*.md and the pages of `netc explain`. Out: the same pages, with each block `net` that has no syntax
errors formatted; a fragment is given the form that it has in its section or body.

    python docs/format.py
"""

from __future__ import annotations

import re
from pathlib import Path

from netc.diagnostics import Report
from netc.formatter import format_text
from netc.source import Source

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "netc/explain").glob("*.md")])
HEADS = {"body": "network Net {\n", "data": "data {\n", "train": "train {\n"}
_BLOCK = re.compile(r"^```net([^\n]*)\n(.*?)^```$", re.M | re.S)


def page(text: str) -> str:
    """A page with its programs formatted."""
    return _BLOCK.sub(lambda m: f"```net{m[1]}\n{block(m[1], m[2])}```", text)


def block(marks: str, text: str) -> str:
    """The text of a block, formatted; as it is where it doesn't parse."""
    head = next((h for mark, h in HEADS.items() if mark in marks.split()), None)
    if head is None:
        made = format_text(Source(text), Report())
        return text if made is None else made
    made = format_text(Source(f"{head}{text}}}\n"), Report())
    if made is None:
        return text
    lines = made.split("\n")[1:-2]
    return "".join(f"{line.removeprefix('  ')}\n" for line in lines)


if __name__ == "__main__":
    for path in PAGES:
        old = path.read_text(encoding="utf-8")
        new = page(old)
        if new != old:
            path.write_text(new, encoding="utf-8")
            print(f"formatted {path.relative_to(ROOT)}")
