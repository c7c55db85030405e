"""Sizes and shapes: whole numbers, or polynomials over symbols that stand for numbers known later.

In: sizes that a file writes or that rules compute. Out: `Dim` (an int, or a `Size` that is never constant),
`TensorType` for a value's shape and dtype, `Reject` for a layer's refusal.
Guarantees: equal normal forms are equal sizes; a result that is constant comes back as an int; every simplification
holds for all sizes, the symbols being at least 1; `str` of a size is Python that computes it.
Leaves to others: which sizes a layer gives (the catalog), and what a refusal looks like on the screen (the checker).
"""

from __future__ import annotations

from math import floor, gcd
from typing import TYPE_CHECKING, NamedTuple

from netc.limits import SIZE_LEVELS, SIZE_TERMS, Unwieldy, spend

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import TypeAlias

    Atom: TypeAlias = "str | Quotient | Scaled"
    Monomial: TypeAlias = tuple[tuple[Atom, int], ...]


class Quotient(NamedTuple):
    """`left // right` or `left % right`, where no polynomial expresses it."""

    op: str
    left: Size
    right: Dim

    def __str__(self) -> str:
        return f"{_dividend(self.left)} {self.op} {_operand(self.right)}"


class Scaled(NamedTuple):
    """`int(left * factor)` for a factor that isn't whole."""

    left: Size
    factor: float

    def __str__(self) -> str:
        return f"int({_dividend(self.left)} * {self.factor})"


class Batch(str):
    """The symbol of the batch, which a network has to take at any number of samples."""

    __slots__ = ()


class Size:
    """A size that depends on symbols: a sum of products of atoms, each with a whole coefficient. Immutable.

    `+ - * // %` take sizes and ints, `**` a whole exponent that isn't negative. Equality is that of normal forms:
    unequal sizes may still be the same number for some symbols, see `same`.
    """

    __slots__ = ("_hash", "_text", "levels", "terms", "weight")

    def __init__(self, terms: tuple[tuple[Monomial, int], ...]) -> None:
        self.terms = terms
        self._hash = hash(terms)
        self._text = ""  # once it was asked for: sizes stand in sizes, and are written with them
        self.weight = sum([_weight(atom) for monomial, _ in terms for atom, _ in monomial])
        self.levels = max([_levels(atom) for monomial, _ in terms for atom, _ in monomial], default=0)
        if self.weight > SIZE_TERMS or self.levels > SIZE_LEVELS:
            raise Unwieldy

    @property
    def symbols(self) -> frozenset[str]:
        """The names of the symbols that have a part in this size."""
        found: set[str] = set()
        for atom in _atoms(self):
            if isinstance(atom, str):
                found.add(atom)
            else:
                found |= atom.left.symbols
                found |= atom.right.symbols if isinstance(atom, Quotient) and isinstance(atom.right, Size) else set()
        return frozenset(found)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Size) and self.terms == other.terms

    def __hash__(self) -> int:
        return self._hash

    def __add__(self, other: Dim) -> Dim:
        return _sum(self, other, 1)

    def __sub__(self, other: Dim) -> Dim:
        return _sum(self, other, -1)

    def __rsub__(self, other: Dim) -> Dim:
        return _sum(-self, other, 1)

    def __neg__(self) -> Size:
        return Size(tuple((m, -c) for m, c in self.terms))

    def __mul__(self, other: Dim) -> Dim:
        product: dict[Monomial, int] = {}
        others = _terms(other)
        spend(len(self.terms) * len(others))
        for left, a in self.terms:
            for right, b in others:
                key = _times(left, right)
                product[key] = product.get(key, 0) + a * b
        return _normal(product)

    def __floordiv__(self, other: Dim) -> Dim:
        return _floor_divide(self, other)

    def __rfloordiv__(self, other: Dim) -> Dim:
        return _floor_divide(other, self)

    def __mod__(self, other: Dim) -> Dim:
        return _modulo(self, other)

    def __rmod__(self, other: Dim) -> Dim:
        return _modulo(other, self)

    def __pow__(self, exponent: int) -> Dim:
        if exponent < 0:
            raise ValueError(f"a size has no power {exponent}")
        result: Dim = 1
        for _ in range(exponent):
            result = result * self
        return result

    __radd__ = __add__
    __rmul__ = __mul__

    def __str__(self) -> str:
        self._text = self._text or self._written()
        return self._text

    def _written(self) -> str:
        terms = list(self.terms)
        first = next((i for i, (_, c) in enumerate(terms) if c > 0), 0)
        terms.insert(0, terms.pop(first))
        head = _term_text(*terms[0])
        text = (
            f"-({head})"
            if terms[0][1] < 0 and ("//" in head or "%" in head)
            else "-" + head
            if terms[0][1] < 0
            else head
        )
        for monomial, c in terms[1:]:
            text += (" - " if c < 0 else " + ") + _term_text(monomial, c)
        return text

    def __repr__(self) -> str:
        return f"Size({str(self)!r})"


