"""Several processes that train together, started by torchrun's own launcher, on one machine or on several.

In: how many processes, and where the machines meet; the script and its arguments. Out: a run that came to its end, or a
`UserError` with what went wrong first. Guarantees: what can't work is said before any process starts: machines that
don't come, a port that is taken, versions that differ. Leaves the training to the script, and who dies to torchrun.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import platform
import signal
import socket
import sys
import threading
import time
import uuid
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from netc.catalog.versions import installed
from netc.runtime.errors import UserError
from netc.runtime.raised import Raised, from_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch.distributed import TCPStore  # type: ignore[attr-defined]
    from torch.distributed.launcher.api import LaunchConfig

_WORKER = Path(__file__).with_name("worker.py")
_PAUSE = 0.1  # seconds between looks at who has come
_TAKEN = 5  # seconds within which a launcher that has the port would answer


class RankFailed(UserError):
    """An exception ended a process.

    Args:
        rank: of the process; None where all of them had the same.
        raised: the exception.
    """

    def __init__(self, message: str, help: str, details: str, rank: int | None, raised: Raised) -> None:
        super().__init__(message, help, details)
        self.rank, self.raised = rank, raised


class Job(NamedTuple):
    """How many processes, and where they meet.

    nproc: processes on this machine.
    nodes: machines.
    rdzv: host and port at which several machines meet.
    restarts: how often all processes are started again when one has died.
    address: by which the other machines reach this one; torch finds one where it isn't given.
    timeout: seconds to wait for the other machines.
    """

    nproc: int
    nodes: int = 1
    rdzv: tuple[str, int] | None = None
    restarts: int = 0
    address: str | None = None
    timeout: float = 600

    @property
    def processes(self) -> int:
        """All of them, if each machine has as many."""
        return self.nproc * self.nodes


class Meeting(NamedTuple):
    """What the machines agreed on: whether this one has the first process, the folder of the run, and who they are."""

    first: bool
    run: str
    store: TCPStore | None = None
    hosts: tuple[str, ...] = ()


def meet(job: Job, version: str, digest: str, run: Callable[[], str]) -> Meeting:
    """Wait for the other machines, compare what runs there, and agree on the folder of the run.

    Args:
        version: of netc.
        digest: of the script, which has to be the same everywhere.
        run: makes or finds the folder; it is called on the machine of the first process.
    """
    if job.rdzv is None:
        return Meeting(True, run(), None, (platform.node(),))
    store = _store(job)
    end = time.monotonic() + job.timeout
    facts = _facts(job, version, digest)
    number = int(store.add("netc/nodes", 1))
    if number > job.nodes:
        raise UserError(
            f"{job.rdzv[0]}:{job.rdzv[1]} has its {job.nodes} machines already",
            help="end the job that still runs there, or choose another port",
        )
    store.set(f"netc/node{number}", json.dumps(facts))
    keys = [f"netc/node{i + 1}" for i in range(job.nodes)]
    _wait(store, keys, end, lambda: int(store.add("netc/nodes", 0)), job)
    every = [json.loads(store.get(key)) for key in keys]
    _compare(facts, every)
    first = facts["order"] == min(node["order"] for node in every)
    if first:
        try:
            store.set("netc/run", run())
        except UserError as problem:
            store.set("netc/run", f"error: {problem.message}")
            raise
    _wait(store, ["netc/run"], end, lambda: job.nodes, job)
    folder = store.get("netc/run").decode()
    if folder.startswith("error: "):
        raise UserError(f"the first machine can't start: {folder.removeprefix('error: ')}")
    return Meeting(first, folder, store, tuple(sorted({node["host"] for node in every})))


def _facts(job: Job, version: str, digest: str) -> dict[str, Any]:
    """What has to be the same on all machines, and what orders them as torch does."""
    address = job.address or socket.getfqdn()
    return {
        "host": platform.node(), "order": [address, os.getpid()],
        "same": {"netc": version, "torch": installed("torch"), "Python": platform.python_version(),
                 "the script": digest, "--nproc": job.nproc},
    }  # fmt: skip


def _compare(own: dict[str, Any], every: list[dict[str, Any]]) -> None:
    for node in every:
        for name, value in own["same"].items():
            other = node["same"].get(name)
            if other != value:
                raise UserError(
                    f"{name} differs between the machines: {value} on {own['host']} {tuple(own['order'])}, "
                    f"and {other} on {node['host']} {tuple(node['order'])}",
                    help="install the same versions, and start the same file with the same settings everywhere",
                )


def _store(job: Job) -> TCPStore:
    """Where the machines meet: kept by the one that has its address, joined by the others."""
    from torch.distributed import DistNetworkError, DistStoreError, TCPStore  # type: ignore[attr-defined]

    assert job.rdzv is not None
    host, port = job.rdzv
    problems = (DistNetworkError, DistStoreError, RuntimeError)
    end, taken = time.monotonic() + job.timeout, False
    while True:
        if not taken and _is_here(host):  # asked again, as a name may not be known from the beginning
            try:
                return TCPStore(host, port, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=30))
            except problems:  # the port has the launcher of another node on this machine, or something else
                taken, end = True, min(end, time.monotonic() + _TAKEN)
        found = _joined(host, port)
        if found is not None:
            return found
        if time.monotonic() > end:
            raise _nobody(job, taken)
        time.sleep(_PAUSE)


def _joined(host: str, port: int) -> TCPStore | None:
    """The store of another launcher; None where nobody answers, or something that is no store says nothing."""
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    found: list[TCPStore] = []

    def join() -> None:
        with contextlib.suppress(RuntimeError):
            found.append(TCPStore(host, port, is_master=False, timeout=timedelta(seconds=2)))

    thread = threading.Thread(target=join, daemon=True)  # whom something silent keeps for ever
    thread.start()
    thread.join(_TAKEN)
    return found[0] if found else None


def _nobody(job: Job, taken: bool) -> UserError:
    assert job.rdzv is not None
    host, port = job.rdzv
    if taken:
        return UserError(f"port {port} is in use, by something else than netc", help="choose another port in --rdzv")
    return UserError(
        f"nobody is at {host}:{port} after {job.timeout:g} seconds",
        help="start `netc train` on that machine too; is the port open, and the name the one it knows itself by? "
        "--rdzv-timeout waits longer",
    )


def _is_here(host: str) -> bool:
    """Whether an address is one of this machine."""
    try:
        with socket.socket() as probe:
            probe.bind((socket.gethostbyname(host), 0))
    except OSError:
        return False
    return True


def _wait(store: TCPStore, keys: list[str], end: float, came: Callable[[], int], job: Job) -> None:
    while not store.check(keys):
        if time.monotonic() > end:
            raise UserError(
                f"{came()} of {job.nodes} machines came within {job.timeout:g} seconds",
                help="start the same command on each of them; --rdzv-timeout waits longer",
            )
        time.sleep(_PAUSE)


def launch(job: Job, meeting: Meeting, script: Path, arguments: list[str], say: Callable[[str], None]) -> None:
    """Run the script in all processes of this machine, to the end of the run.

    Args:
        job: how many processes, and where they meet.
        meeting: what the machines agreed on.
        script: train.py, beside model.py.
        arguments: of the script.
        say: is given what the user is told when a signal other than Ctrl-C's ends the launcher.

    Raises:
        UserError: if a process died and no restart is left.
        SystemExit: with the message of a script that ended with one, or with 130 after Ctrl-C.
    """
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous.api import RendezvousError
    from torch.distributed.launcher.api import elastic_launch

    for name in ["torch.distributed", *logging.root.manager.loggerDict]:  # each of which has a level of its own
        if name.startswith("torch.distributed"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # what torchrun says is said below
    logs = Path(meeting.run) / "logs"
    for old in (*logs.glob("rank*.error"), *logs.glob("rank*.raised")):
        old.unlink()
    config = configured(job)
    command = ["-P", str(_WORKER), str(os.getpid()), str(logs), str(script), *arguments]
    try:
        elastic_launch(config, sys.executable)(*command)
    except ChildFailedError as problem:
        _failed({rank: failure.exitcode for rank, failure in problem.failures.items()}, logs)
    except SignalException as problem:
        if problem.sigval != signal.SIGINT and (Path(meeting.run) / "last.pt").exists():  # as of a job whose time is up
            say(f"Stopped by {signal.Signals(problem.sigval).name}. To go on: --resume {meeting.run}")
        sys.exit(128 + problem.sigval)
    except (RendezvousError, OSError) as problem:
        raise UserError(f"the processes can't be started: {problem}", details=repr(problem)) from None


def configured(job: Job) -> LaunchConfig:
    """What torchrun's launcher is told; what it and the processes need in the environment is put there."""
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.launcher.api import LaunchConfig

    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):  # of a cluster's operator, meant for torchrun
        os.environ.pop(name, None)
    # With one store for launchers and processes, gloo's processes can't find each other after a restart
    os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // job.nproc)))
    host, port = job.rdzv or ("127.0.0.1", 0)
    configs: dict[str, Any] = {"timeout": int(job.timeout)} | ({} if job.rdzv is None else {"is_host": False})
    return LaunchConfig(
        min_nodes=job.nodes, max_nodes=job.nodes, nproc_per_node=job.nproc, max_restarts=job.restarts,
        run_id="netc" if job.rdzv else uuid.uuid4().hex, rdzv_backend="c10d", rdzv_endpoint=f"{host}:{port}",
        rdzv_configs=configs, local_addr=job.address or (None if job.rdzv else "127.0.0.1"),
        logs_specs=DefaultLogsSpecs(log_dir=os.devnull), shutdown_timeout=10,
    )  # fmt: skip


