"""What goes wrong while a network runs: a sentence for the user in place of a traceback.

In: a message and, where there is one, the way out. Out: `UserError`, which the command line prints as an error, exit
code 1. Leaves mistakes of a .net file to `diagnostics`: those have a place and are collected, not raised.
"""

from __future__ import annotations


class UserError(Exception):
    """A mistake or a circumstance that only the user can put right: a missing file, a device that isn't there.

    Args:
        message: what is wrong, in one sentence, with the names and numbers of this case.
        help: the way out, where one is known.
        details: what the library beneath said, for those who ask for more.
    """

    def __init__(self, message: str, help: str | None = None, details: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.help = help
        self.details = details
