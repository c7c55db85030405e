"""Programs with Python files beside them, in a folder of the test's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from netc import compiler
from netc.api import execute
from netc.files import imported
from netc.render import render

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from netc import ir

LAYERS = '''\
import torch
from torch import nn


class Scale(nn.Module):
    """A factor for each feature."""

    def __init__(self, features: int, start=1.0, *, bias: bool = True):
        super().__init__()
        self.weight = nn.Parameter(torch.full((features,), start))
        self.bias = nn.Parameter(torch.zeros(features)) if bias else None
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, x):
        y = x * self.weight
        return y if self.bias is None else y + self.bias


class Pair(nn.Module):
    def forward(self, a, b, scale=None):
        both = torch.cat([a, b], 1)
        return both if scale is None else both * scale


class Patches(nn.Module):
    def __init__(self, size, width):
        super().__init__()
        self.project = nn.Conv2d(3, width, size, stride=size)

    def forward(self, image):
        return self.project(image).flatten(2).transpose(1, 2)


def swap(x, first=1, second=2):
    return x.transpose(first, second)


def halve(x, *, step=2):
    return x[..., ::step]
'''


class Built(NamedTuple):
    """A program that was checked: what came of it, and where it lies."""

    folder: Path
    checked: compiler.Checked

    @property
    def program(self) -> ir.Program:
        assert self.checked.program is not None, self.said
        return self.checked.program

    @property
    def said(self) -> str:
        return "\n\n".join(render(d, self.checked.source) for d in self.checked.diagnostics)

    @property
    def codes(self) -> list[str]:
        return [d.code for d in self.checked.diagnostics]

    @property
    def model(self) -> str:
        return compiler.emit(self.program).model

    def module(self, name: str = "Net") -> nn.Module:
        files = compiler.emit(self.program)
        made: nn.Module = getattr(execute(files.model, "net", [source for source, _ in files.shipped]), name)()
        return made


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Built]:
    """Check a program; further files are given by name, dots in them as two underscores."""
    monkeypatch.chdir(tmp_path)

    def made(text: str, **files: str) -> Built:
        for name, content in {"layers": LAYERS, **files}.items():
            (tmp_path / f"{name}.py").write_text(content)
        (tmp_path / "net.net").write_text(text)
        return Built(tmp_path, compiler.analyse(text, "net.net", "net", None, imported))

    return made
