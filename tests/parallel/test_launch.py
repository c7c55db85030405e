"""The launcher: processes on one machine and on two, what can't work, a process that dies, and Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.forked import Started
from tests.parallel.programs import DATA, NETWORK, program
from tests.parallel.ranks import Scripts, free_port
from tests.parallel.test_equal import assert_equal, rows, trained

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
# A machine of a job: the launcher of netc with a script and a digest of it.
NODE = """
import sys
from pathlib import Path
from netc.runtime.errors import UserError
from netc.runtime.launch import Job, launch, meet

nproc, nodes, host, port, address, timeout, digest, script = sys.argv[1:]
job = Job(int(nproc), int(nodes), (host, int(port)), 0, address, float(timeout))
try:
    meeting = meet(job, "1", digest, lambda: "run")
    launch(job, meeting, Path(script), ["--device", "cpu", "--run-dir", meeting.run], print)
except UserError as problem:
    sys.exit(f"error: {problem.message}; {problem.help}")
"""


def node(cwd: Path, *arguments: object) -> Started:
    cwd.mkdir(parents=True, exist_ok=True)
    return Started(["-c", NODE, *map(str, arguments)], cwd, ENVIRONMENT)


def netc(cwd: Path, *arguments: str) -> Started:
    return Started(["-m", "netc", *arguments], cwd, ENVIRONMENT)


def case(folder: Path, **settings: Any) -> Path:
    """A folder with the program."""
    (folder / "case.net").write_text(program(**settings))
    return folder


def workers(pid: int) -> list[int]:
    """The processes of a launcher, in the order of their ranks."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()]


# --- two machines -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_two_machines_with_two_processes_each(tmp_path: Path, kind: str) -> None:
    """Each with an address of its own; DDP with disks of their own, FSDP with one that they share."""
    scripts = Scripts(tmp_path / "scripts", program(), {"train.parallel": f'"{kind}"'}, double=True)
    port = free_port()
    places = [tmp_path / "a", tmp_path / ("b" if kind == "ddp" else "a")]
    both = [
        node(place, 2, 2, "127.0.0.1", port, address, 120, "same", scripts.folder / "train.py")
        for place, address in zip(places, ("127.0.0.2", "127.0.0.1"), strict=True)
    ]
    said = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    first = places[1]  # whose address is the lower one
    assert "97 samples to train with, on 4 processes (cpu)" in said[1][0], "the first process is there"
    assert said[0][0] == ""
    assert_equal(trained("plain", "", 1), first / "run", 1e-9)
    assert {path.name for path in (places[0] / "run" / "logs").iterdir()} >= {"rank2.log", "rank3.log"}


def test_versions_that_differ(tmp_path: Path) -> None:
    port = free_port()
    both = [
        node(tmp_path, 1, 2, "127.0.0.1", port, address, 60, digest, "train.py")
        for address, digest in (("127.0.0.1", "one"), ("127.0.0.2", "other"))
    ]
    for process in both:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 1
        assert "the script differs between the machines" in err


def test_a_machine_that_does_not_come(tmp_path: Path) -> None:
    process = node(tmp_path, 1, 2, "127.0.0.1", free_port(), "127.0.0.1", 3, "same", "train.py")
    assert "1 of 2 machines came within 3 seconds" in process.communicate(timeout=120)[1]


def test_nobody_at_the_meeting_place(tmp_path: Path) -> None:
    process = node(tmp_path, 1, 2, "192.0.2.1", 29500, "127.0.0.1", 3, "same", "train.py")  # an address for examples
    assert "nobody is at 192.0.2.1:29500 after 3 seconds" in process.communicate(timeout=120)[1]


def test_a_port_that_something_else_has(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("", 0))
        listener.listen()
        port = listener.getsockname()[1]
        process = node(tmp_path, 1, 2, "127.0.0.1", port, "127.0.0.1", 60, "same", "train.py")
        assert f"port {port} is in use" in process.communicate(timeout=120)[1]


# --- one machine ------------------------------------------------------------------------------------------------------


def test_train_with_two_processes(tmp_path: Path) -> None:
    process = netc(case(tmp_path), "train", "case.net", "--nproc", "2", "--device", "cpu")
    out, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, "")
    assert "in runs/case/001" in out
    assert out.count("best.pt is of epoch") == 1
    run = tmp_path / "runs/case/001"
    assert {"best.pt", "last.pt", "metrics.csv", "logs", "report.html"} <= {path.name for path in run.iterdir()}
    assert (run / "logs" / "rank1.log").read_text() == ""
    assert_equal(trained("plain", "", 1, False), run, 1e-5)


