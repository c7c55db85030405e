"""Tables that list pictures: classes, several labels and numbers of picture files, and what is wrong with a row."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image

from netc import compiler
from netc.runtime.evaluation import evaluate
from tests.data.tables import program, script, write

if TYPE_CHECKING:
    from types import ModuleType

ROWS = ("one.png,red,1,0,0.5", "two.png,blue,0,1,1.5", "sub/three.png,red,1,1,2.5", "four.png,blue,0,0,3.5")
NETWORK = "input image: [N, 3, 8, 8]\n  Flatten"
KIND = 'CSV("t.csv", image="file", folder="pictures", target="kind")'


@pytest.fixture(autouse=True)
def _pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pictures/sub").mkdir(parents=True)
    for i, row in enumerate(ROWS):
        pixels = np.full((8, 8, 3), 50 * i, np.uint8)
        Image.fromarray(pixels).save(Path("pictures", row.partition(",")[0]))
    write("t.csv", "file,kind,sun,sea,age", *ROWS)


def text(data: str, outputs: int = 2, loss: str = "CrossEntropyLoss", more: str = "") -> str:
    steps = '\n  transform = Resize([8, 8]) -> ToTensor\n  cache = "cache"'
    return program(f"train = {data}{steps}{more}", NETWORK, outputs, loss)


def made(data: str, outputs: int = 2, loss: str = "CrossEntropyLoss", more: str = "") -> ModuleType:
    return script(text(data, outputs, loss, more))


def fails(module: ModuleType) -> str:
    with pytest.raises(SystemExit) as end:
        module.load_data()
    return str(end.value.code)


def codes(text: str) -> list[str]:
    return [d.code for d in compiler.analyse(text, "net.net", "net").diagnostics]


def test_classes_are_the_cells_of_a_column() -> None:
    module = made(KIND)
    pictures, labels = module.load_data()["train"]
    assert module.class_names() == ["blue", "red"]
    assert labels.tolist() == [1, 0, 1, 0]
    values = [int(picture.float().mean()) for picture in pictures.batch(torch.arange(4))]
    assert values == [0, 50, 100, 150]


def test_pictures_lie_beside_the_table_unless_said_otherwise() -> None:
    Path("t.csv").rename("pictures/t.csv")
    module = made('CSV("pictures/t.csv", image="file", target="kind")')
    assert [str(f) for f in module.load_data()["train"][0].files[:2]] == ["pictures/one.png", "pictures/two.png"]


@pytest.mark.parametrize(("loss", "columns"), [("BCEWithLogitsLoss", ("sun", "sea")), ("MSELoss", ("age", "sun"))])
def test_several_columns_are_labels(loss: str, columns: tuple[str, ...]) -> None:
    named = ", ".join(f'"{column}"' for column in columns)
    module = made(KIND.replace('"kind"', f"[{named}]"), 2, loss)
    labels = module.load_data()["train"][1]
    cells = [dict(zip(("file", "kind", "sun", "sea", "age"), row.split(","), strict=True)) for row in ROWS]
    assert labels.tolist() == [[float(row[column]) for column in columns] for row in cells]
    assert labels.dtype == torch.float32


def test_one_number_is_the_shape_of_the_output() -> None:
    assert made(KIND.replace('"kind"', '"age"'), 1, "L1Loss").load_data()["train"][1].tolist() == [
        [0.5], [1.5], [2.5], [3.5]
    ]  # fmt: skip


def test_a_further_table_is_read_alike() -> None:
    write("u.csv", "kind,file", "blue,two.png", "red,one.png")
    module = made(KIND, more='\n  test = CSV("u.csv", folder="pictures", target="kind")')
    pictures, labels = module.load_data()["test"]
    assert labels.tolist() == [0, 1]
    assert [int(p.float().mean()) for p in pictures.batch(torch.arange(2))] == [50, 0]


def test_a_run_is_evaluated_by_its_labels() -> None:
    module = made(KIND.replace('"kind"', '["sun", "sea"]'), 2, "BCEWithLogitsLoss", "\n  validation = 2")
    module.main(["--device", "cpu"])
    result = evaluate(module, Path("runs/net/001/best.pt"), "cpu")
    assert [x.name for x in result.labels] == ["sun", "sea"]
    assert result.noun == "images"


@pytest.mark.parametrize(
    ("row", "target", "loss", "message"),
    [
        ("five.png,red,1,0,1", '"kind"', "CrossEntropyLoss", "t.csv, line 6: there is no picture pictures/five.png"),
        (",red,1,0,1", '"kind"', "CrossEntropyLoss", "t.csv, line 6: there is no picture pictures"),
        ("one.png,,1,0,1", '"kind"', "CrossEntropyLoss",
         "t.csv, line 6: kind is missing; the rows to train with have blue, red"),
        ("one.png,green,1,0,1", '"kind"', "CrossEntropyLoss",
         "t.csv: kind has 3 classes (blue, green, red), the network 2"),
        ("one.png,red,1,2,1", '["sun", "sea"]', "BCEWithLogitsLoss",
         "t.csv, line 6: sea is 2, and the loss compares 0 and 1"),
        ("one.png,red,1,old,1", '["sun", "sea"]', "MSELoss", "t.csv, line 6: sea is 'old', which is no number"),
        ("one.png,red,1,,1", '["sun", "sea"]', "MSELoss", "t.csv, line 6: sea is missing"),
        ("one.png,red,1", '"kind"', "CrossEntropyLoss", "t.csv, line 6: 3 cells, and the header has 5"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_row(row: str, target: str, loss: str, message: str) -> None:
    write("t.csv", "file,kind,sun,sea,age", *ROWS, row)
    assert fails(made(KIND.replace('"kind"', target), 2, loss)) == f"error: {message}"


def test_a_class_of_the_test_rows_is_known_from_training() -> None:
    write("u.csv", "kind,file", "green,two.png")
    module = made(KIND, more='\n  test = CSV("u.csv", folder="pictures", target="kind")')
    assert fails(module).startswith("error: u.csv, line 2: kind is 'green'; the rows to train with have")


@pytest.mark.parametrize(
    ("data", "outputs", "loss", "code"),
    [
        (KIND.replace("target", 'features=["sun"], target'), 2, "CrossEntropyLoss", "E0308"),
        (KIND.replace("target", 'missing="drop", target'), 2, "CrossEntropyLoss", "E0308"),
        (KIND.replace('image="file"', 'image="kind"'), 2, "CrossEntropyLoss", "E0308"),
        (KIND.replace('"kind"', '["sun", "sea"]'), 3, "BCEWithLogitsLoss", "E0543"),
        (KIND.replace('"kind"', '["sun", "sea"]'), 2, "CrossEntropyLoss", "E0543"),
        (KIND.replace('"kind"', '"age"'), 2, "MSELoss", "E0543"),
    ],
)
def test_what_does_not_fit_is_said_before(data: str, outputs: int, loss: str, code: str) -> None:
    assert codes(text(data, outputs, loss)) == [code]


def test_a_folder_is_of_pictures() -> None:
    data = 'train = CSV("t.csv", folder="pictures", target="kind")'
    assert codes(program(data, 3, 2)) == ["E0308"]
