"""Data that is not right ends a run before its first epoch, with the file and the row or the picture, and no traceback.

Each case runs twice: by `netc train`, where the message stands at the data set of the .net file that it is about, and
as the generated script alone. What has a test elsewhere:

| what goes wrong | where it is tested |
|---|---|
| a file or folder that is not there | tests/cli/test_mistakes.py, tests/lang/projects |
| files of MNIST, CIFAR and their kin that are cut short, changed or missing | test_reading.py, test_official.py |
| a picture of a set of torchvision that is missing, or has another size than published | test_official.py |
| cells of tables, one by one; settings `missing`, `categorical`, `delimiter` | test_tables.py |
| arrays of another shape or type than the network takes | test_arrays.py |
| samples of a Python data set: raised, uneven, of another kind | test_python_sets.py |
| a cache that can't be written, is cut short, or grows too large | test_cache.py |
| a full disk at the first checkpoint and at a later one | test_run.py, test_mistakes.py |
| rows to predict that the training rows know nothing of | test_rows.py |
"""

# mypy: disable-error-code="func-returns-value"
# What makes a case is a list of steps.

from __future__ import annotations

import os
import re
import runpy
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from netc.cli import run
from tests.data.tables import program, script, write

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NETC_CACHE", str(tmp_path / "cache"))


class Case(NamedTuple):
    """What is on the disk, the program, and what is said: of which setting, and the message."""

    make: Callable[[], Any]
    text: str
    setting: str
    message: str


def script_alone(capsys: pytest.CaptureFixture[str]) -> str:
    """What the script that `build` writes says when it ends; everything else that it raises is a traceback."""
    assert run(["build", "net.net"]) == 0, capsys.readouterr().err
    argv, path = sys.argv, [*sys.path]
    sys.argv = ["train.py", "--device", "cpu"]
    sys.path.insert(0, str(Path("build/net").resolve()))
    sys.modules.pop("model", None)
    try:
        with pytest.raises(SystemExit) as end:
            runpy.run_path("build/net/train.py", run_name="__main__")
    finally:
        sys.argv, sys.path[:] = argv, path
        sys.modules.pop("model", None)
    assert isinstance(end.value.code, str)  # for which Python prints it and exits with 1
    return end.value.code


def _without_bytes(message: str) -> str:
    """How much of a JPEG file is left over hangs on the library that decodes it."""
    return re.sub(r"\(\d+ bytes not", "(N bytes not", message)


