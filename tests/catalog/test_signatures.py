"""The catalog's data against the installed torch and torchvision, and how it is served."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision.ops

from netc import catalog
from netc.catalog import extract, versions
from netc.catalog.entry import REQUIRED, Entry, Param
from netc.catalog.unsupported import REASONS

FOLDER = Path(extract.__file__).parent
TYPE = re.compile(r"^(int|float|bool|str|int\*\d|\*?ints|floats|dtype|tensor|\*?tensors|layer|factory|any|None)$")
KINDS = {
    "layer": (catalog.layers, catalog.layer), "loss": (catalog.losses, catalog.loss),
    "function": (catalog.functions, catalog.function), "optimizer": (catalog.optimizers, catalog.optimizer),
    "scheduler": (catalog.schedulers, catalog.scheduler), "initializer": (catalog.initializers, catalog.initializer),
    "transform": (catalog.transforms, catalog.transform), "dataset": (catalog.datasets, catalog.dataset),
    "model": (catalog.models, catalog.model),
}  # fmt: skip


def all_entries() -> list[tuple[str, Entry]]:
    found = [(kind, get(name)) for kind, (names, get) in KINDS.items() for name in names()]
    return [(kind, entry) for kind, entry in found if entry is not None]


@pytest.fixture(scope="module")
def installed_is_the_catalogs() -> None:
    found = versions.installed("torch") or "", versions.installed("torchvision") or ""
    if not (found[0].startswith(versions.CATALOG_TORCH) and found[1].startswith(versions.CATALOG_TORCHVISION)):
        pytest.skip(f"the catalog was read from torch {versions.CATALOG_TORCH}, and {found} are installed")


@pytest.mark.usefixtures("installed_is_the_catalogs")
def test_the_data_is_what_torch_says() -> None:
    """After an update of torch, run `python -m netc.catalog.extract` and read the difference."""
    texts = extract.texts()
    assert texts.keys() == KINDS.keys()
    for kind, text in texts.items():
        assert (FOLDER / f"{kind}.json").read_text(encoding="utf-8") == text, f"{kind}.json is out of date"


@pytest.mark.usefixtures("installed_is_the_catalogs")
@pytest.mark.parametrize("name", [e.name for k, e in all_entries() if k == "function" and e.home != "torch.Tensor"])
def test_signatures_written_by_hand_agree_with_the_operators(name: str) -> None:
    """Names and defaults stand in one of the operator's schemas; functions in Python are read, not written."""
    entry = catalog.function(name)
    assert entry is not None
    callee = getattr(torch.nn.functional if entry.home == "torch.nn.functional" else torch, name)
    schemas = torch._C._jit_get_schemas_for_operator(f"aten::{SCHEMAS.get(name, name)}")
    if hasattr(callee, "__code__") or not schemas:
        assert name in NO_SCHEMA or hasattr(callee, "__code__"), name
        return
    arguments: dict[str, set[str]] = {}
    for schema in schemas:
        for argument in schema.arguments:
            arguments.setdefault(argument.name, set()).add(_default(argument))
    for param in entry.params:
        if param.type in ("tensor", "tensors"):
            continue
        known = arguments.get(RENAMED.get((name, param.name), param.name))
        assert known is not None, (name, param.name, sorted(arguments))
        exempt = param.default is None or (name, param.name) in DOCUMENTED
        assert exempt or _shown(param) in known, (name, param, known)


SCHEMAS = {"concat": "cat", "logsigmoid": "log_sigmoid"}
NO_SCHEMA = {"pdist"}
RENAMED = {("where", "input"): "self"}
DOCUMENTED = {
    ("round", "decimals"),
    *((name, "correction") for name in ("std", "var", "std_mean", "var_mean")),
}  # the schema leaves them to the code


def _default(argument: Any) -> str:
    return _normal(argument.default_value) if argument.has_default_value() else "required"


def _shown(param: Param) -> str:
    return "required" if param.default is REQUIRED else _normal(param.default)


def _normal(value: object) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(_normal, value)) if len(set(value)) != 1 else _normal(value[0])
    return str(float(value)) if isinstance(value, int | float) else str(value)


@pytest.mark.parametrize(("kind", "entry"), all_entries(), ids=lambda v: v if isinstance(v, str) else v.name)
def test_every_entry_is_well_formed(kind: str, entry: Entry) -> None:
    names = [p.name for p in entry.params]
    assert len(names) == len(set(names))
    for param in entry.params:
        assert all(TYPE.match(part) for part in param.type.split("|")), param
        assert param.name.isidentifier()
        assert not param.choices or "str" in param.type, param
        assert not param.choices or param.default in (*param.choices, REQUIRED, None), param
    positional = [p.default is REQUIRED for p in entry.params if not p.keyword_only]
    assert positional == sorted(positional, reverse=True) or kind == "function", names
    if entry.rule is not None:
        assert entry.rule.infers.keys() <= set(names)
        function = entry.rule.function
        if function is not None:
            assert {*function.always, *function.keywords, *function.spread} <= set(names) or kind == "layer", entry.name


