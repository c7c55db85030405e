"""What options of the training add to `train.py`: constants, and functions of their own.

In: the options as checked. Out: Python as text. Every line stays within 88 columns. Leaves the loop to `training_loop`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.backends.training_loop import criterion
from netc.catalog.metrics import direction
from netc.literals import literal

if TYPE_CHECKING:
    from netc.backends.training import Plan

CHECK_BF16 = '''
def check_precision(device: torch.device) -> None:
    """End where bfloat16 would be slower than float32, or is not there."""
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(False):
        fail("this GPU has no bfloat16 of its own; train in float32 or fp16")
    if device.type == "cpu":
        has = torch.cpu.get_capabilities()
        if not any(has.get(name) for name in ("amx_bf16", "avx512_bf16", "bf16")):
            fail("this CPU has no bfloat16 of its own, and is slower with it")
'''

CHECK_FP16 = '''
def check_precision(device: torch.device) -> None:
    """End where float16 would be slower than float32."""
    if device.type == "cpu":
        fail("a CPU is slower with float16; train in float32, or bf16 if it has that")
'''

READ_WEIGHTS = '''
def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint or a state dict; nothing in the file is executed."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        fail(f"{path} cannot be read: {error.strerror}")
    except Exception:  # of many kinds where a file is damaged
        fail(f"{path} is damaged, or holds more than tensors")
    for key in ("model", "state_dict", "model_state_dict"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict):
        fail(f"{path} holds no state dict")
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}
'''

READ_SAFETENSORS = '''
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file: the size of a header, the header, the data."""
    tensors = {}
    try:
        content = bytearray(path.read_bytes())
        start = 8 + int.from_bytes(content[:8], "little")
        header = json.loads(content[8:start])
        header.pop("__metadata__", None)
        for name, facts in header.items():
            first, end = facts["data_offsets"]
            values = torch.empty(facts["shape"], dtype=DTYPES[facts["dtype"]])
            if end > first:
                data = content[start + first : start + end]
                values = torch.frombuffer(data, dtype=values.dtype).view(values.shape)
            tensors[name] = values
    except OSError as error:
        fail(f"{path} cannot be read: {error.strerror}")
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError):
        fail(f"{path} is damaged, or no safetensors file")
    return tensors
'''

WARM_START = '''
def warm_start(model: nn.Module, path: Path) -> None:
    """Take the weights of a file where names and shapes agree, and say which."""
    prefixes = re.compile(r"^(module\\.|_orig_mod\\.)+")  # of wrappers around a network
    given = {prefixes.sub("", name): t for name, t in read_weights(path).items()}
    own = model.state_dict()
    fits = {n: t for n, t in given.items() if n in own and t.shape == own[n].shape}
    if not fits:
        fail(f"nothing in {path} has the name and the shape of a tensor of the network")
    model.load_state_dict(fits, strict=False)
    print(f"{len(fits)} of the network's {len(own)} tensors are from {path}")
    rest = {
        "of another shape there": [n for n in own if n in given and n not in fits],
        "not there": [n for n in own if n not in given],
        "there, and not in the network": [n for n in given if n not in own],
    }
    for what, names in rest.items():
        if names:
            print(f"  {what}: {', '.join(names)}")
'''

WAITED = '''
def waited(rows: list[dict[str, float]]) -> int:
    """Epochs since @COLUMN@ was better than ever before@DELTA@."""
    best, since = math.inf, 0
    for row in rows:
        value = @VALUE@
        best, since = (value, 0) if value < @LIMIT@ else (best, since + 1)
    return since
'''


def constants(plan: Plan) -> list[str]:
    """A line for each option that has a number, behind those of every script."""
    o, lines = plan.train.options, []
    if o.accumulate > 1:
        lines.append(f"ACCUMULATE = {o.accumulate}  # batches whose gradients make a step together")
        lines.append("STEP_SIZE = BATCH_SIZE * ACCUMULATE")
    if o.clip_grad_norm is not None:
        lines.append(f"CLIP_GRAD_NORM = {literal(o.clip_grad_norm)}  # the greatest norm of all gradients")
    if o.clip_grad_value is not None:
        lines.append(f"CLIP_GRAD_VALUE = {literal(o.clip_grad_value)}  # the greatest size of a gradient's number")
    if o.ema is not None:
        lines.append(f"EMA = {literal(o.ema)}  # share of the average weights that a step keeps")
    if o.early_stop is not None:
        lines.append(f"PATIENCE = {o.early_stop.patience}  # epochs without progress after which the run ends")
        if o.early_stop.min_delta:
            lines.append(f"MIN_DELTA = {literal(o.early_stop.min_delta)}  # what counts as progress")
    if o.unfreeze is not None:
        lines.append(f"UNFREEZE = {o.unfreeze}  # the epoch from which on all parameters learn")
    if o.log_every is not None:
        lines.append(f"LOG_EVERY = {o.log_every}  # steps between two lines about the loss")
    if o.init_from is not None:
        lines.append(f"INIT_FROM = Path({literal(o.init_from)})  # the first weights, where they fit")
    return lines + _kept(plan)


def _kept(plan: Plan) -> list[str]:
    kept, lines = plan.train.options.checkpoint, []
    if kept is not None and kept.every_steps is not None:
        lines.append(f"SAVE_EVERY = {kept.every_steps}  # steps after which last.pt is written")
    if kept is not None and (kept.every_epochs or 1) > 1:
        lines.append(f"EVERY_EPOCHS = {kept.every_epochs}  # epochs from one kept checkpoint to the next")
    if kept is not None and kept.keep is not None:
        lines.append(f"KEEP = {kept.keep}  # of these checkpoints are kept, the newest")
    return lines


def functions(plan: Plan) -> list[str]:
    """The functions that the options need."""
    o, found = plan.train.options, []
    if o.precision in ("bf16", "fp16"):
        found.append(CHECK_BF16 if o.precision == "bf16" else CHECK_FP16)
    if o.init_from is not None:
        found += [READ_SAFETENSORS if o.init_from.endswith(".safetensors") else READ_WEIGHTS, WARM_START]
    if o.early_stop is not None:
        column = o.early_stop.monitor or criterion(plan)[0]
        sign = "-" if direction(column) == "max" else ""
        delta = o.early_stop.min_delta > 0
        marks = {
            "@COLUMN@": column.replace("_", " "), "@VALUE@": f'{sign}row["{column}"]',
            "@DELTA@": ", by MIN_DELTA" if delta else "", "@LIMIT@": "best - MIN_DELTA" if delta else "best",
        }  # fmt: skip
        text = WAITED
        for mark, value in marks.items():
            text = text.replace(mark, value)
        found.append(text)
    return [text.strip("\n") for text in found]
