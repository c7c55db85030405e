"""What the rules of all families share: reading arguments, and the refusals that many layers have in common.

In: arguments as the checker bound them, types of inputs. Out: sizes, or a `Reject`; None where there is nothing wrong.
Guarantees: with symbolic sizes only what is certain is refused.
Leaves to others: the layers themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from netc.catalog.entry import REQUIRED
from netc.limits import RESULTS, STACKED
from netc.shapes import Dim, Reject, Size, TensorType, less, same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from netc.catalog.entry import Args, Inputs, LayerValue

HALVES = frozenset({"float16", "bfloat16"})
FLOATS = frozenset({"float32", "float64"}) | HALVES
INTS = frozenset({"int64", "int32", "int16", "int8", "uint8"})
NUMBERS = FLOATS | INTS
ALL = NUMBERS | {"bool"}
COMPLEX = frozenset({"complex64", "complex128"})
WEIGHTS = frozenset({"float32"})  # a layer's parameters are float32, and torch does not convert the input

LAYOUTS = {1: "[N, C, L]", 2: "[N, C, H, W]", 3: "[N, C, D, H, W]"}
AXES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}


class Axis(NamedTuple):
    """One spatial axis: its name for messages, and its size."""

    name: str
    size: Dim


def dims(value: object) -> tuple[Dim, ...]:
    """A number as a tuple of one, a list or tuple as it is."""
    if isinstance(value, int | Size):
        return (value,)
    assert isinstance(value, tuple | list), value
    return tuple(value)


def spread(value: object, n: int) -> tuple[Dim, ...]:
    """One number for all of n axes, or a number for each."""
    given = dims(value)
    return given * n if len(given) == 1 else given


def size(args: Args, name: str) -> Dim:
    """An argument that is one size."""
    value = args[name]
    assert isinstance(value, int | Size), (name, value)
    return value


def number(args: Args, name: str) -> float:
    """An argument that is one number."""
    value = args[name]
    assert isinstance(value, int | float), (name, value)
    return value


def number_of_axes(x: TensorType, allowed: Iterable[int], layout: str) -> Reject | None:
    """Refuses an input of another number of dimensions; `layout` is what is expected, in shape notation."""
    count = len(x.shape)
    if count in allowed:
        return None
    return Reject(None, layout, str(x), f"I take an input of shape {layout}, and this one has {plural(count, 'axis')}")


def spatial(x: TensorType, n: int) -> Reject | None:
    """Refuses an input that is not a batch with channels and n spatial axes."""
    if len(x.shape) == n + 1:
        return Reject(None, LAYOUTS[n], str(x), f"the batch axis is missing: I take {LAYOUTS[n]}, the batch first")
    return number_of_axes(x, (n + 2,), LAYOUTS[n]) or nonempty(x)


def nonempty(x: TensorType) -> Reject | None:
    """Refuses samples without a single number."""
    if 0 not in x.shape[1:]:
        return None
    return Reject(None, "a number at least", str(x), f"each sample of my input {x} has no number at all")


def batched(x: TensorType, count: int, layout: str) -> Reject | None:
    """Refuses an input of another number of axes than `count`, one of them the batch."""
    if len(x.shape) == count - 1:
        return Reject(None, layout, str(x), f"the batch axis is missing: I take {layout}")
    return number_of_axes(x, (count,), layout)


def dtype_in(x: TensorType, allowed: frozenset[str]) -> Reject | None:
    """Refuses an input whose dtype is not among those that torch computes with."""
    if x.dtype in allowed:
        return None
    expected = "float32" if "float32" in allowed else "int64"
    return Reject(None, expected, x.dtype, f"I compute with {expected} numbers, and the input is {x.dtype}")


def axes(x: TensorType, n: int) -> list[Axis]:
    """The last n axes with their names."""
    return [Axis(name, dim) for name, dim in zip(AXES[n], x.shape[-n:], strict=True)]


def at_least(args: Args, least: int, *names: str) -> Reject | None:
    """Refuses the first of the named arguments that has a number below `least`."""
    for name in names:
        for value in dims(args[name]):
            if less(value, least):
                return Reject(
                    name, f"at least {least}", str(value), f"`{name}` is {value}, and must be {least} or more"
                )
    return None


def stack(args: Args, *names: str) -> Reject | None:
    """Refuses the first of the named arguments that counts no layers, or more than anything holds."""
    problem = at_least(args, 1, *names)
    for name in names:
        count = args[name]
        if isinstance(count, int) and count > STACKED and problem is None:
            said = f"`{name}` is {count}, and at most {STACKED:,} layers are stacked"
            problem = Reject(name, f"at most {STACKED:,}", str(count), said)
    return problem


def split(count: Dim, name: str) -> Reject | None:
    """Refuses to make more tensors of one than anybody can use."""
    if isinstance(count, int) and count > RESULTS:
        return Reject(
            name, f"at most {RESULTS:,} parts", str(count), f"these are {count} parts, of at most {RESULTS:,}"
        )
    return None


def probability(args: Args, *names: str) -> Reject | None:
    """Refuses the first of the named arguments that is no probability."""
    for name in names:
        p = args[name]
        if isinstance(p, int | float) and not 0 <= p <= 1:
            return Reject(name, "0 to 1", str(p), f"`{name}` is a probability, between 0 and 1, and not {p}")
    return None


def divides(args: Args, name: str, total: Dim, what: str) -> Reject | None:
    """Refuses a number of groups that does not divide a number of channels."""
    groups = size(args, name)
    if same(total % groups, 0) is not False:
        return None
    return Reject(
        name, f"a divisor of {total}", str(groups), f"{total} {what} can't be split into {groups} equal groups"
    )


def wrapped(axis: Dim, count: int, argument: str = "dim") -> int | Reject:
    """An axis counted from the end made to count from the start."""
    if isinstance(axis, int) and -count <= axis < count:
        return axis % count
    expected = f"{-count} to {count - 1}"
    if isinstance(axis, Size):
        return Reject(argument, expected, str(axis), f"`{argument}` is {axis}, and which axis that is isn't known yet")
    return Reject(argument, expected, str(axis), f"there is no axis {axis}: the input has {plural(count, 'axis')}")


def of_parameters(dim: Dim) -> bool:
    """Whether a size is symbolic, and all its symbols stand for parameters (`$width`), which are numbers when built.

    What is assumed of such a size is seen to hold when the numbers are put in.
    """
    return isinstance(dim, Size) and all(name.startswith("$") for name in dim.symbols)


def inferred(
    argument: str, found: Callable[[TensorType], Dim | Reject], what: str
) -> Callable[[Args, Inputs], Dim | Reject]:
    """The size that an argument has by the first input; one that the file gives must agree with it."""

    def infer(args: Args, inputs: Inputs) -> Dim | Reject:
        return agreed(args, argument, found(inputs[0]), what)

    return infer


def agreed(args: Args, argument: str, arriving: Dim | Reject, what: str) -> Dim | Reject:
    """A given argument compared with what arrives; what arrives where none is given."""
    given = args.get(argument, REQUIRED)
    if given is REQUIRED or isinstance(arriving, Reject):
        return arriving
    said = dims(given)[0]
    if same(said, arriving) is False:
        return Reject(argument, str(arriving), str(said), f"`{argument}` is {said}, and {arriving} {what} arrive")
    return said


def channels(argument: str, n: int | None = None) -> Callable[[Args, Inputs], Dim | Reject]:
    """Infers an argument from axis 1 of an input, which has n spatial axes, or any number of them."""

    def found(x: TensorType) -> Dim | Reject:
        if n is not None and (problem := spatial(x, n)) is not None:
            return problem
        return number_of_axes(x, range(2, 20), "[N, C, …]") or x.shape[1]

    return inferred(argument, found, "channels")


def features(argument: str) -> Callable[[Args, Inputs], Dim | Reject]:
    """Infers an argument from the last axis of the first input."""

    def found(x: TensorType) -> Dim | Reject:
        return number_of_axes(x, range(1, 20), "[…, features]") or x.shape[-1]

    return inferred(argument, found, "features")


def same_type(args: Args, inputs: Inputs) -> TensorType:
    """The result of a layer that changes neither shape nor dtype."""
    return inputs[0]


def filled(value: LayerValue, inputs: Inputs) -> Args | Reject:
    """The arguments of a layer that is an argument itself: defaults, and what follows from the inputs it will get."""
    rule = value.entry.rule
    args = {p.name: value.args.get(p.name, p.default) for p in (*value.entry.params, *(rule.forward if rule else ()))}
    for name, infer in rule.infers.items() if rule else ():
        args[name] = value.args.get(name, REQUIRED)
        found = infer(args, inputs)
        if isinstance(found, Reject):
            return found
        args[name] = found if args[name] is REQUIRED else args[name]
    return args


def plural(count: Dim, noun: str) -> str:
    """`1 axis`, `2 axes`, `3 sizes`."""
    if count == 1:
        return f"1 {noun}"
    return f"{count} {noun[:-2]}es" if noun.endswith("is") else f"{count} {noun}s"
