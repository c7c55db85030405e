"""An epoch of compiled training beside tutorial scripts, and beside its own compute alone, in one run.

In: nothing, or which contest. Out: a table of medians on the terminal; with `--check`, exit code 1 where a limit is
missed. The data has the size, form and files of FashionMNIST and CIFAR-10 and is made here: each class a pattern
of patches under noise.
Guarantees: the jobs take turns epoch by epoch, with the tutorial twice a round, so that its ratio to itself shows the
noise; both sides have the same network, seed, order and data, which the losses and weights show.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple

import numpy as np
import torch

from netc.compiler import Files, analyse, emit

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.turns import SKIPPED, take_turns, turned  # noqa: E402

MLP = """network NeuralNetwork {
  input image: [N, 1, 28, 28]
  Flatten
  fc1: Linear(512) -> ReLU
  fc2: Linear(512) -> ReLU
  fc3: Linear(10)
}
data {
  train      = FashionMNIST("data")
  validation = FashionMNIST("data", train=False)
  transform  = ToTensor
  batch_size = 64
}
train {
  loss      = CrossEntropyLoss
  optimizer = SGD(lr=1e-3)
  epochs    = 1
  metrics   = [accuracy]
}
"""
CNN = """network Net {
  input image: [N, 3, 32, 32]
  conv1: Conv2d(32, 5, padding=2) -> ReLU -> MaxPool2d(2)
  conv2: Conv2d(32, 5, padding=2) -> ReLU -> MaxPool2d(2)
  conv3: Conv2d(64, 5, padding=2) -> ReLU -> MaxPool2d(2)
  Flatten
  fc1: Linear(64) -> ReLU
  fc2: Linear(10)
}
data {
  train      = CIFAR10("data")
  validation = CIFAR10("data", train=False)
  transform  = ToTensor -> Normalize(mean=[0.5, 0.5, 0.5], std=[0.5, 0.5, 0.5])
  batch_size = 64
}
train {
  loss      = CrossEntropyLoss
  optimizer = SGD(lr=0.01)
  epochs    = 1
  metrics   = [accuracy]
}
"""


class Contest(NamedTuple):
    """A program, the tutorial's script, images to train with, and the limits: how much faster, how near the compute."""

    program: str
    tutorial: str
    images: int
    faster: float
    near: float


CONTESTS = {"mlp": Contest(MLP, "mlp.py", 60_000, 4.0, 1.10), "cnn": Contest(CNN, "cnn.py", 50_000, 1.7, 1.05)}
START = 0.7  # seconds from `netc train` to the first step, beyond the import of torch

# Steps and evaluation on batches that are there already, with the network and the loss of the script
COMPUTE = """
import sys, time
sys.path.insert(0, {folder!r})
import train as script
torch = script.torch
torch.manual_seed(0)
model = script.build_model(torch.device("cpu"))
if hasattr(script, "keep_blocked"):
    script.keep_blocked(model)
images, labels = (part[: script.EVALUATION_BATCH] for part in script.load_data()["train"])
batch, target = script.preprocess(images[:64]), labels[:64]
large = script.preprocess(images)
optimizer = torch.optim.SGD(model.parameters(), lr={rate})
for epoch in range({epochs}):
    started = time.perf_counter()
    model.train()
    for _ in range({images} // 64):
        loss = script.loss_function(model(batch), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.inference_mode():
        for _ in range({tests} // len(large)):
            model(large)
        if {tests} % len(large):
            model(large[: {tests} % len(large)])
    print(f"epoch {{epoch + 1}}: {{time.perf_counter() - started:.4f}} s")
"""
# The losses of the first steps, to all digits
LOSSES = """
import sys, runpy
from torch.nn import functional
known, found = functional.cross_entropy, []
def told(outputs, labels, **options):
    loss = known(outputs, labels, **options)
    found.append(loss.item())
    if len(found) == 100:
        print("LOSSES", *found)
        raise SystemExit
    return loss
functional.cross_entropy = told
sys.argv = {arguments!r}
sys.path.insert(0, {folder!r})
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def make_data(folder: Path, scale: int) -> dict[str, str]:
    """FashionMNIST's files and CIFAR-10's; gives the MD5 sums of the latter. `scale` divides the number of images."""
    from tests.data.formats import write_cifar, write_mnist

    sums = {}
    for shape, names in (((28, 28), ()), ((3, 32, 32), [f"data_batch_{i}" for i in range(1, 6)])):
        draw = np.random.default_rng(0)
        coarse = draw.integers(0, 256, (10, *shape[:-2], shape[-2] // 4, shape[-1] // 4))
        patterns = coarse.repeat(4, -2).repeat(4, -1)  # in patches, as pictures are
        for part, count in (("train", 50_000 if names else 60_000), ("test", 10_000)):
            labels = draw.integers(0, 10, count // scale).astype(np.uint8)
            noise = draw.integers(0, 256, (count // scale, *shape))
            images = (0.5 * patterns[labels] + 0.5 * noise).astype(np.uint8)
            if not names:
                start = "train" if part == "train" else "t10k"
                write_mnist(folder / "FashionMNIST" / "raw", start, images, labels)
                continue
            files = names if part == "train" else ["test_batch"]
            for name, some, own in zip(
                files, np.array_split(images, len(files)), np.array_split(labels, len(files)), strict=True
            ):
                sums[name] = write_cifar(folder / "cifar-10-batches-py", name, some, own, "labels")
    return sums


def write_script(contest: Contest, folder: Path, sums: dict[str, str]) -> Files:
    """The program and what is built from it; the sums of CIFAR-10's files are those of the files made here."""
    checked = analyse(contest.program, "net.net", "net")
    if checked.program is None:
        sys.exit("; ".join(d.message for d in checked.diagnostics))
    files = emit(checked.program)
    assert files.train is not None
    text = files.train
    for name, found in sums.items():
        text = re.sub(rf'("{name}": ")\w+', rf"\g<1>{found}", text)
    (folder / "train.py").write_text(text)
    (folder / "model.py").write_text(files.model)
    return files


