"""The generated training script as a module, and weights in the network that it trains.

In: the texts of train.py and model.py, and the path of a checkpoint. Out: a module whose functions read the data and
prepare the images exactly as training does, and its network with those weights.
Guarantees: nothing runs when the script is loaded; what a checkpoint holds is never executed; every mistake of the user
is a `UserError`. Leaves to others: what is computed with the network.
"""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from netc.foreign.importing import importable
from netc.runtime.errors import UserError
from netc.runtime.importing import import_torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor, nn

_SHOWN = 4  # differences that a message lists


def load_script(train: str, model: str, folder: Path | None = None, beside: Sequence[Path] = ()) -> ModuleType:
    """The script as a module, without running its `main`.

    Args:
        train, model: the texts of train.py and model.py.
        folder: where the script believes to lie, and looks for the files that ship with it; by default the folder of
            the package, which has them.
        beside: the Python files that model.py and train.py import.
    """
    import_torch()
    folder = folder or Path(__file__).parents[1]
    network = ModuleType("model")
    with importable(beside):
        exec(compile(model, "<model.py>", "exec", dont_inherit=True), network.__dict__)
    script = ModuleType("train")
    script.__file__ = str(folder / "train.py")
    vars(script)["_model_text"] = model
    before = sys.modules.get("model")
    sys.modules["model"] = network  # the script's `from model import …` means this one
    try:
        with importable(beside):
            exec(compile(train, "<train.py>", "exec", dont_inherit=True), script.__dict__)
    finally:
        if before is None:
            del sys.modules["model"]
        else:
            sys.modules["model"] = before
    return script


@contextlib.contextmanager
def script_errors() -> Iterator[None]:
    """Turn the script's way to end with a message into a `UserError`."""
    try:
        yield
    except SystemExit as end:
        raise UserError(str(end.code).removeprefix("error: ")) from None


def load_network(script: ModuleType, weights: Path, device: str) -> tuple[nn.Module, dict[str, Any]]:
    """The script's network on a device with the weights of a file, in evaluation mode, and the checkpoint.

    A file may be a checkpoint of the script, or a plain state dict.

    Raises:
        UserError: if the device or the file is not there, the file is cut short, or its weights are not this network's.
    """
    from torch import nn

    with script_errors():
        where = script.choose_device(device)
    checkpoint = read_checkpoint(weights)
    with form_only(vars(script).get("_model_text", "")):
        network: nn.Module = script.build_model(where)
    state = weights_of(checkpoint)
    fit(network, state, weights, checkpoint)
    network.load_state_dict(state)
    for loss in vars(script).values():
        if isinstance(loss, nn.Module):
            loss.to(where)  # the weights of its classes
    return network.eval(), checkpoint


def weights_of(checkpoint: dict[str, Any]) -> Any:
    """The weights that a checkpoint is about: their average where it has one, as that is what was evaluated."""
    if "ema" not in checkpoint:
        return unwrapped(checkpoint.get("model", checkpoint))
    averaged = checkpoint["ema"]
    return {name.removeprefix("module."): value for name, value in averaged.items() if name != "n_averaged"}


def read_data(script: ModuleType, checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of the data as the script reads them; the rows of a table are encoded as the checkpoint says."""
    given = []
    if hasattr(script, "Encoding"):
        given.append(script.Encoding())
        if isinstance(checkpoint.get("encoding"), dict):
            given[0].load_state_dict(checkpoint["encoding"])
    parts: dict[str, Any] = script.load_data(*given)
    return parts


def unwrapped(state: Any) -> Any:
    """A state dict without what DataParallel and torch.compile put in front of all names."""
    for prefix in ("module.", "_orig_mod.", "module."):
        if isinstance(state, dict) and state and all(isinstance(n, str) and n.startswith(prefix) for n in state):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def form_only(text: str) -> contextlib.AbstractContextManager[None]:
    """Pretrained models are built without their weights, where model.py has any: a checkpoint follows."""
    if "models." not in text:
        return contextlib.nullcontext()
    from netc.foreign.probe import without_weights

    return without_weights()


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a checkpoint file, its tensors in main memory; nothing in it is executed.

    Raises:
        UserError: if there is no such file, or it is cut short or no checkpoint.
    """
    import torch

    try:
        stored = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"there is no file `{path}`", help="train first, or name the file with --weights") from None
    except OSError as problem:
        raise UserError(f"`{path}` can't be read: {problem.strerror}") from None
    try:
        content = torch.load(io.BytesIO(stored), map_location="cpu", weights_only=True)
    except Exception as problem:  # of many kinds where a file is damaged
        raise UserError(
            f"`{path}` ({len(stored):,} bytes) is cut short, damaged, or not a checkpoint",
            help="name a checkpoint, such as best.pt or last.pt of a run",
            details=str(problem),
        ) from None
    if not isinstance(content, dict) or not content:
        raise UserError(f"`{path}` is not a checkpoint: it holds a {type(content).__name__}")
    if isinstance(content.get("shards"), str) and "model" not in content:
        content |= _of_shards(path, content["shards"])
    return content


def _of_shards(path: Path, name: str) -> dict[str, Any]:
    """The weights that a checkpoint of FSDP has in a folder beside it while the run is not at its end."""
    from netc.runtime.shards import whole_weights

    folder = path.parent / Path(name).name
    try:
        return whole_weights(folder)
    except FileNotFoundError as problem:
        raise UserError(
            f"`{path}` has its weights in `{folder}`, and `{Path(problem.filename or folder).name}` is not there",
            help="keep the folder beside it, or name best.pt of the run, which has the weights in it",
        ) from None
    except Exception as problem:  # of many kinds where a file is damaged
        raise UserError(
            f"`{path}` has its weights in `{folder}`, which is cut short, damaged, or not of a checkpoint",
            help="name best.pt of the run, which has the weights in it",
            details=str(problem),
        ) from None


def fit(network: nn.Module, state: object, path: Path, checkpoint: Mapping[str, Any]) -> None:
    """Raise a `UserError` that says where names and shapes differ."""
    import torch

    if not isinstance(state, dict):
        raise UserError(f"`{path}` holds no state dict")
    own = network.state_dict()
    missing = [name for name in own if name not in state]
    extra = [str(name) for name in state if name not in own]
    wrong = [
        f"`{name}` is {_shape(state[name])} in the file and {_shape(value)} in the network"
        for name, value in own.items()
        if name in state and not (isinstance(state[name], torch.Tensor) and state[name].shape == value.shape)
    ]
    if not (missing or extra or wrong):
        return
    said = wrong[:_SHOWN]
    said += [f"it has no {_listed(missing)}"] if missing else []
    said += [f"the network has no {_listed(extra)}"] if extra else []
    trained = checkpoint.get("network")
    name = type(network).__name__
    other = f", it is of {trained}" if isinstance(trained, str) and trained != name else ""
    help_text = "take weights of this network, with the parameters that it was trained with"
    raise UserError(f"`{path}` does not fit {name}{other}: {'; '.join(said)}", help=help_text)


def _shape(value: object) -> str:
    shape = getattr(value, "shape", None)
    return str(list(shape)) if shape is not None else "no tensor"


def _listed(names: list[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"


def probabilities(script: ModuleType, outputs: Tensor) -> Tensor:
    """Probabilities [N, classes] from the network's outputs, by the loss that it was trained with."""
    from torch import nn

    logs = any(isinstance(value, nn.NLLLoss) for value in vars(script).values())
    return outputs.exp() if logs else outputs.softmax(1)
