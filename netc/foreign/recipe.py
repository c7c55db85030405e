"""How a layer is made: a class or builder with its arguments, and the edits that follow."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from netc.catalog.entry import Entry, LayerValue

if TYPE_CHECKING:
    from netc.foreign.source import PythonFile


def file_of(entry: Entry) -> PythonFile | None:
    """The Python file that defines an entry; None for what is torch's or torchvision's."""
    return getattr(entry.rule.shape, "file", None) if entry.rule is not None and entry.rule.probed else None


class Edit(NamedTuple):
    """`replace`, `append` or `remove` at a path; `made` is what is put there."""

    kind: str
    path: str
    made: Recipe | None


class Recipe(NamedTuple):
    """A layer with the arguments that are given, all of them numbers and the like, and edits in their order."""

    layer: LayerValue
    edits: tuple[Edit, ...] = ()

    @property
    def key(self) -> str:
        """A text that is the same for recipes that make the same."""
        edits = (f"{e.kind} {e.path} {e.made.key if e.made is not None else ''}" for e in self.edits)
        return f"{_key(self.layer)}{{{'; '.join(edits)}}}"


def _key(value: object) -> str:
    if isinstance(value, LayerValue):
        return f"{_key(value.entry)}({', '.join(f'{n}={_key(v)}' for n, v in value.args.items())})"
    if isinstance(value, Entry):
        file = file_of(value)
        return f"{value.home}.{value.name}{f'#{file.serial}' if file is not None else ''}"
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return f"{type(value).__name__}[{', '.join(map(_key, value))}]"
    return repr(value)
