"""Which modules of a network are a unit each when its weights are shared out among processes.

In: a checked network. Out: names of modules of the file. Guarantees: those that occur more than once, and no module
within another of them. Leaves the sharing itself to torch, and what it costs to the summary.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from netc import ir

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def units(network: ir.Network) -> tuple[str, ...]:
    """The names of the modules whose instances are a unit each, in the order in which they come."""
    counts = Counter(instance.name for instance in _instances(network.children))
    repeated = frozenset(name for name, count in counts.items() if count > 1)
    return tuple(dict.fromkeys(_outermost(network.children, repeated)))


def _instances(children: Iterable[ir.Child]) -> Iterator[ir.Instance]:
    for child in children:
        if isinstance(child, ir.Instance):
            yield child
        if not isinstance(child, ir.Layer):
            yield from _instances(child.children)


def _outermost(children: Iterable[ir.Child], repeated: frozenset[str]) -> Iterator[str]:
    for child in children:
        if isinstance(child, ir.Instance) and child.name in repeated:
            yield child.name
        elif not isinstance(child, ir.Layer):
            yield from _outermost(child.children, repeated)
