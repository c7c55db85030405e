"""What the forward pass of one training step keeps for its backward pass, by the facts of the catalog.

In: a checked network, its training if there is one, numbers for its open sizes. Out: bytes, and the names of what no
fact tells about, without which the bytes are too few.
Guarantees: no torch; each storage is counted once; parameters and buffers aren't counted.
"""

from __future__ import annotations

from ast import literal_eval
from typing import TYPE_CHECKING, Any, NamedTuple

from netc import catalog, ir
from netc.catalog import saved
from netc.catalog.entry import REQUIRED, LayerValue
from netc.catalog.loss_facts import CLASS_LOSSES
from netc.catalog.saved import losses, products, shaping
from netc.catalog.saved.call import Call, flat
from netc.catalog.saved.tape import Tape, Unknown, Value
from netc.checker.parameter_groups import is_frozen
from netc.shapes import Reject, Size, TensorType, evaluate
from netc.summary import weights

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from netc.catalog.entry import Entry
    from netc.catalog.saved.call import Results


class Kept(NamedTuple):
    """Bytes, and what no fact is known of, each name once."""

    bytes: int
    unknown: tuple[str, ...]


def activations(network: ir.Network, train: ir.Train | None, sizes: Mapping[str, int], cuda: bool = False) -> Kept:
    """What one step keeps, the loss included where there is one. `sizes` has a number for every open size."""
    walk = _Walk(network, train, sizes, cuda)
    walk.follow()
    if train is not None:
        walk.loss(train.loss)
    return Kept(walk.tape.bytes, tuple(dict.fromkeys(walk.unknown)))


