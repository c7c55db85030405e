"""Nodes of trees: immutable, and cheap to define.

`@node` makes of a class with annotated fields a named tuple. To a type checker it is a frozen dataclass: defining one
takes a tenth of a dataclass's time at run time, which is felt at every start of a program that runs for a tenth of a
second, while a checker needs minutes for trees whose recursive types are tuples. Two nodes of different classes with
equal fields compare equal, so trees are compared by `repr`, which names the classes.
"""

from __future__ import annotations

from collections import namedtuple
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def node(cls: type[T]) -> type[T]:
    """Make a node of a class whose body is annotated fields, those with defaults last."""
    fields = list(cls.__annotations__)
    defaults = [cls.__dict__[name] for name in fields if name in cls.__dict__]
    base = namedtuple(cls.__name__, fields, defaults=defaults)  # type: ignore[misc]
    made: Any = type(cls.__name__, (base,), {"__doc__": cls.__doc__, "__slots__": (), "__module__": cls.__module__})
    return made  # type: ignore[no-any-return]


def replace(old: T, **changes: object) -> T:
    """A copy of a node with some fields changed."""
    made: T = old._replace(**changes)  # type: ignore[attr-defined]
    return made
