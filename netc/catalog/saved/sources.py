"""What makes tensors of numbers alone saves nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.catalog.saved.call import Call, made

if TYPE_CHECKING:
    from netc.catalog.saved.call import Fact, Results
    from netc.catalog.saved.tape import Tape


def _made(t: Tape, c: Call) -> Results:
    return made(t, c, grad=False)


_NAMES = "arange empty eye full linspace ones rand randn randperm tensor zeros"
FUNCTIONS: dict[str, Fact] = dict.fromkeys(_NAMES.split(), _made)
LAYERS: dict[str, Fact] = {}
