"""The same 25 wrong programs given to netc, Neural DSL, n-orca and PyTorch: what each says, and when.

In: benchmarks/mistakes/ (right programs, and in mistakes.toml the pieces that each mistake replaces), and the paths of
the tools that are installed. Out: benchmarks/mistakes/log.json, with all that was printed, and the tables of
docs/comparison.md, made from the log.
Guarantees: each program runs in a process and a folder of its own, with a time limit; what came out is classified by
the rules of this file, never by hand. netc is run where `import torch` fails. Left to others: tools that are not named
on the command line, whose part of the log stays as it is.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import tomllib
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
FOLDER = Path(__file__).parent / "mistakes"
LOG = FOLDER / "log.json"
PAGE = ROOT / "docs/comparison.md"
TOOLS = {"netc": "netc", "neural": "Neural DSL", "n-orca": "n-orca", "pytorch": "PyTorch"}
RIGHT = {
    "netc": "right.net",
    "neural-cnn": "right.cnn.neural",
    "neural-mlp": "right.mlp.neural",
    "n-orca": "right.n.orca.md",
    "pytorch": "right.py",
}
LIMIT = 600  # seconds for one process
SPLIT = "\n\nepochs = "  # what comes before it in right.py is the network, what follows the data and the training

# The PyTorch code of Neural DSL ends with the optimizer: these lines train what it has built.
LOOP = """
for epoch in range(3):
    for data, target in train_loader:
        optimizer.zero_grad()
        loss = loss_fn(model(data), target)
        loss.backward()
        optimizer.step()
model.eval()
correct = sum((model(data).argmax(1) == target).sum().item() for data, target in train_loader)
print(f"accuracy {correct / len(train_dataset):.3f}")
"""


class Process(NamedTuple):
    """A process that has ended; what it printed has no paths of the machine in it."""

    command: str
    code: int
    output: str


class Outcome(NamedTuple):
    """What a tool made of a program.

    when: "check" (the tool refuses it), "warning" (it warns and goes on), "start" (the script fails before it draws a
    batch), "step" (while it trains), "end" (it trains to the end), "accepted" (the tool takes it, and what it writes
    can't be run), "none" (the mistake can't be written). lines: lines of the program that it points at; at: another
    place, in words.
    """

    when: str
    said: str
    lines: list[int]
    at: str | None
    step: int | None
    accuracy: float | None
    processes: list[Process]


def outcome(when: str, said: str, processes: list[Process], **more: Any) -> Outcome:
    """An outcome, of which most have no step and no accuracy."""
    return Outcome(when, said, more.get("lines", []), more.get("at"), more.get("step"), more.get("accuracy"), processes)


# --- programs ---------------------------------------------------------------------------------------------------------


def mistakes() -> list[dict[str, Any]]:
    """The mistakes, in order."""
    listed: list[dict[str, Any]] = tomllib.loads((FOLDER / "mistakes.toml").read_text(encoding="utf-8"))["mistake"]
    return listed


def right(base: str) -> str:
    """The right program of a tool."""
    return (FOLDER / RIGHT[base]).read_text(encoding="utf-8")


def wrong(base: str, pieces: list[list[str]]) -> str:
    """The right program with pieces replaced; a piece that does not stand there exactly once is an error."""
    text = right(base)
    for old, new in pieces:
        if text.count(old) != 1:
            raise ValueError(f"{RIGHT[base]} has {text.count(old)} times: {old}")
        text = text.replace(old, new)
    return text


def changed(base: str, text: str) -> list[int]:
    """The lines of a wrong program that the right one has not, from 1."""
    rows = difflib.SequenceMatcher(None, right(base).splitlines(), text.splitlines(), autojunk=False).get_opcodes()
    return [
        line + 1 for kind, _, _, first, end in rows if kind != "equal" for line in range(first, max(end, first + 1))
    ]


def owners(text: str, lines: list[int]) -> list[str]:
    """The layers of an n-orca file that lines of it belong to."""
    heads = [re.match(r"## (?:layer )?(\w+)", line) for line in text.splitlines()]
    found = ([h for h in heads[:line] if h][-1:] for line in lines)
    return list(dict.fromkeys(h[0][1] for h in found if h and h[0][0].startswith("## layer")))


# --- processes --------------------------------------------------------------------------------------------------------


def plain(text: str, folder: Path) -> str:
    """What a process printed, without colours, banners drawn of blocks, and paths of this machine."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|.*[═║█╗╝].*\n|\r", "", text)
    text = text.replace(f"{folder}/", "").replace(f"{FOLDER}/", "").replace(f"{ROOT}/", "")
    return re.sub(r"/[^\s\"']*/(site-packages|lib/python3\.\d+)/", r"…/\1/", text)


