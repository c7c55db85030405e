"""Programs that ask for more than any machine has, by name: what is repeated, doubled, nested, or simply long.

Each has to end in an error that names a limit, or in a program; neither may take long or much memory.
"""

from __future__ import annotations


def network(body: str, given: str = "x: [N, 4]") -> str:
    return f"network A {{\n  input {given}\n{body}\n}}\n"


def doubled(count: int = 60) -> str:
    """Lists that hold the list before twice: small in memory, endless to go through."""
    return "a0 = [1]\n" + "".join(f"a{i} = [a{i - 1}, a{i - 1}]\n" for i in range(1, count))


def twice(levels: int, inner: str = "relu") -> str:
    """Modules that hold the one before twice."""
    held = "".join(f"module M{i} {{ a: M{i - 1}; b: M{i - 1} }}\n" for i in range(1, levels + 1))
    return f"module M0 {{ {inner} }}\n{held}" + network(f"  m: M{levels}")


def calling_twice(of: str) -> str:
    """Formulas that call the one before twice."""
    first = "f0(n) = n + 1\n" + "".join(f"f{i}(n) = f{i - 1}(n) + f{i - 1}(n)\n" for i in range(1, 45))
    return first + network(f"  {of}")


def looped(depth: int, turns: int, body: str) -> str:
    heads = "".join(f"for i{k} in range({turns}) {{ " for k in range(depth))
    return network(f"  {heads}{body}{' }' * depth}")


def grown(what: str, turns: int = 90_000) -> str:
    return network(f"  b = [0]\n  for i in range({turns}) {{ b = [b] }}\n  {what}")


RELU = network("  relu")