Dim = int | Size


class TensorType(NamedTuple):
    """A tensor's shape, batch first, and its dtype by torch's name."""

    shape: tuple[Dim, ...]
    dtype: str = "float32"

    def __str__(self) -> str:
        text = f"[{', '.join(map(str, self.shape))}]"
        return text if self.dtype == "float32" else f"{text} {self.dtype}"


class Reject(NamedTuple):
    """Why a layer can't take its input or an argument.

    argument: the parameter at fault, or None for the input. expected, got: short texts, such as "400" and "576".
    reason: a fragment of plain English that says what is wrong, the numbers included.
    """

    argument: str | None
    expected: str
    got: str
    reason: str


def symbol(name: str) -> Size:
    """The size that a name stands for."""
    return _single(name)


def substitute(dim: Dim, env: Mapping[str, Dim]) -> Dim:
    """The size with symbols replaced; symbols that `env` doesn't name stay."""
    if isinstance(dim, int):
        return dim
    ((lead, factor), *further) = dim.terms
    if not further and factor == 1 and len(lead) == 1 and lead[0][1] == 1:  # one atom alone, as most sizes are
        return _replace(lead[0][0], env)
    total: Dim = 0
    for monomial, c in dim.terms:
        product: Dim = c
        for atom, power in monomial:
            product = product * _replace(atom, env) ** power
        total = total + product
    return total


def evaluate(dim: Dim, env: Mapping[str, int]) -> int:
    """The size as a number. Raises KeyError for a symbol that `env` doesn't name."""
    value = substitute(dim, env)
    if isinstance(value, Size):
        raise KeyError(min(value.symbols))
    return value


def scaled(dim: Dim, factor: float) -> Dim:
    """`int(dim * factor)`, computed in doubles as torch does for the scale factor of an interpolation."""
    if isinstance(dim, int):
        return floor(dim * factor)
    top, bottom = float(factor).as_integer_ratio()
    if bottom <= 1 << 10 and top < 1 << 20:  # exact in doubles for any size that fits in memory
        return dim * top // bottom
    return _single(Scaled(dim, factor))


def same(a: Dim, b: Dim) -> bool | None:
    """Whether two sizes are equal: True where it holds for all symbols, False where for none, else None.

    Sizes of which the batch could make one the other aren't equal, as they would be so for one batch alone.
    """
    equal = identical(a, b)
    if equal is None and (_hangs_on_the_batch(a - b) or identical(_shared_out(a), _shared_out(b)) is False):
        return False
    return equal


def identical(a: Dim, b: Dim) -> bool | None:
    """Whether two sizes are the same number: True or False where that holds for all symbols, None where it depends."""
    difference = a - b
    if isinstance(difference, int):
        return difference == 0
    low, high = _bounds(difference)
    if (low is not None and low > 0) or (high is not None and high < 0):
        return False
    return None


def _shared_out(dim: Dim) -> Dim:
    """A size for a batch that can be shared out in most ways: 720,720 samples, which 1 to 14, 15 and 16 divide."""
    batch = [name for name in dim.symbols if isinstance(name, Batch)] if isinstance(dim, Size) else []
    return substitute(dim, dict.fromkeys(batch, 720_720)) if batch else dim


def _hangs_on_the_batch(difference: Dim) -> bool:
    """Whether a size changes with every sample more; one that is divided may be what the author has made fit."""
    atoms = list(_atoms(difference)) if isinstance(difference, Size) else []
    return all(isinstance(atom, str) for atom in atoms) and any(isinstance(atom, Batch) for atom in atoms)


def less(a: Dim, b: Dim) -> bool | None:
    """Whether `a < b`; None where it depends on the symbols."""
    low, high = _bounds(b - a)
    if low is not None and low > 0:
        return True
    return False if high is not None and high <= 0 else None


def at_most(a: Dim, b: Dim) -> bool | None:
    """Whether `a <= b`; None where it depends on the symbols."""
    reverse = less(b, a)
    return None if reverse is None else not reverse


def product(dims: Iterable[Dim]) -> Dim:
    """The number of elements of a shape."""
    total: Dim = 1
    for dim in dims:
        total = total * dim
    return total


