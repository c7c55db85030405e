"""The loss in `train.py`: its constants, the function `compute_loss` where it is computed, and `evaluate`.

In: the plan of `training`. Out: Python as text. Guarantees: a loss of torch alone stays one constant, `loss_function`;
the loss of a set is exact, also where it is put together from batches. Leaves the metrics to `training_metrics`.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from netc import ir
from netc.backends import training_own_loss as own_loss
from netc.backends.expression_text import expression
from netc.backends.layout import Text, call, fits
from netc.backends.training_images import python
from netc.backends.training_main import select
from netc.backends.training_metrics import calls
from netc.catalog.loss_facts import OUTPUT, scale
from netc.catalog.metrics import task
from netc.identifiers import python_name
from netc.node import replace
from netc.shapes import TensorType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netc.backends.training import Plan

_LARGE = 2**31  # bytes of outputs of a whole set, from which on they are not all kept
_TAKEN = frozenset({"F", "nn", "torch", "outputs", "loss", "compute_loss", "math", "Tensor"})

# `evaluate` where the loss is computed of all outputs at once, and where it is put together from batches.
_WHOLE = '''
def evaluate(model: nn.Module, images: @IMAGES@, labels: Tensor) -> @RESULT@:
metrics|    """The loss and the metrics over all of the images."""
!metrics|    """The loss over all of the images."""
    @OUTPUT@ = predict(model, images)
inputs|    batch = @ALL@
@SCORES@
'''
_BATCHES = '''
!fsdp|@torch.inference_mode()
fsdp|@torch.no_grad()
def evaluate(model: nn.Module, images: @IMAGES@, labels: Tensor) -> @RESULT@:
metrics|    """The loss and the metrics over all of the images."""
!metrics|    """The loss over all of the images."""
    model.eval()
    device = next(model.parameters()).device
!parallel|    loss_sum = torch.zeros((), device=device)
parallel|    losses = []
metrics|    predictions, targets = [], []
!parallel|    for index in torch.arange(len(labels)).split(@SIZE@):
parallel|    for index in in_turn(torch.arange(len(labels)).split(@SIZE@)):
tensor|        batch = preprocess(images[index].to(device))
raw|        batch = preprocess(prepare(images[index]).to(device))
files|        batch = preprocess(torch.cat(images.batch(index)).to(device))
labels|        target = labels[index]
!autocast|        @OUTPUT@ = model(batch)
!autocast|        loss = @LOSS@
autocast|        with torch.autocast(device.type, dtype=@DTYPE@):
autocast|            @OUTPUT@ = model(batch)
autocast|            loss = @LOSS@
!parallel|!sum|        loss_sum += loss * len(index)
!parallel|sum|        loss_sum += loss
parallel|!sum|        losses.append(loss.view(1) * len(index))
parallel|sum|        losses.append(loss.view(1))
metrics|        predictions.append(@PREDICTION@)
metrics|        targets.append(@TARGET@)
parallel|    batches = math.ceil(len(labels) / @SIZE@)
parallel|    loss_sum = gathered(losses, batches, 1).sum()
!metrics|    return loss_sum.item() / len(labels)
!parallel|metrics|    @LOGITS@, labels = torch.cat(predictions), torch.cat(targets)
parallel|metrics|    count = len(labels)
parallel|metrics|    @LOGITS@ = gathered(predictions, count)
parallel|metrics|    labels = gathered(targets, count)
@SCORES@
'''


# --- constants --------------------------------------------------------------------------------------------------------


def constants(plan: Plan) -> list[str]:
    """The losses, each a constant."""
    loss, names = plan.train.loss, plan.loss_names
    losses = (("loss_function", loss),) if isinstance(loss, ir.Call) else loss.losses
    return [
        line for name, one in losses
        for line in (own_loss.constructed(name, one, names) if own_loss.is_own(one) else _constructed(name, one))
    ]  # fmt: skip


def _constructed(name: str, loss: ir.Call) -> list[str]:
    types = {p.name: p.type for p in loss.entry.params}
    items = []
    for argument, arg in loss.args.items():
        text = python(arg.value, types.get(argument, "any"))
        if argument in ("weight", "pos_weight") and arg.value is not None:
            weights: Any = arg.value if isinstance(arg.value, (list, tuple)) else [arg.value]
            text = f"torch.tensor({python([float(w) for w in weights])})"
        items.append(Text(f"{argument}={text}"))
    return list(call(f"nn.{loss.name}(", items, ")").lines(0, f"{name} = "))


def on_device(loss: ir.Call | ir.Computed) -> list[str]:
    """The statements that put the weights of losses on the device."""
    losses = (("loss_function", loss),) if isinstance(loss, ir.Call) else loss.losses
    weighted = [
        name for name, one in losses
        if (own_loss.holds(one) if own_loss.is_own(one) else one.get_or("weight", 0) or one.get_or("pos_weight", 0))
    ]  # fmt: skip
    return [f"{name}.to(device)  # its weights" for name in weighted]


# --- compute_loss -----------------------------------------------------------------------------------------------------


def is_several(plan: Plan) -> bool:
    """Whether the network gives several outputs in training."""
    return len(plan.results) > 1


def result(plan: Plan) -> str:
    """What the script calls the network's result in training."""
    if not isinstance(plan.train.loss, ir.Computed):
        return "output" if task(plan.train.loss.name) == "numbers" else "logits"
    return "outputs" if is_several(plan) else _own(plan.results[0].name or OUTPUT)


