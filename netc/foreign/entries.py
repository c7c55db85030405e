"""Entries for what a Python file defines and for torchvision's models, with rules that ask torch.

In: a `PythonFile`, or the catalog's entry of a model. Out: entries like those of the catalog; `rule.probed` says that
its functions run the layer on the meta device, and import torch when they are first asked.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING, Any

from netc.catalog.entry import REQUIRED, Entry, LayerValue, Param, Rule
from netc.foreign import Raised, fit, raised
from netc.foreign.recipe import Edit, Recipe
from netc.foreign.source import ANYTHING, PythonFile, Signature, Written
from netc.shapes import TensorType, symbol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netc.shapes import Dim

    Args = Mapping[str, object]
    Inputs = tuple[Any, ...]

_ANY = "tensor|tensors|any"  # what an argument of a Python function may be


def imported(module: str) -> Any:
    """A module of torch, of torchvision, or one that needs them.

    Raises:
        UserError: if they are not there, or don't fit each other.
    """
    from netc.catalog.versions import explain_import_error
    from netc.runtime.errors import UserError

    try:
        return import_module(module)
    except (ImportError, RuntimeError) as problem:
        name = module if module.startswith("torch") else "torch"
        said = explain_import_error(problem) or f"`import {name}` fails: {problem}"
        raise UserError(said, help=f"run `python -c 'import {name}'` to see all of it") from None


def _probe() -> Any:
    """The part that asks torch."""
    return imported("netc.foreign.probe")


class Named(tuple[Any, ...]):
    """The types of a result whose parts have names: a dictionary's keys."""

    names: tuple[str, ...] = ()


