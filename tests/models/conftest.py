"""Networks of the library that the compiler doesn't take yet wait in `awaited`, with their tests already written."""

from __future__ import annotations

from pathlib import Path

import pytest

AWAITED = tuple(sorted(p.stem for p in (Path(__file__).parent / "awaited").glob("*.net")))
OF_AWAITED: tuple[str, ...] = ()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of networks that wait."""
    here = str(Path(__file__).parent)
    marks = (*AWAITED, *OF_AWAITED)
    ours = [i for i in items if str(i.path).startswith(here)]
    waits = [i for i in ours if any(n in f"{i.path.name} {i.name}".lower() for n in marks)]
    config.hook.pytest_deselected(items=waits)
    items[:] = [i for i in items if i not in waits]
