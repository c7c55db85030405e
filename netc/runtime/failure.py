"""What raised while generated code ran, said of the program that it was generated from.

In: an exception with its traceback, the program, and the generated texts. Out: a diagnostic at the line of the .net
file, with the path of the layer and the generated line; None where it is a bug of netc, and not of a layer, the data or
a transform. Guarantees: nothing is run or read. Leaves to others: printing, and the traceback itself.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netc.backends import training_own_loss
from netc.backends.source_map import spans
from netc.diagnostics import Diagnostic, Label, Report
from netc.runtime.raised import Frame, Raised, generated
from netc.runtime.raised import of as raised_of

if TYPE_CHECKING:
    from netc import ir
    from netc.compiler import Files
    from netc.runtime.nonfinite import Origin
    from netc.source import Span

# Raised by generated code itself, these say that it is wrong; everything else is of what it is given.
_OURS = {"NameError", "SyntaxError", "AttributeError", "ImportError"}
_LONGEST = 400  # characters of an exception's message


def explained(problem: BaseException | Raised, program: ir.Program, files: Files) -> Diagnostic | None:
    """What an exception means for the program; None where it is netc's own."""
    found = problem if isinstance(problem, Raised) else raised_of(problem)
    python = {Path(p).name for file in program.python for p in file.paths} | _of_loss(program)
    places = [frame._replace(file=own) for frame in found.frames if (own := _file(frame, python))]
    if not places or (_file(found.frames[-1], python) == places[-1].file not in python and _wrong(found)):
        return None
    report = Report()
    if any(place.file == "model.py" for place in places):
        _of_the_network(found, program, files, places, report)
    else:
        _of_the_data(found, program, files, places, report)
    return report.diagnostics[0] if report.diagnostics else None


def of_python(problem: BaseException, program: ir.Program) -> BaseException | None:
    """What a Python file of the program raised, where that is behind another error."""
    python = {Path(p).name for file in program.python for p in file.paths}
    cause = problem.__cause__
    while cause is not None:
        if any(_file(frame, python) in python for frame in raised_of(cause).frames):
            return cause
        cause = cause.__cause__
    return None


def _of_loss(program: ir.Program) -> set[str]:
    """The names of the Python files that the loss needs."""
    return set() if program.train is None else {p.name for p in training_own_loss.companions(program.train.loss)}


def _wrong(problem: Raised) -> bool:
    return not _OURS.isdisjoint(problem.kinds)


def _file(frame: Frame, python: set[str]) -> str:
    """The generated file or the Python file of the program that a frame is of: "model.py", "layers.py", or ""."""
    name = Path(frame.file).name
    own = generated(frame.file, frame.module)
    return own or (name if name in python and frame.module == Path(name).stem else "")


def _said(problem: Raised) -> str:
    inner = _in_worker(problem)
    if inner:
        return inner[0][:_LONGEST]
    text = " ".join(problem.text.split())
    return f"{problem.kinds[0]}: {text[:_LONGEST]}" if text else problem.kinds[0]


def _in_worker(problem: Raised) -> tuple[str, str] | None:
    """What a worker process raised, and the line that did: torch hands its traceback on as text."""
    text = problem.text
    if not re.match(r"Caught \w+ in DataLoader worker process", text):
        return None
    first = text.partition("The above exception was the direct cause")[0]
    lines = re.findall(r'File "([^"]+)", line (\d+), in .*\n +(.*)', first)
    where = f"in {Path(lines[-1][0]).name}, line {lines[-1][1]}: {lines[-1][2]}" if lines else ""
    said = text.rstrip().rpartition("\n")[2]
    return said.removeprefix("RuntimeError: "), where


def _notes(places: list[Frame], files: Files, program: ir.Program) -> list[str]:
    """The generated line, and the line of the Python file that raised."""
    generated = [p for p in places if p.file in ("model.py", "train.py")][-1]
    notes = [f"in {generated.file}, line {generated.line}: {_line(generated, files, program)}"]
    if places[-1] is not generated:
        notes.append(f"in {places[-1].file}, line {places[-1].line}: {_line(places[-1], files, program)}")
    return notes


