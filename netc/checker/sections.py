"""The sections `data` and `train`.

In: the settings as parsed, and the networks that were checked. Out: `ir.Data` and `ir.Train`, and the network that is
trained; mistakes in the report. Guarantees: every setting is known, of the right type, and said once; what follows from
the run (`T_max`) is filled in. How the sections agree with each other and with the network is left to `crosschecks`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc import catalog, ir
from netc import syntax as s
from netc.checker import crosschecks, overlaps, section_fixes, training_checks, transforms
from netc.checker.arguments import bind, ordered
from netc.checker.expressions import ERROR, Evaluator, kind_of
from netc.checker.gaps import GAP, attempt
from netc.checker.habits import first_of_torch, number_help, setting, torch_name, unsuited_help
from netc.checker.python_text import names, text
from netc.checker.values import DType
from netc.diagnostics import nearest, suggestion
from netc.fixes import rewrite, spelling
from netc.identifiers import python_name
from netc.ir import Arg
from netc.literals import literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from netc.catalog.entry import Entry
    from netc.checker.settings import Settings
    from netc.diagnostics import Report
    from netc.source import Span

METRICS = ("accuracy",)
# Schedulers that take functions or other schedulers, and optimizers that need more than gradients.
_LATER_SCHEDULERS = {"LambdaLR", "MultiplicativeLR", "SequentialLR", "ChainedScheduler"}
_LATER_OPTIMIZERS = {"LBFGS", "SparseAdam", "Muon"}


def check(
    found: dict[str, tuple[s.Section, Settings]],
    networks: list[ir.Network],
    complete: bool,
    constants: dict[str, Any],
    file: s.File,
    report: Report,
    python: frozenset[str] = frozenset(),
) -> tuple[ir.Data | None, ir.Train | None, ir.Network | None]:
    """Check both sections, and how they fit the network. `complete` says that every network was understood."""
    reader = _Reader(report, constants)
    reader.python = python
    misspelt_section = any(d.code == "E0501" for d in report.errors)
    data = train = None
    if "data" in found:
        data = reader.data(*found["data"])
    trained, ambiguous = None, False
    if "train" in found:
        section, settings = found["train"]
        train = reader.train(section, settings, data)
        if "data" not in found and not misspelt_section:
            report.add(
                "E0505",
                "there is a `train` section, but no `data`",
                section.name.span,
                help="add one, as in `data { train = Digits(); transform = ToTensor; batch_size = 64 }`",
            )
        trained, ambiguous = reader.network(section, settings, networks, complete)
    if data is not None:
        attempt(overlaps.check, data, {key: value.value.span for key, value in found["data"][1].items()}, report)
        attempt(transforms.check, data, reader.places, report)
    if train is not None:
        if trained and not ambiguous:
            attempt(_patterns, train, trained, reader.places, report)
        training_checks.check(data, train, trained, reader.places, report)
    if data and train and trained and not ambiguous:
        crosschecks.check(data, train, trained, file, report)
    return data, train, trained


def _patterns(train: ir.Train, network: ir.Network, places: dict[Span, dict[str, Span]], report: Report) -> None:
    if train.groups or train.freeze:
        from netc.checker import parameter_groups

        parameter_groups.check(train, network, places, report)


def _parts(read: tuple[Any, ...], left_out: tuple[Any, ...]) -> list[Any]:
    """The values of settings, with a gap for each that is wrong, and what is meant where one is left out."""
    return [GAP if a is ERROR else b if a is None else a for a, b in zip(read, left_out, strict=True)]


class _Reader:
    """Reads the settings of the sections."""

    def __init__(self, report: Report, constants: dict[str, Any]) -> None:
        self.report = report
        self.evaluator = Evaluator(report, constants)
        self.python: frozenset[str] = frozenset()  # what `use`d files define
        self.places: dict[Span, dict[str, Span]] = {}  # of the arguments of each call
        self.groups: Any = ()

    # --- data --------------------------------------------------------------------------------------------------------

    def data(self, section: s.Section, settings: Settings) -> ir.Data | None:
        train = self.required(section, settings, "train", "train = Digits()", self.dataset)
        validation = self.optional(section, settings, "validation", self.held_out)
        test = self.optional(section, settings, "test", self.dataset)
        transform = self.optional(section, settings, "transform", self.transforms)
        augment = self.optional(section, settings, "augment", self.transforms)
        batch_size = self.required(section, settings, "batch_size", "batch_size = 64", self.count)
        parts = _parts((train, validation, test, transform, augment, batch_size), (None, None, None, (), (), None))
        train, validation, test, transform, augment, batch_size = parts
        return ir.Data(train, validation, test, transform, augment, batch_size, section.name.span)

    def dataset(self, key: str, chain: s.Chain) -> Any:
        from netc.catalog.data import DATASETS, DIGITS, dataset_reject

        step = self.single(chain, "a data set")
        callee = step.callee if isinstance(step, s.Call) else step
        if step is ERROR or not isinstance(callee, s.Name) or not callee.text[0].isupper():
            if step is not ERROR:
                self._no_dataset(key, chain, callee)
            return ERROR
        name = callee.text
        entry = DIGITS if name == DIGITS.name else catalog.dataset(name)
        if entry is None and name in self.python:
            return self.evaluator.not_yet(callee.span, "a data set of a Python file")
        if entry is None:
            self.report.add(
                "E0507",
                f"there is no data set `{name}`",
                callee.span,
                help=suggestion(name, [*DATASETS, *catalog.datasets()]) or f"netc reads {', '.join(DATASETS)}",
                fix=spelling(name, callee.span, [*DATASETS, *catalog.datasets()]),
            )
            return ERROR
        if name not in DATASETS:
            return self.evaluator.not_yet(callee.span, f"the data set `{name}`")
        call = self.call(entry, step)
        if call is ERROR:
            return ERROR
        values = {n: a.value for n, a in call.args.items()}
        reject = dataset_reject(values, name)
        if reject is not None:
            where = call.args.get(reject.argument or "")
            self.report.add(
                "E0308",
                f"`{name}`: {reject.reason}",
                self.spans.get(reject.argument or "", step.span),
                f"got {reject.got}" if where else "",
                help=f"expected {reject.expected}",
            )
            return ERROR
        return call

    def _no_dataset(self, key: str, chain: s.Chain, callee: s.Expr) -> None:
        """Report a value that should be a data set."""
        if isinstance(callee, s.Attribute):
            last = callee.name.text
            self.report.add("E0219", f"it goes by its last name: `{last}`", callee.span, help=f"write `{last}`")
            return
        help_text = f"write `{key} = Digits()`"
        if isinstance(callee, (s.Number, s.Unary)) and key == "test":
            help_text = "a share of `train` is held out with `validation`; test images are a set of their own"
        elif isinstance(callee, s.String):
            help_text = f"write `{key} = ImageFolder({literal(callee.value)})` for a folder, or name a set: `Digits()`"
        self.report.add("E0506", f"`{key}` is a data set", chain.span, help=help_text)

    def held_out(self, key: str, chain: s.Chain) -> Any:
        """A data set, or a fraction or count held out of `train`."""
        step = chain.links[0].step
        callee = step.callee if isinstance(step, s.Call) else step
        if isinstance(callee, s.Name) and callee.text[0].isupper():
            return self.dataset(key, chain)
        value = self.value(chain, "a fraction or a count")
        if value is ERROR:
            return ERROR
        fraction = isinstance(value, float) and 0 < value < 1
        count = isinstance(value, int) and not isinstance(value, bool) and value > 0
        if not fraction and not count:
            self.report.add(
                "E0508",
                f"`{key}` is a data set, a fraction between 0 and 1, or a count",
                chain.span,
                f"this is `{value!r}`",
                help=f"write `{key} = 0.1` to hold out a tenth of `train`",
            )
            return ERROR
        return value

    def transforms(self, key: str, chain: s.Chain) -> Any:
        """A chain of transforms."""
        from netc.catalog.data import UNSUITED

        calls: list[ir.Call] = []
        ok = True
        for link in chain.links:
            step = link.step
            callee = step.callee if isinstance(step, s.Call) else step
            if link.label is None and isinstance(callee, s.Attribute):
                last = callee.name.text
                fix = rewrite(callee.span, last) if catalog.transform(last) is not None else None
                self.report.add(
                    "E0219", f"it goes by its last name: `{last}`", callee.span, help=f"write `{last}`", fix=fix
                )
                ok = False
                continue
            if link.label is not None or not isinstance(callee, s.Name):
                self.report.add(
                    "E0509",
                    f"`{key}` is a chain of transforms",
                    link.span,
                    help="write it as in `ToTensor -> Normalize(mean=[0.5], std=[0.5])`",
                )
                ok = False
                continue
            entry = catalog.transform(callee.text)
            if entry is None and callee.text in self.python:
                self.evaluator.not_yet(callee.span, "a transform of a Python file")
                ok = False
            elif entry is None:
                self.unknown_transform(callee)
                ok = False
            elif callee.text in UNSUITED:
                self.report.add(
                    "E0510",
                    f"`{callee.text}` can't be used here: {UNSUITED[callee.text]}",
                    callee.span,
                    help=unsuited_help(callee.text),
                )
                ok = False
            else:
                assert not isinstance(step, (s.Seq, s.Inline, s.Edited))
                call = self.call(entry, step)
                ok = ok and call is not ERROR
                calls.append(call)
        return tuple(calls) if ok else ERROR

    def unknown_transform(self, callee: s.Name) -> None:
        near = suggestion(callee.text, catalog.transforms())
        self.report.add(
            "E0511",
            f"there is no transform `{callee.text}`",
            callee.span,
            help=near or "transforms have the names of torchvision.transforms.v2",
            fix=spelling(callee.text, callee.span, catalog.transforms()),
        )

    # --- train -------------------------------------------------------------------------------------------------------

    def train(self, section: s.Section, settings: Settings, data: ir.Data | None) -> ir.Train | None:
        loss = self.required(section, settings, "loss", "loss = CrossEntropyLoss", self.loss)
        optimizer = self.required(section, settings, "optimizer", "optimizer = Adam(lr=1e-3)", self.optimizer)
        epochs = self.required(section, settings, "epochs", "epochs = 10", self.count)
        self.epochs = epochs
        schedule = self.optional(section, settings, "schedule", self.schedule)
        metrics = self.optional(section, settings, "metrics", self.metrics)
        seed = self.optional(section, settings, "seed", self.seed)
        freeze = self.optional(section, settings, "freeze", self.freeze)
        read = (loss, optimizer, schedule, epochs, metrics, seed, freeze, self.groups)
        parts = _parts(read, (None, None, None, None, (), 0, (), ()))
        loss, optimizer, schedule, epochs, metrics, seed, freeze, groups = parts
        return ir.Train(loss, optimizer, schedule, epochs, metrics, seed, section.name.span, freeze, groups)

    def freeze(self, key: str, chain: s.Chain) -> Any:
        from netc.checker.parameter_groups import read_freeze

        return read_freeze(chain, self.evaluator, self.places)

    def loss(self, key: str, chain: s.Chain) -> Any:
        step = self.single(chain, "a loss")
        callee = step.callee if isinstance(step, s.Call) else step
        if step is ERROR:
            return ERROR
        if isinstance(step, s.Binary):
            return self.evaluator.not_yet(chain.span, "a loss that is computed from several")
        entry = self.named(callee, chain, "loss", catalog.loss, catalog.losses)
        if entry is ERROR:
            return ERROR
        if isinstance(step, s.Call) and any(a.name is None for a in step.arguments):
            return self.evaluator.not_yet(chain.span, "a loss of named tensors")
        if entry.name not in _CLASS_LOSSES:
            return self._other_loss(entry, callee.span)
        call = self.call(entry, step)
        if call is not ERROR and call.get("reduction") != "mean":
            return self.evaluator.not_yet(self.spans["reduction"], "a loss that is not the mean over the batch")
        return call

    def _other_loss(self, entry: Entry, span: Span) -> Any:
        """A loss that doesn't compare logits with class indices, which is what the data sets of today have."""
        from netc.checker.loss_fit import instead_of

        self.report.add(
            "E0601",
            f"`{entry.name}` does not compare an output with class labels",
            span,
            notes=["the labels of this version's data sets are class indices, [N] int64"],
            help=instead_of(entry.name) or f"use one of {', '.join(sorted(_CLASS_LOSSES))}",
        )
        return ERROR

    def optimizer(self, key: str, chain: s.Chain) -> Any:
        step = chain.links[0].step
        if isinstance(step, s.Edited) and len(chain.links) == 1:
            inner = s.Link(None, step.value, step.value.span)
            call = self.optimizer(key, s.Chain((inner,), step.value.span))
            if call is not ERROR:
                from netc.checker.parameter_groups import read_groups

                self.groups = read_groups(step.edits, call.entry, self.evaluator, self.code, self.places)
            return call
        return self.torch_call(
            chain, "an optimizer", "optimizer", catalog.optimizer, catalog.optimizers, _LATER_OPTIMIZERS
        )

    def schedule(self, key: str, chain: s.Chain) -> Any:
        return self.torch_call(
            chain, "a scheduler", "scheduler", catalog.scheduler, catalog.schedulers, _LATER_SCHEDULERS
        )

    def torch_call(
        self,
        chain: s.Chain,
        what: str,
        kind: str,
        find: Callable[[str], Entry | None],
        known: Callable[[], list[str]],
        later: set[str],
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
        if entry.name in later:
            return self.evaluator.not_yet(callee.span, f"the {kind} `{entry.name}`")
        filled = {"T_max": self.epochs} if entry.name == "CosineAnnealingLR" else {}
        return self.call(entry, step, filled)

    def metrics(self, key: str, chain: s.Chain) -> Any:
        step = self.single(chain, "a list of metrics")
        if not isinstance(step, s.List):
            fix = rewrite(chain.span, f"[{step.text}]") if isinstance(step, s.Name) and step.text in METRICS else None
            self.report.add("E0602", "`metrics` is a list", chain.span, help="write `metrics = [accuracy]`", fix=fix)
            return ERROR
        out: list[str] = []
        ok = True
        for item in step.items:
            if isinstance(item, s.Name) and item.text in METRICS:
                out.append(item.text)
                continue
            ok = False
            if isinstance(item, s.Call) and isinstance(item.callee, s.Name) and item.callee.text == "topk":
                self.evaluator.not_yet(item.span, "the metric `topk`")
                continue
            name = item.text if isinstance(item, s.Name) else None
            if name is not None and self._other_metric(name, item.span):
                continue
            self.report.add(
                "E0603",
                f"there is no metric `{name}`" if name else "a metric is a name",
                item.span,
                help=(suggestion(name, METRICS) if name else None) or _metric_help(item),
                fix=spelling(name, item.span, METRICS) if name else section_fixes.without_quotes(item, METRICS),
            )
        return tuple(dict.fromkeys(out)) if ok else ERROR

    def _other_metric(self, name: str, span: Span) -> bool:
        """Report a metric that there is elsewhere; False where the name means none."""
        from netc.checker.loss_fit import measures

        what = measures(name)
        if what:
            self.report.add(
                "E0610", f"`{name}` measures {what}, and the labels here are classes", span,
                help=f"this version has `{'`, `'.join(METRICS)}`",
            )  # fmt: skip
        elif what is not None:
            self.evaluator.not_yet(span, f"the metric `{name}`")
        return what is not None

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

    # --- common ------------------------------------------------------------------------------------------------------

    def required(
        self, section: s.Section, settings: Settings, key: str, example: str, read: Callable[[str, s.Chain], Any]
    ) -> Any:
        if key not in settings:
            if not any(_means(e, key, section.name.text) for e in section.entries):  # else that is reported
                self.report.add(
                    "E0512", f"`{section.name.text}` needs `{key}`", section.name.span, help=f"add `{example}`"
                )
            return ERROR
        return read(key, settings[key].value)

    def optional(self, section: s.Section, settings: Settings, key: str, read: Callable[[str, s.Chain], Any]) -> Any:
        if key not in settings:
            return ERROR if any(_means(e, key, section.name.text) for e in section.entries) else None
        return read(key, settings[key].value)

    def count(self, key: str, chain: s.Chain) -> Any:
        value = self.value(chain, "a positive integer")
        if value is ERROR or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
            return value
        self.report.add(
            "E0508", f"`{key}` is a positive integer", chain.span, f"this is `{value!r}`", help=number_help(value),
            fix=section_fixes.count(chain, value),
        )  # fmt: skip
        return ERROR

    def single(self, chain: s.Chain, what: str) -> Any:
        """The one step of a chain that is no chain."""
        link = chain.links[0]
        if len(chain.links) > 1 or link.label is not None or isinstance(link.step, (s.Seq, s.Inline, s.Edited)):
            self.report.add("E0503", f"this is {what}, not a chain", chain.span)
            return ERROR
        return link.step

    def value(self, chain: s.Chain, what: str) -> Any:
        step = self.single(chain, what)
        return ERROR if step is ERROR else self.evaluator.evaluate(step)

    def named(
        self,
        callee: s.Expr,
        chain: s.Chain,
        kind: str,
        find: Callable[[str], Entry | None],
        known: Callable[[], list[str]],
    ) -> Any:
        if not isinstance(callee, s.Name):
            if isinstance(callee, s.Attribute):
                last = callee.name.text
                fix = rewrite(callee.span, last) if find(last) is not None else None
                self.report.add(
                    "E0219", f"it goes by its last name: `{last}`", callee.span, help=f"write `{last}`", fix=fix
                )
            else:
                self.report.add(
                    "E0506",
                    f"this is no {kind}, but {_what(callee)}",
                    chain.span,
                    help=f"name it as torch does, as in `{_named_in(callee, known()) or _EXAMPLES[kind]}`",
                    fix=section_fixes.without_quotes(callee, known()),
                )
            return ERROR
        entry = find(callee.text)
        if entry is None and callee.text in self.python:
            return self.evaluator.not_yet(callee.span, f"a {kind} of a Python file")
        if entry is None:
            near = torch_name(callee.text, known()) or nearest(callee.text, known())
            self.report.add(
                "E0202",
                f"there is no {kind} `{callee.text}`",
                callee.span,
                help=f"did you mean `{near}`?" if near else f"it goes by torch's name, as in `{_EXAMPLES[kind]}`",
                fix=section_fixes.same_words(callee, known()),
            )
            return ERROR
        return entry

    def call(self, entry: Entry, step: s.Expr, filled: dict[str, Any] | None = None) -> Any:
        """A call with its arguments bound; `filled` are those that follow from the run, unless they are given."""
        arguments = step.arguments if isinstance(step, s.Call) else ()
        bound = bind(entry, arguments, step.span, self.evaluator, self.code, filled=filled or ())
        self.spans = self.places[step.span] = bound.spans
        follows = {n: v for n, v in (filled or {}).items() if n not in bound.args}
        if not bound.ok or ERROR in follows.values():  # what would follow from a setting that is wrong itself
            return ERROR
        given = {n: a._replace(value=a.value.name) if isinstance(a.value, DType) else a for n, a in bound.args.items()}
        args = {n: Arg(v, literal(v)) for n, v in follows.items()} | given
        return ir.Call(entry, ordered(entry, args), step.span)

    def code(self, expr: s.Expr, value: Any) -> str:
        """The Python of an argument: a number or list as it is written, anything that uses names as its value."""
        written = isinstance(expr, (s.Number, s.List, s.Tuple)) and not any(names(expr))
        return text(expr, python_name) if written else literal(value)


def _means(entry: s.Setting | s.Group | s.Broken, key: str, section: str) -> bool:
    """Whether a setting that is reported as wrong was probably meant as this one."""
    if isinstance(entry, s.Broken):
        return True
    return nearest(entry.key.text, (key,)) is not None or setting(section, entry.key.text) == key


_CLASS_LOSSES = {"CrossEntropyLoss", "NLLLoss", "MultiMarginLoss"}
_EXAMPLES = {"loss": "CrossEntropyLoss", "optimizer": "SGD(lr=0.1)", "scheduler": "CosineAnnealingLR"}


def _metric_help(item: s.Expr) -> str:
    word = item.value.lower() if isinstance(item, s.String) else ""
    return f"write `{word}`, without quotes" if word in METRICS else "this version has `accuracy`"


def _named_in(expr: s.Expr, known: list[str]) -> str | None:
    """What a string names, which should be a name."""
    word = expr.value if isinstance(expr, s.String) else ""
    return torch_name(word, known) or nearest(word, known)


def _what(expr: s.Expr) -> str:
    if isinstance(expr, (s.Number, s.String, s.Literal)):
        return kind_of(expr.value)
    return "an expression"
