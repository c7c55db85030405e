"""Layers that others hold: an activation or a norm that is an argument of a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc.catalog.entry import REQUIRED
from netc.catalog.saved.call import Call
from netc.catalog.saved.tape import Unknown, Value
from netc.shapes import TensorType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netc.catalog.saved.tape import Tape


def apply(t: Tape, layer: Any, x: Value, weights: Mapping[str, Value], prefix: str = "", channels: int = 0,
          inplace: bool | None = None) -> Value:  # fmt: skip
    """A layer that keeps the shape, with those of the weights whose names begin with `prefix`.

    `channels` is given to the first parameter, where that has no value; `inplace` to the one of that name.
    """
    from netc.catalog import saved

    if layer is None:
        return x
    args = {p.name: p.default for p in layer.entry.params} | dict(layer.args)
    first = next(iter(args), "")
    if first and args[first] is REQUIRED:
        args[first] = channels
    if inplace is not None and "inplace" in args:
        args["inplace"] = inplace
    fact = saved.of_layer(layer.entry.name)
    if fact is None:
        raise Unknown(layer.entry.name)
    own = {n.removeprefix(prefix): w for n, w in weights.items() if n.startswith(prefix)} if prefix else {}
    y = fact(t, Call(args, (x,), TensorType(x.shape, x.dtype), own))
    assert isinstance(y, Value)
    return y
