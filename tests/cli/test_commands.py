"""The commands as users type them, in a folder with nothing but a program."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.cli.test_mistakes import PROGRAM, netc
from tests.forked import Started


def weights(path: Path) -> str:
    """A digest of all tensors of a checkpoint's model."""
    state = torch.load(path, weights_only=True)["model"]
    return hashlib.sha256(b"".join(value.numpy().tobytes() for value in state.values())).hexdigest()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("user")
    (folder / "net.net").write_text(PROGRAM)
    netc("build", cwd=folder)
    netc("train", "--device", "cpu", cwd=folder)
    return folder


def test_build_writes_what_the_run_ran(folder: Path) -> None:
    for name in ("model.py", "train.py"):
        assert (folder / "build" / "net" / name).read_bytes() == (folder / "runs" / "net" / "001" / name).read_bytes()
    assert (folder / "runs" / "net" / "001" / "net.net").read_text() == PROGRAM


def test_script_and_command_end_with_the_same_weights(folder: Path) -> None:
    script = folder / "build" / "net" / "train.py"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), "--device", "cpu", "--run-dir", "alone"]
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    assert weights(folder / "alone" / "last.pt") == weights(folder / "runs" / "net" / "001" / "last.pt")


def test_generated_files_do_not_need_netc(folder: Path) -> None:
    for name in ("model.py", "train.py"):
        lines = (folder / "build" / "net" / name).read_text().splitlines()
        assert all(line.lstrip().startswith("#") for line in lines if "netc" in line), name


def test_verbose_names_every_file(folder: Path) -> None:
    said = netc("build", "--out", "elsewhere", "-v", cwd=folder).stderr
    assert "elsewhere/digits/train-images-idx3-ubyte.gz" in said
    assert netc("build", "--out", "elsewhere", "-q", cwd=folder).stdout == ""


def test_eval(folder: Path) -> None:
    result = json.loads(netc("eval", "--json", cwd=folder).stdout)
    assert result["part"] == "validation"
    assert sum(map(sum, result["confusion"])) == result["images"] == 144
    text = netc("eval", cwd=folder).stdout
    assert "true class down, predicted class across" in text
    assert max(map(len, text.splitlines())) <= 80


def test_export_and_its_metadata(folder: Path) -> None:
    import onnx

    said = netc("export", "--onnx", cwd=folder).stdout
    assert "greatest difference" in said
    model = onnx.load(folder / "net.onnx")
    found = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(found["classes"]) == list("0123456789")
    assert json.loads(found["preprocessing"]) == [{"name": "ToTensor"}]
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "N"


def test_predict(folder: Path) -> None:
    from PIL import Image

    Image.new("RGB", (8, 8), (255, 255, 255)).save(folder / "white.png")
    (found,) = json.loads(netc("predict", "white.png", "--json", "--top", "2", cwd=folder).stdout)
    assert found["path"] == "white.png"
    assert len(found["classes"]) == 2
    assert 0 < found["classes"][0]["probability"] <= 1
    assert netc("predict", "net.net", "white.png", cwd=folder).stdout.startswith("white.png\n")


def test_interrupt_saves_and_goes_on_to_the_same_end(tmp_path: Path) -> None:
    """Ctrl-C ends with 130; --resume ends with the weights of the run that was never stopped."""
    slow = PROGRAM.replace("epochs    = 1", "epochs    = 8").replace("batch_size = 256", "batch_size = 4")
    (tmp_path / "net.net").write_text(slow)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    started = Started(["-m", "netc", "train", "--device", "cpu"], tmp_path, environment)
    table = tmp_path / "runs" / "net" / "001" / "metrics.csv"
    for _ in range(6000):
        if table.exists() or started.poll() is not None:
            break
        time.sleep(0.005)
    started.send_signal(signal.SIGINT)
    _, said = started.communicate(timeout=60)
    assert started.returncode == 130, said
    assert "To go on: --resume" in said
    netc("train", "--resume", "--device", "cpu", cwd=tmp_path)
    netc("train", "--device", "cpu", cwd=tmp_path)
    runs = tmp_path / "runs" / "net"
    assert weights(runs / "001" / "last.pt") == weights(runs / "002" / "last.pt")
    rows = [(runs / n / "metrics.csv").read_text().splitlines() for n in ("001", "002")]
    assert len(rows[0]) == len(rows[1]) == 9
    assert len({hashlib.sha256(r.rsplit(",", 1)[0].encode()).digest() for r in rows[0]}) == 9


def test_version_help_and_completion(tmp_path: Path) -> None:
    assert netc("--version").stdout.startswith("netc ")
    for command in ("build", "check", "train", "eval", "predict", "summary", "export", "completion"):
        assert f"netc {command}" in netc(command, "--help").stdout.partition("Options")[0].partition("Example")[2]
    assert "_NETC_COMPLETE" in netc("completion", "bash").stdout
