"""Train ResNet (model.py, beside this file) on CIFAR10.

    python train.py                  # on the fastest device that is there
    python train.py --device cuda:1
    python train.py --resume         # go on with the newest run

Each run gets a folder of its own, runs/cifar/001 and so on, with three files:

    best.pt      the epoch with the highest accuracy on the validation images
    last.pt      the newest epoch, where --resume goes on
    metrics.csv  a row for each epoch

Needs torch and tqdm. Written by netc from cifar.net; it runs without netc.
"""

import argparse
import csv
import hashlib
import io
import math
import os
import pickle
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms import v2
from tqdm import tqdm

# isort: split
from model import ResNet

SEED = 0  # of the split, the weights, the order and the augmentation
EPOCHS = 24  # times through the training images
BATCH_SIZE = 128  # images in a step
EVALUATION_BATCH = 256  # images at once where no gradients are kept
VALIDATION = 5000  # images held out of training to choose best.pt
DATA = Path("data/cifar-10-batches-py")  # the files of CIFAR10
# The MD5 sums that torchvision checks too
TRAIN_FILES = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
}
# The MD5 sums that torchvision checks too
TEST_FILES = {
    "test_batch": "40351d587109b95175f43aff81a1287e",
}
CLASS_NAMES = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
]
RUNS = Path("runs") / "cifar"  # where each run gets its folder
# A run goes on only with the same settings
SETTINGS = {
    "seed": SEED,
    "batch_size": BATCH_SIZE,
    "validation": VALIDATION,
    "epochs": EPOCHS,
}

AUGMENT = v2.Compose(
    [
        v2.ColorJitter(brightness=0.2, contrast=0.2),
        v2.RandomErasing(p=0.25),
    ]
)
MEAN = torch.tensor([0.4914, 0.4822, 0.4465]).view(-1, 1, 1)
STD = torch.tensor([0.247, 0.2435, 0.2616]).view(-1, 1, 1)

loss_function = nn.CrossEntropyLoss(label_smoothing=0.1)


def fail(message: str) -> NoReturn:
    """End with a message for the user and the exit code 1."""
    sys.exit(f"error: {message}")


def require(folder: Path, names: Iterable[str], dataset: str) -> None:
    """End with an error if a file of a data set is missing."""
    missing = [name for name in names if not (folder / name).exists()]
    if missing:
        fail(
            f"{folder} has no {', '.join(missing)}; "
            f"`download=True` in the .net file fetches {dataset}"
        )


def read_cifar(
    folder: Path,
    files: dict[str, str],
    label_key: str,
) -> tuple[Tensor, Tensor]:
    """The images, uint8 [N, 3, 32, 32], and the labels, int64 [N], of CIFAR's files."""
    images, labels = [], []
    for name, expected in files.items():
        try:
            content = (folder / name).read_bytes()
        except OSError as error:
            fail(f"{folder / name} cannot be read: {error}")
        found = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if found != expected:  # unpickling any other file could run what is in it
            fail(
                f"{folder / name} is damaged: {len(content)} bytes with the MD5 sum "
                f"{found}, which should be {expected}"
            )
        batch = pickle.loads(content, encoding="latin1")
        images.append(torch.from_numpy(batch["data"]).view(-1, 3, 32, 32))
        labels += batch[label_key]
    return torch.cat(images), torch.tensor(labels)


def prepare(images: Tensor) -> Tensor:
    """What the transform does to uint8 images, before a batch is made."""
    return images


def augment(images: Tensor) -> Tensor:
    """Change uint8 training images by chance."""
    # RandomCrop(32, padding=4): one of all the windows of an image
    windows = F.pad(images, (4, 4, 4, 4)).unfold(2, 32, 1).unfold(3, 32, 1)
    top = torch.randint(windows.shape[2], (len(images),))
    left = torch.randint(windows.shape[3], (len(images),))
    images = windows[torch.arange(len(images)), :, top, left]
    # RandomHorizontalFlip
    flip = torch.rand(len(images), 1, 1, 1) < 0.5
    images = torch.where(flip.to(images.device), images.flip(3), images)
    # one image at a time
    return torch.stack([AUGMENT(image) for image in images])


def preprocess(images: Tensor) -> Tensor:
    """What the network takes, float32 [N, 3, 32, 32], from uint8 images."""
    # ToTensor
    images = images.to(torch.float32, memory_format=torch.channels_last).div_(255)
    # Normalize
    return images.sub_(MEAN.to(images.device)).div_(STD.to(images.device))


