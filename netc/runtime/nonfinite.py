"""Where the numbers of a training stopped being finite.

In: the folder of a run that ended because its loss was no finite number. Out: the layer that first gave such numbers,
found by running the script once more from its last checkpoint, with a look at what every layer takes and gives; in one
process, whatever their number was. Guarantees: the run's folder is left as it is. On the CPU the second run is the
first to the bit; on a GPU it may take other last digits, and then nothing may be found. Leaves the words to `failure`.
"""

from __future__ import annotations

import contextlib
import os
import runpy
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn


class Origin(NamedTuple):
    """The layer at which it began.

    path: of the layer in the network; "" for the network itself.
    name: the layer's class.
    what: "output" (of finite numbers it made others), "weights" (they were not finite before the step), "input" (what
        the network was given was not finite) or "loss" (the outputs were finite).
    step: the batch of this run of the script, counted from 1.
    line: of model.py, where a function within the layer began it.
    """

    path: str
    name: str
    what: str
    step: int
    line: int | None = None


class _Found(BaseException):
    """Carries an origin out of the script, past its `except` clauses."""

    def __init__(self, origin: Origin) -> None:
        super().__init__()
        self.origin = origin


def find(run: Path, device: str) -> Origin | None:
    """Run the epoch in which the loss stopped being finite once more, and say where that began; None if it doesn't."""
    with tempfile.TemporaryDirectory() as folder:
        again = Path(folder)
        shutil.copy(run / "last.pt", again / "last.pt")
        for shards in run.glob("last-*"):
            shutil.copytree(shards, again / shards.name)
        try:
            with _watched(), _quiet(), _arguments(run, ["--device", device, "--resume", str(again.resolve())]):
                runpy.run_path(str(run / "train.py"), run_name="__main__")
        except _Found as found:
            return found.origin
        except (Exception, SystemExit):  # it failed as before, and no layer was seen to begin it
            return None
        finally:
            _leave()
    return None


def _leave() -> None:
    """Leave the group of processes, of which the script made one with itself alone."""
    dist: Any = sys.modules.get("torch.distributed")
    if dist is not None and dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


@contextlib.contextmanager
def _arguments(run: Path, arguments: list[str]) -> Iterator[None]:
    before = sys.argv, list(sys.path)
    sys.argv = [str(run / "train.py"), *arguments]
    sys.path.insert(0, str(run.resolve()))
    try:
        yield
    finally:
        sys.argv, sys.path[:] = before


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing), contextlib.redirect_stderr(nothing):
        yield


@contextlib.contextmanager
def _watched() -> Iterator[None]:
    """Look at what every module takes and gives in training."""
    import torch
    from torch.nn.modules import module as hooks
    from torch.overrides import TorchFunctionMode

    watch = _Watch()

    class Functions(TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            output = function(*args, **(kwargs or {}))
            watch.function(output, (args, kwargs or {}))
            return output

    compiled, blocks = torch.compile, torch.backends.mkldnn.is_available
    torch.backends.mkldnn.is_available = lambda: False  # whose ReLU makes 0 of a NaN
    torch.compile = lambda model, *_, **__: model  # type: ignore[assignment]  # hooks see nothing of what is compiled
    handles = [
        hooks.register_module_forward_pre_hook(watch.before),
        hooks.register_module_forward_hook(watch.after),
    ]
    try:
        with Functions():
            yield
    finally:
        torch.compile, torch.backends.mkldnn.is_available = compiled, blocks
        for handle in handles:
            handle.remove()


class _Watch:
    """The modules that are running, outermost first, and the batches so far."""

    def __init__(self) -> None:
        self.running: list[nn.Module] = []
        self.root: nn.Module | None = None
        self.step = 0
        self.lines: dict[int, int] = {}  # by module: the line of model.py that last made such numbers in it

    def function(self, output: Any, inputs: Any) -> None:
        """A call of torch, whoever makes it. What is masked with -inf on purpose comes before what goes wrong."""
        if self.running and not _finite(output) and _finite(inputs):
            line = _model_line()
            if line is not None:
                self.lines[id(self.running[-1])] = line

    def before(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if not self.running and any(True for _ in module.parameters()):
            self.root, self.step, self.lines = _unwrapped(module), self.step + module.training, {}
        self.running.append(module)

    def after(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        self.running.pop()
        root = self.root
        if root is None or not root.training or _finite(output):
            return
        names = {id(part): name for name, part in root.named_modules()}
        if id(module) not in names:  # the loss, of outputs that were finite or would have been found
            raise _Found(Origin("", type(module).__name__, "loss", self.step))
        path, name = names[id(module)], _class(module)
        if not all(bool(p.isfinite().all()) for p in module.parameters()):
            raise _Found(Origin(path, name, "weights", self.step))
        if _finite(inputs):
            raise _Found(Origin(path, name, "output", self.step, self.lines.get(id(module))))
        if module is root:
            raise _Found(Origin(path, name, "input", self.step))


def _unwrapped(module: nn.Module) -> nn.Module:
    """The network in what joins the gradients of several processes."""
    return module.module if type(module).__name__ == "DistributedDataParallel" else module  # type: ignore[return-value]


def _class(module: nn.Module) -> str:
    """The class of a layer, which sharding replaces by one of its own."""
    kind = type(module)
    sharded = any(base.__name__ == "FSDPModule" for base in kind.__mro__)
    return kind.__name__.removeprefix("FSDP") if sharded else kind.__name__


def _model_line() -> int | None:
    """The line of model.py that is running, if it is that of the innermost code that isn't torch's."""
    frame = sys._getframe(2)
    while frame is not None and Path(frame.f_code.co_filename).name != "model.py":
        if f"{os.sep}torch{os.sep}nn{os.sep}modules" in frame.f_code.co_filename:
            return None  # a layer of torch, which has a place of its own
        frame = frame.f_back  # type: ignore[assignment]
    return None if frame is None else frame.f_lineno


def _finite(value: Any) -> bool:
    """Whether all numbers in a tensor, or in what holds tensors, are finite."""
    if isinstance(value, (list, tuple)):
        return all(map(_finite, value))
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    return not hasattr(value, "isfinite") or bool(_all(value))


def _all(value: Tensor) -> Tensor:
    return value.detach().isfinite().all()
