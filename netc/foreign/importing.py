"""Python files as modules for a while: the files of a program are imported from where they lie.

In: the paths of the files. Guarantees: afterwards `sys.modules` and `sys.path` are what they were, so that two programs
may each have a `layers.py`; nothing is written beside the files.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@contextlib.contextmanager
def importable(paths: Iterable[Path]) -> Iterator[None]:
    """Let `import layers` mean the file of that name among the paths."""
    files = [path.resolve() for path in paths if path.suffix == ".py"]
    stems = {path.stem for path in files}
    before = {n: sys.modules.pop(n) for n in stems if n in sys.modules}
    path, writes = list(sys.path), sys.dont_write_bytecode
    sys.path[:0] = dict.fromkeys(str(file.parent) for file in files)
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:], sys.dont_write_bytecode = path, writes
        for name in stems:
            sys.modules.pop(name, None)
        sys.modules.update(before)
