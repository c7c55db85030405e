"""What is wrong itself, and what hangs on it.

In: parts of a program that couldn't be read. Out: a `GAP` in the place of each, so that the checks of how the parts fit
together run all the same: one that asks a gap for anything ends there, without a word, and the others go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable


class _Asked(Exception):
    """A check has asked for what is not known."""


class _Gap:
    """Stands for a part that is wrong; whatever is asked of it ends the check that asks."""

    def _asked(self, *given: object) -> NoReturn:
        raise _Asked

    __getattr__ = __bool__ = __iter__ = __len__ = __getitem__ = __index__ = __hash__ = _asked
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _asked
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __mod__ = __rmod__ = _asked
    __floordiv__ = __rfloordiv__ = __truediv__ = __rtruediv__ = _asked


GAP: Final[Any] = _Gap()


def attempt(check: Callable[..., None], *given: Any) -> None:
    """Run a check as far as what is known reaches."""
    try:
        check(*given)
    except _Asked:
        return
