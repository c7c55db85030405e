"""Reads names, parameters, types, defaults and homes out of the installed torch and torchvision.

In: the installed packages and the hand-written table of `builtin_signatures`. Out: one JSON file for each kind, beside
this module. Run as `python -m netc.catalog.extract`; never imported by a compilation, since it imports torch.
Guarantees: the same packages give the same bytes; a default that JSON can't hold is an error, not a loss.
Leaves to others: what a layer does to shapes (`rules`), and the facts about data sets and transforms.

Left out on purpose: parameters that the compiler supplies (an optimizer's parameters, a scheduler's optimizer, a data
set's transforms), `device` and `dtype` of layers (the run chooses them), private ones, and those that torch deprecates.
"""

from __future__ import annotations

import ast
import enum
import importlib.metadata
import inspect
import json
import re
import types
import typing
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import torchvision.datasets
import torchvision.ops
from torch import Tensor, nn
from torch.nn import functional, init, modules
from torch.optim import lr_scheduler
from torchvision.transforms import v2

from netc.catalog import builtin_signatures as by_hand
from netc.catalog import extract_models, rules, unsupported
from netc.catalog.entry import REQUIRED, Param

Signatures = dict[str, tuple[str, list[Param]]]

SUPPLIED = {
    "layer": {"device", "dtype"},
    "loss": {"device", "dtype", "size_average", "reduce"},
    "function": {"out", "size_average", "reduce"},
    "optimizer": {"params"},
    "scheduler": {"optimizer"},
    "initializer": {"tensor", "generator"},
    "transform": set[str](),
    "dataset": {"transform", "target_transform", "transforms"},
}

NOT_LAYERS = {
    "Container", "LinearCrossEntropyOptions", "Module", "ModuleDict", "ModuleList", "NLLLoss2d", "ParameterDict",
    "ParameterList", "RNNBase", "RNNCellBase", "Sequential",
}  # fmt: skip
NOT_FUNCTIONS = {
    "adaptive_max_pool1d_with_indices", "assert_int_or_pair", "boolean_dispatch", "grouped_mm", "handle_torch_function",
    "has_torch_function", "multi_head_attention_forward", "scaled_addmm", "scaled_grouped_mm", "scaled_mm", "upsample",
    "upsample_bilinear", "upsample_nearest",
}  # fmt: skip