def run(command: list[str], folder: Path) -> Process:
    """Run a command in a folder, to its end or the limit."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "NEURAL_SKIP_WELCOME": "1", "PYTHONPATH": str(ROOT)}
    shown = " ".join([Path(command[0]).name, *(Path(c).name if "/" in c else c for c in command[1:])])
    try:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return Process(shown, 124, f"stopped after {LIMIT} s")
    return Process(shown, done.returncode, plain(done.stdout + done.stderr, folder))


def put_digits(folder: Path) -> None:
    """Put scikit-learn's digits where torchvision looks for MNIST, in its format: an epoch then takes a second."""
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    small = (digits.images * 15.9375).astype("uint8")
    images = np.stack([np.asarray(Image.fromarray(i).resize((28, 28), Image.Resampling.BILINEAR)) for i in small])
    labels = digits.target.astype("uint8")
    raw = folder / "data/MNIST/raw"
    raw.mkdir(parents=True)
    for part, rows in (("train", slice(0, 1437)), ("t10k", slice(1437, None))):
        head = struct.pack(">4i", 2051, *images[rows].shape)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(head + images[rows].tobytes())
        head = struct.pack(">2i", 2049, len(labels[rows]))
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(head + labels[rows].tobytes())


def train(script: Path, before: list[Process], program: str | None) -> Outcome:
    """Run a training script; `program` is the file whose lines are the author's own, if one of the scripts is."""
    put_digits(script.parent)
    report = script.parent / "report.json"
    done = run([sys.executable, str(FOLDER / "drive.py"), str(script), str(report)], script.parent)
    processes = [*before, done]
    seen = json.loads(report.read_text(encoding="utf-8")) if report.exists() else {"drew": False, "steps": 0}
    if done.code == 0:
        reached = re.findall(r"accuracy ([\d.]+)", done.output)
        return outcome("end", "", processes, accuracy=float(reached[-1]))
    errors = re.findall(r"^(?:[\w.]+Error|[\w.]+Exception): .*", done.output, re.M)
    said = errors[-1] if errors else done.output.strip().rpartition("\n")[2]
    frames = re.findall(r'^ +File "([^"]+)", line (\d+)', done.output, re.M)
    own = [int(line) for file, line in frames if file == program][-1:]
    written = [file for file, _ in frames if re.fullmatch(r"\w+\.py", file) and file != "drive.py"]
    at = None if own or not written else f"the generated `{written[-1]}`"
    when = "step" if seen["drew"] else "start"
    return outcome(when, said, processes, lines=own, at=at, step=seen["steps"] + 1 if seen["drew"] else None)


# --- tools ------------------------------------------------------------------------------------------------------------

NO_TORCH = "import sys; sys.modules['torch'] = None; from netc.cli import entry; entry()"


def run_netc(text: str, folder: Path) -> Outcome:
    """`netc check --json`, where torch can't be imported; the right program is trained too."""
    file = folder / "program.net"
    file.write_text(text, encoding="utf-8")
    done = run([sys.executable, "-c", NO_TORCH, "check", "--json", str(file)], folder)._replace(
        command="netc check --json program.net"
    )
    found = json.loads(done.output[: done.output.rfind("]") + 1])
    if not found:
        put_digits(folder)
        trained = run([sys.executable, "-m", "netc", "train", str(file), "--device", "cpu"], folder)
        accuracy = re.findall(r"(\d+\.\d+)%", trained.output)
        return outcome("end", "", [done, trained], accuracy=round(float(accuracy[-1]) / 100, 3))
    lines = [d["line"] for d in found] + [s["line"] for d in found for s in d["secondary"]]
    first = found[0]
    kind = "warning" if first["severity"] == "warning" else "check"
    return outcome(kind, f"{first['code']}: {first['message']}", [done], lines=list(dict.fromkeys(lines)))


def run_neural(text: str, folder: Path, tool: str, base: str) -> Outcome:
    """`neural compile --backend pytorch`, and what it writes with a training loop behind it, where that can run."""
    (folder / "program.neural").write_text(text, encoding="utf-8")
    done = run([tool, "--no-animations", "compile", "program.neural", "-b", "pytorch", "-o", "program.py"], folder)
    if done.code:
        said = re.search(r"^✗ (.*)", done.output, re.M) or re.search(r"^(?:ERROR: )+(.*)", done.output, re.M)
        line = re.search(r"\bline (\d+)", done.output)
        return outcome("check", said[1] if said else "", [done], lines=[int(line[1])] if line else [])
    script = folder / "program.py"
    script.write_text(script.read_text(encoding="utf-8") + LOOP, encoding="utf-8")
    trained = train(script, [done], None)
    # What the convolutional program gives does not run, also where the program is right: then it tells nothing.
    return (
        trained._replace(when="accepted", said="", at=None) if base == "neural-cnn" and text != right(base) else trained
    )


