"""Train Net (model.py, beside this file) on ImageFolder.

    python train.py                  # on the fastest device that is there
    python train.py --device cuda:1
    python train.py --resume         # go on with the newest run

Each run gets a folder of its own, runs/pictures/001 and so on, with three files:

    best.pt      the epoch with the lowest loss in training, as there is no validation
    last.pt      the newest epoch, where --resume goes on
    metrics.csv  a row for each epoch

Needs torch, tqdm and Pillow. Written by netc from pictures.net; it runs without netc.
"""

import argparse
import csv
import io
import math
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

# isort: split
from model import Net

SEED = 0  # of the split, the weights, the order and the augmentation
EPOCHS = 2  # times through the training images
BATCH_SIZE = 64  # images in a step
EVALUATION_BATCH = 256  # images at once where no gradients are kept
DATA = Path("pictures")  # a folder for each class
SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
MEMORY = 2 * 1024**3  # bytes of pictures that are kept in memory
CLASSES = 3  # the network's outputs
RUNS = Path("runs") / "pictures"  # where each run gets its folder
SETTINGS = {"seed": SEED, "batch_size": BATCH_SIZE}  # a run goes on only with the same

loss_function = nn.CrossEntropyLoss()


def fail(message: str) -> NoReturn:
    """End with a message for the user and the exit code 1."""
    sys.exit(f"error: {message}")


def class_names(folder: Path) -> list[str]:
    """The classes of a folder of pictures: its subfolders, sorted."""
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    except OSError as error:
        fail(f"{folder}, with a folder a class, cannot be read: {error.strerror}")
    if not names:
        fail(f"{folder} has no subfolders, and there should be one for each class")
    return names


def find_pictures(folder: Path, classes: list[str]) -> tuple[list[Path], Tensor]:
    """The picture files of a folder, class by class, and their labels, int64 [N]."""
    unknown = set(class_names(folder)) - set(classes)
    if unknown:
        fail(f"{folder} has classes to train without: {', '.join(sorted(unknown))}")
    files: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found: list[Path] = []
        for place, _, names in sorted(os.walk(folder / name, followlinks=True)):
            paths = (Path(place, file) for file in sorted(names))
            found += [path for path in paths if path.suffix.lower() in SUFFIXES]
        files += found
        labels += [label] * len(found)
    return files, torch.tensor(labels)


def read_picture(path: Path) -> Tensor:
    """A picture as uint8 [1, 3, H, W]."""
    try:
        with Image.open(path) as picture:
            rgb = picture.convert("RGB")
    except Exception as error:
        fail(f"{path} cannot be read as a picture: {error}")
    pixels = torch.frombuffer(bytearray(rgb.tobytes()), dtype=torch.uint8)
    return pixels.view(1, rgb.height, rgb.width, 3).permute(0, 3, 1, 2).contiguous()


class Pictures:
    """Pictures by their index, decoded when first asked for and kept while they fit."""

    def __init__(self, files: list[Path], prepare: Callable[[Tensor], Tensor]) -> None:
        self.files = files
        self.prepare = prepare
        self.kept: dict[int, Tensor] = {}
        self.free = MEMORY
        self.threads = ThreadPoolExecutor()

    def __len__(self) -> int:
        return len(self.files)

    def read(self, i: int) -> Tensor:
        """Picture `i`, prepared: uint8 [1, 3, H, W]."""
        if i in self.kept:
            return self.kept[i]
        picture = self.prepare(read_picture(self.files[i]))
        if picture.nbytes <= self.free:
            self.free -= picture.nbytes
            self.kept[i] = picture
        return picture

    def batch(self, index: Tensor) -> list[Tensor]:
        """The pictures of a batch; several are decoded at the same time."""
        return list(self.threads.map(self.read, index.tolist()))


def prepare(images: Tensor) -> Tensor:
    """What the transform does to uint8 images, before a batch is made."""
    red, green, blue = images.unbind(1)
    # Grayscale
    images = red.mul(0.2989).add_(green, alpha=0.587).add_(blue, alpha=0.114)
    images = images.to(torch.uint8).unsqueeze(1)
    # Resize([64, 48])
    return F.interpolate(images, size=(64, 48), mode="bilinear", antialias=True)


def augment(images: Tensor) -> Tensor:
    """Change uint8 training images by chance."""
    # RandomVerticalFlip(p=0.3)
    flip = torch.rand(len(images), 1, 1, 1) < 0.3
    return torch.where(flip.to(images.device), images.flip(2), images)


def preprocess(images: Tensor) -> Tensor:
    """What the network takes, float32 [N, 1, 64, 48], from uint8 images."""
    # ToTensor
    return images.to(torch.float32, memory_format=torch.channels_last).div_(255)