# What annotations don't tell. A key is a parameter, or "Name.parameter"; `*N` takes N from the digit in the name.
TYPES = {
    "kernel_size": "int*N", "stride": "int*N", "padding": "int*N", "output_padding": "int*N", "dilation": "int*N",
    "Fold.kernel_size": "int*2", "Fold.stride": "int*2", "Fold.padding": "int*2", "Fold.dilation": "int*2",
    "Fold.output_size": "int*2", "fold.output_size": "int*2",
    "Unfold.kernel_size": "int*2", "Unfold.stride": "int*2", "Unfold.padding": "int*2", "Unfold.dilation": "int*2",
    "fold.kernel_size": "int*2", "fold.stride": "int*2", "fold.padding": "int*2", "fold.dilation": "int*2",
    "unfold.kernel_size": "int*2", "unfold.stride": "int*2", "unfold.padding": "int*2", "unfold.dilation": "int*2",
    "output_size": "int*N|None", "max_unpool1d.output_size": "ints|None", "max_unpool2d.output_size": "ints|None",
    "max_unpool3d.output_size": "ints|None", "output_ratio": "floats|None",
    "adaptive_max_pool1d.output_size": "int*1",
    "AdaptiveAvgPool1d.output_size": "int*1", "AdaptiveMaxPool1d.output_size": "int*1",
    "ConstantPad1d.padding": "int*2", "ConstantPad2d.padding": "int*4", "ConstantPad3d.padding": "int*6",
    "MultiheadAttention.embed_dim": "int", "MultiheadAttention.num_heads": "int", "MultiheadAttention.kdim": "int|None",
    "MultiheadAttention.vdim": "int|None", "custom_encoder": "layer|None", "custom_decoder": "layer|None",
    "fractional_max_pool2d.kernel_size": "int*2",
    "interpolate.size": "ints|None", "interpolate.scale_factor": "floats|None", "lp_pool1d.norm_type": "float",
    "lp_pool1d.kernel_size": "int", "LPPool1d.kernel_size": "int",
    "normalize.dim": "int", "dtype": "dtype|None", "ConvertImageDtype.dtype": "dtype", "Pad.padding": "ints",
    "RandomCrop.padding": "ints|None", "Identity.args": "any", "GaussianBlur.kernel_size": "ints",
    "log_softmax.dtype": "dtype|None", "softmax.dtype": "dtype|None", "softmin.dtype": "dtype|None",
    "gumbel_softmax.dim": "int", "clip": "bool", "labels_getter": "any", "activation": "str",
    "Imagenette.download": "bool", "DatasetFolder.loader": "any", "ElasticTransform.alpha": "floats",
    "RandomResizedCrop.ratio": "floats", "degrees": "floats", "interpolation": "str", "policy": "str",
    "ToDtype.dtype": "dtype", "smooth_l1_loss.beta": "float", "sigmoid.input": "tensor", "tanh.input": "tensor",
    "SqueezeExcitation.activation": "factory",
    "MLP.norm_layer": "factory|None", "Conv2dNormActivation.norm_layer": "factory|None",
    "Conv3dNormActivation.norm_layer": "factory|None", "MLP.activation_layer": "factory|None",
    "Conv2dNormActivation.activation_layer": "factory|None", "Conv3dNormActivation.activation_layer": "factory|None",
    "scale_activation": "factory", "RoIAlign.output_size": "int*2", "RoIPool.output_size": "int*2",
    "PSRoIAlign.output_size": "int*2", "PSRoIPool.output_size": "int*2", "DeformConv2d.kernel_size": "int*2",
    "DeformConv2d.stride": "int*2", "DeformConv2d.padding": "int*2", "DeformConv2d.dilation": "int*2",
    "softsign.input": "tensor", "tanhshrink.input": "tensor", "LinearCrossEntropyLoss.options": "any",
}  # fmt: skip

MODES = ("nearest", "linear", "bilinear", "bicubic", "trilinear", "area", "nearest-exact")
CHOICES = {
    "KLDivLoss.reduction": ("none", "batchmean", "mean", "sum"),
    "reduction": ("none", "mean", "sum"), "approximate": ("none", "tanh"), "Upsample.mode": MODES,
    "interpolate.mode": MODES, "pad.mode": ("constant", "reflect", "replicate", "circular"),
    "EmbeddingBag.mode": ("sum", "mean", "max"), "RNN.nonlinearity": ("tanh", "relu"),
    "RNNCell.nonlinearity": ("tanh", "relu"),
    "EMNIST.split": ("byclass", "bymerge", "balanced", "letters", "digits", "mnist"),
    "QMNIST.what": ("train", "test", "test10k", "test50k", "nist"), "indexing": ("ij", "xy"),
    "interpolation": ("nearest", "nearest-exact", "bilinear", "bicubic", "box", "hamming", "lanczos"),
    "policy": ("imagenet", "cifar10", "svhn"),
    "grid_sample.mode": ("bilinear", "nearest", "bicubic"),
    "grid_sample.padding_mode": ("zeros", "border", "reflection"),
    "TransformerEncoderLayer.activation": ("relu", "gelu"), "TransformerDecoderLayer.activation": ("relu", "gelu"),
    "Transformer.activation": ("relu", "gelu"),
}  # fmt: skip


