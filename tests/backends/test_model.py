"""model.py: that it computes what torch's own layers compute, and reads as a formatter and a linter leave it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import netc
from netc import catalog
from netc.api import execute
from netc.checker.body import Body
from netc.compiler import analyse, emit
from netc.identifiers import MODULE_ATTRIBUTES
from netc.shapes import evaluate
from netc.summary import weights
from tests.lang.test_corpus import Case, cases

WIDE = """\
network Wide(classes = 10, width = 4, rate = 0.25, name = "x", flags = [1, 2]) {
  input a_picture_with_a_long_name: [N, 3, 32, 32]
  input another_picture_with_a_long_name: [N, 3, 32, 32]
  half = width // 2
  first  = a_picture_with_a_long_name -> stem_of_the_first_picture: Conv2d(width, 3, padding=1)
           -> ReLU -> Dropout2d(rate)
  second = another_picture_with_a_long_name
           -> stem_of_the_second: Conv2d(half, 3, padding=1, dilation=1, padding_mode="reflect", bias=False) -> ReLU
  cat([first, second], 1) -> features: seq {
    Conv2d(2 * width, 3); BatchNorm2d; ReLU
    inner: seq { Conv2d(width, 1); ReLU }
    "a-b": MaxPool2d(2)
  }
  skip = _
  _ + skip * 2 - half -> LeakyReLU(0.2)
      -> AvgPool2d(3, stride=2, ceil_mode=True, count_include_pad=False) -> ReLU -> ReLU
  lambda: Conv2d(8, 1) -> max_pool2d(2) -> interpolate(scale_factor=2.0, mode="bilinear", align_corners=False)
  x = _ -> flatten(1)
  Flatten -> head: Linear(classes)
  _ + mean(x, 1, keepdim=True) ** 2
}
"""


def model_text(program: str) -> str:
    checked = analyse(program, "wide.net", "wide")
    assert checked.program is not None, [d.message for d in checked.diagnostics]
    return emit(checked.program).model


@pytest.mark.parametrize("width", [88, 100, 120])
def test_ruff_leaves_it_alone(tmp_path: Path, width: int) -> None:
    file = tmp_path / "model.py"
    file.write_text(model_text(WIDE))
    ruff = [sys.executable, "-m", "ruff"]
    options = ["--isolated", f"--line-length={width}", str(file)]
    subprocess.run([*ruff, "format", "--check", "--diff", *options], check=True)
    subprocess.run([*ruff, "check", "--select", "E,F,W,I,UP,B,C4,SIM,RUF", *options], check=True)


def test_it_is_the_same_every_time() -> None:
    texts = set()
    for seed in ("1", "2", "3"):
        code = "import sys, netc; print(netc.compile(sys.stdin.read()).model)"
        run = subprocess.run(
            [sys.executable, "-c", code],
            input=WIDE,
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        texts.add(run.stdout)
    assert len(texts) == 1


def test_wide_network_computes_what_it_says() -> None:
    module = execute(model_text(WIDE), "wide").Wide(classes=7, width=6)
    left, right = torch.randn(2, 3, 32, 32), torch.randn(2, 3, 32, 32)
    module.eval()
    x = torch.cat([torch.relu(module.stem_of_the_first_picture(left)), torch.relu(module.stem_of_the_second(right))], 1)
    x = module.features(x)
    x = x + x * 2 - 3
    x = nn.functional.avg_pool2d(nn.functional.leaky_relu(x, 0.2), 3, stride=2, ceil_mode=True, count_include_pad=False)
    x = nn.functional.max_pool2d(module.get_submodule("lambda")(torch.relu(x)), 2)
    x = nn.functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False).flatten(1)
    wanted = module.head(x) + x.mean(1, keepdim=True) ** 2
    assert torch.equal(module(left, right), wanted)
    assert wanted.shape == (2, 7)
    assert list(dict(module.features.named_children())) == ["0", "1", "2", "inner", "a-b"]


@pytest.mark.parametrize(
    "label",
    ["a b", "1x", "import", "q" + "'" + "); import os; (" + "'", "x = 1; y", "\\", "#", "ﬁ", "*"],
)
def test_any_label_stays_text(label: str) -> None:
    """A label is a key of the state dict to the letter, wherever it stands, and never code."""
    program = (
        f'network A {{\n  input x: [N, 4]\n  "{label}": seq {{\n    "{label}": seq {{ named: Linear(3); ReLU }}\n'
        f'    last: Linear(2)\n  }}\n  plain: seq {{ "{label}": Linear(2) }}\n}}\n'
    )
    module = execute(model_text(program), "a").A()
    keys = [f"{label}.{label}.named", f"{label}.last", f"plain.{label}"]
    assert list(module.state_dict()) == [f"{key}.{name}" for key in keys for name in ("weight", "bias")]
    assert module(torch.zeros(5, 4)).shape == (5, 2)


def test_the_current_value_always_has_a_name() -> None:
    bound = "".join(
        f"  {name} = image -> relu\n" for name in ("x", "y", "z", "h", "out", "x1", "value", "current", "flow")
    )
    text = model_text(f"network A {{\n  input image: [N, 4]\n{bound}  relu -> fc: Linear(2)\n  x + image -> relu\n}}\n")
    assert execute(text, "a").A()(torch.ones(1, 4)).tolist() == [[2.0] * 4]


def test_no_line_is_longer_than_88() -> None:
    assert max(map(len, model_text(WIDE).splitlines())) <= 88


def test_parameters_reach_inferred_sizes(tmp_path: Path) -> None:
    text = model_text(
        "network Net(width = 6, size = 28, deep = 2.5) {\n  input x: [N, 1, size, size]\n"
        "  conv: Conv2d(2 * width, 3) -> Flatten -> fc1: Linear(int(deep * width)) -> fc2: Linear(10)\n}\n"
    )
    assert "nn.Linear(" in text
    made = execute(text, "net").Net(width=3, size=20, deep=4.0)
    assert [made.conv.out_channels, made.fc1.in_features, made.fc1.out_features, made.fc2.in_features] == [
        6,
        6 * 18 * 18,
        12,
        12,
    ]
    assert made(torch.randn(2, 1, 20, 20)).shape == (2, 10)


def test_layers_without_weights_compute_the_same_as_functions() -> None:
    """Every stateless layer of the catalog, unnamed (its function) and named (its module), gives the same numbers."""
    arguments = {
        "Threshold": "0.1, 0.2", "Unflatten": '1, [2, 3]', "LocalResponseNorm": "2", "ChannelShuffle": "2",
        "PixelShuffle": "1", "PixelUnshuffle": "2", "Upsample": "scale_factor=2",
        "UpsamplingNearest2d": "scale_factor=2",
        "UpsamplingBilinear2d": "scale_factor=2",
        "Softmax": "1", "LogSoftmax": "1", "Softmin": "1", "Permute": "[0, 2, 1, 3]",
    }  # fmt: skip
    shapes = {1: (2, 6, 12), 2: (2, 6, 12, 12), 3: (2, 6, 8, 8, 8)}
    seen = 0
    for name in catalog.layers():
        entry = catalog.layer(name)
        assert entry is not None
        rule = entry.rule
        if rule is None or rule.function is None or rule.state is not None or rule.buffers is not None:
            continue
        if name in ("CosineSimilarity", "PairwiseDistance", "Fold") or name.startswith(("MaxUnpool", "Fractional")):
            continue  # they take several tensors, or one of another form, or draw at random
        digits = [c for c in name if c in "123"]
        dims = int(digits[-1]) if digits and name.endswith("d") else 2
        shape = shapes[dims]
        required = [p for p in entry.params if repr(p.default) == "REQUIRED" and p.name not in rule.infers]
        given = arguments.get(name, ", ".join("2" for _ in required))
        call = f"{name}({given})"
        declared = f"input x: [N, {', '.join(map(str, shape[1:]))}]"
        plain = netc.compile(f"network A {{\n  {declared}\n  {call}\n}}\n").model
        named = netc.compile(f"network A {{\n  {declared}\n  layer: {call}\n}}\n").model
        assert "nn." not in plain.split("def forward")[0].split("class A(nn.Module)")[1], name
        for training in (False, True):
            results = []
            for text in (plain, named):
                torch.manual_seed(1)
                module = execute(text, "a").A().train(training)
                results.append(module(torch.randn(shape)))
            assert torch.equal(results[0], results[1]), name
        seen += 1
    assert seen >= 60


RIGHT = [case for case in cases() if not case.expect]


@pytest.mark.parametrize("case", RIGHT, ids=lambda c: c.title)
def test_corpus_networks_are_what_the_checker_says(case: Case) -> None:
    """The real module has the parameters, buffers and result that the summary shows, without torch."""
    checked = analyse(case.program, "case.net", "case")
    assert checked.program is not None
    for network in checked.program.networks:
        module = getattr(execute(emit(checked.program).model, "case"), network.name)().eval()
        real = [(name, tuple(value.shape), str(value.dtype)) for name, value in module.state_dict().items()]
        assert [(w.path, w.shape, f"torch.{w.dtype}") for w in weights(network)] == real
        sizes = {"N": 6, "H": 20, "W": 24, "T": 5}
        inputs = [
            torch.zeros([evaluate(d, sizes) for d in i.type.shape], dtype=getattr(torch, i.type.dtype))
            for i in network.inputs
        ]
        result = module(*inputs)
        results = [result] if isinstance(result, torch.Tensor) else result
        wanted = [o.type for o in network.outputs if not o.training]
        assert [list(r.shape) for r in results] == [[evaluate(d, sizes) for d in t.shape] for t in wanted]
        assert [str(r.dtype) for r in results] == [f"torch.{t.dtype}" for t in wanted]


def test_attributes_of_nn_module() -> None:
    public = {n for n in {*dir(nn.Module), *nn.Module().__dict__} if not n.startswith("_")}
    assert public == MODULE_ATTRIBUTES


def test_statements_are_all_known_to_the_checker() -> None:
    from typing import get_args

    from netc import syntax

    for kind in get_args(syntax.Statement):
        if kind is not syntax.Broken:
            assert hasattr(Body, f"do_{kind.__name__.lower()}")
    for kind in get_args(syntax.Expr):
        assert hasattr(Body, f"eval_{kind.__name__.lower()}")


def test_load_takes_parameters(tmp_path: Path) -> None:
    file = tmp_path / "net.net"
    file.write_text("network Net(classes = 10) {\n  input x: [N, 4]\n  fc: Linear(classes)\n}\n")
    assert netc.load(file, classes=3)(torch.zeros(1, 4)).shape == (1, 3)
    with pytest.raises(netc.api.ProgramError, match="`fc`|out_features|`classes`"):
        netc.load(file, classes="three")


def test_what_self_attention_is_given_is_computed_once() -> None:
    text = model_text("network Net { input x: [N, T, 8]; Dropout(0.1) -> attend: MultiheadAttention(2) -> ReLU }")
    assert text.count("F.dropout(") == 1
    assert "self.attend(x, x, x, need_weights=False)[0]" in text


def test_what_self_attention_is_given_does_not_take_the_place_of_what_is_read_later() -> None:
    program = "network Net { input x: [N, T, 8]; relu(_) -> attend: MultiheadAttention(2) -> add(x) }"
    module = execute(model_text(program), "net")
    model = module.Net().eval()
    given = torch.randn(2, 3, 8)
    inner = given.relu()
    assert torch.equal(model(given), model.attend(inner, inner, inner, need_weights=False)[0] + given)


def test_a_number_that_becomes_a_tensor_in_a_loop() -> None:
    program = (
        'network Net { input x: [N, 4]; total = 0; for i in range(3) { "fc{i}": Linear(4); total = total + _ }; total }'
    )
    model = execute(model_text(program), "net").Net()
    given = torch.randn(2, 4)
    first = model.fc0(given)
    second = model.fc1(first)
    torch.testing.assert_close(model(given), first + second + model.fc2(second))


def test_names_of_loops_in_init_are_not_the_parameters() -> None:
    program = """network Net(p = 0.5, name = "x", modules = 2) {
      input x: [N, 4]
      for i in range(modules) { "fc{i}": Linear(4) }
      init { "fc*.bias" ~ constant_(p); '[!"]c*.weight' ~ zeros_() }
    }"""
    model = execute(model_text(program), "net").Net(p=0.25)
    assert torch.equal(model.fc1.bias, torch.full((4,), 0.25))
    assert not model.fc1.weight.any()


def test_a_size_is_read_before_its_input_gets_another_value() -> None:
    program = "network Net { input x: [N, C, 4]; x = x -> transpose(1, 2); y = x -> reshape(N, C, 2, 2); y }"
    model = execute(model_text(program), "net").Net()
    given = torch.randn(2, 3, 4)
    assert torch.equal(model(given), given.transpose(1, 2).reshape(2, 3, 2, 2))


def test_a_child_that_only_some_turns_of_a_loop_have() -> None:
    program = """network Net(Act = ReLU, pattern = [False, True]) {
      input x: [N, 8]
      for i, last in enumerate(pattern) { if last { "out{i}": Linear(4) } else { "out{i}": Linear(8) -> Act } }
    }"""
    module = execute(model_text(program), "net")
    assert [name for name, _ in module.Net().named_children()] == ["out0", "act", "out1"]
    assert [name for name, _ in module.Net(pattern=(True,)).named_children()] == ["out0"]


def test_whole_numbers_where_fractions_are_meant() -> None:
    program = """network Net(p = 0, speed = 1, slope = 2) {
      input x: [N, 8]
      fc: Linear(4) -> Dropout(p) -> bn: BatchNorm1d(momentum=speed) -> dropout(p) -> LeakyReLU(slope)
    }"""
    model = execute(model_text(program), "net").Net(speed=0.5)
    assert model.bn.momentum == 0.5
    given = torch.randn(3, 8)
    torch.testing.assert_close(model(given), nn.functional.leaky_relu(model.bn(model.fc(given)), 2))


def test_one_of_several_tensors_by_the_turn_of_a_loop() -> None:
    program = """network Net(k = 3) {
      input x: [N, 12]
      parts = chunk(x, 3, dim=1)
      total = zeros_like(parts[0])
      for i in range(k) { y = parts[i] -> "h{i}": Linear(4); total = total + y * parts[k - 1 - i] }
      total
    }"""
    model = execute(model_text(program), "net").Net()
    given = torch.randn(2, 12)
    a, b, c = given.chunk(3, 1)
    torch.testing.assert_close(model(given), model.h0(a) * c + model.h1(b) * b + model.h2(c) * a)


def test_a_loop_that_counts_with_the_name_of_an_input() -> None:
    program = "network Net { input x: [N, 8]; fc: Linear(8); for x in range(3) { relu(_ - 1) } }"
    model = execute(model_text(program), "net").Net()
    given = torch.randn(2, 8)
    expected = model.fc(given)
    for _ in range(3):
        expected = (expected - 1).relu()
    assert torch.equal(model(given), expected)


def test_a_shared_layer_of_several_results_passes_on_its_first() -> None:
    program = """network Net {
      input x: [N, T, 8]
      attend: MultiheadAttention(2, batch_first=True)
      attend -> rnn: GRU(8, batch_first=True)
      rnn
      y, h = _ -> rnn
      y + h[0][:, None]
    }"""
    model = execute(model_text(program), "net").Net()
    given = torch.randn(2, 3, 8)
    first = model.attend(given, given, given)[0]
    read = model.rnn(model.rnn(model.attend(first, first, first)[0])[0])[0]
    y, h = model.rnn(read)
    torch.testing.assert_close(model(given), y + h[0][:, None])


@pytest.mark.parametrize(
    "line",
    ["a = _ -> left: Linear(8); b = _ -> right: Linear(8); a + b", "a, b = chunk(a, 2, dim=1); _[:, :4] + a + b"],
)
def test_the_current_value_stays_where_its_input_gets_another_value(line: str) -> None:
    model = execute(model_text(f"network Net {{ input a: [N, 8]; {line} }}"), "net").Net()
    given = torch.randn(2, 8)
    if "chunk" in line:
        expected = given[:, :4] + given[:, :4] + given[:, 4:]
    else:
        expected = model.left(given) + model.right(given)
    assert torch.equal(model(given), expected)


def test_a_number_that_a_branch_makes_a_tensor() -> None:
    program = """network Net(scale = 2) {
      input x: [N, 8]
      y = scale
      if scale == 2 { y = x -> fc: Linear(8) }
      x + y
    }"""
    module = execute(model_text(program), "net")
    given = torch.randn(2, 8)
    model = module.Net()
    assert torch.equal(model(given), given + model.fc(given))
    assert torch.equal(module.Net(scale=3)(given), given + 3)


def test_an_output_does_not_take_the_place_of_a_value_of_its_name() -> None:
    program = """network Net {
      input image: [N, 8]
      b = image -> first: Linear(8)
      if training { output b = image -> second: Linear(3) }
      output image = image - b
    }"""
    model = execute(model_text(program), "net").Net()
    given = torch.randn(2, 8)
    trained = model(given)
    assert torch.equal(trained.image, given - model.first(given))
    assert torch.equal(trained.b, model.second(given))
    assert torch.equal(model.eval()(given), trained.image)


def test_an_output_keeps_its_value_where_the_name_gets_another_one() -> None:
    program = """network Net(again = True) {
      input x: [N, 8]
      fc1: Linear(4)
      output a = _
      if again { fc2: Linear(4) }
      output b = _
      y = relu(_)
      output c = y
      for i in range(2) { y = y + 1 }
      output d = y
    }"""
    model = execute(model_text(program), "net").Net()
    given = torch.randn(2, 8)
    a = model.fc1(given)
    b = model.fc2(a)
    made = model(given)
    assert torch.equal(made.a, a)
    assert torch.equal(made.b, b)
    assert torch.equal(made.c, b.relu())
    assert torch.equal(made.d, b.relu() + 1 + 1)
