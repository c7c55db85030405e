"""The pieces of `train.py` from the model to the end, put together for one program.

In: the plan of `training`. Out: Python as text. Guarantees: lines for the metrics, the schedule, the validation and the
test that the file declares, and for no others. Leaves their text to `training_main`.
"""

from __future__ import annotations

from textwrap import indent
from typing import TYPE_CHECKING

from netc import ir
from netc.backends import (
    training_loss,
    training_metrics,
    training_parallel,
    training_pictures,
    training_schedule,
    training_workers,
)
from netc.backends.layout import Text, call
from netc.backends.training_images import python
from netc.backends.training_main import (
    AFTER,
    BACKWARD,
    BATCH,
    CHECKPOINT,
    COUNT,
    FORWARD,
    MAIN,
    MODEL,
    RECENT,
    UPDATE,
    select,
)
from netc.backends.training_mixing import mixing, with_shares
from netc.backends.training_samples import of_samples, taken, with_encoding
from netc.backends.training_split import drawn, order_call
from netc.catalog.metrics import direction, metric_of, numbers, task, threshold
from netc.catalog.training import BY_LOSS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netc.backends.training import Plan


_TABLE = 80 - len("  best")  # columns of a terminal that the table of the epochs may take


def model_text(plan: Plan) -> str:
    """The functions `build_model` and `predict`, those of the metrics, and `evaluate`."""
    kind, several = training_loss.predicted(plan)
    chosen = words(plan)
    asked = plan.samples is not None and plan.samples.several and not plan.samples.asked
    marks = {"PREDICTED": kind, "RETURN": several, "COUNTED": "images[0]" if asked else "images"}
    if plan.blocked is not None:
        marks |= {"FIRST": plan.blocked.first, "BEHIND": plan.blocked.behind}
    model = marked(select(MODEL, chosen), marks)
    pieces = [model, *metric_functions(plan), training_loss.evaluate_text(plan, chosen).strip("\n")]
    text = "\n\n\n".join(pieces).replace("@DTYPE@", dtype(plan))
    kind = "Pictures" if plan.samples is None else "Mapped" if plan.samples.mapped else "Asked"
    text = text.replace("@IMAGES@", kind if plan.storage == "files" else "Tensor")
    if plan.samples is not None:
        text = of_samples(text, plan.samples)
    text = text.replace("@READY@", "raw uint8" if plan.storage == "raw" else "prepared uint8")
    return text.replace("@OUTPUTS@", "" if several else f" {_shape(plan)}")


def _shape(plan: Plan) -> str:
    """The shape of the one output."""
    if plan.results and len(plan.results[0].type.shape) != 2:
        return str(plan.results[0].type)
    return f"[N, {'classes' if plan.outputs is None else plan.outputs}]"


def metric_functions(plan: Plan) -> list[str]:
    """The functions of the metrics."""
    return training_metrics.functions(plan.train.metrics, *_labels(plan)) if plan.train.metrics else []


def _labels(plan: Plan) -> tuple[str, float, bool]:
    """What the labels are: the task, above which output one of yes and no is yes, and whether outputs are logs."""
    loss = plan.train.loss
    name = loss.name if isinstance(loss, ir.Call) else loss.losses[0][1].name if loss.losses else ""
    kind = "classes" if isinstance(loss, ir.Computed) and loss.one_hot else task(name)
    return kind, threshold(name), name == "NLLLoss"


def checkpoint_text(plan: Plan) -> str:
    """The functions that write and read checkpoints."""
    chosen = words(plan)
    text = select(CHECKPOINT, chosen)
    text = training_parallel.sharded_checkpoint(text, plan, chosen) if "fsdp" in chosen else text
    text = text.replace("@NETWORK@", plan.network)
    if plan.numeric or (plan.samples is not None and not plan.samples.classes):
        text = text.replace(", and the names of the classes", "")
        return text.replace('        "classes": @CLASSES@,\n', "")
    pictures = plan.storage == "files" and plan.samples is None
    classes = training_pictures.class_names(plan) if pictures else "CLASS_NAMES"
    if plan.samples is not None and plan.samples.table:
        classes = 'state["encoding"]["classes"]'
        classes = 'parts["encoding"].state_dict()["classes"]' if "fsdp" in chosen else classes
    return text.replace("@CLASSES@", classes)