class _Walk:
    """Plays a network on a tape, one row after the other."""

    def __init__(self, network: ir.Network, train: ir.Train | None, sizes: Mapping[str, int], cuda: bool) -> None:
        self.network, self.train, self.sizes = network, train, dict(sizes)
        self.tape = Tape(cuda)
        self.unknown: list[str] = []
        self.inputs = [self._new(i.type) for i in network.inputs]
        self.layers: dict[str, ir.Layer] = {}
        _collect(network.children, "", self.layers)
        self.parameters = self._held()
        self.rows: list[Results] = []
        self.moved: dict[ir.Source, Value] = {}  # inputs of a module that is applied again
        self.taken = {(s[0], s[1][0]) for s in self._sources() if s is not None and s[1]}

    def _held(self) -> dict[str, Value]:
        found = {}
        for w in weights(self.network):
            learns = w.trained and not (self.train is not None and is_frozen(w.path, self.train))
            found[w.path] = self.tape.parameter(w.shape, learns, w.dtype)
        return found

    def _sources(self) -> Iterable[ir.Source]:
        for row in self.network.rows:
            for several in row.sources.values():
                yield from several
        yield from (o.source for o in self.network.outputs)

    # --- rows -------------------------------------------------------------------------------------------------------

    def follow(self) -> None:
        """All rows of the network."""
        for number, row in enumerate(self.network.rows):
            self.rows.append(self._row(number, row))

    def _row(self, number: int, row: ir.Row) -> Results:
        layer = self.layers.get(row.path)
        if layer is not None and row.name not in (layer.call.name, f"{layer.label} again"):
            layer = None
        try:
            return self._applied(number, row, layer)
        except Unknown as reason:
            self.unknown.append(str(reason))
        return self._new(row.output, grad=row.output.dtype != "int64")

    def _applied(self, number: int, row: ir.Row, layer: ir.Layer | None) -> Results:
        if row.name == "index":
            return self._indexed(row)
        if row.name.endswith(" again") and layer is None:
            return self._repeated(number, row)
        if row.name in products.FUNCTIONS and not row.name.isidentifier():
            args = {"operands": self._placed(row.values["operands"], iter(row.sources[""]))}
            return products.FUNCTIONS[row.name](self.tape, Call(args, tuple(_values(args)), self._type(row.output)))
        if layer is not None:
            return self._layer(number, row, layer.call.entry, self._arguments(layer), layer.inputs)
        entry = catalog.layer(row.name)
        if entry is not None and "" in row.sources:
            return self._layer(number, row, entry, dict(row.values), ())
        return self._function(row)

    def _arguments(self, layer: ir.Layer) -> dict[str, Any]:
        entry = layer.call.entry
        forward = entry.rule.forward if entry.rule is not None else ()
        return {p.name: p.default for p in forward} | {p.name: layer.call.get(p.name) for p in entry.params}

    def _layer(
        self, number: int, row: ir.Row, entry: Entry, args: dict[str, Any], types: tuple[TensorType, ...]
    ) -> Results:
        rule = entry.rule
        fact = saved.of_layer(entry.name) if entry.home.startswith(("torch.nn", "torchvision.ops")) else None
        if rule is None or fact is None or rule.probed:
            raise Unknown(entry.name)
        given = [self._value(s, types[i] if i < len(types) else None) for i, s in enumerate(row.sources[""])]
        args = {n: self._number(v) for n, v in args.items()}
        args |= {n: self._value(s[0], row.values.get(n)) for n, s in row.sources.items() if n}
        if rule.alone and (number, 1) not in self.taken:
            args |= rule.alone
        typed = {n: _type_of(v) for n, v in args.items()}
        result = rule.shape(typed, tuple(_type_of(v) for v in given))
        if isinstance(result, Reject):
            raise Unknown(entry.name)
        own = f"{row.path}."
        held = {p.removeprefix(own): v for p, v in self.parameters.items() if p.startswith(own)} if rule.state else {}
        return fact(self.tape, Call(args, tuple(given), result, held))

    def _repeated(self, number: int, row: ir.Row) -> Results:
        """A module applied again: its rows are played once more, with these inputs."""
        inside = f"{row.path}."
        block: list[int] = []
        for i, other in enumerate(self.network.rows[:number]):
            if other.path == row.path or other.path.startswith(inside):
                block.append(i)
            elif block:
                break
        given = [self._value(s, None) for s in row.sources[""]]
        outside = list(dict.fromkeys(
            s for i in block for several in self.network.rows[i].sources.values() for s in several
            if s is not None and isinstance(s[0], int) and s[0] not in block
        ))  # fmt: skip
        if not block or len(given) != max(len(outside), 1):
            raise Unknown(row.name)
        before, self.moved = self.moved, {**self.moved, **dict(zip(outside, given, strict=False))}
        first = {i: self.rows[i] for i in block}
        for i in block:
            self.rows[i] = self._row(i, self.network.rows[i])
        last, self.moved = self.rows[block[-1]], before
        for i, value in first.items():
            self.rows[i] = value
        return last

    def _function(self, row: ir.Row) -> Results:
        entry = catalog.function(row.name)
        fact = saved.of_function(row.name)
        if entry is None or fact is None or entry.rule is None:
            raise Unknown(row.name)
        args: dict[str, Any] = {p.name: self._number(p.default) for p in entry.params}
        for name, value in row.values.items():
            args[name] = self._placed(value, iter(row.sources.get(name, ())))
        if any(p.name == "training" for p in entry.params) and "training" not in row.values:
            args["training"] = True
        given = [v for p in entry.params for v in _values(args[p.name])]
        return self._played(entry, args, given, fact, row.output)

    def _played(self, entry: Entry, args: dict[str, Any], given: list[Value], fact: Any, output: Any) -> Results:
        assert entry.rule is not None
        typed = {n: _type_of(v) for n, v in args.items()}
        result = entry.rule.shape(typed, tuple(_type_of(v) for v in given))
        if isinstance(result, Reject):
            result = self._type(output)
        found: Results = fact(self.tape, Call(args, tuple(given), result))
        return found

    def _indexed(self, row: ir.Row) -> Results:
        first, *picked = row.sources[""]
        if first is None:
            return self._new(row.output)
        x, rest = self._value(first, None), iter(picked)
        subscripts = tuple(self._placed(s, rest) for s in row.values["subscripts"])  # type: ignore[attr-defined]
        return shaping.FUNCTIONS["index"](self.tape, Call({"subscripts": subscripts}, (x,), self._type(row.output)))

    # --- values -----------------------------------------------------------------------------------------------------

    def _placed(self, value: Any, sources: Any) -> Any:
        """An argument with values for its tensors, which come from these sources in their order."""
        if isinstance(value, TensorType):
            return self._value(next(sources, None), value)
        if type(value) in (tuple, list):
            return tuple(self._placed(v, sources) for v in value)
        return self._number(value)

    def _value(self, source: ir.Source, kind: Any) -> Value:
        if source is None:
            if not isinstance(kind, TensorType):
                raise Unknown("a tensor of constants")
            return self._new(kind)
        if source in self.moved:
            return self.moved[source]
        place, path = source
        found: Any = self.parameters.get(place) if isinstance(place, str) else None
        if isinstance(place, str) and found is None:  # a buffer that isn't in the state dict
            if not isinstance(kind, TensorType):
                raise Unknown(place)
            found = self.tape.parameter(self._type(kind).shape, False, kind.dtype)
        elif isinstance(place, int):
            found = self.rows[place] if place >= 0 else self.inputs[-1 - place]
        for part in path:
            if part == "-":
                found = self.tape.like(found)
            elif not isinstance(found, Value) and isinstance(part, int):
                found = found[part]
        return found if isinstance(found, Value) else flat(found)[0]

    def _number(self, value: Any) -> Any:
        """A value with numbers for its sizes."""
        if isinstance(value, Size):
            return evaluate(value, self.sizes)
        if isinstance(value, TensorType):
            return self._type(value)
        if isinstance(value, LayerValue):
            return value._replace(args={n: self._number(v) for n, v in value.args.items()})
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return value if value is REQUIRED else type(value)(*map(self._number, value))
        return tuple(map(self._number, value)) if isinstance(value, (tuple, list)) else value

    def _type(self, kind: Any) -> Any:
        return TensorType(tuple(evaluate(d, self.sizes) for d in kind.shape), kind.dtype)

    def _new(self, kind: TensorType, grad: bool = False) -> Value:
        known = self._type(kind)
        return self.tape.new(known.shape, known.dtype, grad)

    # --- the loss -----------------------------------------------------------------------------------------------------

    def loss(self, loss: ir.Call | ir.Computed) -> None:
        """What the loss keeps, in training."""
        outputs = {o.name or "output": self._value(o.source, o.type) for o in self.network.outputs}
        try:
            if isinstance(loss, ir.Call):
                output = next(iter(outputs.values()))
                args = {p.name: loss.get(p.name) for p in loss.entry.params}
                losses.play(self.tape, loss.name, args, (output, self._label(loss.name, output)))
            else:
                names = {**{i.name: v for i, v in zip(self.network.inputs, self.inputs, strict=True)}, **outputs}
                _Terms(self, loss, names).value(loss.training)
        except Unknown as reason:
            self.unknown.append(str(reason))

    def _label(self, name: str, output: Value) -> Value:
        if name not in CLASS_LOSSES:
            return self.tape.new(output.shape)
        return self.tape.new((output.shape[0], *output.shape[2:]), "int64")


