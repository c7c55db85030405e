"""What layers and functions save for their backward pass.

In: the kind and name of a layer or function. Out: its `Fact`, which plays a call on a `Tape`; None where there is none.
Guarantees: nothing of torch is imported; a module of facts is read when one of its names is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from netc.catalog import function as function_entry
from netc.catalog import layer as layer_entry

if TYPE_CHECKING:
    from netc.catalog.saved.call import Fact

_MODULES = ("elementwise", "shaping", "layers", "reductions", "products", "attention", "recurrent", "vision", "sources")


def of_function(name: str) -> Fact | None:
    """The fact of a function."""
    return next((f for m in _MODULES if (f := _facts(m, "FUNCTIONS").get(name)) is not None), None)


def of_layer(name: str) -> Fact | None:
    """The fact of a layer, or that of the function which applies it."""
    own = next((f for m in _MODULES if (f := _facts(m, "LAYERS").get(name)) is not None), None)
    if own is not None:
        return own
    entry = layer_entry(name)
    if entry is None or entry.rule is None or entry.rule.function is None:
        return None
    called = entry.rule.function.callee.rpartition(".")[2]
    return of_function(called) if function_entry(called) is not None else None


def _facts(module: str, kind: str) -> dict[str, Fact]:
    facts: dict[str, Fact] = getattr(import_module(f"netc.catalog.saved.{module}"), kind)
    return facts