def main_text(plan: Plan) -> str:
    """The function `main` and its call."""
    marks = {
        "LOOP": _loop(plan), "HEADING": _heading(plan), "ROW": _row(plan), "OPTIMIZER": _optimizer(plan),
        "PARTS": _parts(plan), "BEST": _best(plan), "STEP_SIZE": step_size(plan), "EVALUATED": evaluated(plan),
        "WATCHED": _watched(plan).replace("_", " "), "TEST": _test(plan), "BATCH": _batch(plan),
        "WRAPPED": training_parallel.wrapped(plan),
        "CLOSURE": _closure(plan) if "closure" in words(plan) else "",
        "MATRIX_OF": "test" if plan.data.test is not None else "validation",
        "MATRIX": training_loss.all_predictions(plan, evaluated(plan)),
    }  # fmt: skip
    if plan.train.schedule is not None:
        marks["SCHEDULER"] = training_schedule.scheduler(plan, "counted" in words(plan), step_size(plan))
        marks["WATCHED_BY"] = _watched_by(plan)
    text = drawn(plan.data, marked(select(MAIN, words(plan)), marks))
    text = text if plan.samples is None else with_encoding(of_samples(text, plan.samples), plan.samples)
    return training_parallel.loaded(text, plan) if plan.train.options.parallel is not None else text


def marked(text: str, marks: Mapping[str, str]) -> str:
    """A piece with its marks replaced."""
    for mark, value in marks.items():
        text = text.replace(f"@{mark}@", value)
    return text


def step_size(plan: Plan) -> str:
    """The constant that says how many samples make a step of the optimizer."""
    return "STEP_SIZE" if plan.train.options.accumulate > 1 else "BATCH_SIZE"


def evaluated(plan: Plan) -> str:
    """The network that is evaluated: the average of the weights where there is one."""
    options = plan.train.options
    return "ema.module" if options.ema is not None else "compiled" if options.compile else "model"


def _loop(plan: Plan) -> str:
    """The loop over the batches of an epoch, with the lines of a step."""
    order, text = _batches(plan)
    made = plan.samples is not None and plan.samples.asked and plan.data.workers
    return training_workers.in_loop(text, order, "parallel" in words(plan)) if made else text


def _batches(plan: Plan) -> tuple[str, str]:
    """What the loop goes over, and its lines."""
    chosen = words(plan)
    order = "order" if {"midway", "steps", "parallel"} & chosen else order_call(plan.data)
    order = f"{order}[seen:]" if "midway" in chosen else order
    order += ".to(device)" if "tensor" in chosen else ""
    share = "loss" if "sum" in chosen else "loss * len(index) / len(group)"
    several = "accumulate" in chosen or "parallel" in chosen
    share = training_parallel.share(plan, chosen) if "parallel" in chosen else share
    marks = {
        "BATCH": _batch(plan), "CALLED": _called(plan), "WRAPPED": training_parallel.wrapped(plan),
        "LOSS": f"({share})" if several and share != "loss" else "loss", "SCALED": share if several else "loss",
        "RESULT": training_loss.result(plan), "CORRECT": _correct(plan),
        "COMPUTED": with_shares(training_loss.step_loss(plan, training_loss.result(plan)), plan.data),
    }  # fmt: skip
    if "weighted" in chosen:
        marks["COMPUTED"] = marks["COMPUTED"].replace("loss_function(", "summed(")
    batch, forward, backward, update, count, recent, after = (
        marked(select(piece, chosen), marks) for piece in (BATCH, FORWARD, BACKWARD, UPDATE, COUNT, RECENT, AFTER)
    )
    if "autocast" in chosen:
        forward = f"with torch.autocast(device.type, dtype={dtype(plan)}):\n{indent(forward, '    ')}"
    if "closure" in chosen:
        given = ", ".join(["closure", "batch", *(["target"] if "labels" in chosen else [])])
        step = _joined(batch, f"loss = optimizer.step(partial({given}))", update, count, recent, after)
        return order, indent(f"for index in {order}.split(BATCH_SIZE):\n{indent(step, '    ')}", " " * 12)
    if "parallel" in chosen:
        return order, _shared_loop(plan, order, (batch, forward, backward, count, recent), (update, after))
    if not several:
        step = _joined(batch, forward, backward, update, count, recent, after)
        return order, indent(f"for index in {order}.split(BATCH_SIZE):\n{indent(step, '    ')}", " " * 12)
    part = _joined(batch, forward, backward, count, recent)
    inner = f"optimizer.zero_grad()\nfor index in group.split(BATCH_SIZE):\n{indent(part, '    ')}"
    step = _joined(inner, update, after)
    return order, indent(f"for group in {order}.split(STEP_SIZE):\n{indent(step, '    ')}", " " * 12)


