"""How layers and functions act on shapes, one module for each family.

In: a kind and a name. Out: its `Rule`, or None for what has no rule yet.
Guarantees: a family's module is imported when one of its names is first asked for; no rule raises for arguments of the
declared types, and each rejects what torch rejects on the CPU.
Leaves to others: types of arguments, which the checker compares with the signature before it asks a rule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netc.catalog.entry import Rule


def rule(kind: str, name: str) -> Rule | None:
    """The rule of a layer or function; other kinds have none."""
    return None