class Probed:
    """The shape rule of a layer or function that can only be tried."""

    def __init__(self, file: PythonFile | None, edits: tuple[Edit, ...] = (), is_function: bool = False) -> None:
        self.file = file
        self.edits = edits
        self.is_function = is_function
        self.entry: Entry  # set when it is made
        self.unknown: dict[str, str] = file.unknown if file is not None else {}
        self.results: dict[str, Any] = {}

    def __call__(self, args: Args, inputs: Inputs) -> Any:
        """The types that the layer gives, symbols kept; or why there are none."""
        return self.general(args, inputs, {})

    def general(self, args: Args, inputs: Inputs, known: Mapping[str, int]) -> Any:
        """The same, where numbers are known that some symbols are sure to allow."""
        return self._known(args, inputs, known)[0]

    def cost(self, args: Args, inputs: Inputs) -> Dim:
        """The multiply-adds of one application, as far as torch counts them; 0 where no expression gives them."""
        return self._known(args, inputs, {})[1]

    def _known(self, args: Args, inputs: Inputs, known: Mapping[str, int]) -> tuple[Any, Dim]:
        key = repr((sorted((n, repr(v)) for n, v in args.items() if n != "self"), inputs, sorted(known.items())))
        if key not in self.results:
            self.results[key] = self._general(args, inputs, known)
        return self.results[key]  # type: ignore[no-any-return]

    def _general(self, args: Args, inputs: Inputs, known: Mapping[str, int]) -> tuple[Any, Dim]:
        seen: dict[tuple[int, ...], Any] = {}

        def run(point: Mapping[str, int]) -> Any:
            key = tuple(point[s] for s in symbols)
            if key not in seen:
                seen[key] = self.outcome(args, inputs, point)
            return seen[key] if isinstance(seen[key], Raised) else seen[key].types

        symbols = tuple(dict.fromkeys(fit.symbols_of([*inputs, *args.values()])))
        first = next((t for t in _flat(inputs) if t.shape), None)
        batch = tuple(s for s in fit.symbols_of(first.shape[0] if first else ()) if s not in known)
        found = fit.fitted(run, symbols, batch, known, lambda place: self._unknown(args, inputs, place, known))
        if isinstance(found, Raised):
            return found, 0
        open_ = [s for s in found.fixed if s not in known]
        if open_:
            sizes = " and ".join(f"`{s}` is {found.point[s]}" for s in open_)
            note = "give the input this size as a number"
            return raised("E0402", f"it was found to run only where {sizes}", (note,)), 0
        problem = self._training(args, inputs, found.point)
        if problem is not None:
            return problem, 0
        ran = [(dict(zip(symbols, k, strict=True)), o.macs) for k, o in seen.items() if not isinstance(o, Raised)]
        cost = fit.expression(sorted(ran, key=lambda one: one[0] != found.point), symbols) or 0
        names = seen[tuple(found.point[s] for s in symbols)].names
        if not names:
            return found.types, cost
        named = Named(found.types)
        named.names = names
        return named, cost

    def start(self, args: Args, inputs: Inputs) -> dict[str, int]:
        """Numbers for the symbols with which the layer runs, or the first that were tried."""
        symbols = tuple(dict.fromkeys(fit.symbols_of([*inputs])))
        first = next((t for t in _flat(inputs) if t.shape), None)
        batch = tuple(fit.symbols_of(first.shape[0] if first else ()))
        return fit.start(lambda point: self._types(args, inputs, point), symbols, batch, {})[0]

    def _types(self, args: Args, inputs: Inputs, point: Mapping[str, int]) -> Any:
        found = self.outcome(args, inputs, point)
        return found if isinstance(found, Raised) else found.types

    def _unknown(self, args: Args, inputs: Inputs, place: int, known: Mapping[str, int]) -> Dim:
        """A size that has no expression: the same name for the same call."""
        if known:
            return -1  # right for no instance, so that the checker drops it
        key = f"{self.entry.name} {sorted(args.items(), key=str)!r} {inputs!r} {place}"
        if key not in self.unknown:
            base = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", self.entry.name).lower()
            self.unknown[key] = f"{base}_{len(self.unknown) + 1}"
        return symbol(self.unknown[key])

    def outcome(self, args: Args, inputs: Inputs, point: Mapping[str, int], training: bool = False) -> Any:
        """One run with numbers for the symbols."""
        probe = _probe()
        numbers = fit.with_numbers(dict(args), point)
        arriving = fit.with_numbers(tuple(inputs), point)
        if self.is_function:
            return probe.call(self.entry, *self._call(numbers))
        found = probe.run(self.recipe(numbers), arriving, self._of_forward(numbers), training)
        tried = ", ".join(f"{n} = {v}" for n, v in point.items() if not n.startswith("$"))
        if isinstance(found, Raised) and found.code == "E0707" and tried:
            return raised(found.code, found.reason, (*found.notes, f"it was run with {tried}"))
        return found

    def _call(self, numbers: Args) -> tuple[list[Any], dict[str, Any]]:
        """The arguments of a function; a type stands for its tensor."""
        given = {n: v for n, v in numbers.items() if not isinstance(v, Written)}
        spread = [v for n, v in given.items() if n.startswith("*")]
        if not spread:
            return [], given
        lead = [p.name for p in self.entry.params if not p.keyword_only and not p.name.startswith("*")]
        return [given.pop(n) for n in lead if n in given] + spread, {n: v for n, v in given.items() if n[0] != "*"}

    def _of_forward(self, numbers: Args) -> dict[str, Any]:
        rule = self.entry.rule
        assert rule is not None
        own = {p.name: p.default for p in rule.forward}
        return {n: numbers[n] for n, d in own.items() if n in numbers and not _same(numbers[n], d)}

    def recipe(self, args: Args) -> Recipe:
        """How the layer is made: the arguments that differ from their defaults, and its edits."""
        spread = any(p.name.startswith("*") for p in self.entry.params)
        given = {
            p.name: args[p.name]
            for p in self.entry.params
            if p.name in args and args[p.name] is not REQUIRED and (spread or not _same(args[p.name], p.default))
        }
        return Recipe(LayerValue(self.entry, given), self.edits)

    def holds(self, args: Args) -> bool:
        """Whether a module made with these arguments has buffers."""
        made = _probe().module(self.recipe(args))
        return not isinstance(made, Raised) and any(True for _ in made.buffers())

    def _training(self, args: Args, inputs: Inputs, point: Mapping[str, int]) -> Raised | None:
        """A layer has to give the same in training: the lines behind it are written once."""
        if self.is_function:
            return None
        evaluated, trained = self.outcome(args, inputs, point), self.outcome(args, inputs, point, training=True)
        if isinstance(trained, Raised) or trained[:2] == evaluated[:2]:
            return None
        own = any(p.name == "aux_logits" for p in self.entry.params)
        notes = ("with `aux_logits=False` it gives one tensor in both",) if own else ()
        return raised("E0708", f"it gives {_said(evaluated)} in evaluation, and {_said(trained)} in training", notes)


