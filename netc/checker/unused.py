"""What a file defines and never uses, and values that a body computes and drops.

In: the tree of a file that has no mistakes. Out: warnings. Nothing is followed with numbers: a name counts as used
where any line may read it, in whichever branch, and a line counts as reading the current value unless it certainly
begins with another one. Names that begin with `_` are never reported, nor what a file without a network defines for
others.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from netc import syntax as s
from netc.checker.expressions import BUILTINS
from netc.diagnostics import Label
from netc.source import Span

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netc.checker.units import Definition, Unit
    from netc.diagnostics import Report

_WORD = re.compile(r"[^\W\d]\w*")
CURRENT = "_"
Names = frozenset[str]
# The nodes whose names are asked for, or that hold such nodes: what is in them is collected once.
_KEPT = (
    s.Body, s.Flow, s.Bind, s.Output, s.If, s.For, s.Parameter, s.Buffer, s.Declare, s.Link, s.Seq, s.Inline, s.Module,
    s.Network, s.Constant, s.Section, s.Variant,
)  # fmt: skip


def check(unit: Unit, report: Report) -> None:
    """Warn of what the file defines and doesn't use."""
    reads = _Reads()
    reads.of(unit.file)
    for definition in unit.own:
        body = definition.body
        if not isinstance(definition.node, s.Variant):
            _Flow(body, reads, report, unit).check()
        _parameters(definition, reads, report, unit)
    for node in unit.file.definitions:
        if isinstance(node, s.Constant) and node.params is not None:
            for param in _unread(node.params, reads.of(node)):
                _never_used(f"the formula `{node.name.text}`", param, report)
    if any(d.kind in ("network", "variant") for d in unit.own):
        _definitions(unit, reads, report)


def _parameters(definition: Definition, reads: _Reads, report: Report, unit: Unit) -> None:
    inside = reads.of(definition.node)
    unread = _unread(definition.params, inside)
    if unread and definition.name not in reads.values(unit.file):
        for param in unread:
            _never_used(f"the {definition.kind} `{definition.name}`", param, report)


def _unread(params: Iterable[s.Param], inside: Names) -> list[s.Param]:
    return [p for p in params if p.name.text not in inside and not p.name.text.startswith("_")]


def _never_used(of: str, param: s.Param, report: Report) -> None:
    report.add("W0803", f"{of} never uses its parameter `{param.name.text}`", param.name.span, help="remove it")


def _definitions(unit: Unit, reads: _Reads, report: Report) -> None:
    """Constants, formulas, modules, imports and Python files."""
    counts: dict[str, int] = {}
    for node in unit.file.definitions:
        for name in reads.of(node):
            counts[name] = counts.get(name, 0) + 1
    for node in unit.file.definitions:
        if isinstance(node, (s.Constant, s.Module)):
            name, what = node.name.text, "module" if isinstance(node, s.Module) else "constant"
            what = "formula" if isinstance(node, s.Constant) and node.params is not None else what
            if counts.get(name, 0) <= (name in reads.of(node)) and not name.startswith("_"):
                report.add("W0803", f"the {what} `{name}` is never used", node.name.span, help="remove it")
    imports = [node for node in unit.file.definitions if isinstance(node, s.Import)]
    for node, brought in zip(imports, unit.brought, strict=True):
        if not any(name in counts for name in (*brought.definitions, *brought.constants)):
            report.add("W0803", f'nothing of "{node.path.value}" is used', node.span, help="remove the import")
    uses = [node for node in unit.file.definitions if isinstance(node, s.Use)]
    for node, file in zip(uses, unit.files, strict=False):
        own = [name for name, entry in unit.python.items() if entry.home == f"python:{file.path}"]
        if len(uses) == len(unit.files) and not any(name in counts for name in own):
            report.add("W0803", f'nothing of "{node.path.value}" is used', node.span, help="remove the line")


def _as_values(file: s.File) -> set[str]:
    """The modules that stand where a value does: others in their place have the same parameters."""
    found: set[str] = set()
    todo: list[object] = [file]
    while todo:
        node = todo.pop()
        if isinstance(node, s.Name):
            found.add(node.text)
        elif isinstance(node, s.Link):
            step = node.step
            plain = isinstance(step, s.Name) or (isinstance(step, s.Call) and isinstance(step.callee, s.Name))
            todo += (step.arguments if isinstance(step, s.Call) else ()) if plain else (step,)
        elif isinstance(node, s.Variant) and isinstance(node.value, s.Call):
            todo += node.value.arguments
        elif isinstance(node, tuple) and type(node) is not Span:
            todo += node
    return found


