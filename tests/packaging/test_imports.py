"""The commands that people run all day load neither torch nor anything else that is slow to load."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SLOW = {"torch", "torchvision", "numpy", "onnx", "onnxscript", "onnxruntime", "PIL", "sklearn", "sympy", "jinja2"}
PROGRAM = """\
network Net {
  input image: [N, 1, 28, 28]
  conv: Conv2d(4, 3) -> ReLU -> MaxPool2d(2)
  Flatten
  fc: Linear(10)
}
data {
  train = FakeData(size=64, image_size=[1, 28, 28], num_classes=10)
  batch_size = 8
  transform = ToTensor
}
train {
  loss = CrossEntropyLoss
  optimizer = SGD(lr=0.1)
  epochs = 1
}
"""
# Runs a command as `netc` does and tells afterwards what it loaded and how it ended.
PROBE = """\
import json, sys
from netc.cli import entry
sys.argv = ["netc", *sys.argv[2:]]
code = 0
try:
    entry()
except SystemExit as end:
    code = end.code or 0
with open({report!r}, "w") as file:
    json.dump([code, sorted({{name.partition(".")[0] for name in sys.modules}})], file)
"""


def run(folder: Path, *arguments: str) -> tuple[int, set[str], str]:
    report = folder / "report.json"
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("COV_", "PYTEST_"))}
    command = [sys.executable, "-c", PROBE.format(report=str(report)), "--", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    assert report.exists(), done.stderr
    code, loaded = json.loads(report.read_text())
    return code, set(loaded), done.stdout + done.stderr


COMMANDS = ("build net.net", "check net.net", "summary net.net", "fmt net.net", "--help", "--version", "build --help")


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_slow_is_loaded(command: str, tmp_path: Path) -> None:
    (tmp_path / "net.net").write_text(PROGRAM)
    code, loaded, said = run(tmp_path, *command.split())
    assert code == 0, said
    assert loaded & SLOW == set()
    if command == "build net.net":
        assert {file.name for file in (tmp_path / "build" / "net").glob("*.py")} == {"model.py", "train.py"}


def test_nothing_slow_is_loaded_to_report_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "net.net").write_text(PROGRAM.replace("Conv2d", "Conv2D"))
    code, loaded, said = run(tmp_path, "check", "net.net")
    assert code == 1
    assert "Conv2d" in said
    assert loaded & SLOW == set()


def test_import_netc_loads_nothing_slow() -> None:
    command = "import netc, sys; netc.check('network'); print(*{n.partition('.')[0] for n in sys.modules})"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True, timeout=60)
    assert "netc" in done.stdout.split()
    assert set(done.stdout.split()) & SLOW == set()