def run_norca(text: str, folder: Path, tool: str) -> Outcome:
    """`n-orca verify`, and where it is valid the compiled module, with the training of the PyTorch script."""
    (folder / "program.n.orca.md").write_text(text, encoding="utf-8")
    checked = run([tool, "verify", "program.n.orca.md"], folder)
    remark = re.search(r"^ +\[(ERR|WARN)\] +(.*)|^(parse) error: .*", checked.output, re.M)
    said = (remark[2] or remark[0]) if remark else ""
    layer = re.search(r"layer (?:name )?'(\w+)'", said)
    at = f"layer `{layer[1]}`" if layer else None
    if checked.code:
        return outcome("check", said, [checked], at=at)
    compiled = run([tool, "compile", "pytorch", "program.n.orca.md", "--out", "model.py"], folder)
    if compiled.code:
        return outcome("check", compiled.output.strip(), [checked, compiled])
    network, _, rest = right("pytorch").partition(SPLIT)
    head = network.partition("\n\nclass ")[0].rstrip() + "\n\nfrom model import Digits"
    (folder / "train.py").write_text(head + SPLIT + rest, encoding="utf-8")
    trained = train(folder / "train.py", [checked, compiled], None)
    return trained._replace(when="warning", said=said, at=at) if remark else trained


def run_pytorch(text: str, folder: Path) -> Outcome:
    """The script, as it is."""
    (folder / "program.py").write_text(text, encoding="utf-8")
    return train(folder / "program.py", [], "program.py")


def attempt(base: str, text: str, paths: dict[str, str]) -> Outcome:
    """Give one program to one tool, in an empty folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        if base == "netc":
            return run_netc(text, folder)
        if base == "n-orca":
            return run_norca(text, folder, paths["n-orca"])
        if base == "pytorch":
            return run_pytorch(text, folder)
        return run_neural(text, folder, paths["neural"], base)


def bases(tool: str) -> list[str]:
    """The right programs of a tool: Neural DSL has two."""
    return [base for base in RIGHT if base == tool or base.startswith(f"{tool}-")]


def entry(tool: str, mistake: dict[str, Any], paths: dict[str, str]) -> dict[str, Any]:
    """What the log says of a tool and a mistake."""
    base = next((b for b in bases(tool) if b in mistake), None)
    if base is None or isinstance(mistake[base], str):
        return outcome("none", str(mistake.get(tool)), [])._asdict()
    text = wrong(base, mistake[base])
    result = attempt(base, text, paths)
    lines = changed(base, text)
    layers = owners(text, lines) if tool == "n-orca" else []
    return {"program": RIGHT[base], "changed": lines, "layers": layers, **shown(result)}


def shown(result: Outcome) -> dict[str, Any]:
    """An outcome for JSON."""
    return result._asdict() | {"processes": [p._asdict() for p in result.processes]}


def version_of(tool: str, paths: dict[str, str]) -> str:
    """The version of a tool; that of Neural DSL and n-orca is asked of the Python they are installed in."""
    if tool in ("netc", "pytorch"):
        return version("netc" if tool == "netc" else "torch").partition("+")[0]
    python = Path(paths[tool]).with_name("python")
    name = {"neural": "neural-dsl", "n-orca": "n-orca"}[tool]
    ask = f"from importlib.metadata import version; print(version({name!r}))"
    return subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def record(log: dict[str, Any], tools: list[str], names: list[str] | None, paths: dict[str, str]) -> None:
    """Give the programs to the tools, and write what they make of them into the log."""
    for tool in tools:
        before = log.get(tool, {"wrong": {}})["wrong"]
        part: dict[str, Any] = {
            "version": version_of(tool, paths),
            "date": datetime.now(UTC).date().isoformat(),
            "right": {RIGHT[base]: shown(attempt(base, right(base), paths)) for base in bases(tool)},
            "wrong": {},
        }
        for mistake in mistakes():
            name = mistake["name"]
            kept = names and name not in names and name in before
            part["wrong"][name] = before[name] if kept else entry(tool, mistake, paths)
            print(tool, name, part["wrong"][name]["when"], flush=True)
        log[tool] = part


def main() -> int:
    """Run the tools that are there, then write the log and the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--neural", metavar="PATH", help="the command `neural` of Neural DSL; left out where not given")
    parser.add_argument("--n-orca", metavar="PATH", help="the command `n-orca`; left out where not given")
    parser.add_argument("--only", choices=TOOLS, action="append", help="only this tool; may be given several times")
    parser.add_argument("--name", action="append", help="only this mistake, and those that the log has not")
    options = parser.parse_args()
    paths = {name: path for name, path in (("neural", options.neural), ("n-orca", options.n_orca)) if path}
    tools = [t for t in options.only or TOOLS if t in ("netc", "pytorch", *paths)]
    log = json.loads(LOG.read_text(encoding="utf-8")) if LOG.exists() else {}
    record(log, tools, options.name, paths)
    ordered = {tool: log[tool] for tool in TOOLS if tool in log}
    LOG.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return subprocess.run([sys.executable, str(ROOT / "docs/comparison.py"), "--write"], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
