"""Layers and functions of a `use`d Python file: shapes, state, generated code, and every way to be wrong."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import torch

from netc.summary import summary, weights
from tests.foreign.conftest import LAYERS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.foreign.conftest import Built

    Build = Callable[..., Built]

BODY = 'use "layers.py"\nnetwork Net(width = 8) {{\n  input image: [N, 3, H, W]\n  {}\n}}\n'


def shapes(built: Built) -> dict[str, str]:
    return {row.path or row.name: str(row.output) for row in built.program.networks[0].rows}


# --- what is right ----------------------------------------------------------------------------------------------------


def test_shapes_keep_their_symbols(build: Build) -> None:
    built = build(BODY.format("patches: Patches(16, width)\n  -> swap -> halve -> mean(2) -> scale: Scale(width)"))
    found = shapes(built)
    assert found["patches"] == "[N, (H // 16) * (W // 16), 8]"
    assert found["swap"] == "[N, 8, (H // 16) * (W // 16)]"
    assert found["scale"] == "[N, 8]"


def test_the_module_computes_what_the_layers_do(build: Build) -> None:
    text = BODY.format("conv: Conv2d(width, 3) -> swap(2, 3)\n  a = _\n  (_, a) -> pair: Pair() -> halve(step=3)")
    net: Any = build(text).module()
    image = torch.randn(2, 3, 9, 7)
    conv = net.conv(image).transpose(2, 3)
    assert torch.equal(net(image), torch.cat([conv, conv], 1)[..., ::3])


def test_what_is_written(build: Build) -> None:
    built = build(BODY.format("patches: Patches(4, width) -> swap -> mean(2) -> scale: Scale(width, bias=False)"))
    assert "# isort: split\nfrom layers import Patches, Scale, swap\n" in built.model
    assert "self.patches = Patches(4, width)" in built.model
    assert "self.scale = Scale(width, bias=False)" in built.model
    assert "swap(self.patches(image))" in built.model
    assert "netc." not in built.model


@pytest.mark.parametrize("width", [88, 120])
def test_ruff_leaves_it_alone(build: Build, width: int) -> None:
    body = "conv: Conv2d(width, 3)\n  a = _\n  (a, a) -> pair: Pair() -> swap(2, 3) -> mean([2, 3]) -> scale: Scale(16)"
    built = build(BODY.format(body + '\n  init { Conv2d.weight ~ zeros_(); "scale.weight" ~ ones_() }'))
    file = built.folder / "model.py"
    file.write_text(built.model)
    ruff = [sys.executable, "-m", "ruff"]
    options = ["--isolated", f"--line-length={width}", str(file)]
    subprocess.run([*ruff, "format", "--check", "--diff", *options], check=True)
    subprocess.run([*ruff, "check", "--select", "E,F,W,I,UP,B,C4,SIM,RUF", *options], check=True)


def test_the_summary_counts_what_a_layer_holds(build: Build) -> None:
    built = build(BODY.format("mean([2, 3]) -> scale: Scale(3)"))
    (network,) = built.program.networks
    assert [(w.path, w.shape, w.trained, w.dtype) for w in weights(network)] == [
        ("scale.weight", (3,), True, "float32"),
        ("scale.bias", (3,), True, "float32"),
        ("scale.calls", (), False, "int64"),
    ]
    assert "6 parameters" in summary(network)
    module = built.module()
    assert {w.path: w.shape for w in weights(network)} == {n: tuple(v.shape) for n, v in module.state_dict().items()}


def test_multiply_adds_are_those_of_torch_layers(build: Build) -> None:
    ours = build('use "layers.py"\nnetwork Net { input x: [N, 3, 32, 32]; p: Patches(4, 8) }')
    theirs = build("network Net { input x: [N, 3, 32, 32]; p: Conv2d(8, 4, stride=4) }")
    costs = [b.program.networks[0].rows[0].macs for b in (ours, theirs)]
    assert str(costs[0]) == str(costs[1]) == "24576 * N"


def test_a_layer_as_an_argument(build: Build) -> None:
    file = LAYERS + "\n\nclass With(nn.Module):\n    def __init__(self, width, act=nn.ReLU):\n" \
        "        super().__init__()\n        self.act = act()\n\n" \
        "    def forward(self, x):\n        return self.act(x)\n"  # fmt: skip
    text = 'use "layers.py"\nnetwork Net(Act=GELU) {{ input x: [N, 4]; a: With(4, act={}); b: With(4) }}'
    module: Any = build(text.format("LeakyReLU(negative_slope=0.5)"), layers=file).module()
    assert module.a.act.negative_slope == 0.5
    assert isinstance(module.b.act, torch.nn.ReLU)
    module = build(text.format("Act"), layers=file).module()
    assert isinstance(module.a.act, torch.nn.GELU)


def test_arguments_that_a_signature_leaves_open(build: Build) -> None:
    file = """\
