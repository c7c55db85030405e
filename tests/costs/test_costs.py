"""`netc summary --parallel` against what processes of gloo hold and send, and its text."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from netc import cli, cli_summary, ir
from netc.api import execute
from netc.compiler import analyse, emit
from netc.costs.activations import activations
from netc.costs.sharing import Costs, Way, costs
from netc.files import imported
from netc.render import render
from netc.shapes import evaluate
from tests.catalog.saving import Hooks
from tests.docs.blocks import ROOT, blocks

MODELS = ROOT / "models"
PAGE = ROOT / "docs" / "distributed_memory.md"
assert cli_summary.summary.name in cli.cli.commands
BATCH = 8
PROCESSES = (1, 2, 4)
TRAIN = """
data {{
  train = FakeData(size=64, image_size=(3, {size}, {size}), num_classes=10)
  transform = ToTensor
  batch_size = 8
}}
train {{ loss = CrossEntropyLoss; optimizer = {optimizer}; epochs = 1; network = Small }}
"""


def checked(text: str, path: Path) -> ir.Program:
    found = analyse(text, str(path), path.stem, None, imported)
    assert found.program is not None, "\n\n".join(render(d, found.source) for d in found.diagnostics)
    return found.program


@cache
def residual() -> ir.Program:
    """ResNet-18 of the library at pictures of 64 by 64."""
    path = MODELS / "resnet.net"
    text = path.read_text(encoding="utf-8").replace("[N, 3, 224, 224]", "[N, 3, 64, 64]")
    text += "\nnetwork Small = ResNet(BasicBlock, [2, 2, 2, 2], classes=10)\n"
    return checked(text + TRAIN.format(size=64, optimizer="SGD(lr=0.1, momentum=0.9)"), path)


@cache
def attending() -> ir.Program:
    """A small Vision Transformer of the library."""
    path = MODELS / "vit.net"
    text = (
        path.read_text(encoding="utf-8")
        + "\nnetwork Small = VisionTransformer(8, 4, 4, 64, 256, size=32, classes=10)\n"
    )
    return checked(text + TRAIN.format(size=32, optimizer="AdamW(lr=0.001)"), path)


CASES: dict[str, tuple[Any, int, str, str, dict[str, float]]] = {
    "resnet": (residual, 64, "BasicBlock", "SGD", {"lr": 0.1, "momentum": 0.9}),
    "vit": (attending, 32, "EncoderBlock", "AdamW", {"lr": 0.001}),
}
WAYS = [(name, kind, n) for name in CASES for kind in ("ddp", "fsdp") for n in PROCESSES]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str, int], list[dict[str, int]]]:
    """What the ranks measure, each way; in a network namespace of its own, where one can be had."""
    folder = tmp_path_factory.mktemp("measured")
    tasks = []
    for name, kind, nproc in WAYS:
        program, size, unit, optimizer, settings = CASES[name]
        model = folder / f"{name}.py"
        model.write_text(emit(program()).model, encoding="utf-8")
        share = BATCH // nproc
        tasks.append({"model": str(model), "network": "Small", "units": [unit], "parallel": kind, "nproc": nproc,
                      "optimizer": optimizer, "settings": settings, "input": [share, 3, size, size], "classes": 10,
                      "label": [share], "tokens": False})  # fmt: skip
    (folder / "tasks.json").write_text(json.dumps(tasks), encoding="utf-8")
    script = shlex.join([sys.executable, str(Path(__file__).with_name("measured.py")), str(folder / "tasks.json")])
    own = subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode == 0
    command = ["unshare", "-rn", "sh", "-c", f"ip link set lo up && exec {script}"] if own else ["sh", "-c", script]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=500)
    assert run.returncode == 0, run.stderr
    return dict(zip(WAYS, json.loads(run.stdout), strict=True))


def said(name: str, kind: str, nproc: int) -> Costs:
    program = CASES[name][0]()
    return costs(program.trained, program.train, Way(kind, nproc, "gloo", BATCH, {}))


@pytest.mark.parametrize(("name", "kind", "nproc"), WAYS)
def test_memory_is_as_measured(name: str, kind: str, nproc: int, measured: Any) -> None:
    """Of the first rank, which has most; the catalog isn't asked for the ten per cent that are allowed."""
    found, each = measured[name, kind, nproc][0], said(name, kind, nproc)
    assert each.unknown == ()
    for part in ("parameters", "buffers", "gradients", "optimizer", "activations"):
        assert getattr(each, part) == pytest.approx(found[part], rel=0.005), part
        others = [rank[part] for rank in measured[name, kind, nproc]]
        assert max(others) == found[part], part


