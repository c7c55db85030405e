"""The data part of an epoch over a folder of pictures, beside DataLoader's with 0, 1 and 2 worker processes.

In: nothing, or how many pictures and rounds. Out: a table of median times on the terminal; with `--check`, exit code 1
where a limit is missed. The pictures are made here, 500 by 375 pixels, JPEG; the transform is Resize(256),
CenterCrop(224), and a flip by chance.
Guarantees: both give the network float32 batches of 32 in a new order each epoch; they take turns, so that a slow
minute of the machine falls on both; what is decoded first and kept is measured by itself.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch
import torchvision
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from netc.compiler import analyse, emit
from netc.runtime.script import load_script

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[1]
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
FASTER = 5.0  # at least so many times faster than the best of DataLoader
WAIT = 0.05  # at most this share of an epoch goes to the data
SECTIONS = """
data {{
  train      = ImageFolder("{pictures}")
  transform  = Resize(256) -> CenterCrop(224) -> ToTensor -> Normalize(mean={mean}, std={std})
  augment    = RandomHorizontalFlip
  batch_size = 32
  cache      = "{cache}"
}}
train {{
  network   = MobileNetV3Small
  loss      = CrossEntropyLoss
  optimizer = SGD(lr=0.01)
  epochs    = 1
}}
"""


def make_pictures(folder: Path, count: int) -> None:
    """JPEG files with some structure, as photographs have it: noise of several sizes."""
    generator = torch.Generator().manual_seed(0)
    shown = []
    for _ in range(min(count, 20)):
        shades = torch.zeros(1, 3, 375, 500)
        for size in (4, 16, 64, 188):
            noise = torch.rand(1, 3, size, size * 4 // 3, generator=generator)
            shades += torch.nn.functional.interpolate(noise, (375, 500), mode="bilinear") * size**-0.3
        shades = (shades - shades.min()) / (shades.max() - shades.min()) * 255
        shown.append(Image.fromarray(shades[0].permute(1, 2, 0).to(torch.uint8).numpy()))
    for i in range(count):
        place = folder / f"class{i % 4}"
        place.mkdir(parents=True, exist_ok=True)
        shown[i % 20].save(place / f"{i:05}.jpg", quality=80 + i // 20 % 10)


def compiled(pictures: Path, cache: Path) -> ModuleType:
    """The training script of the program, as a module."""
    network = (ROOT / "models" / "mobilenet_v3.net").read_text(encoding="utf-8").replace("= 1000", "= 4")
    text = network + SECTIONS.format(pictures=pictures, cache=cache, mean=MEAN, std=STD)
    checked = analyse(text, "pictures.net", "pictures")
    if checked.program is None:
        sys.exit("; ".join(d.message for d in checked.diagnostics))
    files = emit(checked.program)
    assert files.train is not None
    return load_script(files.train, files.model)


def loader(pictures: Path, workers: int) -> DataLoader[Any]:
    """What a tutorial writes."""
    steps = [v2.Resize(256), v2.CenterCrop(224), v2.RandomHorizontalFlip(), v2.ToImage()]
    steps += [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    data = torchvision.datasets.ImageFolder(str(pictures), v2.Compose(steps))
    return DataLoader(data, batch_size=32, shuffle=True, num_workers=workers)


def own_epoch(script: ModuleType, pictures: Any) -> float:
    """The seconds to make every batch of an epoch."""
    start = perf_counter()
    for index in script.shuffled(len(pictures)).split(32):
        script.preprocess(script.augment(torch.cat(pictures.batch(index))))
    return perf_counter() - start


def their_epoch(batches: DataLoader[Any]) -> float:
    """The seconds that DataLoader takes for it."""
    start = perf_counter()
    for _ in batches:
        pass
    return perf_counter() - start


def share_of_data(script: ModuleType, pictures: Any, labels: torch.Tensor, steps: int) -> float:
    """Which share of training goes to the making of batches."""
    model = script.build_model(torch.device("cpu")).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    waited = 0.0
    start = perf_counter()
    for index in script.shuffled(len(labels)).split(32)[:steps]:
        begun = perf_counter()
        batch, target = script.preprocess(script.augment(torch.cat(pictures.batch(index)))), labels[index]
        waited += perf_counter() - begun
        loss = script.loss_function(model(batch), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return waited / (perf_counter() - start)


def main() -> int:
    """Measure, print, and say by the exit code whether the limits hold."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--pictures", type=int, default=2000, help="how many (default 2000)")
    parser.add_argument("--rounds", type=int, default=3, help="epochs of each (default 3)")
    parser.add_argument("--steps", type=int, default=30, help="of training, for the share of the data (default 30)")
    parser.add_argument("--check", action="store_true", help="fail where a limit is missed")
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {os.cpu_count()} cores", flush=True)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "pictures"
        make_pictures(folder, options.pictures)
        script = compiled(folder, Path(place) / "cache")
        start = perf_counter()
        pictures, labels = script.load_data()["train"]
        print(f"decoded and kept in {perf_counter() - start:.1f} s", flush=True)
        start = perf_counter()
        pictures, labels = script.load_data()["train"]
        print(f"found again in {perf_counter() - start:.2f} s", flush=True)
        own: list[float] = []
        theirs: dict[int, list[float]] = {0: [], 1: [], 2: []}
        for _ in range(options.rounds):
            own.append(own_epoch(script, pictures))
            for workers, times in theirs.items():
                times.append(their_epoch(loader(folder, workers)))
        print(f"{'compiled':<24}{median(own):>8.2f} s an epoch")
        for workers, times in theirs.items():
            print(f"{f'DataLoader, {workers} workers':<24}{median(times):>8.2f} s an epoch")
        ratio = min(map(median, theirs.values())) / median(own)
        share = share_of_data(script, pictures, labels, options.steps)
        print(f"{ratio:.1f} times faster than the best; the data takes {share:.1%} of training")
    return 1 if options.check and (ratio < FASTER or share > WAIT) else 0


if __name__ == "__main__":
    sys.exit(main())
