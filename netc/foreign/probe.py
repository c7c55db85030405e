"""Python layers and pretrained models on torch's meta device: the one place where the checker meets torch.

In: a `Recipe` and the types of the inputs, all of them numbers. Out: the module without numbers, the types that it
gives, its parameters and multiply-adds; or a `Raised` with what went wrong and where.
Guarantees: the weights of a pretrained model are never fetched, only its form is made; initialisers do nothing, so that
nothing is allocated that counts; the random state, `sys.modules` and `sys.path` are left as they were; what a file
prints is not shown. A file is imported once for each check.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import random
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from netc.catalog.entry import Entry, LayerValue
from netc.foreign import Raised, raised
from netc.foreign.importing import importable
from netc.foreign.recipe import file_of
from netc.foreign.source import PythonFile, Written
from netc.shapes import TensorType

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from netc.foreign.recipe import Edit, Recipe

_LONGEST = 300  # characters of a message


class Outcome(NamedTuple):
    """types: of the result, nested as it is; names: the keys of a dictionary, or of a named tuple.

    macs: the multiply-adds, as far as torch counts them: convolutions and products of matrices.
    """

    types: Any
    names: tuple[str, ...] = ()
    macs: int = 0


# --- the world around ------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _quiet(initialised: bool = False) -> Iterator[None]:
    """Nothing is printed, warned of or drawn, nor initialised unless that is asked for."""
    names = [] if initialised else [n for n in dir(nn.init) if n.endswith("_") and not n.startswith("_")]
    before = {n: getattr(nn.init, n) for n in names}
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(torch.random.fork_rng(devices=[]))
        stack.callback(random.setstate, random.getstate())
        stack.enter_context(torch.no_grad())
        try:
            for name in names:
                setattr(nn.init, name, lambda tensor, *_, **__: tensor)
            yield
        finally:
            for name, function in before.items():
                setattr(nn.init, name, function)


class _Unfetched(dict[str, Tensor]):
    """In the place of the weights of a pretrained model."""


@contextlib.contextmanager
def without_weights() -> Iterator[None]:
    """Models of torchvision are made in the form that their weights ask for, and no weights are fetched."""
    from torchvision.models._api import WeightsEnum

    fetch, fill = WeightsEnum.get_state_dict, nn.Module.load_state_dict

    def skipped(self: nn.Module, state: Any, *args: Any, **named: Any) -> Any:
        return None if isinstance(state, _Unfetched) else fill(self, state, *args, **named)

    WeightsEnum.get_state_dict = lambda self, *_, **__: _Unfetched()
    nn.Module.load_state_dict = skipped  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        WeightsEnum.get_state_dict = fetch
        nn.Module.load_state_dict = fill  # type: ignore[method-assign]


def load(file: PythonFile) -> Any:
    """The module of a file. Its class and function objects are those of this check alone.

    Raises:
        Exception: whatever the file raises.
    """
    with importable(file.companions):
        return importlib.import_module(file.module)


def _loaded(file: PythonFile) -> Any:
    """The module of a file, or a `Raised`; imported once."""
    if file.loaded is None:
        try:
            with _quiet():
                found: Any = load(file)
        except KeyboardInterrupt:
            raise
        except BaseException as problem:
            found = _told("E0704", "importing the file raises", problem, file)
        file.loaded = found
    return file.loaded


def _told(code: str, what: str, problem: BaseException, file: PythonFile | None) -> Raised:
    """A refusal with the exception and the line of the user's file that it comes from."""
    said = " ".join(str(problem).split())
    said = said if len(said) <= _LONGEST else said[:_LONGEST] + "…"
    notes: list[str] = []
    own = {str(p.resolve()): p for p in file.companions} if file is not None else {}
    for frame in traceback.extract_tb(problem.__traceback__)[::-1]:
        found = own.get(str(Path(frame.filename).resolve()))
        if found is not None:
            notes.append(f"in {found}, line {frame.lineno}: {(frame.line or '').strip()}".rstrip(": "))
            break
    else:
        if isinstance(problem, SyntaxError) and problem.filename is not None:
            notes.append(f"in {problem.filename}, line {problem.lineno}")
    if "meta" in said and ("copy out" in said or "item()" in said or "no data" in said):
        notes.append("netc runs it on torch's meta device, where tensors have shapes and no numbers")
    return raised(code, f"{what} {type(problem).__name__}{': ' if said else ''}{said}", tuple(notes))