def read() -> dict[str, Signatures]:
    """Every kind of name with its signatures, `{kind: {name: (home, parameters)}}`."""
    losses = {n for n in modules.__all__ if n.endswith("Loss")} - NOT_LAYERS
    layers = {n for n in modules.__all__ if not n.startswith("Lazy")} - NOT_LAYERS - losses
    return {
        "layer": _of(torchvision.ops, _classes_of_ops(), "layer") | _of(nn, layers, "layer", by_hand.LAYERS),
        "loss": _of(nn, losses, "loss"),
        "function": _functions(),
        "optimizer": _of(torch.optim, _classes(torch.optim, "Optimizer"), "optimizer"),
        "scheduler": _of(lr_scheduler, _schedulers(), "scheduler"),
        "initializer": _of(init, (n for n in dir(init) if n.endswith("_") and not n.startswith("_")), "initializer"),
        "transform": _of(v2, _transforms(), "transform"),
        "dataset": _of(torchvision.datasets, _datasets(), "dataset", by_hand.DATASETS),
    }


def write(folder: Path) -> None:
    """Write `<kind>.json` for each kind."""
    for kind, text in texts().items():
        (folder / f"{kind}.json").write_text(text, encoding="utf-8")


def texts() -> dict[str, str]:
    """The content of each kind's file, one name a line."""
    head = f'"torch":"{_version("torch")}","torchvision":"{_version("torchvision")}"'
    files = {}
    for kind, signatures in read().items():
        rule_families = f'"rules":{_json(_families(kind, signatures))}'
        lines = (f'"{name}":{_json([home, *map(_packed, ps)])}' for name, (home, ps) in sorted(signatures.items()))
        files[kind] = f'{{{head},{rule_families},"entries":{{\n' + ",\n".join(lines) + "\n}}\n"
    return files | {"model": extract_models.text(head)}


def _families(kind: str, names: Signatures) -> dict[str, str]:
    """The family of each name that has a rule; a rule without a signature is an error."""
    if kind not in ("layer", "function"):
        return {}
    families = {name: family for family in rules.FAMILIES for name in rules.of(family, kind)}
    assert families.keys() <= names.keys(), families.keys() - names.keys()
    return dict(sorted(families.items()))


def _version(package: str) -> str:
    return importlib.metadata.version(package).split("+")[0]


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True)


def _packed(p: Param) -> list[object]:
    """`[name, type]`, then the default and the choices where there are any; `*` marks what only a keyword gives."""
    packed: list[object] = [("*" if p.keyword_only else "") + p.name, p.type]
    if p.default is not REQUIRED:
        packed.append(p.default)
        if p.choices:
            packed.append(p.choices)
    return packed


def _classes(module: types.ModuleType, base: str) -> Iterator[str]:
    for name in module.__all__:
        found = getattr(module, name)
        if isinstance(found, type) and issubclass(found, getattr(module, base)) and name != base:
            yield name


def _classes_of_ops() -> Iterator[str]:
    for name in torchvision.ops.__all__:
        found = getattr(torchvision.ops, name)
        if isinstance(found, type) and issubclass(found, nn.Module) and name not in unsupported.REASONS:
            yield name


def _schedulers() -> set[str]:
    return {n for n in lr_scheduler.__all__ if n != "LRScheduler"}


def _transforms() -> Iterator[str]:
    for name in dir(v2):
        if isinstance(found := getattr(v2, name), type) and issubclass(found, nn.Module) and name != "Transform":
            yield name


def _datasets() -> set[str]:
    found = {n for n in torchvision.datasets.__all__ if isinstance(getattr(torchvision.datasets, n), type)}
    return found - {"VisionDataset", "LSUNClass"}


def _of(module: types.ModuleType, names: Iterable[str], kind: str, hand: str = "") -> Signatures:
    written = dict(_parsed(hand))
    home = module.__name__
    return {n: (home, written[n] if n in written else _signature(n, getattr(module, n), kind)) for n in sorted(names)}