def _failed(codes: dict[int, int], logs: Path) -> None:
    """Say of the processes that ended badly what went wrong first."""
    said = {rank: _read(logs / f"rank{rank}.error") for rank in codes}
    for text in said.values():
        if text.startswith("error: "):  # by which a script ends itself; all that it says is for the user
            sys.exit(text)
    if 130 in codes.values():
        sys.exit(130)
    rank = next((r for r, code in codes.items() if code < 0 and code != -signal.SIGTERM), None)
    if rank is not None:
        raise UserError(
            f"process {rank} was ended by {signal.Signals(-codes[rank]).name}",
            help="a system that is short of memory ends processes; `--resume` goes on with the run, and "
            "`--max-restarts 3` does it by itself",
        )
    rank = next((r for r, text in said.items() if text and not _of_others(text)), next(iter(codes)))
    what = said[rank].strip().split("\n")[0] or f"it ended with {codes[rank]}"
    log = logs / f"rank{rank}.log"
    begun = (logs.parent / "last.pt").exists()  # else the folder goes away
    message, help_text = f"process {rank} failed: {what}", f"more is in {log}" if begun else "--verbose says more"
    if known := _read(log.with_suffix(".raised")):
        alone = any(text != said[rank] for text in said.values())
        raise RankFailed(message, help_text, _read(log), rank if alone else None, from_json(known))
    raise UserError(message, help=help_text)


def _of_others(text: str) -> bool:
    """Whether a process failed because another one had gone."""
    return any(word in text for word in ("Connection closed by peer", "Connection reset", "Broken pipe", "NCCL"))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
