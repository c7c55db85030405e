"""What people write who come from another framework, and what netc says of it.

In: a name that isn't there, or a value that doesn't fit. Out: the way out, or None where no habit is known. Read only
where there is a mistake.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc import catalog
from netc import syntax as s

if TYPE_CHECKING:
    from netc.catalog.entry import Entry

# What other frameworks and scripts call the settings of a section.
SETTINGS = {
    "data": {
        "batch": "batch_size", "bs": "batch_size", "batchsize": "batch_size", "batches": "batch_size",
        "val": "validation", "valid": "validation", "dev": "validation", "validation_split": "validation",
        "val_split": "validation", "dataset": "train", "training": "train", "train_data": "train",
        "testing": "test", "test_data": "test", "preprocess": "transform", "preprocessing": "transform",
        "augmentation": "augment", "augmentations": "augment",
    },
    "train": {
        "criterion": "loss", "objective": "loss", "loss_fn": "loss", "optim": "optimizer", "opt": "optimizer",
        "scheduler": "schedule", "lr_scheduler": "schedule", "lr_schedule": "schedule", "max_epochs": "epochs",
        "num_epochs": "epochs", "n_epochs": "epochs", "nb_epochs": "epochs", "random_seed": "seed",
        "manual_seed": "seed", "metric": "metrics", "model": "network", "net": "network",
    },
}  # fmt: skip
_NEEDLESS = {
    "shuffle": "remove it: training images are shuffled each epoch, the others need no order",
    "num_workers": "remove it: batches are made without worker processes",
    "pin_memory": "remove it: batches are made without worker processes",
    "drop_last": "remove it: every image has its part in every epoch",
    "device": "remove it: the device is chosen when the training starts, as in `netc train --device cuda`",
    "callbacks": "remove it: the best and the newest epoch are kept in any case",
    "verbose": "remove it: a row for each epoch is shown in any case",
    "patience": "remove it: training ends after `epochs`, and best.pt is the best of them",
    "normalize": "normalise in the transform: `transform = ToTensor -> Normalize(mean=[0.5], std=[0.5])`",
    "split": "hold a share of the training images out with `validation = 0.1`",
}
# Arguments that stand elsewhere here.
_ARGUMENTS = {
    "activation": "an activation is a step of its own: `{layer}(…) -> ReLU`",
    "input_shape": "the shape is declared once, at the beginning: `input image: [N, 3, 32, 32]`",
    "batch_input_shape": "the shape is declared once, at the beginning: `input image: [N, 3, 32, 32]`",
    "input_dim": "leave it out: it follows from what the layer receives",
    "name": "a layer's name is its label: `name: {layer}(…)`",
    "device": "remove it: the device is chosen when the training starts",
    "dtype": "remove it: layers compute in float32",
    "data_format": "remove it: images are [N, C, H, W]",
    "kernel_initializer": "weights are set in a block: `init {{ {layer}.weight ~ kaiming_normal_() }}`",
    "bias_initializer": "weights are set in a block: `init {{ {layer}.bias ~ zeros_() }}`",
    "kernel_regularizer": "weights decay by the optimizer: `SGD(lr=0.1, weight_decay=1e-4)`",
}  # fmt: skip


def setting(section: str, key: str) -> str | None:
    """What the setting is called here."""
    return SETTINGS[section].get(key.lower())


def setting_help(section: str, key: str) -> str | None:
    """The way out for a setting that the section doesn't have."""
    known = setting(section, key)
    if known is not None:
        return f"write `{known} = …`"
    if key in _NEEDLESS:
        return _NEEDLESS[key]
    if section == "train" and key in _ARGUMENT_OF:
        what, example = _ARGUMENT_OF[key]
        return f"`{key}` is an argument of the {what}: `{example}`"
    return None