def _functions() -> Signatures:
    """By the order of look-up: torch.nn.functional, then torch, then the methods of a tensor."""
    found: Signatures = {}
    one = [Param("input", "tensor", REQUIRED)]
    found |= {n: ("torch.Tensor", ps) for n, ps in _parsed(by_hand.TENSOR)}
    found |= {n: ("torch", ps) for n, ps in _parsed(by_hand.TORCH)}
    for name in by_hand.BINARY.split():
        other = "float|tensor" if name in by_hand.NUMBER_OPERAND.split() else "tensor"
        found[name] = ("torch", [*one, Param("other", other, REQUIRED)])
    home = functional.__name__
    for name in dir(functional):
        if _is_function(name):
            found[name] = (home, _signature(name, getattr(functional, name), "function"))
    found |= {n: (home, ps) for n, ps in _parsed(by_hand.FUNCTIONAL)}
    for name in by_hand.UNARY.split():  # torch.sigmoid and torch.tanh are what torch's own layers call
        if name not in found or name in ("sigmoid", "tanh"):
            found[name] = ("torch", one)
    return found


def _is_function(name: str) -> bool:
    found = getattr(functional, name)
    private = name.startswith("_") or name.endswith(("_", "_with_indices")) or name in NOT_FUNCTIONS
    return not private and isinstance(found, types.FunctionType) and found.__module__ == functional.__name__


def _parsed(text: str) -> Iterator[tuple[str, list[Param]]]:
    for entry in re.findall(r"^\S.*(?:\n\s+.*)*", text, re.MULTILINE):
        function = ast.parse(f"def {entry}: pass").body[0]
        assert isinstance(function, ast.FunctionDef)
        yield function.name, list(_hand_params(function))


def _hand_params(function: ast.FunctionDef) -> Iterator[Param]:
    given = function.args
    absent = [None] * (len(given.args) - len(given.defaults))
    for arg, default in zip(given.args, [*absent, *given.defaults], strict=True):
        yield _hand_param(function.name, arg, default)
    if given.vararg is not None:
        assert given.vararg.annotation is not None
        yield Param(given.vararg.arg, f"*{ast.unparse(given.vararg.annotation)}", REQUIRED)
    for arg, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        yield _hand_param(function.name, arg, default)._replace(keyword_only=True)


def _hand_param(name: str, arg: ast.arg, default: ast.expr | None) -> Param:
    assert arg.annotation is not None
    kind = ast.unparse(arg.annotation).replace(" ", "")
    value = REQUIRED if default is None else ast.literal_eval(default)
    return Param(arg.arg, kind, value, choices=_choices(name, arg.arg, ()))


def _signature(name: str, callee: Any, kind: str) -> list[Param]:
    if inspect.signature(callee).parameters.keys() == {"args", "kwargs"}:  # F.max_pool2d, dispatched on a flag
        callee = getattr(functional, f"{name}_with_indices", callee)
    found = []
    for p in inspect.signature(callee).parameters.values():
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) or p.name.startswith("_") or p.name in SUPPLIED[kind]:
            continue
        default = REQUIRED if p.default is p.empty else _literal(p.default)
        annotation = _evaluated(p.annotation, inspect.getmodule(callee))
        type_, literals = _classify(name, p.name, annotation, default)
        choices = _choices(name, p.name, literals)
        found.append(Param(p.name, type_, default, p.kind is p.KEYWORD_ONLY, choices))
    return found


def _evaluated(annotation: Any, module: types.ModuleType | None) -> Any:
    """An annotation that is a text, with the names that exist for type checkers only."""
    if not isinstance(annotation, str):
        return annotation
    for_checkers = {"Iterable": Iterable, "Sequence": Sequence, "LinearCrossEntropyOptions": object}
    return eval(annotation, {**vars(typing), **for_checkers, **vars(module or typing)})


def _choices(name: str, param: str, literals: tuple[str, ...]) -> tuple[str, ...]:
    return CHOICES.get(f"{name}.{param}") or literals or CHOICES.get(param, ())


