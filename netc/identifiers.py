"""Names of a program as names of Python: which can be one, and how one that would collide is written."""

from __future__ import annotations

import keyword
from typing import TYPE_CHECKING

from netc.limits import LABEL_LENGTH

if TYPE_CHECKING:
    from netc.diagnostics import Report
    from netc.source import Span

# Attributes of nn.Module, which a child of that name would hide (decisions: names). A test holds this against torch.
MODULE_ATTRIBUTES = frozenset(
    """
    add_module apply bfloat16 buffers call_super_init children compile cpu cuda double dump_patches eval
    extra_repr float forward get_buffer get_extra_state get_parameter get_submodule half ipu load_state_dict
    modules mtia named_buffers named_children named_modules named_parameters parameters register_backward_hook
    register_buffer register_forward_hook register_forward_pre_hook register_full_backward_hook
    register_full_backward_pre_hook register_load_state_dict_post_hook register_load_state_dict_pre_hook
    register_module register_parameter register_state_dict_post_hook register_state_dict_pre_hook
    requires_grad_ set_extra_state set_submodule share_memory state_dict to to_empty train training type xpu
    zero_grad T_destination
    """.split()
)
# Names that generated code uses itself.
_OURS = frozenset({"self", "torch", "nn", "F", "Tensor", "math", "ops", "partial", "fnmatch", "super", "x"})
_BUILTINS = frozenset(
    """
    abs all any bool enumerate float int isinstance len list max min range reversed round sorted str sum super tuple zip
    """.split()
)
# Capitals that model.py imports or uses, which no class of it may be called.
CLASS_NAMES = frozenset({"Tensor", "F", "NamedTuple", "Any", "Callable", "ValueError"})
_AMBIGUOUS = frozenset({"l", "I", "O"})  # which linters refuse


def python_name(name: str) -> str:
    """The name in generated code: itself, with an underscore behind it where Python or the code has another use."""
    taken = keyword.iskeyword(name) or (name in _OURS and name != "x") or name in _BUILTINS or name in _AMBIGUOUS
    return f"{name}_" if taken else name


def valid_name(name: str, span: Span, report: Report) -> bool:
    """Whether a value may have this name; reported where not."""
    if name == "_":
        report.add("E0207", "`_` is the current value and can't be bound", span, help="choose another name")
        return False
    if name.startswith("__"):
        report.add(
            "E0212",
            f"`{name}` begins with two underscores, which Python keeps for itself",
            span,
            help=f"call it `{name.strip('_') or 'value'}`",
        )
        return False
    return True


def valid_label(label: str, span: Span, report: Report) -> bool:
    """Whether a child may have this label; reported where not."""
    problem = None
    if not label:
        problem = "a label can't be empty"
    elif "." in label:
        problem = f"the label `{label}` contains a point, which separates the names of a path"
    elif label in MODULE_ATTRIBUTES or label.startswith("_"):
        problem = (
            f"a child can't be called `{label}`: that is nn.Module's own"
            if label in MODULE_ATTRIBUTES
            else (f"a child can't be called `{label}`: names with `_` in front are nn.Module's own")
        )
    elif not label.isprintable():
        problem = "a label holds no line ends, control characters or marks of direction"
    elif len(label) > LABEL_LENGTH:
        problem = f"a label has at most {LABEL_LENGTH} characters, and this has {len(label):,}"
    if problem is None:
        return True
    report.add("E0213", problem, span, help="choose another label")
    return False
