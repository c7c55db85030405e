"""Modules and layers that are built and applied without torch.

In: the constructors and calls of generated code. Out: a tree of children, parameters and buffers with their shapes, and
the steps of `forward`. Guarantees: children are registered, named and ordered as `nn.Module` and `nn.Sequential` do it,
what these refuse is refused, and a class is built and followed once for the same arguments and inputs.
Leaves to others: what a layer gives (the catalog), and whether the tree is the right one (`comparison`).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from netc import catalog
from netc.catalog.entry import REQUIRED, Entry, LayerValue
from netc.identifiers import MODULE_ATTRIBUTES
from netc.rehearsal.tensors import (
    Frame,
    Refused,
    Step,
    Tensor,
    bind,
    first,
    nested,
    stage,
    stepped,
    tensors,
    types_of,
    wrapped,
)
from netc.shapes import Reject, Size, TensorType, same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netc.ir import Source

# What nn.Module keeps under names that a program could come by when an underscore is put before one of its own.
PRIVATE = frozenset(
    """
    _parameters _buffers _modules _version _non_persistent_buffers_set _backward_hooks _backward_pre_hooks
    _forward_hooks _forward_pre_hooks _state_dict_hooks _apply _call_impl _get_name _named_members
    _replicate_for_data_parallel
    """.split()
)


class Parameter(Tensor):
    """An nn.Parameter."""

    __slots__ = ()

    def __init__(self, data: Tensor) -> None:
        super().__init__(data.type)


class _Once(type):
    """Builds a class once for the same arguments; every instance is an object of its own."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        key = (cls, _key(args), _key(kwargs)) if cls.shared else None
        if key is not None and key in stage.built:
            made: Any = object.__new__(cls)  # type: ignore[arg-type]
            made.__dict__.update(stage.built[key].__dict__, __netc_parent__=None, __netc_label__="")
            return made
        made = super().__call__(*args, **kwargs)
        if key is not None:
            stage.built[key] = made
        return made

    shared = True


def _key(value: Any) -> Any:
    """An argument as a key that tells 1 from True and 1.0, and lists from tuples."""
    if isinstance(value, (list, tuple)):
        return (type(value), *map(_key, value))
    if isinstance(value, dict):
        return tuple((n, _key(v)) for n, v in value.items())
    if isinstance(value, partial):
        return (partial, value.func, _key(value.args), _key(value.keywords))
    return (type(value), id(value) if isinstance(value, Module) else value)


