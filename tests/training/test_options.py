"""Settings of `train` that make steps and keep states: what they do to a run, and that every mixture is clean code."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from netc import ir
from netc.compiler import analyse, emit
from tests.training.programs import NOWHERE, call
from tests.training.scripts import Project, lenet_project

PROGRAM = """
network Net(classes = 10) {{
  input image: [N, 1, 8, 8]
  conv1: Conv2d(6, 3) -> ReLU
  conv2: Conv2d(8, 3) -> ReLU
  Flatten
  fc: Linear(classes)
}}
data {{
  train = Digits()
  {validation}
  {test}
  transform = ToTensor
  {augment}
  {order}
  batch_size = 64
}}
train {{
  loss = CrossEntropyLoss
  {options}
}}
"""
# Each setting with the lines that it may have; the first is to leave it out.
LINES: dict[str, list[str]] = {
    "validation": ["", "validation = 0.1"],
    "test": ["", "test = Digits()"],
    "augment": ["", "augment = RandomCrop(8, padding=1)"],
    "length": ["epochs = 3", "steps = 40"],
    "optimizer": ["optimizer = SGD(lr=0.05)", 'optimizer = AdamW { "*.bias" { weight_decay = 0 } }'],
    "schedule": [
        "",
        "schedule = CosineAnnealingLR",
        "schedule = OneCycleLR(max_lr=0.1)",
        "schedule = ReduceLROnPlateau",
    ],
    "metrics": ["", "metrics = [accuracy]", "metrics = [f1, topk(3), auroc]"],
    "accumulate": ["", "accumulate = 3"],
    "clip": ["", "clip_grad_norm = 1", "clip_grad_value = 0.5"],
    "precision": ["", 'precision = "tf32"', 'precision = "bf16"', 'precision = "fp16"'],
    "compile": ["", "compile = True"],
    "ema": ["", "ema = 0.99"],
    "early_stop": ["", "early_stop = 2", 'early_stop = EarlyStopping(2, monitor="train_loss", min_delta=0.01)'],
    "checkpoint": [
        "",
        "checkpoint = Checkpoint(every_epochs=1)",
        "checkpoint = Checkpoint(every_epochs=2, keep=3)",
        'checkpoint = Checkpoint(monitor="train_loss", every_steps=10)',
    ],
    "init_from": ["", 'init_from = "weights.pt"', 'init_from = "weights.safetensors"'],
    "deterministic": ["", "deterministic = True"],
    "freeze": ["", 'freeze = ["conv1.*"]', 'freeze = ["conv1.*"]; unfreeze = 2'],
    "log_every": ["", "log_every = 10"],
    "tensorboard": ["", "tensorboard = True", "tensorboard = [scalars, images, graph]"],
    "order": ["", "balance = True", "sampler = RandomSampler(replacement=True, num_samples=100)"],
}


def mixtures() -> list[dict[str, str]]:
    """Choices in which any two lines of different settings stand together somewhere."""
    chance = random.Random(0)
    missing = {
        ((a, x), (b, y)) for (a, xs), (b, ys) in itertools.combinations(LINES.items(), 2) for x in xs for y in ys
    }  # fmt: skip
    found = []
    while missing:
        tries: list[tuple[int, int, dict[str, str], set[Any]]] = []
        for _ in range(60):
            choice = {name: chance.choice(lines) for name, lines in LINES.items()}
            covered = missing & set(itertools.combinations(choice.items(), 2))
            tries.append((len(covered), len(tries), choice, covered))
        _, _, choice, covered = max(tries, key=lambda t: t[:2])
        missing -= covered
        found.append(choice)
    return found


def script(choice: dict[str, str]) -> str:
    own = {name: choice[name] for name in ("validation", "test", "augment", "order")}
    options = "\n  ".join(line for name, line in choice.items() if line and name not in own)
    checked = analyse(PROGRAM.format(options=options, **own), "net.net", "net")
    assert checked.program is not None, [d.message for d in checked.diagnostics]
    text = emit(checked.program).train
    assert text is not None
    return text


def test_every_mixture_is_clean(tmp_path: Path) -> None:
    chosen = mixtures()
    assert len(chosen) > 15
    for i, choice in enumerate(chosen):
        folder = tmp_path / str(i)
        folder.mkdir()
        (folder / "train.py").write_text(script(choice), encoding="utf-8")
        (folder / "model.py").write_text("", encoding="utf-8")
    common = ["--isolated", "--no-cache", "--line-length=88", "--target-version=py311"]
    for command in (["check", *common, "--select=E,F,I,UP,B"], ["format", *common, "--diff"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "."], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout


MIXTURES = [m for m in mixtures() if "fp16" not in m["precision"]]  # which no CPU is given


@pytest.mark.parametrize("i", range(len(MIXTURES)))
def test_every_mixture_trains_and_goes_on(i: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch, "compile", lambda model: model)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    torch.set_num_threads(1)
    own = {name: MIXTURES[i][name] for name in ("validation", "test", "augment", "order")}
    options = "\n  ".join(line for name, line in MIXTURES[i].items() if line and name not in own)
    checked = analyse(PROGRAM.format(options=options, **own), "net.net", "net")
    assert checked.program is not None
    files = emit(checked.program)
    assert files.train is not None
    project = Project(tmp_path / "build", files.train, files.model, checked.program.data)  # type: ignore[arg-type]
    tensors = {"fc.bias": torch.zeros(10)}
    torch.save(tensors, "weights.pt")
    Path("weights.safetensors").write_bytes(as_safetensors(tensors))
    before = torch.get_float32_matmul_precision()
    try:
        project.module().main(["--device", "cpu", "--run-dir", "run"])
        whole = state(tmp_path / "run")
        project.module().main(["--device", "cpu", "--resume", "run"])
    finally:
        torch.use_deterministic_algorithms(False)
        torch.set_float32_matmul_precision(before)
    assert whole["history"], "it trained"
    assert len(state(tmp_path / "run")["history"]) == len(whole["history"]), "a run that is over isn't longer"


# --- what they do -----------------------------------------------------------------------------------------------------


def trained(folder: Path, epochs: int = 2, *, resume: bool = False, **options: Any) -> dict[str, Any]:
    """The last checkpoint of a run with these options, made in this process."""
    project = prepared(folder, epochs, **options)
    go(project, folder, resume=resume)
    return state(folder / "run")


def prepared(folder: Path, epochs: int = 2, **options: Any) -> Project:
    named = {k: options.pop(k) for k in list(options) if k in ir.Train._fields + ir.Data._fields}
    return lenet_project(folder / "build", epochs, options=ir.Options(**options), **named)


def go(project: Project, folder: Path, resume: bool = False) -> None:
    torch.set_num_threads(1)
    project.module().main(["--device", "cpu", "--resume" if resume else "--run-dir", str(folder / "run")])


def state(run: Path, name: str = "last.pt") -> dict[str, Any]:
    found: dict[str, Any] = torch.load(run / name, weights_only=True)
    return found


PLAIN: dict[str, Any] = {"augment": (), "schedule": None}
NO_DROPOUT = "self.drop = nn.Identity()"


def test_accumulated_batches_are_one_large_batch(tmp_path: Path) -> None:
    results = []
    for i, (size, parts) in enumerate([(96, 1), (32, 3)]):
        project = prepared(tmp_path / str(i), 1, batch_size=size, accumulate=parts, **PLAIN)
        project.model = project.model.replace("self.drop = nn.Dropout(0.1)", NO_DROPOUT)
        assert NO_DROPOUT in project.model
        (project.folder / "model.py").write_text(project.model)
        go(project, tmp_path / str(i))
        results.append(state(tmp_path / str(i) / "run")["model"])
    for name, value in results[0].items():
        assert torch.allclose(value, results[1][name], atol=1e-6), name


def test_gradients_are_clipped(tmp_path: Path) -> None:
    start = trained(tmp_path / "a", steps=1, **PLAIN)["model"]
    tiny: Any = 1e-6
    for i, option in enumerate(("clip_grad_norm", "clip_grad_value")):
        once = trained(tmp_path / str(i), steps=1, **PLAIN, **{option: tiny})["model"]
        fresh = prepared(tmp_path / f"fresh{i}").module()
        torch.manual_seed(0)
        first = fresh.build_model(torch.device("cpu")).state_dict()
        moved = max(float((once[n] - first[n]).abs().max()) for n in first)
        assert moved <= 0.05 * tiny * 1.01 + 1e-7
        assert max(float((start[n] - first[n]).abs().max()) for n in first) > 1e-4


def test_the_average_of_the_weights(tmp_path: Path) -> None:
    one, two = (trained(tmp_path / str(n), steps=n, ema=0.75, **PLAIN) for n in (1, 2))
    for name, value in one["model"].items():
        expected = 0.75 * value + 0.25 * two["model"][name]
        assert torch.allclose(two["ema"][f"module.{name}"], expected, atol=1e-7), name


def test_what_is_evaluated_is_the_average(tmp_path: Path) -> None:
    from netc.runtime.evaluation import evaluate

    project = prepared(tmp_path, 3, ema=0.9)
    go(project, tmp_path)
    last = state(tmp_path / "run")
    found = evaluate(project.module(), tmp_path / "run" / "last.pt", "cpu", "validation")
    assert found.loss == pytest.approx(last["history"][-1]["validation_loss"])


def test_steps_end_the_run(tmp_path: Path) -> None:
    last = trained(tmp_path, steps=30, schedule=call("scheduler", "CosineAnnealingLR", T_max=30))
    assert last["scheduler"]["last_epoch"] == 30
    assert [row["epoch"] for row in last["history"]] == [1, 2], "21 batches in an epoch, and 9 in the second"


def test_it_stops_early(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options: dict[str, Any] = {"early_stop": ir.EarlyStop(2, "train_loss", 100.0, NOWHERE), **PLAIN}
    last = trained(tmp_path, 9, **options)
    assert len(last["history"]) == 3, "the first is the best, and two wait"
    assert "no better train loss for 2 epochs" in capsys.readouterr().out
    again = trained(tmp_path, 9, resume=True, **options)
    assert len(again["history"]) == 3, "a run that has stopped doesn't go on"


def test_checkpoints_are_kept(tmp_path: Path) -> None:
    trained(tmp_path, 5, checkpoint=ir.Checkpoints("train_loss", 1, 2, None, NOWHERE))
    names = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert names == ["best.pt", "epoch0004.pt", "epoch0005.pt", "last.pt", "metrics.csv"]
    assert state(tmp_path / "run", "epoch0004.pt")["epoch"] == 4
    losses = [row["train_loss"] for row in state(tmp_path / "run")["history"]]
    assert state(tmp_path / "run", "best.pt")["epoch"] == losses.index(min(losses)) + 1


def test_frozen_layers_learn_later(tmp_path: Path) -> None:
    run = tmp_path / "run"
    trained(
        tmp_path, 3, freeze=(("conv1.*", NOWHERE),), unfreeze=3, checkpoint=ir.Checkpoints(None, 1, None, None, NOWHERE)
    )
    first, second, third = (state(run, f"epoch000{i}.pt")["model"]["conv1.weight"] for i in (1, 2, 3))
    assert torch.equal(first, second)
    assert not torch.equal(second, third)


def test_the_loss_is_told_every_so_many_steps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained(tmp_path, 2, log_every=10)
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("step")]
    assert [line[1] for line in lines] == ["10", "20", "30", "40"]
    assert all(0.1 < float(line[-1]) < 3 for line in lines)


def test_a_run_that_computes_alike_every_time(tmp_path: Path) -> None:
    try:
        trained(tmp_path, 1, deterministic=True)
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize(
    ("precision", "capable", "refused"),
    [
        ("bf16", {"avx512_bf16": True}, ""),
        ("bf16", {}, "this CPU has no bfloat16"),
        ("fp16", {}, "slower with float16"),
    ],
)
def test_a_precision_that_is_slower_is_refused(
    tmp_path: Path, precision: str, capable: dict[str, bool], refused: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capable)
    if refused:
        with pytest.raises(SystemExit, match=refused):
            trained(tmp_path, 1, precision=precision)
        assert not (tmp_path / "run").exists(), "it is refused before anything is written"
    else:
        losses = [row["train_loss"] for row in trained(tmp_path, 3, precision=precision)["history"]]
        assert losses[-1] < losses[0]


def test_compiled_networks_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []

    def compile_(model: torch.nn.Module) -> torch.nn.Module:
        compiled.append(model)
        return model

    monkeypatch.setattr(torch, "compile", compile_)
    trained(tmp_path, 1, compile=True)
    assert len(compiled) == 1


# --- weights of another network ---------------------------------------------------------------------------------------


def as_safetensors(tensors: dict[str, torch.Tensor]) -> bytes:
    """The format's own words: the header's size, the header in JSON, the data."""
    header, data = {}, b""
    for name, value in tensors.items():
        content = value.contiguous().numpy().tobytes()
        kind = {torch.float32: "F32", torch.int64: "I64"}[value.dtype]
        header[name] = {
            "dtype": kind,
            "shape": list(value.shape),
            "data_offsets": [len(data), len(data) + len(content)],
        }
        data += content
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    return len(text).to_bytes(8, "little") + text + data


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
def test_a_warm_start(tmp_path: Path, suffix: str, prefix: str, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(5)
    weights = {"conv1.weight": torch.rand(6, 1, 5, 5), "fc2.weight": torch.rand(7, 7), "other": torch.zeros(())}
    given = {prefix + name: value for name, value in weights.items()}
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pt":
        torch.save({"model": given, "epoch": 3}, path)
    else:
        path.write_bytes(as_safetensors(given))
    frozen = (("conv1.*", NOWHERE),)
    last = trained(tmp_path, 1, init_from=str(path), freeze=frozen)
    assert torch.equal(last["model"]["conv1.weight"], weights["conv1.weight"])
    out = capsys.readouterr().out
    assert "1 of the network's 8 tensors are from" in out
    assert "of another shape there: fc2.weight\n" in out
    assert "not there: conv1.bias, conv2.weight" in out
    assert "there, and not in the network: other\n" in out


@pytest.mark.parametrize(
    ("suffix", "content", "said"),
    [
        (".pt", None, "cannot be read: No such file"),
        (".pt", b"nonsense", "is damaged"),
        (".safetensors", b"\x08\0\0\0\0\0\0\0nonsense", "is damaged, or no safetensors file"),
        (".safetensors", b"\xff\xff\xff\xff\xff\xff\xff\xff", "is damaged"),
        (".safetensors", as_safetensors({"x": torch.zeros(2)})[:-3], "is damaged"),
        (".safetensors", as_safetensors({"x": torch.zeros(2)}), "nothing in .* has the name"),
    ],
)
def test_weights_that_cannot_be_taken(tmp_path: Path, suffix: str, content: bytes | None, said: str) -> None:
    path = tmp_path / f"weights{suffix}"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SystemExit, match=said):
        trained(tmp_path, 1, init_from=str(path))


def test_a_run_goes_on_with_other_threads_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = prepared(tmp_path, 2)
    go(project, tmp_path)
    last = state(tmp_path / "run")
    torch.save({**last, "threads": 64}, tmp_path / "run" / "last.pt")
    go(project, tmp_path, resume=True)
    assert "the run began with 64 threads" in capsys.readouterr().err
