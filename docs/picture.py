"""Makes training.svg: a picture of a terminal from the text that was on it.

In: the screen of a terminal, colours and all, on the standard input. Out: SVG on the standard output. With `--record`,
the screen is recorded first: `netc train` runs the example in tmux at 80 columns, and the screen is taken in the middle
of the run. Guarantees: every character stands in its column. Leaves to others: cursor movements, which a captured
screen has none of.

    python docs/picture.py --record > docs/training.svg
    tmux capture-pane -e -p | python docs/picture.py > docs/training.svg
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
import unicodedata
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

COLUMNS, ROWS = 80, 24
CELL, LINE, MARGIN = 8.4, 18, 14  # of a monospaced font of 14 pixels
EPOCH = 18  # at which the screen is taken
COLOURS = ("#484f58", "#ff7b72", "#3fb950", "#d29922", "#58a6ff", "#bc8cff", "#39c5cf", "#b1bac4")
STYLE = "font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; white-space: pre"


class Run(NamedTuple):
    """Characters of one colour, and the column that they begin in."""

    column: int
    text: str
    colour: str | None
    bold: bool


def runs(line: str) -> Iterator[Run]:
    """The parts of a line between the codes that change its colour."""
    column, colour, bold = 0, None, False
    for text, codes in re.findall(r"([^\x1b]*)(?:\x1b\[([\d;]*)m)?", line):
        if text:
            yield Run(column, text, colour, bold)
            column += sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
        for code in (int(c or 0) for c in codes.split(";")) if codes is not None else ():
            if code in (0, 39):
                colour = None
            bold = code == 1 or (bold and code not in (0, 22))
            if 30 <= code <= 37 or 90 <= code <= 97:
                colour = COLOURS[code % 10]


def svg(screen: str) -> str:
    """The picture of a screen; empty lines at its end are left out."""
    lines = screen.rstrip().split("\n")
    width, height = COLUMNS * CELL + 2 * MARGIN, len(lines) * LINE + 2 * MARGIN
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" role="img">',
        "<title>netc train in a terminal</title>",
        f'<rect width="100%" height="100%" rx="8" fill="#0d1117"/><g fill="#e6edf3" style="{STYLE}">',
    ]
    for row, line in enumerate(lines):
        for run in runs(line):
            if not run.text.strip():
                continue
            blanks = len(run.text) - len(run.text.lstrip(" "))
            text = run.text.strip(" ")
            x, y = MARGIN + (run.column + blanks) * CELL, MARGIN + (row + 0.75) * LINE
            extra = f' fill="{run.colour}"' if run.colour else ""
            extra += ' font-weight="bold"' if run.bold else ""
            size = f' textLength="{len(text) * CELL:g}" lengthAdjust="spacingAndGlyphs"'
            out.append(f'<text x="{x:g}" y="{y:g}"{size}{extra} xml:space="preserve">{escape(text)}</text>')
    return "\n".join([*out, "</g>", "</svg>", ""])


def record() -> str:
    """The screen in the middle of a run of the example."""
    tmux = ["tmux", "-L", "picture", "-f", "/dev/null"]
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(Path(__file__).parents[1] / "examples" / "lenet.net", folder)
        shell = ["env", "PS1=$ ", "bash", "--norc"]
        subprocess.run(
            [*tmux, "new-session", "-d", "-c", folder, "-x", str(COLUMNS), "-y", str(ROWS), *shell], check=True
        )
        try:
            for keys in ("clear", "netc train lenet.net --device cpu"):
                time.sleep(1)
                subprocess.run([*tmux, "send-keys", keys, "Enter"], check=True)
            screen = ""
            while not re.search(rf"^epoch {EPOCH}/.*accuracy=", screen, re.M):
                time.sleep(0.1)
                screen = subprocess.run([*tmux, "capture-pane", "-e", "-p"], capture_output=True, text=True).stdout
        finally:
            subprocess.run([*tmux, "kill-session"], check=True)
    return screen


if __name__ == "__main__":
    sys.stdout.write(svg(record() if sys.argv[1:] == ["--record"] else sys.stdin.read()))