def compared(plan: Plan) -> tuple[str, str]:
    """The prediction and the target that metrics compare, in a step of training."""
    loss = plan.train.loss
    if not isinstance(loss, ir.Computed) or loss.compared is None:
        return result(plan), "target"
    return _in_step(plan, loss.compared[0]), _in_step(plan, loss.compared[1])


def _in_step(plan: Plan, name: str) -> str:
    """A tensor of the loss in a step of training."""
    if name in {o.name or OUTPUT for o in plan.results}:
        return f"outputs.{name}" if is_several(plan) else result(plan)
    inputs = [i.name for i in plan.inputs]
    if name in inputs and len(inputs) > 1:
        return f"batch[{inputs.index(name)}]"
    return "batch" if name in inputs else "target"


def step_loss(plan: Plan, output: str) -> str:
    """The loss of a batch, given what the script calls the network's result."""
    loss = plan.train.loss
    if not isinstance(loss, ir.Computed):
        return f"loss_function({output}, target)"
    alone = None if is_several(plan) else own_loss.alone(loss, plan.loss_names)
    if alone is not None:
        return f"{alone}({output}, target)"
    return f"compute_loss({', '.join([output, *(_in_step(plan, n) for n in (*loss.inputs, *loss.labels))])})"


def _own(name: str) -> str:
    """A name of the program as a parameter of `compute_loss`."""
    return f"{name}_" if name in _TAKEN else python_name(name)


def function(plan: Plan) -> str:
    """The function `compute_loss`; empty where the loss is one of torch."""
    loss = plan.train.loss
    if not isinstance(loss, ir.Computed) or (
        not is_several(plan) and own_loss.alone(loss, plan.loss_names) is not None
    ):
        return ""
    parameters = [f"{result(plan)}: {_annotation(plan)}", *(f"{_own(n)}: Tensor" for n in (*loss.inputs, *loss.labels))]
    head = list(call("def compute_loss(", [Text(p) for p in parameters], ") -> Tensor:").lines(0, ""))
    lines = [*head, '    """The loss of a batch."""']
    if _alone_in_evaluation(plan):
        lines.append("    if isinstance(outputs, Tensor):  # in evaluation")
        lines += _lines(plan, loss.evaluation, loss, "outputs", 8)
    elif loss.evaluation is not loss.training:
        absent = next(o.name for o in plan.results if o.training)
        lines.append(f"    if outputs.{absent} is None:  # in evaluation")
        lines += _lines(plan, loss.evaluation, loss, None, 8)
    return "\n".join([*lines, *_lines(plan, loss.training, loss, None, 4)])


def _alone_in_evaluation(plan: Plan) -> bool:
    """Whether of several outputs one is left in evaluation, so that the network gives it as it is."""
    return is_several(plan) and sum(not o.training for o in plan.results) == 1


def _annotation(plan: Plan) -> str:
    if not is_several(plan):
        return "Tensor"
    return f"Tensor | {plan.output_class}" if _alone_in_evaluation(plan) else plan.output_class


def _lines(plan: Plan, expr: ir.Expr, loss: ir.Computed, alone: str | None, indent: int) -> list[str]:
    """The statements that return the value of an expression."""
    names = {n: _own(n) for n in (*loss.inputs, *loss.labels)}
    for output in plan.results:
        name = output.name or OUTPUT
        names[name] = alone or (f"outputs.{name}" if is_several(plan) else _own(name))
    names |= own_loss.called(loss, plan.loss_names)
    statements = _Statements(indent, set(names.values()))
    statements.value("return ", "loss", _renamed(expr, names))
    return [" " * indent + line for line in statements.lines]


