"""What recurrent layers save: on a CPU each step's gates and states, or oneDNN's workspace for an LSTM.

In: a call. Out: its results. oneDNN's workspace has seven parts of whole pages, as measured; GPUs
keep a reserve of cuDNN's instead, whose size only cuDNN says: what is counted there is each step's gates and states.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from netc.catalog.saved.call import Call, made
from netc.catalog.saved.tape import Value

if TYPE_CHECKING:
    from netc.catalog.saved.call import Fact, Results
    from netc.catalog.saved.tape import Tape

# States of one step that are kept beside the gates: of a GRU the new gate, two copies that are overwritten, and h.
_STATES = {"RNN": 0, "GRU": 3, "LSTM": 2}
_GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def _sequence(kind: str, t: Tape, c: Call) -> Results:
    """All layers and directions, one after the other."""
    x = t.transpose(c.x, 0, 1) if c["batch_first"] and c.x.dim == 3 else c.x
    x = x if x.dim == 3 else t.unsqueeze(x, 1)
    hidden, projected = c["hidden_size"], c["proj_size"] or 0
    layers, both = c["num_layers"] or 1, bool(c["bidirectional"])
    width = projected or hidden
    steps, batch = x.shape[:2]
    fused = kind == "LSTM" and not projected
    given = c.inputs[1:]
    states = (width, hidden) if kind == "LSTM" else (hidden,)
    start = given or tuple(t.new((layers * (1 + both), batch, n)) for n in states)
    for i in range(layers):
        learns = x.grad or c.trained
        y = t.new((steps, batch, width * (1 + both)), x.dtype, learns)
        if learns:
            t.save(*([x] if fused else []), *start[: 2 if fused else 1])
        for _ in range(1 + both):
            if learns and not fused:  # each direction copies what is not contiguous
                t.save(t.reshape(x, (-1, x.shape[2])))
            if learns and fused:
                _one_dnn(t, x, steps, batch, hidden, y if not both else t.new((steps, batch, hidden)))
            elif learns:
                _steps(t, kind, steps, batch, hidden, projected)
        last = i == layers - 1
        x = y if last else t.dropout(y, c["dropout"] or 0.0)
    found = made(t, c)
    if c.x.dim == 3:  # the result is where the last layer wrote it
        y = t.transpose(x, 0, 1) if c["batch_first"] else x
        found = y if isinstance(found, Value) else (y, *found[1:])
    return found


def _one_dnn(t: Tape, x: Value, steps: int, batch: int, hidden: int, y: Value) -> None:
    """A layer in one direction: its result, last states, and a workspace of gates and states."""
    row, states = max(_padded(hidden), _padded(x.shape[2])), 2 * (steps + 1)
    parts = (steps * _padded(4 * hidden), steps * row, *(states * row,) * 3, *(states * hidden,) * 2)
    pages = sum(-(-batch * part * 4 // 4096) for part in parts)
    t.save(y, t.new((batch, hidden)), t.new((batch, hidden)), t.new((pages * 1024,)))


def _padded(size: int) -> int:
    """The length of a row in oneDNN's workspace: whole cache lines, and not a multiple of 256."""
    whole = -(-size // 16) * 16
    return whole + 16 if whole % 256 == 0 else whole


def _steps(t: Tape, kind: str, steps: int, batch: int, hidden: int, projected: int) -> None:
    gates, states = _GATES[kind], _STATES[kind] + (1 if projected else 0)
    t.save(t.new((steps, batch, (gates + states) * hidden)))
    t.save(t.new((steps - 1 if kind != "RNN" else 0, batch, projected or hidden)))  # h, but for the first


def _cell(kind: str, t: Tape, c: Call) -> Results:
    """A single step; the states that are given are the caller's."""
    x, hidden = c.x, c["hidden_size"]
    batch = x.shape[0] if x.dim == 2 else 1
    given = c.inputs[1:] or (t.new((batch, hidden)),)
    found = made(t, c)
    if c.grad:
        t.save(x, *given)
        t.save(t.new((batch, _GATES[kind] * hidden)) if kind != "RNN" else _first(found))
        t.save(t.new((batch, (_STATES[kind] - (1 if kind == "LSTM" else 0)) * hidden)))
    return found


def _first(found: Results) -> Value:
    while not isinstance(found, Value):
        found = found[0]
    return found


FUNCTIONS: dict[str, Fact] = {}
LAYERS: dict[str, Fact] = {
    **{kind: partial(_sequence, kind) for kind in _GATES},
    **{f"{kind}Cell": partial(_cell, kind) for kind in _GATES},
}
