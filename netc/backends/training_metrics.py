"""The metrics in `train.py`: a function for each that the file asks for, over all samples of a set.

In: the columns, and what the labels are. Out: Python as text. Guarantees: values are those of scikit-learn for the same
outputs (a test compares them); nothing is averaged over batches. Leaves where they are called to `training_loss`.
"""

from __future__ import annotations

import re

from netc.catalog.metrics import average, metric_of, numbers

_CONFUSION = '''
def confusion(logits: Tensor, labels: Tensor) -> Tensor:
    """How often a class (row) was taken for a class (column): float64 [C, C]."""
    count = logits.shape[1]
    pairs = labels * count + logits.argmax(1)
    table = pairs.flatten().bincount(minlength=count * count)
    return table.view(count, count).cpu().double()
'''
_CLASSES = {
    "accuracy": '''
def accuracy(logits: Tensor, labels: Tensor) -> float:
    """The share of the labels that have the highest output."""
    correct = int((logits.argmax(1) == labels).sum())
    return correct / labels.numel()
''',
    "topk": '''
def top_accuracy(logits: Tensor, labels: Tensor, count: int) -> float:
    """The share of the labels that are among those of the highest outputs."""
    found = logits.topk(count, 1).indices == labels.unsqueeze(1)
    correct = int(found.sum())
    return correct / labels.numel()
''',
    "precision": '''
def precision@_AVERAGE@(logits: Tensor, labels: Tensor) -> float:
    """The share that are of a class of those called it, @OVER@."""
    matrix = confusion(logits, labels)
@CLASSES@
!micro|    score = hits / called.clamp(min=1)
@MEAN@
''',
    "recall": '''
def recall@_AVERAGE@(logits: Tensor, labels: Tensor) -> float:
    """The share of a class that is called it, @OVER@."""
    matrix = confusion(logits, labels)
@CLASSES@
!micro|    score = hits / there.clamp(min=1)
@MEAN@
''',
    "f1": '''
def f1@_AVERAGE@(logits: Tensor, labels: Tensor) -> float:
    """The harmonic mean of precision and recall, @OVER@."""
    matrix = confusion(logits, labels)
@CLASSES@
!micro|    score = 2 * hits / (called + there).clamp(min=1)
@MEAN@
''',
    "auroc": '''
def auroc(logits: Tensor, labels: Tensor) -> float:
    """The area under the ROC curve of each class against the others, their mean."""
    scores = logits@SCORES@
    areas = [area(scores[:, i], labels == i) for i in range(scores.shape[1])]
    there = [a for a in areas if not math.isnan(a)]  # without absent classes
    return sum(there) / len(there) if there else math.nan
''',
}
_BINARY = {
    "accuracy": '''
def accuracy(logits: Tensor, labels: Tensor) -> float:
    """The share of the labels that are told rightly."""
    correct = int(((logits > @THRESHOLD@) == (labels > 0.5)).sum())
    return correct / labels.numel()
''',
    "precision": '''
def precision@_AVERAGE@(logits: Tensor, labels: Tensor) -> float:
    """Of the samples that are called 1, the share that are@OVER_ALL@."""
@COUNTS@
!micro|    score = hits / called.clamp(min=1)
@MEAN@
''',
    "recall": '''
def recall@_AVERAGE@(logits: Tensor, labels: Tensor) -> float:
    """Of the samples that are 1, the share that are called it@OVER_ALL@."""
@COUNTS@
!micro|    score = hits / there.clamp(min=1)
@MEAN@
''',
    "f1": '''
def f1@_AVERAGE@(logits: Tensor, labels: Tensor) -> float:
    """The harmonic mean of precision and recall@OVER_ALL@."""
@COUNTS@
!micro|    score = 2 * hits / (called + there).clamp(min=1)
@MEAN@
''',
    "auroc": '''
def auroc(logits: Tensor, labels: Tensor) -> float:
    """The area under the ROC curve; of several outputs their mean."""
    scores, truth = logits.view(len(logits), -1), labels.view(len(labels), -1) > 0.5
    areas = [area(scores[:, i], truth[:, i]) for i in range(scores.shape[1])]
    there = [a for a in areas if not math.isnan(a)]  # without those of one kind
    return sum(there) / len(there) if there else math.nan
''',
}
_COUNTS = '''
def counts(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For each output how many samples are 1 and called so, called so, and 1."""
    called = logits.view(len(logits), -1) > @THRESHOLD@
    there = labels.view(len(labels), -1) > 0.5
    hits = (called & there).sum(0).cpu().double()
    return hits, called.sum(0).cpu().double(), there.sum(0).cpu().double()
'''
_AREA = '''
def area(scores: Tensor, positive: Tensor) -> float:
    """The share of pairs of a positive and another in order; ties count half."""
    _, place, count = scores.unique(return_inverse=True, return_counts=True)
    hits = place[positive].bincount(minlength=len(count))
    others = count - hits
    below = others.cumsum(0) - others
    ordered = (hits * (2 * below + others)).sum().item()  # twice the pairs
    pairs = 2 * hits.sum().item() * others.sum().item()
    return ordered / pairs if pairs else math.nan
'''
_NUMBERS = {
    "mae": '''
def mae(outputs: Tensor, targets: Tensor) -> float:
    """The mean of the absolute errors."""
    error: float = (outputs - targets).abs().mean().item()
    return error
''',
    "mse": '''
def mse(outputs: Tensor, targets: Tensor) -> float:
    """The mean of the squared errors."""
    error: float = (outputs - targets).square().mean().item()
    return error
''',
    "rmse": '''
def rmse(outputs: Tensor, targets: Tensor) -> float:
    """The root of the mean of the squared errors."""
    error: float = (outputs - targets).square().mean().sqrt().item()
    return error
''',
    "r2": '''
def r2(outputs: Tensor, targets: Tensor) -> float:
    """The share of the variance that is explained; of several numbers their mean."""
    outputs, targets = outputs.cpu().double(), targets.cpu().double()
    left = (targets - outputs).square().sum(0)
    whole = (targets - targets.mean(0)).square().sum(0)
    share = torch.where(whole > 0, 1 - left / whole, (left == 0).double())
    mean: float = share.mean().item()
    return mean
''',
}
_MEANS = {
    "macro": "    seen = called + there > 0  # without absent classes\n"
    "    mean: float = score[seen].mean().item()\n    return mean",
    "weighted": "    mean: float = ((score * there).sum() / there.sum()).item()\n    return mean",
}
_MICRO = {
    "precision": "    share: float = (hits.sum() / called.sum().clamp(min=1)).item()\n    return share",
    "recall": "    share: float = (hits.sum() / there.sum().clamp(min=1)).item()\n    return share",
    "f1": "    both = (called + there).sum().clamp(min=1)\n"
    "    share: float = (2 * hits.sum() / both).item()\n    return share",
}
_TAKEN = {"hits": "matrix.diagonal()", "called": "matrix.sum(0)", "there": "matrix.sum(1)"}
_OVER = {
    "macro": "its mean over classes",
    "micro": "over all classes at once",
    "weighted": "its mean by samples",
}


