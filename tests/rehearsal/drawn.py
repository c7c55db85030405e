"""Random programs: modules with parameters, loops, conditions, growing sizes and each other, mixed as they come.

In: a function that picks one of a sequence. Out: the text of a program, which parses; the checker may refuse it, where
a size can't be written as an expression, or where a module is never built.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LOOPS = "ijkpq"
OPTIONS = {
    "flag = False": ("True", "False"), "n = 2": ("1", "3", "0"), "Act = None": ("ReLU", "GELU", "LeakyReLU(0.2)"),
    "us = [3, 5]": ("[4]", "[2, 6, 3]", "[u + 1 for u in [2, 3]]"), "Norm = BatchNorm2d": ("Identity", "GroupNorm(1)"),
}  # fmt: skip


class Module(NamedTuple):
    """A module that is drawn already: its name, its parameters, and whether it halves the height and width."""

    name: str
    params: list[str]
    halves: bool


class Scope:
    """What a statement can use: sizes that are known, parameters, bound tensors, and the loops around it."""

    def __init__(self, ints: list[str], names: list[str], depth: int = 0) -> None:
        self.ints, self.names, self.depth = ints, names, depth
        self.saved: list[str] = []
        self.turns: list[str] = []
        self.around: list[str] = []  # the loops around an inline module, which numbers no label with them
        self.halves = False

    def deeper(self, turn: str | None = None) -> Scope:
        made = Scope(list(self.ints), self.names, self.depth + 1)
        made.saved, made.around = list(self.saved), list(self.around)
        made.turns = [*self.turns, *([turn] if turn is not None else [])]
        return made


class Program:
    """One program, statement by statement."""

    def __init__(self, pick: Callable[[Sequence[Any]], Any]) -> None:
        self.pick = pick
        self.modules: list[Module] = []
        self.labels = 0
        self.values = 0

    def text(self) -> str:
        """The whole text."""
        parts = [self.module(f"M{i}") for i in range(self.pick((1, 1, 2, 3)))]
        parts.append(self.network())
        if self.pick((True, False, False)):
            parts.append("network V = A(w=6)")
        return "\n".join(parts) + "\n"

    def maybe(self) -> bool:
        return bool(self.pick((True, False)))

    def module(self, name: str) -> str:
        params = ["w", *[p for p in OPTIONS if self.pick((True, False, False))]]
        if self.modules and self.pick((True, False, False)):
            params.insert(0, "Block")
        names = [p.partition(" ")[0] for p in params]
        scope = Scope([n for n in names if n in ("w", "n")] + ["C"], names)
        body = self.body(scope, self.pick((2, 3, 4, 5)))
        self.modules.append(Module(name, names, scope.halves))
        return f"module {name}({', '.join(params)}) {{\n  input x: [N, C, H, W]\n{body}}}"

    def network(self) -> str:
        params = ["w = 4", *[p for p in ("n = 2", "us = [3, 5]", "flag = True") if self.maybe()]]
        names = [p.partition(" ")[0] for p in params]
        scope = Scope([n for n in names if n in ("w", "n")], names)
        body = self.body(scope, self.pick((3, 4, 5, 6)))
        last = self.pick(("", "  mean([2, 3]) -> head: Linear(w)\n", "  flatten(1) -> head: Linear(3)\n"))
        return f"network A({', '.join(params)}) {{\n  input x: [N, 3, 6, 6]\n{body}{last}}}"

    # --- statements --------------------------------------------------------------------------------------------------

    def body(self, scope: Scope, count: int) -> str:
        return "".join("  " + line + "\n" for _ in range(count) for line in self.statement(scope).split("\n"))

    def block(self, scope: Scope, counts: Sequence[int] = (1, 2)) -> str:
        return f"{{\n{self.body(scope, self.pick(counts))}}}"

    def statement(self, scope: Scope) -> str:
        kinds = [self.layer, self.layer, self.norm, self.plain, self.save, self.join, self.weight, self.choice,
                 self.loop, self.nested, self.nested, self.inline, self.branch, self.sequence]  # fmt: skip
        if scope.depth == 0:
            kinds.append(self.half)
        made: str = self.pick(kinds[:7] if scope.depth > 2 else kinds)(scope)
        return made

    def label(self, scope: Scope) -> str:
        self.labels += 1
        turn = "".join(f"_{{{i}}}" for i in scope.turns)
        return f'"l{self.labels}{turn}"' if turn else f"l{self.labels}"

    def value(self) -> str:
        self.values += 1
        return f"v{self.values}"

    def size(self, scope: Scope) -> str:
        name = self.pick([*scope.ints, *scope.turns, "3"])
        forms = ["4", "6", name, f"{name} + 2", f"2 * {name} + 1", f"max({name}, 2)", f"{name} // 2 + 1",
                 f"{name} + {self.pick([*scope.ints, '1'])}", f"{name} * 3 // 2 + 1"]  # fmt: skip
        if "us" in scope.names:
            forms += ["us[0]", "sum(us)", "us[-1] + 1"]
        if "flag" in scope.names:
            forms.append(f"{name} + 3 if flag else 5")
        return f"max(1, {self.pick(forms)})"

    def layer(self, scope: Scope) -> str:
        kernel = self.pick(("1", "3, padding=1", "3, padding=1, bias=False"))
        return f"{self.label(scope)}: Conv2d({self.size(scope)}, {kernel}){self.pick(('', '', ' -> ReLU', ' -> relu'))}"

    def norm(self, scope: Scope) -> str:
        return f"{self.label(scope)}: {'Norm' if 'Norm' in scope.names else 'BatchNorm2d'}"

    def plain(self, scope: Scope) -> str:
        if "Act" in scope.names and self.maybe():
            return "if Act is not None { Act }"
        return str(self.pick(("relu", "_ * 2", "_ + _", "cat([_, _], 1)", "dropout(0.1)", "softmax(1)", "3 - _")))

    def weight(self, scope: Scope) -> str:
        if "C" not in scope.ints or scope.turns or scope.depth:
            return self.layer(scope)
        name = self.value()
        self.labels += 1
        return f"param p{self.labels}[C, 1, 1] = ones_()\n{name} = mean(p{self.labels})\n_ * {name}"

    def save(self, scope: Scope) -> str:
        name = self.value()
        chain = self.pick(("_", f"_ -> {self.label(scope)}: Conv2d({self.size(scope)}, 1)"))
        scope.saved.append(name)
        return f"{name} = {chain}"

    def join(self, scope: Scope) -> str:
        if not scope.saved:
            return self.layer(scope)
        name = self.pick(scope.saved)
        again = f"{name} = {name} -> {self.label(scope)}: Conv2d({self.size(scope)}, 1)"
        swap = f"{self.value()} = _\n{name}\n{name} = v{self.values}"
        return str(self.pick((f"cat([_, {name}], 1)", again, f"{name} = _", f"cat([{name}, _, {name}], 1)", swap)))

    def half(self, scope: Scope) -> str:
        scope.saved, scope.halves = [], True
        return self.pick(("max_pool2d(2, ceil_mode=True)", f"{self.label(scope)}: Conv2d(4, 3, stride=2, padding=1)"))

    def condition(self, scope: Scope) -> str:
        name = self.pick([*scope.ints, *scope.turns, "4"])
        forms = [f"{name} > 3", f"{name} % 2 == 0", f"{name} == {self.pick([*scope.ints, '4'])}"]
        if "flag" in scope.names:
            forms += ["flag", "not flag", f"flag and {name} > 2"]
        if "us" in scope.names:
            forms += ["len(us) > 1", f"us[0] < {name}"]
        return str(self.pick(forms))

    def choice(self, scope: Scope) -> str:
        otherwise = f" else {self.block(scope.deeper())}" if self.maybe() else ""
        between = f" elif {self.condition(scope)} {self.block(scope.deeper())}" if self.pick((1, 0, 0)) else ""
        return f"if {self.condition(scope)} {self.block(scope.deeper())}{between}{otherwise}"

    def loop(self, scope: Scope) -> str:
        turn = next(i for i in LOOPS if i not in scope.turns and i not in scope.around)
        if "us" in scope.names and turn == "i":
            inner = scope.deeper(turn)
            inner.ints.append("u")
            return f"for i, u in enumerate(us) {self.block(inner, (1, 2, 3))}"
        over = self.pick(["range(2)", "range(3)", "range(1, 3)", *(["range(n)"] if "n" in scope.names else [])])
        return f"for {turn} in {over} {self.block(scope.deeper(turn), (1, 2, 3))}"

    def nested(self, scope: Scope) -> str:
        fits = [m for m in self.modules if not m.halves or scope.depth == 0]
        plain = [m for m in fits if "Block" not in m.params]
        if "Block" in scope.names and self.maybe():
            return f"{self.label(scope)}: Block(w={self.size(scope)})"
        if not plain:
            return self.layer(scope)
        made = self.pick(fits)
        given = [self.pick(plain).name] if "Block" in made.params else []
        given.append(self.size(scope))
        for option, values in OPTIONS.items():
            name = option.partition(" ")[0]
            if name in made.params and self.maybe():
                given.append(f"{name}={self.pick(values)}")
        if made.halves or any(m.name in given and m.halves for m in fits):
            scope.saved, scope.halves = [], True
        return f"{self.label(scope)}: {made.name}({', '.join(given)})"

    def inline(self, scope: Scope) -> str:
        inner = scope.deeper()
        own = Scope([n for n in inner.ints if n != "C"] + ["C"], inner.names, inner.depth)
        own.around = [*scope.turns, *scope.around]
        body = self.body(own, self.pick((1, 2)))
        return f"{self.label(scope)}: module {{\n  input y: [N, C, H, W]\n{body}}}"

    def branch(self, scope: Scope) -> str:
        p, q = self.value(), self.value()
        first = f"{p} = _ -> {self.label(scope)}: Conv2d({self.size(scope)}, 1)"
        second = f"{q} = {self.pick(('_', p))} -> {self.label(scope)}: Conv2d(5, 1)"
        return f"{first}\n{second}\ncat([{p}, {q}], 1)"

    def sequence(self, scope: Scope) -> str:
        lines = [self.pick((f"Conv2d({self.size(scope)}, 1)", "BatchNorm2d", "ReLU")) for _ in range(self.pick((1, 2)))]
        if self.maybe():
            lines.append(f"if {self.condition(scope)} {{ Conv2d({self.size(scope)}, 1); ReLU }}")
        if self.maybe():
            lines.append(f"for t in range(2) {{ Conv2d({self.size(scope)} + t, 1) }}")
        return f"{self.label(scope)}: seq {{ {'; '.join(lines)}; Dropout(0.1) }}"