class _Reads:
    """The names that a node may read, each node walked once."""

    def __init__(self) -> None:
        self._known: dict[int, Names] = {}
        self.attributes: set[str] = set()  # of all nodes that were walked
        self._values: set[str] | None = None

    def values(self, file: s.File) -> set[str]:
        """The names that stand where a value does, found when first asked for."""
        if self._values is None:
            self._values = _as_values(file)
        return self._values

    def of(self, node: object) -> Names:
        found = self._known.get(id(node))
        if found is None:
            found = self._known[id(node)] = self._walked(node)
        return found

    def _walked(self, node: Any) -> Names:
        names: set[str] = set()
        todo: list[Any] = [*node] if type(node) in _KEPT else [node]
        while todo:
            item = todo.pop()
            if type(item) in _KEPT:
                names |= self.of(item)
            elif isinstance(item, s.Name):
                names.add(item.text)
            elif isinstance(item, s.String):  # a label, computed or not
                names.update(_WORD.findall(item.value))
            elif isinstance(item, s.Attribute):
                self.attributes.add(item.name.text)
                todo.append(item.value)
            elif isinstance(item, tuple) and type(item) is not Span:
                todo += item
        return frozenset(names)


class _Flow:
    """One body, from its end to its beginning: which names are still read, the current value among them."""

    def __init__(self, body: s.Body, reads: _Reads, report: Report, unit: Unit) -> None:
        self.body = body
        self.reads = reads
        self.report = report
        self.unit = unit
        self.all = reads.of(body)
        self.inputs = [st for st in body.statements if isinstance(st, s.Input)]
        self.tensors = {st.name.text for st in self.inputs}
        self.in_seq = False
        self._note_tensors(body)

    def _note_tensors(self, body: s.Body) -> None:
        """The names that certainly stand for tensors, wherever they are bound."""
        doubtful: set[str] = set()
        for statement in _every(body):
            if isinstance(statement, (s.Parameter, s.Buffer, s.Output)):
                self.tensors.add(statement.name.text)
            elif isinstance(statement, s.Bind):
                links = statement.chain.links
                sure = len(links) > 1 or self._makes_tensor(links[0])
                (self.tensors if sure else doubtful).update(t.text for t in s.idents(statement.targets))
            elif isinstance(statement, s.For):
                doubtful.update(t.text for t in s.idents(statement.targets))
        self.tensors -= doubtful

    def _makes_tensor(self, link: s.Link) -> bool:
        """Whether a link at the head of a chain certainly gives a tensor."""
        step = link.step
        if link.label is not None or not isinstance(step, tuple) or isinstance(step, (s.Seq, s.Inline, s.Edited)):
            return True
        callee = step.callee if isinstance(step, s.Call) else None
        if isinstance(callee, s.Name) and callee.text[0].isupper():
            return True
        return self._is_tensor(step)

    def _is_tensor(self, expr: s.Expr) -> bool:
        """Whether an expression certainly is a tensor."""
        if isinstance(expr, s.Name):
            return expr.text in self.tensors or expr.text == CURRENT
        if isinstance(expr, s.Paren):
            return self._is_tensor(expr.inner)
        if isinstance(expr, s.Unary):
            return self._is_tensor(expr.operand)
        if isinstance(expr, s.Binary):
            return self._is_tensor(expr.left) or self._is_tensor(expr.right)
        if isinstance(expr, s.Call) and isinstance(expr.callee, s.Name) and expr.callee.text not in BUILTINS:
            return any(self._is_tensor(a.value) for a in expr.arguments)
        return isinstance(expr, s.Index) and self._is_tensor(expr.value)

    # --- one body ----------------------------------------------------------------------------------------------------

    def check(self) -> None:
        named = any(isinstance(st, s.Output) for st in self.body.statements)
        live = self.block(self.body.statements, frozenset() if named else frozenset({CURRENT}))
        self._inputs(live)

    def _inputs(self, live: Names) -> None:
        for statement in self.inputs:
            name = statement.name.text
            sizes = {n for n in self.reads.of(statement.shape) if n[0].isupper()}
            rest = self.reads.of(tuple(st for st in self.body.statements if not isinstance(st, s.Input)))
            alone = len(self.inputs) == 1 and CURRENT in live
            if name not in live and not alone and not sizes & rest and not name.startswith("_"):
                self.report.add(
                    "W0803", f"the input `{name}` is never used", statement.name.span,
                    help=f"remove it, or begin a line with it: `{name} -> …`",
                )  # fmt: skip

    def block(self, statements: tuple[s.Statement, ...], live: Names) -> Names:
        for statement in reversed(statements):
            live = self.statement(statement, live)
        return live

    def statement(self, st: s.Statement, live: Names) -> Names:
        """What is read from a statement on, where `live` is read behind it."""
        if isinstance(st, s.Flow):
            return self.flow(st, live)
        if isinstance(st, s.Bind):
            return self.bind(st, live)
        if isinstance(st, s.Output):
            return self.chain(st.chain, live)
        if isinstance(st, s.If):
            return self.branches(st, live)
        if isinstance(st, s.For):
            again = live | self.reads.of(st.body) | {CURRENT}
            return live | self.block(st.body.statements, again) | self.reads.of(st.iterable)
        if isinstance(st, (s.Parameter, s.Buffer, s.Declare)):
            self.held(st)
        return live if isinstance(st, s.Input) else live | self.reads.of(st)

    def held(self, st: s.Parameter | s.Buffer | s.Declare) -> None:
        """What a body declares: a further attribute of it may be read from anywhere in the file."""
        name = st.name.text if isinstance(st.name, s.Ident) else ""
        if not name or name.startswith("_") or name in self.all or name in self.reads.attributes:
            return
        if isinstance(st, s.Declare):
            said, way_out = (
                f"the layer `{name}` is declared and never applied",
                f"apply it, `_ -> {name}`, or remove it",
            )
        else:
            what = "parameter" if isinstance(st, s.Parameter) else "buffer"
            said, way_out = f"the {what} `{name}` is never used", "remove it"
        self.report.add("W0803", said, st.name.span, help=way_out)

    def branches(self, st: s.If, live: Names) -> Names:
        training = isinstance(st.branches[0][0], s.Name) and st.branches[0][0].text == "training"
        behind = frozenset[str]() if training and "training" not in self.tensors else live
        found = set(live) if st.otherwise is None else set()
        for condition, body in st.branches:
            found |= self.block(body.statements, behind) | self.reads.of(condition)
        if st.otherwise is not None:
            found |= self.block(st.otherwise.statements, behind)
        return frozenset(found)

    def flow(self, st: s.Flow, live: Names) -> Names:
        if CURRENT not in live and not self.in_seq and not self._labels_read(st):
            self.report.add(
                "W0804", "what this line computes is never used", st.chain.span, "its result is dropped",
                secondary=self._next(st), help="bind it to a name, `value = …`, or remove the line",
            )  # fmt: skip
        return self.chain(st.chain, live - {CURRENT})

    def _next(self, st: s.Flow) -> list[Label]:
        """The line behind, if it begins with another value."""
        for block in _blocks(self.body):
            for before, after in pairwise(block):
                if before is st and isinstance(after, (s.Flow, s.Bind, s.Output)):
                    head = after.chain.links[0].step
                    if not isinstance(head, (s.Seq, s.Inline, s.Edited)):
                        return [Label(head.span, "begins with another value")]
        return []

    def _labels_read(self, st: s.Flow | s.Bind) -> bool:
        """Whether a layer of this line is applied or read elsewhere, so that the line is there to declare it."""
        labels = [link.label for link in st.chain.links if link.label is not None]
        return any(isinstance(label, s.String) or label.text in self.all for label in labels)

    def bind(self, st: s.Bind, live: Names) -> Names:
        idents = s.idents(st.targets)
        dead = [i for i in idents if i.text not in live and not i.text.startswith("_")]
        if len(dead) == len(idents) and not self._labels_read(st):
            for ident in dead:
                again = ident.text in self.all
                said = f"this value of `{ident.text}` is never read"
                way_out = "remove the line, or read it before the name gets another value"
                if not again:
                    said, way_out = f"the value `{ident.text}` is never used", f"remove it, or call it `_{ident.text}`"
                self.report.add("W0803", said, ident.span, help=way_out)
        return self.chain(st.chain, live - {i.text for i in idents})

    # --- chains ------------------------------------------------------------------------------------------------------

    def chain(self, chain: s.Chain, live: Names) -> Names:
        """What is read from a chain on."""
        for link in reversed(chain.links):
            live |= self.reads.of(link.label)
            if isinstance(link.step, s.Seq):
                outer, self.in_seq = self.in_seq, True
                live = self.block(link.step.body.statements, live)
                self.in_seq = outer
            else:
                if isinstance(link.step, s.Inline):
                    _Flow(link.step.body, self.reads, self.report, self.unit).check()
                live |= self.reads.of(link.step)
        return live | {CURRENT} if self.in_seq or not self._starts_anew(chain.links[0]) else live

    def _starts_anew(self, link: s.Link) -> bool:
        """Whether a chain certainly begins with another value than the current one."""
        step = link.step
        if link.label is not None or isinstance(step, (s.Seq, s.Inline, s.Edited)):
            return False
        if CURRENT in self.reads.of(step):
            return False
        if isinstance(step, s.Name):
            return step.text in self.tensors
        if isinstance(step, s.Call):
            lower = isinstance(step.callee, s.Name) and step.callee.text[0].islower()
            return lower and self._is_tensor(step)
        return self._is_tensor(step) or (isinstance(step, s.Tuple) and all(map(self._is_tensor, step.items)))


def _every(body: s.Body) -> Iterable[s.Statement]:
    """All statements of a body, those in its blocks and seqs included, in order."""
    for block in _blocks(body):
        yield from block


def _blocks(body: s.Body) -> Iterable[tuple[s.Statement, ...]]:
    todo = [body]
    while todo:
        block = todo.pop()
        yield block.statements
        for st in block.statements:
            if isinstance(st, s.For):
                todo.append(st.body)
            elif isinstance(st, s.If):
                todo += [b for _, b in st.branches] + ([st.otherwise] if st.otherwise is not None else [])
            elif isinstance(st, (s.Flow, s.Bind, s.Output)):
                todo += [link.step.body for link in st.chain.links if isinstance(link.step, s.Seq)]


__all__ = ["check"]
