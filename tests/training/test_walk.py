"""Every loss, optimizer and scheduler of the installed torch takes a real step in a generated script, or is refused."""

from __future__ import annotations

import inspect
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

from netc import catalog
from netc.catalog import loss_facts
from tests.training.made import NETWORK, checked, program, script

if TYPE_CHECKING:
    pass

REFUSED = dict(re.findall(r"^\| (\w+) \| (E\d{4}) \|", (Path(__file__).parent / "refused.md").read_text(), re.M))
ROWS, WIDTH = 12, 4
ARRAYS = """data {{
  train      = Arrays("data.npz", inputs=[{inputs}], labels="{labels}")
  batch_size = 6
}}
"""
# A network, its inputs in the file of arrays, and the label.
FLAT = "network Net {\n  input x: [N, 4]\n  fc: Linear(4)\n}\n"
LOGS = FLAT.replace("Linear(4)", "Linear(4) -> log_softmax(1)")
SHARES = FLAT.replace("Linear(4)", "Linear(4) -> Sigmoid")
TWO = """network Net {
  input x: [N, 4]
  output first = x -> a: Linear(4)
  output second = x -> b: Linear(4) -> Softplus
}
"""
THREE = TWO.replace("Softplus\n", "Softplus\n  output third = x -> c: Linear(4)\n")
WITH_SIGN = TWO.replace("input x: [N, 4]\n", "input x: [N, 4]\n  input sign: [N]\n")
WITH_CLASSES = FLAT.replace("input x: [N, 4]\n", "input x: [N, 4]\n  input truth: [N, 4] int64\n").replace(
    "fc:", "x -> fc:"
)
SPEECH = """network Net {
  input x: [N, 6, 4]
  input truth: [N, 3] int64
  input frames: [N] int64
  input letters: [N] int64
  x -> fc: Linear(5) -> log_softmax(2)
}
"""
LOSSES: dict[str, tuple[str, str, str, str]] = {
    **dict.fromkeys(("L1Loss", "MSELoss", "SmoothL1Loss", "HuberLoss", "PoissonNLLLoss"), (FLAT, "{}", "x", "numbers")),
    **dict.fromkeys(("BCEWithLogitsLoss", "MultiLabelSoftMarginLoss"), (FLAT, "{}", "x", "bits")),
    **dict.fromkeys(("SoftMarginLoss", "HingeEmbeddingLoss"), (FLAT, "{}", "x", "signs")),
    **dict.fromkeys(("CrossEntropyLoss", "MultiMarginLoss"), (FLAT, "{}", "x", "classes")),
    "NLLLoss": (LOGS, "{}", "x", "classes"),
    "KLDivLoss": (LOGS, "{}", "x", "shares"),
    "BCELoss": (SHARES, "{}", "x", "bits"),
    "GaussianNLLLoss": (TWO, "{}(first, label, second)", "x", "numbers"),
    "MarginRankingLoss": (TWO, "{}(first, second, label)", "x", "signs"),
    "CosineEmbeddingLoss": (WITH_SIGN, "{}(first, second, sign)", "x,sign", "numbers"),
    "TripletMarginLoss": (THREE, "{}(first, second, third)", "x", "numbers"),
    "TripletMarginWithDistanceLoss": (THREE, "{}(first, second, third)", "x", "numbers"),
    "MultiLabelMarginLoss": (WITH_CLASSES, "{}(output, truth)", "x,truth", "numbers"),
    "CTCLoss": (SPEECH, "{}(permute(output, 1, 0, 2), truth, frames, letters)", "x3,letters3,frames,count", "speech"),
}  # fmt: skip


