"""Reads the models of torchvision: their builders, arguments, weights and classes.

In: the installed torchvision. Out: the text of model.json, one model a line. Part of `python -m netc.catalog.extract`.
Guarantees: a builder's `**kwargs` are given the names that its class takes and the builder doesn't set itself, found by
calling the builder with a class that only notes what it is given. Left out: quantised models, detectors and optical
flow, which take or give other things than tensors.
"""

from __future__ import annotations

import contextlib
import enum
import inspect
import json
from typing import TYPE_CHECKING, Any

from torch import device
from torchvision import models

from netc.catalog.entry import REQUIRED, Param

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HOMES = (models, models.segmentation, models.video)
_SIMPLE = {int: "int", float: "float", bool: "bool", str: "str"}


class Facts:
    """One model: its home, its parameters, the Python of its class, and of the enumerations of its weights."""

    def __init__(self, name: str, home: str) -> None:
        builder = models.get_model_builder(name)
        signature = inspect.signature(builder)
        self.home = home
        self.kind = signature.return_annotation
        self.weights: dict[str, str] = {}
        self.params = [p for q in signature.parameters.values() if (p := self._param(q)) is not None]
        open_ = any(q.kind is q.VAR_KEYWORD for q in signature.parameters.values())
        if open_ and "weights_backbone" not in self.weights:  # those for segmentation pass nothing on
            self.params += _further(builder, self.kind)

    def _param(self, given: inspect.Parameter) -> Param | None:
        if given.kind is given.VAR_KEYWORD:
            return None
        if given.name.startswith("weights"):
            members = _enumeration(given.annotation)
            self.weights[given.name] = f"{_public(members)}.{members.__name__}"
            default = None if given.default is None else given.default.name
            names = (*(m.name for m in members), "DEFAULT")
            return Param(given.name, "str|None", default, True, names)
        kind = _SIMPLE.get(type(given.default)) or ("int|None" if "int" in str(given.annotation) else "bool|None")
        return Param(given.name, kind, given.default, True)

    @property
    def class_code(self) -> str:
        return f"{_public(self.kind)}.{self.kind.__name__}"


def _public(found: Any) -> str:
    """The module that people take a class from, as generated code names it."""
    home: str = next(h.__name__ for h in HOMES if getattr(h, found.__name__, None) is found)
    return home.removeprefix("torchvision.")


def _enumeration(annotation: Any) -> type[enum.Enum]:
    found: type[enum.Enum] = next(a for a in annotation.__args__ if isinstance(a, type) and issubclass(a, enum.Enum))
    return found


class _Noted(Exception):
    """Ends a builder once its class has been called."""


@contextlib.contextmanager
def _noting(kind: type, seen: dict[str, Any]) -> Iterator[None]:
    """The class notes what it is given, and makes nothing."""
    before = kind.__init__  # type: ignore[misc]
    signature = inspect.signature(before)

    def note(self: object, *args: Any, **named: Any) -> None:
        seen.update(signature.bind(self, *args, **named).arguments)
        raise _Noted

    kind.__init__ = note  # type: ignore[misc]
    try:
        yield
    finally:
        kind.__init__ = before  # type: ignore[misc]


def _further(builder: Callable[..., Any], kind: type) -> list[Param]:
    """The arguments that a builder passes on to its class, with the defaults that they then have."""
    usual = _given(builder, kind)
    out = []
    for given in inspect.signature(kind.__init__).parameters.values():  # type: ignore[misc]
        default = usual.get(given.name, given.default)
        type_ = _SIMPLE.get(given.annotation) or _SIMPLE.get(type(default))
        if given.name in ("self", "progress") or type_ is None or not isinstance(default, tuple(_SIMPLE)):
            continue
        if _given(builder, kind, **{given.name: "said"}).get(given.name) == "said":
            out.append(Param(given.name, type_, default, True))
    return out


def _given(builder: Callable[..., Any], kind: type, **named: object) -> dict[str, Any]:
    """What a builder gives to its class; nothing where it refuses its own arguments."""
    seen: dict[str, Any] = {}
    with _noting(kind, seen), contextlib.suppress(_Noted, TypeError, ValueError):
        builder(weights=None, **named)
    return seen


def text(head: str) -> str:
    """The content of model.json."""
    with device("cpu"):
        found = {n: Facts(n, h.__name__) for h in HOMES for n in models.list_models(module=h)}
    facts = {n: [f.class_code, f.weights] for n, f in sorted(found.items())}
    lines = (f'"{n}":{_json([f.home, *map(_packed, f.params)])}' for n, f in sorted(found.items()))
    return f'{{{head},"rules":{{}},"facts":{_json(facts)},"entries":{{\n' + ",\n".join(lines) + "\n}}\n"


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True)


def _packed(p: Param) -> list[object]:
    packed: list[object] = [("*" if p.keyword_only else "") + p.name, p.type]
    if p.default is not REQUIRED:
        packed += [p.default, p.choices] if p.choices else [p.default]
    return packed