def fails(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """Both ways end with this message, and before a run began."""
    case.make()
    Path("net.net").write_text(case.text, encoding="utf-8")
    assert run(["train", "--device", "cpu"]) == 1
    out, err = capsys.readouterr()
    assert _without_bytes(err.split("\n")[0]) == f"error[E0530]: {case.message}"
    lines = case.text.split("\n")
    place = next(i for i, line in enumerate(lines) if line.strip().startswith(f"{case.setting} "))
    assert f"--> net.net:{place + 1}:" in err
    assert out == ""
    assert "Traceback" not in err
    assert not list(Path().glob("runs/net/*"))
    assert _without_bytes(script_alone(capsys)) == f"error: {case.message}"
    assert "epoch" not in capsys.readouterr().out
    assert not list(Path().glob("runs/net/*/last.pt"))


# --- tables -----------------------------------------------------------------------------------------------------------

GOOD = "a,b,kind\n" + "".join(f"{i},{i % 3},{'xy'[i % 2]}\n" for i in range(20))
TABLE = 'train = CSV("t.csv", target="kind")'
OTHER = f'{TABLE}\n  test = CSV("u.csv", target="kind")'


def table(content: str | bytes, name: str = "t.csv") -> Callable[[], Any]:
    """Writes a table, and a good one where it is the second."""

    def make() -> None:
        Path("t.csv").write_text(GOOD, encoding="utf-8")
        Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return make


def rows(sets: str = TABLE) -> str:
    return program(sets, 2, 2)


NUMBERS = program('train = CSV("t.csv", target="y")', 2, 1, "MSELoss")
QUOTED = 'a,b,kind,note\n1,2,x,"in two\nlines"\n1,q,y,\n'
FEATURES = 'train = CSV("t.csv", target="kind", features=["a", "{}"])'
TABLES = {
    "a missing target": Case(table(GOOD), rows(TABLE.replace("kind", "kin")), "train",
                             "t.csv has no column 'kin'; did you mean 'kind'?"),
    "a missing column": Case(table(GOOD), rows(FEATURES.format("height")), "train",
                             "t.csv has no column 'height'; it has ['a', 'b', 'kind']"),
    "a missing column in the test rows": Case(table(GOOD.replace("b,", "c,", 1), "u.csv"), rows(OTHER), "test",
                                              "u.csv has no column 'b'; it has ['a', 'c', 'kind']"),
    "text in a number column": Case(table(f"{GOOD}tall,1,y\n"), rows(), "train",
                                    "t.csv, line 22: a is 'tall', which is no number"),
    "text in a number column of the test rows": Case(table(f"{GOOD}tall,1,y\n", "u.csv"), rows(OTHER), "test",
                                                     "u.csv, line 22: a is 'tall', which is no number"),
    "a label that is unknown at test time": Case(table(f"{GOOD}1,1,z\n", "u.csv"), rows(OTHER), "test",
                                                 "u.csv, line 22: kind is 'z'; the rows to train with have x, y"),
    "a class that only validation rows have": Case(
        table(f"{GOOD}1,1,z\n", "u.csv"), rows(OTHER.replace("test", "validation")), "validation",
        "u.csv, line 22: kind is 'z'; the rows to train with have x, y",
    ),
    "one class only": Case(table(GOOD.replace("x\n", "y\n")), rows(), "train",
                           "t.csv: kind has one value only, ['y']"),
    "another number of classes": Case(table(f"{GOOD}1,1,z\n"), rows(), "train",
                                      "t.csv: kind has 3 classes (x, y, z), the network 2"),
    "classes written in two ways": Case(
        table("a,b,kind\n" + "".join(f"{i},1,{i % 2}{'.0' * (i > 4)}\n" for i in range(9))), rows(), "train",
        "t.csv: kind has 4 classes (0, 0.0, 1, 1.0), the network 2",
    ),
    "NaN in a feature": Case(table(f"{GOOD}nan,1,y\n"), rows(), "train", "t.csv, line 22: a is missing"),
    "infinity in a feature": Case(table(f"{GOOD}inf,1,y\n"), rows(), "train",
                                  "t.csv, line 22: a is inf, too large a number"),
    "a number beyond float32": Case(table(f"{GOOD}1e39,1,y\n"), rows(), "train",
                                    "t.csv, line 22: a is 1e39, too large a number"),
    "NaN in the target": Case(table("a,b,y\n1,2,3\n1,2,nan\n"), NUMBERS, "train", "t.csv, line 3: y is missing"),
    "infinity in the target": Case(table("a,b,y\n1,2,3\n1,2,-inf\n"), NUMBERS, "train",
                                   "t.csv, line 3: y is -inf, too large a number"),
    "an empty file": Case(table(""), rows(), "train", "t.csv has no rows below its header"),
    "a header alone": Case(table("a,b,kind\n"), rows(), "train", "t.csv has no rows below its header"),
    "a short row": Case(table(f"{GOOD}1,2\n"), rows(), "train", "t.csv, line 22: 2 cells, and the header has 3"),
    "a long row": Case(table(f"{GOOD}1,2,x,5\n"), rows(), "train", "t.csv, line 22: 4 cells, and the header has 3"),
    "semicolons": Case(table(GOOD.replace(",", ";")), rows(), "train",
                       "t.csv, line 1: ';' stands between the cells; say so by `delimiter` in the .net file"),
    "semicolons and decimal commas": Case(
        table("a;b;kind\n1,5;2;x\n2;2;y\n"), rows(), "train",
        "t.csv, line 1: ';' stands between the cells; say so by `delimiter` in the .net file",
    ),
    "tabs": Case(table(GOOD.replace(",", "\t")), rows(), "train",
                 "t.csv, line 1: '\\t' stands between the cells; say so by `delimiter` in the .net file"),
    "Latin-1": Case(table(f"{GOOD}1,1,é\n".encode("latin-1")), rows(), "train",
                    "t.csv, line 22: the byte 0xe9 is no UTF-8 text; save the file as UTF-8"),
    "UTF-16": Case(table(GOOD.encode("utf-16")), rows(), "train",
                   "t.csv, line 1: the byte 0xff is no UTF-8 text; save the file as UTF-8"),
    "a quoted cell of two lines before the row": Case(table(QUOTED), rows(FEATURES.format("b")), "train",
                                                      "t.csv, line 4: b is 'q', which is no number"),
    "a quote left open": Case(table('a,b,kind\n1,2,x\n1,2,"y\n1,2,x\n'), rows(), "train",
                              "t.csv, line 4: unexpected end of data; a quote may be left open"),
    "two columns of one name": Case(table("a,a,kind\n1,2,x\n1,2,y\n"), rows(), "train",
                                    "t.csv, line 1: two columns are called 'a'"),
    "a column of row numbers without a name": Case(table(",a,b,kind\n0,1,2,x\n1,1,2,y\n"), rows(), "train",
                                                   "t.csv gives 3 numbers a row, the network takes 2: '', 'a', 'b'"),
    "nothing to train on": Case(table("a,b,kind\n1,2,x\n1,2,y\n"), rows(f"{TABLE}\n  validation = 0.9"), "train",
                                "cannot hold {'validation': 2} of 2 samples out"),
    "nothing held out": Case(table(GOOD), rows(f"{TABLE}\n  validation = 0.01"), "train",
                             "cannot hold {'validation': 0} of 20 samples out"),
    "a picture in place of a table": Case(table(b"\x89PNG\r\n\x1a\n\0\0"), rows(), "train",
                                          "t.csv, line 1: the byte 0x89 is no UTF-8 text; save the file as UTF-8"),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLES.values(), ids=TABLES)
def test_tables(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    fails(case, capsys)


# --- arrays -----------------------------------------------------------------------------------------------------------

X, Y = np.random.default_rng(0).random((12, 2)).astype(np.float32), np.arange(12) % 2
ARRAYS = 'train = Arrays("a.npz")'
FILES = 'train = Arrays(inputs="x.npy", labels="y.npy")'
PREDICTED = program(ARRAYS, 2, 1, "MSELoss")
OBJECTS = np.array([{}] * 12, dtype=object)


def holed(value: float, array: Any = X) -> Any:
    """An array with this value in row 3."""
    found = array.astype(np.float64)
    found[3, -1] = value
    return found


def npz(**arrays: Any) -> Callable[[], Any]:
    return lambda: np.savez("a.npz", **{"x": X, "label": Y, **arrays})


def npy(x: Any, y: Any) -> Callable[[], Any]:
    return lambda: [np.save(name, array) for name, array in (("x.npy", x), ("y.npy", y))]


def later(labels: Any) -> Callable[[], Any]:
    return lambda: [np.savez(name, x=X, label=y) for name, y in (("a.npz", Y), ("b.npz", labels))]


def broken(how: Callable[[Path], Any]) -> Callable[[], Any]:
    def make() -> None:
        np.savez("a.npz", x=X, label=Y)
        how(Path("a.npz"))

    return make


def _half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:300])


