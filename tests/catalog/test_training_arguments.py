"""What netc rejects in the arguments of optimizers, losses and schedulers, held against torch over whole short runs."""

from __future__ import annotations

import itertools
import random
import warnings
from typing import TYPE_CHECKING, Any

import pytest
import torch

from netc import catalog
from netc.catalog.entry import REQUIRED
from netc.catalog.training import (
    BY_LOSS,
    PER_BATCH,
    Run,
    loss_reject,
    misfits,
    optimizer_reject,
    scheduler_reject,
    total_steps,
)

if TYPE_CHECKING:
    from netc.catalog.entry import Entry, Param

OPTIMIZERS = ("SGD", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Rprop", "Adagrad", "Adadelta",
              "Adafactor", "ASGD", "Muon")  # fmt: skip
SCHEDULERS = ("StepLR", "MultiStepLR", "ExponentialLR", "ConstantLR", "LinearLR", "PolynomialLR", "CosineAnnealingLR",
              "CosineAnnealingWarmRestarts", "ReduceLROnPlateau", "OneCycleLR", "CyclicLR")  # fmt: skip
FLOATS = (-1.0, -0.1, 0, 0.0, 1e-3, 0.1, 0.5, 1, 1.0, 1.5, 30.0)
PAIRS = ((0.9, 0.99), (0, 0.5), (0.5, 1.2), (1.0, 0.9), (0.9, 1.0), (-0.1, 0.9), (1e-6, 50), (0.9,), (0.1, 0.2, 0.3))
# Needs a GPU; the groups of `floats` of schedulers have a draw of their own.
SKIPPED = {"capturable"}


def draw_value(rng: random.Random, param: Param, groups: int) -> Any:
    kinds = param.type.split("|")
    if param.choices:
        return rng.choice(param.choices)
    if "None" in kinds and rng.random() < 0.3:
        return None
    if "bool" in kinds:
        return rng.random() < 0.5
    if "int" in kinds:
        return rng.choice((-3, 0, 1, 2, 3, 4, 6, 8, 12, 20))
    if "ints" in kinds:
        return rng.choice(([1], [2, 4], [3, 3, 9], [], 2))
    if "floats" in kinds and isinstance(param.default, tuple):
        return rng.choice(PAIRS)
    if "floats" in kinds:
        return rng.choice((0.1, 0.5, [0.1] * groups, [0.1] * (groups + 1), [0.3, 0.2]))
    if param.name in ("base_momentum", "max_momentum"):
        return rng.choice((0.1, 0.8))
    return rng.choice(FLOATS)


def draw(rng: random.Random, entry: Entry, groups: int = 1) -> dict[str, Any]:
    args = {}
    for param in entry.params:
        if param.name in SKIPPED or param.type == "any":
            continue
        share = 0.95 if param.default is REQUIRED else 0.1 if param.name == "last_epoch" else 0.35
        if rng.random() < share:
            args[param.name] = draw_value(rng, param, groups)
    return args


def filled(entry: Entry, args: dict[str, Any]) -> dict[str, Any]:
    return {p.name: p.default for p in entry.params} | args


def parameters(groups: int) -> list[torch.nn.Parameter]:
    made = [torch.nn.Parameter(torch.ones(2, 3)) for _ in range(groups)]
    for parameter in made:
        parameter.grad = torch.full_like(parameter, 0.1)
    return made


