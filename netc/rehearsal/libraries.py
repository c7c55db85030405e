"""What generated code can import and call: stand-ins of torch and torchvision, and what is harmless of Python.

In: a name. Out: its stand-in, or ImportError. Guarantees: nothing is imported, opened or written; the code sees no
built-in that could.
"""

from __future__ import annotations

import builtins
import functools
import math
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any, NamedTuple

from netc import catalog
from netc.catalog.rules import initialisers
from netc.rehearsal import modules
from netc.rehearsal.tensors import DType, Refused, Tensor, bind, call

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from netc.ir import PythonFile

DTYPES = (
    "float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool", "complex64",
)  # fmt: skip
HARMLESS = (
    "abs all any bool delattr dict enumerate float int isinstance len list max min object print range repr reversed "
    "round set sorted str sum super tuple type zip property staticmethod ValueError TypeError None True False "
    "__build_class__"
).split()


class _Functions:
    """A library whose attributes are functions of the catalog."""

    def __init__(self, homes: tuple[str, ...], **own: Any) -> None:
        self.__dict__.update(own)
        self.__netc_homes__ = homes

    def __getattr__(self, name: str) -> Callable[..., Any]:
        entry = catalog.function(name)
        if entry is None or entry.home not in self.__netc_homes__:
            raise AttributeError(f"there is no `{name}` in {self.__netc_homes__[0]}")
        found = lambda *args, **kwargs: call(entry, args, kwargs)  # noqa: E731
        self.__dict__[name] = found
        return found


class _Layers:
    """A library whose attributes are layers of the catalog."""

    def __init__(self, home: str, **own: Any) -> None:
        self.__dict__.update(own)
        self.__netc_home__ = home

    def __getattr__(self, name: str) -> Any:
        return modules.layer_class(name, self.__netc_home__)


class _Initialisers:
    """torch.nn.init: fills parameters, and refuses what torch refuses."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        entry = catalog.initializer(name)
        if entry is None:
            raise AttributeError(f"torch.nn.init has no `{name}`")

        def fill(tensor: Any, *args: Any, **kwargs: Any) -> Any:
            if type(tensor).__name__ == "Part":  # of a model whose edits are not followed here
                return tensor
            if not isinstance(tensor, Tensor):
                raise Refused(f"`{name}` is given {tensor!r} to fill")
            values = {p.name: p.default for p in entry.params} | bind(entry, args, kwargs)
            problem = initialisers.check(name, values, tensor.shape)
            if problem is not None:
                raise Refused(f"`{name}`: {problem.reason}")
            return tensor

        return fill


class _Names:
    """A library that has these names and no others."""

    def __init__(self, **own: Any) -> None:
        self.__dict__.update(own)


class _Vision(_Names):
    """torchvision; its models are looked for where they are named."""

    def __getattr__(self, name: str) -> Any:
        if name != "models":
            raise AttributeError(f"torchvision has no `{name}`")
        from netc.rehearsal.foreign import Models

        return Models()


def _libraries() -> dict[str, Any]:
    functional = _Functions(("torch.nn.functional", "torch"))
    nn = _Layers(
        "torch.nn", Module=modules.Module, Sequential=modules.Sequential, Parameter=modules.Parameter,
        init=_Initialisers(), functional=functional,
    )  # fmt: skip
    dtypes = {name: DType(name) for name in DTYPES}
    torch = _Functions(("torch",), Tensor=Tensor, nn=nn, **dtypes)
    ops = _Layers("torchvision.ops")
    callable_ = type("Callable", (), {"__class_getitem__": classmethod(lambda cls, item: cls)})
    return {
        "torch": torch, "torch.nn": nn, "torch.nn.functional": functional, "torchvision": _Vision(ops=ops),
        "torchvision.ops": ops, "math": math, "functools": _Names(partial=functools.partial),
        "fnmatch": _Names(fnmatch=fnmatch), "typing": _Names(Any=Any, NamedTuple=NamedTuple),
        "collections.abc": _Names(Callable=callable_, Sequence=callable_),
    }  # fmt: skip


def importer(python: Sequence[PythonFile] = ()) -> Callable[..., Any]:
    """`__import__` for generated code."""
    known = _libraries()
    if python:
        from netc.rehearsal.foreign import Files

        known |= {file.module: Files(file) for file in python}

    def find(name: str, globals_: Any = None, locals_: Any = None, wanted: Any = (), level: int = 0) -> Any:
        if level or name not in known:
            raise ImportError(f"generated code imports `{name}`")
        return known[name] if wanted else known[name.partition(".")[0]]

    return find


def namespace(python: Sequence[PythonFile] = ()) -> dict[str, Any]:
    """The globals of generated code that may import some Python files."""
    allowed = {name: getattr(builtins, name) for name in HARMLESS if hasattr(builtins, name)}
    return {"__name__": "model", "__builtins__": {**allowed, "__import__": importer(python)}}
