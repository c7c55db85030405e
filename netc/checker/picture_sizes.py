"""Which pictures of a folder differ, for the note of an error that says that they do.

In: a folder of pictures as the program writes it, and what a chain of transforms makes of a picture. Out: a sentence
that names two files, or none. Guarantees: only the beginnings of a few files are read, and only where there is a
mistake to explain; what can't be read is passed over. Leaves to others: whether it is a mistake, which doesn't hang on
the disk.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from netc.checker.transforms import follow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netc import ir
    from netc.catalog.data import Image

_LOOKED_AT = 500  # files


def sizes_note(folder: str, calls: tuple[ir.Call, ...], image: Image) -> list[str]:
    """Two pictures of a folder, relative to where netc was started, that come out of the transforms unlike.

    Args:
        folder: has a folder for each class.
        calls: the chain of transforms.
        image: a picture before it, of any size.
    """
    first: tuple[str, str] | None = None
    for path, width, height in _headers(folder):
        out = follow(calls, image._replace(height=height, width=width))
        if out is None:
            continue
        size = f"{out.width}\u00d7{out.height}"
        if first is not None and size != first[1]:
            return [f"`{first[0]}` would be {first[1]} pixels, `{path}` {size}"]
        first = first or (path, size)
    return []


def _headers(folder: str) -> Iterator[tuple[str, int, int]]:
    """The path, width and height of the first pictures, those of all classes by turns."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        return
    places = []
    for place, folders, names in os.walk(folder):
        folders.sort()
        places.append([f"{place}/{name}" for name in sorted(names)])
        if len(places) > _LOOKED_AT:
            break
    longest = max(map(len, places), default=0)
    turns = [names[i] for i in range(min(longest, _LOOKED_AT)) for names in places if i < len(names)]
    for path in turns[:_LOOKED_AT]:
        try:
            with Image.open(path) as picture:
                yield path, *picture.size
        except (OSError, UnidentifiedImageError, ValueError, Image.DecompressionBombError):
            continue
