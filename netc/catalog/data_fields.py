"""Facts about data sets whose samples are no pictures: tables and arrays, their fields, and which files ship.

In: the name of a data set and its arguments, defaults filled in or not. Out: its entry, the fields of a sample, what is
wrong with the arguments. Guarantees: no torch, and no file is opened. Leaves to others: reading (the generated script),
diagnostics (the checker), pictures (`netc.catalog.data`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from netc.catalog.entry import REQUIRED, Entry, Param
from netc.catalog.loss_facts import CLASS_LOSSES
from netc.shapes import Reject

if TYPE_CHECKING:
    from collections.abc import Mapping

MISSING = ("error", "drop", "mean")


class Field(NamedTuple):
    """A field of a sample.

    shape: without the batch; None where it follows from the network, a size that only the files know is None.
    dtype: None where it follows: an input's from the network, a label's from the loss.
    classes: how many a label tells apart, where that is known.
    """

    name: str
    shape: tuple[int | None, ...] | None
    dtype: str | None
    classes: int | None = None


class TableFacts(NamedTuple):
    """A table that ships: its folder and file, its target, its columns, its rows, and its classes, if it has any."""

    file: str
    target: str
    features: int
    rows: int
    classes: tuple[str, ...] = ()


CSV = Entry(
    "CSV",
    "netc",
    (
        Param("path", "str", REQUIRED),
        Param("target", "any", REQUIRED),
        Param("features", "any", None),
        Param("categorical", "any", ()),
        Param("missing", "str", "error", choices=MISSING),
        Param("standardize", "bool", True),
        Param("delimiter", "str", ","),
        Param("image", "str|None", None),
        Param("folder", "str|None", None),
    ),
)
ARRAYS = Entry(
    "Arrays",
    "netc",
    (
        Param("path", "str|None", None),
        Param("inputs", "any", None),
        Param("labels", "str|None", None),
        Param("image_size", "int*3|None", None),
    ),
)
SHIPPED = {
    "Iris": TableFacts("iris/iris.csv", "species", 4, 150, ("setosa", "versicolor", "virginica")),
    "Wine": TableFacts("wine/wine.csv", "cultivar", 13, 178, ("1", "2", "3")),
    "BreastCancer": TableFacts("breast_cancer/breast_cancer.csv", "diagnosis", 30, 569, ("benign", "malignant")),
    "Diabetes": TableFacts("diabetes/diabetes.csv", "progression", 10, 442),
}
ENTRIES = {"CSV": CSV, "Arrays": ARRAYS, **{name: Entry(name, "netc", ()) for name in SHIPPED}}
TABLES = frozenset({"CSV", *SHIPPED})


def sample_kind(name: str, home: str, pictures: object = None) -> str:
    """What a data set that has no pictures is: "table", "arrays" or "python"; "" for one of pictures.

    `pictures` is what says that arrays hold pictures (`image_size`), or that a table lists some (`image`).
    """
    if name in ("Arrays", "CSV") and pictures is not None:
        return ""
    if home.startswith("python:"):
        return "python"
    return "" if name not in ENTRIES else "table" if name in TABLES else "arrays"


def names_of(value: object) -> tuple[str, ...]:
    """One name or a list of names as a tuple; what is no name is left out."""
    items = value if isinstance(value, (list, tuple)) else (value,)
    return tuple(item for item in items if isinstance(item, str))


def targets(args: Mapping[str, object], name: str) -> tuple[str, ...]:
    """The columns that a table predicts."""
    return (SHIPPED[name].target,) if name in SHIPPED else names_of(args.get("target"))


def features(args: Mapping[str, object], name: str) -> int | None:
    """How many numbers a row of a table has; None where only the file says it."""
    if name in SHIPPED:
        return SHIPPED[name].features
    given = args.get("features")
    return None if given is None or args.get("categorical") else len(names_of(given))


def fields(args: Mapping[str, object], name: str) -> tuple[Field, ...] | None:
    """The fields of a sample, the label last; None for arrays, whose inputs are the network's, and for pictures."""
    if name not in TABLES:
        return None
    count = len(targets(args, name))
    classes = len(SHIPPED[name].classes) if name in SHIPPED else 0
    rows = Field("features", (features(args, name),), "float32")
    if classes:
        return rows, Field("label", (), "int64", classes)
    numbers = name in SHIPPED or count > 1
    return rows, Field("label", (count,) if numbers else None, "float32" if numbers else None)


def files_of(args: Mapping[str, object], name: str) -> tuple[str, ...]:
    """The files that the user brings along."""
    if name not in ("CSV", "Arrays"):
        return ()
    path = args.get("path")
    return names_of(path) if path is not None else (*names_of(args.get("inputs")), *names_of(args.get("labels")))


