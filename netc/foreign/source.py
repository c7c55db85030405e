"""What a Python file defines, read by its syntax alone.

In: the text of a file. Out: its classes and functions with their signatures, and the files beside it that it imports.
Guarantees: nothing of the file runs. A default that is no literal is kept as its text (`Written`); a class whose
constructor can't be seen from here (it inherits from elsewhere) takes anything.
"""

from __future__ import annotations

import ast
import sys
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from netc.catalog.entry import REQUIRED, Param

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netc.catalog.entry import Entry

# Modules that generated code imports, and what lies beside it.
_TAKEN = frozenset({"model", "train", "torch", "torchvision", "numpy", "tqdm", "PIL", "netc", "digits"})
_PLAIN = ("int", "float", "bool", "str", "None")
_ROOTS = ("nn.Module", "torch.nn.Module", "Module")
_WITHOUT_ITEMS = (*_ROOTS, "object", "Dataset", "data.Dataset", "torch.utils.data.Dataset", "utils.data.Dataset")


class Written(NamedTuple):
    """A default that only Python can evaluate, as its text."""

    text: str

    def __repr__(self) -> str:
        return self.text


class Signature(NamedTuple):
    """Parameters without `self`. `more` and `any_keyword` say that there are `*args` and `**kwargs`."""

    params: tuple[Param, ...]
    more: bool = False
    any_keyword: bool = False


ANYTHING = Signature((), True, True)


class Class(NamedTuple):
    """A class: its constructor and its `forward`, None where it has none in this file; `line` from 1.

    `items` says that it may have a length and items, as a data set has: it defines both, or inherits from elsewhere.
    """

    name: str
    line: int
    constructor: Signature
    forward: Signature | None
    rootless: bool
    items: bool = False


class Function(NamedTuple):
    """A function; `line` from 1."""

    name: str
    line: int
    signature: Signature


_serial = count(1)


class PythonFile:
    """A file: its name as a module, what it defines, and its text. Compared by identity.

    `loaded` is the imported module once a rule has been asked, `unknown` the sizes that no expression gives, `entries`
    what has been made of its classes and functions.
    """

    def __init__(self, path: str, text: str, tree: ast.Module) -> None:
        self.serial = next(_serial)
        self.loaded: Any = None
        self.unknown: dict[str, str] = {}
        self.entries: dict[str, Entry] = {}
        self.path = path
        self.text = text
        self.module = Path(path).stem
        classes = {n.name: n for n in tree.body if isinstance(n, ast.ClassDef)}
        self.classes = {n: _class(node, classes) for n, node in classes.items() if not n.startswith("_")}
        self.functions = {
            n.name: Function(n.name, n.lineno, _signature(n.args))
            for n in tree.body
            if isinstance(n, ast.FunctionDef) and not n.name.startswith("_")
        }
        self.imports = tuple(dict.fromkeys(_imports(tree)))

    @property
    def names(self) -> list[str]:
        return [*self.classes, *self.functions]

    @property
    def companions(self) -> tuple[Path, ...]:
        """This file and those beside it that it imports, and those that these import."""
        found: dict[Path, None] = {Path(self.path): None}
        todo = list(self.imports)
        while todo:
            beside = Path(self.path).parent / f"{todo.pop(0)}.py"
            if beside in found or not beside.is_file():
                continue
            found[beside] = None
            try:
                todo += list(_imports(ast.parse(beside.read_text(encoding="utf-8"))))
            except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
                continue  # importing it says what is wrong
        return tuple(found)


def read(path: str, text: str) -> PythonFile | tuple[int, str]:
    """A file, or the line (0 where there is none) and the reason why it doesn't parse."""
    try:
        return PythonFile(path, text, ast.parse(text, path))
    except SyntaxError as problem:
        return problem.lineno or 0, problem.msg or "it doesn't parse"
    except (ValueError, RecursionError, MemoryError) as problem:
        return 0, str(problem) or "it doesn't parse"


