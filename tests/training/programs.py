"""Checked data and train sections made by hand, for the tests of the training script."""

from __future__ import annotations

from netc import catalog, ir
from netc.catalog.data import DIGITS
from netc.shapes import TensorType, symbol
from netc.source import Span

NOWHERE = Span(0, 0)


def call(kind: str, name: str, *values: object, **named: object) -> ir.Call:
    """A call of something in the catalog, arguments bound as the checker binds them."""
    entry = DIGITS if name == "Digits" else getattr(catalog, kind)(name)
    assert entry is not None, name
    given = dict(zip((p.name for p in entry.params), values, strict=False))
    args = {key: ir.Arg(value, repr(value), positional=True) for key, value in given.items()}
    args |= {key: ir.Arg(value, repr(value)) for key, value in named.items()}
    return ir.Call(entry, args, NOWHERE)


def dataset(name: str, *values: object, **named: object) -> ir.Call:
    return call("dataset", name, *values, **named)


def transform(name: str, *values: object, **named: object) -> ir.Call:
    return call("transform", name, *values, **named)


def image_input(channels: int, height: int, width: int) -> tuple[ir.Input, ...]:
    return (ir.Input("image", TensorType((symbol("N"), channels, height, width)), NOWHERE),)


def data(
    train: ir.Call,
    *,
    validation: ir.Call | float | int | None = None,
    test: ir.Call | float | int | None = None,
    transform: tuple[ir.Call, ...] = (),
    augment: tuple[ir.Call, ...] = (),
    batch_size: int = 64,
) -> ir.Data:
    return ir.Data(train, validation, test, transform, augment, batch_size, NOWHERE)


def train(
    *,
    loss: ir.Call | None = None,
    optimizer: ir.Call | None = None,
    schedule: ir.Call | None = None,
    epochs: int = 2,
    metrics: tuple[str, ...] = ("accuracy",),
    seed: int = 0,
    freeze: tuple[str, ...] = (),
    groups: dict[str, dict[str, object]] | None = None,
) -> ir.Train:
    loss = loss or call("loss", "CrossEntropyLoss")
    optimizer = optimizer or call("optimizer", "SGD", lr=0.05, momentum=0.9)
    frozen = tuple((pattern, NOWHERE) for pattern in freeze)
    own = tuple(
        ir.ParameterGroup(pattern, {n: ir.Arg(v, repr(v)) for n, v in settings.items()}, NOWHERE, NOWHERE)
        for pattern, settings in (groups or {}).items()
    )
    return ir.Train(loss, optimizer, schedule, epochs, metrics, seed, NOWHERE, frozen, own)


TO_TENSOR = transform("ToTensor")


def normalize(*channels: float) -> ir.Call:
    return transform("Normalize", mean=list(channels or (0.5,)), std=list(channels or (0.5,)))


def lenet(epochs: int = 2, **changes: object) -> tuple[ir.Data, ir.Train]:
    """The sections of the example: digits, all kinds of settings."""
    sections = data(
        dataset("Digits"),
        validation=0.1,
        test=dataset("Digits"),
        transform=(
            transform("Resize", 32),
            TO_TENSOR,
            transform("Normalize", mean=[0.31], std=[0.38]),
        ),
        augment=(transform("RandomCrop", 32, padding=2),),
    )
    settings = train(schedule=call("scheduler", "CosineAnnealingLR", T_max=epochs), epochs=epochs)
    return sections._replace(**{k: v for k, v in changes.items() if k in ir.Data._fields}), settings._replace(  # type: ignore[arg-type]
        **{k: v for k, v in changes.items() if k in ir.Train._fields}  # type: ignore[arg-type]
    )
