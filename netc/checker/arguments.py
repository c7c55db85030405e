"""Arguments of a call to the parameters of a signature.

In: a call and an entry of the catalog. Out: the arguments bound by name, in the order of the signature, each with its
value and its Python text; mistakes (unknown, twice, missing, of the wrong type) in the report, each at its argument.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from netc.catalog.entry import REQUIRED, LayerValue
from netc.checker.expressions import ERROR, kind_of
from netc.checker.values import DTYPES, DType, LayerRef, Tensor, TensorTuple
from netc.diagnostics import Label, suggestion
from netc.fixes import certain, leave_out, rewrite, spelling
from netc.ir import Arg
from netc.shapes import Size
from netc.syntax import Number, String

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from netc import syntax as s
    from netc.catalog.entry import Entry, Param
    from netc.checker.expressions import Evaluator
    from netc.diagnostics import Fix, Report
    from netc.source import Span


class Bound(NamedTuple):
    """The arguments that a call gives, by parameter, and where each stands; `ok` unless a mistake was found."""

    args: dict[str, Arg]
    spans: dict[str, Span]
    ok: bool


def bind(
    entry: Entry,
    arguments: tuple[s.Argument, ...],
    span: Span,
    evaluator: Evaluator,
    code: Callable[[s.Expr, Any], str],
    inferred: Collection[str] = (),
    filled: Collection[str] = (),
) -> Bound:
    """Bind the arguments of a call.

    `inferred` parameters follow from the input and `filled` ones from the run: they need not be given, and no
    positional argument stands for them. Where arguments are inferred, positional ones end with the last that torch
    requires, lest `BatchNorm2d(64)` set `eps`.
    """
    found: dict[str, tuple[Arg, Span]] = {}
    ok = True
    for param, argument, positional in _assign(entry, arguments, inferred, evaluator.report):
        value = evaluator.evaluate(argument.value)
        if param is None:
            ok = False
            continue
        if param.name in found:
            _twice(entry, param, argument, found[param.name][1], evaluator.report)
            ok = False
            continue
        value = checked(entry, param, value, argument, evaluator.report)
        ok = ok and value is not ERROR
        found[param.name] = Arg(value, "" if value is ERROR else code(argument.value, value), positional), argument.span
    missing = [p for p in entry.params if p.default is REQUIRED and p.name not in (*found, *inferred, *filled)]
    if missing and ok:
        _missing(entry, missing, span, evaluator.report)
    ordered = [p.name for p in entry.params if p.name in found]
    return Bound({n: found[n][0] for n in ordered}, {n: found[n][1] for n in ordered}, ok and not missing)


def ordered(entry: Entry, args: dict[str, Arg]) -> dict[str, Arg]:
    """The arguments in the signature's order; positional up to the first one that has to be named."""
    out: dict[str, Arg] = {}
    positional = True
    for param in entry.params:
        if param.name not in args:
            positional = False
            continue
        arg = args[param.name]
        positional = positional and arg.positional and not param.keyword_only
        out[param.name] = arg._replace(positional=positional)
    return out


def _given(assigned: list[tuple[Param | None, s.Argument, bool]], arguments: tuple[s.Argument, ...]) -> set[str]:
    """The parameters that a call gives, by position or by name."""
    return {p.name for p, _, _ in assigned if p is not None} | {a.name.text for a in arguments if a.name is not None}


def _assign(
    entry: Entry, arguments: tuple[s.Argument, ...], inferred: Collection[str], report: Report
) -> list[tuple[Param | None, s.Argument, bool]]:
    """Which parameter each argument is for, and whether it stands by its position."""
    names = {p.name: p for p in entry.params}
    open_ = [p for p in entry.params if p.name not in inferred and not p.keyword_only]
    if inferred:
        open_ = [p for p in open_ if p.default is REQUIRED]
    out: list[tuple[Param | None, s.Argument, bool]] = []
    seen_keyword: s.Argument | None = None
    for argument in arguments:
        if argument.name is not None:
            seen_keyword = argument
            param = names.get(argument.name.text)
            if param is None:
                _unknown(entry, argument, report, _given(out, arguments))
            out.append((param, argument, False))
            continue
        place = sum(1 for _, a, _ in out if a.name is None)
        if seen_keyword is not None:
            report.add(
                "E0303",
                "a positional argument stands after a named one",
                argument.span,
                secondary=[Label(seen_keyword.span, "named")],
                help="put it first, or name it",
            )
            out.append((None, argument, True))
        elif place < len(open_):
            out.append((open_[place], argument, True))
        else:
            _too_many(entry, open_, argument, arguments, inferred, report)
            out.append((None, argument, True))
    return out


# What other libraries call torch's arguments.
_ALIASES = {
    "learning_rate": ("lr",), "filters": ("out_channels",), "channels": ("out_channels", "num_channels"),
    "units": ("out_features",), "kernel": ("kernel_size",), "rate": ("p", "lr"), "dropout": ("p",), "rank": ("size",),
    "epsilon": ("eps",), "decay": ("weight_decay",), "n_features": ("num_features",), "input_dim": ("num_embeddings",),
    "output_dim": ("embedding_dim",), "axis": ("dim",), "dims": ("dim",),
    "use_bias": ("bias",), "alpha": ("negative_slope",),
}  # fmt: skip


