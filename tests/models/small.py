"""Networks of the model library at sizes of a test's own.

In: a file under models/ and a network defined as a variant of what it holds. Out: that network, built, or beside
torchvision's of the same sizes.
Guarantees: it is compiled as any other variant of the file would be.
Leaves to others: what is compared, and torchvision's arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any

import torch
from torch import nn

from netc.api import execute
from netc.compiler import analyse, emit
from netc.files import imported
from netc.render import render
from tests.models.referee import MODELS, Pair


@cache
def generated(file: str, definition: str) -> ModuleType:
    """The module that netc writes for `models/{file}.net` with `network Small = {definition}` at its end."""
    path = MODELS / f"{file}.net"
    text = f"{path.read_text(encoding='utf-8')}\nnetwork Small = {definition}\n"
    checked = analyse(text, str(path), path.stem, None, imported)
    assert checked.program is not None, "\n\n".join(render(d, checked.source) for d in checked.diagnostics)
    return execute(emit(checked.program).model, path.stem)


def small(file: str, definition: str, **settings: Any) -> nn.Module:
    built: nn.Module = generated(file, definition).Small(**settings)
    return built


def small_pair(file: str, definition: str, theirs: Callable[[], nn.Module]) -> Pair:
    """Both networks, each from the same seed."""
    torch.manual_seed(0)
    compiled = small(file, definition)
    torch.manual_seed(0)
    return Pair(compiled, theirs())
