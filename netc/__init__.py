"""netc, the compiler for declarative neural networks.

    import netc

    model = netc.load("lenet.net", classes=10)   # an nn.Module: the generated code, run in memory
    netc.check(text)                             # the diagnostics of a text
    netc.compile(text)                           # the texts of model.py and train.py

Importing netc imports no torch; only `load` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from os import PathLike

    from torch import nn

    from netc.api import Compiled
    from netc.diagnostics import Diagnostic

__version__ = "0.1.0"
__all__ = ["__version__", "check", "compile", "load"]


def load(path: str | PathLike[str], *, network: str | None = None, **parameters: object) -> nn.Module:
    """Build a network of a .net file.

    Args:
        path: the file.
        network: which of its networks; needed where the file has several and its `train` section names none.
        parameters: values for the network's parameters and the file's constants, in place of what the file says. The
            whole file is checked with them.

    Returns:
        The module, freshly initialised, with torch's own default initialisation and from torch's global generator.

    Raises:
        netc.api.ProgramError: the file has mistakes; `diagnostics` holds them, and the text shows them.
        netc.runtime.errors.UserError: the file can't be read, or there is no such network.
    """
    from netc import api

    return api.load(path, network, parameters)


def check(text: str) -> tuple[Diagnostic, ...]:
    """The diagnostics of a text, errors and warnings, in the order of their places; empty where all is well."""
    from netc import api

    return api.check(text)


def compile(text: str, *, stem: str = "network") -> Compiled:
    """Compile a text.

    Args:
        text: a program.
        stem: the name of the program; runs are filed under it (`runs/STEM/001`).

    Returns:
        The texts of model.py and of train.py; the latter is None where the program has no `data` and `train`.

    Raises:
        netc.api.ProgramError: the text has mistakes.
    """
    from netc import api

    return api.compile_text(text, stem)
