"""The section `train`: loss, optimizer, schedule, metrics, and how long.

In: the settings as parsed. Out: `ir.Train`, and the network that is trained; mistakes in the report. Guarantees: what
follows from the run (`T_max`) is filled in. How it fits the data and the network is left to `crosschecks`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc import catalog, ir
from netc import syntax as s
from netc.catalog import loss_facts
from netc.checker import metric_settings, schedule_setting
from netc.checker.expressions import ERROR
from netc.checker.habits import first_of_torch
from netc.checker.section_reader import values_of
from netc.checker.train_options import OptionsReader
from netc.checker.values import Formula
from netc.diagnostics import Label, suggestion
from netc.fixes import spelling

if TYPE_CHECKING:
    from collections.abc import Callable

    from netc.catalog.entry import Entry
    from netc.checker.settings import Settings
    from netc.diagnostics import Report
    from netc.source import Span


class TrainReader(OptionsReader):
    """Reads the section `train`."""

    def __init__(self, report: Report, constants: dict[str, Any], python: frozenset[str] = frozenset()) -> None:
        super().__init__(report, constants, python)
        self.groups: Any = ()
        self.epochs: Any = None
        self.every: Any = None
        self.measured: dict[str, Span] = {}  # where each metric stands

    def train(self, section: s.Section, settings: Settings, data: ir.Data | None) -> ir.Train | None:
        loss = self.required(section, settings, "loss", "loss = CrossEntropyLoss", self.loss)
        optimizer = self.required(section, settings, "optimizer", "optimizer = Adam(lr=1e-3)", self.optimizer)
        options = self.options(section, settings)
        epochs = self.length(section, settings, options)
        self.epochs = epochs
        self.every = every = self.optional(section, settings, "schedule_every", self.one_of)
        watched = self.optional(section, settings, "schedule_on", self.column)
        schedule = self.optional(section, settings, "schedule", self.schedule)
        metrics = self.optional(section, settings, "metrics", self.metrics)
        seed = self.optional(section, settings, "seed", self.seed)
        freeze = self.optional(section, settings, "freeze", self.freeze)
        read = (loss, optimizer, schedule, epochs, metrics, seed, freeze, self.groups, every, watched)
        parts = values_of(read, (None, None, None, None, (), 0, (), (), "", None))
        loss, optimizer, schedule, epochs, metrics, seed, freeze, groups, every, watched = parts
        schedule = schedule_setting.towards(schedule, watched)
        return ir.Train(
            loss, optimizer, schedule, epochs, metrics, seed, section.name.span, freeze, groups, options, every, watched
        )

    def length(self, section: s.Section, settings: Settings, options: ir.Options) -> Any:
        """The epochs of the run, or its steps."""
        if "steps" not in settings:
            return self.required(section, settings, "epochs", "epochs = 10", self.count)
        if "epochs" in settings:
            self.report.add(
                "E0651", "`epochs` and `steps` both say how long the run is", settings["steps"].value.span,
                secondary=[Label(settings["epochs"].value.span, "and this")], help="remove one of them",
            )  # fmt: skip
            return ERROR
        return options.steps if isinstance(options.steps, int) else ERROR

    def freeze(self, key: str, chain: s.Chain) -> Any:
        from netc.checker.parameter_groups import read_freeze

        return read_freeze(chain, self.evaluator, self.places)

    def loss(self, key: str, chain: s.Chain) -> Any:
        from netc.checker import loss_terms

        step = self.single(chain, "a loss")
        if step is ERROR:
            return ERROR
        if loss_terms.is_computed(step, self.python | self.evaluator.env.keys()):
            return loss_terms.Pending(step)
        callee = step.callee if isinstance(step, s.Call) else step
        if isinstance(callee, s.Name) and callee.text in self.python:
            return loss_terms.Pending(step)
        entry = self.named(callee, chain, "loss", catalog.loss, catalog.losses)
        if entry is ERROR or loss_terms.refused(entry.name, callee.span, self.report):
            return ERROR
        call = self.call(loss_facts.constructor(entry), step)
        if call is not ERROR and call.get("reduction") == "none":
            self.report.add(
                "E0628", "a loss is one number, and this gives one for each sample", self.spans["reduction"],
                help=f"leave `reduction` out, or compute the number: `mean({entry.name}(…))`",
            )  # fmt: skip
            return ERROR
        return call

    def optimizer(self, key: str, chain: s.Chain) -> Any:
        step = chain.links[0].step
        if isinstance(step, s.Edited) and len(chain.links) == 1:
            inner = s.Link(None, step.value, step.value.span)
            call = self.optimizer(key, s.Chain((inner,), step.value.span))
            if call is not ERROR:
                from netc.checker.parameter_groups import read_groups

                self.groups = read_groups(step.edits, call.entry, self.evaluator, self.code, self.places)
            return call
        return self.torch_call(chain, "an optimizer", "optimizer", catalog.optimizer, catalog.optimizers)

    def schedule(self, key: str, chain: s.Chain) -> Any:
        step = self.single(chain, "a scheduler")
        known = self.every != "step"  # where the batches of an epoch don't count
        return step if step is ERROR else schedule_setting.read(self, step, chain, self.epochs if known else None)

    def one_of(self, key: str, chain: s.Chain) -> Any:
        """`"epoch"` or `"step"`."""
        value = self.value(chain, "a string")
        if value is ERROR or value in ("epoch", "step"):
            return value
        self.report.add("E0508", f'`{key}` is "epoch" or "step"', chain.span, f"this is `{value!r}`")
        return ERROR

    def column(self, key: str, chain: s.Chain) -> Any:
        """The name of a column of metrics.csv."""
        value = self.value(chain, "a string")
        if value is ERROR or isinstance(value, str):
            return value
        self.report.add("E0508", f"`{key}` is a column of metrics.csv", chain.span, f"this is `{value!r}`",
                        help=f'write `{key} = "validation_loss"`')  # fmt: skip
        return ERROR

    def code(self, expr: s.Expr, value: Any) -> str:
        if isinstance(value, list) and any(isinstance(item, Formula) for item in value):
            return ""  # which is refused
        return value.name if isinstance(value, Formula) else super().code(expr, value)

    def torch_call(
        self,
        chain: s.Chain,
        what: str,
        kind: str,
        find: Callable[[str], Entry | None],
        known: Callable[[], list[str]],
    ) -> Any:
        step = self.single(chain, what)
        if step is ERROR:
            return ERROR
        callee = step.callee if isinstance(step, s.Call) else step
        entry = self.named(callee, chain, kind, find, known)
        if entry is ERROR:
            return ERROR
        given = step.arguments[0].value if isinstance(step, s.Call) and step.arguments else None
        first = first_of_torch(given) if given is not None else None
        if given is not None and first is not None:
            self.report.add("E0304", f"`{entry.name}` gets {first} by itself", given.span, help="leave it out")
            return ERROR
        return self.call(entry, step)

    def metrics(self, key: str, chain: s.Chain) -> Any:
        return metric_settings.read(self, chain, self.measured)

    def seed(self, key: str, chain: s.Chain) -> Any:
        value = self.value(chain, "an integer")
        if value is ERROR or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
            return value
        self.report.add("E0508", "`seed` is an integer from 0", chain.span, f"this is `{value!r}`")
        return ERROR

    def network(
        self, section: s.Section, settings: Settings, networks: list[ir.Network], complete: bool
    ) -> tuple[ir.Network | None, bool]:
        """The network that is trained, and whether that is in doubt."""
        names = [n.name for n in networks]
        if "network" in settings:
            setting = settings["network"]
            step = setting.value.links[0].step
            name = step.text if isinstance(step, s.Name) else None
            if name in names:
                return networks[names.index(name)], False
            if complete:
                self.report.add(
                    "E0202",
                    f"there is no network `{name}`" if name else "`network` is a network's name",
                    setting.value.span,
                    help=suggestion(name or "", names),
                    fix=spelling(name, setting.value.span, names) if name else None,
                )
            return None, True
        if len(networks) > 1:
            self.report.add(
                "E0604",
                "the file has several networks, and `train` does not say which one it is for",
                section.name.span,
                help=f"add `network = {names[0]}`; there are {', '.join(names)}",
            )
            return None, True
        return (networks[0], False) if networks and complete else (None, True)
