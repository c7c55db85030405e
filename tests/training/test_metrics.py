"""The metrics of the script against scikit-learn's, and where they stand in a run."""

from __future__ import annotations

import csv
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from sklearn import metrics as sk

from netc.backends.training_metrics import functions
from netc.catalog.metrics import METRICS, is_better_high, metric_of, numbers
from tests.training.made import NETWORK, checked, files, program, script

if TYPE_CHECKING:
    from pathlib import Path

CLASSES = ("accuracy", "top2", "precision", "recall", "f1", "precision_micro", "recall_micro", "f1_micro",
           "precision_weighted", "recall_weighted", "f1_weighted", "auroc")  # fmt: skip
BINARY = tuple(c for c in CLASSES if c != "top2")
NUMBERS = ("mae", "mse", "rmse", "r2")


def table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    return list(csv.DictReader(path.read_text().splitlines()))


def made(columns: tuple[str, ...], task: str, threshold: float = 0.0) -> dict[str, Any]:
    """The functions of the metrics."""
    names: dict[str, Any] = {"torch": torch, "Tensor": torch.Tensor, "math": math}
    for text in functions(columns, task, threshold, log_probabilities=False):
        exec(compile(text, "<metrics>", "exec"), names)
    return names


def classes(seed: int, present: int, count: int = 57) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores with ties, and labels of which not all classes have one."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, 6, generator=generator).mul(3).round().div(2)
    return logits, torch.randint(present, (count,), generator=generator)


def expected(column: str, truth: Any, scores: Any, called: Any) -> float:
    base, _, mean = column.partition("_")
    mean = mean or ("macro" if scores.ndim == 2 and scores.shape[1] > 1 else "binary")
    if column == "accuracy":
        return float((truth == called).mean())
    function = {"precision": sk.precision_score, "recall": sk.recall_score, "f1": sk.f1_score}[base]
    return float(function(truth, called, average=mean, zero_division=0))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("present", [6, 4])