def _said(outcome: Any) -> str:
    if outcome.names:
        return f"values called {', '.join(f'`{n}`' for n in outcome.names)}"
    return f"[{', '.join(map(str, outcome.types.shape))}]" if isinstance(outcome.types, TensorType) else (
        f"{len(outcome.types)} values"
    )  # fmt: skip


def _same(value: object, default: object) -> bool:
    return value is default or (type(value) is type(default) and value == default)


def _flat(types: Any) -> list[TensorType]:
    if isinstance(types, TensorType):
        return [types]
    return [t for part in types for t in _flat(part)] if isinstance(types, (tuple, list)) else []


def _entry(name: str, home: str, params: tuple[Param, ...], forward: tuple[Param, ...], shape: Probed) -> Entry:
    """An entry whose rule asks torch."""

    def state(args: Args) -> dict[str, tuple[Dim, ...]]:
        probe = _probe()
        return dict(probe.state(shape.recipe(args)))

    def buffers(args: Args) -> dict[str, tuple[tuple[Dim, ...], str]]:
        probe = _probe()
        return dict(probe.buffers(shape.recipe(args)))

    def macs(args: Args, inputs: Inputs, result: Any) -> Dim:
        return shape.cost(args, inputs)

    rule = Rule(shape, {}, state, buffers, macs, None, forward, probed=True)
    if shape.is_function:
        rule = Rule(shape, probed=True)
    made = Entry(name, home, params, rule)
    shape.entry = made
    return made


def of_name(file: PythonFile, name: str) -> Entry:
    """The entry of a class or function of a file, always the same one."""
    if name not in file.entries:
        file.entries[name] = (_of_class if name in file.classes else _of_function)(file, name)
    return file.entries[name]


def _of_class(file: PythonFile, name: str) -> Entry:
    found = file.classes[name]
    params = found.constructor.params
    own = {p.name for p in params}
    forward = found.forward or ANYTHING
    further = tuple(p._replace(type=_ANY) for p in forward.params if p.name not in own)
    return _entry(name, f"python:{file.path}", params, further, Probed(file))


def _of_function(file: PythonFile, name: str) -> Entry:
    """A function. `training` follows the network's mode, as with torch's functions."""
    params = tuple(
        p._replace(type=_ANY, default=False if p.name == "training" and p.default is REQUIRED else p.default)
        for p in file.functions[name].signature.params
    )
    return _entry(name, f"python:{file.path}", params, (), Probed(file, is_function=True))


def signature_of(entry: Entry) -> Signature | None:
    """The signature of a Python class or function; None for a model of torchvision."""
    shape = entry.rule.shape if entry.rule is not None else None
    if not isinstance(shape, Probed) or shape.file is None:
        return None
    if shape.is_function:
        return shape.file.functions[entry.name].signature
    return shape.file.classes[entry.name].constructor


def widened(entry: Entry, positional: int, keywords: list[str]) -> Entry:
    """The entry for one call, where the signature has `*args` or `**kwargs`: a parameter for each argument."""
    signature = signature_of(entry)
    shape = entry.rule.shape if entry.rule is not None else None
    if signature is None or not isinstance(shape, Probed):
        return entry
    plain = [p for p in entry.params if not p.keyword_only]
    more = [Param(f"*{i}", _ANY if shape.is_function else "any", REQUIRED) for i in range(positional - len(plain))]
    known = {p.name for p in entry.params}
    others = [Param(k, _ANY if shape.is_function else "any", REQUIRED, True) for k in keywords if k not in known]
    if (more and not signature.more) or not (more or (others and signature.any_keyword)):
        return entry
    params = (*plain, *more, *(p for p in entry.params if p.keyword_only), *(others if signature.any_keyword else ()))
    assert entry.rule is not None
    own = Probed(shape.file, shape.edits, shape.is_function)
    return _entry(entry.name, entry.home, params, entry.rule.forward, own)


def of_model(entry: Entry) -> Entry:
    """The entry of a model of torchvision, from the one that the catalog has."""
    return _entry(entry.name, entry.home, entry.params, (), Probed(None))


def edited(entry: Entry, edits: tuple[Edit, ...]) -> Entry:
    """The entry of a layer with further edits."""
    shape = entry.rule.shape if entry.rule is not None else None
    assert isinstance(shape, Probed)
    assert entry.rule is not None
    return _entry(entry.name, entry.home, entry.params, entry.rule.forward, Probed(shape.file, (*shape.edits, *edits)))