def _called(plan: Plan) -> str:
    """What the script calls the network that is trained."""
    if plan.train.options.parallel == "ddp":
        return "parallel"
    return "compiled" if plan.train.options.compile else "model"


def _shared_loop(plan: Plan, order: str, part: tuple[str, ...], step: tuple[str, ...]) -> str:
    """The loop where each process has a share of each batch; gradients meet once in a step."""
    (batch, forward, backward, count, recent), (update, after) = part, step
    if plan.train.options.accumulate == 1:
        whole = _joined(batch, forward, backward, update, count, recent, after)
        return indent(f"for whole in {order}.split(BATCH_SIZE):\n{indent(whole, '    ')}", " " * 12)
    last = "number == len(batches)"
    ddp = plan.train.options.parallel == "ddp"
    sync = f"parallel.require_backward_grad_sync = {last}" if ddp else f"sharded.set_requires_gradient_sync({last})"
    inner = indent(_joined(sync, batch, forward, backward, count, recent), "    ")
    head = "optimizer.zero_grad()\nbatches = group.split(BATCH_SIZE)\nfor number, whole in enumerate(batches, 1):"
    body = indent(_joined(f"{head}\n{inner}", update, after), "    ")
    return indent(f"for group in {order}.split(STEP_SIZE):\n{body}", " " * 12)


def _closure(plan: Plan) -> str:
    """The function that LBFGS calls for the loss of a batch, several times in a step."""
    chosen = words(plan)
    result = training_loss.result(plan)
    marks = {"CALLED": "compiled" if plan.train.options.compile else "model", "RESULT": result, "LOSS": "loss",
             "COMPUTED": training_loss.step_loss(plan, result)}  # fmt: skip
    forward, backward = (marked(select(piece, chosen), marks) for piece in (FORWARD, BACKWARD))
    if "autocast" in chosen:
        forward = f"with torch.autocast(device.type, dtype={dtype(plan)}):\n{indent(forward, '    ')}"
    taken = "tuple[Tensor, ...]" if len(plan.inputs) > 1 else "Tensor"
    parameters = f"batch: {taken}" + (", target: Tensor" if "labels" in chosen else "")
    backward = backward.replace("optimizer.zero_grad()\n", "")
    body = _joined("optimizer.zero_grad()", forward, f"{backward}\nreturn loss")
    about = '"""The loss of a batch, which the optimizer asks for several times."""'
    return indent(f"\ndef closure({parameters}) -> Tensor:\n{indent(f'{about}{chr(10)}{body}', '    ')}", "    ")


def _joined(*pieces: str) -> str:
    return "\n".join(piece for piece in pieces if piece)


def dtype(plan: Plan) -> str:
    """The type that the forward pass computes in, where it is not float32."""
    return "torch.bfloat16" if plan.train.options.precision == "bf16" else "torch.float16"


def _parts(plan: Plan) -> str:
    """The dictionary of what a checkpoint holds."""
    chosen = words(plan)
    names = ["model", "optimizer", *(n for n in ("scheduler", "ema", "scaler", "encoding") if n in chosen)]
    parts = "parts: dict[str, Any]" if "midway" in chosen else "parts"
    lines = call("{", [Text(f'"{name}": {name}') for name in names], "}").lines(4, f"{parts} = ")
    return "\n".join(f"    {line}" for line in lines)


def _watched(plan: Plan) -> str:
    """The column that early stopping watches."""
    stop = plan.train.options.early_stop
    return (stop.monitor if stop is not None else None) or criterion(plan)[0]


