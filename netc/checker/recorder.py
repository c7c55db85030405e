"""What a body is in general: the Python of its constructor and of `forward`, sizes as expressions over its parameters.

In: what a `Body` does while it runs on one instance of its module (the witness). Out: two lists of statements, still
with marks for names (`ꞏwidthꞏ`), which `classes` turns into a class.
A size is a polynomial over atoms. An atom (a symbol that begins with `$`) stands for a Python expression of the
constructor: a parameter, a local, a size of an input, an attribute of a child. Each has a witness, the number that it
is in the instance, so that whatever can't be decided in general is decided by the witness. An atom is stale once a name
that it reads has been given another value; a size that needs a stale or unknown atom has no code.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from netc.catalog.entry import Entry, LayerValue
from netc.checker.values import LayerRef, Tensor, TensorTuple
from netc.literals import literal
from netc.shapes import Size, TensorType, substitute, symbol

if TYPE_CHECKING:
    from netc import ir
    from netc.shapes import Dim

MARK = re.compile("ꞏ([^ꞏ]+)ꞏ")
UNKNOWN = "ꞏ?ꞏ"
DEVICE = "@"  # an input, whose device a tensor that is made in `forward` takes
_SIMPLE = re.compile(r"[\wꞏ.]+(\[[^\[\]]*\]|\([^()]*\))*\Z")


def mark(name: str) -> str:
    """A name in code that isn't final yet."""
    return f"ꞏ{name}ꞏ"


class NoExpression(Exception):
    """What a class needs and can't have, such as an expression for a size: the text says what, `help` a way out."""

    def __init__(self, text: str, help: str | None = None) -> None:
        super().__init__(text)
        self.help = help or "say the size at the layer, `in_features=…` or `in_channels=…`, as a number or a parameter"


class Atom(NamedTuple):
    """code: the Python; reads: the names in it with their versions; witness: its value in the instance."""

    code: str
    reads: tuple[tuple[str, int], ...]
    witness: int


class Recorder:
    """The atoms, and the statements of the constructor and of `forward` that are being recorded."""

    def __init__(self) -> None:
        self.atoms: dict[str, Atom] = {}
        self.versions: dict[str, int] = {}
        self.build: list[ir.Build] = []
        self.flow: list[ir.Flow] = []
        self.aliases: list[ir.Assign] = []  # outputs that name a value which has a name already
        self.counter = 0
        self.incomplete = False  # a part of the body could not be followed
        self.roles: dict[str, list[str]] = {}  # name -> what torch calls the arguments that it is given as
        self.constants: set[str] = set()  # names of tensors in which no input has a part
        self.exported: dict[str, tuple[Any, ...]] = {}  # mark -> modules, which result, axis, rank

    def consume(self, size: Size, role: str) -> None:
        """Note that an argument of torch is given a size, for the name of what the size hangs on."""
        for symbol_ in size.symbols:
            atom = self.atoms.get(symbol_)
            for name, _ in atom.reads if atom is not None else ():
                self.roles.setdefault(name, []).append(role)

    def constant(self, line: ir.Assign, names: tuple[str, ...]) -> None:
        """Note a line that the constructor can run too, for the buffers that read it."""
        self.constants.update(names)
        self.build.append(line)

    def export(self, targets: tuple[Any, ...], place: tuple[int, ...], axis: int, rank: int) -> str:
        """A mark for an attribute in which a child says a size of its result."""
        self.counter += 1
        key = f">{self.counter}"
        self.exported[key] = (targets, place, axis, rank)
        return key

    # --- atoms -------------------------------------------------------------------------------------------------------

    def named(self, name: str, witness: int) -> Size:
        """The value that a name of the constructor has now."""
        version = self.versions.get(name, 0)
        key = f"${name}" if version == 0 else f"${name}@{version}"
        self.atoms[key] = Atom(mark(name), ((name, version),), witness)
        return symbol(key)

    def opaque(self, code: str, witness: int) -> Size:
        """An integer that only Python can compute."""
        reads = tuple((name, self.versions.get(name, 0)) for name in MARK.findall(code))
        key = f"$={code}" + "".join(f"@{v}" for _, v in reads if v)
        self.atoms[key] = Atom(code, reads, witness)
        return symbol(key)

    def unknown(self, witness: int) -> Size:
        """An integer for which there is no expression."""
        self.counter += 1
        key = f"$?{self.counter}"
        self.atoms[key] = Atom(UNKNOWN, (), witness)
        return symbol(key)

    def fresh(self, hint: str) -> str:
        """A name for a variable that the program doesn't have; `classes` gives it its final one."""
        self.counter += 1
        return f"{hint}ǀ{self.counter}"

    def assign(self, name: str, code: str) -> None:
        """`name = code` in the constructor; what was said of the name before is stale."""
        from netc import ir

        self.build.append(ir.Let(name, code))
        self.bump(name)

    def bump(self, name: str) -> None:
        self.versions[name] = self.versions.get(name, 0) + 1

    def is_stale(self, size: Dim) -> bool:
        """Whether there is no code for a size here."""
        return isinstance(size, Size) and any(map(self._stale, size.symbols))

    def _stale(self, name: str) -> bool:
        if not name.startswith("$"):
            return True  # of run time
        atom = self.atoms[name]
        return atom.code == UNKNOWN or any(self.versions.get(n, 0) != v for n, v in atom.reads)

    # --- values ------------------------------------------------------------------------------------------------------

    def witness(self, value: Any) -> Any:
        """What a value is in the instance: numbers for all sizes that are known when it is built."""
        if isinstance(value, Size):
            known = {n: self.atoms[n].witness for n in value.symbols if n.startswith("$")}
            return substitute(value, dict(known)) if known else value
        if isinstance(value, TensorType):
            return TensorType(tuple([d if isinstance(d, int) else self.witness(d) for d in value.shape]), value.dtype)
        if isinstance(value, (Tensor, TensorTuple, LayerRef, Entry)):
            return value
        if isinstance(value, LayerValue):
            return LayerValue(value.entry, {n: self.witness(v) for n, v in value.args.items()})
        if isinstance(value, list):
            return [self.witness(item) for item in value]
        if isinstance(value, tuple):
            items = [self.witness(item) for item in value]
            return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
        return value

    def code(self, value: Any) -> str:
        """The Python of a size, a number, or a list of them, in the constructor; UNKNOWN where there is none."""
        if isinstance(value, (list, tuple)):
            inner = [self.code(item) for item in value]
            if UNKNOWN in inner:
                return UNKNOWN
            text = ", ".join(inner)
            return f"[{text}]" if isinstance(value, list) else f"({text}{',' * (len(value) == 1)})"
        if not isinstance(value, Size):
            return literal(value)
        if self.is_stale(value):
            return UNKNOWN
        return self.text({n: self.atoms[n].code for n in value.symbols}, value)

    def text(self, codes: dict[str, str], size: Size) -> str:
        """A size as Python, given the Python of its symbols."""
        alone = len(size.symbols) == 1 and size == symbol(next(iter(size.symbols)))
        if alone:
            return next(iter(codes.values()))
        wrapped = {n: symbol(c if _SIMPLE.match(c) else f"({c})") for n, c in codes.items()}
        return str(substitute(size, dict(wrapped)))
