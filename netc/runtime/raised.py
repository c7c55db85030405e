"""What an exception of generated code was, told as data: where it was raised, and which layer was running.

In: an exception with its traceback. Out: `Raised`, which can be written as JSON by one process and read by another.
Guarantees: nothing of netc and nothing beside the standard library is imported, so that a process that runs a script
alone can load this file too. Leaves what it means for the program to `failure`.
"""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from types import FrameType


class Frame(NamedTuple):
    """A call that was running.

    file: where its code stands. line: that was running, counted from 1. module, function: its names.
    path: of the module of the network that `self` is; "" for the network itself, and for what is no part of it.
    kind: the class of `self`.
    """

    file: str
    line: int
    module: str
    function: str
    path: str
    kind: str


class Raised(NamedTuple):
    """An exception, the frames from the outermost to the one that raised it.

    kinds: the names of its class and of the classes above.
    network: the class of the network that was running, "" where none was.
    epoch: of a training of which numbers were not finite any more; None for every other one.
    """

    kinds: tuple[str, ...]
    text: str
    frames: tuple[Frame, ...]
    network: str = ""
    epoch: int | None = None

    def to_json(self) -> str:
        return json.dumps(self._asdict())


def from_json(text: str) -> Raised:
    """What `to_json` wrote."""
    found = json.loads(text)
    frames = tuple(Frame(*frame) for frame in found["frames"])
    return Raised(tuple(found["kinds"]), found["text"], frames, found["network"], found["epoch"])


def of(problem: BaseException) -> Raised:
    """An exception as data."""
    walked = list(traceback.walk_tb(problem.__traceback__))
    root = next((f.f_locals.get("self") for f, _ in walked if generated(*_names(f)) == "model.py"), None)
    paths = _paths(root)
    frames = []
    for frame, line in walked:
        file, module = _names(frame)
        own = frame.f_locals.get("self")
        name = frame.f_code.co_name
        frames.append(Frame(file, line, module, name, paths.get(id(own), ""), type(own).__name__))
    kinds = tuple(kind.__name__ for kind in type(problem).__mro__)
    network = "" if root is None else type(root).__name__
    return Raised(kinds, str(problem), tuple(frames), network, _epoch([frame for frame, _ in walked]))


def generated(file: str, module: str) -> str:
    """Which generated file a frame is of: "model.py", "train.py", or none: ""."""
    for own in ("model.py", "train.py"):
        if file.startswith(f"<{own}") or (Path(file).name == own and module in ("model", "train", "__main__")):
            return own
    return ""


def _names(frame: FrameType) -> tuple[str, str]:
    return frame.f_code.co_filename, str(frame.f_globals.get("__name__", ""))


def _paths(root: Any) -> dict[int, str]:
    """The paths of a network's modules, by their identity."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(root, torch.nn.Module):
        return {}
    try:
        return {id(part): name for name, part in root.named_modules()}
    except AttributeError:  # it is being built
        return {}


def _epoch(frames: list[FrameType]) -> int | None:
    """The epoch of a training that has numbers that are not finite, beside those that it was given."""
    torch = sys.modules.get("torch")
    main = next((frame for frame in frames if "loss_sum" in frame.f_locals), None)
    if torch is None or main is None:
        return None
    known = [value for name, value in main.f_locals.items() if name not in ("batch", "target", "images", "labels")]
    floats = [value for value in known if isinstance(value, torch.Tensor) and value.is_floating_point()]
    wrong = any(not bool(value.isfinite().all()) for value in floats)
    return int(main.f_locals.get("epoch", 0)) if wrong else None
