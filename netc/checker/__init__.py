"""The checker: from the surface tree to the checked program.

In: a parsed file and its source. Out: an `ir.Program`, or None with every mistake in the report.
Guarantees: a program that comes out has every name resolved, every argument bound, every shape known, and sections that
agree with each other. Leaves to `ir.verify` that this is really so, and to the backends the writing of Python.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc import ir
from netc import syntax as s
from netc.checker import sections, symbolic
from netc.checker.expressions import ERROR, Evaluator
from netc.checker.network import NetworkChecker
from netc.checker.python_text import text
from netc.checker.values import Tensor
from netc.diagnostics import Label
from netc.identifiers import python_name, valid_name

if TYPE_CHECKING:
    from netc.diagnostics import Report
    from netc.source import Source


def check(file: s.File, source: Source, report: Report, stem: str) -> ir.Program | None:
    """Check a file. `stem` is the name that builds and runs are filed under."""
    definitions = _definitions(file, report)
    constants, evaluated = _constants(file, report)
    networks: list[ir.Network] = []
    complete = True
    for definition in file.definitions:
        if isinstance(definition, s.Network):
            network = _network(definition, source, report, evaluated, definitions)
            complete = complete and network is not None
            if network is not None:
                networks.append(network)
        elif not isinstance(definition, (s.Constant, s.Section, s.Broken)):
            _not_yet(definition, report)
    found = sections.collect(file, report)
    if not any(isinstance(d, (s.Network, s.Variant, s.Broken)) for d in file.definitions):
        _no_network(file, source, report)
    data, train, trained = sections.check(found, networks, complete, evaluated, report)
    if report.failed:
        return None
    used = {name for network in networks for name in _used_constants(network)}
    kept = tuple(c for c in constants if c.name in used)
    return ir.Program(stem, kept, tuple(networks), trained, data, train)


def _definitions(file: s.File, report: Report) -> dict[str, s.Definition]:
    """Everything that the file defines, by name; a name twice is reported."""
    found: dict[str, s.Definition] = {}
    for definition in file.definitions:
        if isinstance(definition, (s.Import, s.Use, s.Section, s.Broken)):
            continue
        name = definition.name
        if name.text in found:
            first = found[name.text]
            assert not isinstance(first, (s.Import, s.Use, s.Broken))
            report.add(
                "E0208",
                f"`{name.text}` is defined twice",
                name.span,
                "again",
                secondary=[Label(first.name.span, "first here")],
                help="rename one of them",
            )
        found[name.text] = definition
    return found


def _constants(file: s.File, report: Report) -> tuple[list[ir.Constant], dict[str, Any]]:
    """The constants of the file in their order, and their values."""
    evaluator = Evaluator(report, {})
    constants: list[ir.Constant] = []
    for definition in file.definitions:
        if not isinstance(definition, s.Constant):
            continue
        name = definition.name
        if definition.params is not None:
            evaluator.not_yet(name.span, "a formula")
            value = ERROR
        else:
            value = evaluator.evaluate(definition.value)
        if valid_name(name.text, name.span, report) and value is not ERROR:
            constants.append(ir.Constant(name.text, text(definition.value, python_name)))
        evaluator.env[name.text] = value
    return constants, evaluator.env


def _used_constants(network: ir.Network) -> set[str]:
    """The identifiers in the Python of a network's arguments; those that are constants of the file have to be there."""
    found: set[str] = set()

    def words(code: str) -> None:
        found.update("".join(c if c.isalnum() or c == "_" else " " for c in code).split())

    def visit(node: object) -> None:
        if isinstance(node, (ir.Arg, ir.Value, ir.Constant)):
            words(node.code)
        elif isinstance(node, dict):
            for value in node.values():
                visit(value)
        elif isinstance(node, tuple):
            for item in node:
                visit(item)

    visit((network.constants, network.children, network.body, network.result))
    return found


def _not_yet(definition: s.Definition, report: Report) -> None:
    what = {s.Import: "an `import`", s.Use: "a `use`", s.Module: "a `module`", s.Variant: "a variant of a network"}
    span = definition.span
    if isinstance(definition, s.Module):
        span = definition.name.span
    Evaluator(report, {}).not_yet(span, what[type(definition)])


