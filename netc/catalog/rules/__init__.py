"""How layers and functions act on shapes, one module for each family.

In: a family and a name; the catalog's data says which name is of which family. Out: its `Rule`.
Guarantees: a family's module is imported when one of its names is first asked for; no rule raises for arguments of the
declared types, and each rejects what torch rejects on the CPU.
Leaves to others: types of arguments, which the checker compares with the signature before it asks a rule.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netc.catalog.entry import Rule

FAMILIES = (
    "arithmetic", "attention", "complex_numbers", "contraction", "convolution", "distance", "elementwise",
    "factories", "folding", "linear", "normalization", "padding", "pooling", "recurrent", "reduction", "resampling",
    "reshaping", "selection", "transformer", "unpooling", "vision", "weighted",
)  # fmt: skip


def of(family: str, kind: str) -> Mapping[str, Rule]:
    """The rules of a family, for the kind "layer" or "function"."""
    module = import_module(f"netc.catalog.rules.{family}")
    rules: Mapping[str, Rule] = module.LAYERS if kind == "layer" else module.FUNCTIONS
    return rules
