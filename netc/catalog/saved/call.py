"""One application of a layer or function, as the facts about what it saves are asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc.catalog.saved.tape import DIFFERENTIABLE, Value, standard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from netc.catalog.saved.tape import Tape
    from netc.shapes import TensorType

    Results = Value | tuple["Results", ...]
    Fact = Callable[[Tape, "Call"], Results]


class Call:
    """A call with numbers for all sizes.

    args: every argument by name; in a function's, tensors are values.
    inputs: the tensors in the order of the signature.
    result: the type of the result, or of several, nested as torch nests them.
    weights: parameters and buffers of a layer by name.
    """

    __slots__ = ("args", "inputs", "result", "weights")

    def __init__(
        self,
        args: Mapping[str, Any],
        inputs: tuple[Value, ...],
        result: Any,
        weights: Mapping[str, Value] | None = None,
    ) -> None:
        self.args = args
        self.inputs = inputs
        self.result = result
        self.weights = weights or {}

    def replace(self, **changes: Any) -> Call:
        """The same call with something else in it."""
        return Call(**{name: changes.get(name, getattr(self, name)) for name in self.__slots__})

    @property
    def x(self) -> Value:
        return self.inputs[0]

    @property
    def trained(self) -> bool:
        """Whether a parameter of the layer learns."""
        return any(w.grad for w in self.weights.values())

    @property
    def grad(self) -> bool:
        """Whether the result requires gradients, if its numbers can have any."""
        return self.trained or any(v.grad for v in self.inputs)

    def __getitem__(self, name: str) -> Any:
        return self.args.get(name)


def results(call: Call) -> list[TensorType]:
    """The types of all results in their order."""
    return list(_flat(call.result))


def _flat(result: Any) -> Iterator[TensorType]:
    if hasattr(result, "dtype"):
        yield result
        return
    for part in result:
        yield from _flat(part)


def made(t: Tape, call: Call, grad: bool | None = None) -> Results:
    """New tensors for the results; those of numbers that have a gradient require it if an input does."""
    return _made(t, call.result, call.grad if grad is None else grad)


def _made(t: Tape, result: Any, grad: bool) -> Results:
    if hasattr(result, "dtype"):
        return t.new(result.shape, result.dtype, grad)
    return tuple(_made(t, part, grad) for part in result)


def flat(value: Results) -> list[Value]:
    """All values in their order."""
    return [value] if isinstance(value, Value) else [v for part in value for v in flat(part)]


def saving(letters: str) -> Fact:
    """A fact in letters: "x" for the first tensor, "z" for the second, "y" for the first result, "i" for the second."""

    def fact(t: Tape, c: Call) -> Results:
        found = made(t, c)
        if not c.grad:
            return found
        several = flat(found)
        places = {"x": c.inputs[:1], "z": c.inputs[1:2], "y": several[:1], "i": several[1:2]}
        if any(v.grad for v in several):
            for letter in letters:
                t.save(*places[letter])
        return found

    return fact


def view_of(x: Value, result: TensorType) -> Value:
    """A part or another form of `x`; its strides are those of a contiguous tensor, where nothing says more."""
    shape = tuple(int(str(n)) for n in result.shape)
    return x._replace(shape=shape, strides=standard(shape), grad=x.grad and result.dtype in DIFFERENTIABLE)
