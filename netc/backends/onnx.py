"""A network as an ONNX file, with proof.

In: the module with its weights, the types of its inputs, the names of its outputs. Out: one `.onnx` file and an
`ExportReport`.
Guarantees: every symbolic size is an axis with that name; the file passes ONNX's checker; ONNX Runtime gives the
module's own numbers, within the tolerance, at sizes that were not traced. A file that fails any of this is not put in
place, and one that was there before stays as it was.
Leaves to others: building the module, and what the metadata says.
"""

from __future__ import annotations

import io
import logging
import os
import re
import warnings
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from netc.backends import onnx_blame, onnx_sizes
from netc.backends.onnx_blame import Run
from netc.backends.onnx_rewrites import general_forms
from netc.runtime.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy as np
    import torch
    from onnxruntime import InferenceSession
    from torch.onnx import ONNXProgram

    from netc.ir import Input

# A protobuf message holds less than 2 GiB; from here on the weights lie in a second file beside the first.
_ONE_FILE = 2**31 - 2**24
# Where the traced lines stand on this machine; nothing that belongs into a file for others.
_PRIVATE_NOTES = ("pkg.torch.onnx.stack_trace", "pkg.torch.onnx.fx_node")


class Difference(NamedTuple):
    """How far ONNX Runtime is from PyTorch in one output: at most, and relative to the output's largest value."""

    output: str
    absolute: float
    relative: float


class ExportReport(NamedTuple):
    """What was written and how it was tested.

    axes: for each input and output its sizes in the file, names where they are open.
    traced: the sizes of the trace; sizes: those of the comparison, none of them traced.
    nodes: operators in the graph; bytes: of all the files written.
    """

    path: Path
    opset: int
    axes: Mapping[str, tuple[int | str, ...]]
    traced: Mapping[str, int]
    sizes: tuple[Mapping[str, int], ...]
    differences: tuple[Difference, ...]
    nodes: int
    bytes: int


class _Job(NamedTuple):
    """What all the steps look at: a copy of the network on the CPU in evaluation, its signature, and the sizes."""

    module: torch.nn.Module
    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]
    plan: onnx_sizes.Plan
    integer_range: Mapping[str, int]

    def run(self, sizes: Mapping[str, int]) -> Run:
        return Run(sizes, onnx_sizes.samples(self.inputs, sizes, self.integer_range))

    @property
    def axes(self) -> tuple[dict[int, str], ...]:
        """For each input the names of its open axes."""
        shapes = (entry.type.shape for entry in self.inputs)
        return tuple({i: str(dim) for i, dim in enumerate(shape) if not isinstance(dim, int)} for shape in shapes)


def export(
    module: torch.nn.Module,
    inputs: tuple[Input, ...],
    outputs: tuple[str, ...],
    path: Path,
    metadata: Mapping[str, str],
    tolerance: float = 1e-4,
    integer_range: Mapping[str, int] | None = None,
) -> ExportReport:
    """Write the network to an ONNX file and compare the file with the network.

    Args:
        module: the network; neither it nor its mode is changed. What it does in evaluation is exported.
        inputs: in the order of `forward`; a size that isn't a number becomes an axis of that name.
        outputs: names for the results, in order; those of a named tuple or a dict come in its order.
        path: the file to write; folders that are missing are made.
        metadata: text that the file carries, such as class names as JSON.
        tolerance: the greatest absolute difference allowed between the two, in the output's own unit.
        integer_range: for each input of integers, how many values it may take (from 0). Where it isn't named, what an
            embedding that it goes into has, else 2, and 256 for uint8.

    Raises:
        UserError: the network can't be exported, the exporter fixed an axis, the numbers differ, or the file can't be
            written.
    """
    job = _job(module, inputs, outputs, integer_range or {}, path)
    with _folder_beside(path) as folder:
        program = _convert(job)
        _check_axes(job, program)
        written = _save(program, folder / path.name, metadata)
        differences = _prove(job, program, written, tolerance)
        size = sum(file.stat().st_size for file in folder.iterdir())
        _put_in_place(folder, path)
    graph = program.model.graph
    return ExportReport(
        path=path,
        opset=program.model.opset_imports[""],
        axes={str(value.name): tuple(_dims(value)) for value in (*graph.inputs, *graph.outputs)},
        traced=job.plan.traced,
        sizes=job.plan.trials,
        differences=differences,
        nodes=graph.num_nodes(),
        bytes=size,
    )