# --- building --------------------------------------------------------------------------------------------------------

_built: dict[str, Any] = {}
_KEPT = 64  # modules; without numbers they are small


def module(recipe: Recipe) -> nn.Module | Raised:
    """The module of a recipe on the meta device, in evaluation."""
    key = recipe.key
    if key not in _built:
        while len(_built) >= _KEPT:
            del _built[next(iter(_built))]
        _built[key] = _build(recipe)
    return _built[key]  # type: ignore[no-any-return]


def _build(recipe: Recipe) -> nn.Module | Raised:
    entry = recipe.layer.entry
    file = file_of(entry)
    if recipe.edits:
        before = module(recipe._replace(edits=recipe.edits[:-1]))
        if isinstance(before, Raised):
            return before
        import copy

        made = copy.deepcopy(before)
        problem = edit(made, recipe.edits[-1])
        return made if problem is None else problem
    maker = _maker(entry)
    if isinstance(maker, Raised):
        return maker
    if file is not None and not (isinstance(maker, type) and issubclass(maker, nn.Module)):
        return raised("E0705", f"`{entry.name}` in {file.path} is not a class derived from nn.Module")
    found = _called(maker, recipe, initialised=False)
    return _called(maker, recipe, initialised=True) if isinstance(found, Raised) else found


def _called(maker: Any, recipe: Recipe, initialised: bool) -> nn.Module | Raised:
    """A module from its class or builder; one that looks at its weights while it is built needs them initialised."""
    entry = recipe.layer.entry
    try:
        positional, named = _arguments(recipe.layer)
        with _quiet(initialised), _world(entry):
            made = maker(*positional, **named)
            lazy = next((n for n, p in made.named_parameters() if nn.parameter.is_lazy(p)), None)
            if lazy is not None:
                return raised("E0706", f"its parameter `{lazy}` has no size when it is built; give the layer its size")
            return _moved(made).eval()
    except KeyboardInterrupt:
        raise
    except BaseException as problem:
        return _told("E0706", "building it raises", problem, file_of(entry))


def _world(entry: Entry) -> contextlib.AbstractContextManager[None]:
    return without_weights() if entry.home.startswith("torchvision.models") else contextlib.nullcontext()


def _moved(made: nn.Module) -> nn.Module:
    """A module on the meta device, tensors that it holds as plain attributes included."""
    made = made.to("meta")
    for part in made.modules():
        for name, value in list(vars(part).items()):
            if isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
                vars(part)[name] = value.to("meta")
    return made


def _maker(entry: Entry) -> Any:
    """The class or function of an entry, or a `Raised`."""
    file = file_of(entry)
    if entry.home == "netc.stand":
        assert entry.rule is not None
        return functools.partial(_Stand, entry.rule.shape)
    if file is not None:
        found = _loaded(file)
        if isinstance(found, Raised):
            return found
        return getattr(found, entry.name)
    from netc.foreign.entries import imported

    return getattr(imported(entry.home), entry.name)


def _arguments(layer: LayerValue) -> tuple[list[Any], dict[str, Any]]:
    """What a constructor is called with: the arguments that differ from their defaults."""
    positional: list[Any] = []
    named: dict[str, Any] = {}
    spread = any(name.startswith("*") for name in layer.args)
    for param in layer.entry.params:
        if param.name not in layer.args:
            continue
        value = layer.args[param.name]
        if isinstance(value, Written) or (value is param.default and not spread):
            continue
        made = _object(value)
        if param.name.startswith("*") or (spread and not param.keyword_only and len(named) == 0):
            positional.append(made)
        else:
            named[param.name] = made
    return positional, named


def _object(value: Any) -> Any:
    """A value of the checker as one of Python: layers as what makes them, types as torch's."""
    if isinstance(value, LayerValue):
        maker = _maker(value.entry)
        if isinstance(maker, Raised):
            raise RuntimeError(maker.reason)
        return functools.partial(maker, **{n: _object(v) for n, v in value.args.items()}) if value.args else maker
    if type(value).__name__ == "DType":
        return getattr(torch, value.name)
    if isinstance(value, list):
        return [_object(item) for item in value]
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return tuple(_object(item) for item in value)
    return value


