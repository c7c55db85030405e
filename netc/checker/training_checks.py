"""Whether torch takes the arguments of the training, and whether the schedule fits the run.

In: the sections as checked, with the place of each argument. Out: what torch would raise, at construction or in a step
of the run, as errors; schedules that end too early or too late, and rates that train nothing, as warnings. The facts
are the catalog's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from netc import ir
from netc.catalog import training as facts
from netc.catalog.data import sample_count
from netc.catalog.entry import REQUIRED
from netc.catalog.metrics import direction
from netc.checker import samplers
from netc.checker.gaps import attempt
from netc.fixes import leave_out, value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from netc.diagnostics import Fix, Report
    from netc.shapes import Reject
    from netc.source import Span

    Places = Mapping[Span, Mapping[str, Span]]  # of the arguments of each call
    Judge = Callable[[str, dict[str, object]], Reject | None]

CODES = {"early": "W0823", "late": "W0824", "wrong": "W0825"}


def check(data: ir.Data | None, train: ir.Train, network: ir.Network | None, places: Places, report: Report) -> None:
    """Report what is wrong with the arguments, and then with the schedule."""
    attempt(_losses, train, places, report)
    attempt(_arguments, train.optimizer, facts.optimizer_reject, places, report)
    attempt(_length, data, train, network, places, report)
    attempt(_no_rate, train, places, report)


def _losses(train: ir.Train, places: Places, report: Report) -> None:
    loss = train.loss
    for call in (loss,) if isinstance(loss, ir.Call) else (c for _, c in loss.losses):
        if not call.entry.home.startswith("python:"):
            _arguments(call, facts.loss_reject, places, report)


def _arguments(call: ir.Call, judge: Judge, places: Places, report: Report) -> None:
    reject = judge(call.name, _args(call))
    if reject is not None:
        _rejected(call, reject, places, report)


def _length(data: ir.Data | None, train: ir.Train, network: ir.Network | None, places: Places, report: Report) -> None:
    """Hold the schedule against the length of the run."""
    if train.schedule is None:
        return
    steps = 1 if train.options.steps else None if data is None else batches(data)
    every = "" if train.options.steps else train.schedule_every
    run = facts.Run(train.epochs, steps)
    if every == "step":  # as long as nobody knows, no schedule is too long
        run = facts.Run(10**9 if steps is None else train.epochs * steps, 1 if steps is not None else None)
    elif every == "epoch":
        run = facts.Run(train.epochs, 1, "epoch")
    unit = "step" if every == "step" or train.options.steps else "epoch"
    about = _About(train, _groups(train, network), unit, places, report)
    _schedule(train.schedule, run, about)


class _About(NamedTuple):
    """What the checks of a schedule have in common."""

    train: ir.Train
    groups: int | None
    unit: str
    places: Places
    report: Report


def _args(call: ir.Call) -> dict[str, object]:
    return {p.name: call.get(p.name) for p in call.entry.params}


def _place(call: ir.Call, argument: str | None, places: Places) -> Span:
    return places.get(call.span, {}).get(argument or "", call.span)


def _rejected(call: ir.Call, reject: Reject, places: Places, report: Report) -> None:
    place = _place(call, reject.argument, places)
    what = f"`{reject.argument}` of `{call.name}` can't be {reject.got}"
    report.add("E0620", f"{what}: {reject.reason}", place, help=f"expected {reject.expected}")


def training_images(data: ir.Data) -> int | None:
    """How many images are trained on, those for validation taken off."""
    count = sample_count({n: a.value for n, a in data.train.args.items()}, data.train.name, training=True)
    if count is None:
        return samplers.drawn(data, None)
    shares = [value for value in (data.validation, data.test) if isinstance(value, (int, float))]
    return samplers.drawn(data, count - sum(held_out(value, count) for value in shares))


def held_out(validation: float, count: int) -> int:
    """How many of the images a fraction or a count holds out, as the generated script counts."""
    return validation if isinstance(validation, int) else round(count * validation)


def batches(data: ir.Data) -> int | None:
    """The batches of an epoch, the last of which may be smaller."""
    images = training_images(data)
    return None if images is None or images < 1 else -(-images // data.batch_size)


def _groups(train: ir.Train, network: ir.Network | None) -> int | None:
    """How many groups the optimizer has; None where that hangs on a network that isn't known."""
    if not train.groups:
        return 1
    from netc.checker.parameter_groups import count
    from netc.summary import weights

    paths = [] if network is None else [w.path for w in weights(network) if w.trained]
    return count(train, paths) if paths else None


def _schedule(schedule: ir.Call, run: facts.Run, about: _About) -> None:
    if "schedulers" in schedule.args:
        _together(schedule, run, about)
        return
    if schedule.name in facts.PER_BATCH and about.unit == "epoch" and schedule is not about.train.schedule:
        return  # which is reported
    args = _args(schedule)
    if args.get("T_max", 0) in (REQUIRED, None):
        args["T_max"] = run.epochs
    optimizer = about.train.optimizer
    momenta = any(p.name in ("momentum", "betas") for p in optimizer.entry.params)
    reject = facts.scheduler_reject(schedule.name, args, optimizer.name, momenta, about.groups, run)
    if reject is not None:
        _rejected(schedule, reject, about.places, about.report)
        return
    if schedule.name == "OneCycleLR" and _too_short(schedule, args, run, about.places, about.report):
        return
    if schedule.name == "ReduceLROnPlateau":
        args |= _watched(about.train)
    found = facts.misfits(schedule.name, args, run) if run.epochs < 10**9 else []
    for misfit in (*found, *_by_formula(schedule, run)):
        _misfit(schedule, misfit, about)


