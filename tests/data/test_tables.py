"""What the script makes of a CSV file, beside scikit-learn; and what is wrong with one, by its line."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import sklearn.datasets
import torch
from sklearn.preprocessing import StandardScaler

from netc.catalog.data_fields import SHIPPED
from tests.data.tables import program, script, write

if TYPE_CHECKING:
    from types import ModuleType

PACKAGE = Path(__file__).parents[2] / "netc"
FLOWERS = ("a,b,kind", "1,10,x", "2,20,y", "3,30,x", "4,40,y", "5,50,x", "6,60,y", "7,70,x", "8,80,y")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def table(
    settings: str = 'target="kind"', inputs: int = 2, outputs: int = 2, more: str = "validation = 0.25"
) -> ModuleType:
    return script(program(f'train = CSV("t.csv", {settings})\n  {more}', inputs, outputs))


def loaded(module: ModuleType) -> tuple[dict[str, Any], Any]:
    encoding = module.Encoding()
    return module.load_data(encoding), encoding


def fails(module: ModuleType) -> str:
    with pytest.raises(SystemExit) as end:
        loaded(module)
    return str(end.value.code)


def test_rows_are_standardised_by_the_training_rows_alone() -> None:
    write("t.csv", *FLOWERS)
    module = table()
    data, encoding = loaded(module)
    whole = torch.tensor([[float(c) for c in row.split(",")[:2]] for row in FLOWERS[1:]], dtype=torch.float64)
    parts = module.split(torch.tensor([0, 1] * 4))
    train = StandardScaler().fit(whole[parts["train"]].numpy())
    for part, index in parts.items():
        expected = torch.tensor(train.transform(whole[index].numpy())).float()
        assert torch.equal(data[part][0], expected)
        assert data[part][0].dtype == torch.float32
    assert np.allclose(encoding.mean, train.mean_)
    assert np.allclose(encoding.std, train.scale_)
    assert encoding.classes == ["x", "y"]
    assert {p: len(x) for p, (x, _) in data.items()} == {"train": 6, "validation": 2}


def test_as_they_are_written() -> None:
    write("t.csv", *FLOWERS)
    data, _ = loaded(table('target="kind", standardize=False', more=""))
    assert data["train"][0].tolist() == [[float(i), 10.0 * i] for i in range(1, 9)]
    assert data["train"][1].tolist() == [0, 1] * 4


def test_chosen_columns_come_in_the_order_of_the_file_that_names_them() -> None:
    write("t.csv", *FLOWERS)
    data, _ = loaded(table('target="kind", features=["b", "a"], standardize=False', more=""))
    assert data["train"][0][0].tolist() == [10.0, 1.0]


def test_a_constant_column_stays_finite() -> None:
    write("t.csv", "a,b,kind", "1,5,x", "2,5,y", "3,5,x", "4,5,y")
    data, encoding = loaded(table(more=""))
    assert encoding.std[1] == 1.0
    assert data["train"][0][:, 1].tolist() == [0.0] * 4


def test_categories_are_one_hot_in_sorted_order() -> None:
    write("t.csv", "city,a,kind", "Ulm,1,x", "Bern,2,y", "Ulm,3,x", "Aix,4,y")
    data, encoding = loaded(table('target="kind", categorical=["city"], standardize=False', 4, more=""))
    assert encoding.names() == ["a", "city=Aix", "city=Bern", "city=Ulm"]
    assert data["train"][0].tolist() == [[1, 0, 0, 1], [2, 0, 1, 0], [3, 0, 0, 1], [4, 1, 0, 0]]


def test_labels_that_are_numbers_are_sorted_as_numbers() -> None:
    write("t.csv", "a,b,kind", *(f"{i},1,{k}" for i, k in enumerate(("10", "2", "1", "10", "2", "1"))))
    data, encoding = loaded(table(outputs=3, more=""))
    assert encoding.classes == ["1", "2", "10"]
    assert data["train"][1].tolist() == [2, 1, 0, 2, 1, 0]


def test_the_file_as_other_programs_write_it() -> None:
    rows = ("\ufeffa; b ;kind", '" 1 ";10;"x;1"', "", '2;"20";"y\nz"', "3;30;x;1".replace(";1", ""), "4;40;y")
    Path("t.csv").write_text("\r\n".join(rows) + "\r\n", encoding="utf-8", newline="")
    module = table('target="kind", delimiter=";", standardize=False', outputs=4, more="")
    data, encoding = loaded(module)
    assert encoding.classes == ["x", "x;1", "y", "y\nz"]
    assert data["train"][0][:2].tolist() == [[1.0, 10.0], [2.0, 20.0]]


@pytest.mark.parametrize("cell", ["", "NA", "nan", "?", " ", "NULL"])
def test_missing_cells(cell: str) -> None:
    write("t.csv", *FLOWERS[:3], f"3,{cell},x", *FLOWERS[4:])
    assert fails(table()) == "error: t.csv, line 4: b is missing"
    data, _ = loaded(table('target="kind", missing="drop", standardize=False', more=""))
    assert data["train"][0][:, 0].tolist() == [1, 2, 4, 5, 6, 7, 8]
    data, encoding = loaded(table('target="kind", missing="mean", standardize=False', more=""))
    mean = (10 + 20 + 40 + 50 + 60 + 70 + 80) / 7
    assert data["train"][0][2].tolist() == [3, pytest.approx(mean)]
    assert encoding.fill == [4.5, pytest.approx(mean)]


def test_the_mean_of_the_training_rows_fills_the_others() -> None:
    write("t.csv", "a,b,kind", *(f"{i},{'' if i > 6 else i},{'xy'[i % 2]}" for i in range(8)))
    module = table('target="kind", missing="mean"', more='validation = 2\n  split = "ordered"')
    data, encoding = loaded(module)
    assert encoding.fill == [2.5, 2.5]
    filled = torch.arange(6, dtype=torch.float64)
    assert encoding.std == [pytest.approx(filled.std(correction=0).item())] * 2
    assert data["validation"][0][1, 1] == 0.0


def test_a_missing_category_has_the_shares_of_all() -> None:
    write("t.csv", "city,a,kind", "Ulm,1,x", "Bern,2,y", ",3,x", "Ulm,4,y", "Ulm,5,x")
    module = table('target="kind", categorical=["city"], missing="mean", standardize=False', 3, more="")
    data, _ = loaded(module)
    assert data["train"][0][2].tolist() == [3.0, 0.25, 0.75]
    data, _ = loaded(table('target="kind", categorical=["city"], missing="drop", standardize=False', 3, more=""))
    assert len(data["train"][0]) == 4


@pytest.mark.parametrize(
    ("rows", "settings", "message"),
    [
        ((), 'target="kind"', "t.csv has no rows below its header"),
        (("a,b,kind",), 'target="kind"', "t.csv has no rows below its header"),
        (FLOWERS, 'target="knid"', "t.csv has no column 'knid'; did you mean 'kind'?"),
        (FLOWERS, 'target="kind", features=["a", "qq"]', "t.csv has no column 'qq'; it has ['a', 'b', 'kind']"),
        ((*FLOWERS, "x9,1,x"), 'target="kind"', "t.csv, line 10: a is 'x9', which is no number"),
        ((*FLOWERS, "inf,1,x"), 'target="kind"', "t.csv, line 10: a is inf, too large a number"),
        ((*FLOWERS, "1,x"), 'target="kind"', "t.csv, line 10: 2 cells, and the header has 3"),
        ((*FLOWERS, "", "1,2,x,y"), 'target="kind"', "t.csv, line 11: 4 cells, and the header has 3"),
        ((*FLOWERS, "1,2,"), 'target="kind"', "t.csv, line 10: kind is missing; the rows to train with have x, y"),
        (("a,a,kind", "1,2,x"), 'target="kind"', "t.csv, line 1: two columns are called 'a'"),
        (("a,b,kind", "1,2,x", "3,4,x"), 'target="kind"', "t.csv: kind has one value only, ['x']"),
        ((*FLOWERS, "1,2,z"), 'target="kind"', "t.csv: kind has 3 classes (x, y, z), the network 2"),
        (("a,b,c,kind", "1,2,3,x", "1,2,3,y"), 'target="kind"',
         "t.csv gives 3 numbers a row, the network takes 2: 'a', 'b', 'c'"),
        (("a,b,kind", ",1,x", ",2,y"), 'target="kind", missing="mean"',
         "a is missing in all of the rows to train with"),
        (("a,b,kind", ",1,x", ",2,y"), 'target="kind", missing="drop"', "t.csv has no row without a missing cell"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_file_and_line(rows: tuple[str, ...], settings: str, message: str) -> None:
    write("t.csv", *rows)
    assert fails(table(settings, more="")) == f"error: {message}"


def test_a_file_that_cannot_be_read() -> None:
    assert fails(table()) == "error: t.csv cannot be read: No such file or directory"
    Path("t.csv").write_bytes(b"a,b,kind\n1,2,\xff\xfe\n")
    assert fails(table()) == "error: t.csv, line 2: the byte 0xff is no UTF-8 text; save the file as UTF-8"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("Rom,1,x", "city is 'Rom'; the rows to train with have Bern, Ulm"),
        ("Ulm,1,z", "kind is 'z'; the rows to train with have x, y"),
        ("Ulm,,x", "a is missing"),
    ],
)
def test_what_the_training_rows_do_not_know_is_an_error_with_its_line(row: str, message: str) -> None:
    write("t.csv", "city,a,kind", "Ulm,1,x", "Bern,2,y", "Ulm,3,x")
    write("test.csv", "city,a,kind", "Ulm,1,x", row)
    module = table('target="kind", categorical=["city"]', 3, more='test = CSV("test.csv", target="kind")')
    assert fails(module) == f"error: test.csv, line 3: {message}"


def test_another_order_of_columns_in_the_test_file() -> None:
    write("t.csv", *FLOWERS)
    write("test.csv", "kind,b,a,further", "y,10,1,0", "x,20,2,0")
    data, _ = loaded(table('target="kind", standardize=False', more='test = CSV("test.csv", target="kind")'))
    assert data["test"][0].tolist() == [[1, 10], [2, 20]]
    assert data["test"][1].tolist() == [1, 0]


def test_a_checkpoint_says_how_rows_are_encoded() -> None:
    write("t.csv", *FLOWERS)
    module = table(more='test = CSV("t2.csv", target="kind")')
    write("t2.csv", *FLOWERS)
    data, encoding = loaded(module)
    state = encoding.state_dict()
    write("t.csv", *(row.replace("1,10", "100,10") for row in FLOWERS))
    again = module.Encoding()
    again.load_state_dict(state)
    assert torch.equal(module.load_data(again)["test"][0], data["test"][0])
    fresh = module.Encoding()
    changed = module.load_data(fresh)
    assert not torch.equal(changed["test"][0], data["test"][0])
    with pytest.raises(ValueError, match="the rows to train with are others now"):
        fresh.load_state_dict(state)


@pytest.mark.parametrize(
    ("name", "loader"),
    [
        ("Iris", "load_iris"),
        ("Wine", "load_wine"),
        ("BreastCancer", "load_breast_cancer"),
        ("Diabetes", "load_diabetes"),
    ],
)
def test_what_ships_is_what_scikit_learn_has(name: str, loader: str) -> None:
    facts = SHIPPED[name]
    with (PACKAGE / facts.file).open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    options = {"scaled": False} if name == "Diabetes" else {}
    official = getattr(sklearn.datasets, loader)(**options)
    assert header[-1] == facts.target
    assert len(header) == facts.features + 1
    assert len(rows) == facts.rows
    assert np.array_equal(np.array([[float(c) for c in row[:-1]] for row in rows]), official.data)
    labels = [row[-1] for row in rows]
    if facts.classes:
        names = official.target_names if name != "Wine" else ["1", "2", "3"]
        assert labels == [names[i] for i in official.target]
        assert sorted(set(labels)) == list(facts.classes)
    else:
        assert [float(label) for label in labels] == official.target.tolist()


@pytest.mark.parametrize("name", ["Iris", "Wine", "BreastCancer"])
def test_shipped_tables_are_read(name: str) -> None:
    facts = SHIPPED[name]
    module = script(program(f"train = {name}()\n  validation = 0.2\n  test = 0.2", facts.features, len(facts.classes)))
    data, encoding = loaded(module)
    assert encoding.classes == list(facts.classes)
    assert sum(len(x) for x, _ in data.values()) == facts.rows
    assert data["train"][0].mean(0).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("target", "network", "shape"),
    [
        ('"b"', "input x: [N, 1]\n  fc1: Linear(4)", (3, 1)),
        ('["b", "c"]', "input x: [N, 1]\n  fc1: Linear(4)", (3, 2)),
    ],
)
def test_numbers_to_predict(target: str, network: str, shape: tuple[int, int]) -> None:
    write("t.csv", "a,b,c", "1,10,5", "2,20,6", "3,30,7")
    sets = f'train = CSV("t.csv", target={target}, features=["a"])'
    module = script(program(sets, network, shape[1], "MSELoss"))
    data, encoding = loaded(module)
    assert data["train"][1].dtype == torch.float32
    assert data["train"][1].tolist() == [[10, 5][: shape[1]], [20, 6][: shape[1]], [30, 7][: shape[1]]]
    assert "classes" not in encoding.state_dict()
    write("t.csv", "a,b,c", "1,10,5", "2,x,6", "3,30,7")
    assert fails(module) == "error: t.csv, line 3: b is 'x', which is no number"
    write("t.csv", "a,b,c", "1,10,5", "2,20,6", "3,,7")
    assert fails(module) == "error: t.csv, line 4: b is missing"


def test_a_missing_number_to_predict_is_not_filled() -> None:
    write("t.csv", "a,b,c", "1,10,5", ",20,6", "3,,7")
    sets = 'train = CSV("t.csv", target="b", features=["a"], missing="{}")'
    module = script(program(sets.format("mean"), 1, 1, "MSELoss"))
    assert fails(module) == "error: t.csv, line 4: b is missing"
    data, _ = loaded(script(program(sets.format("drop"), 1, 1, "MSELoss")))
    assert len(data["train"][0]) == 1


def test_an_output_without_an_axis_for_it_has_labels_without_one() -> None:
    write("t.csv", "a,b", "1,10", "2,20", "3,30")
    text = program('train = CSV("t.csv", target="b")', 1, 1, "MSELoss").replace("Linear(1)", "Linear(1) -> squeeze(1)")
    data, _ = loaded(script(text))
    assert data["train"][1].tolist() == [10.0, 20.0, 30.0]


def trained(name: str, outputs: int, loss: str, more: str = "") -> tuple[Any, Any]:
    """A small network trained on a table that ships, and what it gives for the test rows."""
    sets = f"train = {name}()\n  validation = 0.2\n  test = 0.2"
    text = program(sets, SHIPPED[name].features, outputs, loss, more).replace("epochs    = 2", "epochs    = 40")
    module = script(text)
    module.main(["--device", "cpu", "--run-dir", "run"])
    state = module.load(Path("run/best.pt"))
    encoding = module.Encoding()
    encoding.load_state_dict(state["encoding"])
    rows, labels = module.load_data(encoding)["test"]
    model = module.build_model(torch.device("cpu"))
    model.load_state_dict(state["model"])
    return module.predict(model, rows), labels


@pytest.mark.parametrize(("name", "least"), [("Iris", 0.9), ("Wine", 0.95), ("BreastCancer", 0.93)])
def test_classes_of_real_data_are_learned(name: str, least: float) -> None:
    outputs, labels = trained(name, len(SHIPPED[name].classes), "CrossEntropyLoss", "metrics = [accuracy]")
    assert (outputs.argmax(1) == labels).double().mean() >= least


def test_numbers_of_real_data_are_learned() -> None:
    outputs, labels = trained("Diabetes", 1, "MSELoss")
    trivial = ((labels - labels.mean()) ** 2).mean()
    assert ((outputs - labels) ** 2).mean() < 0.65 * trivial