def row_count(name: str) -> int | None:
    """How many samples a data set has, where that is known."""
    return SHIPPED[name].rows if name in SHIPPED else None


def reject(args: Mapping[str, object], name: str) -> Reject | None:
    """What is wrong with the values of the arguments, their types taken as right; None if nothing is."""
    if name == "CSV":
        return _table_reject(args)
    if name == "Arrays":
        return _arrays_reject(args)
    return None


def _table_reject(args: Mapping[str, object]) -> Reject | None:
    for key, empty in (("target", False), ("features", False), ("categorical", True)):
        value = args.get(key)
        if value is None and key == "features":
            continue
        found = _names_reject(key, value, empty)
        if found is not None:
            return found
    target, given, categorical = (names_of(args.get(key)) for key in ("target", "features", "categorical"))
    leaked = [n for n in target if n in given or n in categorical]
    if leaked:
        key = "features" if leaked[0] in given else "categorical"
        return Reject(key, "columns that are known beforehand", repr(leaked[0]), "it is the target, which is predicted")
    outside = [n for n in categorical if n not in given]
    if args.get("features") is not None and outside:
        return Reject("categorical", f"some of {', '.join(given)}", repr(outside[0]), "it is none of the features")
    if args.get("image") is not None:
        return _listed_reject(args)
    return _cells_reject(args)


_OF_ROWS = ("features", "categorical", "missing", "standardize")


def _listed_reject(args: Mapping[str, object]) -> Reject | None:
    """What is wrong with a table that lists pictures."""
    usual = {p.name: p.default for p in CSV.params}
    for name in _OF_ROWS:
        if args.get(name, usual[name]) not in (usual[name], [], ()):
            return Reject(name, "`image` without it", "a value", "all that is predicted from is the picture")
    if args.get("image") in names_of(args.get("target")):
        return Reject("image", "a column of its own", repr(args.get("image")), "it is the target, which is predicted")
    return _cells_reject(args)


def _cells_reject(args: Mapping[str, object]) -> Reject | None:
    delimiter = args.get("delimiter", ",")
    if isinstance(delimiter, str) and (len(delimiter) != 1 or delimiter in '"\r\n'):
        return Reject("delimiter", "one sign, such as ';'", repr(delimiter), "one sign stands between two cells")
    missing = args.get("missing", "error")
    if missing not in MISSING:
        return Reject("missing", "one of 'error', 'drop', 'mean'", repr(missing), "there is no such way")
    return None


def _names_reject(key: str, value: object, may_be_empty: bool) -> Reject | None:
    items = value if isinstance(value, (list, tuple)) else (value,)
    what = "the name of a column, or a list of names"
    wrong = next((item for item in items if not isinstance(item, str) or not item), None)
    if wrong is not None or (not items and not may_be_empty):
        return Reject(key, what, repr(wrong if items else value), "columns have names")
    twice = next((item for i, item in enumerate(items) if item in items[:i]), None)
    return None if twice is None else Reject(key, "each column once", repr(twice), "it is there twice")


def _arrays_reject(args: Mapping[str, object]) -> Reject | None:
    path, inputs, labels = args.get("path"), args.get("inputs"), args.get("labels")
    size = args.get("image_size")
    if isinstance(size, (list, tuple)) and (size[0] not in (1, 3) or min(size) < 1):
        return Reject("image_size", "(channels, height, width), with 1 or 3 channels", repr(size), "it is no picture's")
    if size is not None and isinstance(inputs, (list, tuple)) and len(inputs) != 1:
        return Reject("inputs", "the name of one array", repr(inputs), "a sample has one picture")
    items = inputs if isinstance(inputs, (list, tuple)) else () if inputs is None else (inputs,)
    if any(not isinstance(item, str) or not item for item in items):
        return Reject("inputs", "a name, or a list of names", repr(inputs), "arrays have names")
    if path is not None:
        fits = str(path).endswith(".npz")
        reason = "one file with several arrays is an npz file"
        return None if fits else Reject("path", "a file whose name ends in .npz", repr(path), reason)
    if not items:
        reason = "without an npz file, inputs and labels are npy files of their own"
        return Reject("inputs", 'as in `Arrays(inputs="x.npy", labels="y.npy")`', "nothing", reason)
    wrong = [item for item in (*items, *names_of(labels)) if not str(item).endswith(".npy")]
    if wrong:
        key = "labels" if wrong[0] is labels else "inputs"
        return Reject(key, "a file whose name ends in .npy", repr(wrong[0]), "one array is an npy file")
    return None


def compares_classes(loss: object) -> bool:
    """Whether a loss as it is checked, named or computed, compares an output with the numbers of classes."""
    computed = getattr(loss, "classes", None)
    return computed if isinstance(computed, bool) else getattr(loss, "name", None) in CLASS_LOSSES