def _line(place: Frame, files: Files, program: ir.Program) -> str:
    if place.file in ("model.py", "train.py"):
        text = files.model if place.file == "model.py" else files.train or ""
    else:
        text = next((f.text for f in _python(program) if Path(f.path).name == place.file), "")
    lines = text.split("\n")
    return lines[place.line - 1].strip() if place.line <= len(lines) else ""


def _python(program: ir.Program) -> list[Any]:
    """The Python files as they were read, by way of their entries."""
    found: list[Any] = []
    of_loss = [] if program.train is None else training_own_loss.entries(program.train.loss)
    for entry in (*(e for file in program.python for e in file.entries), *of_loss):
        rule: Any = entry.rule
        known = getattr(getattr(rule, "shape", None), "file", None)
        if known is not None and known not in found:
            found.append(known)
    return found


# --- the network ------------------------------------------------------------------------------------------------------


def _of_the_network(problem: Raised, program: ir.Program, files: Files, places: list[Frame], report: Report) -> None:
    inner = [p for p in places if p.file == "model.py"][-1]
    path, kind = next(((f.path, f.kind) for f in reversed(problem.frames) if f.path), ("", problem.network))
    network = next((n for n in program.networks if n.name == problem.network), program.networks[0])
    span = _span(network, path, inner.path, spans(program).get(inner.line))
    what = f"`{path}` ({kind})" if path else f"`{network.name}`"
    doing = "building" if inner.function == "__init__" else "running"
    report.add("E0707", f"{what}: {doing} it raises {_said(problem)}", span, notes=_notes(places, files, program))


def _span(network: ir.Network, path: str, within: str, line: Span | None) -> Span:
    """The place in the file: of the layer where it has one, else of the line that was running, else of a part."""
    exact = [row.span for row in network.rows if row.path == path and path != within]
    if exact:
        return exact[0]
    inside = [
        row.span for row in network.rows if row.path == within or row.path.startswith(f"{within}." * bool(within))
    ]
    if line is not None and any(s.start < line.end and line.start < s.end for s in inside):
        return line  # else the module is of another file, and its rows have the place of its call
    parents = [row.span for row in network.rows if path and (path.startswith(f"{row.path}.") and row.path)]
    return (parents or inside or [network.span])[0]


# --- the data ---------------------------------------------------------------------------------------------------------

_READING = ("load_data", "read_images", "read_idx", "read_cifar", "read_picture", "make_images", "find_pictures",
            "class_names", "read", "decode", "cache_file", "content", "digest", "batch", "fetch", "require", "held_out",
            "split", "read_table", "encode", "finish", "read_labels", "read_arrays", "read_array", "read_dataset",
            "as_samples", "as_images", "batches", "fields", "make_all")  # fmt: skip


def _of_the_data(problem: Raised, program: ir.Program, files: Files, places: list[Frame], report: Report) -> None:
    data, train = program.data, program.train
    if data is None or train is None:
        return
    names = {p.function: p for p in places}
    inner = _in_worker(problem)
    notes = [*_notes(places, files, program), *([inner[1]] if inner and inner[1] else [])]
    for name, chain in (("augment", data.augment), ("prepare", data.transform), ("preprocess", data.transform)):
        if name in names and chain:
            step = _step(names[name].line, chain, files.train or "")
            span = step.span if step is not None else chain[0].span.to(chain[-1].span)
            what = f"`{step.name}`" if step is not None else "the transform"
            report.add("E0530", f"{what} raises {_said(problem)}", span, notes=notes)
            return
    if any(name in names for name in _READING):
        said = f"reading the data raises {_said(problem)}"
        report.add("E0530", said, data.train.span, "reads it", notes=notes)
    elif places[-1].file in _of_loss(program):
        own = training_own_loss.entries(train.loss)
        what = f"`{own[0].name}`" if len(own) == 1 else "the loss"
        report.add("E0707", f"{what}: running it raises {_said(problem)}", train.loss.span, notes=notes)
    elif "loss_function(" in (line := _line(places[-1], files, program)) or "compute_loss(" in line:
        said = f"the loss can't be computed for these labels: {_said(problem)}"
        report.add("E0530", said, data.train.span, "gives the labels", secondary=[Label(train.loss.span, "the loss")],
                   notes=notes, help="labels count from 0, and are fewer than the network's outputs")  # fmt: skip


