"""`netc train --profile`: where the time of a step goes, told by layer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from netc.cli import run as netc_run
from netc.runtime.profile import REST, summed
from tests.cli.test_mistakes import PROGRAM, netc

if TYPE_CHECKING:
    from pathlib import Path

DEEP = PROGRAM.replace(
    "  Flatten -> fc: Linear(classes)",
    "  conv: Conv2d(16, 3, padding=1) -> ReLU\n  Flatten -> fc: Linear(classes)",
).replace("batch_size = 256", "batch_size = 64")


def test_the_layers_with_their_lines(tmp_path: Path) -> None:
    (tmp_path / "net.net").write_text(DEEP)
    done = netc("train", "--device", "cpu", "--profile", "15", cwd=tmp_path)
    assert done.stderr == ""
    assert "Net on cpu: 15 steps of" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    rows = {line.split()[0]: line.split() for line in done.stdout.splitlines() if line.strip()}
    assert rows["conv"][1:3] == ["3", "Conv2d"]
    assert rows["fc"][1:3] == ["4", "Linear"]
    forward, backward = map(float, rows["conv"][3:5])
    assert forward > 0
    assert backward > 0
    assert "aten::convolution_backward" in rows
    assert rows["aten::convolution_backward"][2] == "1.0"  # call a step
    shares = [float(s) for s in re.findall(r"([\d.]+)%", done.stdout.partition("operation")[0])]
    assert sum(shares) == pytest.approx(100, abs=1)
    assert "peak memory" in done.stdout
    assert not (tmp_path / "runs").exists()


def test_a_run_that_is_too_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.net").write_text(PROGRAM.replace("batch_size = 256", "batch_size = 1293"))
    assert netc_run(["train", "net.net", "--device", "cpu", "--profile", "5"]) == 1
    assert "no more than 3 steps" in capsys.readouterr().err
    assert netc_run(["train", "net.net", "--resume", "--profile", "5"]) == 2


class Event:
    """What a profiler gives."""

    def __init__(self, name: str, own: float, parent: Event | None = None, number: int = -1) -> None:
        self.name = name
        self.self_cpu_time_total = own
        self.self_device_time_total = 0.0
        self.cpu_parent = parent
        self.sequence_nr = number
        self.device_type = "DeviceType.CPU"


def test_backward_times_belong_to_the_layer() -> None:
    layer = Event("netc block.conv", 1000)
    forward = Event("aten::conv2d", 2000, layer, 7)
    engine = Event("autograd::engine::evaluate_function: ConvolutionBackward0", 500, None, 7)
    backward = Event("aten::convolution_backward", 4000, engine)
    loss = Event("aten::nll_loss", 100, None, 9)
    step: Any = Event("Optimizer.step#SGD.step", 10)
    found = summed([layer, forward, engine, backward, loss, step, Event("aten::add_", 90, step)], 1, 9.0)
    assert [(p.name, round(p.forward, 6), round(p.backward, 6)) for p in found.parts] == [
        ("block.conv", 3.0, 4.5), (REST, 0.1, 0.0), ("the optimizer", 0.1, 0.0),
    ]  # fmt: skip
    assert [o.name for o in found.operations] == [
        "aten::convolution_backward",
        "aten::conv2d",
        "aten::nll_loss",
        "aten::add_",
    ]
