"""Places of a program at which text of the user's stands, and texts that try to get out of there.

A place makes of a text a whole program: `Program(text, settings, stem)`. What a text may hold follows from the place:
a string of the language has no line end and not its own quote, a file's name nearly anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

CANARY = "canary_c0de"
CALL = f"__import__('builtins').__dict__.__setitem__('{CANARY}', 1)"

# None of them may run `CALL`.
PAYLOADS = (
    f"'+{CALL}+'",
    f"' + {CALL} #",
    f"\\' + {CALL} #",
    f"\\\\' + {CALL} #",
    f"'''+{CALL}+'''",
    f"{{{CALL}}}",
    f"{{{{{CALL}}}}}",
    f"%({CALL})s",
    f"a: {CALL}",
    f"a]; {CALL}; b[",
    f"a) or {CALL} or (b",
    f"a\r{CALL}\r",
    f"a\x0c{CALL}",
    f"a\u2028{CALL}\u2029",
    f"a\x85{CALL}",
    f"\\N{{DOLLAR SIGN}}{CALL}",
    f"\\x27+{CALL}+\\x27",
    f"a\u202e{CALL}",
    f"#{CALL}",
    CALL,
    "\\",
    "ꞏ" + CALL + "ꞏ",
    "__class__",
    "a" * 150,
)
# What also gets into a name of a file, or through `--set` and the functions of Python.
LOOSE = (
    f'"+{CALL}+"',
    f'"""\n{CALL}\n"""',
    f"a\n{CALL}\n",
    f"a\n    {CALL}",
    f'\\"""; {CALL}',
    f"\udc80\n{CALL}",
)


class Program(NamedTuple):
    """A program, what is set from the command line, and the name that it goes by."""

    text: str
    settings: dict[str, str] = {}  # noqa: RUF012 - it is never changed
    stem: str = "prog"


def network(body: str, params: str = "") -> str:
    return f"network A{params} {{\n  input x: [N, 3, 8, 8]\n{body}\n}}\n"


def labelled(label: str, params: str = "") -> str:
    return network(f'  "{label}": Conv2d(4, 1)', params)


def run(data: str = "", train: str = "", body: str = "  Flatten -> fc: Linear(4)") -> str:
    return (
        f"{network(body)}data {{\n  train = FakeData(16, [3, 8, 8], 4)\n  transform = ToTensor\n  batch_size = 4\n"
        f"{data}\n}}\ntrain {{\n  loss = CrossEntropyLoss\n  optimizer = SGD(lr=0.1)\n  epochs = 1\n{train}\n}}\n"
    )


def table(data: str) -> str:
    """A program that trains on a table or on arrays."""
    return f"""network A {{
  input x: [N, 4]
  fc: Linear(3)
}}
data {{
  train = {data}
  batch_size = 8
}}
train {{
  loss = CrossEntropyLoss
  optimizer = SGD(lr=0.1)
  epochs = 1
}}
"""


