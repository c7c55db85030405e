"""The rules of the IR, checked on every program that the checker passes on.

A violation is a bug of netc and raises `Violation`; it is never the user's mistake.
"""

from __future__ import annotations

from netc import ir
from netc.catalog.entry import REQUIRED
from netc.shapes import Size


class Violation(AssertionError):
    """A program that the checker should not have let through."""


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise Violation(what)


def verify(program: ir.Program) -> None:
    """Raise `Violation` where a program breaks a rule of the IR."""
    seen: set[int] = set()
    for network in program.networks:
        _network(network, seen)
    _require(program.train is None or program.trained is not None, "a train section without a network")
    for call in _calls(program):
        _call(call)
    names = {made.name for made in program.classes}
    _require(len(names) == len(program.classes), "a class twice")
    _require(all(n.name in names for n in program.networks), "a network without a class")


def _network(network: ir.Network, seen: set[int]) -> None:
    labels = {child.label for child in network.children}
    _require(len(labels) == len(network.children), f"{network.name}: a label twice")
    for child in network.children:
        _child(child, seen)


def _child(child: ir.Child, seen: set[int]) -> None:
    """Verify a child and what is in it; what several children share, once."""
    if not isinstance(child, ir.Layer):
        if id(child.children) not in seen:
            seen.add(id(child.children))
            for inner in child.children:
                _child(inner, seen)
        return
    if id(child.call) in seen:
        return
    seen.add(id(child.call))
    _call(child.call)
    for name, arg in child.call.args.items():
        _require(not _open(arg.value), f"{child.label}.{name} is not known when the network is built")


def _open(value: object) -> bool:
    if isinstance(value, (list, tuple)):
        return any(map(_open, value))
    return isinstance(value, Size)


def _call(call: ir.Call) -> None:
    names = [p.name for p in call.entry.params]
    given = list(call.args)
    _require(given == [n for n in names if n in call.args], f"{call.name}: arguments out of order or unknown")
    positional = [a.positional for a in call.args.values()]
    _require(positional == sorted(positional, reverse=True), f"{call.name}: a positional argument after a named one")
    missing = [p.name for p in call.entry.params if p.default is REQUIRED and p.name not in call.args]
    _require(not missing or call.entry.home.startswith("torch.optim.lr"), f"{call.name}: {missing} missing")


def _schedulers(schedule: object) -> list[ir.Call]:
    """A scheduler, and those that it holds."""
    if not isinstance(schedule, ir.Call):
        return []
    held = schedule.args["schedulers"].value if "schedulers" in schedule.args else ()
    assert isinstance(held, tuple)
    return [schedule, *(one for part in held for one in _schedulers(part))]


def _calls(program: ir.Program) -> list[ir.Call]:
    train, data = program.train, program.data
    found = [] if train is None else [train.optimizer, *_schedulers(train.schedule)]
    if train is not None:
        found += [train.loss] if isinstance(train.loss, ir.Call) else [call for _, call in train.loss.losses]
    if data is not None:
        found += [c for c in (data.train, data.validation, data.test) if isinstance(c, ir.Call)]
        found += [*data.transform, *data.augment]
    return found
