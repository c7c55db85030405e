"""Stand-ins of what is Python already: classes and functions of `use`d files, and models of torchvision.

In: the entries of a program. Out: what generated code imports for them. Guarantees: the file itself isn't run again;
what a layer gives is what the checker was told by torch. The lines that edit a model are compared with the edits.
Leaves to others: what an edit does to the model's shapes, which torch was asked too.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from netc import catalog
from netc.catalog.entry import LayerValue
from netc.foreign import entries
from netc.rehearsal.comparison import Disagreement, Trees, equal
from netc.rehearsal.modules import Layer, Module, Parameter
from netc.rehearsal.tensors import Frame, Tensor, bind, noted, stage, tensors, types_of
from netc.shapes import TensorType

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from netc import ir
    from netc.catalog.entry import Entry
    from netc.foreign.recipe import Edit
    from netc.ir import PythonFile


# Sizes that an edit may read from the layer that it replaces.
_SIZES = frozenset(
    "in_features in1_features in2_features in_channels num_features num_channels embed_dim input_size d_model".split()
)


class Change(NamedTuple):
    """A line that edits a model: what it does ("put" or "remove"), where, and what is put there."""

    kind: str
    path: tuple[str, ...]
    value: Any = None


class Part:
    """A part of a model, of which only the path is known: it can be named, replaced, removed and added to."""

    def __init__(self, whole: ForeignLayer, path: tuple[str, ...]) -> None:
        self.__dict__.update(__netc_whole__=whole, __netc_path__=path)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.__netc_whole__.__netc_size__(self.__netc_path__, name) if name in _SIZES else self.__netc_at__(name)

    def __netc_at__(self, *names: str) -> Part:
        """A part of this part."""
        return Part(self.__netc_whole__, (*self.__netc_path__, *names))

    def __netc_note__(self, kind: str, name: str, value: object = None) -> None:
        """Remember a line that edits this part."""
        self.__netc_whole__.__netc_changes__.append(Change(kind, (*self.__netc_path__, name), value))

    def __setattr__(self, name: str, value: object) -> None:
        self.__netc_note__("put", name, value)

    def __delattr__(self, name: str) -> None:
        self.__netc_note__("remove", name)

    def __getitem__(self, at: int) -> Part:
        return self.__netc_at__(str(at))

    def __setitem__(self, at: int, value: object) -> None:
        self.__netc_note__("put", str(at), value)

    def __delitem__(self, at: int) -> None:
        self.__netc_note__("remove", str(at))

    def append(self, value: object) -> None:
        self.__netc_note__("put", "0", value)

    def add_module(self, name: str, value: object) -> None:
        self.__netc_note__("put", name, value)

    def get_submodule(self, path: str) -> Part:
        return self.__netc_at__(*path.split("."))

    get_parameter = get_submodule


class ForeignLayer(Layer):
    """A layer of a Python file, or a model of torchvision; `layer_of` and `Models` make its subclasses."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        Module.__init__(self)
        own = self.__dict__
        own["__netc_changes__"] = []
        own["entry"] = entry = entries.widened(self.entry, len(args), list(kwargs))
        own["__netc_given__"] = {n: _plain(v) for n, v in bind(entry, args, kwargs).items()}
        own["__netc_values__"] = {p.name: p.default for p in entry.params} | own["__netc_given__"]
        assert entry.rule is not None
        assert entry.rule.state is not None
        for name, shape in entry.rule.state(self.__netc_values__).items():
            self.__netc_parameters__[name] = Parameter(Tensor(TensorType(tuple(shape))))

    @property
    def __netc_whole__(self) -> Part:
        """This layer as what is edited."""
        return Part(self, ())

    def __netc_size__(self, path: tuple[str, ...], name: str) -> int:
        """A size of a part, as torch has it."""
        from netc.foreign import probe

        assert self.entry.rule is not None
        made: Any = probe.module(self.entry.rule.shape.recipe(self.__netc_values__))  # type: ignore[attr-defined]
        found: int = getattr(probe.child(made, ".".join(path)), name)
        return found

    def __getattr__(self, name: str) -> Any:
        if name.startswith("netc_") or name in self.__dict__.get("__netc_parameters__", {}):
            return Module.__getattr__(self, name)
        values = self.__dict__.get("__netc_values__", {})
        return values[name] if name in values else self.__netc_whole__.__netc_at__(name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.__netc_whole__, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self.__netc_whole__, name)

    def add_module(self, label: str, child: Any) -> None:
        self.__netc_whole__.add_module(label, child)

    def get_submodule(self, path: str) -> Any:
        return self.__netc_whole__.get_submodule(path)

    get_parameter = get_submodule

    def __call__(self, *inputs: Any, **given: Any) -> Any:
        result = super().__call__(*inputs, **given)
        rule = self.entry.rule
        assert rule is not None
        values = (
            self.__netc_values__ | {p.name: p.default for p in rule.forward} | {n: _plain(v) for n, v in given.items()}
        )
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
        self.__dict__["__netc_home__"] = home

    def __getattr__(self, name: str) -> Any:
        found = self._found(name)
        self.__dict__[name] = found
        return found

    def _found(self, name: str) -> Any:
        home: str = self.__dict__["__netc_home__"]
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


# --- edits ------------------------------------------------------------------------------------------------------------


def compare_edits(trees: Trees, where: str, seen: ir.Layer, made: ForeignLayer) -> None:
    """Compare the lines that edit a model with the edits that the checker saw, and what they put in."""
    rule = seen.call.entry.rule
    assert rule is not None
    wanted: tuple[Edit, ...] = rule.shape.edits  # type: ignore[attr-defined]
    lines = made.__netc_changes__
    if len(wanted) != len(lines):
        raise Disagreement(
            f"{where}: {len(lines)} lines edit it in the generated code, and {len(wanted)} for the checker"
        )
    for edit, line in zip(wanted, lines, strict=True):
        place = f"{where}.{edit.path}"
        alike = (edit.kind == "remove") == (line.kind == "remove") and _names(edit.path.split(".")) == _names(line.path)
        if not alike:
            raise Disagreement(f"{place}: the generated code has {line.kind} at {'.'.join(line.path)}")
        if edit.made is not None:
            _compare_put(trees, place, edit.made.layer, line.value)


def _names(path: Sequence[str]) -> list[str]:
    """A path without the numbers, which may count parts that have names."""
    return [part for part in path if not part.isdigit()]


def _compare_put(trees: Trees, where: str, wanted: LayerValue, value: Any) -> None:
    """Compare what is put into a model: a layer with its arguments, or a module with all that it holds."""
    entry = wanted.entry
    if entry.home == "netc.stand":
        assert entry.rule is not None
        stand: Any = entry.rule.shape
        trees.held(where, stand.instance.held, value)
        trees.children(where, stand.instance.children, value)
        outer, stage.frame = stage.frame, Frame(None)
        result = types_of(value(*map(Tensor, stand.instance.inputs)))
        stage.frame = outer
        if result != stand.instance.types:
            raise Disagreement(
                f"{where}: it gives {result} in the generated code, and {stand.instance.types} for the checker"
            )
        return
    if not isinstance(value, Layer) or (value.entry.home, value.entry.name) != (entry.home, entry.name):
        raise Disagreement(f"{where}: {type(value).__name__} is put in, and {entry.name} for the checker")
    for param in entry.params:
        got = value.__netc_values__.get(param.name)
        if param.name in wanted.args and not equal(param, wanted.args[param.name], got):
            said = f"{got!r} in the generated code, and {wanted.args[param.name]!r} for the checker"
            raise Disagreement(f"{where}: `{param.name}` is {said}")