@pytest.fixture
def arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with all kinds of arrays, where scripts run."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    shape = (ROWS, WIDTH)
    numbers = rng.random(shape, dtype=np.float32) + 0.1
    bits = (rng.random(shape) < 0.5).astype(np.float32)
    np.savez(
        "data.npz", x=rng.standard_normal(shape, dtype=np.float32), numbers=numbers, bits=bits, signs=bits * 2 - 1,
        shares=numbers / numbers.sum(1, keepdims=True), classes=rng.integers(0, WIDTH, ROWS),
        sign=bits[:, 0] * 2 - 1, truth=np.tile([1, 3, -1, -1], (ROWS, 1)),
        x3=rng.standard_normal((ROWS, 6, 4), dtype=np.float32), letters3=rng.integers(1, 5, (ROWS, 3)),
        frames=np.full(ROWS, 6), count=np.full(ROWS, 3), speech=rng.random((ROWS, 6, 5), dtype=np.float32),
    )  # fmt: skip


def trained(text: str) -> tuple[Any, float]:
    """Train with a script for its epochs: how much the weights moved, and the last loss."""
    module = script(text)
    torch.manual_seed(module.SEED)
    before = module.build_model(torch.device("cpu")).state_dict()
    module.main(["--device", "cpu"])
    state = torch.load("runs/case/001/last.pt", weights_only=True)
    moved = max((state["model"][name] - value).abs().max().item() for name, value in before.items())
    return moved, state["history"][-1]["train_loss"]


def loss_program(name: str, arguments: str = "") -> str:
    network, loss, inputs, label = LOSSES[name]
    loss = loss if name != "KLDivLoss" else '{}(reduction="batchmean")'
    data = ARRAYS.format(inputs=", ".join(f'"{i}"' for i in inputs.split(",")), labels=label)
    return program(f"loss = {loss.format(name)}{arguments}\nepochs = 1", network, data)


def test_the_walk_is_complete() -> None:
    names = [n for n in dir(nn) if n.endswith("Loss") and inspect.isclass(getattr(nn, n))]
    assert {*LOSSES, *REFUSED} >= {*names} - {"NLLLoss2d"}
    assert {n for n in catalog.losses() if n in loss_facts.REFUSED} == {n for n, c in REFUSED.items() if c == "E0631"}
    optimizers = {n for n, c in vars(torch.optim).items() if inspect.isclass(c) and n != "Optimizer"}
    assert set(catalog.optimizers()) == optimizers


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_losses_take_a_step(arrays: None, name: str) -> None:
    moved, loss = trained(loss_program(name))
    assert moved > 0
    assert math.isfinite(loss)


@pytest.mark.parametrize("name", sorted(n for n, c in REFUSED.items() if c == "E0631"))
def test_losses_that_are_refused(name: str) -> None:
    text = program(f"loss = {name}(64, 10{', [4]' if name.startswith('Adaptive') else ''})")
    assert [d.code for d in checked(text).diagnostics] == [REFUSED[name]]


BAGS = """network Net {
  input words: [N, 4] int64
  table: EmbeddingBag(8, 4, sparse=True)
}
"""


@pytest.mark.parametrize("name", catalog.optimizers())
def test_optimizers_take_a_step(arrays: None, name: str) -> None:
    network, data = FLAT, ARRAYS.format(inputs='"x"', labels="classes")
    if name == "Muon":
        network = network.replace("Linear(4)", "Linear(4, bias=False)")
    elif name == "SparseAdam":
        network, data = BAGS, ARRAYS.format(inputs='"words"', labels="classes")
        stored = dict(np.load("data.npz"))
        np.savez("data.npz", **stored, words=np.arange(48).reshape(12, 4) % 8)
    moved, loss = trained(program(f"optimizer = {name}(lr=0.1)\nepochs = 1", network, data))
    assert moved > 0
    assert math.isfinite(loss)