class _Stand(nn.Module):
    """A module of the program in a model: its parameters and buffers, and what the checker says of its results."""

    macs = 0  # of all that were applied

    def __init__(self, shape: Any) -> None:
        super().__init__()
        self.follow = shape.follow
        for weight in shape.weights:
            *above, name = weight.path.split(".")
            owner: nn.Module = self
            for part in above:
                if part not in owner._modules:
                    owner.add_module(part, nn.Module())
                owner = owner.get_submodule(part)
            value = torch.empty(weight.shape, dtype=getattr(torch, weight.dtype), device="meta")
            if weight.trained:
                owner.register_parameter(name, nn.Parameter(value))
            else:
                owner.register_buffer(name, value)

    def forward(self, *inputs: Tensor) -> Any:
        found = self.follow(tuple(map(_types, inputs)))
        if found is None:
            raise RuntimeError(f"the module can't take {', '.join(str(list(i.shape)) for i in inputs)}")
        types, macs = found
        _Stand.macs += macs
        return _tensors(types)


# --- edits -----------------------------------------------------------------------------------------------------------


def child(root: nn.Module, path: str) -> nn.Module | None:
    """The module of a path, or None."""
    try:
        return root.get_submodule(path)
    except AttributeError:
        return None


def paths(root: nn.Module) -> list[str]:
    """The paths of all modules below the root."""
    return [name for name, _ in root.named_modules() if name]


def edit(root: nn.Module, change: Edit) -> Raised | None:
    """Change a module in place, as the generated lines do."""
    above, _, name = change.path.rpartition(".")
    parent = child(root, above)
    assert parent is not None
    if change.kind == "remove":
        _remove(parent, name)
        return None
    assert change.made is not None
    made = module(change.made)
    if isinstance(made, Raised):
        return made
    parent.add_module(name, made)
    return None


def renumbers(parent: nn.Module) -> bool:
    """Whether what a Sequential still has is numbered anew when a part goes: none of its parts has a name."""
    return isinstance(parent, nn.Sequential) and all(name.isdigit() for name in parent._modules)


def _remove(parent: nn.Module, name: str) -> None:
    if renumbers(parent):
        del parent[list(parent._modules).index(name)]  # type: ignore[operator]
    else:
        delattr(parent, name)


# --- running ---------------------------------------------------------------------------------------------------------


_ran: dict[str, Any] = {}


def run(recipe: Recipe, inputs: tuple[Any, ...], named: Mapping[str, Any], training: bool = False) -> Outcome | Raised:
    """What a layer gives for inputs of these types; it is run once for the same."""
    key = f"{recipe.key} {inputs!r} {named!r} {training}"
    if key not in _ran:
        while len(_ran) >= _KEPT * 16:
            del _ran[next(iter(_ran))]
        _ran[key] = _run(recipe, inputs, named, training, count=not training)
    return _ran[key]  # type: ignore[no-any-return]