def _literal(default: object) -> object:
    if isinstance(default, enum.Enum):
        return default.value
    if isinstance(default, type) and issubclass(default, nn.Module):
        return default.__name__
    if isinstance(default, torch.dtype):
        return str(default).removeprefix("torch.")
    if isinstance(default, types.FunctionType):
        return None if default.__name__ == "default_loader" else default.__name__
    if isinstance(default, tuple):
        return tuple(map(_literal, default))
    if default is None or isinstance(default, int | float | str):
        return default
    return None if type(default).__name__ == "LinearCrossEntropyOptions" else _fail(default)


def _fail(default: object) -> object:
    raise TypeError(f"the catalog can't hold the default {default!r}")


def _classify(name: str, param: str, annotation: Any, default: object) -> tuple[str, tuple[str, ...]]:
    hand = TYPES.get(f"{name}.{param}") or (TYPES.get(param) if _is_vague(annotation, param) else None)
    if hand is not None:
        digits = "".join(c for c in name if c.isdigit()) or "1"
        allows_none = default is None and "None" not in hand
        return hand.replace("*N", f"*{digits}") + ("|None" if allows_none else ""), ()
    if annotation is inspect.Parameter.empty or annotation is types.NoneType:
        return _by_default(default), ()
    found = list(dict.fromkeys(_kinds(annotation)))
    if default is None and "None" not in found and found != ["any"]:
        found.append("None")
    return _merged(found), _literals(annotation)


def _is_vague(annotation: Any, param: str) -> bool:
    """Whether the annotation alone tells less than the table: missing, open in length, or an enumeration."""
    kinds = set(_kinds(annotation)) if annotation is not inspect.Parameter.empty else {"any"}
    return annotation in (None, types.NoneType) or bool(kinds & {"any", "ints"}) or param in ("policy", "activation")


def _by_default(default: object) -> str:
    for kind in (bool, int, float, str):
        if isinstance(default, kind):
            return kind.__name__
    return "any"


def _kinds(annotation: Any) -> Iterator[str]:
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    plain = {int: "int", float: "float", bool: "bool", str: "str", Tensor: "tensor", torch.dtype: "dtype", Path: "str",
             types.NoneType: "None", None: "None", torch.Size: "ints"}  # fmt: skip
    if origin is typing.Literal:
        yield "str"
    elif origin in (typing.Union, types.UnionType):
        for arg in args:
            yield from _kinds(arg)
    elif origin in (tuple, list, Sequence, Iterable):
        yield _sequence([a for a in args if a is not ...], fixed=origin is tuple and ... not in args)
    elif isinstance(annotation, type) and issubclass(annotation, nn.Module):
        yield "layer"
    else:
        yield plain.get(annotation, "any")


def _sequence(args: list[Any], *, fixed: bool) -> str:
    element = {kind for arg in args for kind in _kinds(arg)} - {"None", "tensor"}
    if element == {"int"}:
        return f"int*{len(args)}" if fixed else "ints"
    return "floats" if element <= {"int", "float"} and element else "any"


def _merged(kinds: list[str]) -> str:
    """Alternatives joined, those left out that another one covers."""
    several = [k for k in kinds if k.startswith("int*")]
    if several or "ints" in kinds:
        kinds = [k for k in kinds if k != "int" and not ("ints" in kinds and k in several)]
    if "floats" in kinds:
        kinds = [k for k in kinds if k not in ("int", "float", "ints")]
    if "float" in kinds:
        kinds = [k for k in kinds if k != "int"]
    if "any" in kinds:
        kinds = ["any"]
    return "|".join(sorted(kinds, key=lambda k: (k == "None", k == "str")))


def _literals(annotation: Any) -> tuple[str, ...]:
    args = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Literal:
        return tuple(a for a in args if isinstance(a, str))
    return next((found for a in args if (found := _literals(a))), ())


if __name__ == "__main__":
    write(Path(__file__).parent)
