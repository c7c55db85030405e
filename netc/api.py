"""What `import netc` offers to Python, behind the thin functions of the package."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

from netc import compiler
from netc.files import imported, read_program
from netc.literals import literal
from netc.render import render
from netc.runtime.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike

    from torch import nn

    from netc.diagnostics import Diagnostic


class Compiled(NamedTuple):
    """The generated texts."""

    model: str
    train: str | None


class ProgramError(ValueError):
    """A program with mistakes. `diagnostics` holds them; the text shows them as the command line does."""

    def __init__(self, checked: compiler.Checked) -> None:
        self.diagnostics = checked.diagnostics
        super().__init__("\n\n".join(render(d, checked.source) for d in checked.diagnostics))


def check(text: str) -> tuple[Diagnostic, ...]:
    """See `netc.check`."""
    return compiler.analyse(text).diagnostics


def compile_text(text: str, stem: str) -> Compiled:
    """See `netc.compile`."""
    checked = compiler.analyse(text, stem=stem)
    if checked.program is None:
        raise ProgramError(checked)
    files = compiler.emit(checked.program)
    return Compiled(files.model, files.train)


def load(path: str | PathLike[str], network: str | None, parameters: Mapping[str, object]) -> nn.Module:
    """See `netc.load`."""
    path = Path(path)
    settings = {name: literal(value) for name, value in parameters.items()}
    checked = compiler.analyse(read_program(path), str(path), path.stem, settings, imported)
    if checked.program is None:
        raise ProgramError(checked)
    names = [n.name for n in checked.program.networks]
    chosen = network or (
        checked.program.trained.name if checked.program.trained else names[0] if len(names) == 1 else None
    )
    if chosen not in names:
        said = f"there is no network `{chosen}` in {path}" if chosen else f"{path} has several networks"
        raise UserError(said, help=f"say which one: {', '.join(names)}")
    files = compiler.emit(checked.program)
    module = execute(files.model, path.stem, [source for source, _ in files.shipped])
    built: nn.Module = getattr(module, chosen)()
    return built


def execute(text: str, stem: str, beside: Sequence[Path] = ()) -> ModuleType:
    """Run the text of model.py as a module of its own, registered so that its classes can be pickled and inspected.

    `beside` are the Python files that it may import.
    """
    from netc.foreign.importing import importable

    name = f"netc_generated_{''.join(c if c.isalnum() else '_' for c in stem)}"
    module = ModuleType(name, f"The network of {stem}.net.")
    sys.modules[name] = module
    with importable(beside):
        exec(compile(text, f"<model.py of {stem}.net>", "exec"), module.__dict__)
    return module