def test_every_class_of_torch_nn_has_a_rule_or_a_reason() -> None:
    """A layer with a rule, a loss, or a name that the user is told why not; no name is two of these."""
    ruled = {name for name in catalog.layers() if (e := catalog.layer(name)) and e.rule is not None}
    answers = [ruled, set(catalog.losses()), set(REASONS)]
    others = {name for name in dir(torch.nn) if isinstance(getattr(torch.nn, name), type) and name[0].isupper()}
    classes = {*torch.nn.modules.__all__, *others}
    for name in classes - NOT_MODULES:
        assert sum(name in answer for answer in answers) == 1 + (name == "AdaptiveLogSoftmaxWithLoss"), name
    assert set(catalog.layers()) - ruled <= set(REASONS)
    assert not ruled & set(REASONS)
    assert set(REASONS) >= extract.NOT_LAYERS


NOT_MODULES = {"Buffer", "Parameter", "UninitializedBuffer", "UninitializedParameter"}


@pytest.mark.parametrize("name", REASONS)
def test_reasons_fit_into_an_error(name: str) -> None:
    assert any(hasattr(home, name) for home in (torch.nn, torchvision.ops))
    reason = REASONS[name]
    assert reason[0].islower()
    assert not reason.endswith(".")
    assert "\n" not in reason
    for written in re.findall(r"write `([A-Z]\w+)`", reason):
        assert catalog.layer(written) is not None, written


def test_functions_of_layers_exist_and_take_their_arguments() -> None:
    """What generated code calls: `F.max_pool2d(x, 2)`, with every parameter under a name that the function knows."""
    for name in catalog.layers():
        entry = catalog.layer(name)
        assert entry is not None
        if entry.rule is None or entry.rule.function is None:
            continue
        function = entry.rule.function
        bare = function.callee.rpartition(".")[2]
        target = catalog.function(bare)
        assert target is not None, function
        taken = [p.name for p in target.params][1:]
        required = [p.name for p in entry.params if p.default is REQUIRED and p.name not in function.keywords]
        optional = {p.name for p in entry.params} - set(required) - {"inplace", "return_indices"} - NOT_TAKEN
        assert {function.keywords.get(n, n) for n in optional} <= set(taken), (name, optional, taken)
        assert len(required) <= len(taken), name


NOT_TAKEN = {"min_value", "max_value"}  # Hardtanh's older names, which only the layer has


def test_unknown_names() -> None:
    assert catalog.layer("Conv2D") is None
    assert catalog.optimizer("Sdg") is None
    assert catalog.function("no_such_function") is None


def test_defaults() -> None:
    sgd, conv, onecycle = catalog.optimizer("SGD"), catalog.layer("Conv2d"), catalog.scheduler("OneCycleLR")
    assert sgd is not None
    assert conv is not None
    assert onecycle is not None
    assert sgd.default("momentum") == 0
    assert conv.default("padding_mode") == "zeros"
    assert conv.default("in_channels") is REQUIRED
    assert [p.name for p in conv.params[:3]] == ["in_channels", "out_channels", "kernel_size"]
    assert conv.home == "torch.nn"
    assert onecycle.params[0] == Param("max_lr", "floats", REQUIRED)
    adam = catalog.optimizer("Adam")
    assert adam is not None
    assert adam.default("betas") == (0.9, 0.999)


def test_homes_follow_the_order_of_look_up() -> None:
    homes = {n: e.home for n in ("relu", "softmax", "flatten", "cat", "view", "abs") if (e := catalog.function(n))}
    assert homes == {
        "relu": "torch.nn.functional", "softmax": "torch.nn.functional", "flatten": "torch", "cat": "torch",
        "view": "torch.Tensor", "abs": "torch",
    }  # fmt: skip


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, json; from netc import catalog; catalog.layer('Conv2d'); catalog.function('flatten');"
        "catalog.optimizer('SGD'); print(json.dumps(sorted(sys.modules)))"
    )
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    unwanted = {"torch", "torchvision", "numpy", "onnx", "inspect", "dataclasses", "pathlib", "enum_tools"}
    assert not unwanted & set(loaded)
    assert "netc.catalog.rules.reduction" not in loaded, "a family's rules are imported when they are asked for"


def test_signatures_of_layers_are_torchs() -> None:
    """A second reading, without the script: names in order."""
    for name in ("Conv2d", "BatchNorm2d", "Upsample", "Embedding", "MaxPool2d"):
        entry = catalog.layer(name)
        assert entry is not None
        theirs = [p for p in inspect.signature(getattr(torch.nn, name)).parameters if p not in ("device", "dtype")]
        assert [p.name for p in entry.params] == [p for p in theirs if not p.startswith("_")]
