"""A rule of the catalog, asked in general: sizes are expressions, each of which is right for the instance.

In: the checker of a body, a rule, its arguments and the types that arrive. Out: what the rule gives; in general with
each size checked against what the rule gives for the instance's numbers, and unknown where it differs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc.catalog.entry import REQUIRED, Entry, LayerValue
from netc.checker.deferred import python_layers
from netc.checker.values import LayerRef
from netc.limits import AXES, ROW, spend
from netc.shapes import Reject, Size, TensorType, same

if TYPE_CHECKING:
    from netc.catalog.entry import Param
    from netc.checker.body import Body


def inferred(c: Body, infer: Any, values: dict[str, Any], types: tuple[TensorType, ...]) -> Any:
    """A size that follows from the input: in general an expression, if it is right for the instance."""
    if c.rec is None:
        return infer(values, types)
    concrete = infer(c.rec.witness(values_of(values, c)), c.rec.witness(types))
    try:
        size = infer(values, types)
    except (TypeError, ValueError, ZeroDivisionError, AttributeError):
        size = concrete
    if isinstance(size, Reject) or c.rec.witness(size) != concrete:
        return concrete if isinstance(concrete, Reject) else _unknown(c, concrete)
    return size


def values_of(values: dict[str, Any], c: Body) -> dict[str, Any]:
    """The arguments as numbers."""
    assert c.rec is not None
    return {n: c.rec.witness(v) for n, v in values.items()}


def _unknown(c: Body, concrete: Any) -> Any:
    assert c.rec is not None
    if isinstance(concrete, (list, tuple)):
        return type(concrete)([_unknown(c, item) for item in concrete])
    return c.rec.unknown(concrete) if type(concrete) is int else concrete


def shape(
    c: Body, rule: Any, values: dict[str, Any], types: tuple[TensorType, ...], params: tuple[Param, ...] = ()
) -> Any:  # fmt: skip
    """What a rule gives; in general with sizes as expressions, each of which is right for the instance.

    `params` are those of the layer or function, whose types tell a fraction that happens to be whole from a size.
    """
    for value in values.values():
        if type(value) in (list, tuple):
            spend(len(value) * ROW // 4)
    if c.rec is None:
        return _within(rule(values, types))
    numbers, plain = values_of(values, c), c.rec.witness(types)
    concrete = rule(numbers, plain)
    if isinstance(concrete, Reject) or (plain == types and numbers == values):
        return concrete
    try:
        probed = getattr(rule, "file", rule) is not rule
        general = python_layers().general(c, rule, values, types) if probed else rule(values, types)
    except AssertionError:  # `Dropout(p)`, where a parameter `p` is 0
        fractions = {p.name for p in params if "float" in p.type.split("|")}
        if all(v is numbers[n] or n not in fractions for n, v in values.items()):
            raise
        return shape(c, rule, values | {n: v for n, v in numbers.items() if n in fractions}, types)
    except (TypeError, ValueError, ZeroDivisionError, AttributeError):
        general = concrete
    return reconciled(c, general, concrete)


def _within(result: Any) -> Any:
    """What a rule gives, if torch has tensors of so many axes."""
    if isinstance(result, TensorType) and len(result.shape) > AXES:
        said = f"this gives a tensor of {len(result.shape)} axes, and torch has at most {AXES}"
        return Reject(None, f"{AXES} axes", str(len(result.shape)), said)
    return result


def reconciled(c: Body, general: Any, concrete: Any) -> Any:
    """The general result with each size that is wrong for the instance, or that isn't there, unknown."""
    assert c.rec is not None
    if isinstance(concrete, TensorType):
        ok = isinstance(general, TensorType) and len(general.shape) == len(concrete.shape)
        dims = general.shape if ok else concrete.shape
        pairs = zip(dims, concrete.shape, strict=True)
        right = (g if ok and g is not None and c.rec.witness(g) == k else _unknown(c, k) for g, k in pairs)
        return concrete._replace(shape=tuple(right))
    if isinstance(concrete, tuple):
        same_form = isinstance(general, tuple) and not hasattr(general, "_fields") and len(general) == len(concrete)
        parts = general if same_form else concrete
        return tuple(reconciled(c, g if same_form else None, k) for g, k in zip(parts, concrete, strict=True))
    return concrete


def layer_value(value: Any, types: tuple[TensorType, ...]) -> Any:
    """A layer as an argument, for a rule: with its defaults, and with what follows from the inputs."""
    if not isinstance(value, LayerRef) or not isinstance(value.target, Entry):
        return value
    entry = value.target
    args = {p.name: p.default for p in entry.params if p.default is not REQUIRED}
    args |= {n: layer_value(v, types) for n, v, _ in value.args}
    for name, infer in entry.rule.infers.items() if entry.rule else ():
        if name not in args:
            try:
                size = infer(args, types)
            except (IndexError, KeyError):
                continue
            if not isinstance(size, Reject):
                args[name] = size
    return LayerValue(entry, args)


def witness(c: Body, value: Any) -> Any:
    """A value as it is in the instance."""
    return value if c.rec is None else c.rec.witness(value)


def agrees(given: Any, arrives: Any) -> bool:
    """Whether an argument is what follows from the input."""
    if isinstance(given, (list, tuple)) and isinstance(arrives, (list, tuple)):
        return len(given) == len(arrives) and all(map(agrees, given, arrives))
    if isinstance(given, (int, Size)) and isinstance(arrives, (int, Size)):
        return same(given, arrives) is not False
    if isinstance(given, (list, tuple)) and len(given) == 1:
        return agrees(given[0], arrives)
    if isinstance(arrives, (list, tuple)) and len(arrives) == 1:
        return agrees(given, arrives[0])
    return bool(given == arrives)
