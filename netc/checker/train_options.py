"""The settings of `train` that say how steps are made and what is kept: precision, accumulation, checkpoints and such.

In: the settings as parsed. Out: `ir.Options`; mistakes in the report. Leaves loss, optimizer, schedule and metrics to
`train_section`, and the columns that `monitor` may name to `check_monitors`, when the data is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc import ir
from netc import syntax as s
from netc.catalog.entry import REQUIRED, Entry, Param
from netc.catalog.metrics import is_better_high, numbers
from netc.checker import parallel, tensorboard
from netc.checker.expressions import ERROR
from netc.checker.habits import number_help
from netc.checker.section_reader import Reader, values_of
from netc.diagnostics import suggestion
from netc.fixes import rewrite

if TYPE_CHECKING:
    from collections.abc import Callable

    from netc.checker.settings import Settings
    from netc.diagnostics import Report
    from netc.source import Span

PRECISIONS = ("float32", "tf32", "bf16", "fp16")
_MEANT = {
    "fp32": "float32", "32": "float32", "float": "float32", "full": "float32", "high": "tf32", "bfloat16": "bf16",
    "bf16-mixed": "bf16", "float16": "fp16", "half": "fp16", "16": "fp16", "16-mixed": "fp16", "mixed": "bf16",
}  # fmt: skip
EARLY_STOPPING = Entry("EarlyStopping", "netc", (
    Param("patience", "int", REQUIRED), Param("monitor", "str|None", None), Param("min_delta", "float", 0.0),
))  # fmt: skip
CHECKPOINT = Entry("Checkpoint", "netc", (
    Param("monitor", "str|None", None), Param("every_epochs", "int|None", None), Param("keep", "int|None", None),
    Param("every_steps", "int|None", None),
))  # fmt: skip
NAMES = (
    "steps", "accumulate", "clip_grad_norm", "clip_grad_value", "precision", "compile", "ema", "early_stop",
    "checkpoint", "init_from", "deterministic", "unfreeze", "log_every", "tensorboard", "parallel", "sync_batchnorm",
)  # fmt: skip


class OptionsReader(Reader):
    """Reads the settings that are options of the loop."""

    def options(self, section: s.Section, settings: Settings) -> Any:
        """All of them; those that aren't there have their defaults, those that are wrong are gaps."""
        readers: dict[str, Callable[[str, s.Chain], Any]] = {
            **dict.fromkeys(("steps", "accumulate", "unfreeze", "log_every"), self.count),
            **dict.fromkeys(("clip_grad_norm", "clip_grad_value"), self.positive),
            **dict.fromkeys(("compile", "deterministic", "sync_batchnorm"), self.truth),
            "precision": self.precision, "ema": self.decay, "early_stop": self.early_stop,
            "checkpoint": self.checkpoint, "init_from": self.weights_file,
            "tensorboard": lambda key, chain: tensorboard.read(self, chain),
            "parallel": lambda key, chain: parallel.read(self, chain),
        }  # fmt: skip
        read = [self.optional(section, settings, name, readers[name]) for name in NAMES]
        defaults = ir.Options()
        return ir.Options(*values_of(tuple(read), tuple(getattr(defaults, name) for name in NAMES)))

    def positive(self, key: str, chain: s.Chain) -> Any:
        """A number above 0."""
        value = self.value(chain, "a number above 0")
        if value is ERROR or (isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0):
            return value
        self.report.add("E0508", f"`{key}` is a number above 0", chain.span, f"this is `{value!r}`",
                        help=number_help(value))  # fmt: skip
        return ERROR

    def truth(self, key: str, chain: s.Chain) -> Any:
        """True or False."""
        value = self.value(chain, "True or False")
        if value is ERROR or isinstance(value, bool):
            return value
        self.report.add("E0508", f"`{key}` is True or False", chain.span, f"this is `{value!r}`",
                        help=f"write `{key} = True`, or leave it out")  # fmt: skip
        return ERROR

    def precision(self, key: str, chain: s.Chain) -> Any:
        value = self.value(chain, "a precision")
        if value is ERROR or value in PRECISIONS:
            return value
        meant = _MEANT.get(str(value).lower())
        shown = ", ".join(f'"{p}"' for p in PRECISIONS)
        self.report.add(
            "E0508", f"`precision` is one of {shown}", chain.span, f"this is `{value!r}`",
            help=f'write `precision = "{meant}"`' if meant else suggestion(str(value), PRECISIONS),
            fix=rewrite(chain.span, f'"{meant}"') if meant else None,
        )  # fmt: skip
        return ERROR

    def decay(self, key: str, chain: s.Chain) -> Any:
        """The share of the old average that is kept."""
        value = self.value(chain, "a number between 0 and 1")
        if value is ERROR or (isinstance(value, float) and 0 < value < 1):
            return value
        self.report.add(
            "E0508", "`ema` is the share of the average that each step keeps, between 0 and 1", chain.span,
            f"this is `{value!r}`", help="write `ema = 0.999`",
        )  # fmt: skip
        return ERROR

    def weights_file(self, key: str, chain: s.Chain) -> Any:
        value = self.value(chain, "the path of a file")
        if value is ERROR:
            return ERROR
        if not isinstance(value, str) or not value.endswith((".pt", ".pth", ".bin", ".ckpt", ".safetensors")):
            self.report.add(
                "E0508", "`init_from` is the path of a file of weights", chain.span, f"this is `{value!r}`",
                help='write `init_from = "weights.pt"`; netc reads what torch.save writes, and .safetensors',
            )  # fmt: skip
            return ERROR
        return value

    def early_stop(self, key: str, chain: s.Chain) -> Any:
        """A number of epochs, or EarlyStopping with its arguments."""
        call = self._own(key, chain, EARLY_STOPPING, "early_stop = 5")
        if call is ERROR:
            return ERROR
        if isinstance(call, ir.Call):
            monitor = _place(call, "monitor", self.places)
            found = ir.EarlyStop(call.get("patience"), call.get("monitor"), float(call.get("min_delta")), monitor)  # type: ignore[arg-type]
        else:
            found = ir.EarlyStop(call, None, 0.0, chain.span)
        wrong = "patience" if found.patience < 1 else "min_delta" if found.min_delta < 0 else None
        if wrong is None:
            return found
        least = "1" if wrong == "patience" else "0"
        place = _place(call, wrong, self.places) if isinstance(call, ir.Call) else chain.span
        self.report.add("E0508", f"`{wrong}` is a number from {least}", place, f"this is `{getattr(found, wrong)!r}`")
        return ERROR

    def checkpoint(self, key: str, chain: s.Chain) -> Any:
        """Checkpoint with its arguments."""
        call = self._own(key, chain, CHECKPOINT, "checkpoint = Checkpoint(every_epochs=1, keep=3)", number=False)
        if call is ERROR:
            return ERROR
        for name in ("every_epochs", "keep", "every_steps"):
            value = call.get(name)
            if value is not None and value < 1:
                place = _place(call, name, self.places)
                self.report.add("E0508", f"`{name}` is a positive integer", place, f"this is `{value!r}`")
                return ERROR
        keep, every = call.get("keep"), call.get("every_epochs")
        if keep is not None and every is None:
            every = 1
        return ir.Checkpoints(call.get("monitor"), every, keep, call.get("every_steps"),
                              _place(call, "monitor", self.places))  # fmt: skip

    def _own(self, key: str, chain: s.Chain, entry: Entry, example: str, number: bool = True) -> Any:
        """A call of one of netc's own names, or a number where that is short for it."""
        step = self.single(chain, f"`{entry.name}`" + (" or a number" if number else ""))
        if step is ERROR:
            return ERROR
        callee = step.callee if isinstance(step, s.Call) else step
        if isinstance(callee, s.Name) and callee.text == entry.name:
            return self.call(entry, step)
        if number:
            value = self.evaluator.evaluate(step)
            if value is ERROR or (isinstance(value, int) and not isinstance(value, bool)):
                return value
        self.report.add("E0508", f"`{key}` is {'a number of epochs, or ' if number else ''}`{entry.name}(…)`",
                        chain.span, help=f"write `{example}`")  # fmt: skip
        return ERROR