class _Statements:
    """An expression as statements that each fit a line."""

    def __init__(self, indent: int, taken: set[str]) -> None:
        self.indent = indent
        self.lines: list[str] = []
        self.free = [n for n in ("y", "z", "h", *(f"y{i}" for i in range(2, 99))) if n not in taken]

    def value(self, lead: str, name: str, expr: ir.Expr) -> None:
        """`lead` and the expression; parts that are too long get a name of their own."""
        text = expression(expr, lambda target: str(target)[1:], str)
        if fits(lead + text.flat, self.indent):
            self.lines.append(lead + text.flat)
            return
        if isinstance(expr, ir.Operation) and expr.left is not None and not _is_short(expr.left):
            self.value(f"{name} = ", name, expr.left)
            self.value(lead, name, replace(expr, left=ir.Var(f"={name}", TensorType(()))))
            return
        shorter = self.shorter(expr)
        if shorter is None:
            self.lines += text.lines(self.indent, lead)
        else:
            self.value(lead, name, shorter)

    def shorter(self, expr: ir.Expr) -> ir.Expr | None:
        """The expression with its longest part by a name; None where no part can have one."""
        if isinstance(expr, ir.Operation):
            inner = self.shorter(expr.right)
            if inner is not None:
                return replace(expr, right=inner)
            return None if _is_short(expr.right) else replace(expr, right=self.named(expr.right))
        if not isinstance(expr, ir.Function):
            return None
        longest = max(expr.arguments, key=lambda a: _length(a[1]))
        if _is_short(longest[1]):
            return None
        own = self.named(longest[1])
        return replace(expr, arguments=tuple((n, own if a is longest[1] else a) for n, a in expr.arguments))

    def named(self, expr: ir.Expr) -> ir.Var:
        name = self.free.pop(0)
        self.value(f"{name} = ", name, expr)
        return ir.Var(f"={name}", TensorType(()))


def _length(expr: ir.Expr) -> int:
    return len(expression(expr, lambda target: str(target)[1:], str).flat)


def _is_short(expr: ir.Expr) -> bool:
    return isinstance(expr, (ir.Var, ir.Value)) or _length(expr) < 20


def _renamed(expr: Any, names: Mapping[str, str]) -> Any:
    """An expression with the names that its tensors have in the script."""
    if isinstance(expr, ir.Var):
        return replace(expr, name=f"={names.get(expr.name, expr.name)}")
    if isinstance(expr, ir.Value):
        first = next(iter(names.values()))
        code = re.sub("ꞏ([^ꞏ]+)ꞏ", lambda m: first if m[1] == "@" else names.get(m[1], m[1]), expr.code)
        return ir.Value(code)
    if isinstance(expr, ir.Function):
        expr = replace(expr, callee=names.get(expr.callee, expr.callee) if ":" in expr.callee else expr.callee)
    kind: Any = type(expr)
    if kind in (ir.Function, ir.Operation, ir.Item, ir.Items):
        return kind(*(_renamed(part, names) for part in expr))
    if kind is tuple:
        return tuple(_renamed(part, names) for part in expr)
    return expr


# --- predict and evaluate ---------------------------------------------------------------------------------------------


def is_batched(plan: Plan) -> bool:
    """Whether the loss of a set is put together from those of batches."""
    loss = plan.train.loss
    if isinstance(loss, ir.Computed):
        large = bool(loss.inputs) or _outputs_bytes(plan) > _LARGE
        return loss.scale == "mixed" or (large and loss.scale != "whole")
    values = {p.name: loss.get(p.name) for p in loss.entry.params}
    return scale(loss.name, values) in ("mean", "sum") and not plan.train.metrics and _outputs_bytes(plan) > _LARGE


def _outputs_bytes(plan: Plan) -> int:
    """How much memory the outputs of the largest set take, as far as that is known."""
    values = sum(_values(o.type) for o in plan.results if not o.training) * 4
    counts = [n for part in plan.parts for n in (part.facts.train_size, part.facts.test_size) if n]
    return values * max(counts, default=0)


def _values(type_: TensorType) -> int:
    """The numbers of an output of one sample, as far as they are known."""
    return math.prod(d for d in type_.shape[1:] if isinstance(d, int))


def is_sum(plan: Plan) -> bool:
    """Whether the loss is a sum over samples, so that a set is told by the loss of one."""
    loss = plan.train.loss
    if isinstance(loss, ir.Computed):
        return loss.scale == "sum"
    return loss.get("reduction") == "sum"