def criterion(plan: Plan) -> tuple[str, str]:
    """The column of metrics.csv that chooses best.pt, and whether its "min" or "max" is best."""
    kept = plan.train.options.checkpoint
    if kept is not None and kept.monitor is not None:
        return kept.monitor, direction(kept.monitor)
    if plan.data.validation is None:
        return "train_loss", "min"
    first = next(iter(numbers(plan.train.metrics)), "loss")
    return f"validation_{first}", direction(f"validation_{first}")


def _best(plan: Plan) -> str:
    """The line that finds the best row; among equals the one with the lower loss."""
    column, end = criterion(plan)
    key = f'r["{column}"]'
    part, _, name = column.partition("_")
    if name != "loss":
        key = f'({key}, {"-" if end == "max" else ""}r["{part}_loss"])'
    lines = call(f"{end}(", [Text("rows"), Text(f"key=lambda r: {key}")], ")").lines(12, "best = ")
    return "\n".join(f"            {line}" for line in lines)


def _correct(plan: Plan) -> str:
    """Which samples of a batch the network tells rightly."""
    prediction, target = training_loss.compared(plan)
    of, limit, _ = _labels(plan)
    return (
        f"{prediction}.argmax(1) == {target}" if of == "classes" else f"({prediction} > {limit:g}) == ({target} > 0.5)"
    )


def words(plan: Plan) -> frozenset[str]:
    """What the lines of the pieces ask for."""
    found = {plan.storage} | training_loss.words(plan)
    found |= {"threads"} if plan.storage == "files" and plan.samples is None else set()
    found |= {"accuracy"} if plan.accuracy else set()
    found |= {"encoding"} if plan.samples is not None and plan.samples.table else set()
    found |= {"validation"} if plan.data.validation is not None else set()
    found |= {"test"} if plan.data.test is not None else set()
    found |= {"mix"} if mixing(plan.data) else set()
    found |= {"freeze"} if plan.train.freeze else set()
    found |= {"groups"} if plan.train.groups else set()
    found |= {"channels_last"} if plan.channels_last else set()
    found |= {"blocked"} if plan.blocked is not None else set()
    found |= _option_words(plan.train.options) | training_parallel.words(plan)
    found |= {"closure"} if plan.train.optimizer.name == "LBFGS" else set()
    if plan.train.schedule is not None:
        name = plan.train.schedule.name
        often = training_schedule.is_per_batch(plan.train)
        found |= {"scheduler", "per_batch" if often else "by_loss" if name in BY_LOSS else "per_epoch"}
    return frozenset(found)


def _option_words(options: ir.Options) -> set[str]:
    kept = options.checkpoint
    there = {
        "steps": options.steps is not None,
        "accumulate": options.accumulate > 1,
        "clip_norm": options.clip_grad_norm is not None,
        "clip_value": options.clip_grad_value is not None,
        "clip": options.clip_grad_norm is not None or options.clip_grad_value is not None,
        "tf32": options.precision == "tf32",
        "autocast": options.precision in ("bf16", "fp16"),
        "scaler": options.precision == "fp16",
        "compile": options.compile,
        "ema": options.ema is not None,
        "early_stop": options.early_stop is not None,
        "every_epoch": kept is not None and kept.every_epochs is not None,
        "every_epochs": kept is not None and (kept.every_epochs or 1) > 1,
        "keep": kept is not None and kept.keep is not None,
        "midway": kept is not None and kept.every_steps is not None,
        "init_from": options.init_from is not None,
        "deterministic": options.deterministic,
        "unfreeze": options.unfreeze is not None,
        "log": options.log_every is not None,
        **{f"board_{part}": part in options.tensorboard for part in ("scalars", "images", "graph")},
        "board_sample": bool({"images", "graph"} & set(options.tensorboard)),
        "board": bool(options.tensorboard),
    }
    found = {word for word, holds in there.items() if holds}
    return found | ({"counted"} if found & {"steps", "midway", "log"} else set())


def _given(step: ir.Call) -> dict[str, Text]:
    types = {p.name: p.type for p in step.entry.params}
    return {name: Text(f"{name}={python(arg.value, types.get(name, 'any'))}") for name, arg in step.args.items()}