def accepted(run: Any) -> bool:
    """Whether torch goes through with it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            run()
        except (ValueError, TypeError, RuntimeError, AssertionError, ZeroDivisionError, LookupError):
            return False
    return True


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name: str) -> None:
    entry = catalog.optimizer(name)
    assert entry is not None
    rng = random.Random(name)
    verdicts = set()
    for _ in range(150):
        args = draw(rng, entry)
        if name in ("Adam", "AdamW") and len(args.get("betas", ())) > 2:
            continue  # torch passes over the third, and netc says so

        def run(args: dict[str, Any] = args) -> None:
            getattr(torch.optim, name)(parameters(1), **args).step()

        reject = optimizer_reject(name, filled(entry, args))
        assert (reject is None) == accepted(run), (args, reject)
        verdicts.add(reject is None)
    assert verdicts == {True, False}


@pytest.mark.parametrize("name", ["CrossEntropyLoss", "NLLLoss", "MultiMarginLoss"])
def test_losses(name: str) -> None:
    entry = catalog.loss(name)
    assert entry is not None
    rng = random.Random(name)
    for _ in range(150):
        args = draw(rng, entry)
        args = {n: v for n, v in args.items() if n in ("label_smoothing", "p", "margin", "ignore_index")}
        if args.get("label_smoothing", 0) < 0:
            continue  # torch computes without it, and netc says so

        def run(args: dict[str, Any] = args) -> None:
            getattr(torch.nn, name)(**args)(torch.randn(4, 3), torch.tensor([0, 1, 2, 0]))

        reject = loss_reject(name, filled(entry, args))
        assert (reject is None) == accepted(run), (args, reject)


def step_through(optimizer: Any, scheduler: Any, name: str, run: Run) -> None:
    for _ in range(run.epochs):
        for _ in range(run.batches or 1):
            optimizer.step()
            if name in PER_BATCH:
                scheduler.step()
        if name in BY_LOSS:
            scheduler.step(1.0)
        elif name not in PER_BATCH:
            scheduler.step()


@pytest.mark.parametrize("name", SCHEDULERS)
def test_schedulers(name: str) -> None:
    entry = catalog.scheduler(name)
    assert entry is not None
    rng = random.Random(name)
    verdicts = set()
    for _ in range(400):
        groups = rng.choice((1, 1, 2))
        run = Run(rng.randint(1, 6), rng.randint(1, 4))
        args = draw(rng, entry, groups)
        if any(p.default is REQUIRED and p.name not in args for p in entry.params):
            continue
        if name == "OneCycleLR" and args.get("total_steps") is None and args.get("steps_per_epoch") is None:
            args.pop("epochs", None)  # as generated code does
            args["total_steps"] = run.steps(name)
        optimizer_name = rng.choice(("SGD", "Adam", "Adagrad", "RMSprop"))

        def torch_run(
            args: dict[str, Any] = args, optimizer_name: str = optimizer_name, groups: int = groups, run: Run = run
        ) -> None:
            made = [{"params": [p]} for p in parameters(groups)]
            optimizer = getattr(torch.optim, optimizer_name)(made, lr=0.1)
            scheduler = getattr(torch.optim.lr_scheduler, name)(optimizer, **args)
            step_through(optimizer, scheduler, name, run)

        whole = filled(entry, args)
        reject = scheduler_reject(name, whole, optimizer_name, optimizer_name != "Adagrad", groups, run)
        fits = reject is None
        if fits and name == "OneCycleLR":
            total, steps = total_steps(whole, run), run.steps(name)
            fits = total is not None and steps is not None and total >= steps
        assert fits == accepted(torch_run), (args, optimizer_name, groups, run, reject)
        verdicts.add(fits)
    assert verdicts == {True, False} if name != "ExponentialLR" else True in verdicts


def rates(name: str, args: dict[str, Any], run: Run) -> list[float]:
    """The rate of each epoch, or of each step where the schedule counts those."""
    optimizer = torch.optim.SGD(parameters(1), lr=1.0)
    scheduler = getattr(torch.optim.lr_scheduler, name)(optimizer, **args)
    found = []
    steps = run.steps(name)
    assert steps is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(steps):
            found.append(float(optimizer.param_groups[0]["lr"]))
            optimizer.step()
            if name in BY_LOSS:
                scheduler.step(1.0)
            else:
                scheduler.step()
    return found


EPOCHS = (2, 5, 9, 20)


@pytest.mark.parametrize("epochs", EPOCHS)
@pytest.mark.parametrize("length", [1, 2, 4, 5, 8, 9, 10, 19, 20, 21, 30])
def test_misfits_are_what_the_rates_show(epochs: int, length: int) -> None:
    """The rate of a run says whether a schedule is over, or has not begun."""
    run = Run(epochs, 3)

    def kinds(name: str, args: dict[str, Any]) -> set[str]:
        entry = catalog.scheduler(name)
        assert entry is not None
        return {m.kind for m in misfits(name, filled(entry, args), run)}

    cosine = rates("CosineAnnealingLR", {"T_max": length}, run)
    assert ("early" in kinds("CosineAnnealingLR", {"T_max": length})) == any(
        after > before + 1e-9 for before, after in itertools.pairwise(cosine)
    )
    stepped = rates("StepLR", {"step_size": length}, run)
    assert ("late" in kinds("StepLR", {"step_size": length})) == (len(set(stepped)) == 1)
    stones = rates("MultiStepLR", {"milestones": [length]}, run)
    assert ("late" in kinds("MultiStepLR", {"milestones": [length]})) == (len(set(stones)) == 1)
    falling = rates("PolynomialLR", {"total_iters": length}, run)
    assert ("early" in kinds("PolynomialLR", {"total_iters": length})) == (min(falling) < 1e-9)
    constant = rates("ConstantLR", {"total_iters": length}, run)
    assert ("late" in kinds("ConstantLR", {"total_iters": length})) == (max(constant) < 0.9)
    waiting = rates("ReduceLROnPlateau", {"patience": length}, run)
    assert ("late" in kinds("ReduceLROnPlateau", {"patience": length})) == (min(waiting) == 1.0)
    warming = rates("LinearLR", {"total_iters": length, "end_factor": 0.0}, run)
    assert ("early" in kinds("LinearLR", {"total_iters": length, "end_factor": 0.0})) == (min(warming) < 1e-9)
