"""What reductions save: nothing for sums and means, indices for a greatest element, the input for most others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.catalog.saved.call import Call, flat, made, saving

if TYPE_CHECKING:
    from netc.catalog.saved.call import Fact, Results
    from netc.catalog.saved.tape import Tape


def _greatest(t: Tape, c: Call) -> Results:
    """max, min and median: with `dim` values and indices, of which these are kept; without, one value."""
    found = made(t, c)
    if c.x.grad:
        several = flat(found)
        t.save(*([several[1]] if len(several) > 1 else [c.x, several[0]]))
    return found


def _no_gradient(t: Tape, c: Call) -> Results:
    return made(t, c, grad=False)


def _with_counts(t: Tape, c: Call) -> Results:
    """nanmean: the input, and how many numbers there are."""
    found = made(t, c)
    if c.x.grad:
        t.save(c.x, t.new(flat(found)[0].shape, "int64"))
    return found


_SAVES = {
    "": "sum mean cumsum",
    "x": "var var_mean nansum",
    "xy": "amax amin prod cumprod logsumexp logcumsumexp std norm",
    "i": "sort topk kthvalue mode",
    "xi": "cummax cummin",
}
FUNCTIONS: dict[str, Fact] = {
    **{name: saving(letters) for letters, names in _SAVES.items() for name in names.split()},
    **dict.fromkeys("all any argmax argmin argsort count_nonzero".split(), _no_gradient),
    **dict.fromkeys("max min median".split(), _greatest),
    "aminmax": saving("xyi"), "nanmean": _with_counts, "std_mean": saving("xy"),
}  # fmt: skip
LAYERS: dict[str, Fact] = {}