class Module(metaclass=_Once):
    """An nn.Module. What is its own begins with `__netc_`, lest it meet a name of the program."""

    def __init__(self) -> None:
        own = self.__dict__
        own["__netc_token__"] = object()  # what copies of one instance share
        own["__netc_children__"], own["__netc_parameters__"], own["__netc_buffers__"] = {}, {}, {}
        own["__netc_parent__"], own["__netc_label__"] = None, ""

    def __setattr__(self, name: str, value: Any) -> None:
        if "__netc_token__" not in self.__dict__:
            raise AttributeError(f"`{name}` is set before `super().__init__()`")
        if isinstance(value, Module):
            self.__dict__.pop(name, None)
            self.__netc_adopt__(name, value)
        elif isinstance(value, Parameter):
            self.__dict__.pop(name, None)
            self.__netc_parameters__[name] = value
        elif value is None and name in self.__netc_children__:
            self.__netc_children__[name] = None  # as torch has it: the name keeps its place
        elif name in MODULE_ATTRIBUTES or name in PRIVATE:
            raise AttributeError(f"`{name}` is an attribute of nn.Module")
        elif name in self.__netc_children__ or name in self.__netc_parameters__ or name in self.__netc_buffers__:
            raise TypeError(f"`{name}` is a child or parameter already, and is set to {value!r}")
        else:
            self.__dict__[name] = value

    def __getattr__(self, name: str) -> Any:
        for kind in ("__netc_children__", "__netc_parameters__", "__netc_buffers__"):
            held = self.__dict__.get(kind, {})
            if name in held:
                if kind == "__netc_parameters__" and stage.frame.owner is not None:
                    path = self.__netc_path__()
                    return Tensor(held[name].type, False, (f"{path}.{name}" if path else name, ()))
                return held[name][0] if kind == "__netc_buffers__" else held[name]
        raise AttributeError(f"`{type(self).__name__}` has no attribute `{name}`")

    def __netc_adopt__(self, label: str, child: Module) -> None:
        """Make a module a child; one that has a parent already is a second name for the same object."""
        if child.__netc_parent__ is None:
            child.__dict__["__netc_parent__"], child.__dict__["__netc_label__"] = self, label
        self.__netc_children__[label] = child

    def add_module(self, label: str, child: Module) -> None:
        if not isinstance(child, Module):
            raise TypeError(f"{child!r} is not a module")
        if not isinstance(label, str) or "." in label or not label:
            raise KeyError(f"{label!r} can't be the name of a child")
        if label not in self.__netc_children__ and (label in self.__dict__ or label in MODULE_ATTRIBUTES):
            raise KeyError(f"there is an attribute `{label}` already")
        if label in self.__netc_parameters__ or label in self.__netc_buffers__:
            raise KeyError(f"there is an attribute `{label}` already")
        self.__netc_adopt__(label, child)

    register_module = add_module

    def register_buffer(self, name: str, tensor: Tensor, persistent: bool = True) -> None:
        if name in self.__dict__ or name in self.__netc_children__ or name in self.__netc_buffers__ or "." in name:
            raise KeyError(f"there is an attribute `{name}` already")
        if not isinstance(tensor, Tensor):
            raise TypeError(f"the buffer `{name}` is {tensor!r}")
        self.__netc_buffers__[name] = Tensor(tensor.type, constant=True), persistent

    def get_submodule(self, path: str) -> Module:
        found: Any = self
        for label in path.split("."):
            if label not in found.__netc_children__:
                raise AttributeError(f"`{type(found).__name__}` has no child `{label}`")
            found = found.__netc_children__[label]
        return found  # type: ignore[no-any-return]

    def children(self) -> Iterator[Module]:
        return (child for child in list(self.__netc_children__.values()) if child is not None)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        return ((label, child) for label, child in list(self.__netc_children__.items()) if child is not None)

    def modules(self) -> Iterator[Module]:
        yield self
        for child in self.children():
            yield from child.modules()

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        for name, value in self.__netc_parameters__.items():
            yield prefix + name, value
        for label, child in self.named_children():
            yield from child.named_parameters(f"{prefix}{label}.")

    def parameters(self) -> Iterator[Tensor]:
        return (value for _, value in self.named_parameters())

    @property
    def training(self) -> bool:
        return stage.training

    def __netc_path__(self) -> str:
        """The path from the module whose `forward` runs."""
        labels, found = [], self
        owner = stage.frame.owner
        while found is not None and found.__netc_token__ is not owner:
            labels.append(found.__netc_label__)
            found = found.__netc_parent__
        if found is None:
            raise Refused(f"a {type(self).__name__} is applied that is no child of the module which applies it")
        return ".".join(reversed(labels))

    def __call__(self, *inputs: Any) -> Any:
        """Run `forward` in a frame of its own, once for the same instance and inputs."""
        outer = stage.frame
        path = "" if outer.owner is None else self.__netc_path__()
        key = (self.__netc_token__, tuple(map(types_of, inputs)), stage.training)
        if key not in stage.seen:
            stage.frame = inner = Frame(self.__netc_token__)
            given = (wrapped(types_of(value), source=(-1 - at, ())) for at, value in enumerate(inputs))
            result = _as_tensors(self.forward(*given))
            stage.frame = outer
            stage.seen[key] = inner.steps, result
        steps, result = stage.seen[key]
        if outer.owner is None:
            outer.steps.extend(steps)
            return result
        if path in outer.applied:
            types = types_of(result)
            return stepped(Step("", path, "again", first(types), {}, {"": _sources(inputs)}), types)
        outer.applied.add(path)
        placed = _Placed(len(outer.steps), path, inputs)
        outer.steps.extend(map(placed.step, steps))
        return placed.value(result)


def _as_tensors(value: Any) -> Any:
    """What `forward` gives: tensors, nested as they are, that hang on something."""
    return Tensor(value.type, False, value.source) if isinstance(value, Tensor) else nested(value, _as_tensors)


def _sources(values: Any) -> tuple[Source, ...]:
    return tuple(t.source for t in tensors(values))