# name: (the program, the code that it has to end in, or None where it may be right)
PROGRAMS: dict[str, tuple[str, str | None]] = {
    "a loop of 10^9": (looped(1, 10**9, "relu"), "E0301"),
    "a loop of 10^5": (looped(1, 10**5, "relu"), "E0116"),
    "a loop of 10^5 layers": (network('  for i in range(100000) { "l{i}": Linear(4) }'), "E0116"),
    "a seq of 10^5": (network("  s: seq { for i in range(100000) { Linear(4) } }"), "E0116"),
    "three loops of 1000": (looped(3, 1000, "relu"), "E0116"),
    "thirty loops of 2": (looped(30, 2, "relu"), "E0116"),
    "two loops that do nothing": (looped(2, 10**5, ""), "E0116"),
    "loops of a parameter": (looped(2, 300, "relu").replace("network A", "network A(n = 1)"), "E0116"),
    "branches never taken": (looped(2, 10**5, "if i0 < 0 { relu }"), "E0116"),
    "a comprehension in one": (f"a = [[j for j in range(100000)] for i in range(100000)]\n{RELU}", "E0116"),
    "sums of sums": (f"a = sum([sum([j for j in range(100000)]) for i in range(100000)])\n{RELU}", "E0116"),
    "lists of ranges": (f"a = [range(100000) for i in range(100000)]\n{RELU}", "E0116"),
    "long strings": (f'a = ["x" * 100000 for i in range(100000)]\n{RELU}', "E0116"),
    "a list 10^12 times": (f"a = [0] * 10 ** 12\n{RELU}", "E0301"),
    "a string 10^12 times": (f'a = "ab" * 10 ** 12\n{RELU}', "E0301"),
    "a formatted string": (f'a = "%1000000000d" % 3\n{RELU}', "E0301"),
    "lists joined": (f"a = sum([range(1000) for i in range(90000)], [])\n{RELU}", "E0116"),
    "sorted again and again": (f"b = [sorted(range(100000)) for i in range(100000)]\n{RELU}", "E0116"),
    "doubled lists": (doubled() + RELU, "E0301"),
    "doubled lists compared": (doubled() + network("  if a20 == a20 { relu }"), "E0301"),
    "doubled lists as arguments": (doubled() + network("  Linear(a59)"), "E0301"),
    "doubled layers": (
        "module M(A, B) { relu }\n" + network(
            "  b = Identity\n" + "  b = M(b, b)\n" * 60 + "  m: b(ReLU, ReLU)"), None),
    "a list in a list in a list": (grown("relu"), "E0301"),
    "a list in a list as an argument": (grown("Linear(b)"), "E0301"),
    "a tower of powers": (f"a = 9 ** 9 ** 9 ** 9\n{RELU}", "E0301"),
    "a power of -1": (f"a = (-1) ** 9000000000000000000\n{RELU}", "E0301"),
    "a root of -8": (network("  fc: Linear(int((-8) ** 0.5))"), "E0301"),
    "a power of a size": (network("  reshape(N ** 1000000)"), "E0301"),
    "rounded to 10^9 digits": (f"a = round(1.5, 999999999)\n{RELU}", "E0301"),
    "a number of 10^5 digits": (f"a = {'9' * 100_000}\n{RELU}", "E0110"),
    "int of 10^5 digits": (f'a = int("{"9" * 90_000}")\n{RELU}', "E0301"),
    "formulas that call twice": (calling_twice("fc: Linear(f44(1))"), "E0116"),
    "formulas of tensors that call twice": (calling_twice("f44(x)"), "E0116"),
    "modules that hold two, 20 levels": (twice(20), "E0116"),
    "modules that hold two, 15 levels": (twice(15), None),
    "modules that hold two, 40 levels": (twice(40), "E0114"),
    "modules in loops": (
        "module M0(p) { relu }\n" + "".join(
            f'module M{i}(p) {{ for i in range(1000) {{ "a{{i}}": M{i - 1}(i) }} }}\n' for i in range(1, 5))
        + network("  m: M4(1)"), "E0116"),
    "modules in modules": (
        "module M0 { relu }\n" + "".join(f"module M{i} {{ a: M{i - 1} }}\n" for i in range(1, 3000))
        + network("  m: M2999"), "E0114"),
    "a module in itself": (f"module M {{ m: M }}\n{network('  m: M')}", "E0238"),
    "networks on networks": (
        "network A0(p = 1) { input x: [N, 4]; relu }\n" + "".join(
            f"network A{i} = A{i - 1}()\n" for i in range(1, 2000)), "E0114"),
    "networks on networks, backwards": (
        "".join(f"network A{i} = A{i + 1}()\n" for i in range(500))
        + "network A500(p = 1) { input x: [N, 4]; relu }\n", "E0114"),
    "constants on constants": (
        "".join(f"c{i} = c{i + 1} + 1\n" for i in range(20_000)) + f"c20000 = 1\n{RELU}", "E0114"),
    "3000 branches": (
        network("  if 0 == 1 { relu }" + "".join(f" elif 0 == {i} {{ relu }}" for i in range(3000))), "E0114"),
    "brackets": ("(" * 20_000, "E0105"),
    "brackets that close": (f"a = {'[' * 3000}{']' * 3000}\n{RELU}", "E0114"),
    "blocks": (network("  " + "if 1 < 2 { " * 3000 + "relu" + " }" * 3000), "E0114"),
    "a chain of 20000": (network("  relu" + " -> relu" * 20_000), "E0114"),
    "minus signs": (f"a = {'-' * 5000}4\n{RELU}", "E0114"),
    "a size that doubles": (
        network("".join(
            f"  a{i} = _ -> MaxPool2d(3, stride=2, padding=1) -> flatten(2)\n  b{i} = _ -> flatten(2)\n"
            f"  cat([a{i}, b{i}], 2) -> unsqueeze(3) -> expand(-1, -1, -1, 5)\n" for i in range(14)),
            "x: [N, 3, H, W]"), "E0116"),
    "a size that is divided again and again": (
        network("  interpolate(scale_factor=1.3)\n" * 200, "x: [N, 3, H, W]"), "E0116"),
    "conditions in conditions": (
        "network A(" + ", ".join(f"p{k} = 1" for k in range(40)) + ") {\n  input x: [N, 4]\n"
        + "".join(f"if p{k} == 1 {{ " for k in range(20)) + "l: Linear(3)" + " }" * 20 + "\n  fc: Linear(2)\n}\n",
        "E0116"),
    "a misspelt word of 10^5 letters": (network(f"  l: {'L' * 100_000}(3)"), "E0202"),
    "a misspelt name of 10^5 letters": (f"{'a' * 100_000} = 1\n" + network(f"  l: Linear({'a' * 99_999}b)"), "E0201"),
    "10^9 classes": (
        "network A { input x: [N, 3, 8, 8]; Flatten -> fc: Linear(1000000000) }\n"
        "data { train = FakeData(16, [3, 8, 8], 1000000000); transform = ToTensor; batch_size = 4 }\n"
        "train { loss = CrossEntropyLoss; optimizer = SGD(lr=0.1); epochs = 1 }\n", "E0308"),
    "a pattern of brackets for the optimizer": (
        "network A { input x: [N, 3, 8, 8]; Flatten -> fc: Linear(4) }\n"
        "data { train = FakeData(16, [3, 8, 8], 4); transform = ToTensor; batch_size = 4 }\n"
        "train { loss = CrossEntropyLoss; epochs = 1\n"
        f"  optimizer = SGD(lr=0.1) {{ \"{'[a-' * 8000}\" {{ lr = 1 }} }} }}\n", "E0622"),
    "10^9 parts": (network("  y = chunk(x, 1000000000, dim=1)\n  x", "x: [N, 1000000000, 4]"), "E0309"),
    "10^9 parts of one": (network("  y = split(x, 1, dim=1)\n  x", "x: [N, 1000000000, 4]"), "E0309"),
    "10^9 tensors": (network("  y = unbind(x, 1)\n  x", "x: [N, 1000000000, 4]"), "E0309"),
    "10^9 layers in one": (network("  l: LSTM(8, num_layers=1000000000)", "x: [N, 5, 4]"), "E0309"),
    "10^5 layers in a perceptron": (network("  m: MLP([4] * 100000)"), "E0116"),
    "3000 axes": (network("  unsqueeze(0)\n" * 3000), "E0404"),
    "an input of 30000 axes": (network("  relu", f"x: [{'N, ' * 30_000}4]"), "E0403"),
    "sizes beyond memory": (
        network("  c: Conv2d(9000000000000000000, 90000, padding=9000000000000000000)",
                "x: [N, 9000000000, 9000000000, 9000000000]"), None),
    "a parameter beyond memory": (network("  param p[9000000000000000000, 9] = zeros_()\n  relu"), None),
    "a pattern of brackets": (network(f'  fc: Linear(4)\n  init {{ "{"[a-" * 10_000}" ~ zeros_() }}'), "E0237"),
    "a label of 10^5 letters": (network(f"  {'f' * 100_000}: Linear(4)"), "E0213"),
    "a million dollars": ("$" * 990_000, "E0101"),
    "a million quotes": ('"\n' * 495_000, "E0115"),
    "300000 words": (network("  relu\n" * 150_000), "E0116"),
    "5000 unknown names on a line": (network("; ".join(f"q{i}" for i in range(5000))), "E0115"),
    "2000 errors of syntax": (network("  -> ->\n" * 2000), "E0106"),
}  # fmt: skip
