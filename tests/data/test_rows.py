"""`netc eval` and `netc predict` on tables: rows are encoded as the training did, whatever the file says by then."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from netc import cli, cli_results
from netc.runtime.errors import UserError
from netc.runtime.evaluation import evaluate
from netc.runtime.rows import predict_rows
from netc.tables import evaluation_text
from tests.data.tables import program, script, write

if TYPE_CHECKING:
    from types import ModuleType

assert cli_results.predict.name == "predict"  # whose import makes it a command
BEST = Path("run/best.pt")
PEOPLE = ("age,city,ill", *(f"{20 + i},{'Ulm' if i % 3 else 'Bern'},{'yes' if i > 10 else 'no'}" for i in range(24)))


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def trained(text: str) -> ModuleType:
    module = script(text)
    module.main(["--device", "cpu", "--run-dir", "run"])
    return module


def people(more: str = "metrics = [accuracy]") -> str:
    sets = 'train = CSV("people.csv", target="ill", categorical=["city"])\n  validation = 0.25'
    return program(sets, 3, 2, more=more).replace("epochs    = 2", "epochs    = 60")


def test_classes_of_new_rows() -> None:
    write("people.csv", *PEOPLE)
    module = trained(people())
    write("new.csv", "city,name,age", "Ulm,A,21", "", "Bern,B,42")
    write("people.csv", "age,city,ill", "1,Rom,yes", "2,Rom,no")  # another file by now
    first, second = predict_rows(module, BEST, ["new.csv"], "cpu")
    assert (first.path, first.line, second.line) == ("new.csv", 2, 4)
    assert (first.values["ill"], second.values["ill"]) == ("no", "yes")
    assert 0.5 < float(first.values["probability"]) <= 1
    write("new.csv", "city,age", "Rom,21")
    with pytest.raises(UserError, match="new.csv, line 2: city is 'Rom'; the rows to train with have Bern, Ulm"):
        predict_rows(module, BEST, ["new.csv"], "cpu")


def test_numbers_of_new_rows() -> None:
    write("t.csv", "a,b,y,z", *(f"{i},{i % 5},{2 * i},{-i}" for i in range(40)))
    module = trained(program('train = CSV("t.csv", target=["y", "z"])', 2, 2, "MSELoss"))
    write("new.csv", "b,a", "1,7", "3,9")
    found = predict_rows(module, BEST, ["new.csv"], "cpu")
    state = module.load(BEST)
    encoding = module.Encoding()
    encoding.load_state_dict(state["encoding"])
    model = module.build_model(torch.device("cpu"))
    model.load_state_dict(state["model"])
    table = module.read_table(Path("new.csv"))
    outputs = module.predict(model, module.finish(module.encode(table, encoding), encoding))
    assert [list(row.values) for row in found] == [["y", "z"]] * 2
    assert torch.tensor([list(map(float, row.values.values())) for row in found]).equal(outputs)


def test_a_state_dict_alone_does_not_say_how_rows_are_encoded() -> None:
    write("people.csv", *PEOPLE)
    module = trained(people())
    torch.save(module.load(BEST)["model"], "weights.pt")
    with pytest.raises(UserError, match="does not say how rows become numbers"):
        predict_rows(module, Path("weights.pt"), ["people.csv"], "cpu")


def test_evaluation_of_a_table() -> None:
    write("people.csv", *PEOPLE)
    module = trained(people())
    result = evaluate(module, BEST, "cpu")
    assert (result.part, result.images, result.noun) == ("validation", 6, "samples")
    assert [c.name for c in result.classes] == ["no", "yes"]
    assert sum(map(sum, result.confusion)) == 6
    said = evaluation_text(result, "best.pt")
    assert "on 6 validation samples" in said
    assert "images" not in said


def test_the_command_answers_with_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    write("people.csv", *PEOPLE)
    Path("people.net").write_text(people(), encoding="utf-8")
    trained(people())
    write("new.csv", "city,age", "Ulm,21", "Bern,42")
    arguments = ["predict", "people.net", "new.csv", "--weights", str(BEST), "--device", "cpu"]
    cli.cli.main(arguments, standalone_mode=False)
    head, first, second = capsys.readouterr().out.splitlines()[-3:]
    assert head == "line,ill,probability"
    assert first.startswith("2,no,0.")
    assert second.startswith("3,yes,0.")
    cli.cli.main([*arguments, "new.csv", "--json"], standalone_mode=False)
    rows = json.loads(capsys.readouterr().out)
    assert [(r["path"], r["line"], r["ill"]) for r in rows] == [
        ("new.csv", i, c) for i, c in ((2, "no"), (3, "yes"))
    ] * 2
