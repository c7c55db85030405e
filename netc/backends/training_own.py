"""Transforms of a Python file: how the script calls them, image by image.

In: steps of `transform` and `augment` whose entry is of a Python file. Out: expressions, constants, imports, the files
to lie beside the script. Guarantees: an object is made once; its module is imported under a name that the script
doesn't use otherwise. Leaves to others: where in a chain a step stands (`training_images`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from netc import ir

EACH = '''
def each(change: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """A transform of one's own, image by image; shape and type have to stay."""
    changed = torch.stack([change(image) for image in images])
    if changed.shape != images.shape or changed.dtype != images.dtype:
        fail(
            f"{change} makes {changed.dtype} {list(changed.shape[1:])} "
            f"of {images.dtype} {list(images.shape[1:])}"
        )
    return changed
'''


def is_own(step: ir.Call) -> bool:
    """Whether a step is of a Python file."""
    return step.entry.home.startswith("python:")


def applied(step: ir.Call, arguments: str) -> tuple[str, tuple[str, ...]]:
    """Python for what is called with an image, and the constant that it needs; the module stands as a mark."""
    module, _, name = step.name.rpartition(".")
    called = f"{_mark(module)}.{name}"
    if not name[0].isupper():
        return (f"lambda image: {called}(image, {arguments})" if arguments else called), ()
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    constant = re.sub(r"\W+", "_", f"{words} {arguments}").strip("_").upper()
    return constant, (f"{constant} = {called}({arguments})",)


def _mark(module: str) -> str:
    return f"@OWN_{module}@"


def modules(steps: Iterable[ir.Call]) -> list[str]:
    """The modules of steps of Python files."""
    return list(dict.fromkeys(step.name.partition(".")[0] for step in steps if is_own(step)))


def named(text: str, names: Mapping[str, str]) -> str:
    """A text with the names of the modules in the place of their marks."""
    for module, name in names.items():
        text = text.replace(_mark(module), name)
    return text


def imports(data: ir.Data, code: str) -> tuple[list[str], dict[str, str]]:
    """The lines that import the modules, and the name of each in a script of this code."""
    code = re.sub(r"#.*|@OWN_\w+@", "", code)
    names = {m: f"{m}_file" if re.search(rf"\b{m}\b", code) else m for m in modules((*data.transform, *data.augment))}
    return [f"import {m}" if m == name else f"import {m} as {name}" for m, name in names.items()], names


def companions(data: ir.Data) -> tuple[Path, ...]:
    """The Python files that the steps need."""
    found: dict[Path, None] = {}
    for step in filter(is_own, (*data.transform, *data.augment)):
        shape: Any = step.entry.rule.shape if step.entry.rule is not None else None
        found |= dict.fromkeys(shape.file.companions)
    return tuple(found)


def digest(step: ir.Call) -> str:
    """What tells the code of a step from a former one, as long as it is in its files."""
    from hashlib import sha256

    shape: Any = step.entry.rule.shape if step.entry.rule is not None else None
    text = b"\0".join(path.read_bytes() for path in shape.file.companions if path.is_file())
    return sha256(text or shape.file.text.encode()).hexdigest()[:12]
