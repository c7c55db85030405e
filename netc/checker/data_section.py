"""The section `data`: which sets there are, what is held out, the transforms, the batch.

In: the settings as parsed. Out: `ir.Data`; mistakes in the report. How it fits the network is left to `crosschecks`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc import catalog, ir
from netc import syntax as s
from netc.checker.expressions import ERROR
from netc.checker.habits import unsuited_help
from netc.checker.section_reader import Reader, values_of
from netc.diagnostics import suggestion
from netc.fixes import rewrite, spelling
from netc.literals import literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netc.catalog.entry import Entry
    from netc.checker.settings import Settings

CACHE_SIZE = 20  # GiB


class DataReader(Reader):
    """Reads the section `data`. `entries` are the classes and functions of Python files."""

    entries: Mapping[str, Entry] = {}

    def data(self, section: s.Section, settings: Settings) -> ir.Data | None:
        train = self.required(section, settings, "train", "train = Digits()", self.dataset)
        validation = self.optional(section, settings, "validation", self.held_out)
        test = self.optional(section, settings, "test", self.held_out)
        transform = self.optional(section, settings, "transform", self.transforms)
        augment = self.optional(section, settings, "augment", self.transforms)
        batch_size = self.required(section, settings, "batch_size", "batch_size = 64", self.count)
        parts = values_of((train, validation, test, transform, augment, batch_size), (None, None, None, (), (), None))
        train, validation, test, transform, augment, batch_size = parts
        data = ir.Data(train, validation, test, transform, augment, batch_size, section.name.span)
        return self.drawn(self.cached(data, section, settings), section, settings)

    def cached(self, data: ir.Data, section: s.Section, settings: Settings) -> ir.Data:
        """Where decoded pictures are kept."""
        cache = self.optional(section, settings, "cache", self.cache)
        cache_size = self.optional(section, settings, "cache_size", self.gibibytes)
        cache, cache_size = values_of((cache, cache_size), (True, CACHE_SIZE))
        return data._replace(cache=cache, cache_size=cache_size)

    def drawn(self, data: ir.Data, section: s.Section, settings: Settings) -> ir.Data:
        """How samples are shared out, and drawn for an epoch."""
        from netc.checker import samplers

        split = self.optional(section, settings, "split", lambda key, chain: samplers.split(self, key, chain))
        balance = self.optional(section, settings, "balance", self.switch)
        sampler = self.optional(section, settings, "sampler", lambda key, chain: samplers.sampler(self, key, chain))
        split, balance, sampler = values_of((split, balance, sampler), (None, False, None))
        fields = self.optional(section, settings, "fields", self.names)
        workers = self.optional(section, settings, "workers", lambda key, chain: samplers.workers(self, key, chain))
        fields, workers = values_of((fields, workers), ((), 0))
        return data._replace(split=split, balance=balance, sampler=sampler, fields=fields, workers=workers)

    def switch(self, key: str, chain: s.Chain) -> Any:
        """True or False."""
        value = self.value(chain, "True or False")
        if value is ERROR or isinstance(value, bool):
            return value
        self.report.add("E0508", f"`{key}` is True or False", chain.span, f"this is `{value!r}`")
        return ERROR

    def dataset(self, key: str, chain: s.Chain) -> Any:
        from netc.catalog import data_fields
        from netc.catalog.data import DATASETS, DIGITS, dataset_reject
        from netc.catalog.data_official import OTHER_USES

        known = (*DATASETS, *data_fields.ENTRIES)
        step = self.single(chain, "a data set")
        callee = step.callee if isinstance(step, s.Call) else step
        if step is ERROR or not isinstance(callee, s.Name) or not callee.text[0].isupper():
            if step is not ERROR:
                self._no_dataset(key, chain, callee)
            return ERROR
        name = callee.text
        own = self.of_python(callee)
        if own is not None:
            return ERROR if own is ERROR else self.call(_taking(own, step), step)
        entry = DIGITS if name == DIGITS.name else data_fields.ENTRIES.get(name) or catalog.dataset(name)
        if entry is None:
            self.report.add(
                "E0507",
                f"there is no data set `{name}`",
                callee.span,
                help=suggestion(name, [*known, *catalog.datasets()])
                or "they have the names of torchvision.datasets; `Digits()` ships with netc",
                fix=spelling(name, callee.span, [*known, *catalog.datasets()]),
            )
            return ERROR
        if name not in known:
            self.report.add(
                "E0563", f"`{name}` is not for telling classes apart: {OTHER_USES[name]}", callee.span,
                help='pictures in a folder for each class can be read from anywhere: `ImageFolder("pictures")`',
            )  # fmt: skip
            return ERROR
        call = self.call(entry, step)
        if call is ERROR:
            return ERROR
        values = {n: a.value for n, a in call.args.items()}
        reject = dataset_reject(values, name) or data_fields.reject(values, name)
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

    def of_python(self, callee: s.Name) -> Any:
        """The entry of a class of a Python file; None where no file has it."""
        entry = self.entries.get(callee.text)
        shape: Any = None if entry is None or entry.rule is None else entry.rule.shape
        found = None if shape is None else shape.file.classes.get(callee.text)
        if found is None or found.items:
            return entry
        self.report.add(
            "E0544", f"`{callee.text}` in {shape.file.path} has no `__len__` and `__getitem__`", callee.span,
            notes=[f"in {shape.file.path}, line {found.line}"],
            help="samples are asked for by their number: write both, as for torch.utils.data.Dataset",
        )  # fmt: skip
        return ERROR

    def names(self, key: str, chain: s.Chain) -> Any:
        """A list of names."""
        step = self.single(chain, "a list of names")
        items = step.items if isinstance(step, (s.List, s.Tuple)) else ()
        if step is ERROR or (items and all(isinstance(item, s.Name) for item in items)):
            return ERROR if step is ERROR else tuple(item.text for item in items if isinstance(item, s.Name))
        self.report.add(
            "E0508", f"`{key}` is a list of names", chain.span, help=f"write `{key} = [label, image]`, without quotes"
        )
        return ERROR

    def _no_dataset(self, key: str, chain: s.Chain, callee: s.Expr) -> None:
        """Report a value that should be a data set."""
        if isinstance(callee, s.Attribute):
            last = callee.name.text
            self.report.add("E0219", f"it goes by its last name: `{last}`", callee.span, help=f"write `{last}`")
            return
        help_text = f"write `{key} = Digits()`"
        if isinstance(callee, s.String):
            known = {".csv": "CSV({}, target=…)", ".npz": "Arrays({})"}.get(callee.value[-4:].lower())
            written = (known or "ImageFolder({})").replace("{}", literal(callee.value))
            help_text = f"write `{key} = {written}`" + ("" if known else " for a folder, or name a set: `Digits()`")
        self.report.add("E0506", f"`{key}` is a data set", chain.span, help=help_text)

    def cache(self, key: str, chain: s.Chain) -> Any:
        """A folder, or False."""
        value = self.value(chain, "a folder, or False")
        if value is ERROR or value is False or (isinstance(value, str) and value):
            return value
        self.report.add(
            "E0508", f"`{key}` is a folder, or False to keep nothing", chain.span, f"this is `{value!r}`",
            help='write `cache = "cache"`; left out, it is the folder of the user\'s caches',
        )  # fmt: skip
        return ERROR

    def gibibytes(self, key: str, chain: s.Chain) -> Any:
        value = self.value(chain, "a number of GiB")
        if value is ERROR:
            return ERROR
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 2**33:
            return value
        self.report.add(
            "E0508", f"`{key}` is a number of GiB above 0", chain.span, f"this is `{value!r}`",
            help=f"write `{key} = 20`; `cache = False` keeps nothing",
        )  # fmt: skip
        return ERROR

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
            own = self.entries.get(callee.text)
            if own is not None:
                assert not isinstance(step, (s.Seq, s.Inline, s.Edited))
                of_class = own.name[0].isupper()
                call = self.call(_taking(own, step) if of_class else own._replace(params=own.params[1:]), step)
                ok = ok and call is not ERROR
                calls += [] if call is ERROR else [_own_transform(call)]
                continue
            entry = catalog.transform(callee.text)
            if entry is None:
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


def _taking(entry: Entry, step: s.Expr) -> Entry:
    """The entry of a Python class for one call, where its constructor takes anything."""
    from netc.foreign.entries import widened

    given = step.arguments if isinstance(step, s.Call) else ()
    return widened(entry, sum(a.name is None for a in given), [a.name.text for a in given if a.name is not None])


def _own_transform(call: ir.Call) -> ir.Call:
    """A transform of a Python file under its name with that of the module, which no transform of torchvision has."""
    module = call.entry.home.removeprefix("python:").replace("\\", "/").rpartition("/")[2].removesuffix(".py")
    return call._replace(entry=call.entry._replace(name=f"{module}.{call.name}"))