def _other_format(path: Path) -> None:
    np.save("x.npy", X)
    Path("x.npy").rename(path)


AS_MANY = "there should be as many samples in each array, and any: "
NPZ = program(ARRAYS, 2, 2)
NPY = program(FILES, 2, 2)
ARRAY_FILES = {
    "NaN": Case(npz(x=holed(np.nan)), NPZ, "train", "'x' of a.npz has NaN or infinity in sample 3, counted from 0"),
    "infinity": Case(npy(holed(-np.inf), Y), NPY, "train", "x.npy has NaN or infinity in sample 3, counted from 0"),
    "a number beyond float32": Case(npz(x=holed(1e300)), NPZ, "train",
                                    "'x' of a.npz has NaN or infinity in sample 3, counted from 0"),
    "NaN in the target": Case(npz(label=holed(np.nan, X[:, :1])), PREDICTED, "train",
                              "'label' of a.npz is NaN or infinite at [3, 0]"),
    "no such array": Case(lambda: np.savez("a.npz", x=X), NPZ, "train", "a.npz has no array 'label'; it has x"),
    "unequal lengths": Case(npz(label=Y[:9]), NPZ, "train", f"{AS_MANY}'x' of a.npz has 12, 'label' of a.npz has 9"),
    "files of unequal lengths": Case(npy(X, Y[:5]), NPY, "train", f"{AS_MANY}x.npy has 12, y.npy has 5"),
    "no samples": Case(npz(x=X[:0], label=Y[:0]), NPZ, "train",
                       f"{AS_MANY}'x' of a.npz has 0, 'label' of a.npz has 0"),
    "one class only": Case(npz(label=Y * 0), NPZ, "train", "a.npz has labels of one class only"),
    "a file of one class only": Case(npy(X, Y * 0 + 1), NPY, "train", "y.npy has labels of one class only"),
    "a label beyond the classes": Case(npy(X, Y + 1), NPY, "train",
                                       "y.npy has the label 2 at [1], which is none of the 2 classes from 0 on"),
    "a label that is unknown at test time": Case(
        later(Y + 1), program(f'{ARRAYS}\n  test = Arrays("b.npz")', 2, 2), "test",
        "'label' of b.npz has the label 2 at [1], which is none of the 2 classes from 0 on",
    ),
    "labels that are text": Case(npz(label=np.array(["a", "b"] * 6)), NPZ, "train",
                                 "'label' of a.npz is <U1 [12], and labels that are classes are int64 [N]"),
    "labels as columns of 0 and 1": Case(npz(label=np.eye(2)[Y]), NPZ, "train",
                                         "'label' of a.npz is float64 [12, 2], and labels that are classes are "
                                         "int64 [N]"),
    "pickles": Case(npz(x=OBJECTS), NPZ, "train",
                    "a.npz cannot be read: Object arrays cannot be loaded when allow_pickle=False"),
    "a file of pickles": Case(npy(OBJECTS, Y), NPY, "train",
                              "x.npy cannot be read: Object arrays cannot be loaded when allow_pickle=False"),
    "cut short": Case(broken(_half), NPZ, "train", "a.npz is cut short, or no npz file"),
    "another format": Case(broken(_other_format), NPZ, "train", "a.npz is cut short, or no npz file"),
    "text": Case(broken(lambda path: path.write_text("hello")), NPZ, "train", "a.npz is cut short, or no npz file"),
    "an empty file": Case(lambda: [np.save("y.npy", Y), Path("x.npy").touch()], NPY, "train",
                          "x.npy cannot be read: No data left in file"),
    "complex numbers": Case(npz(x=X.astype(complex)), NPZ, "train",
                            "'x' of a.npz is complex128, the network takes torch.float32 for x"),
    "nothing to train on": Case(npz(), program(f"{ARRAYS}\n  validation = 0.99", 2, 2), "train",
                                "cannot hold {'validation': 12} of 12 samples out"),
}  # fmt: skip


