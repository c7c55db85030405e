"""The page of a run: what is in it, that it stands alone, and that nothing in it is anything but text."""

from __future__ import annotations

import json
import math
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from netc.cli import run as netc_run
from netc.compiler import analyse
from netc.record.reading import Run, read
from netc.report import axes, curves, making, matrix, page, results
from tests.cli.test_mistakes import PROGRAM, netc
from tests.record.test_reading import TABLE, run_folder, session

HOSTILE = "</title><script>alert(1)</script><img src=x onerror=alert(1)>\"'&"
SUGAR = """network Sugar {
  input x: [N, 10]
  fc: Linear(1) -> flatten(0)
}
data { train = Diabetes(); test = 80; batch_size = 32 }
train { loss = MSELoss; optimizer = Adam(lr=0.01); epochs = 2; metrics = [mae] }
"""
VOID = {"meta"}


class Page(HTMLParser):
    """Collects the tags, attributes and text of a page; what is opened has to be closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.open += [] if tag in VOID else [tag]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


def result(
    names: tuple[str, ...] = ("cat", "dog"), matrix_: tuple[tuple[int, ...], ...] = ((8, 2), (1, 9))
) -> results.Result:
    classes = tuple(results.ClassRow(name, 0.8, None, sum(row)) for name, row in zip(names, matrix_, strict=True))
    return results.Result("best.pt", 2, "test", 20, (("loss", 0.3), ("accuracy", 0.85)), classes, matrix_, ())


def a_run(tmp_path: Path, table: str = TABLE, environment: object = None) -> Run:
    return read(run_folder(tmp_path / "net" / "001", table, environment))


def test_what_is_on_the_page(tmp_path: Path) -> None:
    network = page.Network("Net", [("fc", "Linear", "[N, 10]", "650", "640")], ["650 parameters (2.5 KiB in float32)"])
    run = a_run(tmp_path, environment=session(outcome="finished") | {"torch": "2.15.0", "epochs": 2, "device": "cpu"})
    text = page.page(page.Content(run, PROGRAM, "", network, result(), "", [("best.pt", 2048, 2, 0.0)]))
    found = Page(text)
    assert found.tags.count("svg") == 4  # loss, accuracy, rate, confusion
    assert found.tags.count("title") == 1 + 4 + 8 + 4  # the page, its pictures, a dot for each value, cells
    assert found.tags.count("desc") == 4
    assert found.tags.count("h1") == 1
    for said in (
        "Net, run 1",
        "finished",
        "75.00%",
        "Linear",
        "650",
        "2.15.0",
        "SGD(lr=0.1)",
        "best.pt",
        "cat",
        "85.00%",
    ):
        assert said in found.text, said
    assert "refresh" not in text


def test_it_stands_alone_and_runs_nothing(tmp_path: Path) -> None:
    text = page.page(page.Content(a_run(tmp_path), PROGRAM, result=result()))
    found = Page(text)
    assert {"script", "link", "img", "iframe", "object"} & set(found.tags) == set()
    assert {"src", "href"} & found.attributes == set()
    assert not re.search(r"url\(|@import|//(?!www\.w3\.org/2000/svg)", text)
    assert "default-src 'none'" in text


def test_hostile_names_are_text(tmp_path: Path) -> None:
    environment = {**session(outcome="failed", problem=HOSTILE, command=HOSTILE), "torch": HOSTILE, "device": HOSTILE,
                   "settings": {HOSTILE: HOSTILE}, "data": [{"name": HOSTILE, "path": HOSTILE}],
                   "program": {"file": HOSTILE}}  # fmt: skip
    table = TABLE.replace("train_loss", '"' + HOSTILE.replace('"', '""') + '"')
    run = a_run(tmp_path, table, environment)._replace(stem=HOSTILE)
    network = page.Network(HOSTILE, [(HOSTILE,) * 5], [HOSTILE])
    content = page.Content(run, f"# {HOSTILE}\n{HOSTILE}", HOSTILE, network, result((HOSTILE, "b")), HOSTILE,
                           [(HOSTILE, 1, 1, 0.0)])  # fmt: skip
    found = Page(page.page(content))
    assert {"script", "img"} & set(found.tags) == set()
    assert not any(name.startswith("on") for name in found.attributes)
    assert found.text.count("alert(1)</script>") > 15
    for chart in curves.charts(run):
        ElementTree.fromstring(curves.picture(chart, run))


@pytest.mark.parametrize(
    "table",
    [
        "epoch,train_loss\n",
        "epoch,train_loss\n1,0.5\n",
        "epoch,train_loss\n1,nan\n",
        "epoch,train_loss\n1,0.5\n2,nan\n3,0.25\n",
        "epoch,train_loss\n1,inf\n2,1e300\n3,1e-300\n",
        "epoch,train_loss,lr\n1,0,0\n2,0,0\n",
        "epoch,train_loss\n1,-3\n2,-3\n",
        "epoch,train_accuracy\n1,1\n2,1\n",
        "epoch,train_loss\n" + "".join(f"{i},{math.sin(i) + 2}\n" for i in range(1, 20_000)),
    ],
    ids=["none", "one", "nan", "gap", "wide", "zero", "negative", "full", "long"],
)
def test_curves_of_any_run(tmp_path: Path, table: str) -> None:
    run = a_run(tmp_path, table)
    text = page.page(page.Content(run))
    Page(text)
    assert len(text) < 500_000
    for chart in curves.charts(run):
        picture = curves.picture(chart, run)
        if not picture:
            continue
        numbers = [float(n) for d in re.findall(r' d="([^"]*)"', picture) for n in re.findall(r"-?[\d.]+", d)]
        assert all(0 <= n <= curves.WIDTH for n in numbers)
        assert "nan" not in picture.lower().replace("finance", "")


def test_the_best_epoch_is_marked(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    (loss, accuracy, rate) = curves.charts(run)
    assert [c.name for c in (loss, accuracy, rate)] == ["loss", "accuracy", "lr"]
    assert "best, epoch 2" in curves.picture(loss, run)
    assert "best.pt, epoch 1" in curves.picture(loss, run._replace(best_epoch=1))
    assert "best" not in curves.picture(rate, run)
    assert "validation loss from 1.5000 to 1.2500" in curves.picture(loss, run)


def test_a_long_line_keeps_its_shape() -> None:
    points = [(float(i), 1.0 if i == 777 else 0.0) for i in range(5000)]
    thin = curves.thinned(points)
    assert len(thin) <= 402
    assert (777.0, 1.0) in thin
    assert thin == sorted(thin)


@pytest.mark.parametrize(
    "values", [(0.0, 1.0), (0.1, 0.7), (3.0, 900.0), (1e-8, 5e-8), (-4.0, 9.0), (1e9, 3e9), (5.0, 5.0)]
)
def test_ticks_are_round_and_told_apart(values: tuple[float, float]) -> None:
    axis = axes.spanning(values, 200, 0)
    found = axes.ticks(axis)
    assert 2 <= len(found) <= 8
    assert all(axis.low <= t <= axis.high for t in found)
    assert len(set(axes.labels(found))) == len(found)
    steps = found if axis.log else [b - a for a, b in pairwise(found)]
    assert {f"{step:.3e}"[0] for step in steps} <= {"1", "2", "3", "5"}


def test_the_matrix() -> None:
    drawn = matrix.confusion(result())
    assert drawn is not None
    root = ElementTree.fromstring(drawn)
    cells = [e for e in root.iter() if e.tag.endswith("rect")]
    assert [(c.get("class") or "").split()[1] for c in cells] == ["hit", "miss", "miss", "hit"]
    assert cells[1].find("{http://www.w3.org/2000/svg}title").text == "cat taken for dog: 2 (20.0%)"  # type: ignore[union-attr]
    assert matrix.confused(result()) == [(2, "cat", "dog"), (1, "dog", "cat")]
    many = tuple(tuple(int(i == j) for j in range(101)) for i in range(101))
    assert matrix.confusion(result(tuple(map(str, range(101))), many)) is None
    assert matrix.confusion(result(tuple(f"a long name {i}" for i in range(30)), tuple(r[:30] for r in many[:30])))


def test_of_many_classes_the_worst_are_shown(tmp_path: Path) -> None:
    names = tuple(f"class {i}" for i in range(30))
    counts = tuple(tuple(9 * int(i == j) for j in range(30)) for i in range(30))
    found = result(names, counts)
    classes = tuple(c._replace(recall=0.1 if c.name == "class 29" else 0.9) for c in found.classes)
    text = page.page(page.Content(a_run(tmp_path), result=found._replace(classes=classes)))
    Page(text)
    assert text.index("class 29</th>") < text.index("class 0</th>")
    assert "All 30 classes" in text


def test_points_of_a_regression() -> None:
    pairs = tuple((float(i), i + 0.5) for i in range(9))
    found = result()._replace(classes=(), confusion=(), points=pairs)
    drawn = matrix.scatter(found)
    assert drawn is not None
    ElementTree.fromstring(drawn)
    assert drawn.count("<circle") == 9
    assert matrix.confusion(found) is None


def test_an_evaluation_is_of_the_checkpoint_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "best.pt").write_bytes(b"1")
    results.store(result(), tmp_path)
    assert results.stored(tmp_path) == result()
    (tmp_path / "best.pt").write_bytes(b"23")
    assert results.stored(tmp_path) is None


@pytest.mark.parametrize("change", [{"confusion": [[1]]}, {"classes": 3}, {"points": [["x", 1]]}, {"metrics": []},
                                    {"confusion": [[-1, 0], [0, 0]]}, {"points": [[math.nan, 1]]}])  # fmt: skip
def test_a_damaged_evaluation_is_none(tmp_path: Path, change: dict[str, object]) -> None:
    (tmp_path / "best.pt").write_bytes(b"1")
    results.store(result(), tmp_path)
    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert results.stored(tmp_path) is None


def test_pictures_as_files(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "net" / "001")
    checked = analyse(PROGRAM)
    assert checked.program is not None
    (folder / "best.pt").write_bytes(b"1")
    results.store(result(), folder)
    making.make(folder, checked.program.trained, PROGRAM)
    for name in ("curves.svg", "confusion.svg"):
        root = ElementTree.fromstring((folder / name).read_text())
        assert root.get("viewBox")
        assert "prefers-color-scheme" in (folder / name).read_text()


@pytest.mark.parametrize("mode", ["_LIGHT", "_DARK"])
def test_text_has_contrast(mode: str) -> None:
    from netc.report import style

    colours = dict(re.findall(r"--([\w]+):#(\w+)", getattr(style, mode)))

    def light(name: str) -> float:
        code = colours[name]
        code = "".join(2 * c for c in code) if len(code) == 3 else code
        parts = [int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(one: str, other: str) -> float:
        low, high = sorted((light(one), light(other)))
        return (high + 0.05) / (low + 0.05)

    for name in ("text", "muted", "good", "bad", "busy"):
        assert contrast(name, "page") >= 4.5, name
    assert contrast("muted", "raised") >= 4.5
    assert contrast("on", "hit") >= 4.5
    assert contrast("on", "miss") >= 4.5
    for i in range(6):
        assert contrast(f"l{i}", "page") >= 3, i


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("user")
    (folder / "net.net").write_text(PROGRAM)
    netc("train", "--device", "cpu", cwd=folder)
    return folder


def test_training_leaves_a_page(trained: Path) -> None:
    run = trained / "runs" / "net" / "001"
    found = Page((run / "report.html").read_text())
    assert "Evaluation on the validation data" in found.text
    assert found.tags.count("svg") == 3  # after one epoch the rate has one value
    assert (run / "curves.svg").exists()
    counts = json.loads((run / "evaluation.json").read_text())["confusion"]
    assert sum(map(sum, counts)) == 144


def test_a_page_at_any_time(trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(trained)
    run = trained / "runs" / "net" / "001"
    before = (run / "report.html").read_text()
    for name in ("report.html", "evaluation.json"):
        (run / name).unlink()
    assert netc_run(["report", "--no-evaluation"]) == 0
    assert "not asked for" in capsys.readouterr().err
    assert "Evaluation on" not in (run / "report.html").read_text()
    assert netc_run(["report", "1", "--device", "cpu"]) == 0
    assert (run / "report.html").read_text() == before


def test_a_page_of_a_script_that_ran_alone(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(trained)
    run = trained / "alone" / "runs" / "net" / "001"
    run.mkdir(parents=True)
    for name in ("metrics.csv", "best.pt"):
        (run / name).write_bytes((trained / "runs" / "net" / "001" / name).read_bytes())
    assert netc_run(["report", str(run), "--device", "cpu"]) == 0
    found = Page((run / "report.html").read_text())
    assert "As net.net is now" in found.text
    assert "Evaluation on the validation data" in found.text
    (trained / "net.net").rename(trained / "gone.net")
    assert netc_run(["report", str(run)]) == 0
    assert "no net.net here" in (run / "report.html").read_text()
    (trained / "gone.net").rename(trained / "net.net")


def test_a_regression_shows_predicted_against_true(tmp_path: Path) -> None:
    (tmp_path / "sugar.net").write_text(SUGAR)
    netc("train", "--device", "cpu", cwd=tmp_path)
    run = tmp_path / "runs" / "sugar" / "001"
    found = Page((run / "report.html").read_text())
    assert "predicted up, true across" in found.text
    assert "learning rate" not in found.text  # it stays as it is
    picture = ElementTree.fromstring((run / "predicted.svg").read_text())
    assert sum(e.tag.endswith("circle") for e in picture.iter()) == 80
    assert not (run / "confusion.svg").exists()
