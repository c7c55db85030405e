"""Random syntax trees: every kind of node, in every place where the grammar has it.

In: a `random.Random`. Out: a `syntax.File` that means nothing, but whose text parses into the same tree: operands stand
in parentheses where precedence asks for them, and words that begin statements are used only where they are names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc import syntax as s
from netc.source import Span

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

NOWHERE = Span(0, 0)
NAMES = ("x", "y", "_", "a1", "width", "conv", "relu", "cat", "stride", "mean", "long_name_of_a_value", "data", "train")
# Words of the language that are names wherever nothing makes keywords of them: as labels, attributes, arguments.
WORDS = (*NAMES, "input", "output", "init", "param", "buffer", "layer", "module", "network", "use", "remove", "seq")
CAPITALS = ("Conv2d", "ReLU", "N", "C", "Block", "BatchNorm2d", "A_very_long_name_of_a_layer")
STRINGS = ("", "a", "block{i}-0", "it's", 'say "no"', "# no comment", "*.weight", "3×3 日本", "a -> b", "} {")
DTYPES = ("int64", "float16", "bool")


def random_tree(chance: random.Random) -> s.File:
    """A random file."""
    return _Trees(chance).file()


class _Trees:
    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.room = chance.choice([4, 15, 40, 120])  # how many more nodes there may be, roughly

    # --- choices -----------------------------------------------------------------------------------------------------

    def one(self, items: tuple[str, ...]) -> str:
        return self.chance.choice(items)

    def some(self, most: int, least: int = 0) -> range:
        """A few turns, fewer where the tree is large."""
        self.room -= 1
        return range(self.chance.randint(least, most if self.room > 0 else least))

    def maybe(self, often: float = 0.5) -> bool:
        return self.chance.random() < often

    def ident(self, names: tuple[str, ...] = NAMES) -> s.Ident:
        return s.Ident(self.one(names), NOWHERE)

    def string(self) -> s.String:
        return s.String(self.one(STRINGS), NOWHERE)

    # --- expressions -------------------------------------------------------------------------------------------------

    def expr(self, level: int = 0, depth: int = 0) -> s.Expr:
        """An expression that binds at least as tightly as `level` says, if need be by parentheses."""
        self.room -= 1
        if depth > 4 or self.room < 0 or self.maybe(0.3):
            return self.atom()
        kind = self.chance.randrange(len(_EXPRESSIONS))
        own, make = _EXPRESSIONS[kind]
        made = make(self, depth + 1)
        return made if own >= level else s.Paren(made, NOWHERE)

    def atom(self) -> s.Expr:
        kind = self.chance.randrange(7)
        if kind == 0:
            return s.Number(self.chance.choice([0, 1, 7, 1000000, 0.5, 2.0, 1e-05, 1e300]), NOWHERE)
        if kind == 1:
            return self.string()
        if kind == 2:
            return s.Literal(self.chance.choice([True, False, None]), NOWHERE)
        if kind == 3:
            return s.Name(self.one(CAPITALS), NOWHERE)
        return s.Name(self.one(NAMES), NOWHERE)

    def ternary(self, depth: int) -> s.Expr:
        return s.Ternary(self.expr(1, depth), self.expr(1, depth), self.expr(0, depth), NOWHERE)

    def either(self, depth: int) -> s.Expr:
        return s.Boolean("or", self.expr(1, depth), self.expr(2, depth), NOWHERE)

    def both(self, depth: int) -> s.Expr:
        return s.Boolean("and", self.expr(2, depth), self.expr(3, depth), NOWHERE)

    def negation(self, depth: int) -> s.Expr:
        return s.Unary("not", self.expr(3, depth), NOWHERE)

    def compare(self, depth: int) -> s.Expr:
        operators = ("==", "!=", "<", "<=", ">", ">=", "in", "not in", "is", "is not")
        ops = tuple(self.one(operators) for _ in self.some(3, 1))
        return s.Compare(ops, tuple(self.expr(5, depth) for _ in range(len(ops) + 1)), NOWHERE)

    def addition(self, depth: int) -> s.Expr:
        return s.Binary(self.one(("+", "-")), self.expr(5, depth), self.expr(6, depth), NOWHERE)

    def product(self, depth: int) -> s.Expr:
        return s.Binary(self.one(("*", "/", "//", "%", "@")), self.expr(6, depth), self.expr(7, depth), NOWHERE)

    def sign(self, depth: int) -> s.Expr:
        return s.Unary(self.one(("-", "+")), self.expr(7, depth), NOWHERE)

    def power(self, depth: int) -> s.Expr:
        return s.Binary("**", self.expr(9, depth), self.expr(7, depth), NOWHERE)

    def attribute(self, depth: int) -> s.Expr:
        return s.Attribute(self.expr(9, depth), self.ident(NAMES), NOWHERE)

    def call(self, depth: int) -> s.Expr:
        return s.Call(self.expr(9, depth), self.arguments(depth), NOWHERE)

    def arguments(self, depth: int) -> tuple[s.Argument, ...]:
        most = 12 if self.maybe(0.1) else 3
        return tuple(
            s.Argument(self.ident(WORDS) if self.maybe() else None, self.expr(0, depth), NOWHERE)
            for _ in self.some(most)
        )

    def index(self, depth: int) -> s.Expr:
        subscripts = tuple(self.subscript(depth) for _ in self.some(4, 1))
        return s.Index(self.expr(9, depth), subscripts, NOWHERE)

    def subscript(self, depth: int) -> s.Expr | s.Slice | s.Dots:
        kind = self.chance.randrange(4)
        if kind == 0:
            return s.Dots(NOWHERE)
        if kind == 1:
            ends = [self.expr(0, depth) if self.maybe() else None for _ in range(3)]
            return s.Slice(ends[0], ends[1], ends[2], NOWHERE)
        return self.expr(0, depth)

    def tuple_of(self, depth: int) -> s.Expr:
        return s.Tuple(self.items(depth), NOWHERE)

    def list_of(self, depth: int) -> s.List:
        return s.List(self.items(depth), NOWHERE)

    def items(self, depth: int) -> tuple[s.Expr, ...]:
        if self.maybe(0.1):
            return tuple(s.Number(self.chance.randrange(10**6), NOWHERE) for _ in self.some(40))
        return tuple(self.expr(0, depth) for _ in self.some(4))

    def paren(self, depth: int) -> s.Expr:
        return s.Paren(self.expr(0, depth), NOWHERE)

    def comprehension(self, depth: int) -> s.Expr:
        condition = self.expr(1, depth) if self.maybe() else None
        return s.Comprehension(self.expr(0, depth), self.targets(), self.expr(1, depth), condition, NOWHERE)

    def targets(self, depth: int = 0) -> tuple[s.Target, ...]:
        least = 2 if depth else 1
        return tuple(
            s.TargetTuple(self.targets(depth + 1), NOWHERE) if depth < 2 and self.maybe(0.1) else self.ident()
            for _ in range(self.chance.choice((least, least, least + 1)))
        )

    # --- statements --------------------------------------------------------------------------------------------------

    def body(self, depth: int) -> s.Body:
        most = 0 if depth > 3 else 5
        return s.Body(tuple(self.statement(depth + 1) for _ in self.some(most)), NOWHERE)

    def statement(self, depth: int) -> s.Statement:
        make: Callable[[_Trees, int], s.Statement] = self.chance.choice(_STATEMENTS)
        return make(self, depth)

    def flow(self, depth: int) -> s.Statement:
        return s.Flow(self.chain(depth), NOWHERE)

    def bind(self, depth: int) -> s.Statement:
        first, *others = self.targets()
        name = first if isinstance(first, s.Ident) else self.ident()  # a statement can't begin with a parenthesis
        return s.Bind((name, *others), self.chain(depth), NOWHERE)

    def input(self, depth: int) -> s.Statement:
        return s.Input(self.ident(), self.list_of(2), self.ident(DTYPES) if self.maybe() else None, NOWHERE)

    def output(self, depth: int) -> s.Statement:
        return s.Output(self.ident(), self.chain(depth), NOWHERE)

    def parameter(self, depth: int) -> s.Statement:
        return s.Parameter(self.ident(), self.list_of(2), self.expr() if self.maybe() else None, NOWHERE)

    def buffer(self, depth: int) -> s.Statement:
        return s.Buffer(self.arguments(2) if self.maybe() else (), self.ident(), self.expr(), NOWHERE)

    def declare(self, depth: int) -> s.Statement:
        return s.Declare(self.ident(), self.expr(), NOWHERE)

    def condition(self, depth: int) -> s.Statement:
        branches = tuple((self.expr(), self.body(depth)) for _ in self.some(3, 1))
        return s.If(branches, self.body(depth) if self.maybe() else None, NOWHERE)

    def loop(self, depth: int) -> s.Statement:
        return s.For(self.targets(), self.expr(), self.body(depth), NOWHERE)

    def init(self, depth: int) -> s.Statement:
        return s.Init(tuple(s.Rule(self.selector(), self.expr(), NOWHERE) for _ in self.some(3)), NOWHERE)

    def selector(self) -> s.Selector:
        if self.maybe():
            return s.Selector(self.one(STRINGS), True, NOWHERE)
        return s.Selector(".".join(self.one(CAPITALS) for _ in self.some(3, 1)), False, NOWHERE)

    def chain(self, depth: int) -> s.Chain:
        most = 12 if self.maybe(0.1) else 4
        return s.Chain(tuple(self.link(depth) for _ in self.some(most, 1)), NOWHERE)

    def link(self, depth: int) -> s.Link:
        label: s.Ident | s.String | None = None
        if self.maybe(0.4):
            label = self.string() if self.maybe(0.3) else self.ident(WORDS)
        return s.Link(label, self.step(depth), NOWHERE)

    def step(self, depth: int) -> s.Step:
        kind = self.chance.randrange(10) if depth < 4 else 9
        if kind == 0:
            return s.Seq(self.body(depth), NOWHERE)
        if kind == 1:
            return s.Inline(self.body(depth), NOWHERE)
        if kind == 2:
            return s.Edited(self.expr(), tuple(self.edit() for _ in self.some(3)), NOWHERE)
        return self.expr()

    def edit(self) -> s.Edit:
        kind = self.one(("replace", "append", "remove", "group"))
        value: s.Expr | tuple[s.Entry, ...] | None = None
        if kind == "group":
            value = self.entries(1)
        elif kind != "remove":
            value = self.expr()
        return s.Edit(kind, self.string(), value, NOWHERE)

    # --- a file ------------------------------------------------------------------------------------------------------

    def entries(self, depth: int) -> tuple[s.Entry, ...]:
        return tuple(self.entry(depth) for _ in self.some(5))

    def entry(self, depth: int) -> s.Entry:
        key = s.Ident(self.one(STRINGS), NOWHERE) if self.maybe(0.2) else self.ident()
        if depth < 3 and self.maybe(0.2):
            return s.Group(key, self.entries(depth + 1), NOWHERE)
        return s.Setting(key, self.chain(3), NOWHERE)

    def params(self) -> tuple[s.Param, ...]:
        most = 12 if self.maybe(0.1) else 3
        return tuple(
            s.Param(self.ident((*NAMES, *CAPITALS)), self.expr() if self.maybe() else None, NOWHERE)
            for _ in self.some(most)
        )

    def definition(self) -> s.Definition:
        kind = self.chance.randrange(8)
        capital = self.ident(CAPITALS)
        if kind == 0:
            return s.Import(self.string(), NOWHERE)
        if kind == 1:
            return s.Use(self.string(), NOWHERE)
        if kind == 2:
            return s.Module(capital, self.params(), self.body(0), NOWHERE)
        if kind == 3:
            return s.Variant(capital, self.params(), self.expr(), NOWHERE)
        if kind == 4:
            params = self.params() if self.maybe() else None
            return s.Constant(self.ident((*NAMES, *CAPITALS)), params, self.expr(), NOWHERE)
        if kind == 5:
            return s.Section(self.ident(), self.entries(0), NOWHERE)
        return s.Network(capital, self.params(), self.body(0), NOWHERE)

    def file(self) -> s.File:
        return s.File(tuple(self.definition() for _ in self.some(6)), NOWHERE)


# The rules of the grammar from the loosest to the tightest, with the level of each.
_EXPRESSIONS: tuple[tuple[int, Callable[[_Trees, int], s.Expr]], ...] = (
    (0, _Trees.ternary),
    (1, _Trees.either),
    (2, _Trees.both),
    (3, _Trees.negation),
    (4, _Trees.compare),
    (5, _Trees.addition),
    (6, _Trees.product),
    (7, _Trees.sign),
    (8, _Trees.power),
    (9, _Trees.attribute),
    (9, _Trees.call),
    (9, _Trees.call),
    (9, _Trees.call),
    (9, _Trees.index),
    (9, _Trees.tuple_of),
    (9, _Trees.list_of),
    (9, _Trees.paren),
    (9, _Trees.comprehension),
)
_STATEMENTS: tuple[Callable[[_Trees, int], s.Statement], ...] = (
    _Trees.flow,
    _Trees.flow,
    _Trees.flow,
    _Trees.bind,
    _Trees.bind,
    _Trees.input,
    _Trees.output,
    _Trees.parameter,
    _Trees.buffer,
    _Trees.declare,
    _Trees.condition,
    _Trees.loop,
    _Trees.init,
)