def load_data() -> dict[str, tuple[Pictures, Tensor]]:
    """Images, prepared, and labels: "train"."""
    classes = class_names(DATA)
    if len(classes) != CLASSES:
        fail(f"{DATA} has {len(classes)} classes, the network {CLASSES}")
    files, labels = find_pictures(DATA, classes)
    return {
        "train": (Pictures(files, prepare), labels),
    }


def shuffled(count: int) -> Tensor:
    """The order of an epoch: that of DataLoader(shuffle=True) with the same seed."""
    torch.empty((), dtype=torch.int64).random_()  # its seed for worker processes
    seed = int(torch.empty((), dtype=torch.int64).random_())
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))


def build_model(device: torch.device) -> nn.Module:
    """The network with fresh weights, in the layout that suits convolutions."""
    return Net().to(device).to(memory_format=torch.channels_last)


@torch.inference_mode()
def predict(model: nn.Module, images: Pictures) -> Tensor:
    """The network's outputs [N, 3] for prepared uint8 images."""
    model.eval()
    device = next(model.parameters()).device
    outputs = []
    for index in torch.arange(len(images)).split(EVALUATION_BATCH):
        batch = torch.cat(images.batch(index)).to(device)
        outputs.append(model(preprocess(batch)))
    return torch.cat(outputs)


def evaluate(
    model: nn.Module,
    images: Pictures,
    labels: Tensor,
) -> tuple[float, float]:
    """The loss and the accuracy over all of the images."""
    logits = predict(model, images)
    loss: float = loss_function(logits, labels).item()
    correct = (logits.argmax(1) == labels).sum().item()
    return loss, correct / len(labels)


def new_run() -> Path:
    """Make the next free folder in RUNS; scripts that start together get one each."""
    taken = [int(path.name) for path in RUNS.glob("*") if path.name.isdecimal()]
    number = max(taken, default=0) + 1
    while True:
        try:
            run = RUNS / f"{number:03}"
            run.mkdir(parents=True)
            return run
        except FileExistsError:
            if not RUNS.is_dir():
                fail(f"{RUNS} is not a folder")
            number += 1
        except OSError as error:
            fail(f"{run} cannot be made: {error.strerror}")


def choose_run(options: argparse.Namespace) -> Path:
    """The folder of the run that the options ask for, new or to go on with."""
    run: Path | None = options.run_dir
    if options.resume:
        named = RUNS / options.resume
        return named if named.exists() else Path(options.resume)
    if run is None and options.resume is None:
        return new_run()
    if run is None:
        runs = [path for path in RUNS.glob("*") if path.name.isdecimal()]
        if not runs:
            fail(f"{RUNS} has no run to go on with")
        return max(runs, key=lambda run: int(run.name))
    if options.resume is None and (run / "last.pt").exists():
        fail(f"{run} has a run already; --resume goes on with it")
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fail(f"{run} cannot be made: {error.strerror}")
    return run


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: under another name first, then renamed."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except OSError as error:
        former = f"; the former {path.name} is intact" if path.exists() else ""
        fail(f"{path} cannot be written: {error.strerror}{former}")
    finally:
        unfinished.unlink(missing_ok=True)  # it is left only by an error or Ctrl-C


