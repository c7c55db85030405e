"""Several labels of a sample: tables and arrays of yes and no, or of numbers; what is said of each label."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from sklearn import metrics as sk

from netc import cli_results, compiler
from netc.report.making import make
from netc.report.results import store, stored
from netc.runtime.evaluation import Evaluation, evaluate
from netc.runtime.labels import LabelResult
from netc.runtime.results import evaluated
from netc.runtime.rows import predict_rows
from netc.runtime.script import load_network
from netc.tables import evaluation_text, label_lines
from tests.data.tables import program, script, write

if TYPE_CHECKING:
    from types import ModuleType

TAGS = 'train = CSV("t.csv", target=["red", "green", "blue"])\n  test = 0.4'
NUMBERS = TAGS.replace('"red", "green", "blue"', '"u", "v"').replace('"t.csv"', '"n.csv"')


@pytest.fixture(autouse=True)
def _rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(120, 3, generator=generator)
    tags = torch.stack([rows[:, 0] > 0, rows[:, 1] > rows[:, 2], rows[:, 2] > 0.8], 1).int()
    pairs = zip(rows.tolist(), tags.tolist(), strict=True)
    write("t.csv", "a,b,c,red,green,blue", *(",".join(map(str, [*x, *y])) for x, y in pairs))
    pairs = zip(rows.tolist(), (rows @ torch.randn(3, 2, generator=generator)).tolist(), strict=True)
    write("n.csv", "a,b,c,u,v", *(",".join(map(str, [*x, *y])) for x, y in pairs))


def trained(data: str, outputs: int, loss: str, more: str = "") -> tuple[ModuleType, Evaluation, Path]:
    module = script(program(data, 3, outputs, loss, more))
    module.main(["--device", "cpu"])
    run = Path("runs/net/001")
    return module, evaluate(module, run / "best.pt", "cpu"), run


def outputs_of(module: ModuleType, run: Path, whole: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """What the network gives for the test rows, or for all, and the labels of the test rows."""
    state = torch.load(run / "best.pt", weights_only=True)
    encoding = module.Encoding()
    encoding.load_state_dict(state["encoding"])
    network = module.build_model(torch.device("cpu"))
    network.load_state_dict(state["model"])
    rows, labels = module.load_data(encoding)["test"]
    if whole:
        rows = module.finish(module.encode(module.read_table(Path("t.csv")), encoding), encoding)
    return module.predict(network, rows).numpy(), labels.numpy()


@pytest.mark.parametrize("loss", ["BCEWithLogitsLoss", "MultiLabelSoftMarginLoss"])
def test_each_label_is_told_as_scikit_learn_does(loss: str) -> None:
    module, result, run = trained(TAGS, 3, loss, "metrics = [f1, accuracy]")
    logits, truth = outputs_of(module, run)
    assert [x.name for x in result.labels] == ["red", "green", "blue"]
    for i, label in enumerate(result.labels):
        called, there = logits[:, i] > 0, truth[:, i]
        assert label.samples == there.sum()
        expected = {
            "accuracy": (called == there).mean(), "precision": sk.precision_score(there, called, zero_division=np.nan),
            "recall": sk.recall_score(there, called), "f1": sk.f1_score(there, called),
            "auroc": sk.roc_auc_score(there, logits[:, i]),
        }  # fmt: skip
        found = {n: float("nan") if v is None else v for n, v in label.measures.items()}
        assert found == pytest.approx(expected, nan_ok=True)
    assert result.metrics["accuracy"] == pytest.approx(np.mean([x.measures["accuracy"] for x in result.labels]))
    assert not result.classes
    assert not result.points


def test_each_number_is_told_as_scikit_learn_does() -> None:
    module, result, run = trained(NUMBERS, 2, "MSELoss", "metrics = [r2]")
    told, truth = outputs_of(module, run)
    assert [x.name for x in result.labels] == ["u", "v"]
    for i, label in enumerate(result.labels):
        assert label.samples is None
        assert label.measures["mae"] == pytest.approx(sk.mean_absolute_error(truth[:, i], told[:, i]))
        assert label.measures["r2"] == pytest.approx(sk.r2_score(truth[:, i], told[:, i]), rel=1e-5)
    assert result.metrics["r2"] == pytest.approx(np.mean([x.measures["r2"] for x in result.labels]))


def test_one_label_has_no_table() -> None:
    _, result, _ = trained(NUMBERS.replace('["u", "v"]', '"u", features=["a", "b", "c"]'), 1, "MSELoss")
    assert result.labels == ()


def test_the_table_fits_a_terminal_and_shows_the_worst_of_many() -> None:
    labels = tuple(LabelResult(f"l{i}", i, {"accuracy": 0.9, "precision": None, "recall": 0.5, "f1": i / 100,
                                           "auroc": 0.25}) for i in range(60))  # fmt: skip
    lines = label_lines(labels, "images")
    assert lines[1].split() == ["label", "accuracy", "precision", "recall", "f1", "auroc", "images"]
    assert [line.split()[0] for line in lines[2:12]] == [f"l{i}" for i in range(10)]
    assert lines[12:] == ["the 10 with the lowest f1, of 60 labels"]
    assert lines[2].split() == ["l0", "90.0%", "-", "50.0%", "0.0000", "0.2500", "0"]
    assert max(map(len, lines)) <= 80
    assert len(label_lines(labels[:40], "images")) == 42
    assert label_lines((), "images") == []


def test_eval_prints_and_the_report_shows_each_label() -> None:
    module, result, run = trained(TAGS, 3, "BCEWithLogitsLoss", "metrics = [f1]")
    text = evaluation_text(result, "best.pt")
    assert "\nlabel  accuracy  precision  recall      f1   auroc  samples\nred  " in text
    Path("net.net").write_text(program(TAGS, 3, 3, "BCEWithLogitsLoss", "metrics = [f1]"))
    said = CliRunner().invoke(cli_results.evaluate, ["net.net", "--device", "cpu", "--json"])
    assert [x["name"] for x in json.loads(said.output)["labels"]] == ["red", "green", "blue"]
    store(evaluated(module, run, "cpu"), run)
    kept = stored(run)
    assert kept is not None
    assert [(x.name, x.samples, dict(x.measures)) for x in kept.labels] == [tuple(x) for x in result.labels]
    page = make(run, None, None).read_text(encoding="utf-8")
    assert 'scope="row">blue' in page or ">blue<" in page
    assert "AUROC" in page


@pytest.mark.parametrize("loss", ["BCEWithLogitsLoss", "BCELoss"])
def test_rows_are_predicted_by_probabilities(loss: str) -> None:
    text = program(TAGS, 3, 3, loss).replace("fc2: Linear(3)", "fc2: Linear(3)" + " -> Sigmoid" * (loss == "BCELoss"))
    module = script(text)
    module.main(["--device", "cpu"])
    run = Path("runs/net/001")
    outputs, _ = outputs_of(module, run, whole=True)
    expected = outputs if loss == "BCELoss" else 1 / (1 + np.exp(-outputs))
    found = predict_rows(module, run / "best.pt", ["t.csv"], "cpu")
    assert [list(row.values) for row in found[:1]] == [["red", "green", "blue"]]
    assert np.allclose([list(row.values.values()) for row in found], expected, atol=1e-6)


def test_other_numbers_than_probabilities_are_named() -> None:
    write("t.csv", "a,b,c,red,green,blue", "1,2,3,0,1,0", "1,2,4,1,0,0", "1,2,5,0.5,0,2")
    module = script(program(TAGS, 3, 3, "BCEWithLogitsLoss"))
    with pytest.raises(SystemExit) as end:
        module.load_data(module.Encoding())
    assert str(end.value.code) == "error: t.csv, line 4: blue is 2, and the loss compares 0 and 1"
    np.savez("t.npz", x=np.zeros((4, 3), np.float32), label=np.array([[0, 1]] * 3 + [[0, -1]]))
    module = script(program('train = Arrays("t.npz")', 3, 2, "BCEWithLogitsLoss"))
    with pytest.raises(SystemExit) as end:
        module.load_data()
    assert str(end.value.code) == "error: 'label' of t.npz is -1 at [3, 1], and the loss compares 0 and 1"
    assert script(program('train = Arrays("t.npz")', 3, 2, "MSELoss")).load_data()["train"][1].min() == -1


PICTURES = """train = Arrays("p.npz", inputs="x", labels="y", image_size=(1, 8, 8))
  validation = 0.25
  transform = ToTensor
  augment = RandomHorizontalFlip"""


def pictures(labels: np.ndarray, outputs: int, loss: str, more: str = "") -> tuple[str, ModuleType]:
    """A program on pictures whose label is their brightness, in some way."""
    np.savez("p.npz", x=bright(), y=labels)
    text = program(PICTURES, "input image: [N, 1, 8, 8]\n  Flatten", outputs, loss, more)
    return text, script(text)


def bright() -> np.ndarray:
    generator = np.random.default_rng(0)
    return (generator.integers(0, 256, (64, 1, 1, 1)) * np.ones((1, 1, 8, 8))).astype(np.uint8)


def test_pictures_have_several_labels() -> None:
    value = bright()[:, 0, 0, 0]
    tags = np.stack([value > 127, value < 60, value > 200], 1)
    text, module = pictures(tags, 3, "BCEWithLogitsLoss", "metrics = [f1, accuracy]")
    data = module.load_data()
    parts = module.split(torch.zeros(64, 3))
    assert torch.equal(data["validation"][1], torch.tensor(tags).float()[parts["validation"]])
    assert torch.equal(data["train"][0], torch.tensor(bright())[parts["train"]])
    module.main(["--device", "cpu"])
    run = Path("runs/net/001")
    result = evaluate(module, run / "best.pt", "cpu")
    assert [(x.name, x.samples) for x in result.labels] == [
        (str(i), int(data["validation"][1][:, i].sum())) for i in range(3)
    ]
    assert "classes" not in torch.load(run / "best.pt", weights_only=True)
    Path("net.net").write_text(text)
    Image.fromarray(np.full((8, 8), 250, np.uint8)).save("white.png")
    said = CliRunner().invoke(cli_results.predict, ["net.net", "white.png", "--device", "cpu", "--json"])
    (found,) = json.loads(said.output)
    network, _ = load_network(module, run / "best.pt", "cpu")
    expected = network(torch.full((1, 1, 8, 8), 250 / 255)).sigmoid()[0].tolist()
    assert [x["name"] for x in found["labels"]] == ["0", "1", "2"]
    assert [x["probability"] for x in found["labels"]] == pytest.approx(expected, abs=1e-6)


def test_pictures_have_numbers() -> None:
    value = bright()[:, 0, 0, 0] / 100
    text, module = pictures(value, 1, "MSELoss", "metrics = [mae]")
    assert module.load_data()["train"][1].shape == (48, 1)
    module.main(["--device", "cpu"])
    Path("net.net").write_text(text)
    Image.fromarray(np.full((8, 8), 100, np.uint8)).save("grey.png")
    said = CliRunner().invoke(cli_results.predict, ["net.net", "grey.png", "--device", "cpu"])
    network, _ = load_network(module, Path("runs/net/001/best.pt"), "cpu")
    expected = network(torch.full((1, 1, 8, 8), 100 / 255)).item()
    assert said.output.split()[:2] == ["grey.png", "0"]
    assert float(said.output.split()[2]) == pytest.approx(expected, abs=1e-4)


def test_labels_of_pictures_fit_the_network() -> None:
    _, module = pictures(np.zeros((64, 2), np.int64), 3, "BCEWithLogitsLoss")
    with pytest.raises(SystemExit) as end:
        module.load_data()
    assert str(end.value.code) == "error: 'y' of p.npz is [64, 2], the network gives [N, 3]"
    _, module = pictures(np.zeros(63), 1, "MSELoss")
    with pytest.raises(SystemExit) as end:
        module.load_data()
    assert str(end.value.code) == "error: 'x' of p.npz has 64 images for 63 labels"


@pytest.mark.parametrize("setting", ['split = "stratified"', "balance = True"])
def test_classes_are_needed_for_shares_of_them(setting: str) -> None:
    text = program(f"{PICTURES}\n  {setting}", "input image: [N, 1, 8, 8]\n  Flatten", 1, "MSELoss")
    assert [d.code for d in compiler.analyse(text, "net.net", "net").diagnostics] == ["E0543"]
