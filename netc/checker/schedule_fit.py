"""Whether the settings around a schedule agree: how often it steps, and what it watches.

In: the training as checked, the data, the settings. Out: contradictions in the report. How long the schedule is, is
held against the run in `training_checks`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.catalog.training import PER_BATCH
from netc.checker.train_options import monitored
from netc.diagnostics import suggestion

if TYPE_CHECKING:
    from netc import ir
    from netc.checker.settings import Settings
    from netc.diagnostics import Report


def check(train: ir.Train, data: ir.Data, settings: Settings, report: Report) -> None:
    """Report settings that contradict each other."""
    every = settings.get("schedule_every")
    watched = settings.get("schedule_on")
    schedule = train.schedule
    for setting in (every, watched):
        if setting is not None and schedule is None:
            report.add(
                "E0634", f"`{setting.key.text}` is about a schedule, and there is none", setting.key.span,
                help="add `schedule = …`, or remove it",
            )  # fmt: skip
    if schedule is None:
        return
    plateau = schedule.name == "ReduceLROnPlateau"
    if every is not None and train.options.steps:
        report.add(
            "E0634", "a run of `steps` steps its schedule after each of them", every.value.span,
            help="remove `schedule_every`",
        )  # fmt: skip
    elif every is not None and plateau and train.schedule_every == "step":
        report.add(
            "E0634", "`ReduceLROnPlateau` watches what an epoch gives", every.value.span, help="remove `schedule_every`"
        )  # fmt: skip
    if watched is not None and not plateau:
        report.add(
            "E0634", f"`schedule_on` is for `ReduceLROnPlateau`, and `{schedule.name}` watches nothing",
            watched.value.span, help="remove it",
        )  # fmt: skip
    elif watched is not None and train.schedule_on not in monitored(train, data):
        columns = list(monitored(train, data))
        report.add(
            "E0634", f"there is no column `{train.schedule_on}` in metrics.csv to watch", watched.value.span,
            help=suggestion(str(train.schedule_on), columns) or f"there is {', '.join(columns)}",
        )  # fmt: skip
    if train.schedule_every != "step" and not train.options.steps:
        _inside(schedule, report)


def _inside(schedule: ir.Call, report: Report) -> None:
    """Schedulers that step after each batch, in others that step after each epoch."""
    parts = schedule.args["schedulers"].value if "schedulers" in schedule.args else ()
    assert isinstance(parts, tuple)
    for part in parts:
        if part.name in PER_BATCH:
            report.add(
                "E0634", f"`{part.name}` steps after each batch, and `{schedule.name}` after each epoch", part.span,
                help='add `schedule_every = "step"`, and count all of it in steps',
            )  # fmt: skip
        _inside(part, report)