# Those of them that mean the same wherever they stand.
_SURE = {"learning_rate", "filters", "units", "kernel", "epsilon", "axis", "use_bias"}


def _unknown(entry: Entry, argument: s.Argument, report: Report, given: set[str]) -> None:
    assert argument.name is not None
    names = [p.name for p in entry.params]
    alias = next((n for n in _ALIASES.get(argument.name.text, ()) if n in names), None)
    from netc.checker.habits import argument_help

    help_text = f"did you mean `{alias}`?" if alias else argument_help(entry, argument.name.text)
    help_text = help_text or suggestion(argument.name.text, names)
    if help_text is None:
        help_text = f"it takes {', '.join(f'`{n}`' for n in names)}" if names else "it takes no arguments"
    message = f"`{entry.name}` has no argument `{argument.name.text}`"
    fix = _spelling(argument.name, alias, [n for n in names if n not in given])
    report.add("E0302", message, argument.name.span, help=help_text, fix=fix)


def _spelling(name: s.Ident, alias: str | None, free: list[str]) -> Fix | None:
    """The name of an argument as torch has it, where no other one can be meant."""
    if alias is None:
        return spelling(name.text, name.span, free)
    return rewrite(name.span, alias) if name.text in _SURE and alias in free else None


def _too_many(
    entry: Entry,
    open_: list[Param],
    argument: s.Argument,
    arguments: tuple[s.Argument, ...],
    inferred: Collection[str],
    report: Report,
) -> None:
    count = len(open_)
    takes = "no positional argument" if count == 0 else f"{count} positional argument{'s' * (count > 1)}"
    names = ", ".join(f"`{p.name}`" for p in open_)
    message = f"`{entry.name}` takes {takes}{f' ({names})' if names and count < 6 else ''}"
    if inferred and sum(1 for a in arguments if a.name is None) == count + len(inferred):
        extra = _inferred_one(entry, arguments, inferred)
        which = "first" if extra is None else ("first", "second", "third", "fourth")[arguments.index(extra)]
        report.add(
            "E0304",
            message,
            argument.span,
            "one too many",
            notes=[f"{' and '.join(f'`{i}`' for i in inferred)} follows from the input and is left out"],
            help=f"leave out the {which} one: `{entry.name}` takes {names}" if names else f"write `{entry.name}`",
            fix=None if extra is None else leave_out(extra.span, str(getattr(extra.value, "value", "")), "item"),
        )
        return
    further = [p.name for p in entry.params if p.name not in inferred and p not in open_]
    notes = [f"{' and '.join(f'`{i}`' for i in inferred)} follows from the input and is left out"] if inferred else []
    help_text = f"name it, as in `{further[0]}=…`" if further else "remove it"
    report.add("E0304", message, argument.span, "one too many", notes=notes, help=help_text)


def _inferred_one(entry: Entry, arguments: tuple[s.Argument, ...], inferred: Collection[str]) -> s.Argument | None:
    """The argument that follows from the input, in a call that gives them all as in PyTorch."""
    order = [p.name for p in entry.params if p.default is REQUIRED and not p.keyword_only]
    positional = [a for a in arguments if a.name is None]
    extra = [a for name, a in zip(order, positional, strict=False) if name in inferred]
    fits = len(order) == len(positional) and len(extra) == 1 and order.index(next(iter(inferred))) < 4
    return extra[0] if fits and isinstance(extra[0].value, Number) else None


def _twice(entry: Entry, param: Param, argument: s.Argument, first: Span, report: Report) -> None:
    message = f"`{entry.name}` is given `{param.name}` twice"
    report.add(
        "E0305", message, argument.span, "again", secondary=[Label(first, "first here")], help="remove one of them"
    )


def _missing(entry: Entry, missing: list[Param], span: Span, report: Report) -> None:
    names = " and ".join(f"`{p.name}`" for p in missing)
    required = [p.name for p in missing]
    report.add("E0306", f"`{entry.name}` needs {names}", span, help=f"give it, as in `{entry.name}({required[0]}=…)`")


def checked(entry: Entry, param: Param, value: Any, argument: s.Argument, report: Report) -> Any:
    """The value, or ERROR where the parameter doesn't take its type."""
    if value is ERROR:
        return ERROR
    if _has_runtime_size(value):
        report.add(
            "E0402",
            f"`{param.name}` of `{entry.name}` is `{_shown(value)}`, a size that is known only at run time",
            argument.span,
            help="give the input this size as a number, or as a parameter of the network",
        )
        return ERROR
    if not accepts(param.type, value):
        report.add(
            "E0307",
            f"`{param.name}` of `{entry.name}` takes {describe(param.type)}, not {kind_of(value)}",
            argument.span,
            f"this is `{_shown(value)}`",
            help=_input_help(entry, value) or _type_help(param, value),
            fix=_unquoted(param, value, argument),
        )
        return ERROR
    if isinstance(value, str) and param.choices and value not in param.choices:
        choices = ", ".join(f'"{c}"' for c in param.choices)
        near = suggestion(value, param.choices)
        report.add(
            "E0308",
            f'`{param.name}` of `{entry.name}` can\'t be "{value}"',
            argument.span,
            help=near or f"it is one of {choices}",
            fix=_choice(value, param, argument),
        )
        return ERROR
    return value


