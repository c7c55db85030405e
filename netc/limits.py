"""How far netc goes: every limit of what a program may be and may ask for, and the meter of its work.

In: what the stages spend. Out: `Exhausted` where a program asks for more than it may. Guarantees: no text keeps netc
busy for long, or fills the memory: everything that can be repeated is paid for, by a count and not by the clock, so
that the same program ends in the same place on every machine. Leaves to others: the words of the errors.
"""

from __future__ import annotations

from _thread import _local
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netc.source import Span

FILE_BYTES = 1_000_000  # of a .net file or a Python file
WORDS = 200_000  # words and signs of a program, with the files that it imports
FILES = 200  # that a program imports
STEPS = 1_200_000  # of the work for a program, and for each of its words:
STEPS_PER_WORD = 200
TREE_LEVELS = 100  # of brackets and blocks in each other
CHAIN_LINKS = 100  # of a chain, and `elif`s of an `if`
MODULE_LEVELS = 25  # of modules that hold modules
VARIANT_LEVELS = 25  # of networks that stand on each other
CONSTANT_LEVELS = 100  # of constants that need one that stands below
FORMULA_LEVELS = 50  # of formulas that call formulas
IMPORT_LEVELS = 25  # of files that import files
DIGITS = 19  # of a whole number
NUMBER = 2**63  # a whole number is smaller
ITEMS = 100_000  # of a list or a string, with those of the lists in it
VALUE_LEVELS = 50  # of lists in lists
SIZE_TERMS = 500  # names in the expression that a size is
SIZE_LEVELS = 60  # of divisions in each other in it
AXES = 64  # of a tensor
LABEL_LENGTH = 200
PATTERN_LENGTH = 200  # of a path with `*` in it
RESULTS = 10_000  # tensors that one call gives
STACKED = 1_000  # layers in an `LSTM` or a `TransformerEncoder`

CLASSES = 100_000  # of `FakeData`
WORD_LENGTH = 100  # of a misspelt word that others are compared with

# What a layer costs, compared with a step of an expression.
ROW = 40
STATEMENT = 3


class Exhausted(Exception):
    """The work of a program has no end that is worth waiting for."""


class Unwieldy(Exhausted):
    """A size is too long an expression."""


class _Meter(_local):
    """The work that is left, in this thread, and where it is done."""

    def __init__(self) -> None:
        self.left = STEPS
        self.words = 0
        self.place: Span | None = None  # of the statement in the file that is checked
        self.weights: dict[int, tuple[object, int, int]] = {}  # of lists in lists: itself, items, levels


meter = _Meter()


def begin() -> None:
    """A program begins."""
    meter.__init__()  # type: ignore[misc]


def allow(words: int) -> None:
    """A text is parsed: it may have work done in proportion to its length."""
    meter.words += words
    meter.left += words * STEPS_PER_WORD


def spend(steps: int) -> None:
    """Work is done.

    Raises:
        Exhausted: it is more than what is left.
    """
    meter.left -= steps
    if meter.left < 0:
        raise Exhausted


def total() -> int:
    """How many steps the program may take."""
    return STEPS + meter.words * STEPS_PER_WORD