class _Terms:
    """The expressions of a loss that is computed of several tensors."""

    def __init__(self, walk: _Walk, loss: ir.Computed, names: dict[str, Value]) -> None:
        self.walk, self.names = walk, names
        self.losses = dict(loss.losses)

    def value(self, expr: ir.Expr) -> Any:
        """What an expression gives, played on the tape."""
        walk = self.walk
        if isinstance(expr, ir.Var):
            if expr.name not in self.names:
                self.names[expr.name] = walk._new(expr.type)
            return self.names[expr.name]
        if isinstance(expr, ir.Value):
            return _literal(expr.code)
        if isinstance(expr, ir.Items):
            return tuple(map(self.value, expr.items))
        if isinstance(expr, ir.Operation):
            return self._operation(expr)
        if isinstance(expr, ir.Function):
            return self._function(expr)
        raise Unknown("a part of the loss")

    def _operation(self, expr: ir.Operation) -> Value:
        right = self.value(expr.right)
        if expr.left is None:
            return self.walk.tape.like(right)
        operands = (self.value(expr.left), right)
        args = {"operands": operands}
        call = Call(args, tuple(_values(args)), self.walk._type(expr.type))
        found = products.FUNCTIONS[expr.op](self.walk.tape, call)
        assert isinstance(found, Value)
        return found

    def _function(self, expr: ir.Function) -> Results:
        given = [(name, self.value(a)) for name, a in expr.arguments]
        called = expr.callee.rpartition(".")[2]
        loss = self.losses.get(expr.callee)
        if loss is not None:
            args = {p.name: loss.get(p.name) for p in loss.entry.params}
            return losses.play(self.walk.tape, loss.name, args, tuple(v for _, v in given))
        entry, fact = catalog.function(called), saved.of_function(called)
        if entry is None or fact is None or entry.rule is None:
            raise Unknown(called)
        args = {p.name: p.default for p in entry.params}
        for i, (name, value) in enumerate(given):
            args[name or entry.params[i].name] = value
        tensors = [v for p in entry.params for v in _values(args[p.name])]
        return self.walk._played(entry, args, tensors, fact, expr.type)


def _literal(code: str) -> Any:
    try:
        return literal_eval(code)
    except (ValueError, SyntaxError):
        raise Unknown("a part of the loss") from None


def _type_of(value: Any) -> Any:
    """A value, or several, as types."""
    if isinstance(value, Value):
        return TensorType(value.shape, value.dtype)
    return tuple(map(_type_of, value)) if type(value) is tuple else value


def _values(value: Any) -> list[Value]:
    """The tensors in an argument."""
    if isinstance(value, Value):
        return [value]
    if isinstance(value, dict):
        return [x for v in value.values() for x in _values(v)]
    return [x for v in value for x in _values(v)] if type(value) is tuple else []


def _collect(children: Iterable[ir.Child], prefix: str, out: dict[str, ir.Layer]) -> None:
    for child in children:
        if isinstance(child, ir.Layer):
            out[prefix + child.label] = child
        else:
            _collect(child.children, f"{prefix}{child.label}.", out)
