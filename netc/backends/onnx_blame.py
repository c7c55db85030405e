"""Which layer is to blame when an exported network is not the network.

In: the module, the sizes it was traced at, what came out. Out: the layer's name with its class, in words for a message,
or None where nothing could be found.
Guarantees: works on copies and in its own trace; leaves the module and the exported program as they are.
Leaves to others: noticing that something is wrong.
"""

from __future__ import annotations

from ast import literal_eval
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import torch
    from torch.onnx import ONNXProgram

    Arrays = dict[str, np.ndarray[Any, Any]]

_SCOPES = "pkg.torch.onnx.name_scopes"


class Run(NamedTuple):
    """The sizes of the symbols, and inputs that have them."""

    sizes: Mapping[str, int]
    tensors: tuple[torch.Tensor, ...]


def fixing_layer(
    module: torch.nn.Module, tensors: tuple[torch.Tensor, ...], axes: tuple[Mapping[int, str], ...], symbol: str
) -> str | None:
    """The layer in which a symbolic size of the input becomes a plain number while the network is traced.

    Args:
        module: the network.
        tensors: its inputs, at the traced sizes.
        axes: for each input, which of its axes bear which symbol.
        symbol: the one that came out fixed.
    """
    import torch

    watch = _Watch(module, axes, symbol)
    dynamic = tuple(dict.fromkeys(names, torch.export.Dim.AUTO) for names in axes)
    try:
        with torch.no_grad():  # as the exporter does; some functions take another way without gradients
            torch.export.export(module, tensors, dynamic_shapes=dynamic, strict=False)
    except Exception:  # an export that fails may have passed the place that is looked for
        pass
    finally:
        watch.remove()
    return watch.culprit


class _Watch:
    """Hooks on every layer that look, as each begins and ends, whether the size is still a symbol."""

    def __init__(self, module: torch.nn.Module, axes: tuple[Mapping[int, str], ...], symbol: str) -> None:
        self.culprit: str | None = None
        self._sizes: list[int | torch.SymInt] = []
        self._places = [(i, axis) for i, names in enumerate(axes) for axis, name in names.items() if name == symbol]
        self._running: list[str] = []
        self._last: str | None = None
        self._handles: list[Any] = []
        for name, child in module.named_modules():
            label = describe_layer(name, child)
            self._handles.append(child.register_forward_pre_hook(self._begin(label)))
            self._handles.append(child.register_forward_hook(self._end(label)))

    def remove(self) -> None:
        for handle in self._handles:
            handle.remove()

    def _begin(self, label: str) -> Any:
        def hook(_: torch.nn.Module, arguments: tuple[Any, ...]) -> None:
            if not self._running:
                self._sizes = [arguments[i].shape[axis] for i, axis in self._places]
            self._look()
            self._running.append(label)

        return hook

    def _end(self, label: str) -> Any:
        def hook(*_: Any) -> None:
            self._look()
            self._running.pop()
            self._last = label

        return hook

    def _look(self) -> None:
        from torch.fx.experimental.symbolic_shapes import is_concrete_int

        if self.culprit is None and self._running and any(is_concrete_int(size) for size in self._sizes):
            inside = self._running[-1]
            # Between two layers it is a function or an operator in the body around them.
            self.culprit = inside if len(self._running) > 1 or self._last is None else f"{inside}, after {self._last}"


def diverging_layer(program: ONNXProgram, module: torch.nn.Module, traced: Run, tried: Run) -> str | None:
    """The first layer that gives another shape or other numbers in ONNX Runtime than in PyTorch.

    Args:
        program: the exported network.
        module: the network that it was exported from.
        traced: the sizes and inputs of the trace, where the two agree.
        tried: sizes and inputs where they don't.
    """
    values = _layer_values(program)
    before, after = _onnx_results(program, values, traced), _onnx_results(program, values, tried)
    expected = _module_results(module, traced)
    for name, result in _module_results(module, tried).items():
        # A layer whose last node is not its result differs at the traced sizes too; it says nothing.
        if name in after and _close(before[name], expected[name]) and not _close(after[name], result):
            return describe_layer(name, module.get_submodule(name))
    return None


def layer_of(program: ONNXProgram, message: str) -> str | None:
    """The layer that a node of the exported network stands for, the node being named in ONNX Runtime's message."""
    named = [node for node in program.model.graph if node.name and f"'{node.name}'" in message]
    if not named:
        return None
    scopes = literal_eval(named[0].metadata_props.get(_SCOPES, "['']"))
    return f"`{scopes[-2]}`" if len(scopes) > 1 and scopes[-2] else f"the node `{named[0].name}`"


def describe_layer(name: str, module: torch.nn.Module) -> str:
    """`lstm` (LSTM), or the network by its class where the name is that of the root."""
    return f"`{name}` ({type(module).__name__})" if name else f"the body of {type(module).__name__}"


def _layer_values(program: ONNXProgram) -> dict[str, str]:
    """For each layer the value in the graph that its last node gives."""
    found: dict[str, str] = {}
    for node in program.model.graph:
        for name in literal_eval(node.metadata_props.get(_SCOPES, "[]"))[:-1]:
            found[name] = str(node.outputs[0].name)
    return found


def _onnx_results(program: ONNXProgram, values: Mapping[str, str], run: Run) -> Arrays:
    """The results of all layers in ONNX Runtime; none where it does not run."""
    import onnx
    import onnxruntime

    model = program.model_proto
    known = {output.name for output in model.graph.output}
    wanted = list(dict.fromkeys(values.values()))
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted if name not in known)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        feeds = {entry.name: tensor.numpy() for entry, tensor in zip(session.get_inputs(), run.tensors, strict=True)}
        results = dict(zip(wanted, session.run(wanted, feeds), strict=True))
    except Exception:  # this is a search for a hint; that the network does not run is reported without it
        return {}
    return {layer: results[value] for layer, value in values.items()}


def _module_results(module: torch.nn.Module, run: Run) -> Arrays:
    """The last result of each layer in PyTorch, in the order in which the layers end."""
    import torch

    found: Arrays = {}

    def note(name: str) -> Any:
        def hook(_: torch.nn.Module, __: object, result: object) -> None:
            if isinstance(result, torch.Tensor):
                found.pop(name, None)
                found[name] = result.numpy()

        return hook

    handles = [child.register_forward_hook(note(name)) for name, child in module.named_modules()]
    try:
        with torch.no_grad():
            module(*run.tensors)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _close(left: np.ndarray[Any, Any], right: np.ndarray[Any, Any]) -> bool:
    import numpy as np

    return left.shape == right.shape and bool(np.allclose(left, right, rtol=1e-3, atol=1e-4, equal_nan=True))