STRINGS: dict[str, Callable[[str], Program]] = {
    "label": lambda s: Program(network(f'  "{s}": Conv2d(4, 1)')),
    "label, used again": lambda s: Program(network(f'  "{s}": Conv2d(3, 1)\n  _ -> "{s}"')),
    "label in a seq": lambda s: Program(network(f'  all: seq {{ "{s}": Conv2d(4, 1); ReLU }}')),
    "label of a seq": lambda s: Program(network(f'  "{s}": seq {{ Conv2d(4, 1); ReLU }}')),
    "label of a module": lambda s: Program("module M { c: Conv2d(4, 1) }\n" + network(f'  "{s}": M')),
    "label of an inline module": lambda s: Program(network(f'  "{s}": module {{ c: Conv2d(4, 1) }}')),
    "label in a loop": lambda s: Program(network(f'  for i in range(2) {{ "{s}{{i}}": Conv2d(4, 1) }}')),
    "label in a condition": lambda s: Program(network(f'  if p {{ "{s}": Conv2d(4, 1) }}', "(p = True)")),
    "computed label": lambda s: Program(network('  "l{p}": Conv2d(4, 1)', f'(p = "{s}")')),
    "label from an expression": lambda s: Program(network(f'  "l{{p + \'{s}\'}}": Conv2d(4, 1)', '(p = "a")')),
    "label from a list": lambda s: Program(network(f'  for n in ["{s}", "b"] {{ "l{{n}}": Conv2d(4, 1) }}')),
    "label from a constant": lambda s: Program(f'c = "{s}"\n' + labelled("l{c}")),
    "default of a parameter": lambda s: Program(network("  relu", f'(p = "{s}")')),
    "compared parameter": lambda s: Program(network(f'  if p == "{s}" {{ relu }} else {{ sigmoid }}', '(p = "a")')),
    "argument of a module": lambda s: Program('module M(p) { "a{p}": Conv2d(4, 1) }\n' + network(f'  m: M("{s}")')),
    "default of a module": lambda s: Program(f'module M(p = "{s}") {{ "a{{p}}": Conv2d(4, 1) }}\n' + network("  m: M")),
    "argument of a variant": lambda s: Program(f'{network("  relu", "(p = 1)")}network B = A("{s}")\n'),
    "constant": lambda s: Program(f'c = "{s}"\n{network("  if c == 1 { relu } else { sigmoid }")}'),
    "formula": lambda s: Program(f'f(a) = a + "{s}"\n' + labelled("{f(p)}", '(p = "a")')),
    "path of init": lambda s: Program(network(f'  fc: Conv2d(4, 1)\n  init {{ "{s}" ~ zeros_() }}')),
    "pattern of init": lambda s: Program(network(f'  "{s}": Conv2d(4, 1)\n  init {{ "{s}.*" ~ zeros_() }}')),
    "argument of init": lambda s: Program(
        network(f'  c: Conv2d(4, 1)\n  init {{ Conv2d.weight ~ kaiming_normal_(mode="{s}") }}')),
    "mode of a layer": lambda s: Program(network(f'  c: Conv2d(4, 1, padding_mode="{s}")')),
    "argument of a layer": lambda s: Program(network(f'  Flatten -> GELU(approximate="{s}")')),
    "argument of a function": lambda s: Program(network(f'  interpolate(scale_factor=2, mode="{s}")')),
    "equation": lambda s: Program(network(f'  einsum("{s}", x)')),
    "weights": lambda s: Program(network(f'  b: torchvision.models.resnet18(weights="{s}")')),
    "path of an edit": lambda s: Program(network(f'  b: torchvision.models.resnet18() {{ remove "{s}" }}')),
    "path of import": lambda s: Program(f'import "{s}"\n{network("  relu")}'),
    "path of use": lambda s: Program(f'use "{s}"\n{network("  relu")}'),
    "file of use": lambda s: Program(f'use "{s}.py"\n{network("  relu")}'),
    "root of the data": lambda s: Program(run().replace("FakeData(16, [3, 8, 8], 4)", f'ImageFolder("{s}")')
                                          .replace("transform = ToTensor", "transform = Resize([8, 8]) -> ToTensor")),
    "root of downloaded data": lambda s: Program(
        run().replace("FakeData(16, [3, 8, 8], 4)", f'CIFAR10("{s}", download=True)').replace("Linear(4)", "Linear(10)")
        .replace("8, 8", "32, 32")),
    "file of a table": lambda s: Program(table(f'CSV("{s}", target="y")')),
    "target of a table": lambda s: Program(table(f'CSV("t.csv", target="{s}")')),
    "columns of a table": lambda s: Program(
        table(f'CSV("t.csv", target="y", features=["{s}", "b", "c", "d"], categorical=["{s}"], delimiter=";")')),
    "delimiter of a table": lambda s: Program(table(f'CSV("t.csv", target="y", delimiter="{s}")')),
    "arrays by name": lambda s: Program(table(f'Arrays("{s}.npz", inputs="{s}", labels="{s}")')),
    "arrays in files": lambda s: Program(table(f'Arrays(inputs="{s}.npy", labels="{s}.npy")')),
    "way to split": lambda s: Program(table(f'Iris()\n  validation = 0.1\n  split = "{s}"')),
    "split of the data": lambda s: Program(run().replace("FakeData(16, [3, 8, 8], 4)", f'EMNIST("d", split="{s}")')),
    "argument of a transform": lambda s: Program(run(f'  augment = Resize([8, 8], interpolation="{s}")')),
    "mode of a transform": lambda s: Program(run(f'  augment = RandomCrop(8, padding=1, padding_mode="{s}")')),
    "pattern of a group": lambda s: Program(
        run(body=f'  Flatten -> "{s}": Linear(4)').replace("SGD(lr=0.1)", f'SGD(lr=0.1) {{ "{s}.*" {{ lr = 0.2 }} }}')),
    "frozen pattern": lambda s: Program(
        run(train=f'  freeze = ["{s}.bias"]', body=f'  Flatten -> "{s}": Linear(4)')),
    "argument of the loss": lambda s: Program(run().replace("CrossEntropyLoss", f'CrossEntropyLoss(reduction="{s}")')),
    "setting of training": lambda s: Program(run(train=f'  precision = "{s}"')),
    "unknown setting": lambda s: Program(run(train=f'  "{s}" = 1')),
    "seed": lambda s: Program(run(train=f'  seed = "{s}"')),
    "silence": lambda s: Program(network("  relu").replace("relu", f"relu  # netc: ignore {s}")),
    "comment": lambda s: Program(f"# {s}\n{network('  relu  # ' + s)}"),
}  # fmt: skip
NAMES: dict[str, Callable[[str], Program]] = {
    "name of the file": lambda s: Program(network("  relu"), stem=s),
    "name of the file of a run": lambda s: Program(run(), stem=s),
    "set parameter": lambda s: Program(network('  "l{p}": Conv2d(4, 1)', '(p = "a")'), {"p": s}),
    "set string": lambda s: Program(network('  "l{p}": Conv2d(4, 1)', '(p = "a")'), {"p": f'"{s}"'}),
    "set number": lambda s: Program(run(), {"train.epochs": s}),
    "set path": lambda s: Program(run(), {"data.train": f'ImageFolder("{s}")'}),
    "set key": lambda s: Program(run(), {s: "1"}),
    "set new key": lambda s: Program(run(), {f"train.{s}": "1"}),
    "bare word in a layer": lambda s: Program(network(f"  c: Conv2d({s}, 1)")),
    "bare step": lambda s: Program(network(f"  _ -> {s}")),
    "bare statement": lambda s: Program(network(f"  {s}")),
    "bare condition": lambda s: Program(network(f"  if {s} {{ relu }}")),
    "bare default": lambda s: Program(network("  relu", f"(p = {s})")),
    "bare constant": lambda s: Program(f"c = {s}\n{network('  relu')}"),
    "name of a network": lambda s: Program(network("  relu").replace("network A", f"network {s}")),
    "name of an input": lambda s: Program(network("  relu").replace("input x", f"input {s}")),
    "name of a value": lambda s: Program(network(f"  {s} = x -> relu")),
    "name of a parameter": lambda s: Program(network("  relu", f"({s} = 1)")),
    "name of an output": lambda s: Program(network(f"  output {s} = x -> relu")),
    "name of a buffer": lambda s: Program(network(f"  buffer {s} = zeros(8)\n  _ + 1")),
    "type of an input": lambda s: Program(network("  relu").replace("8, 8]", f"8, 8] {s}")),
    "type of a buffer": lambda s: Program(network(f"  buffer b = zeros(8, dtype={s})\n  _ + b")),
    "symbol": lambda s: Program(network("  relu").replace("8, 8]", f"{s}, 8]")),
    "attribute of a layer": lambda s: Program(network(f"  c: Conv2d(3, 1)\n  _ + c.{s}")),
    "attribute of a tensor": lambda s: Program(network(f"  _ + x.{s}")),
    "metric": lambda s: Program(run(train=f"  metrics = [{s}]")),
    "data set": lambda s: Program(run().replace("FakeData", s)),
    "optimizer": lambda s: Program(run().replace("SGD", s)),
    "transform": lambda s: Program(run(f"  augment = {s}")),
}  # fmt: skip
# Names and calls that Python knows, where the language has names and calls.
WORDS = (
    CALL, "__import__('os').system('true')", "eval('1')", "exec('1')", "open('x')", "globals()", "getattr(x, 'a')",
    "torch.os.system('true')", "nn.os", "self", "super", "x.__class__", "__builtins__", "__class__", "__dict__",
    "forward", "lambda: 1", "[c for c in ().__class__.__bases__]", "print", "len", "os.system('true')", "(yield)",
    "a := 1", "f'{1}'", "b'a'", "r'a'", "'a' 'b'", "1e999", "-1e999", "1e999 - 1e999", "-0.0", "9" * 400,
    "1_000", "0x10", "1j", "...", "*a", "**a", "type", "Tensor", "nn.Module", "torch.load('x')",
)  # fmt: skip