def _terms(dim: Dim) -> tuple[tuple[Monomial, int], ...]:
    return dim.terms if isinstance(dim, Size) else (((), dim),) if dim else ()


def _atoms(size: Size) -> Iterator[Atom]:
    return (atom for monomial, _ in size.terms for atom, _ in monomial)


def _weight(atom: Atom) -> int:
    """How many names stand in the text of an atom."""
    if isinstance(atom, str):
        return 1
    right = atom.right if isinstance(atom, Quotient) else 0
    return atom.left.weight + (right.weight if isinstance(right, Size) else 0)


def _levels(atom: Atom) -> int:
    """How many divisions stand in each other in an atom."""
    if isinstance(atom, str):
        return 0
    right = atom.right if isinstance(atom, Quotient) else 0
    return 1 + max(atom.left.levels, right.levels if isinstance(right, Size) else 0)


def _degree(monomial: Monomial) -> int:
    return sum(power for _, power in monomial)


def _rank(atom: Atom) -> tuple[bool, str]:
    return not isinstance(atom, str), str(atom)


def _order(term: tuple[Monomial, int]) -> tuple[int, list[tuple[bool, str]]]:
    return -_degree(term[0]), [_rank(atom) for atom, power in term[0] for _ in range(power)]


def _normal(terms: dict[Monomial, int]) -> Dim:
    kept = [(m, c) for m, c in terms.items() if c]
    if not kept:
        return 0
    if len(kept) == 1:
        return Size((kept[0],)) if kept[0][0] else kept[0][1]
    spend(len(kept))
    return Size(tuple(sorted(kept, key=_order)))


def _sum(a: Size, b: Dim, sign: int) -> Dim:
    total = dict(a.terms)
    for monomial, c in _terms(b):
        total[monomial] = total.get(monomial, 0) + sign * c
    return _normal(total)


def _times(a: Monomial, b: Monomial) -> Monomial:
    if not a or not b:
        return a or b
    powers = dict(a)
    for atom, power in b:
        powers[atom] = powers.get(atom, 0) + power
    return tuple(sorted(powers.items(), key=lambda item: _rank(item[0])))


def _over(a: Monomial, b: Monomial) -> Monomial | None:
    """a / b, or None where b does not divide a."""
    powers = dict(a)
    for atom, power in b:
        if powers.get(atom, 0) < power:
            return None
        powers[atom] -= power
    return tuple((atom, power) for atom, power in powers.items() if power)