# A script that has read a data set keeps the memory that a step frees; one that has not gives it back to the system,
# which makes every page anew. So that this is no part of a comparison, no process gives memory back.
KEEP = {"MALLOC_TRIM_THRESHOLD_": str(2**40), "MALLOC_MMAP_THRESHOLD_": str(2**25)}


def process(command: list[str], folder: Path) -> str:
    """What a Python process prints."""
    environment = {**os.environ, **KEEP}
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, capture_output=True, text=True, check=False, env=environment
    )
    if done.returncode:
        sys.exit(f"{command}: {done.stderr[-2000:]}")
    return done.stdout


class Runs:
    """The jobs of one contest, which take turns."""

    def __init__(self, contest: Contest, folder: Path, scale: int) -> None:
        self.contest = contest
        self.folder = folder
        self.images, self.tests = contest.images // scale, 10_000 // scale
        self.tutorial = str(ROOT / "benchmarks" / "tutorials" / contest.tutorial)

    def compiled(self, epochs: int) -> list[str]:
        """The command of the compiled script."""
        text = re.sub(r"^EPOCHS = \d+", f"EPOCHS = {epochs}", (self.folder / "train.py").read_text(), flags=re.M)
        (self.folder / "train.py").write_text(text)
        run = str(self.folder / "compiled")
        return turned(self.folder, "compiled", self.folder / "train.py", "--device", "cpu", "--run-dir", run)

    def theirs(self, name: str, epochs: int) -> list[str]:
        """The command of the tutorial."""
        return turned(self.folder, name, self.tutorial, "data", str(epochs))

    def compute(self, name: str, epochs: int) -> list[str]:
        """The command of the compute alone."""
        rate = float(re.findall(r"lr=([\de.-]+)", self.contest.program)[0])
        code = COMPUTE.format(folder=str(self.folder), rate=rate, epochs=epochs, images=self.images, tests=self.tests)
        (self.folder / "compute.py").write_text(code)
        return turned(self.folder, name, self.folder / "compute.py")

    def seconds(self, jobs: dict[str, list[str]], epochs: int) -> dict[str, list[float]]:
        """The seconds of their epochs."""
        commands = {name: [sys.executable, *command] for name, command in jobs.items()}
        return take_turns(self.folder, commands, epochs, {**os.environ, **KEEP})

    def losses(self, script: list[str]) -> list[float]:
        """The losses of the first 100 steps."""
        output = process(["-c", LOSSES.format(arguments=script, folder=str(self.folder))], self.folder)
        return [float(x) for x in output[output.index("LOSSES") :].split()[1:]]


def ratios(above: list[float], below: list[float]) -> float:
    """The median of the ratios of epochs that took turns."""
    return median(a / b for a, b in zip(above, below, strict=True))