def calls(columns: tuple[str, ...], prediction: str, target: str) -> list[tuple[str, str]]:
    """The columns that are numbers, each with the Python that computes it."""
    found = []
    for column in numbers(columns):
        top = re.fullmatch(r"top(\d+)", column)
        found.append(
            (column, f"top_accuracy({prediction}, {target}, {top[1]})" if top else f"{column}({prediction}, {target})")
        )
    return found


def functions(columns: tuple[str, ...], task: str, threshold: float, log_probabilities: bool) -> list[str]:
    """The functions of the metrics, and those that they call."""
    table = _NUMBERS | {"classes": _CLASSES, "binary": _BINARY, "numbers": {}}[task]
    named = dict.fromkeys((metric_of(c).name, average(c), "_" + average(c) if c.endswith(average(c)) else "")
                          for c in numbers(columns))  # fmt: skip
    bodies = [_filled(table[name], name, mean, suffix, task) for name, mean, suffix in named]
    bodies = list(dict.fromkeys(bodies))
    code = "\n".join(bodies)
    helpers = [(_CONFUSION, "confusion(logits"), (_COUNTS, "counts(logits"), (_AREA, "area(scores")]
    found = [text for text, use in helpers if use in code or ("confusion_matrix" in columns and text is _CONFUSION)]
    scores = "" if log_probabilities else ".log_softmax(1)"
    number = f"{threshold:g}"
    return [t.strip("\n").replace("@SCORES@", scores).replace("@THRESHOLD@", number) for t in (*found, *bodies)]


def _filled(text: str, name: str, mean: str, suffix: str, task: str) -> str:
    keep = [line for line in text.split("\n") if mean != "micro" or not line.startswith("!micro|")]
    text = "\n".join(line.removeprefix("!micro|") for line in keep)
    end = _MICRO.get(name, "") if mean == "micro" else _MEANS[mean]
    if task == "binary" and mean == "macro":
        end = "    mean: float = score.mean().item()\n    return mean"
    text = text.replace("@MEAN@", end).replace("@_AVERAGE@", suffix).replace("@OVER@", _OVER[mean])
    over_all = {"macro": "", "micro": ", over all outputs", "weighted": ", the outputs by their samples"}[mean]
    used = [w for w in _TAKEN if re.search(rf"\b{w}\b", text.partition('"""\n')[2])]
    unpacked = f"    {', '.join(used)} = {', '.join(_TAKEN[w] for w in used)}"
    text = text.replace("@CLASSES@", unpacked)
    text = text.replace(
        "@COUNTS@", f"    {', '.join(w if w in used else '_' for w in _TAKEN)} = counts(logits, labels)"
    )
    return text.replace("@OVER_ALL@", over_all)
