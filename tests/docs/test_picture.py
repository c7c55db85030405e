"""The picture of a terminal: colours and columns are those of the screen, and the one in the documentation is whole."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from xml.etree import ElementTree

DOCS = Path(__file__).parents[2] / "docs"
SVG = "{http://www.w3.org/2000/svg}"


def test_colours_columns_and_signs_of_xml() -> None:
    svg = runpy.run_path(str(DOCS / "picture.py"))["svg"]
    root = ElementTree.fromstring(svg("ab \x1b[1;31mred\x1b[0m  <&>\n\n  end\n\n"))
    texts = [(t.text, t.get("fill"), t.get("font-weight")) for t in root.iter(f"{SVG}text")]
    assert texts == [("ab", None, None), ("red", "#ff7b72", "bold"), ("<&>", None, None), ("end", None, None)]
    columns = [round((float(t.get("x", 0)) - 14) / 8.4) for t in root.iter(f"{SVG}text")]
    assert columns == [0, 3, 8, 2]


def test_the_picture_shows_a_run_and_fits_80_columns() -> None:
    root = ElementTree.parse(DOCS / "training.svg").getroot()
    lines = [t.text or "" for t in root.iter(f"{SVG}text")]
    assert lines[0].startswith("$ netc train ")
    assert re.match(r"epoch +train loss", lines[2])
    assert re.search(r"\|.+\|.* left, accuracy=\S+%, loss=[\d.]+$", lines[-1])
    assert all(
        float(t.get("x", 0)) + float(t.get("textLength", 0)) <= 14 + 80 * 8.4 + 0.1 for t in root.iter(f"{SVG}text")
    )
