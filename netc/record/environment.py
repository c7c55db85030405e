"""environment.json: what a run was made with, so that it can be made again.

In: the program, its text, what `--set` gave, the files that it reads. Out: plain data: versions, machine, device,
threads, seed, digests of the program and of the data. Guarantees: torch is asked only where it is imported already, and
a GPU only where the script has set it up; what can't be found out is left out. Leaves writing to `keeping`.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netc import ir
from netc.catalog.versions import installed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_WHOLE = 256 * 2**20  # bytes of data that are read for their digest
_MOST_FILES = 100_000
CONTENT, LISTING = "contents", "names, sizes and times"


def versions() -> dict[str, str]:
    """Python and the packages that a run hangs on."""
    found = {name: installed(name) for name in ("torch", "torchvision", "numpy")}
    return {"python": platform.python_version(), **{name: v for name, v in found.items() if v is not None}}


def machine() -> dict[str, Any]:
    """The system, its processor and how many cores this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"platform": platform.platform(), "host": platform.node(), "processor": _processor(), "cores": cores}


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()


def device(asked: str) -> dict[str, Any]:
    """The device that a script takes when it is asked for this one, its name, and the threads of this process.

    To be called from the thread that trains: the number of threads is its own.
    """
    torch: Any = sys.modules.get("torch")
    if torch is None:
        return {}
    name = asked
    if asked in ("auto", "cuda"):
        mps = torch.backends.mps.is_available() and asked == "auto"
        name = "cuda:0" if torch.cuda.device_count() else "mps" if mps else "cpu"
    found = {"device": name, "threads": torch.get_num_threads()}
    return {**found, **device_name(name)}


def device_name(name: str) -> dict[str, str]:
    """What the device calls itself, where it can be asked without setting it up."""
    torch: Any = sys.modules.get("torch")
    if not name.startswith("cuda"):
        return {"device_name": _processor()} if name == "cpu" else {}
    return {"device_name": torch.cuda.get_device_name(name)} if torch and torch.cuda.is_initialized() else {}


def peak_memory(name: str) -> int | None:
    """The most bytes that were held at once: tensors on a GPU, else all of this process."""
    torch: Any = sys.modules.get("torch")
    if name.startswith("cuda"):
        return int(torch.cuda.max_memory_allocated(name)) if torch and torch.cuda.is_initialized() else None
    try:
        import resource
    except ImportError:  # a system without it
        return None
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024


# --- digests ----------------------------------------------------------------------------------------------------------


def digest(text: str) -> str:
    """The SHA-256 sum of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def data_digests(program: ir.Program, shipped: Sequence[tuple[Path, str]]) -> list[dict[str, Any]]:
    """For each data set its files: how many, their bytes, one SHA-256 sum, and what the sum is of."""
    found = []
    data = program.data
    parts = () if data is None else (data.train, data.validation, data.test)
    calls = [part for part in parts if isinstance(part, ir.Call)]
    for name, folder in dict.fromkeys((call.name, place) for call in calls for place in _places(call)):
        found.append({"name": name, "path": str(folder), **_digest_of(_files(folder), folder)})
    own = sorted(source for source, target in shipped if not target.endswith(".py"))
    if own:
        found.append({"name": "shipped files", "path": own[0].parent.name, **_digest_of(own, own[0].parent)})
    return found


def _places(call: ir.Call) -> Iterator[Path]:
    """The files and folders that the arguments of a data set name."""
    values = [v for a in call.args.values() for v in (a.value if isinstance(a.value, (list, tuple)) else (a.value,))]
    for value in values:
        if not isinstance(value, str) or not value:
            continue
        path = Path(value)
        if (path / call.name).is_dir():  # torchvision's sets share one root
            path = path / call.name
        if path.exists():
            yield path


def _files(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    found: list[Path] = []
    for folder, folders, names in os.walk(place):
        folders.sort()
        found += [Path(folder) / name for name in sorted(names)]
        if len(found) > _MOST_FILES:
            break
    return found[:_MOST_FILES]


def _digest_of(files: Iterable[Path], folder: Path) -> dict[str, Any]:
    """How many files, their bytes, and one sum over their paths within a folder and what is in them."""
    stats = []
    for path in files:
        try:
            stats.append((path, path.stat()))
        except OSError:
            continue
    size = sum(stat.st_size for _, stat in stats)
    total = hashlib.sha256()
    whole = size <= _WHOLE
    for path, stat in stats:
        if whole:
            total.update(f"{_within(path, folder)}\0{stat.st_size}\0".encode(errors="replace"))
            whole_file(path, total)
        else:
            total.update(f"{_within(path, folder)}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode(errors="replace"))
    return {"files": len(stats), "bytes": size, "sha256": total.hexdigest(), "of": CONTENT if whole else LISTING}


def _within(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name


def whole_file(path: Path, total: Any) -> None:
    """Put the bytes of a file into a digest; of one that vanished meanwhile there are none."""
    try:
        with path.open("rb") as file:
            while block := file.read(2**20):
                total.update(block)
    except OSError:
        total.update(b"\0unreadable")
