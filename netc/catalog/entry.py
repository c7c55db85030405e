"""What the catalog says about one name: its home, its parameters, and the rules that the checker and backends ask for.

Facts about a layer stand here and nowhere else: a backend that branches on a layer's name is in the wrong place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from netc.shapes import Dim, Reject, TensorType

    Args = Mapping[str, object]
    Inputs = tuple[TensorType, ...]
    Results = TensorType | tuple["Results", ...]
    Result = Results | Reject


class Required(NamedTuple):
    """The default of a parameter that has none."""

    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED: Final = Required()


class Param(NamedTuple):
    """A parameter of a signature.

    `type` is one of "int", "float", "bool", "str", "int*N" (one int or a tuple of N), "ints", "floats" (one number or
    a tuple of any length), "dtype", "tensor", "tensors", "layer", "factory", "any"; alternatives are joined with "|",
    as in "int*2|str" and "int|None". "int*N|None" also allows `None` in place of an element. "*ints" takes all
    positional arguments that are left, or one tuple of them: `permute(0, 2, 1)`; "*tensors" does so with tensors:
    `einsum("ij,jk->ik", a, b)`. `choices` are the only strings that torch takes, where they are known. A "layer" is an
    instance (`TransformerEncoder` takes one), a "factory" is what makes one from further arguments
    (`activation_layer=SiLU`); the value of either is a `LayerValue`.
    """

    name: str
    type: str
    default: object
    keyword_only: bool = False
    choices: tuple[str, ...] = ()


class LayerValue(NamedTuple):
    """A layer as an argument: `Act=ReLU`, `norm_layer=BatchNorm2d(eps=0.001)`.

    args: the arguments that are given, by name; as an argument of a rule, all of them, defaults and inferred ones
    filled in (what no input tells is missing).
    """

    entry: Entry
    args: Mapping[str, object] = {}


class Function(NamedTuple):
    """How generated code applies a stateless layer: `F.max_pool2d(x, 2, stride=2)`, `x.flatten(1)`.

    callee: Python; a method where it begins with a point.
    always: parameters of the layer that are printed even at their default, because the function's default differs.
    extra: Python that follows the arguments, such as `training=self.training`.
    keywords: parameters that are given by this keyword even where the layer takes them by position.
    spread: parameters for which the layer takes one number and the function needs a tuple of this many.
    like: parameters that are another's number where they are not given, and are printed with it.
    """

    callee: str
    always: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    keywords: Mapping[str, str] = {}
    spread: Mapping[str, int] = {}
    like: Mapping[str, str] = {}


# The layers whose `forward` takes more than one tensor; all others take one.
SEVERAL = frozenset(
    """
    Bilinear CosineSimilarity DeformConv2d EmbeddingBag GRU GRUCell LSTM LSTMCell MaxUnpool1d MaxUnpool2d MaxUnpool3d
    MultiheadAttention PSRoIAlign PSRoIPool PairwiseDistance RNN RNNCell RoIAlign RoIPool Transformer TransformerDecoder
    TransformerDecoderLayer
    """.split()
)


class Rule(NamedTuple):
    """How a layer or function acts on shapes.

    `inputs` are the tensors in the order of the signature, those of a list one by one; in `args` of a function a
    parameter that is given a tensor has that tensor's `TensorType`. Results are tuples all three of them: ask for
    `Reject` and `TensorType` before `tuple`. A layer of several results gives a tuple, nested as torch's is:
    `(output, (h, c))`; where the program takes one, it is the first.

    shape: (args, inputs) -> the result's type, several, or a `Reject`. `args` has every parameter, defaults filled in.
        `inputs` of a layer are its tensors in order, a nested tuple of them (`(h, c)`) flattened.
    infers: for each argument that follows from the inputs, (args, inputs) -> its size, or a `Reject`, also where `args`
        already has it and the inputs say otherwise. One that isn't given is missing from `args`, or REQUIRED in it.
    state: args -> the learned parameters as {name: shape}, in torch's order; empty for a layer without.
    buffers: args -> the persistent buffers as {name: (shape, dtype)}.
    macs: (args, inputs, result) -> multiply-adds of one application.
    function: the function that applies the layer without a module; None where there is none (or where it has state).
    forward: arguments of the layer's `forward` that a call may give by name beside the constructor's, such as
        `attn_mask`; they are in `args` of `shape` too, with defaults, a tensor as its `TensorType`.
    alone: arguments of `forward` to give where only the first result is wanted: `{"need_weights": False}`.
    repeat: one tensor stands for this many inputs (3 for self-attention).
    nested: what comes behind the first input is one tuple, as in `(x, (h, c))`.
    probed: the functions of the rule build and run the layer with torch, so that they are asked last.
    """

    shape: Callable[[Args, Inputs], Result]
    infers: Mapping[str, Callable[[Args, Inputs], Dim | Reject]] = {}
    state: Callable[[Args], Mapping[str, tuple[Dim, ...]]] | None = None
    buffers: Callable[[Args], Mapping[str, tuple[tuple[Dim, ...], str]]] | None = None
    macs: Callable[[Args, Inputs, TensorType], Dim] | None = None
    function: Function | None = None
    forward: tuple[Param, ...] = ()
    alone: Mapping[str, object] = {}
    repeat: int = 1
    probed: bool = False
    nested: bool = False


class Entry(NamedTuple):
    """One name of torch or torchvision: where it lives, its parameters, and its rule if it has one."""

    name: str
    home: str
    params: tuple[Param, ...]
    rule: Rule | None = None

    def default(self, name: str) -> object:
        return next(p.default for p in self.params if p.name == name)