@pytest.mark.parametrize(
    ("train", "network", "code"),
    [
        ("optimizer = Muon(lr=0.1)", NETWORK, "E0632"),
        ("optimizer = SparseAdam(lr=0.1)", NETWORK, "E0632"),
        ("optimizer = Adam(lr=0.1)", BAGS, "E0632"),
        ("optimizer = SGD(lr=0.1)", BAGS, ""),
        ("optimizer = LBFGS(lr=0.1)\naccumulate = 2", NETWORK, "E0633"),
        ('optimizer = LBFGS(lr=0.1) { "fc.bias" { lr = 0.2 } }', NETWORK, "E0633"),
        ('optimizer = LBFGS(line_search_fn="wolfe")', NETWORK, "E0620"),
        ("optimizer = SparseAdam(lr=0)", BAGS, "E0620"),
        ('optimizer = SGD(lr=0.1)', NETWORK, ""),
    ],
)  # fmt: skip
def test_optimizers_that_do_not_fit(train: str, network: str, code: str) -> None:
    data = ARRAYS.format(inputs='"words"', labels="classes")
    text = program(train, network, data) if network == BAGS else program(train, network)
    assert [d.code for d in checked(text).diagnostics if d.code != "W0822"] == ([code] if code else [])


FORMULA = "warm(epoch) = min(1, (epoch + 1) / 3)\n"
SCHEDULERS = {
    "StepLR": "StepLR(1)", "MultiStepLR": "MultiStepLR([1])", "ExponentialLR": "ExponentialLR(0.9)",
    "ConstantLR": "ConstantLR(total_iters=1)", "LinearLR": "LinearLR(total_iters=2)",
    "PolynomialLR": "PolynomialLR(total_iters=3)", "CosineAnnealingLR": "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts": "CosineAnnealingWarmRestarts(2)",
    "ReduceLROnPlateau": "ReduceLROnPlateau(patience=0)",
    "OneCycleLR": "OneCycleLR(max_lr=0.2)", "CyclicLR": "CyclicLR(0.05, 0.2, step_size_up=2)",
    "LambdaLR": "LambdaLR(warm)", "MultiplicativeLR": "MultiplicativeLR(lr_lambda=warm)",
    "SequentialLR": "SequentialLR([LinearLR(start_factor=0.5, total_iters=1), CosineAnnealingLR])",
    "ChainedScheduler": "ChainedScheduler([ConstantLR(total_iters=1), ExponentialLR(0.5)])",
}  # fmt: skip


@pytest.mark.parametrize("name", catalog.schedulers())
def test_schedulers_take_a_step(arrays: None, name: str) -> None:
    text = FORMULA + program(f"optimizer = SGD(lr=0.1, momentum=0.9)\nepochs = 3\nschedule = {SCHEDULERS[name]}")
    moved, loss = trained(text)
    assert moved > 0
    assert math.isfinite(loss)
    state = torch.load("runs/case/001/last.pt", weights_only=True)
    rates = {row["lr"] for row in state["history"]} | {state["optimizer"]["param_groups"][0]["lr"]}
    assert len(rates) > 1 or name == "ReduceLROnPlateau"


def test_the_walk_has_all_schedulers() -> None:
    found = {n for n, c in vars(torch.optim.lr_scheduler).items()
             if inspect.isclass(c) and issubclass(c, torch.optim.lr_scheduler.LRScheduler)}  # fmt: skip
    assert found - {"LRScheduler", "_LRScheduler"} == {*SCHEDULERS} == {*catalog.schedulers()}