def write_table(path: Path, rows: list[dict[str, float]]) -> None:
    text = io.StringIO()
    table = csv.DictWriter(text, rows[0], lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write(path, text.getvalue().encode())


def save(path: Path, history: list[dict[str, float]], **parts: Any) -> None:
    """Write a checkpoint: all that --resume needs, and the names of the classes."""
    state = {name: part.state_dict() for name, part in parts.items()}
    state |= {
        "network": "Net",
        "classes": class_names(DATA),
        "settings": SETTINGS,
        "epoch": len(history),
        "history": history,
        "generator": torch.get_rng_state(),
    }
    if torch.cuda.is_initialized():
        state["cuda_generator"] = torch.cuda.get_rng_state()
    content = io.BytesIO()
    torch.save(state, content)
    write(path, content.getvalue())


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint; nothing in the file is executed."""
    try:
        content = io.BytesIO(path.read_bytes())
    except OSError as error:
        fail(f"{path} cannot be read: {error.strerror}")
    try:
        state = torch.load(content, map_location="cpu", weights_only=True)
    except Exception:  # of many kinds where a file is damaged
        fail(f"{path} is cut short, damaged, or not a checkpoint")
    if not isinstance(state, dict) or state.get("network") != "Net":
        fail(f"{path} is not a checkpoint of Net")
    return state


def restore(path: Path, **parts: Any) -> list[dict[str, float]]:
    """Put everything back as it was when a checkpoint was written."""
    state = load(path)
    if state["settings"] != SETTINGS:
        fail(f"{path} was made with {state['settings']}, and this is {SETTINGS}")
    try:
        for name, part in parts.items():
            part.load_state_dict(state[name])
    except (KeyError, RuntimeError, ValueError) as error:
        fail(f"{path} does not fit this script: {error}")
    torch.set_rng_state(state["generator"])
    if torch.cuda.is_initialized() and "cuda_generator" in state:
        torch.cuda.set_rng_state(state["cuda_generator"])
    history: list[dict[str, float]] = state["history"]
    return history


def choose_device(name: str) -> torch.device:
    """The device of that name, or with "auto" the fastest one."""
    there = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    there += ["mps"] if torch.backends.mps.is_available() else []
    there += ["cpu"]
    if name == "auto":
        return torch.device(there[0])
    if name not in there and not (name == "cuda" and "cuda:0" in there):
        fail(f"there is no device {name!r} here, only {', '.join(sorted(there))}")
    return torch.device(name)


def parse_options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--device",
        default="auto",
        help="auto (the default), cpu, cuda, cuda:1, mps",
    )
    parser.add_argument(
        "--resume",
        nargs="?",
        const="",
        metavar="RUN",
        help="go on with a run; with the newest if none is named",
    )
    parser.add_argument(
        "--run-dir",
        type=Path,
        metavar="DIR",
        help="the folder of the run; by default the next free one in runs",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    options = parse_options(arguments)
    device = choose_device(options.device)
    data = {part: (x, y.to(device)) for part, (x, y) in load_data().items()}
    images, labels = data["train"]

    torch.manual_seed(SEED)
    model = build_model(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    parts = {"model": model, "optimizer": optimizer}

    run = choose_run(options)
    history: list[dict[str, float]] = []  # a row for each epoch
    if options.resume is not None:
        history = restore(run / "last.pt", **parts)
    else:
        save(run / "last.pt", history, **parts)  # a disk that is full shows at once

    print(f"{len(labels)} images to train with, on {device}; files in {run}")
    print("no validation images: best.pt is the epoch with the lowest train loss")
    print("epoch  train loss  train accuracy         lr  seconds")
    sys.stdout.flush()
    bar = tqdm(
        total=EPOCHS * len(labels),
        initial=len(history) * len(labels),
        unit=" images",
        unit_scale=True,
        leave=False,
        disable=None,  # where it would not be on a terminal
    )
    try:
        for epoch in range(len(history) + 1, EPOCHS + 1):
            bar.set_description(f"epoch {epoch}/{EPOCHS}", refresh=False)
            started = time.perf_counter()
            lr = optimizer.param_groups[0]["lr"]
            # These sums stay on the device: to read them is to wait for it
            loss_sum = torch.zeros((), device=device)
            correct = torch.zeros((), dtype=torch.int64, device=device)
            seen = 0
            model.train()
            for index in shuffled(len(labels)).split(BATCH_SIZE):
                batch = preprocess(augment(torch.cat(images.batch(index)).to(device)))
                target = labels[index.to(device)]
                logits = model(batch)
                loss = loss_function(logits, target)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                loss_sum += loss.detach() * len(index)
                correct += (logits.argmax(1) == target).sum()
                seen += len(index)
                if bar.update(len(index)):  # if it was drawn, a few times a second
                    bar.set_postfix(
                        loss=f"{loss_sum.item() / seen:.4f}",
                        accuracy=f"{correct.item() / seen:.2%}",
                        refresh=False,
                    )

            train_loss = loss_sum.item() / seen
            if not math.isfinite(train_loss):
                bar.close()
                fail(f"the loss is {train_loss} in epoch {epoch}; try a smaller lr")
            train_accuracy = correct.item() / seen
            seconds = round(time.perf_counter() - started, 3)
            row = {
                "epoch": epoch,
                "train_loss": train_loss,
                "train_accuracy": train_accuracy,
                "lr": lr,
                "seconds": seconds,
            }
            rows = [*history, row]
            best = min(rows, key=lambda r: r["train_loss"])
            if best is row:
                save(run / "best.pt", rows, **parts)
            write_table(run / "metrics.csv", rows)
            save(run / "last.pt", rows, **parts)
            history = rows
            mark = "  best" if best is row else ""
            bar.write(
                f"{epoch:5}  {train_loss:10.4f}  {train_accuracy:14.2%}  "
                f"{lr:9.3g}  {seconds:7.1f}{mark}",
            )
            sys.stdout.flush()
    except KeyboardInterrupt:
        bar.close()
        print(
            f"\nStopped in epoch {len(history) + 1}. {run / 'last.pt'} has what was "
            f"learned up to epoch {len(history)}. To go on: --resume {run}",
            file=sys.stderr,
        )
        sys.exit(130)
    bar.close()

    state = load(run / "best.pt")
    print(f"best.pt is of epoch {state['epoch']}")


if __name__ == "__main__":
    main()
