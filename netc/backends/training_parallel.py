"""What `train.py` has where several processes train together: how they meet, share out the work, and keep it.

In: what of the network decides it. Out: constants and functions of the script as text. Guarantees: under torchrun and
alone the script computes the same steps; one order of the samples for all; the gradient of a batch is that of the whole
batch; every evaluation batch is computed as one process computes it. Leaves the loop to `training_main`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from netc import ir
from netc.backends.layout import Text, call
from netc.backends.training_main import select

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netc.backends.training import Plan


class Shared(NamedTuple):
    """What of the network decides the text.

    units: the classes of which each instance is a unit of FSDP.
    branches: whether a forward pass may leave out a part of the network.
    buffers: whether modules hold more than weights.
    """

    units: tuple[str, ...] = ()
    branches: bool = False
    buffers: bool = True


CONSTANTS = """
# What torchrun says of this process; without it there is this one alone
RANK = int(os.environ.get("RANK", "0"))
WORLD = int(os.environ.get("WORLD_SIZE", "1"))
LOCAL_RANK = int(os.environ.get("LOCAL_RANK", "0"))  # on its machine
LOCAL_WORLD = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
RESTARTS = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
"""

SUMMED = """
    summed = copy(loss_function)  # of the shares, which add up to that of the batch
    summed.reduction = "sum"
