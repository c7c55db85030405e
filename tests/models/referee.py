"""Compares networks of the model library with torchvision's, the one that is compiled with the one that was written.

In: a case, which names a network of a file under models/ and torchvision's builder of the same. Out: nothing, or an
assertion that says which entry, layer, weight or output differs.
Guarantees: the compiled network is the text that `netc build` writes, run as a module; nothing is compared but equal to
the bit.
Leaves to others: which cases there are, and how large the images are.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import torch
import torchvision
from torch import Tensor, nn

from netc.api import execute
from netc.compiler import analyse, emit
from netc.files import imported
from netc.render import render

MODELS = Path(__file__).resolve().parents[2] / "models"
NO_SETTINGS: Mapping[str, Any] = {}


class Case(NamedTuple):
    """A network of `models/{file}.net` and the name of torchvision's builder, as `torchvision.models.get_model` has it.

    inputs: the shape of the image (or clip) that both get, the smallest that the network takes.
    settings: what torchvision's builder is given beside `weights=None`.
    """

    file: str
    network: str
    builder: str
    inputs: tuple[int, ...] = (1, 3, 64, 64)
    settings: Mapping[str, Any] = NO_SETTINGS


class Pair(NamedTuple):
    """The compiled network and torchvision's."""

    ours: nn.Module
    theirs: nn.Module


@cache
def generated(file: str) -> ModuleType:
    """The module that netc writes for `models/{file}.net`."""
    path = MODELS / f"{file}.net"
    checked = analyse(path.read_text(encoding="utf-8"), str(path), path.stem, None, imported)
    assert checked.program is not None, "\n\n".join(render(d, checked.source) for d in checked.diagnostics)
    return execute(emit(checked.program).model, path.stem)


def ours(case: Case, **settings: Any) -> nn.Module:
    built: nn.Module = getattr(generated(case.file), case.network)(**settings)
    return built


def builder(case: Case) -> Callable[..., nn.Module]:
    found: Callable[..., nn.Module] = torchvision.models.get_model_builder(case.builder)
    return found


def theirs(case: Case, **settings: Any) -> nn.Module:
    return builder(case)(weights=None, **{**case.settings, **settings})


def built(case: Case, **settings: Any) -> Pair:
    """Both networks, each from the same seed; the settings have the same names in both."""
    torch.manual_seed(0)
    compiled = ours(case, **settings)
    torch.manual_seed(0)
    return Pair(compiled, theirs(case, **settings))


def without_data(case: Case, classes: int = 1000) -> Pair:
    """Both networks on the meta device, where a network of any size is built in no time."""
    with torch.device("meta"):
        return Pair(ours(case, classes=classes), theirs(case, num_classes=classes))


def sharing(pair: Pair) -> Pair:
    """Both networks of the meta device with one set of weights in memory, random ones of a fit spread.

    It serves networks whose only buffers are those of batch norms, and whose drawing would take too long.
    """
    noise = torch.Generator().manual_seed(1)
    state = pair.theirs.state_dict()  # with the versions of its modules
    for key, value in state.items():
        if not value.is_floating_point():
            state[key] = torch.zeros(value.shape, dtype=value.dtype)
            continue
        spread = (3 / max(1, value[0].numel())) ** 0.5 if value.dim() > 1 else 0.1
        state[key] = torch.empty(value.shape, dtype=value.dtype).uniform_(-spread, spread, generator=noise)
        if value.dim() == 1 and not key.endswith(("bias", "running_mean")):  # scales and variances
            state[key] += 1
    for model in pair:
        model.load_state_dict(state, assign=True)
    return pair


# --- structure --------------------------------------------------------------------------------------------------------


def entries(model: nn.Module) -> list[tuple[str, tuple[int, ...], torch.dtype]]:
    """The state dict without its values, in order."""
    return [(key, tuple(value.shape), value.dtype) for key, value in model.state_dict().items()]


def layers(model: nn.Module) -> dict[str, str]:
    """Torch's own layers with a state, as they describe themselves: strides, groups, epsilons, momenta."""
    return {
        path: repr(layer)
        for path, layer in model.named_modules()
        if type(layer).__module__.startswith("torch.nn.") and [*layer.parameters(False), *layer.buffers(False)]
    }


