"""Stand-ins of what is Python already: classes and functions of `use`d files, and models of torchvision.

In: the entries of a program. Out: what generated code imports for them. Guarantees: the file itself isn't run again;
what a layer gives is what the checker was told by torch. Leaves to others: what an edit does to a model, which torch
was asked too; here the lines that edit have to run.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from netc import catalog
from netc.catalog.entry import LayerValue
from netc.foreign import entries
from netc.rehearsal.modules import Layer, Module, Parameter
from netc.rehearsal.tensors import Tensor, bind, noted, tensors
from netc.shapes import TensorType

if TYPE_CHECKING:
    from collections.abc import Callable

    from netc.catalog.entry import Entry
    from netc.ir import PythonFile


# Sizes that an edit may read from the layer that it replaces.
_SIZES = frozenset(
    "in_features in1_features in2_features in_channels num_features num_channels embed_dim input_size d_model".split()
)


class Part:
    """A part of a model, of which nothing is known here: it can be named, replaced, removed and added to."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return 1 if name in _SIZES else Part()  # which number it is, torch was asked

    def __setattr__(self, name: str, value: object) -> None: ...

    def __delattr__(self, name: str) -> None: ...

    def __getitem__(self, at: int) -> Part:
        return Part()

    def __setitem__(self, at: int, value: object) -> None: ...

    def __delitem__(self, at: int) -> None: ...

    def append(self, value: object) -> None: ...

    def add_module(self, name: str, value: object) -> None: ...

    def get_submodule(self, path: str) -> Part:
        return Part()

    def __call__(self, path: str) -> Part:
        """`model.get_parameter(path)`."""
        return Part()


class ForeignLayer(Layer):
    """A layer of a Python file, or a model of torchvision; `layer_of` and `Models` make its subclasses."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        Module.__init__(self)
        own = self.__dict__
        own["entry"] = entry = entries.widened(self.entry, len(args), list(kwargs))
        own["netc_given"] = {n: _plain(v) for n, v in bind(entry, args, kwargs).items()}
        own["netc_values"] = {p.name: p.default for p in entry.params} | own["netc_given"]
        assert entry.rule is not None
        assert entry.rule.state is not None
        for name, shape in entry.rule.state(self.netc_values).items():
            self.netc_parameters[name] = Parameter(Tensor(TensorType(tuple(shape))))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("netc_") or name in self.__dict__.get("netc_parameters", {}):
            return Module.__getattr__(self, name)
        values = self.__dict__.get("netc_values", {})
        return values[name] if name in values else Part()

    def __setattr__(self, name: str, value: Any) -> None:
        """An edit of a part."""

    def __delattr__(self, name: str) -> None:
        """An edit of a part."""

    def add_module(self, label: str, child: Any) -> None:
        """An edit of a part."""

    def get_submodule(self, path: str) -> Any:
        return Part()

    def __call__(self, *inputs: Any, **given: Any) -> Any:
        result = super().__call__(*inputs, **given)
        rule = self.entry.rule
        assert rule is not None
        values = self.netc_values | {p.name: p.default for p in rule.forward} | {n: _plain(v) for n, v in given.items()}
        names = getattr(rule.shape(values, tuple(t.type for t in tensors(inputs))), "names", ())
        return dict(zip(names, result, strict=True)) if names else result


def layer_of(entry: Entry) -> type[ForeignLayer]:
    """The class of a Python layer."""
    return type(entry.name, (ForeignLayer,), {"entry": entry})


def function_of(entry: Entry) -> Callable[..., Any]:
    """A function of a Python file."""

    def call(*args: Any, **kwargs: Any) -> Any:
        own = entries.widened(entry, len(args), list(kwargs))
        bound = dict(zip([p.name for p in own.params if not p.keyword_only], args, strict=False)) | kwargs
        values = {p.name: p.default for p in own.params} | {n: _plain(v) for n, v in bound.items()}
        found = [t for value in bound.values() for t in tensors(value)]
        assert own.rule is not None
        result = own.rule.shape(values, tuple(t.type for t in found))
        came = {n: tuple(t.source for t in parts) for n, v in bound.items() if (parts := tensors(v))}
        return noted(entry.name, result, all(t.constant for t in found), {}, came)

    return call


def _plain(value: Any) -> Any:
    """An argument for a rule: a tensor as its type, in lists too; a layer with the arguments that it was given."""
    if isinstance(value, Tensor):
        return value.type
    if isinstance(value, (list, tuple)):
        return type(value)(map(_plain, value))
    given: dict[str, Any] = {}
    inner = value
    while isinstance(inner, partial):
        given, inner = {**inner.keywords, **given}, inner.func
    if isinstance(inner, type) and issubclass(inner, Layer):
        return LayerValue(inner.entry, {n: _plain(v) for n, v in given.items()})
    return value


class Files:
    """The names that model.py takes from one Python file."""

    def __init__(self, file: PythonFile) -> None:
        for (name, _), entry in zip(file.names, file.entries, strict=True):
            made: Any = layer_of(entry) if name[0].isupper() else function_of(entry)
            self.__dict__[name] = made


class _Members:
    """An enumeration of weights: each member is its name."""

    def __getattr__(self, name: str) -> str:
        return name


class Models:
    """torchvision.models, or a part of it."""

    def __init__(self, home: str = "torchvision.models") -> None:
        self.__dict__["netc_home"] = home

    def __getattr__(self, name: str) -> Any:
        found = self._found(name)
        self.__dict__[name] = found
        return found

    def _found(self, name: str) -> Any:
        home: str = self.__dict__["netc_home"]
        if name in ("segmentation", "video"):
            return Models(f"{home}.{name}")
        if name.endswith("_Weights"):
            return _Members()
        entry = catalog.model(name)
        if entry is None and name[0].isupper():
            return type(name, (ForeignLayer,), {})
        if entry is None or entry.home != home:
            raise AttributeError(f"`{home}` has no `{name}`")
        kind = catalog.model_class(name).rpartition(".")[2]
        return type(name, (getattr(self, kind),), {"entry": entries.of_model(entry)})