def _place(call: ir.Call, argument: str, places: dict[Span, dict[str, Span]]) -> Span:
    return places.get(call.span, {}).get(argument, call.span)


def check(train: ir.Train, data: ir.Data, settings: Settings, report: Report) -> None:
    """What the options ask of each other, of the metrics, and of the data."""
    options = train.options
    columns = monitored(train, data)
    for setting in (options.checkpoint, options.early_stop):
        if setting is not None and setting.monitor is not None and setting.monitor not in columns:
            known = "there is " + ", ".join(f'"{name}"' for name in columns)
            meant = setting.monitor.replace("val_", "validation_", 1)
            report.add(
                "E0650", f"there is no column `{setting.monitor}` in metrics.csv to watch", setting.span,
                help=f"write `{meant}`" if meant in columns else suggestion(setting.monitor, columns) or known,
            )  # fmt: skip
    if options.unfreeze is not None and not train.freeze:
        report.add("E0652", "`unfreeze` ends what `freeze` began, and there is no `freeze`",
                   settings["unfreeze"].value.span, help='add `freeze = ["…"]`, or remove `unfreeze`')  # fmt: skip
    elif options.unfreeze is not None and options.steps is None and options.unfreeze > train.epochs:
        report.add(
            "W0846", f"nothing is unfrozen: epoch {options.unfreeze} is behind the last, {train.epochs}",
            settings["unfreeze"].value.span, help=f"choose an epoch up to {train.epochs}",
        )  # fmt: skip
    stop = options.early_stop
    if stop is not None and options.steps is None and stop.patience >= train.epochs:
        report.add(
            "W0845", f"the run never stops early: it has {train.epochs} epochs, and waits for {stop.patience}",
            settings["early_stop"].value.span, help="choose fewer epochs to wait for",
        )  # fmt: skip


def monitored(train: ir.Train, data: ir.Data) -> dict[str, str]:
    """The columns of metrics.csv that can be watched, each with its better end, "min" or "max"."""
    found = {"train_loss": "min"}
    counted = "accuracy" in train.metrics and train.optimizer.name != "LBFGS"
    found |= {"train_accuracy": "max"} if counted else {}
    if data.validation is not None:
        names = ("loss", *numbers(train.metrics))
        found |= {f"validation_{name}": "max" if is_better_high(name) else "min" for name in names}
    return found