def contest(name: str, folder: Path, sums: dict[str, str], rounds: int, scale: int) -> bool:
    """Print the table of one contest; whether its limits hold."""
    given = CONTESTS[name]
    write_script(given, folder, sums)
    runs, epochs = Runs(given, folder, scale), rounds + SKIPPED + 1
    mine = runs.losses(["train.py", "--device", "cpu", "--run-dir", "losses"])
    theirs = runs.losses([runs.tutorial, "data", "1"])
    apart = max(abs(a - b) for a, b in zip(mine, theirs, strict=True))
    jobs = {"compiled": runs.compiled(epochs)} | {name: runs.theirs(name, epochs) for name in ("tutorial", "again")}
    found = runs.seconds(jobs, epochs)
    ratio, control = ratios(found["tutorial"], found["compiled"]), ratios(found["again"], found["tutorial"])
    with (folder / "compiled" / "metrics.csv").open() as file:
        own = float(list(csv.DictReader(file))[-1]["validation_accuracy"])
    other = float(re.findall(r"Accuracy: ([\d.]+)", (folder / "tutorial.log").read_text())[-1])
    print(f"\n{name}: an epoch with evaluation, {runs.images} images, {rounds} rounds")
    print(f"  tutorial   {median(found['tutorial']):8.2f} s   accuracy {other:.4f}")
    print(f"  compiled   {median(found['compiled']):8.2f} s   accuracy {own:.4f}")
    print(f"  ratio      {ratio:8.2f}     control {control:.3f}   limit {given.faster}")
    print(f"  losses of the first 100 steps differ by at most {apart:.1e}")
    state = torch.load(folder / "compiled" / "last.pt", weights_only=True)["model"]
    reference = torch.load(folder / "model.pth", weights_only=True)
    equal = all(torch.equal(state[n], reference[n]) for n in reference)
    print(f"  final parameters {'equal to the bit' if equal else 'are not equal to the bit'}", flush=True)
    right = equal if name == "mlp" else apart < 1e-6 and abs(own - other) < 0.005
    return ratio >= given.faster and right


def overhead(name: str, folder: Path, sums: dict[str, str], rounds: int, scale: int) -> bool:
    """Print what an epoch costs beside its compute; whether the limit holds."""
    given = CONTESTS[name]
    write_script(given, folder, sums)
    runs, epochs = Runs(given, folder, scale), rounds + SKIPPED + 1
    jobs = {"alone": runs.compute("alone", epochs), "compiled": runs.compiled(epochs)}
    found = runs.seconds(jobs | {"again": runs.compute("again", epochs)}, epochs)
    between = [(a + b) / 2 for a, b in zip(found["alone"], found["again"], strict=True)]
    ratio, control = ratios(found["compiled"], between), ratios(found["again"], found["alone"])
    print(f"\n{name}: an epoch beside its compute alone, {runs.images} images, {rounds} rounds")
    print(f"  compute    {median(between):8.2f} s\n  epoch      {median(found['compiled']):8.2f} s")
    print(f"  ratio      {ratio:8.3f}     control {control:.3f}   limit {given.near}", flush=True)
    return ratio <= given.near


def start(folder: Path, rounds: int) -> bool:
    """Print the time to the first step; whether the limit holds."""
    (folder / "net.net").write_text(MLP)
    command = [sys.executable, "-m", "netc", "train", "net.net", "--device", "cpu", "--set", "train.log_every=1"]
    first, imports = [], []
    for _ in range(rounds):
        begun = perf_counter()
        subprocess.run([sys.executable, "-c", "import torch"], check=True)
        imports.append(perf_counter() - begun)
        begun = perf_counter()
        running = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
        assert running.stdout is not None
        for line in running.stdout:
            if line.startswith("step"):
                break
        first.append(perf_counter() - begun)
        running.kill()
        running.wait()
    beyond = median(a - b for a, b in zip(first, imports, strict=True))
    print(f"\nfrom `netc train` to the first step, {rounds} rounds")
    print(f"  import torch {median(imports):6.2f} s\n  first step   {median(first):6.2f} s")
    print(f"  beyond       {beyond:6.2f} s   limit {START}", flush=True)
    return beyond <= START


def main() -> int:
    """Measure, print, and say by the exit code whether the limits hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", nargs="*", help="mlp, cnn, mlp-compute, cnn-compute, start; all by default")
    parser.add_argument(
        "--rounds", type=int, default=3, help="against the tutorials (default 3); 9 against the compute"
    )
    parser.add_argument("--scale", type=int, default=1, help="divides the number of images, to try it out")
    parser.add_argument("--check", action="store_true", help="fail where a limit is missed")
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {os.cpu_count()} cores", flush=True)
    held = []
    with tempfile.TemporaryDirectory() as place:
        sums = make_data(Path(place) / "data", options.scale)
        for what in options.what or ["mlp", "mlp-compute", "start", "cnn", "cnn-compute"]:
            name, _, alone = what.partition("-")
            folder = Path(place) / what
            folder.mkdir()
            (folder / "data").symlink_to(Path(place) / "data")
            if what == "start":
                held.append(start(folder, max(options.rounds, 5)))
            else:
                rounds = 3 * options.rounds if alone else options.rounds
                held.append((overhead if alone else contest)(name, folder, sums, rounds, options.scale))
    return 1 if options.check and not all(held) else 0


if __name__ == "__main__":
    sys.exit(main())
