"""The schedule in `train.py`: the functions of its formulas, and the scheduler with what follows from the run.

In: the plan of `training`. Out: Python as text. Guarantees: a length that follows from the run is written as that
(`T_max=EPOCHS - 5`), so that the script stays right when its constants are changed. Leaves when it steps to
`training_loop`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from netc import ir
from netc.backends.expression_text import from_code
from netc.backends.layout import Text, call
from netc.backends.training_images import python
from netc.catalog.training import BY_LOSS, PER_BATCH
from netc.identifiers import python_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netc.backends.training import Plan

# What the script calls something else.
_OWN = frozenset(
    "main evaluate predict load save restore write fail fetch require prepare augment preprocess shuffled held_out "
    "area load_data build_model compute_loss accuracy precision recall f1 auroc mae mse rmse r2 counts confusion "
    "keep_blocked closure steps epochs model optimizer scheduler data images labels samples device parts run history "
    "options order batch target torch nn F os io csv math time sys tqdm random index loss row rows best bar "
    "seed".split()
)


def is_per_batch(train: ir.Train) -> bool:
    """Whether the scheduler steps after each batch."""
    if train.schedule is None or train.schedule.name in BY_LOSS:
        return False
    if train.schedule_every:
        return train.schedule_every == "step"
    return train.schedule.name in PER_BATCH or train.options.steps is not None


def functions(train: ir.Train) -> list[str]:
    """The functions of the formulas that the schedule follows, each before those that call it."""
    found: dict[str, str] = {}
    for rate in _rates(train.schedule) if train.schedule is not None else ():
        _define(rate, found, "int" if train.schedule is not None else "float")
    return list(found.values())


def _define(rate: ir.Rate, found: dict[str, str], first: str) -> None:
    for other in rate.uses:
        _define(other, found, "float")
    if rate.name in found:
        return
    parameters = [p if ":" in p else f"{p}: {first if i == 0 else 'float'}" for i, p in enumerate(rate.parameters)]
    head = call(f"def {name(rate)}(", [Text(p) for p in parameters], ") -> float:").lines(0, "")
    code = rate.code
    for other in rate.uses:
        code = re.sub(rf"\b{other.name}\b(?=\()", name(other), code)
    about = "What the rate is multiplied by." if first == "int" else "A part of the schedule."
    body = from_code(code).lines(4, "return ")
    found[rate.name] = "\n".join([*head, f'    """{about}"""', *(f"    {line}" for line in body)])


def name(rate: ir.Rate) -> str:
    """What the script calls a formula."""
    return f"{rate.name}_rate" if rate.name in _OWN else python_name(rate.name)


def _rates(schedule: ir.Call) -> Iterator[ir.Rate]:
    for arg in schedule.args.values():
        if isinstance(arg.value, ir.Rate):
            yield arg.value
        for part in arg.value if isinstance(arg.value, tuple) else ():
            if isinstance(part, ir.Call):
                yield from _rates(part)


def scheduler(plan: Plan, counted: bool, step_size: str) -> str:
    """The statements that make the scheduler; `counted` says that the script knows the steps of an epoch already."""
    train = plan.train
    assert train.schedule is not None
    length = "STEPS" if train.options.steps else "EPOCHS"
    if not train.options.steps and (train.schedule_every == "step" or _cycles(train)):
        length = "EPOCHS * steps"
    written = _made(train.schedule, length, 0, train.epochs).lines(4, "scheduler = ")
    lines = [f"    {line}" for line in written]
    if not counted and re.search(r"\bsteps\b", "\n".join(lines)):
        lines.insert(0, f"    steps = math.ceil(len(labels) / {step_size})  # in an epoch")
    return "\n".join(lines)


def _cycles(train: ir.Train) -> bool:
    return train.schedule is not None and train.schedule.name == "OneCycleLR" and not train.schedule_every


def _made(schedule: ir.Call, length: str, begin: int, epochs: object) -> Text:
    """The call, for a scheduler that begins after so many steps of so many."""
    items = [Text("optimizer")]
    rest = f"{length} - {begin}" if begin else length
    types = {p.name: p.type for p in schedule.entry.params}
    if "schedulers" in schedule.args:
        return _together(schedule, length, begin, epochs)
    args = dict(schedule.args)
    named = [n for n in ("total_steps", "epochs", "steps_per_epoch") if schedule.get_or(n, None) is not None]
    total = schedule.name == "OneCycleLR" and named in ([], ["epochs"])
    for argument, arg in args.items():
        if total and argument in ("epochs", "steps_per_epoch"):
            continue
        if argument == "T_max" and (arg.value is None or (isinstance(epochs, int) and arg.value == epochs - begin)):
            items.append(Text(f"T_max={rest}"))
        elif isinstance(arg.value, ir.Rate):
            items.append(Text(f"{argument}={name(arg.value)}"))
        else:
            items.append(Text(f"{argument}={python(arg.value, types.get(argument, 'any'))}"))
    if total:
        items.append(Text(f"total_steps={rest}"))
    return call(f"torch.optim.lr_scheduler.{schedule.name}(", items, ")")


def _together(schedule: ir.Call, length: str, begin: int, epochs: object) -> Text:
    parts = schedule.args["schedulers"].value
    assert isinstance(parts, tuple)
    ends = schedule.args["milestones"].value if "milestones" in schedule.args else None
    starts = [begin, *(begin + end for end in ends)] if isinstance(ends, list) else [begin] * len(parts)
    made = [_made(part, length, start, epochs) for part, start in zip(parts, starts, strict=True)]
    listed = call("[", made, "]")
    lead = f"torch.optim.lr_scheduler.{schedule.name}("
    if not isinstance(ends, list):
        return call(lead, [listed, Text("optimizer=optimizer")], ")")
    return call(lead, [Text("optimizer"), listed, Text(f"milestones={python(ends)}")], ")")
