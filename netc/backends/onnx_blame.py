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

    import torch
    from torch.onnx import ONNXProgram

    Shapes = dict[str, tuple[int, ...]]

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


def misshapen_layer(program: ONNXProgram, module: torch.nn.Module, traced: Run, tried: Run) -> str | None:
    """The first layer whose result, by the file's own sizes, has another shape than the module gives it.

    Args:
        program: the exported network.
        module: the network that it was exported from.
        traced: the sizes and inputs of the trace, where the two agree.
        tried: sizes and inputs where they don't.
    """
    before, after = _declared_shapes(program, traced.sizes), _declared_shapes(program, tried.sizes)
    expected = _actual_shapes(module, traced.tensors)
    for name, shape in _actual_shapes(module, tried.tensors).items():
        # A layer whose last node is not its result differs at the traced sizes too; it says nothing.
        if name in after and before.get(name) == expected.get(name) and after[name] != shape:
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


def _declared_shapes(program: ONNXProgram, sizes: Mapping[str, int]) -> Shapes:
    """What the exporter noted as the shape of each layer's last result, with the sizes put in."""
    found: Shapes = {}
    for node in program.model.graph:
        scopes = literal_eval(node.metadata_props.get(_SCOPES, "[]"))
        dims = node.outputs[0].shape
        shape = None if dims is None else tuple(_size(dim, sizes) for dim in dims)
        for name in scopes[:-1]:
            found.pop(name, None)
            if shape is not None and None not in shape:
                found[name] = tuple(dim for dim in shape if dim is not None)
    return found


def _size(dim: object, sizes: Mapping[str, int]) -> int | None:
    """The value of a size as the exporter writes it, `2*(H//4)`; None where it depends on more than the symbols."""
    import sympy

    if isinstance(dim, int):
        return dim
    names = {name: sympy.Symbol(name) for name in sizes}
    try:
        value = sympy.sympify(str(dim), locals=dict(names)).subs({names[name]: size for name, size in sizes.items()})
        return int(value)
    except (sympy.SympifyError, TypeError, ValueError, SyntaxError):
        return None


def _actual_shapes(module: torch.nn.Module, tensors: tuple[torch.Tensor, ...]) -> Shapes:
    """The shape of each layer's last result, in the order in which the layers end."""
    import torch

    found: Shapes = {}

    def note(name: str) -> Any:
        def hook(_: torch.nn.Module, __: object, result: object) -> None:
            if isinstance(result, torch.Tensor):
                found.pop(name, None)
                found[name] = tuple(result.shape)

        return hook

    handles = [child.register_forward_hook(note(name)) for name, child in module.named_modules()]
    try:
        with torch.no_grad():
            module(*tensors)
    finally:
        for handle in handles:
            handle.remove()
    return found