def test_metrics_of_classes(seed: int, present: int) -> None:
    logits, labels = classes(seed, present)
    names = made(CLASSES, "classes")
    scores, truth, called = logits.numpy(), labels.numpy(), logits.argmax(1).numpy()
    for column in CLASSES:
        if column == "top2":
            top = logits.topk(2).indices.tolist()
            assert names["top_accuracy"](logits, labels, 2) == sum(y in t for y, t in zip(truth, top, strict=True)) / 57
        elif column == "auroc":
            ranks = logits.log_softmax(1)
            areas = [sk.roc_auc_score(truth == i, ranks[:, i]) for i in range(6) if 0 < (truth == i).sum() < 57]
            assert names["auroc"](logits, labels) == pytest.approx(np.mean(areas), abs=1e-12)
        else:
            assert names[column](logits, labels) == pytest.approx(expected(column, truth, scores, called), abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("shape", [(43,), (43, 1), (43, 3)])
def test_metrics_of_yes_and_no(seed: int, shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(shape, generator=generator).mul(2).round().sub(0.5)
    labels = torch.randint(2, shape, generator=generator).float()
    names = made(BINARY, "binary")
    truth, called = labels.numpy().reshape(43, -1), (logits > 0).float().numpy().reshape(43, -1)
    scores = logits.numpy().reshape(43, -1)
    if truth.shape[1] == 1:
        truth, called = truth[:, 0], called[:, 0]
    for column in BINARY:
        found = names[column](logits, labels)
        if column == "auroc":
            assert found == pytest.approx(sk.roc_auc_score(truth, scores), abs=1e-12)
        elif column.endswith(("micro", "weighted")) and truth.ndim == 1:
            base = column.partition("_")[0]
            assert found == pytest.approx(expected(base, truth, scores, called), abs=1e-12)
        else:
            assert found == pytest.approx(expected(column, truth, scores, called), abs=1e-12)


@pytest.mark.parametrize("shape", [(50,), (50, 1), (50, 3)])
def test_metrics_of_numbers(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(3)
    targets = torch.randn(shape, generator=generator) * 5 + 2
    outputs = targets + torch.randn(shape, generator=generator)
    names = made(NUMBERS, "numbers")
    if len(shape) == 2 and shape[1] == 3:
        targets[:, 0] = 4  # of no variance
    truth, told = targets.numpy(), outputs.numpy()
    wanted = {
        "mae": sk.mean_absolute_error(truth, told), "mse": sk.mean_squared_error(truth, told),
        "rmse": math.sqrt(sk.mean_squared_error(truth, told)), "r2": sk.r2_score(truth, told),
    }  # fmt: skip
    for column in NUMBERS:
        assert names[column](outputs, targets) == pytest.approx(wanted[column], rel=1e-5)


def test_areas_without_pairs_are_no_numbers() -> None:
    names = made(("auroc",), "classes")
    assert math.isnan(names["auroc"](torch.randn(4, 3), torch.zeros(4, dtype=torch.int64)))


def test_the_table_of_metrics() -> None:
    assert {metric_of(c).name for c in (*CLASSES, *NUMBERS)} == METRICS.keys() - {"confusion_matrix"}
    assert [c for c in (*NUMBERS, "loss", "f1_micro", "top5") if is_better_high(c)] == ["r2", "f1_micro", "top5"]
    assert numbers(("f1", "confusion_matrix")) == ("f1",)


def test_a_run_with_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = program('metrics = [f1(average="micro"), topk(3), auroc, confusion_matrix, accuracy]\nepochs = 3')
    module = script(text)
    module.main(["--device", "cpu"])
    run = tmp_path / "runs" / "case" / "001"
    rows = table(run / "metrics.csv")
    columns = ["loss", "f1_micro", "top3", "auroc", "accuracy"]
    assert [c for c in rows[0] if c.startswith("validation_")] == [f"validation_{c}" for c in columns]
    assert all(row["validation_f1_micro"] == row["validation_accuracy"] for row in rows)
    best = max(rows, key=lambda r: (float(r["validation_f1_micro"]), -float(r["validation_loss"])))
    assert f"best.pt is of epoch {best['epoch']}" in capsys.readouterr().out
    matrix = table(run / "confusion_matrix.csv")
    names = [str(i) for i in range(10)]
    assert [row["true class"] for row in matrix] == names
    assert sum(int(row[name]) for row in matrix for name in names) == 23
    right = sum(int(row[row["true class"]]) for row in matrix)
    assert right / 23 == pytest.approx(float(best["validation_accuracy"]))


def test_netc_eval_tells_the_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from netc.runtime.evaluation import evaluate
    from netc.tables import evaluation_text

    monkeypatch.chdir(tmp_path)
    module = script(program("metrics = [f1, auroc]\nepochs = 1"))
    module.main(["--device", "cpu"])
    run = tmp_path / "runs" / "case" / "001"
    row = table(run / "metrics.csv")[0]
    result = evaluate(module, run / "best.pt", "cpu")
    assert {f"validation_{n}": str(v) for n, v in result.metrics.items()}.items() <= row.items()
    text = evaluation_text(result, "best.pt")
    assert f"auroc     {result.metrics['auroc']:.4f}" in text
    assert "true class down" in text


def test_a_metric_that_falls_chooses_the_least() -> None:
    network = NETWORK.replace("fc: Linear(10)", "fc: Linear(64) -> unflatten(1, [1, 8, 8])")
    text = files(program("loss = MSELoss(output, image)\nmetrics = [mae, r2]", network)).train or ""
    assert 'key=lambda r: (r["validation_mae"], r["validation_loss"])' in text
    assert "best = min(" in text
    module = script(program("loss = MSELoss(output, image)\nmetrics = [mae, mse]", network))
    model = module.build_model(torch.device("cpu"))
    images, labels = module.load_data()["validation"]
    scores = module.evaluate(model, images, labels)
    with torch.no_grad():
        x = module.preprocess(images)
        assert scores["mae"] == pytest.approx((model(x) - x).abs().mean().item(), rel=1e-5)
    assert scores["mse"] == pytest.approx(scores["loss"], rel=1e-5)


def test_scripts_are_clean(tmp_path: Path) -> None:
    import subprocess
    import sys

    (tmp_path / "model.py").write_text("")
    listed = ["accuracy, f1, f1(average=\"weighted\"), precision, recall, topk(5), auroc, confusion_matrix", "auroc",
              "recall(average=\"micro\"), confusion_matrix"]  # fmt: skip
    for i, metrics in enumerate(listed):
        text = files(program(f"metrics = [{metrics}]")).train or ""
        (tmp_path / f"train{i}.py").write_text(text)
    for check in (["check", "--select=E,F,I,UP,B"], ["format", "--diff"]):
        command = [sys.executable, "-m", "ruff", *check, "--isolated", "--no-cache", "--line-length=88", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("train", "code"),
    [
        ("metrics = [mse]", "E0610"),
        ("metrics = [topk(10)]", "E0308"),
        ("metrics = [topk]", "E0308"),
        ('metrics = [f1(average="all")]', "E0308"),
        ("metrics = [accuracy(3)]", "E0302"),
        ("metrics = [auc]", "E0603"),
        ("metrics = accuracy", "E0602"),
        ("metrics = [confusion_matrix]", ""),
        ("loss = CrossEntropyLoss(output, label) + 0.1 * mean(abs(output))\nmetrics = [f1]", ""),
        ("loss = mean(abs(output))\nmetrics = [f1]", "E0610"),
        ("loss = BCELoss(sigmoid(output), sigmoid(output))\nmetrics = [f1]", "E0610"),
    ],
)
def test_what_is_refused(train: str, code: str) -> None:
    assert [d.code for d in checked(program(train)).diagnostics] == ([code] if code else [])