def _misfit(schedule: ir.Call, misfit: facts.Misfit, about: _About) -> None:
    place = _place(schedule, misfit.argument, about.places)
    fix = None if place == schedule.span else _other(misfit, place)
    reason, help_text = (_in_unit(text, about.unit) for text in (misfit.reason, misfit.help))
    about.report.add(CODES[misfit.kind], f"`{schedule.name}`: {reason}", place, help=help_text, fix=fix)


def _in_unit(text: str, unit: str) -> str:
    """A text about epochs, for a schedule that counts steps."""
    return text if unit == "epoch" else re.sub(r"(?<!`)\bepoch", unit, text)


def _watched(train: ir.Train) -> dict[str, object]:
    """What ReduceLROnPlateau watches, and which end of it is best."""
    column = train.schedule_on
    if column is None:
        return {}
    return {"watched": f"`{column}`", "best": direction(column)}


def _together(schedule: ir.Call, run: facts.Run, about: _About) -> None:
    """Schedulers in sequence, each held against its own part of the run; or all at once."""
    parts: Any = schedule.args["schedulers"].value
    if "milestones" not in schedule.args:
        for part in parts:
            _schedule(part, run, about)
        return
    ends: Any = schedule.args["milestones"].value
    late = [end for end in ends if end >= run.epochs]
    if late:
        given = "milestones" in about.places.get(schedule.span, {})
        place = _place(schedule, "milestones", about.places) if given else parts[ends.index(late[0])].span
        behind = parts[ends.index(late[0]) + 1].name
        count = f"{run.epochs} {about.unit}{'s' * (run.epochs != 1)}"
        more = '; or count in steps: `schedule_every = "step"`' if about.unit == "epoch" else ""
        about.report.add(
            "W0824", f"`SequentialLR`: `{behind}` begins after {late[0]} {about.unit}s, and the run has {count}", place,
            help=f"let it begin earlier{more}",
        )  # fmt: skip
        return
    for part, begin, end in zip(parts, (0, *ends), (*ends, run.epochs), strict=True):
        _schedule(part, run._replace(epochs=end - begin) if run.epochs < 10**9 or end != run.epochs else run, about)


def _by_formula(schedule: ir.Call, run: facts.Run) -> list[facts.Misfit]:
    """A formula that begins at 0, so that the first epoch trains nothing, or gives a negative rate."""
    rate = schedule.args["lr_lambda"].value if "lr_lambda" in schedule.args else None
    if not isinstance(rate, ir.Rate):
        return []
    from netc.checker.schedule_setting import value_of

    first = 0 if schedule.name == "LambdaLR" else 1
    values = {e: value_of(rate, e) for e in range(first, min(run.epochs, 1000))}
    negative = next((e for e, v in values.items() if v < 0), None)
    if negative is not None:
        return [facts.Misfit("wrong", "lr_lambda", f"the rate is negative in epoch {negative + 1}",
                             "let it end at 0")]  # fmt: skip
    zero = next((e for e, v in values.items() if v == 0), None)
    if zero is None or zero + 1 == run.epochs:
        return []
    help_text = "epochs count from 0: write `(epoch + 1)`" if zero == 0 else "let it stay above 0"
    return [facts.Misfit("wrong", "lr_lambda", f"the rate is 0 in epoch {zero + 1}", help_text)]


def _other(misfit: facts.Misfit, place: Span) -> Fix | None:
    """The argument without which, or with another value of which, the schedule fits."""
    if misfit.instead is None or misfit.argument is None:
        return None
    return value(place, misfit.instead) if misfit.instead else leave_out(place, misfit.argument)


def _too_short(schedule: ir.Call, args: dict[str, Any], run: facts.Run, places: Places, report: Report) -> bool:
    """A OneCycleLR that torch would step further than it goes."""
    epochs, named = args["epochs"], args["total_steps"] is None and args["steps_per_epoch"] is None
    if named and epochs is not None and epochs != run.epochs:
        report.add(
            "E0621", f"`OneCycleLR` is told {epochs} epochs, and the run has {run.epochs}",
            _place(schedule, "epochs", places), help="leave `epochs` out: it follows from the run",
            fix=leave_out(_place(schedule, "epochs", places), "epochs"),
        )  # fmt: skip
        return True
    steps, total = run.steps("OneCycleLR"), facts.total_steps(args, run)
    if steps is None or total is None or total >= steps:
        return False
    argument = "total_steps" if args["total_steps"] is not None else "steps_per_epoch"
    report.add(
        "E0621", f"`OneCycleLR` has {total} steps, and the run takes {steps}, where torch would raise",
        _place(schedule, argument, places), f"{total} steps",
        notes=[f"a run of {run.epochs} epochs of {run.batches} batches"],
        help=f"leave `{argument}` out: it follows from the run",
        fix=leave_out(_place(schedule, argument, places), argument),
    )  # fmt: skip
    return True


def _no_rate(train: ir.Train, places: Places, report: Report) -> None:
    """A rate of 0, unless the schedule has its own."""
    own = train.schedule is not None and train.schedule.name in facts.SETS_RATE
    if train.optimizer.get_or("lr", 1) == 0 and not own and not any("lr" in g.settings for g in train.groups):
        report.add(
            "W0822", f"`{train.optimizer.name}` learns nothing at a rate of 0", _place(train.optimizer, "lr", places),
            help="choose a rate above 0, such as `lr=1e-3`",
        )  # fmt: skip