def _optimizer(plan: Plan) -> str:
    train = plan.train
    before = [f"    {line}" for line in training_loss.on_device(train.loss)]
    if "weighted" in words(plan):
        before += training_parallel.SUMMED.strip("\n").split("\n")
    parameters = "model.parameters()"
    if train.groups:
        parameters = "parameter_groups(model)"
    elif train.freeze and train.options.unfreeze is None:
        parameters = "[p for p in model.parameters() if p.requires_grad]"
    items = [Text(parameters), *_given(train.optimizer).values()]
    lines = call(f"torch.optim.{train.optimizer.name}(", items, ")").lines(4, "optimizer = ")
    return "\n".join([*before, *(f"    {line}" for line in lines)])


def _watched_by(plan: Plan) -> str:
    """What the script calls the column that ReduceLROnPlateau watches."""
    column = plan.train.schedule_on or ("train_loss" if plan.data.validation is None else "validation_loss")
    part, _, name = column.partition("_")
    return f'scores["{name}"]' if part == "validation" and plan.train.metrics else column


def _batch(plan: Plan) -> str:
    """The expression for what the network takes in a step."""
    return taken(plan.samples) if plan.samples is not None else f"preprocess({_images(plan)})"


def _images(plan: Plan) -> str:
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
        images = "images.index_select(0, index)"  # a quarter of the time of images[index]
    return images if steps.augment is None else f"augment({images})"


def _columns(plan: Plan) -> list[tuple[str, str]]:
    """The columns of the table: a heading, and how a row fills its width."""
    columns = [("epoch", "{epoch:5}"), ("train loss", "{train_loss:10.4f}")]
    if plan.data.validation is not None:
        value = "scores['loss']" if plan.train.metrics else "validation_loss"
        columns.append(("validation loss", f"{{{value}:15.4f}}"))
        columns += [_column(name) for name in numbers(plan.train.metrics)]
    elif plan.accuracy:
        columns.append(("train accuracy", "{train_accuracy:14.2%}"))
    return _fitting([*columns, ("       lr", "{lr:9.3g}"), ("seconds", "{seconds:7.1f}")])


def _fitting(columns: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The columns that a terminal has room for beside `best`; metrics.csv has all: what is left out is told last."""
    while sum(len(title) + 2 for title, _ in columns) - 2 > _TABLE and len(columns) > 3:
        columns = columns[:-1]
    return columns


def _column(name: str) -> tuple[str, str]:
    """The column of a metric on the validation images."""
    width = max(8, len(name))
    layout = f"{width}.2%" if metric_of(name).share else f"{width}.4f"
    return f"{name:>{width}}", f"{{scores['{name}']:{layout}}}"


def _test(plan: Plan) -> str:
    """The statement that prints the scores on the test images."""
    found = ["loss {scores['loss']:.4f}"]
    for name in numbers(plan.train.metrics):
        found.append(f"{name} {{scores['{name}']:{'.2%' if metric_of(name).share else '.4f'}}}")
    whole = f'    print(f"test {", ".join(found)}")'
    if len(whole) <= 88:
        return whole
    lines = call("[", [Text(f'f"{text}"') for text in found], "]", broken=True).lines(4, "texts = ")
    return "\n".join([*(f"    {line}" for line in lines), "    print(f\"test {', '.join(texts)}\")"])


def _heading(plan: Plan) -> str:
    """The statement that prints the heads of the columns."""
    whole = "  ".join(title for title, _ in _columns(plan))
    if len(whole) <= 75:
        return f'    print("{whole}")'
    titles = [Text(f'"{title}"') for title, _ in _columns(plan)]
    lines = call("[", titles, "]", broken=True).lines(4, "titles = ")
    return "\n".join([*(f"    {line}" for line in lines), '    print("  ".join(titles))'])


def _row(plan: Plan) -> str:
    cells = [cell for _, cell in _columns(plan)]
    indent, lines, line = " " * 16, [], ""
    for i, cell in enumerate(cells):
        end = "  " if i + 1 < len(cells) else "{mark}"
        if line and len(f'{indent}f"{line}{cell}{end}",') > 88:
            lines.append(f'{indent}f"{line}"')
            line = ""
        line += cell + end
    return "\n".join([*lines, f'{indent}f"{line}",'])
