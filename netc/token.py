"""A token: its type, which is a terminal of the grammar, `$END`, or `ERROR`, its text and its place.

An `ERROR` stands for text whose mistake has been reported; no rule of the grammar takes it.
"""

from typing import NamedTuple

from netc.source import Span


class Token(NamedTuple):
    """One token."""

    type: str
    text: str
    span: Span
