"""Scripts from the text of a program, loaded as modules: what a file gives, from its first word to the last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc import compiler
from netc.runtime.script import load_script

if TYPE_CHECKING:
    from types import ModuleType

NETWORK = """network Net {
  input image: [N, 1, 8, 8]
  Flatten -> fc: Linear(10)
}
"""
DATA = """data {
  train      = FakeData(size=40, image_size=[1, 8, 8])
  validation = FakeData(size=23, image_size=[1, 8, 8], random_offset=100)
  transform  = ToTensor
  batch_size = 8
}
"""


def program(train: str, network: str = NETWORK, data: str = DATA) -> str:
    """The text of a program, the settings of `train` a line each; those that are left out have defaults."""
    settings = {"loss": "CrossEntropyLoss", "optimizer": "SGD(lr=0.1)", "epochs": "2"}
    settings |= dict(line.split(" = ", 1) for line in train.strip().split("\n") if line)
    return f"{network}\n{data}\ntrain {{\n" + "".join(f"  {k} = {v}\n" for k, v in settings.items()) + "}\n"


def checked(text: str) -> compiler.Checked:
    """The program as checked."""
    return compiler.analyse(text, "case.net", "case")


def files(text: str) -> compiler.Files:
    """The files of a program without mistakes."""
    found = checked(text)
    assert found.program is not None, [(d.code, d.message) for d in found.diagnostics]
    return compiler.emit(found.program)


def script(text: str) -> ModuleType:
    """train.py of a program as a module."""
    made = files(text)
    assert made.train is not None
    return load_script(made.train, made.model)
