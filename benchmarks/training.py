"""Forward and backward of compiled networks beside torchvision's, in one run.

In: nothing, or the names of networks. Out: a table of median times and ratios on the terminal; with `--check`, exit
code 1 where a compiled network is slower than its reference.
Guarantees: the compiled network, the reference and a second copy of the reference take their steps in turn, each round
in another order, with the same weights, images and seed; a ratio is the median over the rounds of the ratio within a
round, so that a slow minute of the machine falls on all three.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

import torch
import torchvision
from torch import Tensor, nn

from netc.api import execute
from netc.compiler import analyse, emit
from netc.files import imported

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[1]
ROUNDS = 40
LIMIT = 1.05  # of the ratio to the reference, or
MARGIN = 0.02  # that much above the ratio of the reference to itself
PARTS = ("forward", "backward")


class Contest(NamedTuple):
    """A network of `models/{file}.net`, torchvision's builder, the images, and what gives both a smaller one."""

    file: str
    builder: str
    images: tuple[int, ...]
    size: dict[str, int]
    their_size: dict[str, int]


CONTESTS = {
    "ResNet18": Contest("resnet", "resnet18", (4, 3, 96, 96), {}, {}),
    "ViT_B_16": Contest("vit", "vit_b_16", (2, 3, 64, 64), {"size": 64}, {"image_size": 64}),
    "MobileNetV3Large": Contest("mobilenet_v3", "mobilenet_v3_large", (4, 3, 96, 96), {}, {}),
}


def compiled(file: str) -> Callable[..., nn.Module]:
    """Every network of the file by its name, from the text that `netc build` writes."""
    path = ROOT / "models" / f"{file}.net"
    checked = analyse(path.read_text(encoding="utf-8"), str(path), path.stem, None, imported)
    if checked.program is None:
        sys.exit(f"{path} has mistakes: {checked.diagnostics[0].message}")
    module = execute(emit(checked.program).model, path.stem)
    return lambda name, **size: getattr(module, name)(**size)


def contestants(name: str, device: str) -> dict[str, nn.Module]:
    """The compiled network, the reference, and the reference again, with equal weights and in training."""
    contest = CONTESTS[name]
    build = torchvision.models.get_model_builder(contest.builder)
    models = {
        "compiled": compiled(contest.file)(name, **contest.size),
        "torchvision": build(weights=None, **contest.their_size),
        "torchvision again": build(weights=None, **contest.their_size),
    }
    state = models["torchvision"].state_dict()
    for model in models.values():
        model.load_state_dict(state)
        model.to(device).train()
    return models


def now(device: str) -> float:
    """The time, once all that was asked of the device is done."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return perf_counter()


def step(model: nn.Module, images: Tensor, labels: Tensor, device: str) -> tuple[float, float]:
    """The seconds of one forward and of one backward."""
    model.zero_grad()
    torch.manual_seed(0)
    start = now(device)
    loss = nn.functional.cross_entropy(model(images), labels)
    between = now(device)
    loss.backward()  # type: ignore[no-untyped-call]
    return between - start, now(device) - between


def measure(name: str, rounds: int, device: str) -> dict[str, list[tuple[float, float]]]:
    """The times of each contestant by rounds, three rounds of warm-up left out."""
    torch.manual_seed(0)
    models = contestants(name, device)
    images = torch.randn(CONTESTS[name].images, device=device)
    labels = torch.randint(1000, images.shape[:1], device=device)
    order = list(models)
    times: dict[str, list[tuple[float, float]]] = {label: [] for label in order}
    for turn in range(rounds + 3):
        for label in order[turn % 3 :] + order[: turn % 3]:
            taken = step(models[label], images, labels, device)
            if turn >= 3:
                times[label].append(taken)
    return times


def ratio(times: dict[str, list[tuple[float, float]]], label: str, part: int) -> float:
    """How long a contestant takes beside the reference: the median of the ratios of the rounds."""
    pairs = zip(times[label], times["torchvision"], strict=True)
    return median(mine[part] / reference[part] for mine, reference in pairs)


def report(name: str, times: dict[str, list[tuple[float, float]]]) -> bool:
    """Print the lines of a network; whether it is as fast as its reference."""
    right = True
    for part, what in enumerate(PARTS):
        own, control = ratio(times, "compiled", part), ratio(times, "torchvision again", part)
        own_time, reference = (median(t[part] for t in times[label]) for label in ("compiled", "torchvision"))
        shown = f"{own_time * 1000:>9.1f} ms{reference * 1000:>11.1f} ms{own:>9.3f}{control:>9.3f}"
        print(f"{name:<18}{what:<10}{shown}", flush=True)
        right = right and own <= max(LIMIT, control + MARGIN)
    return right


def main() -> int:
    """Measure, print, and say by the exit code whether the limit holds."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("networks", nargs="*", metavar="network", default=[*CONTESTS], help=", ".join(CONTESTS))
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds that count (default 40)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="of torch on the CPU (default 1, the steadiest)")
    parser.add_argument("--check", action="store_true", help="fail where a compiled network is slower")
    options = parser.parse_args()
    if unknown := set(options.networks) - CONTESTS.keys():
        parser.error(f"no network is called {', '.join(sorted(unknown))}")
    torch.set_num_threads(options.threads)
    where = torch.cuda.get_device_name() if options.device.startswith("cuda") else f"{os.cpu_count()} cores"
    print(f"torch {torch.__version__}, {options.threads} thread(s), {where}; {options.rounds} rounds")
    print(f"{'network':<18}{'part':<10}{'compiled':>12}{'torchvision':>14}{'ratio':>9}{'control':>9}")
    right = [report(name, measure(name, options.rounds, options.device)) for name in options.networks]
    return 1 if options.check and not all(right) else 0


if __name__ == "__main__":
    sys.exit(main())