_ARGUMENT_OF = {
    **dict.fromkeys(("lr", "learning_rate"), ("optimizer", "optimizer = SGD(lr=0.1)")),
    "momentum": ("optimizer", "optimizer = SGD(lr=0.1, momentum=0.9)"),
    "weight_decay": ("optimizer", "optimizer = SGD(lr=0.1, weight_decay=1e-4)"),
    "nesterov": ("optimizer", "optimizer = SGD(lr=0.1, momentum=0.9, nesterov=True)"),
    "betas": ("optimizer", "optimizer = Adam(betas=[0.9, 0.99])"),
    "gamma": ("scheduler", "schedule = StepLR(10, gamma=0.1)"),
    "step_size": ("scheduler", "schedule = StepLR(10)"),
    "milestones": ("scheduler", "schedule = MultiStepLR([30, 60])"),
    "max_lr": ("scheduler", "schedule = OneCycleLR(max_lr=0.1)"),
    "label_smoothing": ("loss", "loss = CrossEntropyLoss(label_smoothing=0.1)"),
}


def argument_help(entry: Entry, name: str) -> str | None:
    """The way out for an argument that the entry doesn't have."""
    if entry.rule is None and catalog.layer(entry.name) is None:
        return None
    text = _ARGUMENTS.get(name)
    return text.format(layer=entry.name) if text else None


_LOSSES = {
    "crossentropy": "CrossEntropyLoss", "categoricalcrossentropy": "CrossEntropyLoss",
    "sparsecategoricalcrossentropy": "CrossEntropyLoss", "softmaxcrossentropy": "CrossEntropyLoss",
    "ce": "CrossEntropyLoss", "xent": "CrossEntropyLoss", "logloss": "CrossEntropyLoss", "nll": "NLLLoss",
    "mse": "MSELoss", "meansquarederror": "MSELoss", "l2": "MSELoss", "mae": "L1Loss", "l1": "L1Loss",
    "bce": "BCELoss", "binarycrossentropy": "BCEWithLogitsLoss", "hinge": "MultiMarginLoss", "kldiv": "KLDivLoss",
    "huber": "HuberLoss", "smoothl1": "SmoothL1Loss",
}  # fmt: skip
_OTHERS = {
    "cosine": "CosineAnnealingLR", "cosineannealing": "CosineAnnealingLR", "step": "StepLR", "multistep": "MultiStepLR",
    "exponential": "ExponentialLR", "onecycle": "OneCycleLR", "plateau": "ReduceLROnPlateau", "linear": "LinearLR",
    "polynomial": "PolynomialLR", "constant": "ConstantLR", "momentum": "SGD",
}  # fmt: skip


def torch_name(word: str, known: list[str]) -> str | None:
    """What torch calls a loss, an optimizer or a scheduler that is named in words."""
    plain = word.lower().replace("_", "").replace("-", "").replace(" ", "")
    for name in (_LOSSES.get(plain), _LOSSES.get(plain.removesuffix("loss")), _OTHERS.get(plain)):
        if name in known:
            return name
    return next((n for n in known if n.lower() in (plain, f"{plain}loss", f"{plain}lr")), None)


def first_of_torch(expr: s.Expr) -> str | None:
    """`model.parameters()` or `optimizer`, torch's first argument of optimizers and schedulers, in words."""
    callee = expr.callee if isinstance(expr, s.Call) else expr
    if isinstance(callee, s.Attribute) and callee.name.text in ("parameters", "named_parameters"):
        return "the network's parameters"
    return "the optimizer" if isinstance(callee, s.Name) and callee.text == "optimizer" else None


def number_help(value: object) -> str | None:
    """The way out for a count that is written as a float or a string."""
    if isinstance(value, str) and value.strip().isdigit():
        return f"write `{int(value)}`, without quotes"
    if isinstance(value, float) and value.is_integer() and 0 < value < 1e9:
        return f"write `{int(value)}`"
    return None


def choice_help(expected: str | None, got: str | None) -> str | None:
    """`padding='SAME'`: one of the words that are expected, in other letters."""
    word = (got or "").strip("'\"").lower()
    return f'write "{word}"' if word and f'"{word}"' in (expected or "") else None


def percent_help(expected: str | None, got: str | None) -> str | None:
    """`Dropout(50)`: a share in percent."""
    try:
        value = float(got or "")
    except ValueError:
        return None
    return f"write `{value / 100:g}`" if expected == "0 to 1" and 1 < value <= 100 else None


def unsuited_help(name: str) -> str:
    """The way out for a transform that can't be used."""
    if name == "Compose":
        return "write the transforms as a chain: `ToTensor -> Normalize(mean=[0.5], std=[0.5])`"
    return "remove it"
