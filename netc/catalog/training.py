"""Facts about optimizers, schedulers and losses: which values of their arguments torch takes, and how schedules run.

In: a name and its arguments, defaults filled in; for schedulers the optimizer, and how long the run is. Out: a `Reject`
where torch would raise, at construction or in a step of the run; what a schedule does too early or too late.
Guarantees: no torch. Leaves to others: signatures and types (`netc.catalog`), places and messages (the checker).

The conditions are those of torch 2.15, and a test draws arguments and asks torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from netc.shapes import Reject

if TYPE_CHECKING:
    from collections.abc import Mapping

    Args = Mapping[str, object]

# When the script calls `step`: after each batch, or with a loss after each epoch; all others plainly after each epoch.
PER_BATCH = frozenset({"OneCycleLR", "CyclicLR"})
BY_LOSS = frozenset({"ReduceLROnPlateau"})
# Whose values the rate of the optimizer has no part in.
SETS_RATE = frozenset({"OneCycleLR", "CyclicLR"})


class Run(NamedTuple):
    """How long a run is: epochs, and batches of an epoch where the number of images is known.

    Where schedules step once a batch, `epochs` counts those, and `batches` is 1. `every` is "epoch" where schedules
    step once an epoch that would step once a batch.
    """

    epochs: int
    batches: int | None
    every: str = ""

    def steps(self, scheduler: str) -> int | None:
        """How often the script calls `step` of a scheduler."""
        if scheduler not in PER_BATCH or self.every == "epoch":
            return self.epochs
        return None if self.batches is None else self.epochs * self.batches


class Misfit(NamedTuple):
    """A schedule that torch takes, but that doesn't fit the run.

    kind: "early" (it is over before the run), "late" (it ends, or begins to act, only after the run) or "wrong" (it
        works against the training).
    instead: what to write for the argument, where that is certain; nothing means to leave it out.
    """

    kind: str
    argument: str | None
    reason: str
    help: str
    instead: str | None = None


# --- optimizers -------------------------------------------------------------------------------------------------------

_FROM_0 = (
    "lr", "weight_decay", "momentum", "momentum_decay", "alpha", "lambd", "lr_decay", "initial_accumulator_value",
)  # fmt: skip
_SINGLE_EPS = frozenset({"Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Adagrad", "Adadelta"})


def optimizer_reject(name: str, args: Args) -> Reject | None:
    """What torch rejects in the arguments of an optimizer, at its construction or in its first step."""
    for argument in (*_FROM_0, *(["eps"] if name in _SINGLE_EPS else [])):
        value = args.get(argument)
        if isinstance(value, (int, float)) and not value >= 0:
            return Reject(argument, "a number from 0", repr(value), "it can't be negative")
    return _betas(name, args) or _own_optimizer(name, args) or _kernels(args)


def _betas(name: str, args: Args) -> Reject | None:
    if "betas" not in args:
        return None
    betas = _numbers(args["betas"])
    if len(betas) != 2:
        return Reject("betas", "two numbers", repr(args["betas"]), "there are two averages")
    for beta in betas:
        if not 0 <= beta < 1:
            return Reject("betas", "numbers from 0 to below 1", repr(beta), "a beta is the share of the old average")
        if name in ("Adam", "AdamW") and isinstance(beta, int):
            return Reject("betas", "floats, such as 0.0", repr(beta), f"{name} takes no integers there")
    return None


def _own_optimizer(name: str, args: Args) -> Reject | None:
    """What a single optimizer asks for."""
    if name == "SGD" and args["nesterov"]:
        if not _number(args["momentum"]) > 0:
            return Reject("nesterov", "`momentum` above 0 with it", "True",
                          "Nesterov's method needs a momentum")  # fmt: skip
        if args["dampening"] != 0:
            return Reject("dampening", "0 with `nesterov`", repr(args["dampening"]), "Nesterov's method has none")
    if name == "Adadelta" and not 0 <= _number(args["rho"]) <= 1:
        return Reject("rho", "a number from 0 to 1", repr(args["rho"]), "`rho` is the share of the old average")
    if name == "Rprop":
        return _rprop(args)
    if name in ("SparseAdam", "LBFGS", "Muon"):
        return _less_usual(name, args)
    return _adafactor(args) if name == "Adafactor" else None


def _less_usual(name: str, args: Args) -> Reject | None:
    """SparseAdam, LBFGS and Muon."""
    for argument in ("lr", "eps") if name == "SparseAdam" else ():
        if not _number(args[argument]) > 0:
            return Reject(argument, "a number above 0", repr(args[argument]), "SparseAdam needs one")
    for argument, choices in (("line_search_fn", _SEARCHES), ("adjust_lr_fn", _ADJUSTMENTS)):
        if args.get(argument) is not None and args[argument] not in choices:
            listed = " or ".join(f'"{choice}"' for choice in choices)
            return Reject(argument, listed, repr(args[argument]), f"torch has {listed} alone")
    if name == "LBFGS" and not _number(args["history_size"]) > 0:
        return Reject("history_size", "a positive integer", repr(args["history_size"]), "it keeps so many steps")
    if name == "Muon" and len(_numbers(args["ns_coefficients"])) != 3:
        return Reject("ns_coefficients", "three numbers", repr(args["ns_coefficients"]), "the polynomial has three")
    if name == "Muon" and not _number(args["ns_steps"]) < 100:
        return Reject("ns_steps", "a number below 100", repr(args["ns_steps"]), "torch takes no more")
    return None


_SEARCHES = ("strong_wolfe",)
_ADJUSTMENTS = ("original", "match_rms_adamw", "spectral_unclamped")


def _rprop(args: Args) -> Reject | None:
    etas, sizes = _numbers(args["etas"]), _numbers(args["step_sizes"])
    if len(etas) != 2 or not 0 < etas[0] < 1 < etas[1]:
        return Reject("etas", "two numbers, the first between 0 and 1, the second above 1", repr(args["etas"]),
                      "a step shrinks by the first and grows by the second")  # fmt: skip
    if len(sizes) != 2:
        return Reject("step_sizes", "two numbers", repr(args["step_sizes"]), "they are the least and the greatest step")
    return None


def _adafactor(args: Args) -> Reject | None:
    if not _number(args["beta2_decay"]) <= 0:
        return Reject("beta2_decay", "a number up to 0", repr(args["beta2_decay"]), "it is the power of a decay")
    eps = args["eps"] if isinstance(args["eps"], (list, tuple)) else (args["eps"],)
    if len(eps) != 2 or any(e is not None and not _number(e) >= 0 for e in eps) or eps[1] is None:
        return Reject("eps", "two numbers from 0", repr(args["eps"]), "they keep two quotients from 0")
    if not _number(args["d"]) >= 1:
        return Reject("d", "a number from 1", repr(args["d"]), "it is the threshold of clipping")
    return None


def _kernels(args: Args) -> Reject | None:
    """Ways of computing that exclude each other."""
    if args.get("differentiable"):
        return Reject("differentiable", "False", "True", "the steps of a training can't be differentiated through")
    if args.get("fused") and args.get("foreach"):
        return Reject("foreach", "False with `fused`", "True", "they are two ways of computing the same")
    return None


# --- losses -----------------------------------------------------------------------------------------------------------


def loss_reject(name: str, args: Args) -> Reject | None:
    """What torch rejects in the arguments of a loss, at its construction or when it is computed."""
    if "label_smoothing" in args and not 0 <= _number(args["label_smoothing"]) <= 1:
        return Reject("label_smoothing", "a number from 0 to 1", repr(args["label_smoothing"]),
                      "it is the share of the label that goes to all classes")  # fmt: skip
    if name == "MultiMarginLoss" and args["p"] not in (1, 2):
        return Reject("p", "1 or 2", repr(args["p"]), "torch has the margin and its square alone")
    return None


# --- schedulers -------------------------------------------------------------------------------------------------------


def scheduler_reject(
    name: str, args: Args, optimizer: str, momenta: bool, groups: int | None, run: Run
) -> Reject | None:
    """What torch rejects in the arguments of a scheduler, at its construction or in a step of the run.

    `momenta` says whether the optimizer has `momentum` or `betas`, `groups` how many groups of parameters it has,
    None where that is not known.
    """
    if args.get("last_epoch", -1) != -1:
        return Reject("last_epoch", "-1", repr(args["last_epoch"]), "a run begins at its beginning; `--resume` goes on")
    momentum = ("base_momentum", "max_momentum") if args.get("cycle_momentum") else ()
    for argument in ("base_lr", "max_lr", "min_lr", *momentum):
        value = args.get(argument)
        if isinstance(value, (list, tuple)) and groups is not None and len(value) != groups:
            expected = "one number" if groups == 1 else f"one number, or {groups}"
            return Reject(argument, expected, repr(value), "there is one for each group of parameters")
    if args.get("cycle_momentum") and not momenta:
        return Reject("cycle_momentum", "`cycle_momentum=False`", "True", f"{optimizer} has no momentum to change")
    steps = run.steps(name)
    return _numbers_of(name, args, run) or (_one_cycle(args, steps) if name == "OneCycleLR" else None)


def _numbers_of(name: str, args: Args, run: Run) -> Reject | None:
    """The numbers of all schedulers but OneCycleLR."""
    for owner, argument, holds, expected, reason in _CONDITIONS:
        if name == owner and not holds(args, run):
            return Reject(argument, expected, repr(args[argument]), reason)
    return None


def _between(argument: str, low: float, high: float, *, open_: bool = False):  # type: ignore[no-untyped-def]
    return lambda args, run: low <= _number(args[argument]) <= high and not (open_ and args[argument] == low)


_CONDITIONS = (
    ("ConstantLR", "factor", _between("factor", 0, 1), "a number from 0 to 1", "the rate is multiplied by it"),
    ("ConstantLR", "factor", lambda a, run: a["factor"] != 0 or not 1 <= _number(a["total_iters"]) <= run.epochs,
     "a number above 0", "after `total_iters` the rate is divided by it"),
    ("LinearLR", "start_factor", _between("start_factor", 0, 1, open_=True), "a number above 0, up to 1",
     "the rate begins as this share of it"),
    ("LinearLR", "end_factor", _between("end_factor", 0, 1), "a number from 0 to 1",
     "the rate ends as this share of it"),
    ("PolynomialLR", "power",
     lambda a, run: _number(a["power"]) >= 0 or not 1 <= _number(a["total_iters"]) <= run.epochs,
     "a number from 0", "the rate would end in infinity"),
    ("StepLR", "step_size", lambda a, run: a["step_size"] != 0, "a positive integer", "it counts the epochs of a step"),
    ("MultiStepLR", "milestones", lambda a, run: isinstance(a["milestones"], (list, tuple)), "a list of epochs",
     "there may be several"),
    ("CosineAnnealingLR", "T_max", lambda a, run: a["T_max"] != 0, "a positive integer",
     "the rate falls for so many epochs"),
    ("CosineAnnealingWarmRestarts", "T_0", lambda a, run: _number(a["T_0"]) > 0, "a positive integer",
     "the first cycle takes so many epochs"),
    ("CosineAnnealingWarmRestarts", "T_mult", lambda a, run: _number(a["T_mult"]) >= 1, "an integer from 1",
     "each cycle is so many times as long as the one before"),
    ("ReduceLROnPlateau", "factor", lambda a, run: _number(a["factor"]) < 1, "a number below 1",
     "the rate is multiplied by it"),
    ("CyclicLR", "step_size_up", lambda a, run: a["step_size_up"] != 0, "a positive integer",
     "the rate rises for so many steps"),
    ("CyclicLR", "step_size_down", lambda a, run: a["step_size_down"] is None or
     _number(a["step_size_up"]) + _number(a["step_size_down"]) != 0, "a positive integer", "a cycle has a length"),
)  # fmt: skip


def total_steps(args: Args, run: Run) -> int | None:
    """How many steps a OneCycleLR has; what is not said follows from the run."""
    if args.get("total_steps") is not None:
        return int(_number(args["total_steps"]))
    if args.get("steps_per_epoch") is not None:
        epochs = run.epochs if args.get("epochs") is None else args["epochs"]
        return int(_number(epochs) * _number(args["steps_per_epoch"]))
    return run.steps("OneCycleLR")


def _one_cycle(args: Args, steps: int | None) -> Reject | None:
    for argument in ("epochs", "steps_per_epoch") if args["total_steps"] is None else ("total_steps",):
        value = args[argument]
        if value is not None and not _number(value) > 0:
            return Reject(argument, "a positive integer", repr(value), "a run has a length")
    if args["total_steps"] is None and args["steps_per_epoch"] is not None and args["epochs"] is None:
        return Reject("steps_per_epoch", "`epochs` with it", repr(args["steps_per_epoch"]), "they are multiplied")
    start = args["pct_start"]
    if not isinstance(start, float) or not 0 <= start <= 1:
        return Reject("pct_start", "a float from 0.0 to 1.0", repr(start), "it is the share of the steps that rise")
    for argument in ("div_factor", "final_div_factor"):
        if args[argument] == 0:
            return Reject(argument, "a number other than 0", "0", "the rate is divided by it")
    return _phases(args, start, steps) if steps is not None else None


def _phases(args: Args, start: float, steps: int) -> Reject | None:
    """A phase of no length in which a step falls, where torch divides by its length."""
    total = total_steps(args, Run(1, steps))
    assert total is not None
    ends = [start * total - 1, *([2 * start * total - 2] if args["three_phase"] else []), total - 1]
    begin, first = 0.0, 0
    for i, end in enumerate(ends):
        last = steps if i == len(ends) - 1 else min(int(end) if end >= 0 else -1, steps)
        if end == begin and first <= min(last, total):
            expected = f"another share of {total} steps"
            return Reject("pct_start", expected, repr(start), "a phase of the cycle would have no length")
        begin, first = end, max(first, last + 1)
    return None


# --- schedules and the run --------------------------------------------------------------------------------------------


def misfits(name: str, args: Args, run: Run) -> list[Misfit]:
    """What a schedule does too early, too late, or the wrong way, for a run of this length.

    The rate of epoch e is that after e - 1 steps; the step behind the last epoch has no effect.
    """
    found = _MISFITS.get(name)
    return [m for m in found(args, run) if m is not None] if found is not None else []


def _epochs(count: object) -> str:
    return f"{count} epoch{'s' * (count != 1)}"


def _late(argument: str, reason: str, help_text: str, instead: str | None = None) -> Misfit:
    return Misfit("late", argument, reason, help_text, instead)


def _growing(args: Args) -> Misfit | None:
    gamma = _number(args["gamma"])
    if gamma > 1:
        return Misfit("wrong", "gamma", f"the rate grows: it is multiplied by {gamma:g} each time",
                      "a `gamma` below 1 lets it fall")  # fmt: skip
    if gamma <= 0:
        what = "ends at 0" if gamma == 0 else "becomes negative"
        return Misfit("wrong", "gamma", f"the rate {what}: it is multiplied by {gamma:g}", "choose a `gamma` above 0")
    return None


def _step(args: Args, run: Run) -> list[Misfit | None]:
    size = _number(args["step_size"])
    never = _late(
        "step_size", f"the rate never changes: its first step comes after {_epochs(args['step_size'])}, and the run "
        f"has {_epochs(run.epochs)}", "choose a `step_size` below `epochs`",
    ) if size >= run.epochs > 1 else None  # fmt: skip
    return [never, _growing(args)]


def _multi_step(args: Args, run: Run) -> list[Misfit | None]:
    milestones = [int(m) for m in _numbers(args["milestones"])]
    late = sorted(m for m in milestones if m >= run.epochs)
    if not late:
        return [_growing(args)]
    listed = " and ".join(map(str, late)) if len(late) < 3 else f"{', '.join(map(str, late[:-1]))} and {late[-1]}"
    which = f"the milestone{'s' * (len(late) > 1)} {listed} come{'s' * (len(late) == 1)} too late"
    return [
        _late("milestones", f"{which}: the run has {_epochs(run.epochs)}", f"choose milestones below {run.epochs}"),
        _growing(args),
    ]


def _exponential(args: Args, run: Run) -> list[Misfit | None]:
    return [_growing(args)]


def _cosine(args: Args, run: Run) -> list[Misfit | None]:
    falls = _number(args["T_max"])
    if 0 < falls < run.epochs - 1:
        return [Misfit(
            "early", "T_max", f"the rate falls for {_epochs(args['T_max'])} and then rises again, and the run has "
            f"{_epochs(run.epochs)}", "leave `T_max` out: it follows from `epochs`", "",
        )]  # fmt: skip
    if falls > run.epochs:
        return [_late(
            "T_max", f"the rate would fall for {_epochs(args['T_max'])}, and the run has {_epochs(run.epochs)}",
            "leave `T_max` out: it follows from `epochs`", "",
        )]  # fmt: skip
    return []


def _restarts(args: Args, run: Run) -> list[Misfit | None]:
    if _number(args["T_0"]) <= run.epochs:
        return []
    return [_late(
        "T_0", f"the first cycle takes {_epochs(args['T_0'])}, and the run has {_epochs(run.epochs)}",
        f"choose a `T_0` up to {run.epochs}, or CosineAnnealingLR",
    )]  # fmt: skip


def _constant(args: Args, run: Run) -> list[Misfit | None]:
    if _number(args["total_iters"]) < run.epochs or args["factor"] == 1:
        return []
    return [_late(
        "total_iters", f"the whole run of {_epochs(run.epochs)} has the reduced rate: it would end after "
        f"{_epochs(args['total_iters'])}", f"choose `total_iters` below {run.epochs}",
    )]  # fmt: skip


def _linear(args: Args, run: Run) -> list[Misfit | None]:
    total = _number(args["total_iters"])
    if total > run.epochs:
        return [_late(
            "total_iters", f"the rate would change for {_epochs(args['total_iters'])}, and the run has "
            f"{_epochs(run.epochs)}", f"choose `total_iters` up to {run.epochs}",
        )]  # fmt: skip
    return [_zero(total, run)] if args["end_factor"] == 0 else []


def _polynomial(args: Args, run: Run) -> list[Misfit | None]:
    total = _number(args["total_iters"])
    if total > run.epochs:
        return [_late(
            "total_iters", f"the rate would fall for {_epochs(args['total_iters'])}, and the run has "
            f"{_epochs(run.epochs)}", f"write `total_iters={run.epochs}`",
        )]  # fmt: skip
    return [_zero(total, run)] if _number(args["power"]) > 0 else []


def _zero(total: float, run: Run) -> Misfit | None:
    """A rate that is 0 from the epoch after `total` steps on."""
    if not 0 < total < run.epochs:
        return None
    return Misfit(
        "early", "total_iters", f"the rate is 0 after {_epochs(int(total))}, and the run has {_epochs(run.epochs)}",
        f"write `total_iters={run.epochs}`", str(run.epochs),
    )  # fmt: skip


def _plateau(args: Args, run: Run) -> list[Misfit | None]:
    best = str(args.get("best", "min"))
    falls, against_it = ("fall", "rise") if best == "min" else ("rise", "fall")
    against = Misfit(
        "wrong", "mode", f'it watches {args.get("watched", "the loss")}, which should {falls}, and '
        f'mode="{args["mode"]}" waits for it to {against_it}', f'write `mode="{best}"`', f'"{best}"',
    ) if args["mode"] != best else None  # fmt: skip
    never = _late(
        "patience", f"it never acts: it waits for more than {_epochs(args['patience'])} without progress, and the run "
        f"has {_epochs(run.epochs)}", f"choose a `patience` below {max(run.epochs - 2, 1)}",
    ) if _number(args["patience"]) + 2 >= run.epochs else None  # fmt: skip
    return [against, never]


def _cyclic(args: Args, run: Run) -> list[Misfit | None]:
    steps = run.steps("CyclicLR")
    up = _number(args["step_size_up"])
    if steps is None or up <= steps:
        return []
    return [_late(
        "step_size_up", f"the rate rises for {args['step_size_up']} steps, and the run has {steps}",
        f"choose a `step_size_up` below {steps}",
    )]  # fmt: skip


def _cycle(args: Args, run: Run) -> list[Misfit | None]:
    steps, total = run.steps("OneCycleLR"), total_steps(args, run)
    named = "total_steps" if args["total_steps"] is not None else "steps_per_epoch"
    if steps is None or total is None or total <= steps:
        return []
    return [_late(
        named, f"the cycle takes {total} steps, and the run has {steps}",
        f"leave `{named}` out: it follows from the run", "",
    )]  # fmt: skip


_MISFITS = {
    "StepLR": _step,
    "MultiStepLR": _multi_step,
    "ExponentialLR": _exponential,
    "CosineAnnealingLR": _cosine,
    "CosineAnnealingWarmRestarts": _restarts,
    "ConstantLR": _constant,
    "LinearLR": _linear,
    "PolynomialLR": _polynomial,
    "ReduceLROnPlateau": _plateau,
    "CyclicLR": _cyclic,
    "OneCycleLR": _cycle,
}


def _number(value: object) -> float:
    assert isinstance(value, (int, float))
    return value


def _numbers(value: object) -> list[float]:
    return [_number(v) for v in value] if isinstance(value, (list, tuple)) else [_number(value)]
