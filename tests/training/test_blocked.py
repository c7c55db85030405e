"""oneDNN's own layout between convolutions: which networks compute in it, and that they compute the same to the bit."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from netc.backends.training_blocked import Stretch, stretch
from netc.compiler import analyse, emit
from netc.runtime.script import load_script

if TYPE_CHECKING:
    from types import ModuleType

TRAIN = """
data {
  train = FakeData(size=40, image_size=(3, 16, 16), num_classes=5)
  validation = FakeData(size=20, image_size=(3, 16, 16), num_classes=5, random_offset=40)
  transform = ToTensor -> Normalize(mean=[0.5, 0.4, 0.3], std=[0.5, 0.6, 0.7])
  batch_size = 16
}
train { loss = CrossEntropyLoss; optimizer = SGD(lr=0.1, momentum=0.9); epochs = 2; metrics = [accuracy] OPTIONS }
"""
CHAIN = """
  conv1: Conv2d(8, 3, padding=1) -> ReLU -> MaxPool2d(2)
  conv2: Conv2d(12, 3) -> ReLU -> MaxPool2d(2)
  Flatten
  fc1: Linear(20) -> ReLU
  fc2: Linear(5)
"""


def text_of(layers: str, options: str = "") -> str:
    network = f"network Net {{\n  input image: [N, 3, 16, 16]\n{layers}\n}}\n"
    return network + TRAIN.replace("OPTIONS", f"; {options}" if options else "")


def found(layers: str) -> Stretch | None:
    checked = analyse(text_of(layers))
    assert checked.program is not None, checked.diagnostics
    assert checked.program.trained is not None
    return stretch(checked.program.trained)


@pytest.mark.parametrize(
    ("layers", "wanted"),
    [
        (CHAIN, Stretch("conv1", "fc1")),
        ("f: seq { Conv2d(8, 3); ReLU; AvgPool2d(2) }; Flatten; c: seq { Dropout; Linear(5) }", Stretch("f.0", "c.0")),
        ("a: Conv2d(8, 3, stride=2) -> relu; Flatten; fc: Linear(5)", Stretch("a", "fc")),
        ("a: Conv2d(8, 3) -> Flatten -> fc: Linear(5); _ + mean(image)", Stretch("a", "fc")),
        ("a: Conv2d(8, 3) -> AdaptiveAvgPool2d(14) -> Flatten; fc: Linear(5)", Stretch("a", "fc")),
        ("a: Conv2d(8, 3, padding=\"same\") -> Flatten -> fc: Linear(5)", Stretch("a", "fc")),
    ],
)  # fmt: skip
def test_chains(layers: str, wanted: Stretch) -> None:
    assert found(layers) == wanted


@pytest.mark.parametrize(
    "layers",
    [
        "Flatten; fc: Linear(5)",  # no convolution
        "a: Conv2d(8, 3) -> bn: BatchNorm2d -> ReLU -> Flatten -> fc: Linear(5)",  # computed in another order
        "a: Conv2d(8, 3) -> MaxPool2d(3, 2) -> Flatten -> fc: Linear(5)",  # windows that overlap
        "a: Conv2d(8, 3) -> MaxPool2d(2, dilation=2) -> Flatten -> fc: Linear(5)",
        "a: Conv2d(8, 3) -> AvgPool2d(3, ceil_mode=True) -> Flatten -> fc: Linear(5)",
        "a: Conv2d(8, 3) -> AdaptiveAvgPool2d(7) -> Flatten -> fc: Linear(5)",
        'a: Conv2d(8, 4, padding="same") -> Flatten -> fc: Linear(5)',  # more zeros on one side
        'a: Conv2d(8, 3, padding=1, padding_mode="reflect") -> Flatten -> fc: Linear(5)',
        "a: Conv2d(8, 3) -> Tanh -> Flatten -> fc: Linear(5)",
        "a: Conv2d(8, 3) -> Flatten -> Dropout -> fc: Linear(5)",  # a function, which can't be hooked
        "a: Conv2d(8, 3) -> Flatten(2) -> fc: Linear(5) -> mean(1)",
        "a: Conv2d(8, 3); b: Conv2d(8, 3, padding=1) -> b -> Flatten -> fc: Linear(5)",  # twice
        "x = a: Conv2d(8, 3); ReLU -> Flatten -> fc: Linear(5); _ + mean(x)",  # read again
        "a: Conv2d(8, 3) -> ReLU; mean([2, 3]) -> fc: Linear(5)",  # no Flatten
    ],
)  # fmt: skip
def test_others(layers: str) -> None:
    assert found(layers) is None


# --- the same to the bit ----------------------------------------------------------------------------------------------


def script_of(text: str) -> ModuleType:
    checked = analyse(text)
    assert checked.program is not None, checked.diagnostics
    files = emit(checked.program)
    assert files.train is not None
    return load_script(files.train, files.model)


def gradients(script: ModuleType, images: torch.Tensor, blocked: bool) -> dict[str, torch.Tensor]:
    """What the network gives, training and not, and the gradients of its parameters."""
    torch.manual_seed(0)
    model = script.build_model(torch.device("cpu"))
    if blocked:
        script.keep_blocked(model)
    outputs = model(images)
    outputs.square().sum().backward()
    with torch.inference_mode():
        evaluated = model.eval()(images)
    return {"": outputs.detach(), "eval": evaluated} | {name: p.grad for name, p in model.named_parameters()}


CONVOLUTION = st.builds(
    "Conv2d({}, {}, stride={}, padding={}, dilation={}, bias={})".format,
    st.sampled_from([1, 3, 8, 16, 17, 32]), st.sampled_from([1, 2, 3, 5, (3, 1)]), st.sampled_from([1, 2, (1, 2)]),
    st.sampled_from([0, 1, 2, (0, 1)]), st.sampled_from([1, 1, 2]), st.booleans(),
)  # fmt: skip
GROUPED = st.builds('Conv2d(16, 3, padding="same", groups={})'.format, st.sampled_from([2, 8, 16]))
POOLING = st.one_of(
    st.builds("MaxPool2d({}, ceil_mode={})".format, st.sampled_from([1, 2, 3, (2, 1)]), st.booleans()),
    st.builds("MaxPool2d(2, {}, padding={})".format, st.integers(2, 3), st.integers(0, 1)),
    st.builds("AvgPool2d({0}, count_include_pad={1})".format, st.sampled_from([1, 2, 3]), st.booleans()),
    st.builds("AvgPool2d(3, {}, padding=1, count_include_pad={})".format, st.integers(3, 4), st.booleans()),
)  # fmt: skip
STEP = st.one_of(CONVOLUTION, CONVOLUTION, GROUPED, st.just("ReLU"), POOLING)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_chain(data: Any) -> None:
    steps = [data.draw(CONVOLUTION), *data.draw(st.lists(STEP, min_size=1, max_size=5))]
    layers = "\n".join(f"  {f'l{i}: ' if step.startswith('Conv') else ''}{step}" for i, step in enumerate(steps))
    checked = analyse(text_of(f"{layers}\n  Flatten\n  fc: Linear(5)"))
    assume(checked.program is not None)
    script = script_of(text_of(f"{layers}\n  Flatten\n  fc: Linear(5)"))
    images = torch.randn(data.draw(st.sampled_from([16, 19])), 3, 16, 16)
    plain, blocked = gradients(script, images, False), gradients(script, images, True)
    assert plain.keys() == blocked.keys()
    different = [name for name in plain if not torch.equal(plain[name], blocked[name])]
    assert not different, layers


@pytest.mark.parametrize("options", ["", "ema = 0.9; accumulate = 2", 'freeze = ["conv1.*"]; unfreeze = 2'])
def test_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str) -> None:
    """With blocks and without, every number of a run is the same."""
    rows = []
    calls = []
    to_blocks = torch.Tensor.to_mkldnn

    def counted(tensor: torch.Tensor) -> torch.Tensor:
        calls.append(tensor.shape)
        return to_blocks(tensor)

    monkeypatch.setattr(torch.Tensor, "to_mkldnn", counted)
    for blocked in (True, False):
        if not blocked:
            assert calls
            calls.clear()
            monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
        script = script_of(text_of(CHAIN, options))
        script.main(["--device", "cpu", "--run-dir", str(tmp_path / str(blocked))])
        with (tmp_path / str(blocked) / "metrics.csv").open() as file:
            rows.append([{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)])
    assert not calls
    assert len(rows[0]) == 2
    assert rows[0] == rows[1]


def test_weights_that_are_not_finite_are_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A NaN in a convolution would end in a ReLU of oneDNN, and the loss would be finite."""
    script = script_of(text_of(CHAIN))
    built = script.build_model

    def broken(device: torch.device) -> torch.nn.Module:
        model: torch.nn.Module = built(device)
        with torch.no_grad():
            model.get_parameter("conv1.weight")[3] = torch.nan
        return model

    vars(script)["build_model"] = broken
    with pytest.raises(SystemExit, match="the loss is nan in epoch 1"):
        script.main(["--device", "cpu", "--run-dir", str(tmp_path / "run")])


@pytest.mark.parametrize("options", ['precision = "bf16"', "compile = True", 'parallel = "fsdp"'])
def test_other_ways_to_compute_have_none(options: str) -> None:
    assert "keep_blocked" not in script_text(options)


@pytest.mark.parametrize("options", ["", 'parallel = "ddp"', "tensorboard = [graph]"])
def test_usual_ways_have_it(options: str) -> None:
    assert "keep_blocked" in script_text(options)


def script_text(options: str) -> str:
    checked = analyse(text_of(CHAIN, options))
    assert checked.program is not None, checked.diagnostics
    return emit(checked.program).train or ""
