"""Scripts that several processes run together, without torchrun: forked from a process that has imported torch.

A job costs a fraction of a second, as each of its processes finds torch already imported.
"""

from __future__ import annotations

import contextlib
import multiprocessing.connection
import os
import re
import runpy
import shutil
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netc import compiler
from netc.files import imported
from tests.forked import server

if TYPE_CHECKING:
    from collections.abc import Callable


class Scripts:
    """The files of a program in a folder, run by any number of processes."""

    def __init__(self, folder: Path, text: str, settings: dict[str, str] | None = None, double: bool = False) -> None:
        checked = compiler.analyse(text, "case.net", "case", settings or {}, imported)
        assert checked.program is not None, [(d.code, d.message) for d in checked.diagnostics]
        files = compiler.emit(checked.program)
        assert files.train is not None
        self.folder, self.text = folder, in_double(files.train) if double else files.train
        folder.mkdir(parents=True)
        (folder / "train.py").write_text(self.text)
        (folder / "model.py").write_text(files.model)
        for source, target in files.shipped:
            (folder / target).parent.mkdir(exist_ok=True)
            shutil.copy(source, folder / target)

    def run(self, cwd: Path, *arguments: str, ranks: int = 1, restarts: int = 0, prepare: Any = None) -> list[int]:
        """Run the script to its end in `ranks` processes; their exit codes, negative where a signal ended one.

        `prepare` is a function with its arguments, of the rank first, that each process calls before; the others of
        one that ends badly are ended too, as torchrun does it.
        """
        cwd.mkdir(parents=True, exist_ok=True)
        port = free_port()
        job = [self._start(cwd, arguments, (rank, ranks, port, restarts), prepare) for rank in range(ranks)]
        left = list(job)
        while left:
            multiprocessing.connection.wait([process.sentinel for process in left], 120)
            ended = [process for process in left if not process.is_alive()]
            assert ended, "the processes wait for each other"
            left = [process for process in left if process.is_alive()]
            if any(process.exitcode for process in ended):
                for process in left:
                    process.kill()
        for process in job:
            process.join()
        return [process.exitcode or 0 for process in job]

    def _start(self, cwd: Path, arguments: tuple[str, ...], place: tuple[int, ...], prepare: Any) -> Any:
        process = server().Process(target=_child, args=(str(self.folder), str(cwd), arguments, place, prepare))
        process.start()
        return process


def free_port() -> int:
    """A port that nobody listens on."""
    with contextlib.closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def in_double(text: str) -> str:
    """A script that computes in float64."""
    text = text.replace("torch.float32", "torch.float64").replace(".float()", ".double()")
    text = text.replace("torch.backends.mkldnn.is_available()", "False")  # oneDNN's layout is for float32
    return re.sub(r"\nSEED = ", "\ntorch.set_default_dtype(torch.float64)\nSEED = ", text, count=1)


def _child(
    folder: str, cwd: str, arguments: tuple[str, ...], place: tuple[int, ...],
    prepare: tuple[Callable[..., None], tuple[Any, ...]] | None,
) -> None:  # fmt: skip
    import torch

    torch.set_num_threads(1)
    rank, ranks, port, restarts = place
    if ranks > 1:
        names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": ranks, "LOCAL_WORLD_SIZE": ranks, "MASTER_PORT": port}
        os.environ |= {name: str(value) for name, value in names.items()}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "TORCHELASTIC_RESTART_COUNT": str(restarts)}
    os.chdir(cwd)
    log = Path(f"rank{rank}.log").open("w")  # noqa: SIM115
    for stream, number in ((sys.stdout, 1), (sys.stderr, 2)):
        stream.flush()
        os.dup2(log.fileno(), number)
    sys.stdout = sys.stderr = log
    sys.argv = ["train.py", "--device", "cpu", *arguments]
    sys.path.insert(0, folder)
    if prepare is not None:
        prepare[0](rank, *prepare[1])
    runpy.run_path(f"{folder}/train.py", run_name="__main__")
