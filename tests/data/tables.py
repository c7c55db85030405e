"""Programs on tables and arrays, compiled from their text and loaded as modules, for the tests of what scripts read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from netc import compiler
from netc.render import render
from netc.runtime.script import load_script

if TYPE_CHECKING:
    from types import ModuleType


def program(data: str, inputs: int | str = 4, outputs: int = 3, loss: str = "CrossEntropyLoss", more: str = "") -> str:
    """The text of a program: a network of two layers on this `data`, a setting a line; `more` goes into `train`."""
    declared = inputs if isinstance(inputs, str) else f"input x: [N, {inputs}]\n  fc1: Linear(16) -> ReLU"
    batch = "" if "batch_size" in data else "batch_size = 16"
    return f"""network Net {{
  {declared}
  fc2: Linear({outputs})
}}

data {{
  {data}
  {batch}
}}

train {{
  loss      = {loss}
  optimizer = Adam(lr=0.01)
  epochs    = 2
  {more}
}}
"""


def compiled(text: str) -> compiler.Files:
    """What a program makes."""
    checked = compiler.analyse(text, "net.net", "net")
    assert checked.program is not None, "\n\n".join(render(d, checked.source) for d in checked.diagnostics)
    return compiler.emit(checked.program)


def script(text: str) -> ModuleType:
    """The training script of a program as a module."""
    files = compiled(text)
    assert files.train is not None
    return load_script(files.train, files.model)


def write(name: str, *rows: str) -> Path:
    """A text file of these lines, in the current folder."""
    path = Path(name)
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path