def _no_network(file: s.File, source: Source, report: Report) -> None:
    at = file.definitions[0].span if file.definitions else type(file.span)(0, min(1, len(source.text)))
    report.add(
        "E0200",
        "the file defines no network",
        at,
        help="a network is written as `network Name { input x: [N, 3, 32, 32]; … }`",
    )


def _network(
    definition: s.Network,
    source: Source,
    report: Report,
    constants: dict[str, Any],
    definitions: dict[str, s.Definition],
) -> ir.Network | None:
    """Check one network: first for its parameters' defaults, then for its parameters as symbols."""
    failed_before = len(report.errors)
    _check_name(definition.name, report)
    parameters = _parameters(definition, report, constants)
    checker = NetworkChecker(source, report, constants, definitions)
    checker.parameters = {p.name: p.default for p in parameters}
    checker.env |= checker.parameters
    checker.env |= {p.name.text: ERROR for p in definition.params if p.name.text not in checker.parameters}
    checker.run(definition.body)
    result = checker.current
    broken = any(isinstance(statement, s.Broken) for statement in definition.body.statements)
    if not checker.inputs and not any(isinstance(st, (s.Input, s.Broken)) for st in definition.body.statements):
        report.add(
            "E0222",
            f"the network `{definition.name.text}` declares no input",
            definition.name.span,
            help="begin it with `input x: [N, 3, 32, 32]`, the batch first",
        )
    elif broken or result is ERROR or len(report.errors) > failed_before:
        return None
    elif not (isinstance(result, Tensor) and checker.body):
        report.add(
            "E0223",
            f"the network `{definition.name.text}` computes nothing",
            definition.name.span,
            help="write its layers as a chain: `conv1: Conv2d(6, 5) -> ReLU`",
        )
    if len(report.errors) > failed_before or not isinstance(result, Tensor):
        return None
    network = assemble(definition, parameters, checker, result)
    return symbolic.generalize(network, definition, source, constants, definitions)


def _check_name(name: s.Ident, report: Report) -> None:
    if name.text in ("Tensor", "F"):
        message = f"a network can't be called `{name.text}`, which is a name of generated code"
        report.add("E0212", message, name.span, help=f"call it `{name.text}Net`")


def assemble(
    definition: s.Network, parameters: tuple[ir.Parameter, ...], checker: NetworkChecker, result: Tensor
) -> ir.Network:
    """The network of a checker that has run."""
    return ir.Network(
        definition.name.text,
        parameters,
        tuple(checker.locals),
        tuple((name, checker.attribute(name)) for name in _in_order(checker)),
        tuple(checker.inputs),
        tuple(checker.children),
        tuple(checker.body),
        result.expr,
        result.type,
        tuple(checker.rows),
        definition.span,
    )


def _in_order(checker: NetworkChecker) -> list[str]:
    """What `forward` reads of the constructor's names, in the order of their declaration."""
    return [n for n in (*checker.parameters, *(c.name for c in checker.locals)) if n in checker.stored]


def _parameters(definition: s.Network, report: Report, constants: dict[str, Any]) -> tuple[ir.Parameter, ...]:
    """The parameters with their defaults; a network that stands by itself needs one for each."""
    evaluator = Evaluator(report, constants)
    out: list[ir.Parameter] = []
    seen: dict[str, s.Param] = {}
    for param in definition.params:
        name = param.name.text
        if name in seen:
            report.add(
                "E0208",
                f"the parameter `{name}` is declared twice",
                param.name.span,
                "again",
                secondary=[Label(seen[name].name.span, "first here")],
                help="rename one of them",
            )
            continue
        seen[name] = param
        if not valid_name(name, param.name.span, report):
            continue
        if param.default is None:
            report.add(
                "E0224",
                f"the parameter `{name}` has no default",
                param.name.span,
                help=f"give it one, as in `{name} = 10`, so that the network can be built",
            )
            continue
        if (
            isinstance(param.default, s.Name)
            and param.default.text[0].isupper()
            and param.default.text not in constants
        ):
            evaluator.not_yet(param.default.span, "a layer as an argument")
            continue
        value = evaluator.evaluate(param.default)
        if value is not ERROR:
            out.append(ir.Parameter(name, value, param.span))
    return tuple(out)