"""

_TOGETHER = '''
def join(name: str) -> torch.device:
    """Meet the other processes; the device of this one: a GPU each, or the CPU."""
    if LOCAL_RANK > 0:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the first one's affair
    if RANK > 0:
        sys.stdout = Path(os.devnull).open("w")  # the first one speaks for all
    device = choose_device(name)
    if device.type == "mps":  # which torch.distributed does not know
        device = torch.device("cpu")
    if device.type == "cuda" and LOCAL_WORLD > 1:
        if LOCAL_WORLD > torch.cuda.device_count():
            fail(
                f"{LOCAL_WORLD} processes cannot share {torch.cuda.device_count()} "
                "GPUs: start one for each, or choose --device cpu"
            )
        device = torch.device("cuda", LOCAL_RANK)
    if WORLD > BATCH_SIZE:
        fail(f"a batch of {BATCH_SIZE} cannot be shared out among {WORLD} processes")
sync_batchnorm|    if device.type == "cpu":
sync_batchnorm|        fail("torch synchronises batch norms on GPUs only: remove sync_batchnorm")
    backend = "gloo"
    if device.type == "cuda":
        torch.cuda.set_device(device)
        backend = "cpu:gloo,cuda:nccl"
    alone: dict[str, Any] = {"store": dist.HashStore(), "rank": 0, "world_size": 1}
    others: dict[str, Any] = {} if "RANK" in os.environ else alone
    # So long the others wait while one process reads and decodes the data
    dist.init_process_group(backend, timeout=timedelta(hours=2), **others)
    return device


def agreed(value: Any) -> Any:
    """The value that the first process has, in all of them."""
    box = [value]
    dist.broadcast_object_list(box, 0, device=torch.device("cpu"))
    return box[0]


def total(value: Tensor) -> Tensor:
    """The sum over all processes, in the place of the value."""
    dist.all_reduce(value)
    return value


def own_share(whole: Tensor) -> tuple[Tensor, int]:
    """This process's share of a batch, and how many of its samples count.

    Without a share it takes part with a sample that does not count.
    """
    share = whole.tensor_split(WORLD)[RANK]
    return (share, len(share)) if len(share) else (whole[:1], 0)


def in_turn(batches: Iterable[Any]) -> list[Any]:
    """Those of the batches that this process computes.

    Each has as many, as all of them take part in each: the last batch fills up.
    """
    every = list(batches)
    last = len(every) - 1
    return [every[min(i + RANK, last)] for i in range(0, len(every), WORLD)]


def gathered(parts: list[Tensor], count: int, size: int = EVALUATION_BATCH) -> Tensor:
    """What all processes computed in turn, `size` rows at a time, in its order."""
    if WORLD == 1:
        return torch.cat(parts)
    size = min(count, size)
    own = parts[0].new_zeros(len(parts), size, *parts[0].shape[1:])
    for i, part in enumerate(parts):
        own[i, : len(part)] = part
    every = [torch.empty_like(own) for _ in range(WORLD)]
    dist.all_gather(every, own)
    return torch.stack(every, 1).flatten(0, 2)[:count]
buffers|
buffers|
buffers|def share_buffers(module: nn.Module) -> None:
buffers|    """Give all processes what the first has beside weights, as the means of norms."""
buffers|    for buffer in module.buffers():
buffers|        dist.broadcast(buffer, 0)
weighted|
weighted|
weighted|def divisor(target: Tensor) -> Tensor:
weighted|    """What the mean over a batch divides by: the weights of its labels."""
weighted|    counted = target[target != loss_function.ignore_index]
weighted|class_weights|    assert loss_function.weight is not None
weighted|class_weights|    return loss_function.weight[counted].sum()
weighted|!class_weights|    return torch.tensor(counted.numel(), device=target.device)

'''

# Samples that are asked for in each epoch anew are no one's to read for others, and go without
_LOADED = '''
!files|def load_shared(@GIVEN@) -> @LOADED@:
!files|    """The data, read by one process of each machine and mapped by the others."""
!files|    if LOCAL_WORLD == 1:
!files|        return load_data(@PASSED@)
!files|    path = None
!files|    if LOCAL_RANK == 0:
!files|        loaded = load_data(@PASSED@)
!files|        try:
!files|            file, path = tempfile.mkstemp(prefix="train-", suffix=".data")
!files|            os.close(file)
!files|encoding|            torch.save((loaded, encoding.state_dict()), path)
!files|!encoding|            torch.save(loaded, path)
!files|        except (OSError, RuntimeError) as error:
!files|            if path is not None:
!files|                os.unlink(path)
!files|            place = tempfile.gettempdir()
!files|            fail(f"the data cannot be kept in {place}: {error}; TMPDIR names another")
!files|    paths: list[Any] = [None] * WORLD
!files|    dist.all_gather_object(paths, path)
!files|encoding|    shared = torch.load(paths[RANK - LOCAL_RANK], mmap=True, weights_only=True)
!files|encoding|    data: @LOADED@ = shared[0]
!files|encoding|    encoding.load_state_dict(shared[1])
!files|!encoding|    shared = torch.load(paths[RANK - LOCAL_RANK], mmap=True, weights_only=True)
!files|!encoding|    data: @LOADED@ = shared
!files|    total(torch.zeros(1))  # all have it
!files|    if path is not None:
!files|        os.unlink(path)
!files|    return data
files|def load_shared() -> @LOADED@:
files|    """The data; one process of each machine is the first, and decodes for all."""
files|    data = load_data() if LOCAL_RANK == 0 else None
files|    total(torch.zeros(1))  # it is ready
files|    return load_data() if data is None else data
'''

_KEPT = '''
def generators() -> list[list[Tensor]]:
    """The states of the random numbers of all processes."""
    own = [torch.get_rng_state()]
    if torch.cuda.is_initialized():
        own.append(torch.cuda.get_rng_state())
    every: list[Any] = [None] * WORLD
    dist.all_gather_object(every, own)
    return every


def set_generators(states: list[list[Tensor]]) -> None:
    """Go on with the random numbers of a run; more processes begin with their own."""
    if len(states) != WORLD and RANK == 0:
        print(
            f"note: the run began with {len(states)} processes, and now there are "
            f"{WORLD}; what is drawn by chance differs",
            file=sys.stderr,
        )
    if RANK < len(states):
        torch.set_rng_state(states[RANK][0])
        if torch.cuda.is_initialized() and len(states[RANK]) > 1:
            torch.cuda.set_rng_state(states[RANK][1])


def gone_on(options: argparse.Namespace) -> argparse.Namespace:
    """The options; after a process died, and torchrun started all anew: to go on."""
    if RESTARTS == 0 or options.resume is not None:
        return options
    runs = [path for path in RUNS.glob("*") if path.name.isdecimal()]
    newest = max(runs, key=lambda run: int(run.name), default=None)
    run = options.run_dir or newest
    if run is not None and (run / "last.pt").exists():
        options.resume, options.run_dir = str(run), None
    else:
        options.run_dir = run
    return options
'''

_SHARD = '''
def shard(model: nn.Module, device: torch.device) -> FSDPModule:
    """Share the weights out among the processes@UNITS@."""
    mesh = init_device_mesh(device.type, (WORLD,))
units|    modules = [model]
units|    for module in modules:  # which grows meanwhile
units|        for child in module.children():
units|            if isinstance(child, @CLASSES@):
units|                fully_shard(child, mesh=mesh)
units|            else:
units|                modules.append(child)
    return fully_shard(model, mesh=mesh, reshard_after_forward=True)
'''

# The checkpoints of FSDP, in the place of those of `training_main`, before `load`.
_SHARDS = '''
def whole_weights(part: nn.Module) -> dict[str, Any]:
    """The weights put together from all processes, in the first one."""
    whole = StateDictOptions(full_state_dict=True, cpu_offload=True)
    return get_model_state_dict(part, options=whole)


def put_weights(part: nn.Module, weights: dict[str, Any]) -> None:
    """Let each process take its shards of whole weights."""
    set_model_state_dict(part, weights, options=StateDictOptions(full_state_dict=True))


def save(path: Path, history: list[dict[str, float]], **parts: Any) -> None:
    """Write a checkpoint for use: the whole weights, and the names of the classes."""
    kept = [name for name in ("model", "ema") if name in parts]
    state: dict[str, Any] = {name: whole_weights(parts[name]) for name in kept}
    state |= {
        "network": "@NETWORK@",
        "classes": @CLASSES@,
        "settings": SETTINGS,
        "epoch": len(history),
        "history": history,
encoding|        "encoding": parts["encoding"].state_dict(),
    }
    content = io.BytesIO()
    torch.save(state, content)
    write(path, content.getvalue())


def shards(stepped: bool, **parts: Any) -> dict[str, Any]:
    """What the processes hold a share of each; an optimizer has it from a step on."""
    found: dict[str, Any] = {"model": get_model_state_dict(parts["model"])}
    if stepped:
        optimizer = get_optimizer_state_dict(parts["model"], parts["optimizer"])
        found["optimizer"] = optimizer["state"]
ema|    found["ema"] = parts["ema"].state_dict()
    return found


def reason(error: BaseException) -> str:
    """What is wrong with shards, in the words of the first process that found it."""
    while isinstance(error, dcp.CheckpointException):
        error = next(iter(error.failures.values()))[0]
    return str(error)


def save_shards(
    run: Path,
    history: list[dict[str, float]],
midway|    position: dict[str, Any] | None = None,
    **parts: Any,
) -> None:
    """Write all that --resume needs: the shards to a folder, the rest to last.pt.

    The former folder stays until last.pt names the new one.
    """
    drawn = generators()
    stepped = len(parts["optimizer"].state) > 0
!midway|    folder = f"last-{len(history):04}"
midway|    seen = "" if position is None else f"-{position['seen']}"
midway|    folder = f"last-{len(history):04}{seen}"
    try:
        with warnings.catch_warnings(action="ignore"):  # about how it works within
            dcp.save(shards(stepped, **parts), checkpoint_id=run / folder)
    except dcp.CheckpointException as error:
        former = "; the former last.pt is intact" if (run / "last.pt").exists() else ""
        full = "is the disk full?"
        fail(f"{run / folder} cannot be written, {full} {reason(error)}{former}")
    groups = parts["optimizer"].param_groups
    state = {
        "network": "@NETWORK@",
        "classes": @CLASSES@,
        "settings": SETTINGS,
        "epoch": len(history),
        "history": history,
midway|        "position": position,  # within an epoch
        "shards": folder,
        "stepped": stepped,
        "groups": [{k: v for k, v in g.items() if k != "params"} for g in groups],
        "generators": drawn,
        "threads": torch.get_num_threads(),
    }
others|    for name in (@OTHERS@):
others|        state[name] = parts[name].state_dict()
    content = io.BytesIO()
    torch.save(state, content)
    write(run / "last.pt", content.getvalue())
    if RANK == 0:
        for old in run.glob("last-*"):
            if old.name != folder:
                shutil.rmtree(old, ignore_errors=True)


def consolidate(run: Path, **parts: Any) -> None:
    """Put the whole weights into last.pt too, for use."""
    kept = [name for name in ("model", "ema") if name in parts]
    weights = {name: whole_weights(parts[name]) for name in kept}
    if RANK == 0:
        content = io.BytesIO()
        torch.save(load(run / "last.pt") | weights, content)
        write(run / "last.pt", content.getvalue())


@LOAD@


def restore(run: Path, **parts: Any) -> dict[str, Any]:
    """Put everything back as it was when the shards were written, by any number."""
    path = run / "last.pt"
    state: dict[str, Any] = agreed(load(path) if RANK == 0 else None)
    if state["settings"] != SETTINGS:
        fail(f"{path} was made with {state['settings']}, and this is {SETTINGS}")
    model, optimizer = parts["model"], parts["optimizer"]
    try:
        found = shards(state["stepped"], **parts)
        with warnings.catch_warnings(action="ignore"):  # about how it works within
            dcp.load(found, checkpoint_id=run / state["shards"])
        set_model_state_dict(model, found["model"])
        if state["stepped"]:
            whole = get_optimizer_state_dict(model, optimizer)
            whole["state"] = found["optimizer"]
            set_optimizer_state_dict(model, optimizer, whole)
        for group, own in zip(optimizer.param_groups, state["groups"], strict=True):
            group.update(own)
ema|        parts["ema"].load_state_dict(found["ema"])
others|        for name in (@OTHERS@):
others|            parts[name].load_state_dict(state[name])
    except (dcp.CheckpointException, KeyError, RuntimeError, ValueError) as error:
        fail(f"{run / state['shards']} does not fit this script: {reason(error)}")
    set_generators(state["generators"])
    if state["threads"] != torch.get_num_threads() and RANK == 0:
        print(
            f"note: the run began with {state['threads']} threads, and now there are "
            f"{torch.get_num_threads()}; the last digits may differ",
            file=sys.stderr,
        )
    return state
'''


def shared_of(network: ir.Network, classes: Iterable[ir.Class]) -> Shared:
    """What of the network decides the text."""
    from netc.sharding import units
    from netc.summary import weights

    made = tuple(classes)
    branches = any(_branches(one.flow) for one in made)
    known = {c.entry.home for c in _calls(network.children)}
    unknown = any(home.startswith(("python:", "torchvision")) for home in known)
    held = any(not weight.trained for weight in weights(network))
    return Shared(units(network), branches, held or unknown)


def _calls(children: Iterable[ir.Child]) -> Iterable[ir.Call]:
    for child in children:
        if isinstance(child, ir.Layer):
            yield child.call
        else:
            yield from _calls(child.children)


def _branches(flow: Iterable[ir.Flow]) -> bool:
    """Whether a forward pass has an `if`."""
    return any(isinstance(s, ir.FlowIf) or (isinstance(s, ir.FlowFor) and _branches(s.body)) for s in flow)


def words(plan: Plan) -> set[str]:
    """What the lines of the pieces ask for."""
    options = plan.train.options
    if options.parallel is None:
        return set()
    found = {"parallel", options.parallel}
    found |= {"sync_batchnorm"} if options.sync_batchnorm else set()
    found |= {"buffers"} if plan.shared.buffers else set()
    found |= {"units"} if plan.shared.units else set()
    loss = plan.train.loss
    if isinstance(loss, ir.Call) and loss.name in ("CrossEntropyLoss", "NLLLoss") and not _of_shares(plan):
        weights = loss.get_or("weight", None) is not None
        skips = loss.get_or("ignore_index", -100) != -100
        if (weights or skips) and loss.get_or("reduction", "mean") == "mean":
            found |= {"weighted"} | ({"class_weights"} if weights else set())
    return found


def _of_shares(plan: Plan) -> bool:
    """Whether labels are shares of the classes, over which the loss is a plain mean."""
    from netc.backends.training_mixing import mixing

    return bool(mixing(plan.data)) or (plan.samples is not None and not plan.samples.classes)


def wrapped(plan: Plan) -> str:
    """The call that wraps the network."""
    inner = "compiled" if plan.train.options.compile else "model"
    unused = ", find_unused_parameters=True" if plan.shared.branches else ""
    return f"DistributedDataParallel({inner}{unused})"


def share(plan: Plan, chosen: frozenset[str]) -> str:
    """The loss from which a process computes its gradients: they are divided by the number of processes."""
    whole = "group" if "accumulate" in chosen else "whole"
    if "weighted" in chosen:
        return "loss * (WORLD * len(whole) / len(group))" if "accumulate" in chosen else "loss * WORLD"
    return "loss * (WORLD * (count > 0))" if "sum" in chosen else f"loss * (count * WORLD / len({whole}))"


def functions(plan: Plan, chosen: frozenset[str]) -> list[str]:
    """The functions with which processes work together; none where the file has no `parallel`."""
    if "parallel" not in chosen:
        return []
    table = "encoding" in chosen
    tensors = "tuple[Tensor, ...]" if plan.samples is not None and plan.samples.several else "Tensor"
    marks = {
        "GIVEN": "encoding: Encoding" if table else "", "PASSED": "encoding" if table else "",
        "LOADED": f"dict[str, tuple[{'Pictures' if plan.storage == 'files' else tensors}, Tensor]]",
    }  # fmt: skip
    found = [select(_TOGETHER, chosen)]
    if not _asked(plan):
        found.append(_marked(select(_LOADED, chosen), marks))
    return [*found, *([_shard(plan, chosen)] if "fsdp" in chosen else []), _KEPT.strip("\n")]


def _asked(plan: Plan) -> bool:
    return plan.samples is not None and plan.samples.asked


def _shard(plan: Plan, chosen: frozenset[str]) -> str:
    units = plan.shared.units
    marks = [f"@UNIT_{unit}@" for unit in units]
    classes = marks[0] if len(units) == 1 else f"({', '.join(marks)})"
    about = f": each {units[0]} is a unit" if len(units) == 1 else ", unit by unit"
    return _marked(select(_SHARD, chosen), {"UNITS": about if units else "", "CLASSES": classes})


def names_of_units(plan: Plan, code: str) -> dict[str, str]:
    """What a script of this code calls the classes of the units."""
    units = plan.shared.units if plan.train.options.parallel == "fsdp" else ()
    return {unit: f"{unit}Unit" if re.search(rf"\b{unit}\b", code) else unit for unit in units}


def named(text: str, units: dict[str, str]) -> str:
    """The text with these names, a line that is too long broken up."""
    lines = []
    for line in _marked(text, {f"UNIT_{unit}": name for unit, name in units.items()}).split("\n"):
        match = re.fullmatch(r"( +)if isinstance\(child, \((.*)\)\):", line) if len(line) > 88 else None
        if match is None:
            lines.append(line)
            continue
        items = call("(", [Text(name) for name in match[2].split(", ")], ")").lines(len(match[1]) + 4, "")
        inner = ["if isinstance(", "    child,", *(f"    {item}" for item in items), "):"]
        inner[-2] += ","
        lines += [f"{match[1]}{item}" for item in inner]
    return "\n".join(lines)


def imported(network: str, units: dict[str, str]) -> str:
    """What is imported of model.py: the network, what it needs, and the units."""
    names = network.split(", ") + [unit for unit, name in units.items() if unit == name]
    plain = sorted((n for n in names if " as " not in n), key=lambda n: (not n.isupper() or len(n) == 1, n.lower()))
    line = f"from model import {', '.join(plain)}"
    if len(line) > 88:
        line = "from model import (\n" + "".join(f"    {name},\n" for name in plain) + ")"
    aliased = [n for n in names if " as " in n] + [f"{unit} as {name}" for unit, name in units.items() if unit != name]
    lines = ([line] if plain else []) + [f"from model import {name}" for name in sorted(aliased, key=str.lower)]
    return "\n".join(lines).removeprefix("from model import ")


def usage(plan: Plan) -> str:
    """The lines of the docstring that say how the script is started."""
    alone = "    python train.py                  # on the fastest device that is there"
    if plan.train.options.parallel is None:
        return f"{alone}\n    python train.py --device cuda:1"
    return (
        "    python train.py                  # in one process, on the fastest device\n"
        "    torchrun --nproc-per-node 4 train.py  # in four, on as many GPUs or the CPU"
    )


def sharded_checkpoint(text: str, plan: Plan, chosen: frozenset[str]) -> str:
    """The functions of the checkpoints of FSDP, `load` taken from those of one process."""
    load = text[text.index("def load(path") : text.index("\n\n\ndef restore(")]
    found = select(_SHARDS, chosen | {"others"})
    others = [name for name in ("scheduler", "scaler", "encoding") if name in chosen]
    if not others:
        found = select(_SHARDS, chosen)
    listed = ", ".join(f'"{name}"' for name in others) + ("," if len(others) == 1 else "")
    return found.replace("@LOAD@", load).replace("@OTHERS@", listed)


def _marked(text: str, marks: dict[str, str]) -> str:
    for mark, value in marks.items():
        text = text.replace(f"@{mark}@", value)
    return text


def loaded(text: str, plan: Plan) -> str:
    """The text of `main`, which shares the data with the other processes of its machine."""
    if _asked(plan):
        return text
    one = "    data = {part: (x.to(device), y.to(device)) for part, (x, y) in load_data().items()}"
    text = text.replace(one, f"    loaded = load_shared()\n{one.replace('load_data()', 'loaded')}")
    return text.replace("load_data(", "load_shared(")


def alone(text: str) -> str:
    """The function that writes files, of which the first process has all."""
    head = '    """Write a file whole or not at all: under another name first, then renamed."""\n'
    return text.replace(head, f"{head}    if RANK > 0:  # the first process writes for all\n        return\n")


_IMPORTED = (
    ("DistributedDataParallel(", "from torch.nn.parallel import DistributedDataParallel"),
    ("init_device_mesh(", "from torch.distributed.device_mesh import init_device_mesh"),
    ("fully_shard(", "from torch.distributed.fsdp import FSDPModule, fully_shard"),
    ("StateDictOptions(", """from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)"""),
)  # fmt: skip


def imports(code: str) -> list[str]:
    """The lines that import what the functions use."""
    found = [line for use, line in _IMPORTED if use in code]
    found += ["import torch.distributed as dist"] if re.search(r"\bdist\.", code) else []
    found += ["import torch.distributed.checkpoint as dcp"] if re.search(r"\bdcp\.", code) else []
    return found