def _step(line: int, chain: tuple[ir.Call, ...], text: str) -> ir.Call | None:
    """The step of a transform that a line of the script is of: the one that the nearest comment above it names."""
    lines = text.split("\n")
    for number in range(line, 0, -1):
        if number < line and lines[number - 1].startswith("def "):
            break
        comment = re.search(r"# ([\w.]+)", lines[number - 1])
        found = [step for step in chain if comment is not None and step.name == comment[1]]
        if found:
            return found[0]
    return None


def of_files(message: str, program: ir.Program, sets: list[tuple[ir.Call, tuple[str, ...]]]) -> Diagnostic | None:
    """What a script says of the files of a data set, at that data set; None where it speaks of something else.

    Args:
        message: what the script ended with.
        sets: the data sets, each with its folder or files as the program writes them.
    """
    report = Report()
    found = []
    for call, paths in sets:
        for path in paths:  # "data" is named in "data/x.csv is …" and in "'x' of data", and not in "test_data is …"
            place = re.search(rf"(?<![\w./-]){re.escape(str(Path(path)))}(?![\w-]|\.\w)", message)
            found += [(place.start(), -len(path), call)] if place is not None else []
    if found:
        report.add("E0530", message, min(found, key=lambda row: row[:2])[2].span, "reads these files")
    elif message.startswith("cannot hold ") and program.data is not None:
        report.add("E0530", message, program.data.train.span, "is shared out")
    return report.diagnostics[0] if report.diagnostics else None


_ORIGINS = {
    "output": "is the first to give numbers that are not finite",
    "weights": "has weights that are no finite numbers any more",
    "input": "is given data that is not finite",
    "loss": "is not finite, of outputs that are",
}


def of_outputs(problem: BaseException | Raised) -> str | None:
    """What to say where a loss was given outputs that are not finite, and raised; None where that is not so."""
    found = problem if isinstance(problem, Raised) else raised_of(problem)
    return None if found.epoch is None else f"the loss is nan in epoch {found.epoch}"


def diverged(message: str, program: ir.Program, origin: Origin | None) -> Diagnostic | None:
    """A loss that is no number any more, said of the layer where that began, where one was found, and of the steps.

    None for another message.
    """
    data, train, network = program.data, program.train, program.trained
    if not message.startswith("the loss is") or data is None or train is None or network is None:
        return None
    report = Report()
    steps = Label(train.optimizer.span, "with these steps")
    if origin is None or origin.what == "input":
        said = message if origin is None else f"{message}: the network {_ORIGINS['input']}"
        report.add("E0660", said, data.train.span, "trained on this", secondary=[steps])
        return report.diagnostics[0]
    layer = f"`{origin.path}` ({origin.name})" if origin.path else f"`{origin.name}`"
    line = spans(program).get(origin.line) if origin.line is not None else None
    span = line or (train.loss.span if origin.what == "loss" else _span(network, origin.path, "", None))
    report.add(
        "E0660", f"{message.partition(';')[0]}: {layer} {_ORIGINS[origin.what]}", span,
        f"in batch {origin.step} after the last checkpoint", secondary=[steps],
        help="try a smaller `lr`, `clip_grad_norm = 1.0`, or normalised data",
    )  # fmt: skip
    return report.diagnostics[0]