def assert_same_structure(pair: Pair) -> None:
    """The same state dict and layers; each network takes the other's state dict, strictly."""
    for place, (compiled, written) in enumerate(zip(entries(pair.ours), entries(pair.theirs), strict=False)):
        assert compiled == written, f"entry {place} of the state dict"
    assert len(entries(pair.ours)) == len(entries(pair.theirs))
    compiled_layers, written_layers = layers(pair.ours), layers(pair.theirs)
    for path, written_layer in written_layers.items():
        assert compiled_layers.get(path) == written_layer, path
    pair.ours.load_state_dict(pair.theirs.state_dict())
    pair.theirs.load_state_dict(pair.ours.state_dict())


# --- numbers ----------------------------------------------------------------------------------------------------------


def assert_same_state(pair: Pair) -> None:
    """Equal values under equal keys: as they are drawn, or as a step of training leaves them."""
    written = pair.theirs.state_dict()
    different = [key for key, value in pair.ours.state_dict().items() if not torch.equal(value, written[key])]
    assert not different, f"{len(different)} of {len(written)} tensors differ: {different[:5]}"


@torch.no_grad()
def unsettle(pair: Pair) -> None:
    """Give both the same values where they begin constant, so that no bias or running mean of zero hides a mistake."""
    state = pair.theirs.state_dict()
    noise = torch.Generator().manual_seed(1)
    for value in state.values():
        if value.is_floating_point() and value.numel() and bool((value == value.flatten()[0]).all()):
            value.add_(torch.rand(value.shape, generator=noise), alpha=0.1)
    pair.ours.load_state_dict(state)


def results(output: Any) -> dict[str, Tensor]:
    """The outputs by name; a lone tensor has none. What exists only in training is left out where it is None."""
    if isinstance(output, Tensor):
        return {"": output}
    named: Mapping[str, Any] = output if isinstance(output, Mapping) else output._asdict()
    return {name: value for name, value in named.items() if value is not None}


@torch.no_grad()
def assert_same_numbers(case: Case) -> Pair:
    """Equal weights from the same seed, and equal results of a random input."""
    pair = built(case)
    assert_same_state(pair)
    unsettle(pair)
    assert_same_outputs(pair, case.inputs)
    return pair


def assert_same_outputs(pair: Pair, inputs: tuple[int, ...], *, training: bool = False) -> None:
    """Equal results for one random input; in training from the same seed, with what that leaves in the buffers."""
    image = torch.randn(inputs, generator=torch.Generator().manual_seed(2))
    answers = []
    for model in pair:
        model.train(training)
        torch.manual_seed(3)
        answers.append(results(model(image)))
    compiled, written = answers
    if len(compiled) == len(written) == 1:
        compiled, written = ({"": next(iter(answer.values()))} for answer in answers)
    assert compiled.keys() == written.keys()
    for name, value in written.items():
        assert bool(value.isfinite().all()), name
        assert torch.equal(compiled[name], value), name
    assert_same_state(pair)


# --- length -----------------------------------------------------------------------------------------------------------


def program_lines(file: str) -> int:
    """The lines of `models/{file}.net` without comments and blank ones."""
    lines = (MODELS / f"{file}.net").read_text(encoding="utf-8").splitlines()
    return sum(1 for line in lines if line.strip() and not line.strip().startswith("#"))


def torchvision_lines(case: Case) -> int:
    """The lines of torchvision's file for it, without tables of weights, docstrings, comments and blank ones."""
    text = Path(inspect.getfile(inspect.unwrap(builder(case)))).read_text(encoding="utf-8")
    dropped: set[int] = set()
    for item in ast.walk(ast.parse(text)):
        if isinstance(item, ast.ClassDef) and "WeightsEnum" in [ast.unparse(base) for base in item.bases]:
            dropped.update(range(item.lineno, (item.end_lineno or item.lineno) + 1))
        if isinstance(item, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(item) is not None:
            docstring = item.body[0]
            dropped.update(range(docstring.lineno, (docstring.end_lineno or docstring.lineno) + 1))
    lines = enumerate(text.splitlines(), 1)
    return sum(1 for number, line in lines if number not in dropped and line.strip() and line.strip()[0] != "#")
