"""Makes the page and the pictures of a run, and writes them into its folder.

In: the folder of a run; its program as checked, where that is at hand. Out: report.html, curves.svg, confusion.svg (or
predicted.svg). Guarantees: files are written whole or not at all; a run with less in it gives a page with less in it.
Leaves evaluating to `netc.runtime`, and finding the program to the command line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.files import write_text
from netc.record.checkpoint import facts
from netc.record.reading import read
from netc.report import curves, matrix, results, style
from netc.report.page import Content, Network, page
from netc.summary import rows, totals

if TYPE_CHECKING:
    from pathlib import Path

    from netc import ir
    from netc.record.reading import Run

PAGE, CURVES, CONFUSION, PREDICTED = "report.html", "curves.svg", "confusion.svg", "predicted.svg"


def make(
    folder: Path, network: ir.Network | None, program: str | None, note: str = "", result_note: str = ""
) -> Path:  # fmt: skip
    """Write the page and the pictures of a run; gives the path of the page.

    Args:
        folder: of the run.
        network: that which was trained, for the table of its layers.
        program: the text of the .net file.
        note: what has to be known of the program.
        result_note: why there is no evaluation.

    Raises:
        UserError: if the folder can't be written to.
    """
    run = read(folder)
    result = results.stored(folder)
    shown = None if network is None else Network(network.name, rows(network), totals(network))
    content = Content(run, program, note, shown, result, result_note, _checkpoints(folder))
    write_text(folder / PAGE, page(content))
    drawn = _all_curves(run)
    if drawn:
        write_text(folder / CURVES, drawn)
    if result is not None:
        for name, picture in ((CONFUSION, matrix.confusion(result)), (PREDICTED, matrix.scatter(result))):
            if picture is not None:
                write_text(folder / name, alone(picture))
    return folder / PAGE


def alone(picture: str) -> str:
    """A picture as a file of its own, with its colours."""
    head, end, rest = picture.partition(">")
    return f"{head}{end}\n<style>{style.PICTURE}</style>{rest}\n"


def _all_curves(run: Run) -> str:
    """The learning curves in one picture, two or three side by side."""
    pictures = [chart for chart in curves.charts(run) if curves.picture(chart, run)]
    if not pictures:
        return ""
    wide, high, gap = curves.width_of(len(pictures)), curves.HEIGHT, 28
    across = min(3 if wide == curves.NARROW else 2, len(pictures))
    width = across * wide + (across - 1) * gap + 40
    height = -(-len(pictures) // across) * (high + gap) - gap + 40
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img">'
    inner = [
        curves.picture(chart, run, wide, x=20 + i % across * (wide + gap), y=20 + i // across * (high + gap))
        for i, chart in enumerate(pictures)
    ]
    title = f"<title>Learning curves of {run.number if run.number is not None else 'a run'}</title>"
    return alone("\n".join([head, title, *inner, "</svg>"]))


def _checkpoints(folder: Path) -> list[tuple[str, int, int | None, float]]:
    found = []
    for path in sorted(folder.glob("*.pt")):
        try:
            stat = path.stat()
        except OSError:
            continue
        epoch = facts(path).get("epoch")
        found.append((path.name, stat.st_size, epoch if isinstance(epoch, int) else None, stat.st_mtime))
    return found