@pytest.mark.parametrize(("name", "kind", "nproc"), WAYS)
def test_traffic_is_as_counted(name: str, kind: str, nproc: int, measured: Any) -> None:
    """The counters have the headers of the packets, too: one to three parts in a hundred here."""
    counted = max(rank["sent"] for rank in measured[name, kind, nproc])
    told = sum(count for _, count in said(name, kind, nproc).sent)
    assert told <= counted + 1
    assert told == pytest.approx(counted, rel=0.04, abs=64)


def test_what_is_shared_out_gets_smaller() -> None:
    alone, each = said("vit", "fsdp", 1), said("vit", "fsdp", 4)
    for part in ("parameters", "gradients", "optimizer", "activations"):
        assert 0.2 * getattr(alone, part) < getattr(each, part) < 0.35 * getattr(alone, part), part
    assert alone.gathered == 0 < each.gathered


def test_nccl_scatters_where_gloo_adds_up_for_all() -> None:
    program = residual()
    by = {b: costs(program.trained, program.train, Way("fsdp", 4, b, BATCH, {})) for b in ("nccl", "gloo")}  # type: ignore[arg-type]
    sums = {b: sum(n for _, n in c.sent) for b, c in by.items()}
    assert sums["gloo"] * 3 == sums["nccl"] * 4


# --- activations of whole networks ------------------------------------------------------------------------------------

NETWORKS = {
    "lenet": ("LeNet5", {"N": 3}), "mlp": ("MLP", {"N": 3}), "siamese": ("Siamese", {"N": 3}), "vae": ("VAE", {"N": 3}),
    "rnn": ("LSTMClassifier", {"N": 3, "T": 9}), "seq2seq": ("Seq2Seq", {"N": 2, "S": 7, "T": 9}),
    "mobilenet_v3": ("MobileNetV3Small", {"N": 1}), "shufflenet_v2": ("ShuffleNetV2X0_5", {"N": 1}),
    "squeezenet": ("SqueezeNet1_1", {"N": 1}), "swin": ("SwinT", {"N": 1}), "lraspp": ("", {"N": 2, "H": 32, "W": 32}),
}  # fmt: skip


@pytest.mark.parametrize("file", NETWORKS)
def test_activations_of_the_library(file: str) -> None:
    """The forward pass alone, in training: shared modules, views, growing channels, windows and recurrences."""
    name, sizes = NETWORKS[file]
    path = MODELS / f"{file}.net"
    program = checked(path.read_text(encoding="utf-8"), path)
    network = next(n for n in program.networks if n.name == name or not name)
    torch.manual_seed(0)
    module = getattr(execute(emit(program).model, file), network.name)().train()
    inputs = []
    for one in network.inputs:
        shape = [evaluate(d, sizes) for d in one.type.shape]
        whole = "int" in one.type.dtype
        inputs.append(torch.zeros(shape, dtype=torch.int64) if whole else torch.randn(shape))
    with Hooks([*module.parameters(), *module.buffers()]) as hooks:
        module(*inputs)
    found = activations(network, None, sizes)
    assert found.unknown == ()
    assert found.bytes == pytest.approx(hooks.bytes, rel=0.01)


def test_frozen_layers_keep_nothing() -> None:
    path = ROOT / "examples" / "lenet.net"
    text = path.read_text(encoding="utf-8")
    program = checked(text.replace("train {", 'train {\n  freeze    = ["conv*"]'), path)
    assert program.trained is not None
    module = execute(emit(program).model, "lenet").LeNet().train()
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(not name.startswith("conv"))
    x, y = torch.randn(4, *[int(str(d)) for d in program.trained.inputs[0].type.shape[1:]]), torch.zeros(4).long()
    with Hooks([*module.parameters(), *module.buffers()]) as hooks:
        torch.nn.functional.cross_entropy(module(x), y)
    assert activations(program.trained, program.train, {"N": 4}).bytes == pytest.approx(hooks.bytes, abs=16)


