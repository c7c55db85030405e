"""The pages on data and training list every setting with its type, its real default and its unit, and show each.

A table of settings begins with `setting`; one of a call's arguments with the names that take them. The default that
stands there is held against the value that the compiler gives a setting which isn't there. That the examples check is
held by test_docs.py.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from netc import catalog
from netc.catalog import data_fields
from netc.catalog.entry import REQUIRED
from netc.catalog.settings import SETTINGS
from netc.checker.samplers import SAMPLERS
from netc.checker.train_options import CHECKPOINT, EARLY_STOPPING
from netc.compiler import analyse
from tests.docs.blocks import ROOT, blocks

if TYPE_CHECKING:
    from netc.catalog.entry import Entry

PAGES = {"data": ROOT / "docs/data.md", "train": ROOT / "docs/training.md"}
HEAD = ["type", "default", "unit", "meaning"]
PICTURES = ("MNIST", "FashionMNIST", "KMNIST", "EMNIST", "QMNIST", "CIFAR10", "CIFAR100", "ImageFolder", "FakeData")
CALLS: dict[str, tuple[str, Entry]] = {
    **{name: ("data", data_fields.ENTRIES[name]) for name in ("CSV", "Arrays")},
    **{name: ("data", entry) for name in PICTURES if (entry := catalog.dataset(name)) is not None},
    **{name: ("data", entry) for name, entry in SAMPLERS.items()},
    "EarlyStopping": ("train", EARLY_STOPPING),
    "Checkpoint": ("train", CHECKPOINT),
}
# Arguments that torchvision has, and that may not be given another value than their default.
FIXED = {("ImageFolder", "loader"), ("ImageFolder", "is_valid_file"), ("QMNIST", "compat")}
MINIMAL = """
network Net {
  input x: [N, 1, 8, 8]
  Flatten -> fc: Linear(10)
}
data {
  train = Digits()
  transform = ToTensor
  batch_size = 8
}
train {
  loss = CrossEntropyLoss
  optimizer = SGD(lr=0.1)
  epochs = 1
}
"""


class Row(NamedTuple):
    """What a table says of a setting."""

    type: str
    default: str
    unit: str
    meaning: str


def tables(section: str) -> dict[tuple[str, str], Row]:
    """The rows of a page: by "setting" or the name of a call, and the name of the setting."""
    found: dict[tuple[str, str], Row] = {}
    names: list[str] = []
    for line in PAGES[section].read_text(encoding="utf-8").split("\n"):
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells[1:] == HEAD:
            names = re.findall(r"`(\w+)`", cells[0]) or [cells[0]]
        elif len(cells) == 5 and names and not set(cells[0]) <= set("-: "):
            (setting,) = re.findall(r"^`(\w+)`$", cells[0])
            for name in names:
                assert (name, setting) not in found, f"`{setting}` of {name} stands twice"
                found[name, setting] = Row(*cells[1:])
        elif not cells:
            names = []
    return found


def shown(section: str) -> str:
    """The examples of a page."""
    return "\n".join(
        block.text for block in blocks(PAGES[section]) if block.language == "net" and "wrong" not in block.marks
    )


def says(default: str, value: Any) -> bool:
    """Whether a cell begins with a default; where there is none, it may say in words what happens then."""
    if value is REQUIRED:
        return default.startswith("required")
    if value in (None, "", ()):
        return re.match(r"none\b|by\b", default) is not None
    literal = f'"{value}"' if isinstance(value, str) else repr(value)
    return default.startswith(f"`{literal}`")


def unset(section: str, setting: str) -> Any:
    """The value of a setting that isn't there; `REQUIRED` where it has to be."""
    line = rf"(?m)^  {setting} = .*\n"
    checked = analyse(re.sub(line, "", MINIMAL), "net.net", "net")
    if checked.program is None:
        said = [d.message for d in checked.diagnostics]
        assert any(setting in text for text in said), said
        return REQUIRED
    data, train = checked.program.data, checked.program.train
    assert data is not None
    assert train is not None
    if section == "data":
        return getattr(data, setting)
    # what is trained is part of the program
    return None if setting == "network" else getattr(train if hasattr(train, setting) else train.options, setting)


@pytest.mark.parametrize(("section", "setting"), [(s, n) for s, names in SETTINGS.items() for n in names])
def test_settings(section: str, setting: str) -> None:
    row = tables(section).get(("setting", setting))
    assert row is not None, f"no table of {PAGES[section].name} has `{setting}`"
    assert all(row), row
    if setting == "transform":  # without which the images of the example don't fit
        assert row.default == "none"
    else:
        assert says(row.default, unset(section, setting)), (row.default, unset(section, setting))
    assert re.search(rf"(?m)(^|[{{;]) *{setting} *= ", shown(section)), f"no example has `{setting}`"


@pytest.mark.parametrize("name", CALLS)
def test_arguments(name: str) -> None:
    section, entry = CALLS[name]
    found = {setting: row for (call, setting), row in tables(section).items() if call == name}
    assert [*found] == [p.name for p in entry.params if (name, p.name) not in FIXED] or name in PICTURES
    assert {*found} == {p.name for p in entry.params if (name, p.name) not in FIXED}
    calls = re.findall(rf"\b{name}\(((?:[^()]|\([^()]*\))*)\)", shown(section))
    for i, param in enumerate(entry.params):
        if (name, param.name) in FIXED:
            continue
        row = found[param.name]
        assert all(row), row
        assert says(row.default, param.default), (param.name, row.default, param.default)
        like = CALLS_ALIKE.get(name, ())
        others = [c for other in like for c in re.findall(rf"\b{other}\(((?:[^()]|\([^()]*\))*)\)", shown(section))]
        assert any(
            re.search(rf"\b{param.name} *=", call) or (i == 0 and re.match(r"\s*([\"\d\[(]|range)", call))
            for call in (*calls, *others)
        ), f"no example gives `{param.name}` of {name}"


# Sets that share their arguments, of which the examples show one.
_KIN = ("MNIST", "FashionMNIST", "KMNIST", "CIFAR10", "CIFAR100", "EMNIST", "QMNIST")
CALLS_ALIKE = dict.fromkeys(_KIN, _KIN)


def test_no_table_has_a_setting_that_is_none() -> None:
    for section, names in SETTINGS.items():
        own = {setting for name, setting in tables(section) if name == "setting"}
        assert own == set(names)
        assert {name for name, _ in tables(section)} - {"setting"} == {
            name for name, (where, entry) in CALLS.items() if where == section and entry.params
        }


@pytest.mark.parametrize(
    ("default", "value", "right"),
    [
        ("`20`", 20, True), ("20", 20, False), ("`20`", 2, False), ("`True`", True, True), ("`False`", True, False),
        ("none", None, True), ("none", 0, False), ("`0`", None, False), ("required", REQUIRED, True),
        ('`","`', ",", True), ("`0.0`", 0, False),
    ],
)  # fmt: skip
def test_a_default_that_is_another_is_seen(default: str, value: Any, right: bool) -> None:
    assert says(default, value) is right
