"""The pieces of `train.py` from the model to the end, put together for one program.

In: the plan of `training`. Out: Python as text. Guarantees: lines for the metrics, the schedule, the validation and the
test that the file declares, and for no others. Leaves their text to `training_main`.
"""

from __future__ import annotations

from textwrap import indent
from typing import TYPE_CHECKING

from netc.backends.layout import Text, call
from netc.backends.training_images import python
from netc.backends.training_main import BATCH, CHECKPOINT, COUNT, FORWARD, MAIN, MODEL, UPDATE, select
from netc.catalog.training import BY_LOSS, PER_BATCH

if TYPE_CHECKING:
    from netc import ir
    from netc.backends.training import Plan


def model_text(plan: Plan) -> str:
    """The functions `build_model`, `predict` and `evaluate`."""
    text = select(MODEL, words(plan))
    text = text.replace("@IMAGES@", "Pictures" if plan.storage == "files" else "Tensor")
    text = text.replace("@READY@", "raw uint8" if plan.storage == "raw" else "prepared uint8")
    return text.replace("@OUTPUTS@", f"[N, {'classes' if plan.outputs is None else plan.outputs}]")


def checkpoint_text(plan: Plan) -> str:
    """The functions that write and read checkpoints."""
    classes = f"class_names({plan.folders['train']})" if plan.storage == "files" else "CLASS_NAMES"
    return CHECKPOINT.strip("\n").replace("@CLASSES@", classes).replace("@NETWORK@", plan.network)


def main_text(plan: Plan) -> str:
    """The function `main` and its call."""
    heading = "  ".join(title for title, _ in _columns(plan))
    text = select(MAIN, words(plan)).replace("@STEP@", _step(plan))
    text = text.replace("@HEADING@", heading).replace("@ROW@", _row(plan))
    if plan.train.schedule is not None:
        text = text.replace("@SCHEDULER@", _scheduler(plan, plan.train.schedule))
    return text.replace("@OPTIMIZER@", _optimizer(plan.train))


def _step(plan: Plan) -> str:
    """The lines of a step: a batch, the loss, the update, and what is counted."""
    chosen = words(plan)
    lines = select(BATCH, chosen).replace("@BATCH@", _batch(plan)).split("\n")
    lines += select(FORWARD, chosen).split("\n")
    lines += select(UPDATE, chosen).split("\n")
    lines += select(COUNT, chosen).split("\n")
    return indent("\n".join(lines), " " * 16)


def words(plan: Plan) -> frozenset[str]:
    """What the lines of the pieces ask for."""
    found = {plan.storage}
    found |= {"accuracy"} if plan.accuracy else set()
    found |= {"validation"} if plan.data.validation is not None else set()
    found |= {"test"} if plan.data.test is not None else set()
    found |= {"freeze"} if plan.train.freeze else set()
    found |= {"groups"} if plan.train.groups else set()
    found |= {"channels_last"} if plan.channels_last else set()
    if plan.train.schedule is not None:
        name = plan.train.schedule.name
        found |= {"scheduler", "per_batch" if name in PER_BATCH else "by_loss" if name in BY_LOSS else "per_epoch"}
    return frozenset(found)


def _given(step: ir.Call) -> dict[str, Text]:
    types = {p.name: p.type for p in step.entry.params}
    return {name: Text(f"{name}={python(arg.value, types.get(name, 'any'))}") for name, arg in step.args.items()}


def _optimizer(train: ir.Train) -> str:
    parameters = "model.parameters()"
    if train.groups:
        parameters = "parameter_groups(model)"
    elif train.freeze:
        parameters = "[p for p in model.parameters() if p.requires_grad]"
    items = [Text(parameters), *_given(train.optimizer).values()]
    lines = call(f"torch.optim.{train.optimizer.name}(", items, ")").lines(4, "optimizer = ")
    return "\n".join(f"    {line}" for line in lines)


def _scheduler(plan: Plan, schedule: ir.Call) -> str:
    """The schedule, with what follows from the run: for those that end with it, its length."""
    given = _given(schedule)
    lines = []
    if (
        schedule.name == "CosineAnnealingLR"
        and schedule.args.get("T_max", (plan.train.epochs,))[0] == plan.train.epochs
    ):
        given["T_max"] = Text("T_max=EPOCHS")
    named = [n for n in ("total_steps", "epochs", "steps_per_epoch") if schedule.get_or(n, None) is not None]
    if schedule.name == "OneCycleLR" and named in ([], ["epochs"]):
        lines.append("    steps = math.ceil(len(labels) / BATCH_SIZE)  # in an epoch")
        given = {n: text for n, text in given.items() if n not in ("epochs", "steps_per_epoch")}
        given["total_steps"] = Text("total_steps=EPOCHS * steps")
    items = [Text("optimizer"), *given.values()]
    written = call(f"torch.optim.lr_scheduler.{schedule.name}(", items, ")").lines(4, "scheduler = ")
    return "\n".join([*lines, *(f"    {line}" for line in written)])


def _batch(plan: Plan) -> str:
    """The expression for the uint8 images of a training batch, augmented, on the device."""
    steps = plan.images
    if plan.storage == "files":
        if steps.augment is not None and not steps.stacked:
            return "augment(images.batch(index)).to(device)"
        images = "torch.cat(images.batch(index)).to(device)"
    elif plan.storage == "raw":
        prepare = "prepare_training" if steps.training is not None else "prepare"
        images = f"{prepare}(images[index]).to(device)"
    else:
        images = "images[index]"
    return images if steps.augment is None else f"augment({images})"


def _columns(plan: Plan) -> list[tuple[str, str]]:
    """The columns of the table: a heading, and how a row fills its width."""
    columns = [("epoch", "{epoch:5}"), ("train loss", "{train_loss:10.4f}")]
    if plan.data.validation is not None:
        columns.append(("validation loss", "{validation_loss:15.4f}"))
        columns += [("accuracy", "{accuracy:8.2%}")] if plan.accuracy else []
    elif plan.accuracy:
        columns.append(("train accuracy", "{train_accuracy:14.2%}"))
    return [*columns, ("       lr", "{lr:9.3g}"), ("seconds", "{seconds:7.1f}")]


def _row(plan: Plan) -> str:
    cells = [cell for _, cell in _columns(plan)]
    half = (len(cells) + 1) // 2
    indent = " " * 16
    whole = f'{indent}f"{"  ".join(cells)}{{mark}}",'
    if len(whole) <= 88:
        return whole
    return f'{indent}f"{"  ".join(cells[:half])}  "\n{indent}f"{"  ".join(cells[half:])}{{mark}}",'
