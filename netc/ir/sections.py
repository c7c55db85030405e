"""The sections of a checked program: how the data is read, and how the network is trained.

In: nothing. Out: the records that the checker fills in from `data` and `train`. Guarantees: what the file leaves out
has its default; nothing refers to the syntax tree. Leaves networks and classes to `netc.ir`, which has these names too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netc.catalog.entry import Entry
    from netc.ir import Arg, Call, Expr
    from netc.source import Span


class Data(NamedTuple):
    """The data pipeline. `validation` and `test` are a dataset, or a fraction or count held out of `train`.

    `cache` is the folder for decoded pictures, True for the usual one, False for none; `cache_size` its limit in GiB.
    `split` says how that is shared out: "stratified", "random" or "ordered"; None where the file doesn't. `sampler` is
    what draws the training samples of an epoch, and with `balance` each class comes equally often. `fields`
    names the parts of a sample of a Python data set, where they aren't the network's inputs and `label` in this order;
    `workers` are the processes that make its samples.
    """

    train: Call
    validation: Call | float | int | None
    test: Call | float | int | None
    transform: tuple[Call, ...]
    augment: tuple[Call, ...]
    batch_size: int
    span: Span
    cache: str | bool = True
    cache_size: float = 20
    split: str | None = None
    balance: bool = False
    sampler: Call | None = None
    fields: tuple[str, ...] = ()
    workers: int = 0

    @property
    def kind(self) -> str:
        """What the data sets are: "table", "arrays" or "python"; "" for pictures."""
        from netc.catalog.data_fields import sample_kind  # which a network alone does without

        call = self.train
        pictures = call.get_or("image_size", None) or call.get_or("image", None)
        return sample_kind(call.name, call.entry.home, pictures)


class ParameterGroup(NamedTuple):
    """Settings of the optimizer for the parameters whose paths match; the places are the pattern's and the whole's."""

    pattern: str
    settings: Mapping[str, Arg]
    span: Span
    whole: Span


class Rate(NamedTuple):
    """A formula of the file that a schedule follows: its parameters and its body as Python, and those that it calls.

    `formula` is what the checker evaluates.
    """

    name: str
    parameters: tuple[str, ...]
    code: str
    uses: tuple[Rate, ...]
    formula: object


class Computed(NamedTuple):
    """A loss that is computed of several tensors; one that compares the output with the label is a `Call`.

    losses: the losses of torch in it, each under the name that the expressions call it by.
    training, evaluation: expressions, in which a `Var` is an output, an input or a label; they differ where a term
        needs an output that exists only in training.
    outputs, inputs, labels: the names that are used, in the order of their declarations.
    scale: how the loss of a set follows from those of its batches: "mean" (weighted by samples), "sum", "whole" (it
        has to be computed of all at once) or "mixed" (it hangs on the size of the batch).
    compared: the tensors that metrics compare, prediction and target, where there are such.
    classes: whether the label is the number of a class.
    one_hot: whether the target of `compared` is the number of a class, of which the loss makes a vector.
    functions: of Python files, which the expressions call by their names with `python:` before them.
    """

    losses: tuple[tuple[str, Call], ...]
    training: Expr
    evaluation: Expr
    outputs: tuple[str, ...]
    inputs: tuple[str, ...]
    labels: tuple[str, ...]
    scale: str
    compared: tuple[str, str] | None
    classes: bool
    span: Span
    one_hot: bool = False
    functions: tuple[Entry, ...] = ()

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return self.losses[0][1].name if self.losses else "the loss"


class EarlyStop(NamedTuple):
    """The run ends when a column of metrics.csv hasn't become better, by `min_delta` at least, for so many epochs.

    `monitor` is None where it is what chooses best.pt.
    """

    patience: int
    monitor: str | None
    min_delta: float
    span: Span


class Checkpoints(NamedTuple):
    """What is kept beside last.pt: the best by `monitor`, and one every so many epochs, of which `keep` stay.

    With `every_steps` last.pt is also written within an epoch, after so many steps.
    """

    monitor: str | None
    every_epochs: int | None
    keep: int | None
    every_steps: int | None
    span: Span


class Options(NamedTuple):
    """How steps are made and what is kept; the defaults are those of a file that says nothing.

    steps: optimizer's steps in the run, in the place of `epochs`.
    accumulate: batches whose gradients are added up for a step.
    precision: "float32", "tf32", "bf16" or "fp16"; the last two by autocast.
    ema: the share of the average of the weights that each step keeps.
    unfreeze: the epoch from which on frozen parameters learn.
    tensorboard: what is written for TensorBoard, of "scalars", "images" and "graph".
    parallel: "ddp" or "fsdp", where several processes train one network together.
    """

    steps: int | None = None
    accumulate: int = 1
    clip_grad_norm: float | None = None
    clip_grad_value: float | None = None
    precision: str = "float32"
    compile: bool = False
    ema: float | None = None
    early_stop: EarlyStop | None = None
    checkpoint: Checkpoints | None = None
    init_from: str | None = None
    deterministic: bool = False
    unfreeze: int | None = None
    log_every: int | None = None
    tensorboard: tuple[str, ...] = ()
    parallel: str | None = None
    sync_batchnorm: bool = False


class Train(NamedTuple):
    """How the network is trained. `schedule` has what follows from the run (`T_max`) filled in.

    `epochs` counts steps where `options.steps` says how long the run is: then a schedule's unit is the step, too.
    `schedule_every` is "epoch" or "step" where the file says it, `schedule_on` what ReduceLROnPlateau watches.
    `freeze` are patterns of paths, each with its place; `groups` stand in the order of the file, the last one counts.
    """

    loss: Call | Computed
    optimizer: Call
    schedule: Call | None
    epochs: int
    metrics: tuple[str, ...]
    seed: int
    span: Span
    freeze: tuple[tuple[str, Span], ...] = ()
    groups: tuple[ParameterGroup, ...] = ()
    options: Options = Options()
    schedule_every: str = ""
    schedule_on: str | None = None
