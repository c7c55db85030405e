"""One check of a file: the instances that were followed, and the modules in general.

In: the units of a file. Out: for each network its instance, and for each module that is used its general form. One
instance is followed once for the same arguments and input types. Guarantees: a module that holds itself is reported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from netc import ir
from netc import syntax as s
from netc.checker import sources
from netc.checker.arithmetic import pay
from netc.checker.body import Body
from netc.checker.expressions import ERROR
from netc.checker.recorder import NoExpression, Recorder
from netc.checker.units import Definition
from netc.checker.values import Tensor, TensorTuple, key_of
from netc.diagnostics import Label, Report
from netc.identifiers import CLASS_NAMES
from netc.limits import MODULE_LEVELS, ROW, spend
from netc.shapes import TensorType

if TYPE_CHECKING:
    from netc.catalog.entry import Entry
    from netc.checker.memory import Remembered
    from netc.checker.values import LayerRef
    from netc.source import Span


# The mistakes that hang on what a module is given, so that the call has a part in them.
OF_SIZES = ("E0309", "E0401", "E0402", "E0404", "E0405", "E0406")


class Instance(NamedTuple):
    """A module with its arguments and inputs: what it is made of, and what it gives."""

    values: dict[str, Any]
    inputs: tuple[TensorType, ...]
    held: tuple[ir.Held, ...]
    children: tuple[ir.Child, ...]
    rows: tuple[ir.Row, ...]
    outputs: tuple[ir.Output, ...]
    types: Any
    declared: tuple[ir.Input, ...]
    looked_up: dict[str, int]
    decisions: tuple[bool, ...]  # of its conditions, in order
    sources: Any  # of what it gives


class General(NamedTuple):
    """A module in general: its body as it was recorded, and what its symbols stand for."""

    definition: Definition
    body: Body
    recorder: Recorder
    result: Any
    sizes: dict[str, tuple[int, int]]  # symbol -> input and axis
    parameters: dict[str, str]  # symbol -> parameter
    defaults: dict[str, Any]

    def result_at(self, place: tuple[int, ...]) -> TensorType | None:
        found = self.result
        for i in place:
            if isinstance(found, TensorType) or i >= len(found):
                return None
            found = found[i]
        return found if isinstance(found, TensorType) else None


class Asked(NamedTuple):
    """What a module in general asked of the modules that one of its steps builds, and what it was told."""

    owner: Definition
    callee: s.Name | None  # a parameter that stands for the modules
    definition: Definition
    targets: list[Any]
    generals: list[General]
    convention: list[tuple[str, int, int]]


class Followed(NamedTuple):
    """What the general form of a module hangs on beside its text: as long as that stays, so does the form."""

    asked: list[Asked]
    exports: dict[tuple[tuple[int, ...], int], str]
    instances: int  # 0 where the form is complete, so that no further instance can better it


class Session:
    """The memory of one check."""

    def __init__(self, report: Report, probing: bool = False, reserved: frozenset[str] = frozenset()) -> None:
        self.report = report
        self.broken: set[Definition] = set()  # variants whose arguments are wrong
        self.site: Span | None = None  # of the call whose module is being followed
        self.open: list[Definition] = []
        self.known: dict[Any, Instance | None] = {}
        self.instances: dict[Definition, list[Instance]] = {}
        self.inlined: dict[int, Definition] = {}
        self.generals: dict[Definition, General] = {}
        self.earlier: dict[Definition, General] = {}  # of the round before
        self.followed: dict[Definition, Followed] = {}
        self.asking: list[list[Asked]] = []  # of the modules that are being followed in general
        self.noted: dict[tuple[int, Span], list[Definition]] = {}
        self.calls: dict[Any, Remembered] = {}
        self.computed: dict[Any, Any] = {}  # values of formulas by the formula's identity and its arguments
        self.words: dict[int, tuple[s.Expr, tuple[str, ...]]] = {}  # the names in a step, by its identity
        self.own_labels: dict[int, dict[Span, str]] = {}  # of layers given as arguments that stand without one
        self.following: list[Definition] = []  # in general
        self.given: dict[tuple[int, Span], list[LayerRef]] = {}  # what a step with a layer as a parameter was given
        self.optional: dict[int, bool] = {}
        self.states: dict[int, tuple[ir.Layer, dict[str, Any]]] = {}  # of layers by their identity
        self.formulas: dict[str, tuple[ir.Expr, dict[str, str]]] = {}  # of tensors: the body, and what it is given
        self.numbered: set[tuple[Definition, str]] = set()  # parameters that are only ever None, and would be numbers
        self.instead: dict[int, int] = {}  # rule of a path -> the rule of a type before it that it stands in for
        self.names: dict[Definition, str] = {}
        self.taken: dict[str, Definition | None] = {}
        self.demanded: dict[Definition, list[tuple[str, int, int]]] = {}  # role, input, axis
        self.exports: dict[Definition, dict[tuple[tuple[int, ...], int], str]] = {}
        self.probing = probing  # layers that have to be run to know their shapes may be run
        self.deferred = False  # such a layer was met, and not run
        self.reserved = reserved
        self.models: dict[str, Entry] = {}
        self.used: dict[tuple[str, str], str] = {}  # home and name of what is Python's -> its name in model.py
        self.sizes: dict[tuple[int, str], set[int]] = {}  # inferred sizes of an edit's layer, over all instances
        self.stands: dict[str, int] = {}  # modules that are put into a model -> a number of their own
        self.foreign: dict[Definition, dict[str, None]] = {}  # the Python of classes that init rules pass over

    # --- instances ---------------------------------------------------------------------------------------------------

    def instance(
        self, definition: Definition, values: dict[str, Any], inputs: tuple[TensorType, ...], caller: Body, span: Span,
        taken: tuple[Tensor, ...],
    ) -> Instance | None:  # fmt: skip
        """A module for these arguments and inputs; None with the reason in the report."""
        from netc.checker import modules

        for value in values.values():
            pay(value)
        values = {n: v for d, n, v in _fixed(definition, values)} | values
        definition = modules.base(definition)
        key = (definition, key_of(values), inputs)
        if key in self.known and (self.known[key] is not None or caller.report is self.report):
            return self.known[key]
        if definition in self.open:
            circle = " -> ".join([d.name for d in self.open[self.open.index(definition) :]] + [definition.name])
            caller.report.add(
                "E0238", f"the module `{definition.name}` holds itself", span, notes=[circle],
                help="a module is built with all that it holds: repeat a block with `for`",
            )  # fmt: skip
            return None
        if len(self.open) > MODULE_LEVELS:
            message = f"modules hold each other here, more than {MODULE_LEVELS} levels deep"
            caller.report.add("E0114", message, span, help="hold fewer modules in each other")
            return None
        foreign = definition.unit is not caller.owner.unit
        report = Report() if foreign else caller.report
        outer, self.site = self.site, None if foreign else span
        self.open.append(definition)
        before = report.count
        body = self.follow(definition, values, inputs, report)
        self.open.pop()
        if definition.kind == "module" and not foreign:
            report.explain(before, OF_SIZES, Label(span, "with these arguments and inputs"))
        self.site = outer
        if body.declared != len(inputs) and not report.failed:
            _refuse_count(definition, body.declared, taken, len(inputs), caller, span)
            self.remember(key, None, caller)
            return None
        if foreign and report.failed:
            refuse_foreign(definition, report, caller.report, span)
        made = self.finished(definition, body, values, inputs, span, caller.report)
        self.remember(key, made, caller)
        return made

    def remember(self, key: Any, made: Instance | None, caller: Body) -> None:
        """Keep an instance; a mistake in it only where it has been reported."""
        if made is not None or caller.report is self.report:
            self.known[key] = made

    def follow(
        self, definition: Definition, values: dict[str, Any], inputs: tuple[TensorType, ...] | None, report: Report,
        recorder: Recorder | None = None,
    ) -> Body:  # fmt: skip
        """Follow a body once."""
        from netc.checker import state

        spend(ROW + len(definition.unit.constants) // 64)
        complete = dict(values)
        body = Body(self, definition, report, complete, inputs, recorder)
        for param in definition.params:
            if param.name.text not in complete and param.default is not None:
                value = body.evaluate(param.default)
                if recorder is not None:
                    value = recorder.witness(value)
                complete[param.name.text] = value
            elif param.name.text not in complete:
                complete[param.name.text] = ERROR
        body.set_parameters({p.name.text: complete[p.name.text] for p in definition.params})
        body.run()
        if not report.failed:
            state.fills(body)
        if recorder is not None:
            state.settle(body)
        return body

    def finished(
        self, definition: Definition, body: Body, values: dict[str, Any], inputs: tuple[TensorType, ...], span: Span,
        report: Report,
    ) -> Instance | None:  # fmt: skip
        """What a body that was followed is made of; None where a mistake was found in it."""
        if body.fruitless is not None and not body.report.failed:
            body.report.add(
                "E0233", "what `if training` computes goes nowhere: only outputs leave it", body.fruitless,
                help="name the result, `output aux = …`",
            )  # fmt: skip
        result = result_of(body)
        if result is None or body.report.failed or body.broken:
            if not body.report.failed and not report.failed and body.outputs and not self.deferred:
                report.add(
                    "E0223", f"the {definition.kind} `{definition.name}` has outputs in training only",
                    definition.span, help="give one that evaluation has as well, outside of `if training`",
                )  # fmt: skip
            elif not body.report.failed and not report.failed and not self.deferred:
                report.add(
                    "E0223", f"the {definition.kind} `{definition.name}` computes nothing", definition.span,
                    help="write its layers as a chain: `conv1: Conv2d(6, 5) -> ReLU`",
                )  # fmt: skip
            return None
        if isinstance(body.current, TensorTuple) and body.current.names and not body.outputs:
            from netc.checker.python_layers import not_one

            not_one(body, body.current, body.owner.body.statements[-1].span)
            return None
        types, outputs = result
        made = Instance(
            dict(body.parameters), inputs, tuple(body.held), tuple(body.children), tuple(body.rows), outputs, types,
            tuple(body.inputs), body.looked_up, tuple(body.decisions), _sources(body),
        )  # fmt: skip
        self.instances.setdefault(definition, []).append(made)
        return made

    # --- definitions -------------------------------------------------------------------------------------------------

    def inline(self, owner: Definition, node: s.Inline, label: str, captured: tuple[str, ...]) -> Definition:
        """The definition of a module that is written where it is used."""
        if id(node) not in self.inlined:
            words = "".join(w[:1].upper() + w[1:] for w in label.split("_") if w) or "Part"
            name = "".join(ch for ch in words if ch.isascii() and ch.isalnum())
            name = name if name[:1].isalpha() else f"Part{name}"
            made = Definition(node, name, owner.unit, "inline")
            made.params = tuple(s.Param(s.Ident(n, node.span), None, node.span) for n in captured)
            self.inlined[id(node)] = made
        return self.inlined[id(node)]

    def class_name(self, definition: Definition) -> str:
        """The name of a definition's class; one that is taken by another file's gets a number."""
        if definition not in self.names:
            base = name = definition.name
            number = 2
            while name in self.taken or name in CLASS_NAMES:
                name, number = f"{base}{number}", number + 1
            self.names[definition] = name
            self.taken[name] = definition
        return self.names[definition]

    def python_name(self, entry: Entry) -> str:
        """The name of a Python class or function in model.py; one that is taken gets a number."""
        key = entry.home, entry.name
        if key not in self.used:
            base = name = entry.name
            number = 2
            reserved = {*self.taken, *self.used.values(), *self.reserved, *_OWN_NAMES}
            while name in reserved:
                name, number = f"{base}{number}", number + 1
            self.used[key] = name
            if name[0].isupper():
                self.taken[name] = None
        return self.used[key]

    def note_target(self, owner: Definition, callee: s.Name, definition: Definition) -> None:
        """Remember which modules a step with a module as a parameter builds."""
        found = self.noted.setdefault((id(owner), callee.span), [])
        if definition not in found:
            found.append(definition)

    def targets(self, owner: Definition, callee: s.Name | None, definition: Definition) -> list[Any]:
        """The modules that a step was seen to build."""
        return list(self.noted.get((id(owner), callee.span), [definition])) if callee is not None else [definition]

    def note_optional(self, rule: s.Rule, optional: bool) -> None:
        self.optional[id(rule)] = self.optional.get(id(rule), False) or optional

    def is_optional(self, rule: s.Rule) -> bool:
        return self.optional.get(id(rule), False)

    # --- in general --------------------------------------------------------------------------------------------------

    def general(self, definition: Definition) -> General:
        """A module in general, followed on one of its instances; that of the round before where it still holds."""
        from netc.checker import classes, modules

        definition = modules.base(definition)
        if definition not in self.generals:
            earlier = self.earlier.get(definition)
            if earlier is None or not self._holds(definition):
                if definition in self.following:
                    said = f"`{definition.name}` is built again inside of what it is given"
                    raise NoExpression(said, "write a second module for the inner one")
                self.asking.append([])
                self.following.append(definition)
                earlier, seen = classes.generalize(self, definition)
                self.following.pop()
                exports = dict(self.exports.get(definition, {}))
                self.followed[definition] = Followed(self.asking.pop(), exports, seen)
            self.generals[definition] = earlier
        return self.generals[definition]

    def _holds(self, definition: Definition) -> bool:
        """Whether a module would be the same if it were followed again."""
        asked, exports, seen = self.followed[definition]
        if exports != self.exports.get(definition, {}) or (seen and seen != len(self.instances.get(definition, []))):
            return False
        for before in asked:
            now = self._answer(before.owner, before.callee, before.definition)
            if now.targets != before.targets or now.convention != before.convention:
                return False
            if not all(map(_alike, now.generals, before.generals)):
                return False
        return True

    def ask(self, owner: Definition, callee: s.Name | None, definition: Definition) -> Asked:
        """What a step builds in general: the modules, each in general, and the sizes that all of them are given."""
        told = self._answer(owner, callee, definition)
        if self.asking:
            self.asking[-1].append(told)
        return told

    def _answer(self, owner: Definition, callee: s.Name | None, definition: Definition) -> Asked:
        targets = self.targets(owner, callee, definition)
        generals = [self.general(t) for t in targets if isinstance(t, Definition)]
        return Asked(owner, callee, definition, targets, generals, self.convention(targets))

    def convention(self, targets: list[Any]) -> list[tuple[str, int, int]]:
        """The sizes of its inputs that each of these modules is given, in order: what any of them needs."""
        from netc.checker import modules

        found: list[tuple[str, int, int]] = []
        for target in targets:
            if isinstance(target, Definition):
                self.general(target)
                for need in self.demanded.get(modules.base(target), []):
                    if need[1:] not in [f[1:] for f in found]:
                        found.append(need)
        for target in targets:
            if isinstance(target, Definition):
                self.demanded[modules.base(target)] = list(found)
        return found


def _alike(a: General, b: General) -> bool:
    """Whether two forms of a module are the same to those that build it."""
    return a is b or a[3:] == b[3:]


# What generated code may import or define by itself.
_OWN_NAMES = (
    "Tensor", "F", "NamedTuple", "Callable", "partial", "fnmatch", "nn", "torch", "math", "models", "ops", "self", "m",
    "part", "kept", "name", "p",
)  # fmt: skip


def _refuse_count(
    definition: Definition, count: int, taken: tuple[Tensor, ...], arrive: int, caller: Body, span: Span
) -> None:
    labels = dict.fromkeys(Label(t.made.span, "given here") for t in taken if t.made is not None)
    takes = f"{count} input{'s' * (count != 1)}"
    caller.report.add(
        "E0408", f"`{definition.name}` takes {takes}, and {arrive} arrive", span, secondary=labels,
        help="give several inputs as `(a, b) -> …`" if count > arrive else None,
    )  # fmt: skip


def refuse_foreign(definition: Definition, found: Report, report: Report, span: Span) -> None:
    """Report a mistake in a module or network of another file at the place that builds it."""
    first = found.errors[0]
    line = definition.unit.source.position(first.primary.span.start)[0]
    report.add(
        "E0409", f"`{definition.name}` can't be built like this: {first.message}", span,
        notes=[f"in {definition.unit.source.name}, line {line}"],
    )  # fmt: skip


def _fixed(definition: Definition, values: dict[str, Any]) -> list[tuple[Definition, str, Any]]:
    """What a variant, and the variants that it stands on, fix."""
    out: list[tuple[Definition, str, Any]] = []
    while definition.base is not None:
        fixed = definition.unit.fixed.get(definition.name, {})
        out = [(definition, n, v) for n, (v, _) in fixed.items()] + out
        definition = definition.base
    return out


def result_of(body: Body) -> tuple[Any, tuple[ir.Output, ...]] | None:
    """The types that a body gives, and its outputs; None where there are none."""
    if body.outputs:
        outputs = [ir.Output(n, t.type, training, t.source) for n, t, training in body.outputs if n not in body.absent]
        outputs.sort(key=lambda o: o.training)
        kept = [o.type for o in outputs if not o.training]
        if not kept:
            return None
        return (kept[0] if len(kept) == 1 else tuple(kept)), tuple(outputs)
    value = body.current
    if isinstance(value, Tensor) and (body.started or body.arriving is not None):
        return value.type, (ir.Output("", value.type, source=value.source),)
    if isinstance(value, TensorTuple):
        from netc.checker.functions import types

        result = types(value)
        found = zip(_flat(result), sources.of(value), strict=True)
        return result, tuple(ir.Output(str(i), t, source=came) for i, (t, came) in enumerate(found))
    return None


def _sources(body: Body) -> Any:
    """Where that comes from which `result_of` tells the types of."""
    if not body.outputs:
        return sources.nested(body.current)
    kept = tuple(t.source for n, t, training in body.outputs if not training and n not in body.absent)
    return kept[0] if len(kept) == 1 else kept


def _flat(types: Any) -> list[TensorType]:
    return [types] if isinstance(types, TensorType) else [t for part in types for t in _flat(part)]