def _job(
    module: torch.nn.Module,
    inputs: tuple[Input, ...],
    outputs: tuple[str, ...],
    integer_range: Mapping[str, int],
    path: Path,
) -> _Job:
    if path.is_dir():
        raise UserError(f"cannot write {path}: it is a folder", "name the file, such as `-o network.onnx`")
    copy = deepcopy(module).cpu().eval()
    plan = onnx_sizes.plan(copy, inputs, integer_range)
    ranges = onnx_sizes.integer_ranges(copy, inputs, plan.traced) | dict(integer_range)
    return _Job(copy, inputs, outputs, plan, ranges)


@contextmanager
def _folder_beside(path: Path) -> Iterator[Path]:
    """A folder of its own on the same disk, so that the finished file can be renamed into place; gone afterwards."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=path.parent, prefix=".netc-", ignore_cleanup_errors=True) as name:
            yield Path(name)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}", "choose another place with `-o`") from error


def _put_in_place(folder: Path, path: Path) -> None:
    """Rename the files, the one that refers to the others last."""
    for file in sorted(folder.iterdir(), key=lambda file: file.name == path.name):
        os.replace(file, path.parent / file.name)


def _convert(job: _Job) -> ONNXProgram:
    """Trace the module and translate it, without a word unless it fails."""
    import torch

    dims = {name: torch.export.Dim(name) for name in job.plan.traced}
    shapes = tuple({axis: dims[name] for axis, name in names.items()} for names in job.axes)
    with _silence() as said, general_forms():
        try:
            program = torch.onnx.export(
                job.module,
                job.run(job.plan.traced).tensors,
                input_names=[entry.name for entry in job.inputs],
                output_names=list(job.outputs),
                dynamic_shapes=shapes if dims else None,
                dynamo=True,
                verbose=False,
            )
        except Exception as error:
            raise _not_exportable(error, said()) from error
    assert program is not None
    _forget_this_machine(program)
    return program


def _not_exportable(error: BaseException, said: str) -> UserError:
    root = error
    while root.__cause__ is not None:
        root = root.__cause__
    reason = next((line.strip() for line in str(root).splitlines() if line.strip()), type(root).__name__)
    details = re.sub(r"\x1b\[\d+m", "", f"{error}\n{said}".strip())
    return UserError(f"PyTorch cannot export this network to ONNX: {reason}", details=details)


def _forget_this_machine(program: ONNXProgram) -> None:
    for node in program.model.graph.all_nodes():
        for note in _PRIVATE_NOTES:
            node.metadata_props.pop(note, None)


@contextmanager
def _silence() -> Iterator[Callable[[], str]]:
    """Hold back what the exporter prints, logs and warns of; gives a function that returns it."""
    text, former = io.StringIO(), logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with redirect_stdout(text), redirect_stderr(text), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield text.getvalue
    finally:
        logging.disable(former)


def _check_axes(job: _Job, program: ONNXProgram) -> None:
    """Every size that is a name in the network has to be that name in the file."""
    for entry, value in zip(job.inputs, program.model.graph.inputs, strict=True):
        for dim, got in zip(entry.type.shape, _dims(value), strict=True):
            if isinstance(dim, int) or str(dim) == got:
                continue
            if isinstance(got, str):
                raise UserError(
                    f"the sizes `{dim}` and `{got}` of input `{entry.name}` are one size in the exported network",
                    f"it works only where they are equal; write `{got}` for both",
                )
            raise UserError(
                f"the size `{dim}` of input `{entry.name}` is open, but came out of the export fixed at {got}"
                + _blame(_fixing_layer(job, str(dim)), "; the layer that fixes it is "),
                f"exchange that layer, or write a number in place of `{dim}`",
            )


def _fixing_layer(job: _Job, symbol: str) -> str | None:
    with _silence(), general_forms():
        return onnx_blame.fixing_layer(job.module, job.run(job.plan.traced).tensors, job.axes, symbol)


def _dims(value: Any) -> list[int | str]:
    """The sizes of a value in the graph; "?" where the exporter left one without a name."""
    return [dim if isinstance(dim, int) else str(dim.value or "?") for dim in value.shape or ()]


def _blame(layer: str | None, words: str) -> str:
    return "" if layer is None else words + layer


def _save(program: ONNXProgram, path: Path, metadata: Mapping[str, str]) -> Path:
    """Write the file and let ONNX's own checker read it."""
    import onnx

    program.model.metadata_props.update(metadata)
    weights = sum(value.const_value.nbytes for value in program.model.graph.initializers.values() if value.const_value)
    with _silence():
        program.save(str(path), external_data=weights >= _ONE_FILE)
        try:
            onnx.checker.check_model(str(path), full_check=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            raise UserError("the exported file does not pass ONNX's checker", details=str(error)) from error
    return path


def _prove(job: _Job, program: ONNXProgram, path: Path, tolerance: float) -> tuple[Difference, ...]:
    """The greatest difference of each output over all the sizes of the plan."""
    session = _session(path)
    worst = {name: Difference(name, 0.0, 0.0) for name in job.outputs}
    for sizes in job.plan.trials:
        run = job.run(sizes)
        actual = _run_onnx(job, program, session, run)
        for name, ours, theirs in zip(job.outputs, _results(job, run), actual, strict=True):
            if ours.shape != theirs.shape:
                raise _other_shape(job, program, run, name, ours, theirs)
            found = _difference(name, ours, theirs)
            if not found.absolute <= tolerance:
                raise _other_numbers(found, run, tolerance, _diverging_layer(job, program, run))
            worst[name] = max(worst[name], found, key=lambda difference: difference.absolute)
    return tuple(worst.values())


def _session(path: Path) -> InferenceSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what matters comes as an exception
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no base class of their own
        raise UserError("ONNX Runtime cannot load the exported file", details=str(error)) from error


def _run_onnx(job: _Job, program: ONNXProgram, session: InferenceSession, run: Run) -> Sequence[np.ndarray[Any, Any]]:
    try:
        feeds = {entry.name: tensor.numpy() for entry, tensor in zip(job.inputs, run.tensors, strict=True)}
        result: Sequence[np.ndarray[Any, Any]] = session.run(list(job.outputs), feeds)
    except Exception as error:
        layer = onnx_blame.layer_of(program, str(error))
        raise UserError(
            f"the exported network does not run at {onnx_sizes.describe(run.sizes)}" + _blame(layer, "; it stops at "),
            details=str(error),
        ) from error
    return result


def _diverging_layer(job: _Job, program: ONNXProgram, run: Run) -> str | None:
    return onnx_blame.diverging_layer(program, job.module, job.run(job.plan.traced), run)


def _results(job: _Job, run: Run) -> list[np.ndarray[Any, Any]]:
    import torch

    with torch.no_grad():
        tensors = list(_tensors(job.module(*run.tensors)))
    if len(tensors) != len(job.outputs):
        raise ValueError(f"the network gives {len(tensors)} results, {len(job.outputs)} are named")
    return [tensor.resolve_conj().numpy() for tensor in tensors]


def _tensors(result: object) -> Iterator[torch.Tensor]:
    """The tensors of a result in order; an output that is `None` in evaluation is no output."""
    import torch

    if isinstance(result, torch.Tensor):
        yield result
    elif isinstance(result, dict):
        for part in result.values():
            yield from _tensors(part)
    elif isinstance(result, (tuple, list)):
        for part in result:
            yield from _tensors(part)


def _difference(name: str, ours: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any]) -> Difference:
    """NaN equals NaN, and an infinity itself; where only one of the two is finite they differ without limit."""
    import numpy as np

    left, right = ours.astype(np.float64), theirs.astype(np.float64)
    equal = (left == right) | (np.isnan(left) & np.isnan(right))
    with np.errstate(invalid="ignore"):
        gaps = np.where(equal, 0.0, np.abs(left - right))
    absolute = float(np.where(np.isnan(gaps), np.inf, gaps).max(initial=0.0))
    largest = float(np.abs(left[np.isfinite(left)]).max(initial=0.0))
    return Difference(name, absolute, absolute / largest if largest else absolute)


def _other_shape(
    job: _Job, program: ONNXProgram, run: Run, name: str, ours: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any]
) -> UserError:
    return UserError(
        f"output `{name}` has the shape {list(theirs.shape)} in ONNX Runtime and {list(ours.shape)} in PyTorch "
        f"at {onnx_sizes.describe(run.sizes)}" + _blame(_diverging_layer(job, program, run), "; they part at "),
        "the exporter fixed a size inside the network: exchange that layer, or write numbers for the open sizes",
    )


def _other_numbers(found: Difference, run: Run, tolerance: float, layer: str | None) -> UserError:
    by = f"by {found.absolute:.3g}" if found.absolute != float("inf") else "in what is NaN or infinite"
    fixed = "the exporter fixed a size inside that layer: exchange it, or write numbers for the open sizes"
    random = "what draws random numbers in evaluation cannot be compared; large outputs may need a larger --tolerance"
    return UserError(
        f"output `{found.output}` differs {by} between ONNX Runtime and PyTorch at {onnx_sizes.describe(run.sizes)}; "
        f"the limit is {tolerance:g}" + _blame(layer, "; they part at "),
        fixed if layer else random,
    )
