"""Trains networks in several processes over gloo, by hand-written DDP and FSDP2, and measures what each rank holds.

In: a JSON file with the path of model.py, the network, the shapes, the optimizer, and the ways to run. Out: on standard
output a JSON list of measurements: bytes of parameters, gradients, optimizer state by storage; of activations by hooks
on saved tensors; and bytes that a rank sends in a step, by the counters of the loopback interface.
Guarantees: run it in a network namespace of its own, and the counters have nothing else in them.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

STEPS = 1


def main(path: str) -> None:
    """Every way of running, one after the other; the processes are forked, so that torch is imported once."""
    torch.set_num_threads(1)
    importlib.import_module("torch._dynamo")  # which optimizers import when they are made, and takes longer than a step
    tasks = json.loads(Path(path).read_text(encoding="utf-8"))
    print(json.dumps([_together(task, f"{path}.{i}") for i, task in enumerate(tasks)]))


def _together(task: dict[str, Any], meeting: str) -> list[dict[str, int]]:
    """What the ranks of one run measure."""
    ends = []
    for rank in range(task["nproc"]):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.close(read)
                with os.fdopen(write, "w") as out:
                    out.write(json.dumps(_rank(task, rank, meeting)))
                status = 0
            finally:
                os._exit(status)
        os.close(write)
        ends.append((child, read))
    found = []
    for child, read in ends:
        with os.fdopen(read) as file:
            text = file.read()
        os.waitpid(child, 0)
        found.append(json.loads(text))
    return found


def _rank(task: dict[str, Any], rank: int, meeting: str) -> dict[str, int]:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=task["nproc"])
    torch.manual_seed(0)
    space: dict[str, Any] = {"__name__": "model"}
    exec(compile(Path(task["model"]).read_text(encoding="utf-8"), "model.py", "exec"), space)
    model: nn.Module = space[task["network"]]()
    units = tuple(space[name] for name in task["units"])
    whole = wrapped(model, task["parallel"], units)
    optimizer = getattr(torch.optim, task["optimizer"])(model.parameters(), **task["settings"])
    shape, classes = task["input"], task["classes"]
    x = torch.randint(0, 9, shape) if task["tokens"] else torch.randn(shape)
    y = torch.randint(0, classes, task["label"])
    kept = step(whole, model, optimizer, x, y)
    gradients = held(g for p in model.parameters() if (g := p.grad) is not None)
    before = counted()
    for _ in range(STEPS):
        optimizer.zero_grad()
        step(whole, model, optimizer, x, y)
    sent = (counted() - before) // STEPS // task["nproc"]
    states = [v for state in optimizer.state.values() for v in state.values() if isinstance(v, Tensor)]
    found = {"parameters": held(model.parameters()), "buffers": held(model.buffers()), "gradients": gradients,
             "optimizer": held(states), "activations": kept, "sent": sent}  # fmt: skip
    dist.destroy_process_group()
    return found


def wrapped(model: nn.Module, parallel: str, units: tuple[type[nn.Module], ...]) -> nn.Module:
    """As an expert wraps it: each instance of a unit by itself, then what is left."""
    if parallel == "ddp":
        return DistributedDataParallel(model)
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    for module in list(model.modules()):
        if isinstance(module, units):
            fully_shard(module, mesh=mesh)
    fully_shard(model, mesh=mesh, reshard_after_forward=True)
    return model


def step(whole: nn.Module, model: nn.Module, optimizer: Any, x: Tensor, y: Tensor) -> int:
    """One step; the bytes of what its forward pass keeps, those of parameters and buffers aside."""
    kept: dict[int, Tensor] = {}

    def pack(t: Tensor) -> Tensor:
        own = {p.untyped_storage().data_ptr() for p in (*model.parameters(), *model.buffers())
               if not isinstance(p, DTensor)}  # fmt: skip
        place = t.untyped_storage().data_ptr()
        if place not in own:
            kept[place] = t
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        loss = nn.functional.cross_entropy(whole(x), y)
    size = sum(t.untyped_storage().nbytes() for t in kept.values())
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return size


def held(tensors: Any) -> int:
    """The bytes of the storages, each once; of shared ones this rank's."""
    found: dict[int, int] = {}
    for t in tensors:
        own = t.to_local() if isinstance(t, DTensor) else t
        storage = own.untyped_storage()
        found[storage.data_ptr()] = storage.nbytes()
    return sum(found.values())


def counted() -> int:
    """What went over the loopback interface until now, once no rank is on its way."""
    dist.barrier()
    lines = Path("/proc/net/dev").read_text(encoding="utf-8").splitlines()
    line = next(line for line in lines if line.strip().startswith("lo:"))
    sent = int(line.split(":")[1].split()[8])
    dist.barrier()
    return sent


if __name__ == "__main__":
    main(sys.argv[1])
