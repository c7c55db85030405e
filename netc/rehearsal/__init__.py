"""The rehearsal: the text of model.py is run without torch, and has to build and do what was checked.

In: a checked program and the text that was written for it. Out: nothing; `Disagreement` where the two differ. The text
runs on stand-ins of torch and torchvision, in which tensors have types and no numbers. For every network, called as the
file calls it, the tree that its constructor builds is compared with the checker's (children, their order, every
argument, parameters and buffers), and then each application in `forward` with the shape that it gives, in order; sizes
that are symbols for the checker are the same symbols here. Guarantees: nothing is imported, read or written by the
text. Leaves to others: numbers, which only torch can compute.
"""

from __future__ import annotations

import gc
from _thread import allocate_lock
from typing import TYPE_CHECKING, Any

from netc.rehearsal.comparison import Disagreement, Trees, compare_outputs, compare_steps
from netc.rehearsal.libraries import namespace
from netc.rehearsal.modules import Module
from netc.rehearsal.tensors import Frame, Tensor, restart, stage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from netc import ir

__all__ = ["Disagreement", "rehearse"]
_alone = allocate_lock()  # the stand-ins share one stage


def rehearse(
    text: str, networks: Sequence[ir.Network], python: Sequence[ir.PythonFile] = (),
    arguments: Mapping[str, object] | None = None,
) -> None:  # fmt: skip
    """Raise `Disagreement` where the networks in a text aren't those that were checked.

    `python` are the files that the text imports, for which stand-ins are made; `arguments` are what the networks are
    built with, their own defaults where it is left out.
    """
    with _alone:
        restart()
        collecting = gc.isenabled()
        gc.disable()  # nothing is let go of before the end
        try:
            _rehearse(text, networks, python, arguments or {})
        finally:
            restart()  # which lets go of what was built
            if collecting:
                gc.enable()


def _rehearse(
    text: str, networks: Sequence[ir.Network], python: Sequence[ir.PythonFile], arguments: Mapping[str, object]
) -> None:
    names = namespace(python)
    _run("the generated code", lambda: exec(compile(text, "model.py", "exec"), names))
    trees = Trees()
    trains = "if self.training" in text
    for network in networks:
        module = _run(network.name, lambda network=network: names[network.name](**arguments))
        trees.network(network, module)
        _compare_forward(network, module, trains)


def _compare_forward(network: ir.Network, module: Module, trains: bool) -> None:
    """Follow `forward` in evaluation, and in training where the text tells them apart."""
    for stage.training in (True, False) if trains else (False,):
        stage.frame = Frame(None)
        inputs = [Tensor(i.type) for i in network.inputs]
        result = _run(f"{network.name}.forward", lambda inputs=inputs: module(*inputs))
        followed = stage.training or not any(o.training for o in network.outputs)
        if followed:
            compare_steps(network, stage.frame.steps, stage.training)
        compare_outputs(network, result, stage.training, followed)


def _run(what: str, call: Any) -> Any:
    """Whatever generated code raises is a bug of netc."""
    try:
        return call()
    except Exception as problem:
        raise Disagreement(f"{what} fails where the checker saw no mistake: {problem}{_place(problem)}") from problem


def _place(problem: Exception) -> str:
    """The line of the generated code in which something was raised."""
    line, at = None, problem.__traceback__
    while at is not None:
        line = at.tb_lineno if at.tb_frame.f_code.co_filename == "model.py" else line
        at = at.tb_next
    return "" if line is None else f" (line {line} of model.py)"
