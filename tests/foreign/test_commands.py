"""Programs with Python layers through the commands: built, trained, gone on with, evaluated and exported."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest
import torch

import netc
from netc import cli
from tests.foreign.conftest import LAYERS

PROGRAM = """\
use "layers.py"

network Net(classes = 10) {
  input image: [N, 1, 8, 8]
  conv: Conv2d(16, 3, padding=1) -> norm: BatchNorm2d -> ReLU -> swap(2, 3)
  flatten(2) -> mean(2) -> scale: Scale(16, start=0.5) -> fc: Linear(classes)
}
data { train = Digits(); validation = 0.1; transform = Resize(8) -> ToTensor; batch_size = 64 }
train { loss = CrossEntropyLoss; optimizer = Adam(lr=0.03); epochs = 6; metrics = [accuracy] }
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("python")
    (folder / "layers.py").write_text(LAYERS)
    (folder / "net.net").write_text(PROGRAM)
    said = run(folder, "train", "net.net", "--device", "cpu")
    assert "best.pt is of epoch" in said
    return folder


def run(folder: Path, *arguments: str) -> str:
    """A command in a folder, in this process; what it printed."""
    import contextlib
    import io

    before, out = Path.cwd(), io.StringIO()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            code = cli.run(list(arguments))
    finally:
        os.chdir(before)
    assert code == 0, out.getvalue()
    return out.getvalue()


def test_training_learns_and_keeps_the_file(trained: Path) -> None:
    folder = trained / "runs/net/001"
    assert (folder / "layers.py").read_text() == LAYERS
    rows = (folder / "metrics.csv").read_text().splitlines()
    losses = [float(row.split(",")[1]) for row in rows[1:]]
    assert losses[-1] < 0.7 * losses[0]
    assert "layers" not in sys.modules


def test_eval_and_predict_use_the_layers(trained: Path) -> None:
    assert "accuracy" in run(trained, "eval", "net.net")


def test_a_run_goes_on_with_its_own_copy(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "copy")
    (tmp_path / "copy/layers.py").write_text(LAYERS + "\n# another line\n")
    said = run(tmp_path / "copy", "train", "net.net", "--resume", "--device", "cpu")
    assert "a Python file of net.net has changed since" in said
    assert "has changed since" not in run(trained, "train", "net.net", "--resume", "--device", "cpu")


def test_onnx_computes_the_same(trained: Path, tmp_path: Path) -> None:
    run(trained, "export", "--onnx", "net.net", "-o", str(tmp_path / "net.onnx"))
    session = onnxruntime.InferenceSession(str(tmp_path / "net.onnx"), providers=["CPUExecutionProvider"])
    net = netc.load(trained / "net.net").eval()
    net.load_state_dict(torch.load(trained / "runs/net/001/best.pt", weights_only=True)["model"])
    image = torch.rand(3, 1, 8, 8)
    (found,) = session.run(None, {"image": image.numpy()})
    torch.testing.assert_close(torch.from_numpy(found), net(image).detach(), atol=1e-5, rtol=1e-4)


def test_the_folder_of_a_build_stands_alone(trained: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        said = run(trained, "build", "net.net", "--out", str(tmp_path / name))
        assert f"copied {tmp_path / name / 'layers.py'}" in said
    assert all((tmp_path / "one" / n).read_bytes() == (tmp_path / "two" / n).read_bytes()
               for n in ("model.py", "train.py", "layers.py"))  # fmt: skip
    code = (
        "import sys, torch\nfrom model import Net\nprint(Net()(torch.ones(2, 1, 8, 8)).shape)\n"
        "assert not any(n.startswith('netc') for n in sys.modules)"
    )
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "one", env=environment, capture_output=True, text=True, timeout=100
    )
    assert done.stdout == "torch.Size([2, 10])\n", done.stderr


def test_the_summary_shows_the_layers(trained: Path) -> None:
    said = run(trained, "summary", "net.net", "--params")
    assert re.search(r"^scale +Scale +\[N, 16\] +32", said, re.M)
    assert "scale.weight" in said
    assert "buffer, int64" in said


def test_two_programs_may_each_have_a_file_of_one_name(tmp_path: Path) -> None:
    for name, number in (("a", 2), ("b", 3)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "parts.py").write_text(f"def times(x):\n    return {number} * x\n")
        (tmp_path / name / "net.net").write_text('use "parts.py"\nnetwork Net { input x: [N, 4]; times(_) }')
    nets = [netc.load(tmp_path / name / "net.net") for name in ("a", "b")]
    assert [net(torch.ones(1, 4))[0, 0].item() for net in nets] == [2.0, 3.0]


def test_nothing_of_it_is_loaded_for_other_programs(tmp_path: Path) -> None:
    (tmp_path / "net.net").write_text("network Net { input x: [N, 4]; fc: Linear(3) }")
    code = (
        "import sys\nfrom netc.cli import run\nrun(['check', 'net.net', '-q'])\n"
        "print([n for n in sys.modules if n.startswith('netc.foreign') or n in ('torch', 'netc.checker.edits', "
        "'netc.checker.python_files', 'netc.checker.python_layers')])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "error", "said"),
    [
        ("torch", 'ImportError("libcudart.so.12: cannot open")', "`import torch` fails: libcudart.so.12"),
        ("torchvision", 'RuntimeError("operator torchvision::nms does not exist")', "are different builds"),
    ],
)
def test_a_broken_torch_is_told(tmp_path: Path, module: str, error: str, said: str) -> None:
    (tmp_path / "broken" / module).mkdir(parents=True)
    (tmp_path / "broken" / module / "__init__.py").write_text(f"raise {error}\n")
    (tmp_path / "net.net").write_text(
        "network Net {\n  input image: [N, 3, 32, 32]\n  b: torchvision.models.resnet18()\n}\n"
    )
    code = "import sys\nfrom netc.cli import run\nsys.exit(run(['check', 'net.net']))"
    path = os.pathsep.join([str(tmp_path / "broken"), str(Path(netc.__file__).parents[1])])
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}, capture_output=True,
        text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