class _Placed:
    """Moves the steps of a module to where it is applied."""

    def __init__(self, first_: int, path: str, inputs: tuple[Any, ...]) -> None:
        self.first = first_
        self.path = path
        self.inputs = [value.source if isinstance(value, Tensor) else None for value in inputs]

    def step(self, step: Step) -> Step:
        frame = f"{self.path}.{step.frame}" if step.frame else self.path
        path = f"{self.path}.{step.path}" if step.path else self.path
        sources = {n: tuple(map(self.source, parts)) for n, parts in step.sources.items()}
        return Step(frame, path, step.name, step.output, step.values, sources)

    def source(self, source: Source) -> Source:
        if source is None:
            return None
        place, parts = source
        if isinstance(place, str):
            return f"{self.path}.{place}", parts
        if place >= 0:
            return place + self.first, parts
        given = self.inputs[-1 - place]
        return None if given is None else (given[0], (*given[1], *parts))

    def value(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return Tensor(value.type, False, self.source(value.source))
        return nested(value, self.value)


class Sequential(Module):
    """An nn.Sequential; not a frame of its own."""

    shared = False

    def __init__(self, *children: Module) -> None:
        super().__init__()
        for child in children:
            self.append(child)

    def append(self, child: Module) -> Sequential:
        self.add_module(str(len(self.__netc_children__)), child)
        return self

    def __len__(self) -> int:
        return len(self.__netc_children__)

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    def __getitem__(self, at: int) -> Module:
        found: Module = list(self.__netc_children__.values())[at]
        return found

    def forward(self, value: Any) -> Any:
        for child in self.__netc_children__.values():
            value = child(value)
        return value

    def __call__(self, *inputs: Any) -> Any:
        if type(self) is not Sequential:
            return super().__call__(*inputs)
        path, count = self.__netc_path__(), len(stage.frame.steps)
        result = self.forward(*inputs)
        if path in stage.frame.applied:
            del stage.frame.steps[count:]
            types = types_of(result)
            return stepped(Step("", path, "again", first(types), {}, {"": _sources(inputs)}), types)
        stage.frame.applied.add(path)
        return result


# --- layers of torch --------------------------------------------------------------------------------------------------


class Layer(Module):
    """A layer of the catalog; its subclasses are made by `layer_class`."""

    shared = False
    entry: Entry

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        entry, own = self.entry, self.__dict__
        bound = {} if entry.name == "Identity" else bind(entry, args, kwargs)  # nn.Identity takes anything
        values = {p.name: p.default for p in entry.params} | {n: layer_value(v) for n, v in bound.items()}
        own["__netc_values__"], own["__netc_given__"] = values, bound
        rule = entry.rule
        assert rule is not None
        if rule.state is not None:
            for name, shape in rule.state(values).items():
                self.__netc_parameters__[name] = Parameter(Tensor(TensorType(tuple(shape))))
        if rule.buffers is not None:
            for name, (shape, dtype) in rule.buffers(values).items():
                self.__netc_buffers__[name] = Tensor(TensorType(tuple(shape), dtype), constant=True), True

    def __getattr__(self, name: str) -> Any:
        if name in self.__dict__.get("__netc_parameters__", {}):
            return super().__getattr__(name)
        if name in ("weight", "bias"):
            return None  # torch's layers have the attribute where they have no such parameter
        values = self.__dict__.get("__netc_values__", {})
        return _attribute(self.entry, name, values[name]) if name in values else super().__getattr__(name)

    def __call__(self, *inputs: Any, **given: Any) -> Any:
        entry, rule = self.entry, self.entry.rule
        assert rule is not None
        path = self.__netc_path__()
        unknown = [n for n in given if all(p.name != n for p in rule.forward)]
        if unknown:
            raise TypeError(f"`{entry.name}` takes no `{unknown[0]}`")
        types = tuple(t.type for t in tensors(inputs))
        values = self.__netc_values__ | {p.name: p.default for p in rule.forward}
        values |= {n: v.type if isinstance(v, Tensor) else v for n, v in given.items()}
        for name, infer in rule.infers.items():
            size = infer({n: v for n, v in values.items() if n not in rule.infers}, types)
            if isinstance(size, Reject) or not _agree(values[name], size):
                arrives = size.reason if isinstance(size, Reject) else f"{size} arrives"
                raise Refused(f"`{path}` is built with {name}={values[name]}, and {arrives}")
        result = rule.shape(values, types)
        if isinstance(result, Reject):
            raise Refused(f"`{path}`: {result.reason}")
        stage.frame.applied.add(path)
        came = {"": _sources(inputs)} | {n: _sources(v) for n, v in given.items() if tensors(v)}
        return stepped(Step("", path, entry.name, first(result), {}, came), result)


def _attribute(entry: Entry, name: str, value: Any) -> Any:
    """An argument as an attribute: layers with weights keep one number for several axes as a tuple."""
    kind = next(p.type for p in entry.params if p.name == name)
    spread = int(kind[4:5]) if kind.startswith("int*") and type(value) is int and entry.rule and entry.rule.state else 0
    return (value,) * spread if spread else value


def _agree(given: Any, arrives: Any) -> bool:
    left, right = _flat(given), _flat(arrives)
    return len(left) == len(right) and all(a == b or _may_be_same(a, b) for a, b in zip(left, right, strict=True))


def _flat(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


def _may_be_same(a: Any, b: Any) -> bool:
    return isinstance(a, (int, Size)) and isinstance(b, (int, Size)) and same(a, b) is not False


def layer_value(value: Any) -> Any:
    """A layer or its class as an argument, for a rule."""
    if isinstance(value, Layer):
        return LayerValue(value.entry, value.__netc_values__)
    given: dict[str, Any] = {}
    while isinstance(value, partial):
        given = {**value.keywords, **given}
        value = value.func
    if isinstance(value, type) and issubclass(value, Layer):
        entry = value.entry
        known = {p.name: p.default for p in entry.params if p.default is not REQUIRED}
        return LayerValue(entry, known | {n: layer_value(v) for n, v in given.items()})
    return value


_classes: dict[str, type[Layer]] = {}


def layer_class(name: str, home: str) -> type[Layer]:
    """The class of a layer. Raises AttributeError for what its library doesn't have."""
    if name not in _classes:
        entry = catalog.layer(name)
        if entry is None or entry.rule is None or entry.home != home:
            raise AttributeError(f"`{home}` has no layer `{name}`")
        _classes[name] = type(name, (Layer,), {"entry": entry})
    return _classes[name]