def test_a_killed_process_costs_a_restart(tmp_path: Path) -> None:
    case(tmp_path, epochs="60", schedule="")
    process = netc(tmp_path, "train", "case.net", "--nproc", "2", "--max-restarts", "1", "--device", "cpu", "-q")
    run = tmp_path / "runs/case/001"
    _until(lambda: (run / "metrics.csv").exists() and len(rows(run)) > 3)
    os.kill(workers(process.pid)[1], signal.SIGKILL)
    out, err = process.communicate(timeout=300)
    assert (process.returncode, out, err) == (0, "", "")
    assert [row["epoch"] for row in rows(run)] == list(range(1, 61))


def test_a_killed_process_without_a_restart(tmp_path: Path) -> None:
    case(tmp_path, epochs="5000", schedule="")
    process = netc(tmp_path, "train", "case.net", "--nproc", "2", "--device", "cpu")
    run = tmp_path / "runs/case/001"
    _until(lambda: (run / "metrics.csv").exists())
    os.kill(workers(process.pid)[1], signal.SIGKILL)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "error: process 1 was ended by SIGKILL" in err
    assert "Traceback" not in err


def test_control_c_ends_all_of_them(tmp_path: Path) -> None:
    case(tmp_path, epochs="5000", schedule="")
    process = netc(tmp_path, "train", "case.net", "--nproc", "2", "--device", "cpu")
    run = tmp_path / "runs/case/001"
    _until(lambda: (run / "metrics.csv").exists())
    children = workers(process.pid)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert len(re.findall("Stopped in epoch", err)) == 1, err
    assert "Traceback" not in err
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    assert (run / "last.pt").exists()


def test_a_job_whose_time_is_up(tmp_path: Path) -> None:
    """SIGTERM, as a cluster sends it, to the launcher."""
    case(tmp_path, epochs="5000", schedule="")
    process = netc(tmp_path, "train", "case.net", "--nproc", "2", "--device", "cpu")
    run = tmp_path / "runs/case/001"
    _until(lambda: (run / "metrics.csv").exists())
    children = workers(process.pid)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (143, "Stopped by SIGTERM. To go on: --resume runs/case/001\n")
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    assert torch.load(run / "last.pt", weights_only=True)["epoch"] >= 1
    assert json.loads((run / "environment.json").read_text())["sessions"][0]["outcome"] == "stopped"
    assert "2 processes on " in (run / "report.html").read_text()


def test_a_warning_is_said_once(tmp_path: Path) -> None:
    network = NETWORK.replace("head: Linear(3)", "norm: BatchNorm1d -> head: Linear(3)")
    case(tmp_path, network=network, epochs="1", data=DATA | {"batch_size": "15"})  # of the last batch each has several
    process = netc(tmp_path, "train", "case.net", "--nproc", "2", "--device", "cpu", "-q")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0
    assert err.count("warning[W0851]") == 1, err
    assert "1 warning in case.net" in err


def test_a_message_of_the_script_is_said_once(tmp_path: Path) -> None:
    case(tmp_path, data={"train": 'CSV("none.csv", target="y")', "batch_size": "16"})
    process = netc(tmp_path, "train", "case.net", "--nproc", "2", "--device", "cpu")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert err.count("none.csv") >= 1
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--nproc", "17", "--device", "cpu"], 1, "a batch of 16 can't be shared out among 17 processes"),
        (["--nproc", "2", "--device", "cuda"], 1, "there is no GPU here"),
        (["--nproc", "2", "--nodes", "2"], 2, "--nodes 2 needs --rdzv HOST:PORT"),
        (["--nproc", "2", "--rdzv", "node1"], 2, "write a host and a port"),
        (["--nproc", "0"], 2, "0 is not in the range"),
    ],
)
def test_what_cannot_work(tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    process = netc(case(tmp_path), "train", "case.net", *arguments)
    _, err = process.communicate(timeout=120)
    assert process.returncode == code
    assert said in err
    assert not list(tmp_path.glob("runs/*/*")), "there is no run"


def _until(there: object, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not there():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.05)