def held_out(labels: Tensor) -> Tensor:
    """A mask of the images for validation: drawn by chance, of each class its share."""
    count = VALIDATION
    if not 0 < count < len(labels):
        fail(f"cannot hold {count} of {len(labels)} images out for validation")
    generator = torch.Generator().manual_seed(SEED)
    order = torch.randperm(len(labels), generator=generator)
    order = order[labels[order].argsort(stable=True)]  # one class after another
    mask = torch.zeros(len(labels), dtype=torch.bool)
    mask[order[torch.arange(count) * len(labels) // count]] = True  # evenly over them
    return mask


def load_data() -> dict[str, tuple[Tensor, Tensor]]:
    """Images, prepared, and labels: "train", "validation" and "test"."""
    require(DATA, TRAIN_FILES, "CIFAR10")
    require(DATA, TEST_FILES, "CIFAR10")
    images, labels = read_cifar(DATA, TRAIN_FILES, "labels")
    test_images, test_labels = read_cifar(DATA, TEST_FILES, "labels")
    held = held_out(labels)
    return {
        "train": (prepare(images[~held]), labels[~held]),
        "validation": (prepare(images[held]), labels[held]),
        "test": (prepare(test_images), test_labels),
    }


def shuffled(count: int) -> Tensor:
    """The order of an epoch: that of DataLoader(shuffle=True) with the same seed."""
    torch.empty((), dtype=torch.int64).random_()  # its seed for worker processes
    seed = int(torch.empty((), dtype=torch.int64).random_())
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))


def build_model(device: torch.device) -> nn.Module:
    """The network with fresh weights, in the layout that suits convolutions."""
    return ResNet().to(device).to(memory_format=torch.channels_last)


@torch.inference_mode()
def predict(model: nn.Module, images: Tensor) -> Tensor:
    """The network's outputs [N, 10] for prepared uint8 images."""
    model.eval()
    device = next(model.parameters()).device
    outputs = []
    for batch in images.split(EVALUATION_BATCH):
        outputs.append(model(preprocess(batch.to(device))))
    return torch.cat(outputs)


def evaluate(
    model: nn.Module,
    images: Tensor,
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
        "network": "ResNet",
        "classes": CLASS_NAMES,
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
    if not isinstance(state, dict) or state.get("network") != "ResNet":
        fail(f"{path} is not a checkpoint of ResNet")
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
    data = {part: (x.to(device), y.to(device)) for part, (x, y) in load_data().items()}
    images, labels = data["train"]

    torch.manual_seed(SEED)
    model = build_model(device)
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=0.1,
        momentum=0.9,
        weight_decay=0.0005,
        nesterov=True,
    )
    steps = math.ceil(len(labels) / BATCH_SIZE)  # in an epoch
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=0.1,
        total_steps=EPOCHS * steps,
    )
    parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler}

    run = choose_run(options)
    history: list[dict[str, float]] = []  # a row for each epoch
    if options.resume is not None:
        history = restore(run / "last.pt", **parts)
    else:
        save(run / "last.pt", history, **parts)  # a disk that is full shows at once

    print(f"{len(labels)} images to train with, on {device}; files in {run}")
    print("epoch  train loss  validation loss  accuracy         lr  seconds")
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
            for index in shuffled(len(labels)).to(device).split(BATCH_SIZE):
                batch = preprocess(augment(images[index]))
                target = labels[index]
                logits = model(batch)
                loss = loss_function(logits, target)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                scheduler.step()
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
            validation_loss, accuracy = evaluate(model, *data["validation"])
            seconds = round(time.perf_counter() - started, 3)
            row = {
                "epoch": epoch,
                "train_loss": train_loss,
                "train_accuracy": train_accuracy,
                "validation_loss": validation_loss,
                "validation_accuracy": accuracy,
                "lr": lr,
                "seconds": seconds,
            }
            rows = [*history, row]
            best = max(
                rows,
                key=lambda r: (r["validation_accuracy"], -r["validation_loss"]),
            )
            if best is row:
                save(run / "best.pt", rows, **parts)
            write_table(run / "metrics.csv", rows)
            save(run / "last.pt", rows, **parts)
            history = rows
            mark = "  best" if best is row else ""
            bar.write(
                f"{epoch:5}  {train_loss:10.4f}  {validation_loss:15.4f}  "
                f"{accuracy:8.2%}  {lr:9.3g}  {seconds:7.1f}{mark}",
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
    model.load_state_dict(state["model"])
    test_loss, test_accuracy = evaluate(model, *data["test"])
    print(f"test loss {test_loss:.4f}, accuracy {test_accuracy:.2%}")


if __name__ == "__main__":
    main()