def words(plan: Plan) -> set[str]:
    """What the lines of the pieces ask for, as far as the loss and the metrics decide."""
    loss = plan.train.loss
    found = {"metrics"} if plan.train.metrics else set()
    found |= {"matrix"} if "confusion_matrix" in plan.train.metrics else set()
    found |= {"outputs"} if sum(not o.training for o in plan.results) > 1 else set()
    found |= {"sum"} if is_sum(plan) else set()
    found |= {"computed"} if isinstance(loss, ir.Computed) else set()
    found |= {"labels"} if not isinstance(loss, ir.Computed) or loss.labels or _metrics_read_labels(plan) else set()
    found |= {"inputs"} if isinstance(loss, ir.Computed) and loss.inputs else set()
    return found


def _metrics_read_labels(plan: Plan) -> bool:
    return bool(plan.train.metrics) and "target" in compared(plan)


def predicted(plan: Plan) -> tuple[str, str]:
    """What `predict` gives in evaluation: its type, and the statement that returns several outputs."""
    kept = [o.name for o in plan.results if not o.training]
    if len(kept) < 2:
        return "Tensor", ""
    joined, end = ("gathered(", ", len(images))") if plan.train.options.parallel else ("torch.cat(", ")")
    items = [Text(f"{name}={joined}[o.{name} for o in outputs]{end}") for name in kept]
    lines = call(f"{plan.output_class}(", items, ")", broken=True).lines(4, "return ")
    return plan.output_class, "\n".join(f"    {line}" for line in lines)


def evaluate_text(plan: Plan, chosen: frozenset[str]) -> str:
    """The function `evaluate`."""
    batched = is_batched(plan)
    text = select(_BATCHES if batched else _WHOLE, chosen | {plan.storage})
    scale_ = getattr(plan.train.loss, "scale", "")
    prediction, target = compared(plan)
    logits = re.sub(r"\W", "_", prediction.rpartition(".")[2])
    output = result(plan)
    if _alone_in_evaluation(plan):
        output = prediction = logits = next(_own(o.name) for o in plan.results if not o.training)
    loss = step_loss(plan, output)
    if batched:
        value = "loss_sum.item() / len(labels)"
    else:
        value = re.sub(r"\btarget\b", "labels", loss) + (".item() / len(labels)" if is_sum(plan) else ".item()")
        prediction, target = (re.sub(r"\btarget\b", "labels", name) for name in (prediction, target))
    text = text.replace("@SIZE@", "BATCH_SIZE" if scale_ == "mixed" else "EVALUATION_BATCH")
    text = text.replace("@OUTPUT@", output).replace("@LOSS@", loss)
    text = text.replace("@PREDICTION@", prediction).replace("@TARGET@", target).replace("@LOGITS@", logits)
    text = text.replace("@ALL@", _all_inputs(plan)).replace(
        "@RESULT@", "dict[str, float]" if plan.train.metrics else "float"
    )
    return _wrapped(
        text.replace("@SCORES@", _scores(plan, value, (logits, "labels") if batched else (prediction, target)))
    )


def all_predictions(plan: Plan, network: str) -> str:
    """What metrics compare, of all images of a set."""
    name = compared(plan)[0].partition(".")[2]
    several = sum(not o.training for o in plan.results) > 1
    return f"predict({network}, images){f'.{name}' if several else ''}"


def _all_inputs(plan: Plan) -> str:
    """What the network takes, of all images of a set."""
    whole = {
        "tensor": "images",
        "raw": "prepare(images)",
        "files": "torch.cat(images.batch(torch.arange(len(images))))",
    }
    return f"preprocess({whole[plan.storage]}.to(labels.device))"


def _scores(plan: Plan, loss: str, pair: tuple[str, str]) -> str:
    """The end of `evaluate`: the loss, and each metric by its name."""
    if not plan.train.metrics:
        return "" if is_batched(plan) else f"    loss: float = {loss}\n    return loss"
    items = [Text(f'"loss": {loss}'), *(Text(f'"{name}": {code}') for name, code in calls(plan.train.metrics, *pair))]
    lines = call("{", items, "}", broken=True).lines(4, "return ")
    return "\n".join(f"    {line}" for line in lines)


def _wrapped(text: str) -> str:
    """The text with a head that is too long for a line broken up."""
    lines = []
    for line in text.rstrip("\n").split("\n"):
        match = re.fullmatch(r"(def \w+\()(.*)(\) -> .*:)", line)
        if match is None:
            lines.append(line)
            continue
        lines += call(match[1], [Text(item) for item in match[2].split(", ")], match[3]).lines(0, "")
    return "\n".join(lines)
