"""What torch and torchvision have: layers, functions, losses, optimizers, schedulers, initialisers, transforms, sets.

In: a name. Out: its `Entry`, with its rule where shapes can be followed, or None where there is no such name.
Guarantees: nothing of torch is imported; a kind's file is read when one of its names is first asked for, a family's
rules when one of its layers is.
Leaves to others: the facts about data sets and transforms (`data`), and which version of torch is there (`versions`).
"""

from __future__ import annotations

import json
from os.path import dirname, join

from netc.catalog.entry import REQUIRED, Entry, LayerValue, Param
from netc.catalog.rules import of

_FOLDER = dirname(__file__)
_raw: dict[str, tuple[dict[str, list[object]], dict[str, str]]] = {}
_entries: dict[tuple[str, str], Entry | None] = {}


def layer(name: str) -> Entry | None:
    """A layer of torch.nn, such as "Conv2d"."""
    return _entry("layer", name)


def function(name: str) -> Entry | None:
    """A function of torch.nn.functional or torch, or a tensor's method, such as "flatten"; `home` says which."""
    return _entry("function", name)


def loss(name: str) -> Entry | None:
    """A loss of torch.nn, such as "CrossEntropyLoss"."""
    return _entry("loss", name)


def optimizer(name: str) -> Entry | None:
    """An optimizer of torch.optim, without the parameters that it is given."""
    return _entry("optimizer", name)


def scheduler(name: str) -> Entry | None:
    """A scheduler of torch.optim.lr_scheduler, without the optimizer that it is given."""
    return _entry("scheduler", name)


def initializer(name: str) -> Entry | None:
    """An initialiser of torch.nn.init, such as "kaiming_normal_", without the tensor that it fills."""
    return _entry("initializer", name)


def transform(name: str) -> Entry | None:
    """A transform of torchvision.transforms.v2, such as "Resize"."""
    return _entry("transform", name)


def dataset(name: str) -> Entry | None:
    """A data set of torchvision.datasets, such as "MNIST", without its transforms."""
    return _entry("dataset", name)


def model(name: str) -> Entry | None:
    """A model of torchvision, such as "vgg16"; `home` is the module that has its builder."""
    return _entry("model", name)


def model_class(name: str) -> str:
    """The class that a model of torchvision is an instance of, as generated code names it: `models.VGG`."""
    return str(_facts(name)[0])


def model_weights(name: str) -> dict[str, str]:
    """The enumerations behind the arguments of a model that take weights: {"weights": "models.VGG16_Weights"}."""
    found = _facts(name)[1]
    assert isinstance(found, dict)
    return found


def models() -> list[str]:
    """The names of all models of torchvision that netc builds, sorted."""
    return _names("model")


def layers() -> list[str]:
    """The names of all layers, sorted."""
    return _names("layer")


def functions() -> list[str]:
    """The names of all functions, sorted."""
    return _names("function")


def losses() -> list[str]:
    """The names of all losses, sorted."""
    return _names("loss")


def optimizers() -> list[str]:
    """The names of all optimizers, sorted."""
    return _names("optimizer")


def schedulers() -> list[str]:
    """The names of all schedulers, sorted."""
    return _names("scheduler")


def initializers() -> list[str]:
    """The names of all initialisers, sorted."""
    return _names("initializer")


def transforms() -> list[str]:
    """The names of all transforms, sorted."""
    return _names("transform")


def datasets() -> list[str]:
    """The names of all data sets of torchvision, sorted."""
    return _names("dataset")


def _facts(name: str) -> list[object]:
    with open(join(_FOLDER, "model.json"), encoding="utf-8") as file:
        found: list[object] = json.load(file)["facts"][name]
    return found


def _kind(kind: str) -> tuple[dict[str, list[object]], dict[str, str]]:
    """The entries of a kind by name, and the families of those that have rules."""
    if kind not in _raw:
        with open(join(_FOLDER, f"{kind}.json"), encoding="utf-8") as file:
            data = json.load(file)
        _raw[kind] = data["entries"], data["rules"]
    return _raw[kind]


def _names(kind: str) -> list[str]:
    return list(_kind(kind)[0])


def _entry(kind: str, name: str) -> Entry | None:
    key = kind, name
    if key not in _entries:
        entries, families = _kind(kind)
        packed = entries.get(name)
        _entries[key] = None if packed is None else _unpacked(kind, name, packed, families.get(name))
    return _entries[key]


def _unpacked(kind: str, name: str, packed: list[object], family: str | None) -> Entry:
    home, *params = packed
    rule = None if family is None else of(family, kind)[name]
    return Entry(name, str(home), tuple(map(_param, params)), rule)


def _param(packed: object) -> Param:
    assert isinstance(packed, list)
    name, type_, *rest = packed
    default = _frozen(rest[0]) if rest else REQUIRED
    choices = tuple(rest[1]) if len(rest) > 1 else ()
    if type_.startswith("factory") and isinstance(default, str):
        made = layer(default)
        assert made is not None, default
        default = LayerValue(made)
    return Param(name.lstrip("*"), type_, default, name.startswith("*"), choices)


def _frozen(value: object) -> object:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