def final(text: str, stop: bool, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The last checkpoint of a run; with `stop` of one that ended in its second epoch and went on."""
    module = script(text)
    if stop:
        write_table = module.write_table

        def stopping(path: Path, rows: list[dict[str, float]]) -> None:
            write_table(path, rows)
            if len(rows) == 2:
                raise KeyboardInterrupt

        monkeypatch.setitem(module.__dict__, "write_table", stopping)
        with pytest.raises(SystemExit):
            module.main(["--device", "cpu"])
        module = script(text)
    module.main(["--device", "cpu", *(["--resume"] if stop else [])])
    newest = max(Path("runs/case").iterdir())
    state: dict[str, Any] = torch.load(newest / "last.pt", weights_only=True)
    return state


RESUMED = [f"schedule = {s}\noptimizer = SGD(lr=0.1, momentum=0.9)" for s in SCHEDULERS.values()] + [
    f"optimizer = {name}(lr=0.1)" for name in catalog.optimizers() if name not in ("Muon", "SparseAdam")
]  # fmt: skip


@pytest.mark.parametrize("train", RESUMED)
def test_a_run_goes_on_exactly(arrays: None, train: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = FORMULA + program(f"epochs = 4\n{train}")
    whole, resumed = (final(text, stop, monkeypatch) for stop in (False, True))
    for name, value in whole["model"].items():
        assert torch.equal(value, resumed["model"][name])
    assert [{k: v for k, v in row.items() if k != "seconds"} for row in whole["history"]] == [
        {k: v for k, v in row.items() if k != "seconds"} for row in resumed["history"]
    ]


ODD_FORMULAS = "f(x) = x * 0.5 + 0.1\ng(x, y) = x\nk(e) = min(1, (e + 1) / 3) if e < 5 else round(0.5 ** e, 4)\n"
ODD = (
    "loss = -CrossEntropyLoss",
    "loss = CrossEntropyLoss * 0 + mean(output)",
    "loss = MSELoss(output, zeros(output.shape[0], 10))",
    'loss = mean(CrossEntropyLoss(output, label, reduction="none"))',
    "loss = (CrossEntropyLoss)",
    "loss = CrossEntropyLoss + 0.1 * mean(square(output))",
    "loss = CrossEntropyLoss(output, label)**2",
    "loss = mean(f(output))",
    "loss = mean(arange(10) * output)",
    "loss = 0.5 * (CrossEntropyLoss + MSELoss(output, output))",
    "loss = mean(cat([output, output], 1))",
    "loss = GaussianNLLLoss(output, output, exp(output))",
    "loss = MSELoss(softmax(output, 1), one_hot(label, 10) * 1.0)",
    "schedule = SequentialLR([SequentialLR([LinearLR(total_iters=1), StepLR(1)]), StepLR(1)], milestones=[2])",
    "schedule = CyclicLR(0.1, 0.2, 2, scale_fn=f)",
    "schedule = ChainedScheduler([LambdaLR(f), ChainedScheduler([StepLR(1)])])",
    "schedule = SequentialLR([CosineAnnealingLR])",
    "schedule = LambdaLR(k)",
    "metrics = [topk(k=3), f1, f1]",
)
REFUSED_ODD = (
    "loss = CrossEntropyLoss(output, label)[0]",
    'loss = "x" + 1',
    "loss = sum([1, 2])",
    "loss = output.shape[0] + 1",
    "loss = mean(zeros(3))",
    "loss = mean(image)",
    "loss = mean(dropout(output))",
    "loss = CrossEntropyLoss(CrossEntropyLoss, label)",
    "loss = Linear(3) + 1",
    "loss = 1 + 2",
    "loss = TripletMarginWithDistanceLoss(output, output, output, distance_function=f)",
    "loss = cross_entropy(output, label, 3)",
    "loss = CTCLoss",
    "schedule = SequentialLR([f, f])",
    "schedule = LambdaLR([f, f])",
    "schedule = LambdaLR(g)",
    "schedule = StepLR(1) + 1",
    "schedule = SequentialLR([LinearLR(total_iters=1), StepLR(1)], [1], 3)",
    "metrics = [[f1]]",
    "metrics = [topk(True)]",
    "metrics = accuracy -> f1",
)


@pytest.mark.parametrize("line", ODD)
def test_odd_programs_train(arrays: None, line: str) -> None:
    text = ODD_FORMULAS + program(f"optimizer = SGD(lr=0.01, momentum=0.9)\nepochs = 3\n{line}")
    moved, loss = trained(text)
    assert moved > 0
    assert math.isfinite(loss)


@pytest.mark.parametrize("line", REFUSED_ODD)
def test_odd_programs_are_refused(line: str) -> None:
    found = checked(ODD_FORMULAS + program(line))
    assert found.program is None
    assert [d for d in found.diagnostics if d.code.startswith("E")]