from torch import nn


class Open(nn.Module):
    def __init__(self, first, *sizes, **named):
        super().__init__()
        self.seen = first, sizes, named
        self.fc = nn.Linear(first, sizes[-1], **named)

    def forward(self, x):
        return self.fc(x)


class Child(Open):
    pass
"""
    text = 'use "layers.py"\nnetwork Net { input x: [N, 4]; a: Open(4, 5, 6, bias=False); b: Child(6, 2) }'
    built = build(text, layers=file)
    assert shapes(built) == {"a": "[N, 6]", "b": "[N, 2]"}
    module: Any = built.module()
    assert module.a.seen == (4, (5, 6), {"bias": False})


def test_a_class_in_a_loop_and_as_a_parameter(build: Build) -> None:
    text = """\
use "layers.py"
module Block(Layer, width) {
  input x: [N, C]
  fc: Linear(width) -> scale: Layer(width)
}
network Net(widths = [4, 6, 8]) {
  input x: [N, 3]
  for i, w in enumerate(widths) { "block{i}": Block(Scale, w) }
}
"""
    built = build(text)
    assert "Block(channels, Scale" in built.model or "Scale" in built.model
    assert [tuple(p.shape) for n, p in built.module().named_parameters() if n.endswith("scale.weight")] == [
        (4,), (6,), (8,)
    ]  # fmt: skip
    assert built.module()(torch.randn(2, 3)).shape == (2, 8)


def test_sizes_of_a_module_stay_expressions(build: Build) -> None:
    text = """\
