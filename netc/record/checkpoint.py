"""What a checkpoint says of itself, read without torch.

In: the path of a `.pt` file. Out: its entries that are plain values: epoch, names of classes, settings, history.
Guarantees: nothing in the file is executed, whatever it holds; tensors are not read; a damaged or foreign file gives an
empty mapping. Leaves weights to `netc.runtime.script`.
"""

from __future__ import annotations

import functools
import io
import pickle
import zipfile
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_LARGEST = 64 * 2**20  # bytes of a description; that of a network with 10,000 tensors takes 2 MiB


class _Opaque:
    """Stands for whatever is no plain value, a tensor say; it takes any arguments, and does nothing."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """No name leads to code: a call of one makes an `_Opaque`."""
        return OrderedDict if (module, name) == ("collections", "OrderedDict") else _Opaque

    def persistent_load(self, pid: object) -> object:
        """The storage of a tensor."""
        return _Opaque()


def facts(path: Path) -> dict[str, Any]:
    """The entries of a checkpoint whose values are numbers, texts, truth values, and lists and mappings of those."""
    try:
        stat = path.stat()
    except OSError:
        return {}
    return _facts(path, stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=256)
def _facts(path: Path, when: int, size: int) -> dict[str, Any]:
    """The facts of a file as it was at a time: a page is made again and again while a run goes on."""
    try:
        with zipfile.ZipFile(path) as archive:
            entry = next(info for info in archive.infolist() if info.filename.endswith("/data.pkl"))
            if entry.file_size > _LARGEST:
                return {}
            content = _Reader(io.BytesIO(archive.read(entry))).load()
    except Exception:  # of many kinds where a file is damaged or foreign
        return {}
    if not isinstance(content, dict):
        return {}
    return {key: value for key, value in content.items() if isinstance(key, str) and _is_plain(value)}


def _is_plain(value: object, depth: int = 8) -> bool:
    if isinstance(value, dict):
        return depth > 0 and all(isinstance(k, (str, int)) and _is_plain(v, depth - 1) for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return depth > 0 and all(_is_plain(item, depth - 1) for item in value)
    return value is None or isinstance(value, (bool, int, float, str))
