"""Layers that are Python already: classes and functions of a `use`d file, and the models of torchvision.

In: a Python file, or the name of a model. Out: an `Entry` as the catalog has them, whose rule asks torch: the layer is
built and run on the meta device, where tensors have shapes and no numbers.
Guarantees: a file is read by its syntax alone until a rule is asked, so that names and arguments are checked without
torch; nothing is downloaded; what the layer raises comes back as a `Raised` refusal.
Leaves to others: when a rule may be asked (the checker does it once all else has passed), and what is printed.
"""

from __future__ import annotations

from netc.shapes import Reject


class Raised(Reject):
    """A refusal that has a code of its own, and notes: what a Python layer raised, and where."""

    code: str = "E0707"
    notes: tuple[str, ...] = ()


def raised(code: str, reason: str, notes: tuple[str, ...] = ()) -> Raised:
    """A refusal with a code and notes."""
    made = Raised(None, "", "", reason)
    made.code, made.notes = code, notes
    return made