def _run(
    recipe: Recipe, inputs: tuple[Any, ...], named: Mapping[str, Any], training: bool, count: bool = True
) -> Outcome | Raised:
    from torch.utils.flop_counter import FlopCounterMode

    made = module(recipe)
    if isinstance(made, Raised):
        return made
    counter, _Stand.macs = FlopCounterMode(display=False), 0
    try:
        with _quiet(), torch.device("meta"), counter if count else contextlib.nullcontext():
            made.train(training)
            try:
                result = made(*_tensors(inputs), **{n: _tensors(v) for n, v in named.items()})
            finally:
                made.eval()
    except KeyboardInterrupt:
        raise
    except BaseException as problem:
        return _told("E0707", "running it raises", problem, file_of(recipe.layer.entry))
    found = outcome(result)
    if isinstance(found, Raised) or not count:
        return found
    return found._replace(macs=counter.get_total_flops() // 2 + _Stand.macs)


def call(entry: Entry, positional: list[Any], named: Mapping[str, Any]) -> Outcome | Raised:
    """What a function gives."""
    function = _maker(entry)
    if isinstance(function, Raised):
        return function
    try:
        with _quiet(), torch.device("meta"):
            result = function(*map(_tensors, positional), **{n: _tensors(v) for n, v in named.items()})
    except KeyboardInterrupt:
        raise
    except BaseException as problem:
        return _told("E0707", "running it raises", problem, file_of(entry))
    return outcome(result)


def _tensors(value: Any) -> Any:
    """Types as tensors without numbers, anything else as it is."""
    if isinstance(value, TensorType):
        return torch.empty(value.shape, dtype=getattr(torch, value.dtype), device="meta")  # type: ignore[arg-type]
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return type(value)(map(_tensors, value))
    return _object(value)


def outcome(result: Any) -> Outcome | Raised:
    """A result as types, or why it is none that a network can go on with."""
    names: tuple[str, ...] = ()
    if isinstance(result, dict):
        if not all(isinstance(key, str) for key in result) or not result:
            return raised("E0708", "its result is a dictionary whose keys are not names")
        names, result = tuple(result), tuple(result.values())
    elif isinstance(result, tuple) and hasattr(result, "_fields"):
        names = tuple(result._fields)
    types = _types(result)
    if isinstance(types, str):
        return raised("E0708", f"its result is {types}, and a layer gives a tensor or several")
    return Outcome(types, names)


def _types(result: Any) -> Any:
    if isinstance(result, Tensor):
        return TensorType(tuple(int(n) for n in result.shape), str(result.dtype).removeprefix("torch."))
    if isinstance(result, (tuple, list)) and result:
        parts = [_types(item) for item in result]
        bad = next((p for p in parts if isinstance(p, str)), None)
        return f"{type(result).__name__} with {bad} in it" if bad is not None else tuple(parts)
    return "None" if result is None else f"a {type(result).__name__}"


def received(recipe: Recipe, path: str, inputs: tuple[Any, ...]) -> tuple[TensorType, ...] | None:
    """The types that a part receives when the whole is run; None where it isn't reached."""
    return _seen(recipe, path, inputs)[0]  # type: ignore[no-any-return]


def after(recipe: Recipe, path: str, inputs: tuple[Any, ...]) -> TensorType | None:
    """The type that a part gives when the whole is run; None where it isn't reached."""
    found = _seen(recipe, path, inputs)[1]
    return found if isinstance(found, TensorType) else None


def _seen(recipe: Recipe, path: str, inputs: tuple[Any, ...]) -> tuple[Any, Any]:
    """What a part receives and gives when it is first called."""
    key = f"{recipe.key} {path} {inputs!r}"
    if key not in _ran:
        made = module(recipe)
        part = None if isinstance(made, Raised) else child(made, path)
        taken: list[Any] = []
        given: list[Any] = []
        if part is not None:
            hooks = [
                part.register_forward_pre_hook(lambda _, args: taken.append(tuple(map(_types, args)))),
                part.register_forward_hook(lambda _, args, result: given.append(_types(result))),
            ]
            _run(recipe, inputs, {}, training=False, count=False)
            for hook in hooks:
                hook.remove()
        types = tuple(t for t in taken[0] if isinstance(t, TensorType)) if taken else None
        _ran[key] = types, given[0] if given else None
    return _ran[key]  # type: ignore[no-any-return]


# --- facts -----------------------------------------------------------------------------------------------------------


def state(recipe: Recipe) -> dict[str, tuple[int, ...]]:
    """The parameters by their paths, in torch's order."""
    made = module(recipe)
    return {} if isinstance(made, Raised) else {n: tuple(p.shape) for n, p in made.named_parameters()}


def buffers(recipe: Recipe) -> dict[str, tuple[tuple[int, ...], str]]:
    """The persistent buffers by their paths."""
    made = module(recipe)
    if isinstance(made, Raised):
        return {}
    trained = dict(made.named_parameters(remove_duplicate=False))
    kept = {n: v for n, v in made.state_dict().items() if n not in trained and isinstance(v, Tensor)}
    return {n: (tuple(v.shape), str(v.dtype).removeprefix("torch.")) for n, v in kept.items()}