# --- the command ------------------------------------------------------------------------------------------------------


def shown(*words: str) -> str:
    result = CliRunner().invoke(cli.cli, ["summary", *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


GPT = ("models/gpt.net", "--network", "GPT2", "--batch-size", "512", "--size", "T=1024", "--nproc", "64")


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_the_table_fits_a_terminal(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    text = shown(*GPT, "--parallel", kind)
    assert max(map(len, text.splitlines())) <= 80
    assert "activations" in text
    assert ("gathered" in text) == (kind == "fsdp")
    long = shown(
        "models/densenet.net", "--network", "DenseNet201", "--batch-size", "9", "--nproc", "4", "--parallel", kind
    )
    assert max(map(len, long.splitlines())) <= 80
    assert "a batch of 9, at most 3 samples a process" in long


def test_a_network_without_units_is_one_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is repeated, so that all weights are gathered together."""
    monkeypatch.chdir(ROOT)
    (found,) = json.loads(shown("examples/lenet.net", "--parallel", "fsdp", "--nproc", "2", "--json"))
    assert found["memory"]["gathered"] == 3 * 4 * 61_728


def test_json_has_what_the_table_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (found,) = json.loads(shown(*GPT, "--parallel", "fsdp", "--json"))
    assert found["samples"] == 8
    assert found["memory"]["together"] == sum(v for k, v in found["memory"].items() if k != "together")
    assert set(found["sent"]) == {
        "weights, gathered for the forward pass", "weights, gathered for the backward pass",
        "gradients, added up and shared out",
    }  # fmt: skip
    (plain,) = json.loads(shown("examples/lenet.net", "--json"))
    assert plain["parameters"] == 61_728
    assert sum(row["parameters"] for row in plain["rows"]) == 61_728


@pytest.mark.parametrize(
    ("words", "message", "help_"),
    [
        (["--parallel", "fsdp"], "how many processes", "--nproc"),
        (["--nproc", "4"], "no data with a batch size", "--batch-size"),
        (["--nproc", "4", "--batch-size", "8"], "`T` is open", "--size T=128"),
        (["--nproc", "4", "--batch-size", "8", "--size", "Q=3", "--size", "T=8"], "no open size `Q`", "`T`"),
        (["--nproc", "64", "--batch-size", "8", "--size", "T=8"], "no sample for each of 64", "--batch-size 64"),
    ],
)
def test_what_is_missing_is_asked_for(
    words: list[str], message: str, help_: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    assert cli.run(["summary", "models/gpt.net", "--network", "GPT2", *words]) == 1
    said_ = capsys.readouterr().err
    assert message in said_
    assert help_ in said_


def test_what_no_fact_tells_of_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer of the user's own keeps what only a run tells."""
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(
        "from torch import Tensor, nn\n\n\nclass Twice(nn.Module):\n"
        "    def forward(self, x: Tensor) -> Tensor:\n        return x * 2\n"
    )
    Path("net.net").write_text('use "own.py"\nnetwork Net {\n  input x: [N, 8]\n  a: Linear(4)\n  b: Twice\n}\n')
    text = shown("net.net", "--nproc", "2", "--batch-size", "4")
    assert "activations are more than that: not counted is what `Twice` keeps" in text
    (found,) = json.loads(shown("net.net", "--nproc", "2", "--batch-size", "4", "--json"))
    assert found["not_counted"] == ["Twice"]


# --- the page ---------------------------------------------------------------------------------------------------------


EXAMPLES = [b for b in blocks(PAGE) if b.language == "sh" and "netc summary" in b.text and b.following is not None]


@pytest.mark.parametrize("block", EXAMPLES, ids=str)
def test_the_tables_of_the_page_are_what_netc_says(block: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for other in blocks(PAGE):
        if other.language == "net" and "name" in other.marks:
            Path(other.marks["name"]).write_text(other.text, encoding="utf-8")
    assert shown(*shlex.split(block.text)[2:]) == block.following


def test_the_page_has_tables() -> None:
    assert len(EXAMPLES) >= 2
