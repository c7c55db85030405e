"""What only some files need, and what is therefore imported only for them."""

from __future__ import annotations

from typing import Any


def python_layers() -> Any:
    """The part for Python layers, loaded where there are any."""
    from netc.checker import python_layers as part

    return part
