"""The lines of model.py lead back to the program, and the map doesn't change the text."""

from __future__ import annotations

from pathlib import Path

import pytest

from netc.backends import model, source_map
from netc.compiler import analyse
from netc.files import imported

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["models/vit.net", "models/resnet.net", "models/gpt.net", "examples/lenet.net"])
def test_lines_of_forward_have_places(name: str) -> None:
    path = ROOT / name
    text = path.read_text()
    program = analyse(text, str(path), path.stem, None, imported).program
    assert program is not None
    lines = model.emit(program).split("\n")
    found = source_map.spans(program)
    assert found, "the marked text is another one"
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith(("x = ", "h = ", "y = ", "z = ")) and "self." in line:
            assert number in found, line
    assert all(0 <= span.start < span.end <= len(text) for span in found.values())


def test_a_line_leads_to_its_statement() -> None:
    text = "network A {\n  input x: [N, 4]\n  y = x -> fc: Linear(4)\n  _ + y\n  relu -> out: Linear(2)\n}\n"
    program = analyse(text).program
    assert program is not None
    lines = model.emit(program).split("\n")
    shown = {
        lines[n - 1].strip().partition("  #")[0]: text[s.start : s.end] for n, s in source_map.spans(program).items()
    }
    assert shown == {"y = self.fc(x)": "Linear(4)", "x = x + y": "_ + y", "return self.out(F.relu(x))": "Linear(2)"}