def _choice(value: str, param: Param, argument: s.Argument) -> Fix | None:
    """The string that is meant, in the quotes of the one that is written."""
    near = certain(value, param.choices)
    where = argument.value.span
    written = isinstance(argument.value, String) and where.end - where.start == len(value) + 2
    return rewrite(where, f'"{near}"') if near is not None and written else None


def _has_runtime_size(value: Any) -> bool:
    if isinstance(value, (Tensor, TensorTuple)):
        return False
    if isinstance(value, (list, tuple)):
        return any(_has_runtime_size(item) for item in value)
    return isinstance(value, Size) and not getattr(value, "built", False) and bool(_runtime(value))


def _runtime(size: Size) -> frozenset[str]:
    """The symbols of a size that are known only at run time; those of parameters are marked by a `$`."""
    return frozenset(n for n in size.symbols if not n.startswith("$"))


def _shown(value: Any) -> str:
    if isinstance(value, Tensor):
        return str(value.type).replace("$", "")
    if isinstance(value, LayerRef):
        return value.name
    text = str(value) if isinstance(value, Size) else repr(value)
    return text if len(text) < 60 else text[:57] + "…"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _input_help(entry: Entry, value: Any) -> str | None:
    """`ReLU(x)`: what a layer works on is no argument."""
    if not isinstance(value, Tensor) or entry.rule is None or not entry.name[0].isupper():
        return None
    return f"a layer takes its input from the chain: `x -> {entry.name}`"


def _type_help(param: Param, value: Any) -> str | None:
    if isinstance(value, str) and "dtype" in param.type and value in DTYPES:
        return f"write `{value}`, without quotes"
    if isinstance(value, str) and accepts(param.type, 1.0) and _is_number(value):
        return f"write `{value.strip()}`, without quotes"
    if param.default is REQUIRED or param.default is None:
        return None
    default = param.default.entry.name if isinstance(param.default, LayerValue) else repr(param.default)
    return f"the default is `{default}`"


def _unquoted(param: Param, value: Any, argument: s.Argument) -> Fix | None:
    """A number without its quotes."""
    number = isinstance(value, str) and isinstance(argument.value, String) and _is_number(value)
    if not number or not accepts(param.type, 1.0) or not value.strip().isascii():
        return None
    return rewrite(argument.value.span, value.strip())


def accepts(type_: str, value: Any) -> bool:
    """Whether a parameter of this type takes the value (see `Param.type`)."""
    kinds = type_.split("|")
    if (
        "None" in kinds
        and any(kind.startswith("int*") for kind in kinds)
        and isinstance(value, (list, tuple))
        and not isinstance(value, LayerRef)
    ):  # `AdaptiveAvgPool2d((None, 7))`
        value = [1 if item is None else item for item in value]
    return any(_accepts_one(one, value) for one in kinds)


def _accepts_one(one: str, value: Any) -> bool:
    whole = (int, Size)
    if one in ("layer", "factory"):
        return isinstance(value, LayerRef)
    if one == "dtype":
        return isinstance(value, DType)
    if one in ("any", "tensor", "tensors"):
        return one == "any"
    if one == "*ints":
        one = "ints"
    if one == "None":
        return value is None
    if one == "bool":
        return isinstance(value, bool)
    if one == "str":
        return isinstance(value, str)
    if isinstance(value, bool):
        return False
    if one == "int":
        return isinstance(value, whole)
    if one == "float":
        return isinstance(value, (*whole, float))
    items = value if isinstance(value, (list, tuple)) else None
    if one.startswith("int*"):
        return isinstance(value, whole) if items is None else len(items) == int(one[4:]) and _all(items, whole)
    if one == "ints":
        return isinstance(value, whole) if items is None else _all(items, whole)
    if one == "floats":
        return isinstance(value, (*whole, float)) if items is None else _all(items, (*whole, float))
    return False


def _all(items: list[Any] | tuple[Any, ...], types: tuple[type, ...]) -> bool:
    return all(isinstance(item, types) and not isinstance(item, bool) for item in items)


def describe(type_: str) -> str:
    """A type in words."""
    words = {
        "int": "an integer", "float": "a number", "bool": "`True` or `False`", "str": "a string", "None": "`None`",
        "ints": "an integer or a list of integers", "*ints": "integers", "floats": "a number or a list of numbers",
        "dtype": "a dtype", "tensor": "a tensor", "tensors": "tensors",
        "*tensors": "tensors", "layer": "a layer", "factory": "a layer",
        "any": "anything",
    }  # fmt: skip
    parts = [words.get(one) or f"an integer or {one[4:]} integers" for one in type_.split("|")]
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} or {parts[-1]}"
