"""The inputs of a body: `input x: [N, C, H, W]`.

In: the checker of a body, the pattern, and the type that arrives (none in a network). Out: the input's type, and the
sizes that the pattern binds. In general a size is a symbol of the constructor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc import ir
from netc import syntax as s
from netc.checker.expressions import ERROR, kind_of
from netc.checker.values import DTYPES, Tensor
from netc.diagnostics import Label, suggestion
from netc.fixes import rewrite
from netc.limits import AXES
from netc.shapes import Batch, Size, TensorType, same, symbol

if TYPE_CHECKING:
    from netc.checker.body import Body
    from netc.shapes import Dim
    from netc.source import Span

BATCH = ("N", "B")  # what the first axis of an input is called where it is the batch

# What people write for a type. Python's `int` is 64 bits wide where torch makes a tensor of it.
_SHORT = {"float": "float32", "double": "float64", "half": "float16", "int": "int64", "long": "int64", "short": "int16"}


def take_input(c: Body, name: str, statement: s.Input | None, span: Span) -> None:
    """Declare an input: of its own shape, or of the one that arrives, which binds the sizes of the pattern."""
    index, c.declared = c.declared, c.declared + 1
    arriving = None
    if c.arriving is not None:
        if index >= len(c.arriving):
            c.env[name] = ERROR
            return
        arriving = c.arriving[index]
    c.refused = False
    dtype = input_type(c, statement, arriving)
    if statement is None:
        assert arriving is not None
        dims: list[Any] = [unnamed_axis(c, name, axis, d) for axis, d in enumerate(arriving.shape)]
    elif arriving is not None and len(arriving.shape) != len(statement.shape.items):
        shown = f"[{', '.join(c.source_text(i.span) for i in statement.shape.items)}]"
        refuse_input(c, f"`{name}` has the shape {shown}, and receives {_plain(arriving)}", statement)
        dims = [ERROR]
    elif len(statement.shape.items) > AXES:
        said = f"an input has at most {AXES} axes, and this has {len(statement.shape.items)}"
        c.report.add("E0403", said, statement.shape.span)
        dims = [ERROR]
    else:
        items = statement.shape.items
        shape = (None,) * len(items) if arriving is None else arriving.shape
        dims = [dimension(c, i, name, axis, d) for axis, (i, d) in enumerate(zip(items, shape, strict=True))]
    if not dims and statement is not None:
        c.report.add(
            "E0403", "an input has at least one axis, the batch", statement.shape.span,
            help="write the batch first, as in `[N, 3, 32, 32]`",
        )  # fmt: skip
    if (not dims and statement is not None) or ERROR in dims or c.refused:
        c.env[name] = ERROR
    else:
        type_ = TensorType(tuple(dims), dtype)
        c.inputs.append(ir.Input(name, type_, span))
        c.env[name] = Tensor(ir.Var(name, type_), type_, source=(-1 - index, ()))
    c.current = c.env[name] if c.declared == 1 else None


def input_type(c: Body, statement: s.Input | None, arriving: TensorType | None) -> str:
    """The type of an input: what its line says, or what arrives."""
    if statement is None or statement.dtype is None:
        if arriving is None:
            return "float32"
        if statement is not None and "float" not in arriving.dtype and "complex" not in arriving.dtype:
            said = f"`{statement.name.text}` takes floating-point numbers, and receives {arriving.dtype}"
            refuse_input(c, said, statement)
        return arriving.dtype
    dtype = statement.dtype.text
    if dtype not in DTYPES:
        meant = _SHORT.get(dtype)
        help_text = f"did you mean `{meant}`?" if meant else suggestion(dtype, DTYPES)
        c.report.add(
            "E0204",
            f"`{dtype}` is not a type of tensor",
            statement.dtype.span,
            help=help_text or f"it is one of {', '.join(DTYPES)}",
            fix=rewrite(statement.dtype.span, meant) if meant and dtype != "int" else None,
        )
        c.refused = c.refused or meant is None
        return meant or "float32"
    if arriving is not None and arriving.dtype != dtype:
        refuse_input(c, f"`{statement.name.text}` is {dtype}, and receives {arriving.dtype}", statement)
    return dtype


def refuse_input(c: Body, message: str, statement: s.Input) -> None:
    """Report that what arrives doesn't fit the pattern, at the place of the call where that is known."""
    site = c.session.site
    c.refused = True
    if site is None:
        c.report.add("E0407", message, statement.span)
        return
    c.report.add("E0407", f"`{c.owner.name}`: {message}", site, secondary=[Label(statement.span, "takes this")])


def unnamed_axis(c: Body, name: str, axis: int, arriving: Dim) -> Dim:
    """An axis of an input that the body has no name for."""
    if c.rec is None or not isinstance(c.rec.witness(arriving), int):
        return arriving
    own = f"{name}ǀ{axis}"
    c.sizes[own] = (name, axis)
    return c.rec.named(own, c.rec.witness(arriving))


def dimension(c: Body, item: s.Expr, input_name: str, axis: int, arriving: Dim | None) -> Any:
    """One axis of an input: a capital is a size, anything else is known."""
    if isinstance(item, s.Name) and item.text[0].isupper() and item.text not in c.env:
        c.sizes.setdefault(item.text, (input_name, axis))
        c.env[item.text] = size_of(c, Batch(item.text) if axis == 0 and item.text in BATCH else item.text, arriving)
        return c.env[item.text]
    value = c.evaluate(item)
    if value is ERROR:
        return ERROR
    if not isinstance(value, Size) and (type(value) is not int or value < 1):
        shown = f"`{value!r}`" if isinstance(value, (int, float)) else kind_of(value)
        c.report.add("E0403", f"an axis of an input is a positive integer or a capital, not {shown}", item.span,
                     help="the batch is a capital: `N`" if axis == 0 else None)  # fmt: skip
        return ERROR
    witness = value if c.rec is None else c.rec.witness(value)
    if arriving is not None and same(witness, arriving) is not True:
        named = isinstance(item, s.Name) and item.text != _plain(witness)
        said = f"{c.source_text(item.span)} = " if named else ""
        refuse_input(
            c,
            f"axis {axis} of `{input_name}` is {said}{_plain(witness)}, and receives {_plain(arriving)}",
            s.Input(s.Ident(input_name, item.span), s.List((), item.span), None, item.span),
        )
        return ERROR
    return value


def size_of(c: Body, name: str, arriving: Dim | None) -> Dim:
    """What a capital of a pattern stands for."""
    if arriving is None:
        return symbol(name)
    if c.rec is None:
        return arriving
    return c.rec.named(name, arriving) if isinstance(arriving, int) else symbol(name)


def _plain(value: object) -> str:
    return str(value).replace("$", "")
