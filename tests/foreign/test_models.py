"""Models of torchvision as layers: their names and arguments, edits as by hand, and every way to be wrong."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn
from torchvision import models

from netc import catalog
from netc.foreign import probe
from netc.foreign.entries import of_model
from netc.summary import weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.foreign.conftest import Built

    Build = Callable[..., Built]

NET = "network Net(classes = 7) {{ input image: [N, {}]\n  backbone: torchvision.models.{}\n}}"


def seeded(make: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(3)
    return make()


def same(ours: nn.Module, theirs: nn.Module) -> None:
    """The same entries in the same order with the same numbers, and the same results."""
    left, right = ours.state_dict(), theirs.state_dict()
    assert list(left) == [f"backbone.{name}" for name in right]
    assert all(torch.equal(a, b) for a, b in zip(left.values(), right.values(), strict=True))


# --- edits ------------------------------------------------------------------------------------------------------------


def replaced(model: Any) -> nn.Module:
    model.fc = nn.Linear(512, 7)
    return model


def grown(model: Any) -> nn.Module:
    model.classifier[1] = nn.Linear(1280, 64)
    model.classifier.append(nn.ReLU())
    model.classifier.add_module("head", nn.Linear(64, 7))
    return model


def shrunk(model: Any) -> nn.Module:
    model.features[0] = nn.Conv2d(1, 64, 3, padding=1)
    del model.classifier[5]
    model.classifier[5] = nn.Linear(4096, 7)
    return model


def cut(model: Any) -> nn.Module:
    model.fc = nn.Identity()
    model.layer4[1].relu = nn.GELU()
    return model


def renamed(model: Any) -> nn.Module:
    del model.features.denseblock4
    delattr(model.features, "norm5")
    model.features.add_module("norm5", nn.BatchNorm2d(512))
    model.classifier = nn.Linear(512, 7)
    return model


EDITS = {
    "resnet18": ("3, 64, 64", 'replace "fc" = Linear(classes)', replaced),
    "resnet18 cut": ("3, 64, 64", 'replace "fc" = Identity; replace "layer4.1.relu" = GELU()', cut),
    "mobilenet_v2": (
        "3, 64, 64",
        'replace "classifier.1" = Linear(64); append "classifier.2" = ReLU; append "classifier.head" = Linear(classes)',
        grown,
    ),
    "vgg16": (
        "1, 32, 32",
        'replace "features.0" = Conv2d(64, 3, padding=1); remove "classifier.5"\n'
        '  replace "classifier.5" = Linear(classes)',
        shrunk,
    ),
    "densenet121": (
        "3, 64, 64",
        'remove "features.denseblock4"; remove "features.norm5"; append "features.norm5" = BatchNorm2d\n'
        '  replace "classifier" = Linear(classes)',
        renamed,
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_edits_are_those_by_hand(build: Build, name: str) -> None:
    sizes, edits, by_hand = EDITS[name]
    builder = name.split()[0]
    built = build(NET.format(sizes, f"{builder}() {{ {edits} }}"))
    ours = seeded(built.module)
    theirs = seeded(lambda: by_hand(getattr(models, builder)()))
    same(ours, theirs)
    (network,) = built.program.networks
    image = torch.randn(2, *map(int, sizes.split(", ")))
    result = ours.eval()(image)
    assert torch.equal(result, theirs.eval()(image))
    assert [str(o.type) for o in network.outputs] == [f"[N, {result.shape[1]}]"]
    assert {(w.path, w.shape) for w in weights(network)} == {(n, tuple(v.shape)) for n, v in ours.state_dict().items()}


def test_the_lines_of_edits(build: Build) -> None:
    edits = 'replace "features.norm0" = BatchNorm2d; remove "features.pool0"; append "features.last" = ReLU'
    text = build(NET.format("3, 64, 64", f"densenet121() {{ {edits} }}")).model
    assert "self.backbone.features.norm0 = nn.BatchNorm2d(64)\n" in text
    assert "del self.backbone.features.pool0\n" in text
    assert 'self.backbone.features.add_module("last", nn.ReLU())\n' in text
    edits = 'replace "trunk_output.block1.block1-0" = Conv2d(48, 1)'
    text = build(NET.format("3, 64, 64", f"regnet_y_400mf() {{ {edits} }}")).model
    assert 'self.backbone.trunk_output.block1.add_module("block1-0", nn.Conv2d(32, 48, 1))\n' in text


def test_sizes_from_what_is_replaced_where_a_run_does_not_get_there(build: Build) -> None:
    edits = 'replace "conv1" = Conv2d(32, 7); replace "fc" = Linear(classes); replace "conv1" = Conv2d(64, 7)'
    built = build(NET.format("3, 64, 64", f"resnet18() {{ {edits} }}"))
    assert "self.backbone.fc = nn.Linear(512, classes)" in built.model


def test_sizes_that_differ_between_instances_are_read_from_the_model(build: Build) -> None:
    file = """\