@pytest.mark.parametrize("case", ARRAY_FILES.values(), ids=ARRAY_FILES)
def test_arrays(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    fails(case, capsys)


# --- pictures ---------------------------------------------------------------------------------------------------------

FOLDER = 'train = ImageFolder("p")\n  transform = Resize([8, 8]) -> ToTensor'
TESTED = f'{FOLDER}\n  test = ImageFolder("q")'
IMAGE = "input image: [N, 3, 8, 8]\n  Flatten"
SUFFIXES = "(.jpg, .jpeg, .png, .ppm, .bmp, .pgm, .tif, .tiff, .webp)"


def pictures(*classes: str, folder: str = "p", size: tuple[int, int] = (12, 10)) -> None:
    """Three pictures of noise for each class."""
    for name in classes:
        place = Path(folder, name)
        place.mkdir(parents=True)
        for i in range(3):
            Image.fromarray(np.random.default_rng(i).integers(0, 256, (*size, 3), np.uint8)).save(place / f"{i}.png")


def with_file(name: str, content: bytes) -> Callable[[], Any]:
    def make() -> None:
        pictures("ants", "bees")
        Path(name).write_bytes(content)

    return make


def with_change(change: Callable[[Path], Any]) -> Callable[[], Any]:
    def make() -> None:
        pictures("ants", "bees", size=(80, 80))
        change(Path("p/bees"))

    return make


def _cut(place: Path) -> None:
    (place / "1.png").write_bytes((place / "1.png").read_bytes()[:3000])


def _cut_jpeg(place: Path) -> None:
    Image.open(place / "1.png").save(place / "x.jpg")
    (place / "x.jpg").write_bytes((place / "x.jpg").read_bytes()[:1500])


def _deep_grey(place: Path) -> None:
    Image.fromarray(np.full((9, 9), 30000, np.uint16)).save(place / "x.png")


def _floats(place: Path) -> None:
    Image.fromarray(np.ones((9, 9), np.float32)).save(place / "x.tif")


def two_folders(*tested: str) -> Callable[[], Any]:
    return lambda: [pictures("ants", "bees"), pictures(*tested, folder="q")]


def looks(sets: str = FOLDER, outputs: int = 2) -> str:
    return program(sets, IMAGE, outputs)


NO_PICTURE = "p/bees/x.png cannot be read as a picture: cannot identify image file 'p/bees/x.png'"
DEEP = "has more than 8 bits a colour, which would be cut off"
PICTURES = {
    "an empty folder": Case(lambda: Path("p").mkdir(), looks(), "train",
                            "p has no subfolders, and there should be one for each class"),
    "pictures without a folder for their class": Case(
        lambda: [pictures("ants"), shutil.move("p/ants", "q"), shutil.rmtree("p"), Path("q").rename("p")], looks(),
        "train", "p has no subfolders, and there should be one for each class",
    ),
    "a folder that is a file": Case(lambda: Path("p").write_text(""), looks(), "train",
                                    "p, with a folder a class, cannot be read: Not a directory"),
    "an empty class": Case(lambda: [pictures("ants", "bees"), Path("p/cats").mkdir()], looks(outputs=3), "train",
                           f"p/cats has no pictures {SUFFIXES}"),
    "pictures of another format": Case(
        lambda: [pictures("ants"), Path("p/bees").mkdir(), Image.new("L", (9, 9)).save("p/bees/x.gif")], looks(),
        "train", f"p/bees has no pictures {SUFFIXES}",
    ),
    "one class only": Case(lambda: pictures("ants"), looks(), "train",
                           "p has the classes ants; the network tells 2 apart"),
    "a hidden folder": Case(lambda: pictures("ants", "bees", ".checkpoints"), looks(), "train",
                            "p has the classes .checkpoints, ants, bees; the network tells 2 apart"),
    "an unreadable picture": Case(with_file("p/bees/x.png", b"hello"), looks(), "train", NO_PICTURE),
    "an empty picture": Case(with_file("p/bees/x.png", b""), looks(), "train", NO_PICTURE),
    "a truncated picture": Case(with_change(_cut), looks(), "train",
                                "p/bees/1.png cannot be read as a picture: image file is truncated"),
    "a truncated photograph": Case(
        with_change(_cut_jpeg), looks(), "train",
        "p/bees/x.jpg cannot be read as a picture: image file is truncated (N bytes not processed)",
    ),
    "a truncated picture in the test folder": Case(
        lambda: [two_folders("ants", "bees")(), Path("q/bees/x.png").write_bytes(b"\x89PNG")], looks(TESTED), "test",
        NO_PICTURE.replace("p/", "q/"),
    ),
    "grey of 16 bits": Case(with_change(_deep_grey), looks(), "train", f"p/bees/x.png {DEEP}"),
    "floating-point numbers": Case(with_change(_floats), looks(), "train", f"p/bees/x.tif {DEEP}"),
    "a class that is unknown at test time": Case(two_folders("ants", "wasps"), looks(TESTED), "test",
                                                 "q has classes to train without: wasps"),
    "a class without pictures at test time": Case(two_folders("ants"), looks(TESTED), "test",
                                                  f"q/bees has no pictures {SUFFIXES}"),
    "a link to nowhere": Case(with_change(lambda place: (place / "x.png").symlink_to("y.png")), looks(), "train",
                              "p/bees/x.png cannot be read: No such file or directory"),
    "a link to itself": Case(with_change(lambda place: (place / "x.png").symlink_to("x.png")), looks(), "train",
                             "p/bees/x.png cannot be read: Too many levels of symbolic links"),
    "a folder that leads back to itself": Case(
        with_change(lambda place: (place / "more").symlink_to("..")), looks(), "train",
        "p/bees/more/bees is p/bees by a link, whose pictures would come twice",
    ),
    "a class that is another one by a link": Case(
        lambda: [pictures("ants"), Path("p/bees").symlink_to("ants")], looks(), "train",
        "p/bees is p/ants by a link, whose pictures would come twice",
    ),
    "nothing to train on": Case(lambda: pictures("ants", "bees"), looks(f"{FOLDER}\n  validation = 0.95"), "train",
                                "cannot hold 6 of 6 images out for validation"),
}  # fmt: skip


@pytest.mark.parametrize("case", PICTURES.values(), ids=PICTURES)
def test_pictures(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    fails(case, capsys)
    assert not list(Path().glob("cache/**/*.decoded.*"))


def test_what_may_not_be_read(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A superuser, whom tests may run as, is let in everywhere: the refusal is played."""
    pictures("ants", "bees")
    scan = os.scandir

    def refuse(place: Any) -> Any:
        if str(place).endswith("bees"):
            raise PermissionError(13, "Permission denied", str(place))
        return scan(place)

    monkeypatch.setattr(os, "scandir", refuse)
    fails(Case(lambda: None, looks(), "train", "p/bees cannot be read: Permission denied"), capsys)


def test_sizes_that_differ_without_a_resize(capsys: pytest.CaptureFixture[str]) -> None:
    pictures("ants", "bees", size=(8, 8))
    Image.new("RGB", (9, 8)).save("p/bees/x.png")
    write("net.net", looks(FOLDER.replace("Resize([8, 8]) -> ", "")))
    for command in (["train", "--device", "cpu"], ["build"], ["check"]):
        assert run(command) == 1
        said = capsys.readouterr().err
        assert said.startswith("error[E0517]: the images differ in size and can't be put into a batch\n")
        assert "= note: `p/ants/0.png` would be 8×8 pixels, `p/bees/x.png` 9×8\n" in said
    write("net.net", looks(FOLDER.replace("Resize([8, 8])", "Resize(4)")))
    assert run(["check"]) == 1  # the shorter side alone
    assert "`p/ants/0.png` would be 4×4 pixels" not in capsys.readouterr().err
    Image.new("RGB", (12, 8)).save("p/ants/x.png")
    assert run(["check"]) == 1
    assert "`p/ants/0.png` would be 4×4 pixels, `p/ants/x.png` 6×4\n" in capsys.readouterr().err


# --- what is no mistake -----------------------------------------------------------------------------------------------


def trains(text: str) -> None:
    Path("net.net").write_text(text, encoding="utf-8")
    assert run(["train", "--device", "cpu", "--quiet"]) == 0


@pytest.mark.parametrize(
    "content",
    [
        f"\ufeff{GOOD}",
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("\n", "\r"),
        GOOD.replace(",x", ",1.0").replace(",y", ",0.0"),
        GOOD.replace(",x", ',"x"').replace("\n1,", '\n"1",'),
        GOOD.replace("\n1,", "\n 7 ,"),
    ],
    ids=["a byte order mark", "Windows lines", "old lines", "labels with a point", "quotes", "spaces"],
)
def test_tables_that_are_read(content: str) -> None:
    table(content)()
    trains(rows())


def test_a_batch_larger_than_the_data() -> None:
    table(GOOD)()
    trains(rows(f"{TABLE}\n  batch_size = 1000"))


@pytest.mark.parametrize("order", [">", "<"])
def test_arrays_of_another_byte_order(order: str) -> None:
    npz(x=X.astype(f"{order}f8"), label=Y.astype(f"{order}i2"))()
    trains(NPZ)


def test_pictures_of_all_kinds() -> None:
    """What is no picture by its name is passed over, and a folder may be called as a picture is."""
    pictures("ants", "bees")
    picture = Image.open("p/ants/0.png")
    picture.convert("CMYK").save("p/ants/cmyk.jpg")
    for mode in ("P", "L", "1", "RGBA", "LA"):
        picture.convert(mode).save(f"p/bees/{mode}.png")
    picture.save("p/ants/x.gif")
    Path("p/ants/x.gif").rename("p/ants/gif.png")
    Path("p/ants/notes.txt").write_text("no picture")
    Path("p/ants/folder.png").mkdir()
    trains(looks())


# --- while a run is going on ------------------------------------------------------------------------------------------


class Disk:
    """A disk on which a few files can be written whole, and no more."""

    def __init__(self, files: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free = files
        self.sync = os.fsync
        monkeypatch.setattr(os, "fsync", self.write)

    def write(self, file: Any) -> None:
        self.free -= 1
        if self.free < 0:
            raise OSError(28, "No space left on device")
        self.sync(file)


@pytest.mark.parametrize("files", [0, 1, 2, 3, 4, 5, 6])
def test_a_disk_that_fills_up(files: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """At any of the files that a run writes: the checkpoint is the last one that was whole, and the rest says so."""
    table(GOOD)()
    module = script(rows())
    with monkeypatch.context() as patch:
        Disk(files, patch)
        with pytest.raises(SystemExit) as end:
            module.main(["--device", "cpu", "--run-dir", "run"])
    said = str(end.value.code)
    assert re.fullmatch(
        r"error: run/[\w.]+ cannot be written: No space left on device(; the former .* is intact)?", said
    )
    assert not list(Path("run").glob("*.unfinished"))
    assert ("intact" in said) == (Path("run") / said.split("/")[1].split(" ")[0]).exists()
    capsys.readouterr()
    if files:  # else not even the first checkpoint was written
        module.main(["--device", "cpu", "--resume", "run"])
        assert "best.pt is of epoch 2" in capsys.readouterr().out


def test_a_disk_that_fills_up_in_netc_train(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table(GOOD)()
    Path("net.net").write_text(rows(), encoding="utf-8")
    with monkeypatch.context() as patch:
        Disk(12, patch)
        code = run(["train", "--device", "cpu", "--set", "train.epochs=30"])
    err = capsys.readouterr().err
    assert code == 1
    assert re.search(
        r"error: runs/net/001/[\w.]+ cannot be written: No space left on device; the former .* is intact", err
    )
    assert "Traceback" not in err
    assert run(["train", "--device", "cpu", "--quiet", "--resume", "1"]) == 0


@pytest.mark.parametrize("netc", [True, False])
def test_a_picture_that_vanishes(
    netc: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where no pictures are kept, one that is gone in the second epoch ends the run, with the first one kept."""
    pictures("ants", "bees")
    Path("net.net").write_text(looks(f"{FOLDER}\n  cache = False"), encoding="utf-8")
    monkeypatch.setattr("netc.backends.training.MEMORY", 0)
    replace = os.replace

    def vanish(source: Any, target: Any) -> None:
        replace(source, target)
        if Path(target).name == "metrics.csv":
            Path("p/bees/1.png").unlink(missing_ok=True)

    monkeypatch.setattr(os, "replace", vanish)
    said = "p/bees/1.png cannot be read as a picture: [Errno 2] No such file or directory: "
    if netc:
        assert run(["train", "--device", "cpu"]) == 1
        err = capsys.readouterr().err
        assert f"error[E0530]: {said}" in err
        assert "Traceback" not in err
    else:
        assert script_alone(capsys).startswith(f"error: {said}")
    state = torch.load("runs/net/001/last.pt", weights_only=True)
    assert state["epoch"] == 1


def test_a_run_folder_that_vanishes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    table(GOOD)()
    Path("net.net").write_text(rows(), encoding="utf-8")
    replace = os.replace

    def vanish(source: Any, target: Any) -> None:
        replace(source, target)
        if Path(target).name == "metrics.csv":
            shutil.rmtree(Path(target).parent)

    monkeypatch.setattr(os, "replace", vanish)
    assert run(["train", "--device", "cpu"]) == 1
    err = capsys.readouterr().err
    assert "error: runs/net/001/last.pt cannot be written: No such file or directory" in err
    assert "Traceback" not in err