def _quotient(a: Dim, b: Dim) -> tuple[Dim, Dim]:
    """q and r with a == q * b + r, as much as possible moved into q by dividing leading terms."""
    (lead, c), *rest = _terms(b)
    quotient: Dim = 0
    remainder: Dim = 0
    todo = a
    while terms := _terms(todo):
        monomial, k = terms[0]
        ratio = _over(monomial, lead)
        if ratio is None or k % c:
            part = _normal({monomial: k})
            remainder, todo = remainder + part, todo - part
            continue
        factor = _normal({ratio: k // c})
        quotient, todo = quotient + factor, todo - factor * b
    return (quotient, remainder) if not rest or remainder == 0 else (0, a)


def _floor_divide(a: Dim, b: Dim) -> Dim:
    if isinstance(a, int) and isinstance(b, int):
        return a // b
    if b == 0:
        raise ZeroDivisionError("a size divided by zero")
    quotient, rest = _quotient(a, b)
    if isinstance(b, int):
        return quotient + _divide_by_int(rest, b)
    if at_most(0, rest) and less(rest, b):
        return quotient
    return quotient + _opaque("//", rest, b)


def _divide_by_int(a: Dim, k: int) -> Dim:
    """a // k in normal form: no common factor, no nested division, leading coefficient positive, constant in [0, k)."""
    if isinstance(a, int):
        return a // k
    if k < 0:
        return _divide_by_int(-a, -k)
    if a.terms[0][1] < 0:  # floor(-x / k) == -floor((x + k - 1) / k)
        return -_floor_divide(-a + (k - 1), k)
    constant = dict(a.terms).get((), 0)
    factor = gcd(k, *(c for m, c in a.terms if m))
    if factor > 1:
        return _floor_divide(_exact(a - constant, factor) + constant // factor, k // factor)
    inner = _inner_division(a - constant)
    if inner is not None:  # floor(floor(x / p) + c) / k) == floor((x + c * p) / (k * p))
        return _floor_divide(inner[0] + constant * inner[1], k * inner[1])
    return constant // k + _opaque("//", a - constant + constant % k, k)


def _exact(a: Dim, factor: int) -> Dim:
    return _normal({m: c // factor for m, c in _terms(a)})


def _inner_division(a: Dim) -> tuple[Size, int] | None:
    """x and p where `a` is `x // p` for a positive number p and nothing else."""
    if isinstance(a, int) or len(a.terms) != 1 or a.terms[0][1] != 1 or len(a.terms[0][0]) != 1:
        return None
    atom, power = a.terms[0][0][0]
    if isinstance(atom, Quotient) and power == 1 and atom.op == "//" and isinstance(atom.right, int) and atom.right > 0:
        return atom.left, atom.right
    return None


def _modulo(a: Dim, b: Dim) -> Dim:
    if isinstance(a, int) and isinstance(b, int):
        return a % b
    if b == 0:
        raise ZeroDivisionError("a size modulo zero")
    if isinstance(b, int):
        rest = _normal({m: c % b for m, c in _terms(a)})
    else:
        _, rest = _quotient(a, b)
    if isinstance(rest, int) and (isinstance(b, int) or rest == 0):
        return rest if isinstance(b, int) else 0
    return _opaque("%", rest, b)


def _opaque(op: str, left: Dim, right: Dim) -> Size:
    return _single(Quotient(op, left if isinstance(left, Size) else Size((((), left),)), right))


def _single(atom: Atom) -> Size:
    return Size(((((atom, 1),), 1),))


def _replace(atom: Atom, env: Mapping[str, Dim]) -> Dim:
    if isinstance(atom, str):
        return env[atom] if atom in env else symbol(atom)
    left = substitute(atom.left, env)
    if isinstance(atom, Scaled):
        return scaled(left, atom.factor)
    right = substitute(atom.right, env)
    return left // right if atom.op == "//" else left % right


def _bounds(dim: Dim) -> tuple[int | None, int | None]:
    """The least and the greatest value that the symbols, each at least 1, allow; None where there is none known."""
    if isinstance(dim, int):
        return dim, dim
    low: int | None = 0
    high: int | None = 0
    for monomial, c in dim.terms:
        least, most = _monomial_bounds(monomial)
        ends = (least, most) if c > 0 else (most, least)
        low = None if low is None or ends[0] is None else low + c * ends[0]
        high = None if high is None or ends[1] is None else high + c * ends[1]
    return low, high


def _monomial_bounds(monomial: Monomial) -> tuple[int | None, int | None]:
    low: int | None = 1
    high: int | None = 1
    for atom, power in monomial:
        least, most = _atom_bounds(atom)
        if least is None or least < 0:
            return None, None
        low = None if low is None else low * least**power
        high = None if high is None or most is None else high * most**power
    return low, high


def _atom_bounds(atom: Atom) -> tuple[int | None, int | None]:
    if isinstance(atom, str):
        return 1, None
    low, high = _bounds(atom.left)
    from_zero = (0, None) if low is not None and low >= 0 else (None, None)
    if isinstance(atom, Scaled):
        return from_zero if atom.factor >= 0 else (None, None)
    if not isinstance(atom.right, int) or atom.right <= 0:
        return from_zero if less(0, atom.right) else (None, None)
    if atom.op == "%":
        return 0, atom.right - 1
    return (None if low is None else low // atom.right), (None if high is None else high // atom.right)


def _operand(dim: Dim) -> str:
    """A size as an operand of `//`, `%` or `*`: in parentheses unless it is a single name or number."""
    text = str(dim)
    return text if text.isidentifier() or text.isdigit() else f"({text})"


def _dividend(size: Size) -> str:
    """A size to the left of `//` or `%`, which bind like `*` and from the left: a product needs no parentheses."""
    (monomial, c), *rest = size.terms
    plain = not rest and c > 0 and all(isinstance(atom, str) for atom, _ in monomial)
    return str(size) if plain else _operand(size)


def _term_text(monomial: Monomial, c: int) -> str:
    if not monomial:
        return str(abs(c))
    factors = [_factor_text(atom, power) for atom, power in monomial]
    if abs(c) != 1:
        factors.insert(0, str(abs(c)))
    elif len(factors) == 1 and not isinstance(monomial[0][0], str) and monomial[0][1] == 1:
        return str(monomial[0][0])
    return " * ".join(factors)


def _factor_text(atom: Atom, power: int) -> str:
    if isinstance(atom, str):
        return atom if power == 1 else f"{atom}**{power}"
    text = str(atom) if isinstance(atom, Scaled) else f"({atom})"
    return text if power == 1 else f"{text} ** {power}"