def name_problem(path: str) -> str | None:
    """Why a file can't be a module beside model.py; None where it can."""
    name = Path(path).name
    stem = Path(path).stem
    if not name.endswith(".py"):
        return "it is no Python file (.py)"
    if not (stem.isidentifier() and stem.isascii()) or stem in ("None", "True", "False"):
        return f"`{stem}` is no name that Python can import"
    from keyword import iskeyword

    if iskeyword(stem):
        return f"`{stem}` is a word of Python's own"
    if stem in _TAKEN or stem in sys.stdlib_module_names:
        return f"`import {stem}` means another module"
    return None


def _imports(tree: ast.Module) -> Iterator[str]:
    """The first part of the name of every module that is imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module.partition(".")[0]


def _class(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> Class:
    constructor = _method(node, "__init__", classes)
    if constructor is None:
        whole = all(ast.unparse(b) in (*_ROOTS, "object") or _local(b, classes) for b in _bases(node, classes))
        signature = Signature(()) if whole and not node.decorator_list else ANYTHING
    else:
        signature = _signature(constructor.args, bound=True)
    forward = _method(node, "forward", classes)
    bases = _bases(node, classes)
    rootless = all(ast.unparse(b) == "object" or _local(b, classes) for b in bases) and not node.decorator_list
    called = None if forward is None else _signature(forward.args, bound=True)
    elsewhere = not all(_local(b, classes) or ast.unparse(b).partition("[")[0] in _WITHOUT_ITEMS for b in bases)
    items = elsewhere or all(_method(node, name, classes) is not None for name in ("__len__", "__getitem__"))
    return Class(node.name, node.lineno, signature, called, rootless, items)


def _local(base: ast.expr, classes: dict[str, ast.ClassDef]) -> bool:
    return isinstance(base, ast.Name) and base.id in classes


def _bases(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> list[ast.expr]:
    """The bases of a class and of those bases that stand in the same file."""
    return [base for one in _lineage(node, classes) for base in one.bases]


def _lineage(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> list[ast.ClassDef]:
    out = [node]
    for one in out:
        names = [b.id for b in one.bases if isinstance(b, ast.Name) and b.id in classes]
        out += [classes[n] for n in names if classes[n] not in out]
    return out


def _method(node: ast.ClassDef, name: str, classes: dict[str, ast.ClassDef]) -> ast.FunctionDef | None:
    for one in _lineage(node, classes):
        for statement in one.body:
            if isinstance(statement, ast.FunctionDef) and statement.name == name:
                return statement
    return None


def _signature(given: ast.arguments, bound: bool = False) -> Signature:
    """A signature; a method's first parameter is left out."""
    plain = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(plain) - len(given.defaults)) + list(given.defaults)
    params = [_param(a, d) for a, d in zip(plain, defaults, strict=True)][1 if bound else 0 :]
    named = zip(given.kwonlyargs, given.kw_defaults, strict=True)
    params += [_param(a, d)._replace(keyword_only=True) for a, d in named]
    return Signature(tuple(params), given.vararg is not None, given.kwarg is not None)


def _param(arg: ast.arg, default: ast.expr | None) -> Param:
    value: object = REQUIRED
    if default is not None:
        try:
            value = ast.literal_eval(default)
        except (ValueError, TypeError, SyntaxError):
            value = Written(ast.unparse(default))
        if not isinstance(value, (int, float, str, bool, type(None), tuple, list, Written)):
            value = Written(ast.unparse(default))
    return Param(arg.arg, _type(arg.annotation), value)


def _type(annotation: ast.expr | None) -> str:
    """What a parameter takes, where its annotation says it in plain words."""
    if annotation is None:
        return "any"
    text = annotation.value if isinstance(annotation, ast.Constant) and annotation.value else ast.unparse(annotation)
    kinds = [kind.strip() for kind in str(text).split("|")]
    return "|".join(kinds) if all(kind in _PLAIN for kind in kinds) else "any"