use "layers.py"
module Stem(width) {
  input x: [N, C, H, W]
  patches: Patches(4, width) -> swap -> mean(2) -> fc: Linear(2 * width)
}
network Net { input x: [N, 3, 32, 32]; a: Stem(8) -> fc: Linear(3) }
network Wide { input x: [N, 3, 64, 64]; a: Stem(20) -> fc: Linear(3) }
"""
    built = build(text)
    assert "self.fc = nn.Linear(width, 2 * width)" in built.model
    for name, size in (("Net", 32), ("Wide", 64)):
        assert built.module(name)(torch.randn(2, 3, size, size)).shape == (2, 3)


def test_a_stateless_layer_needs_no_label(build: Build) -> None:
    file = LAYERS + "\n\nclass Square(nn.Module):\n    def forward(self, x):\n        return x * x\n"
    built = build('use "layers.py"\nnetwork Net { input x: [N, 4]; Square; fc: Linear(2) -> Square }', layers=file)
    x = torch.randn(2, 4)
    net: Any = built.module()
    assert torch.equal(net(x), net.fc(x * x) ** 2)
    assert build('use "layers.py"\nnetwork Net { input x: [N, 4]; Scale(4) }').codes == ["E0205"]


def test_inside_a_seq_and_applied_again(build: Build) -> None:
    body = "s: seq { Scale(4); ReLU; Scale(4) }; _ -> s; t: Scale(4) -> t"
    text = f'use "layers.py"\nnetwork Net {{ input x: [N, 4]; {body} }}'
    net: Any = build(text).module()
    assert [n for n, _ in net.named_parameters()][:2] == ["s.0.weight", "s.0.bias"]
    x = torch.randn(2, 4)
    assert torch.equal(net(x), net.t(net.t(net.s(net.s(x)))))


def test_type_rules_pass_over_python_layers(build: Build) -> None:
    file = LAYERS + "\n\nclass Held(nn.Module):\n    def __init__(self):\n        super().__init__()\n" \
        "        self.fc = nn.Linear(4, 4)\n        nn.init.constant_(self.fc.weight, 3.0)\n\n" \
        "    def forward(self, x):\n        return self.fc(x)\n"  # fmt: skip
    text = 'use "layers.py"\nnetwork Net {{ input x: [N, 4]; a: Held(); b: Linear(4)\n init {{ {} }} }}'
    module: Any = build(text.format("Linear.weight ~ zeros_()"), layers=file).module()
    assert module.a.fc.weight.unique().tolist() == [3.0]
    assert module.b.weight.unique().tolist() == [0.0]
    module = build(text.format('"a.fc.weight" ~ ones_()'), layers=file).module()
    assert module.a.fc.weight.unique().tolist() == [1.0]
    assert build(text.format("Held.weight ~ ones_()"), layers=file).codes == ["E0236"]


def test_arguments_of_forward_by_name(build: Build) -> None:
    text = 'use "layers.py"\nnetwork Net { input x: [N, 4]; s = _; (_, s) -> p: Pair(scale=s[0, 0]) }'
    net = build(text).module()
    x = torch.randn(2, 4)
    assert torch.equal(net(x), torch.cat([x, x], 1) * x[0, 0])


def test_functions_of_numbers_are_buffers(build: Build) -> None:
    file = "import torch\n\n\ndef table(m, n):\n    return torch.arange(m * n).view(m, n).float()\n"
    text = 'use "layers.py"\nnetwork Net { input x: [N, 4]; buffer t = table(3, 4); _ + t[0] }'
    net = build(text, layers=file).module()
    assert torch.equal(net(torch.zeros(1, 4)), torch.arange(4.0)[None])


def test_names_that_are_taken_are_imported_under_another(build: Build) -> None:
    (inner := 'use "parts.py"\nmodule Outer { fc: Scale(4) }\n')
    text = 'import "inner.net"\nmodule Scale { ReLU }\nnetwork Net { input x: [N, 4]; a: Outer(); b: Scale() }'
    build(text, parts=LAYERS)
    from pathlib import Path

    Path("inner.net").write_text(inner)
    built = build(text, parts=LAYERS)
    assert "from parts import Scale as Scale2" in built.model
    assert [n for n, _ in built.module().named_parameters()] == ["a.fc.weight", "a.fc.bias"]


def test_files_that_a_file_imports_come_along(build: Build) -> None:
    from netc import compiler

    built = build(
        'use "layers.py"\nnetwork Net { input x: [N, 4]; d: Double() }',
        layers="from torch import nn\nfrom helper import double\n\n\nclass Double(nn.Module):\n"
        "    def forward(self, x):\n        return double(x)\n",
        helper="def double(x):\n    return 2 * x\n",
    )
    assert sorted(t for _, t in compiler.emit(built.program).shipped) == ["helper.py", "layers.py"]
    assert built.module()(torch.ones(1, 4)).tolist() == [[2.0] * 4]


def test_nothing_of_the_process_is_changed(build: Build, capfd: pytest.CaptureFixture[str]) -> None:
    noisy = "print('imported')\n" + LAYERS.replace("y = x * self.weight", "y = x * self.weight; print('run')")
    before = sorted(sys.modules), list(sys.path), torch.random.get_rng_state()
    built = build(BODY.format("conv: Conv2d(width, 1) -> mean([2, 3]) -> scale: Scale(width)"), layers=noisy)
    assert built.codes == []
    assert "layers" not in sys.modules
    assert sys.path == before[1]
    assert torch.equal(torch.random.get_rng_state(), before[2])
    assert capfd.readouterr() == ("", "")
    assert not (built.folder / "__pycache__").exists()
    assert torch.nn.Linear(2000, 3).weight.std() > 0  # initialisers are back


def test_torch_is_asked_only_when_all_else_is_right(tmp_path: Path) -> None:
    (tmp_path / "layers.py").write_text(LAYERS)
    (tmp_path / "net.net").write_text(BODY.format("mean([2, 3]) -> scale: Scale(3) -> fc: Linaer(3)"))
    code = "import sys\nfrom netc.cli import run\nprint(run(['check', 'net.net']), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout == "1 False\n"
    assert "Linaer" in done.stderr


# --- what is wrong ----------------------------------------------------------------------------------------------------


def failing(body: str) -> str:
    return f"import torch\nfrom torch import nn\n\n\nclass Bad(nn.Module):\n{body}\n"


WRONG = [
    ("a: Scale(3, strat=1)", "E0302", "did you mean `start`?"),
    ("a: Scale()", "E0306", "`Scale` needs `features`"),
    ("a: Scale(3, 1, True)", "E0304", "one too many"),
    ("a: Scale(3, features=3)", "E0305", "given `features` twice"),
    ('a: Scale("3")', "E0307", "takes an integer, not a string"),
    ("a: Scal(3)", "E0202", "did you mean `Scale`?"),
    ("_ -> swop", "E0221", "did you mean `swap`?"),
    ("_ -> swap(furst=1)", "E0302", "did you mean `first`?"),
    ("_ -> swap(1, 2, 3)", "E0304", "takes no further argument"),
    ("a: Pair()", "E0408", "`Pair` takes 2 to 3 inputs, and 1 arrive"),
    ("swap = _", "E0208", "is a function of a Python file"),
    ("a: Scale(5)", "E0707", "running it raises RuntimeError: "),
    ("a: Patches(3, -1)", "E0706", "building it raises RuntimeError"),
]


@pytest.mark.parametrize(("body", "code", "said"), WRONG, ids=[b for b, _, _ in WRONG])
def test_mistakes_in_a_call(build: Build, body: str, code: str, said: str) -> None:
    built = build(BODY.format(f"mean([2]) -> permute(0, 2, 1)\n  {body}" if "Scale(5)" in body else body))
    assert built.codes == [code], built.said
    assert said in built.said


BAD = [
    ("    def forward(self, x):\n        raise ValueError('no such thing')", "E0707", "ValueError: no such thing"),
    ("    def __init__(self):\n        super().__init__()\n        self.x = 1 / 0\n", "E0706", "ZeroDivisionError"),
    ("    def forward(self, x):\n        return None", "E0708", "its result is None"),
    ("    def forward(self, x):\n        return x, 3", "E0708", "its result is tuple with a int in it"),
    ("    def forward(self, x):\n        return x.sum().item()", "E0707", "netc runs it on torch's meta device"),
    ("    def forward(self, x):\n        return (x, x) if self.training else x", "E0708", "2 values in training"),
    ("    def forward(self, x):\n        raise SystemExit(3)", "E0707", "SystemExit"),
    ("    pass", "E0707", "NotImplementedError"),
]


@pytest.mark.parametrize(("body", "code", "said"), BAD, ids=[b.strip()[-25:] for b, _, _ in BAD])
def test_layers_that_go_wrong(build: Build, body: str, code: str, said: str) -> None:
    built = build('use "bad.py"\nnetwork Net { input x: [N, 4]; a: Bad() }', bad=failing(body))
    assert built.codes == [code], built.said
    assert said in built.said
    if "raise ValueError" in body:
        assert "in bad.py, line 7: raise ValueError('no such thing')" in built.said


FILES = [
    ('use "missing.py"', "", "E0701", "there is no file missing.py"),
    ('use "../bad.py"', "", "E0701", "leads out of the folder"),
    ('use "bad.txt"', "", "E0703", "no Python file"),
    ('use "json.py"', "", "E0703", "`import json` means another module"),
    ('use "model.py"', "", "E0703", "`import model` means another module"),
    ('use "a-b.py"', "", "E0703", "no name that Python can import"),
    ('use "bad.py"', "def f(:\n", "E0702", "in bad.py, line 1"),
    ('use "bad.py"', "raise OSError('not today')\nclass Bad: pass\n", "E0705", "not a class derived from nn.Module"),
    ('use "bad.py"', "import nowhere\nfrom torch import nn\nclass Bad(nn.Module): pass\n", "E0704", "'nowhere'"),
    ('use "bad.py"', "class Base: pass\nclass Bad(Base): pass\n", "E0705", "`class Bad(nn.Module):`"),
    ('use "bad.py"', "from torch.optim import Adam\nclass Bad(Adam): pass\n", "E0705", "not a class derived"),
    ('use "bad.py"', "def Bad(x):\n    return x\n", "E0705", "`Bad` is a function in bad.py"),
]


@pytest.mark.parametrize(("use", "text", "code", "said"), FILES, ids=[f"{u} {t[:20]!r}" for u, t, _, _ in FILES])
def test_files_that_go_wrong(build: Build, use: str, text: str, code: str, said: str) -> None:
    layer = "Bad()" if use == 'use "bad.py"' and "def f(" not in text else "Linear(4)"
    built = build(f"{use}\nnetwork Net {{ input x: [N, 4]; a: {layer} }}", bad=text)
    assert built.codes == [code], built.said
    assert said in built.said


def test_two_files_of_one_name(build: Build) -> None:
    from pathlib import Path

    text = 'use "layers.py"\nuse "more/layers.py"\nnetwork Net { input x: [N, 4]; a: Linear(4) }'
    build(text)
    Path("more").mkdir()
    Path("more/layers.py").write_text(LAYERS)
    assert build(text).codes == ["E0703"]


def test_a_name_that_two_files_define(build: Build) -> None:
    text = 'use "layers.py"\nuse "others.py"\nnetwork Net { input x: [N, 4]; a: Scale(4) }'
    built = build(text, others="from torch import nn\nclass Scale(nn.Module): pass\n")
    assert built.codes == ["E0208"]
    assert "defined in both layers.py and others.py" in built.said


def test_sizes_that_only_a_number_can_give(build: Build) -> None:
    bad = failing("    def forward(self, x):\n        assert x.shape[1] == 224\n        return x")
    built = build('use "bad.py"\nnetwork Net { input x: [N, H]; a: Bad() }', bad=bad)
    assert built.codes == ["E0402"]
    assert "only where `H` is 224" in built.said


def test_sizes_without_an_expression_are_new_ones(build: Build) -> None:
    odd = failing("    def forward(self, x):\n        return x[:, : x.shape[1] % 5 + 1]")
    text = 'use "bad.py"\nnetwork Net { input x: [N, H]; a: Bad() }'
    assert shapes(build(text, bad=odd)) == {"a": "[N, bad_1]"}


def test_a_loss_of_a_file_takes_its_arguments(build: Build) -> None:
    text = 'use "layers.py"\nnetwork Net { input x: [N, 1, 8, 8]; Flatten; fc: Linear(10) }\n' \
        "data { train = Digits(); transform = ToTensor; batch_size = 8 }\n" \
        "train { loss = Scale; optimizer = SGD(lr=0.1); epochs = 1 }"  # fmt: skip
    built = build(text)
    assert built.codes == ["E0306"]
    assert "Scale(features=…)" in built.said


def test_layers_that_are_lazy(build: Build) -> None:
    lazy = failing(
        "    def __init__(self):\n        super().__init__()\n        self.fc = nn.LazyLinear(3)\n\n"
        "    def forward(self, x):\n        return self.fc(x)"
    )
    built = build('use "bad.py"\nnetwork Net { input x: [N, 4]; a: Bad() }', bad=lazy)
    assert built.codes == ["E0706"]
    assert "its parameter `fc.weight` has no size when it is built" in built.said


def test_a_function_that_follows_the_mode(build: Build) -> None:
    file = "import torch\n\n\ndef drop(x, p, training):\n    return torch.zeros_like(x) if training else x\n"
    net = build('use "layers.py"\nnetwork Net { input x: [N, 4]; _ -> drop(0.5) }', layers=file).module()
    x = torch.ones(1, 4)
    assert net(x).sum() == 0
    assert torch.equal(net.eval()(x), x)


def test_one_file_in_two_programs(build: Build) -> None:
    from pathlib import Path

    text = 'import "inner.net"\nuse "layers.py"\nnetwork Net { input x: [N, 4]; a: Outer(Scale); b: Scale(4) }'
    build(text)
    Path("inner.net").write_text('use "layers.py"\nmodule Outer(Layer) { s: Layer(4) -> t: Scale(4) }\n')
    built = build(text)
    assert built.model.count("import Scale\n") == 1
    names = [n for n, _ in built.module().named_parameters() if n.endswith("weight")]
    assert names == ["a.s.weight", "a.t.weight", "b.weight"]


def test_modules_and_layers_that_can_not_be_given(build: Build) -> None:
    text = 'use "layers.py"\nmodule Block { ReLU }\nnetwork Net { input x: [N, 4]; a: Scale(4, start=Block) }'
    assert build(text).codes == ["E0712"]
    text = 'use "layers.py"\nnetwork Net { input x: [N, 3, 8, 8]; a: Conv2dNormActivation(8, norm_layer=Scale) }'
    assert build(text).codes == ["E0712"]


def test_a_layer_that_looks_at_its_weights(build: Build) -> None:
    looking = failing(
        "    def __init__(self):\n        super().__init__()\n        self.fc = nn.Linear(4, 4)\n"
        "        nn.init.constant_(self.fc.weight, 2.0)\n        assert self.fc.weight.sum() == 32\n\n"
        "    def forward(self, x):\n        return self.fc(x)"
    )
    built = build('use "bad.py"\nnetwork Net { input x: [N, 4]; a: Bad() }', bad=looking)
    assert built.codes == []
    assert built.module()(torch.ones(1, 4)).shape == (1, 4)


def test_keys_can_not_become_code(build: Build) -> None:
    keys = failing("    def forward(self, x):\n        return {'a\"]; print(1) #': x, 'b': x}")
    text = """use "bad.py"\nnetwork Net { input x: [N, 4]; d = _ -> a: Bad(); d['a"]; print(1) #'] }"""
    built = build(text, bad=keys)
    assert built.codes == []
    assert torch.equal(built.module()(torch.ones(1, 4)), torch.ones(1, 4))


def test_a_file_of_which_nothing_is_used(build: Build) -> None:
    built = build(BODY.format("conv: Conv2d(width, 1) -> mean([2, 3]) -> scale: Scale(width)"))
    assert built.codes == []
    built = build(BODY.format("conv: Conv2d(width, 1)"))
    assert built.codes == ["W0803"]
    assert 'nothing of "layers.py" is used' in built.said