from torch import nn


class Body(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.inner = nn.Linear(4, width)
        self.fc = nn.Linear(width, 3)

    def forward(self, x):
        return self.fc(self.inner(x))
"""
    text = """\
use "body.py"
module Part(width) { body: Body(width) { replace "fc" = Linear(5) } }
network Net { input x: [N, 4]; a: Part(6); b: Linear(4); c: Part(9) }
"""
    built = build(text, body=file)
    assert "self.body.fc = nn.Linear(self.body.fc.in_features, 5)" in built.model
    assert built.module()(torch.randn(2, 4)).shape == (2, 5)


def test_what_is_put_in_may_be_of_python_or_of_torchvision(build: Build) -> None:
    edits = 'replace "fc" = MLP([16, classes]); replace "avgpool" = Scale(8)'
    built = build(f'use "layers.py"\n{NET.format("3, 64, 64", f"resnet18() {{ {edits} }}")}')
    assert built.codes == ["E0707"]  # the factors don't fit, which shows when the whole is run
    edits = 'replace "fc" = MLP([16, classes]); append "layer4.2" = Scale(2)'
    built = build(f'use "layers.py"\n{NET.format("3, 64, 64", f"resnet18() {{ {edits} }}")}')
    assert "self.backbone.layer4.append(Scale(2))" in built.model
    assert "self.backbone.fc = ops.MLP(512, [16, classes])" in built.model
    assert built.module()(torch.randn(2, 3, 64, 64)).shape == (2, 7)


HEADS = """\
module Head(classes, hidden = 64) {
  input x: [N, F]
  hidden: Linear(hidden) -> ReLU
  out: Linear(classes)
  init { Linear.weight ~ constant_(0.5) }
}
module Stem(width) { input x: [N, C, H, W]; conv: Conv2d(width, 3, stride=2, padding=1) -> bn: BatchNorm2d -> ReLU }
network Net(classes = 7) {
  input image: [N, 1, H, W]
  backbone: torchvision.models.resnet18() { replace "conv1" = Stem(64); replace "fc" = Head(classes, hidden=32) }
}
network Wide { input image: [N, 1, 64, 64]; backbone: torchvision.models.resnet50() { replace "conv1" = Stem(64)
  replace "fc" = Head(3) } }
"""


def test_a_module_of_the_file_is_put_in(build: Build) -> None:
    built = build(HEADS)
    assert "        self.backbone.fc = Head(512, classes, hidden=32)\n" in built.model
    assert "        self.backbone.fc = Head(2048, 3)\n" in built.model
    for name, features in (("Net", 7), ("Wide", 3)):
        net: Any = built.module(name)
        network = next(n for n in built.program.networks if n.name == name)
        assert net(torch.randn(2, 1, 64, 64)).shape == (2, features)
        assert net.backbone.fc.out.weight.unique().tolist() == [0.5]
        state = {n: tuple(v.shape) for n, v in net.state_dict().items()}
        assert {w.path: w.shape for w in weights(network)} == state
    plain = build(NET.format("3, 64, 64", 'resnet18() { replace "fc" = Linear(7) }')).program.networks[0]
    headed = build("module Head { input x: [N, F]; fc: Linear(7) }\n"
                   + NET.format("3, 64, 64", 'resnet18() { replace "fc" = Head }')).program.networks[0]  # fmt: skip
    assert plain.rows[0].macs == headed.rows[0].macs


def test_a_module_that_does_not_fit(build: Build) -> None:
    built = build(HEADS.replace("input x: [N, F]", "input x: [N, F, 3]"))
    assert set(built.codes) == {"E0407"}
    built = build(HEADS.replace("hidden=32", "hiden=32"))
    assert built.codes == ["E0302"]
    edit = 'torchvision.models.resnet18() { replace "fc" = Top(3) }'
    text = f"network Net(Top) {{ input image: [N, 3, 64, 64]; b: {edit} }}"
    built = build(f"{text}\nmodule Head(n) {{ fc: Linear(n) }}\nnetwork A = Net(Head)")
    assert built.codes == ["E0712"]


@pytest.mark.parametrize("width", [88, 120])
def test_ruff_leaves_it_alone(build: Build, width: int) -> None:
    edits = (
        'replace "fc" = Linear(classes); remove "layer4.1"; append "layer4.1" = Conv2d(512, 3, padding=1, bias=False)'
    )
    text = NET.format("3, 64, 64", f'resnet18(weights="DEFAULT") {{ {edits} }}')[:-1]
    rules = 'init { Linear.weight ~ zeros_(); "backbone.fc.bias" ~ normal_(std=0.01) }'
    built = build(f"{text}  more: Linear(3)\n  {rules}\n}}")
    file = built.folder / "model.py"
    file.write_text(built.model)
    ruff = [sys.executable, "-m", "ruff"]
    options = ["--isolated", f"--line-length={width}", str(file)]
    subprocess.run([*ruff, "format", "--check", "--diff", *options], check=True)
    subprocess.run([*ruff, "check", "--select", "E,F,W,I,UP,B,C4,SIM,RUF", *options], check=True)


# --- weights, results, initialisers -----------------------------------------------------------------------------------


def test_nothing_is_fetched_before_the_network_is_built(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def fetch(self: Any, *_: Any, **__: Any) -> dict[str, torch.Tensor]:
        asked.append(str(self))
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("torchvision.models._api.WeightsEnum.get_state_dict", fetch)
    built = build(NET.format("3, 64, 64", 'resnet18(weights="IMAGENET1K_V1")'))
    assert "models.resnet18(weights=models.ResNet18_Weights.IMAGENET1K_V1)" in built.model
    assert asked == []
    with pytest.raises(urllib.error.URLError):
        built.module()
    assert asked == ["ResNet18_Weights.IMAGENET1K_V1"]


def test_weights_by_a_parameter(build: Build) -> None:
    body = "input image: [N, 3, 64, 64]\n  b: torchvision.models.resnet18(weights=weights)"
    text = f"network Net(weights = None) {{ {body}\n}}"
    built = build(text)
    assert "self.b = models.resnet18(weights=weights)" in built.model
    assert built.module()(torch.randn(1, 3, 64, 64)).shape == (1, 1000)


def test_a_dictionary_is_taken_from_by_its_keys(build: Build) -> None:
    seg = "seg: torchvision.models.segmentation.fcn_resnet50(weights_backbone=None, num_classes=5, aux_loss=True)"
    built = build(f'network Net {{ input image: [N, 3, 64, 64]\n {seg}\n a = _["aux"]\n _["out"] + a\n}}')
    net: Any = built.module().eval()
    image = torch.randn(1, 3, 64, 64)
    found = net.seg(image)
    assert torch.equal(net(image), found["out"] + found["aux"])
    wrong = build(f"network Net {{ input image: [N, 3, 64, 64]\n {seg}\n}}")
    assert wrong.codes == ["E0206"]
    assert '_["out"]' in wrong.said
    wrong = build(f"network Net {{ input image: [N, 3, 64, 64]\n a, b = _ -> {seg}\n a\n}}")
    assert wrong.codes == ["E0206"]


def test_open_sizes_pass_through(build: Build) -> None:
    built = build("network Net { input image: [N, 3, H, W]\n  b: torchvision.models.resnet18()\n}")
    assert [str(o.type) for o in built.program.networks[0].outputs] == ["[N, 1000]"]
    seg = "torchvision.models.segmentation.lraspp_mobilenet_v3_large(weights_backbone=None)"
    built = build(f'network Net {{ input image: [N, 3, H, W]\n  b: {seg}\n  _["out"]\n}}')
    assert [str(o.type) for o in built.program.networks[0].outputs] == ["[N, 21, H, W]"]


def test_type_rules_leave_a_model_as_it_is(build: Build) -> None:
    text = NET.format("3, 64, 64", 'resnet18() { replace "fc" = Linear(classes) }')[:-1]
    rules = 'init { Linear.weight ~ zeros_(); "backbone.fc.bias" ~ constant_(3.0) }'
    built = build(f"{text}  more: Linear(3)\n  {rules}\n}}")
    net: Any = seeded(built.module)
    theirs: Any = seeded(lambda: replaced(models.resnet18()))
    assert torch.equal(net.backbone.fc.weight, theirs.fc.weight)
    assert net.backbone.fc.bias.unique().tolist() == [3.0]
    assert net.more.weight.unique().tolist() == [0.0]


def test_a_path_is_a_path_where_positions_have_moved(build: Build) -> None:
    edits = 'append "classifier.extra" = ReLU; remove "classifier.5"'
    text = NET.format("3, 64, 64", f"vgg11() {{ {edits} }}")[:-1]
    built = build(f'{text}  init {{ "backbone.classifier.6.bias" ~ constant_(3.0) }}\n}}')
    net: Any = built.module()
    assert [n for n, _ in net.backbone.classifier.named_children()] == ["0", "1", "2", "3", "4", "6", "extra"]
    assert net.backbone.get_parameter("classifier.6.bias").unique().tolist() == [3.0]


# --- what is wrong ----------------------------------------------------------------------------------------------------

WRONG = [
    ("vgg61()", "E0709", "did you mean `torchvision.models.vgg11`?"),
    ("fcn_resnet50()", "E0709", "it is `torchvision.models.segmentation.fcn_resnet50`"),
    ('vgg16(weights="IMAGENET1K")', "E0308", "did you mean `IMAGENET1K_V1`?"),
    ("vgg16(weight=None)", "E0302", "did you mean `weights`?"),
    ("vgg16(10)", "E0304", "no positional argument"),
    ('vgg16(weights="DEFAULT", num_classes=10)', "E0706", "expected value 1000 but got 10"),
    ("googlenet()", "E0708", "with `aux_logits=False` it gives one tensor in both"),
    ('resnet18() { replace "layer1.0.con1" = Identity }', "E0710", 'did you mean "layer1.0.conv1"?'),
    ('resnet18() { replace "wrong" = Identity }', "E0710", '"conv1", "bn1"'),
    ('resnet18() { remove "fc" }', "E0711", 'write `replace "fc" = Identity`'),
    ('resnet18() { append "layer1.0.last" = ReLU }', "E0711", "is no Sequential"),
    ('resnet18() { append "last" = ReLU }', "E0711", "is no Sequential"),
    ('resnet18() { append "layer1.1" = ReLU }', "E0711", "has a part `1` already"),
    ('resnet18() { append "layer1." = ReLU }', "E0711", "the name of the new part is missing"),
    (
        'resnet18() { replace "fc" = Linear(7, in_features=3) }',
        "E0401",
        "expects 3 for `in_features`, but receives 512",
    ),
    ('resnet18() { replace "fc" = Linear(7, biass=False) }', "E0302", "did you mean `bias`?"),
    ('resnet18() { replace "fc" = Linaer(7) }', "E0202", "did you mean `Linear`?"),
    ('resnet18() { replace "fc" = 3 }', "E0711", "puts a layer there"),
    ('resnet18() { replace "fc" = Net }', "E0238", "holds itself"),
    ('resnet18() { "fc" { lr = 3 } }', "E0711", "is edited with `replace`"),
    ('resnet18() { replace "layer4" = Conv2d(3, 1) }', "E0707", "note: its edits are made before it is run"),
]


@pytest.mark.parametrize(("call", "code", "said"), WRONG, ids=[c for c, _, _ in WRONG])
def test_mistakes(build: Build, call: str, code: str, said: str) -> None:
    built = build(NET.format("3, 64, 64", call))
    assert built.codes == [code], built.said
    assert said in built.said


def test_names_can_not_become_code(build: Build) -> None:
    name = "a'); print(1) #\\"
    built = build(NET.format("3, 64, 64", f'resnet18() {{ append "layer4.{name}" = ReLU; remove "layer4.1" }}'))
    assert repr(name) in built.model or f'"{name}"'.replace("\\", "\\\\") in built.model
    assert list(built.module().backbone.layer4._modules) == ["0", name]  # type: ignore[union-attr]


def test_models_without_their_home(build: Build) -> None:
    for call in ("torchvision.resnet18()", "models.resnet18()", "resnet18()"):
        built = build(f"network Net {{ input image: [N, 3, 64, 64]; b: {call} }}")
        assert built.codes == ["E0215" if call == "resnet18()" else "E0709"], built.said
        assert "`torchvision.models.resnet18" in built.said


def test_what_can_not_be_edited(build: Build) -> None:
    built = build('network Net { input x: [N, 4]; a: Linear(3) { replace "weight" = Identity } }')
    assert built.codes == ["E0711"]
    built = build("network Net { input image: [N, 3, 64, 64]\n  torchvision.models.resnet18()\n}")
    assert built.codes == ["E0205"]


# --- all models -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", catalog.models())
def test_a_model_takes_its_arguments(name: str) -> None:
    """Each argument of the catalog, at its default, makes the same model; its class is the one that is named."""
    entry = catalog.model(name)
    assert entry is not None
    values: dict[str, Any] = {p.name: p.default for p in entry.params if not p.name.startswith("weights")}
    builder = models.get_model_builder(name)
    backbone = {"weights_backbone": None} if any(p.name == "weights_backbone" for p in entry.params) else {}
    with probe._quiet(), probe.without_weights():
        plain = builder(weights=None, **backbone)
        full = builder(weights=None, **backbone, **values)
    assert {n: p.shape for n, p in plain.named_parameters()} == {n: p.shape for n, p in full.named_parameters()}
    code = catalog.model_class(name)
    found: Any = models
    for part in code.split(".")[1:]:
        found = getattr(found, part)
    assert type(plain) is found
    rule = of_model(entry).rule
    assert rule is not None
    assert rule.probed


def test_the_command_line_says_that_weights_are_missing(tmp_path: Path) -> None:
    (tmp_path / "net.net").write_text(
        'network Net {\n  input image: [N, 3, 32, 32]\n  b: torchvision.models.resnet18(weights="DEFAULT")\n}\n'
        "data { train = FakeData(size=8, image_size=[3, 32, 32], num_classes=1000)\n"
        "transform = ToTensor; batch_size = 4 }\n"
        "train { loss = CrossEntropyLoss; optimizer = SGD(lr=0.1); epochs = 1 }\n"
    )
    code = "import sys\nfrom netc.cli import run\nsys.exit(run(['train', 'net.net']))"
    import os

    environment = os.environ | {"TORCH_HOME": str(tmp_path / "hub"), "https_proxy": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 1, done.stderr
    assert "error: the weights of a pretrained model can't be downloaded" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_script_names_what_it_needs(build: Build) -> None:
    from netc import compiler

    text = (
        "{}\nnetwork Net {{ input image: [N, 3, 32, 32]; {} }}\n"
        'data {{ train = CIFAR10("data"); transform = ToTensor; batch_size = 4 }}\n'
        "train {{ loss = CrossEntropyLoss; optimizer = SGD(lr=0.1); epochs = 1 }}\n"
    )
    model = "b: torchvision.models.resnet18(num_classes=10)"
    needs = []
    for use, body in (("", model), ("", "Flatten; fc: Linear(10)")):
        script = compiler.emit(build(text.format(use, body)).program).train
        assert script is not None
        needs.append(next(line for line in script.splitlines() if line.startswith("Needs ")))
    assert needs == ["Needs torch, torchvision and tqdm.", "Needs torch and tqdm."]
