"""The sections `data` and `train`.

In: the settings as parsed, and the networks that were checked. Out: `ir.Data` and `ir.Train`, and the network that is
trained; mistakes in the report. The sections are read one by one (`data_section`, `train_section`), and then held
against each other and the network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc import ir
from netc import syntax as s
from netc.checker import (
    crosschecks,
    loss_checks,
    metric_settings,
    optimizer_fit,
    overlaps,
    parallel,
    sample_checks,
    samplers,
    schedule_fit,
    tensorboard,
    train_options,
    training_checks,
    transforms,
)
from netc.checker.data_section import DataReader
from netc.checker.gaps import GAP, attempt
from netc.checker.loss_terms import Pending
from netc.checker.train_section import TrainReader

if TYPE_CHECKING:
    from netc.checker.session import Session
    from netc.checker.settings import Settings
    from netc.checker.units import Unit
    from netc.diagnostics import Report
    from netc.source import Span


def check(
    found: dict[str, tuple[s.Section, Settings]],
    networks: list[ir.Network],
    complete: bool,
    file: s.File,
    report: Report,
    session: Session,
    unit: Unit,
) -> tuple[ir.Data | None, ir.Train | None, ir.Network | None]:
    """Check both sections, and how they fit the network. `complete` says that every network was understood."""
    python, constants = frozenset(unit.python), unit.constants
    of_data, of_train = DataReader(report, constants, python), TrainReader(report, constants, python)
    of_data.entries = unit.python
    misspelt_section = any(d.code == "E0501" for d in report.errors)
    data = train = None
    if "data" in found:
        data = of_data.data(*found["data"])
    trained, ambiguous = None, False
    if "train" in found:
        section, settings = found["train"]
        train = of_train.train(section, settings, data)
        if "data" not in found and not misspelt_section:
            report.add(
                "E0505",
                "there is a `train` section, but no `data`",
                section.name.span,
                help="add one, as in `data { train = Digits(); transform = ToTensor; batch_size = 64 }`",
            )
        trained, ambiguous = of_train.network(section, settings, networks, complete)
    pending: object = None if train is None else train.loss
    if train is not None and isinstance(pending, Pending):
        known = data is not None and trained is not None and not ambiguous
        loss = loss_checks.computed(pending, data, trained, session, unit, report) if known else GAP
        train = train._replace(loss=loss)
    if data is not None and train is not None:
        network = trained if not ambiguous else None
        attempt(loss_checks.check, data, train, network, of_train.places, report)
        attempt(schedule_fit.check, train, data, found["train"][1], report)
        attempt(metric_settings.check, train, data, network, of_train.measured, report)
    if data is not None:
        attempt(overlaps.check, data, {key: value.value.span for key, value in found["data"][1].items()}, report)
        attempt(transforms.check, data, of_data.places, report)
        values = {key: value.value.span for key, value in found["data"][1].items()}
        attempt(sample_checks.transforms, data, values, report)
        attempt(samplers.check, data, values, report)
    if train is not None:
        if trained and not ambiguous:
            attempt(_patterns, train, trained, of_train.places, report)
        optimizer_fit.check(train, trained if not ambiguous else None, found["train"][1], report)
        training_checks.check(data, train, trained, of_train.places, report)
    if data and train and trained and not ambiguous:
        crosschecks.check(data, train, trained, file, report)
        values = {key: value.value.span for key, value in found["data"][1].items()}
        attempt(sample_checks.shared_out, data, train, trained, values, report)
        if train.options.parallel is not None or train.options.sync_batchnorm:
            attempt(parallel.check, train, data, trained, found["train"][1], report)
        if "tensorboard" in found["train"][1]:
            attempt(tensorboard.check, train, trained, found["train"][1]["tensorboard"].value.span, report)
    if data and train:
        attempt(train_options.check, train, data, found["train"][1], report)
    return data, train, trained


def _patterns(train: ir.Train, network: ir.Network, places: dict[Span, dict[str, Span]], report: Report) -> None:
    if train.groups or train.freeze:
        from netc.checker import parameter_groups

        parameter_groups.check(train, network, places, report)
