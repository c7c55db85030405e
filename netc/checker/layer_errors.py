"""What is wrong with a layer's input, as diagnostics.

In: the layer, what its rule expected and what arrives. Out: a diagnostic at the argument that is at fault where there
is one, with what gave the input.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc import syntax as s
from netc.catalog.entry import Entry
from netc.checker.values import Tensor
from netc.diagnostics import Label
from netc.fixes import leave_out, value
from netc.shapes import Reject, Size, same

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netc.checker.body import Body
    from netc.source import Span


def mismatch(
    c: Body, entry: Entry, name: str, given: Any, arrives: Any, tensors: tuple[Tensor, ...], label: str
) -> None:
    """Report an argument that says another size than the one that arrives."""
    who = f"`{label or entry.name}`"
    what = name.replace("in_", "input ").replace("num_", "").replace("_", " ")
    shown = ", ".join(map(str, arrives)) if isinstance(arrives, (list, tuple)) else str(arrives)
    message = f"{who} expects {value_text(given)} {what}, but receives {shown}"
    place = c.argument_spans[name]
    c.report.add(
        "E0401",
        message,
        place,
        f"says {value_text(given)}",
        secondary=with_trail(c, tensors, place, _axes(name, arrives, tensors)),
        help=f"leave out `{name}`; it follows from the layer before",
        fix=leave_out(c.argument_spans[name], c.source_text(c.argument_spans[name])),
    )


def value_text(value: Any) -> str:
    """A value, or several, in a message."""
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def came_from(tensors: tuple[Tensor, ...]) -> list[Label]:
    """What gave the inputs, as labels."""
    return [Label(t.made.span, f"gives {type_text(t.type)}") for t in tensors if t.made is not None]


def with_trail(c: Body, tensors: tuple[Tensor, ...], place: Span, axes: Sequence[int] | None = None) -> list[Label]:
    """What gave the inputs, and the lines before that set the sizes of these axes."""
    from netc.checker import trail

    came = came_from(tensors)
    return [*came, *trail.labels(c, [t for t in tensors if t.made is not None], place, came, axes)]


def _axes(name: str, arrives: Any, tensors: tuple[Tensor, ...]) -> list[int] | None:
    """The axis whose size an argument says."""
    shape = tensors[0].type.shape if len(set(tensors)) == 1 else ()
    found = [i for i, dim in enumerate(shape) if i and same(dim, arrives)] if isinstance(arrives, (int, Size)) else []
    if not found:
        return None
    return found[:1] if "channels" in name or name == "num_features" else found[-1:]


def type_text(type_: Any) -> str:
    """A type in a message."""
    return str(type_).replace("$", "")


def unknown_size(c: Body, entry: Entry, name: str, size: Any, tensors: tuple[Tensor, ...], span: Span) -> None:
    """Report a size that has to be known when the network is built."""
    shown = str(size).replace("$", "")
    came = with_trail(c, tensors, span, _axes(name, size, tensors))
    message = f"`{entry.name}` has to know `{name}` when the network is built, but it is `{shown}`"
    notes = [] if came else [f"it receives {type_text(tensors[0].type)}"]
    c.report.add(
        "E0402",
        message,
        span,
        "receives a size that is known only at run time",
        secondary=came,
        notes=notes,
        help="give the input this size as a number, or bring it to a known one (`AdaptiveAvgPool2d`)",
    )


def rejected(c: Body, entry: Entry, reject: Reject, tensors: tuple[Tensor, ...], label: str, span: Span) -> None:
    """A rule's reason as a diagnostic, at the argument that is at fault where there is one."""
    who = f"`{label}` ({entry.name})" if label and label != entry.name else f"`{entry.name}`"
    place = c.argument_spans.get(reject.argument or "", span)
    from netc.checker.habits import choice_help, percent_help
    from netc.checker.trail import spoken_of

    came = with_trail(c, tensors, place, spoken_of(reject.reason, tensors))
    notes = [] if came else list(dict.fromkeys(f"it receives {type_text(t.type)}" for t in tensors))
    code = "E0309" if reject.argument in c.argument_spans else getattr(reject, "code", "E0404")
    notes += getattr(reject, "notes", ())
    expected = f"expected {reject.expected}, got {reject.got}" if reject.expected else ""
    other = choice_help(reject.expected, reject.got) or percent_help(reject.expected, reject.got)
    c.report.add(
        code,
        f"{who}: {reject.reason}".replace("$", ""),
        place,
        expected.replace("$", ""),
        secondary=came,
        notes=notes,
        help=_type_help(c, reject, tensors) or other,
        fix=value(place, other.removeprefix("write ").strip("`")) if other else None,
    )


def _type_help(c: Body, reject: Reject, tensors: tuple[Tensor, ...]) -> str | None:
    """The way out where an input of the network is declared as another type than a layer computes with."""
    if reject.expected not in ("int64", "float32") or not tensors or tensors[0].made is not None:
        return None
    arrives = tensors[0].type
    for statement in c.owner.body.statements:
        if isinstance(statement, s.Input):
            bound = c.env.get(statement.name.text)
            if isinstance(bound, Tensor) and bound.type == arrives and reject.got == arrives.dtype:
                shape = ", ".join(type_text(d) for d in arrives.shape)
                dtype = f" {reject.expected}" if reject.expected != "float32" else ""
                return f"declare it as `input {statement.name.text}: [{shape}]{dtype}`"
    return None
