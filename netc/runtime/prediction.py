"""What a trained network sees in picture files.

In: the training script as a module, the declared transform, a checkpoint, paths of pictures. Out: a `Prediction` each.
Guarantees: a picture goes through the transform that the file declares, as the images of the data set do; channels are
those of the data set, and a picture that a camera turned is put upright. Leaves printing to the command line.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from netc.backends.training_images import preparation
from netc.catalog.data import dataset_facts
from netc.runtime.errors import UserError
from netc.runtime.labels import answers, kind_of, names_of
from netc.runtime.script import load_network, probabilities

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from PIL.Image import Image
    from torch import Tensor

    from netc import ir


class Prediction(NamedTuple):
    """A picture, and its classes from the most to the least probable.

    kind: "classes"; or "labels", several of which may be true, each with its probability, or "numbers", the numbers
        that are predicted, both in the order of the outputs.
    """

    path: str
    classes: tuple[tuple[str, float], ...]
    kind: str = "classes"


def predict(
    script: ModuleType,
    data: ir.Data,
    weights: Path,
    paths: Sequence[str | Path],
    device: str = "auto",
    top: int | None = None,
) -> list[Prediction]:
    """Say what is in pictures.

    Args:
        script: from `load_script`.
        data: the data section that it was made from.
        weights: a checkpoint, or a state dict (which has no class names: classes are then numbers).
        paths: picture files of any kind that Pillow reads.
        device: as for training.
        top: how many classes each prediction has; all by default.

    Raises:
        UserError: if a file is no picture, or its size is not right after the transform, or weights do not fit.
    """
    import torch

    pictures = [read_picture(Path(path), channels_of(data)) for path in paths]
    network, checkpoint = load_network(script, weights, device)
    prepare = preparer(data, script)
    where = next(network.parameters()).device
    predictions = []
    for path, picture in zip(paths, pictures, strict=True):
        images = script.preprocess(prepare(picture).to(where))
        with torch.inference_mode():
            try:
                outputs = network(images)
            except RuntimeError as problem:
                size = f"{picture.shape[3]}×{picture.shape[2]} pixels"
                raise UserError(
                    f"`{path}` ({size}) becomes {list(images.shape[1:])} by the transform, which the network rejects",
                    help="cut the picture to the shape of the network's input, or write Resize with both sizes",
                    details=str(problem),
                ) from None
        if has_no_classes(script):
            predictions.append(_labelled(script, str(path), outputs))
            continue
        scores = _scores(outputs, checkpoint)
        predictions.append(_prediction(str(path), probabilities(script, scores)[0], checkpoint, top))
    return predictions


def has_no_classes(script: ModuleType) -> bool:
    """Whether the labels of pictures are no classes: the script then names none."""
    return not any(hasattr(script, name) for name in ("CLASS_NAMES", "class_names"))


def _labelled(script: ModuleType, path: str, outputs: Any) -> Prediction:
    """What the outputs say of one picture, where they tell no classes apart.

    Raises:
        UserError: if there are several, or one of another shape than a number for each label.
    """
    outputs = _scores(outputs, {}) if isinstance(outputs, tuple) or outputs.ndim > 2 else outputs
    values = answers(script, outputs).flatten().tolist()
    kind = "labels" if kind_of(script)[0] == "binary" else "numbers"
    return Prediction(path, tuple(zip(names_of(script, len(values)), values, strict=True)), kind)


def _scores(outputs: Any, checkpoint: dict[str, Any]) -> Tensor:
    """The output that tells classes apart: the only one, or of several the one with a number for each class.

    Raises:
        UserError: if there is none, or more than one.
    """
    given = outputs if isinstance(outputs, tuple) else (outputs,)
    names = checkpoint.get("classes")
    count = len(names) if isinstance(names, list) and len(given) > 1 else None
    fitting: list[Tensor] = [o for o in given if o is not None and o.ndim == 2 and count in (None, o.shape[1])]
    if len(fitting) != 1:
        shapes = ", ".join(str([*o.shape]) for o in given if o is not None)
        raise UserError(
            f"the network tells no classes apart: for one picture it gives {shapes}",
            help="`netc export` writes the network for other uses",
        )
    return fitting[0]


def _prediction(path: str, chances: Tensor, checkpoint: dict[str, Any], top: int | None) -> Prediction:
    names = checkpoint.get("classes")
    names = names if isinstance(names, list) and len(names) == len(chances) else list(range(len(chances)))
    values, order = chances.cpu().sort(descending=True, stable=True)
    pairs = [(str(names[i]), value) for i, value in zip(order.tolist(), values.tolist(), strict=True)]
    return Prediction(path, tuple(pairs[:top]))


def channels_of(data: ir.Data) -> int:
    """How many channels the images of the data set have."""
    facts = dataset_facts({name: arg.value for name, arg in data.train.args.items()}, data.train.name)
    assert facts is not None
    return facts.image.channels or 3


def preparer(data: ir.Data, script: ModuleType | None = None) -> Callable[[Tensor], Tensor]:
    """The steps of the declared transform on uint8 images [1, C, H, W] of any size.

    The script has the modules of those steps that are of Python files.
    """
    import torch
    from torch.nn import functional

    text = preparation(data.transform, channels_of(data))
    names: dict[str, Any] = {"torch": torch, "Tensor": torch.Tensor, "F": functional}
    if script is not None:
        names |= {"fail": script.fail, "Callable": object}
        names |= {value.__name__: value for value in vars(script).values() if isinstance(value, ModuleType)}
    if "v2." in text:
        from torchvision.transforms import v2

        names["v2"] = v2
    exec(compile(text, "<transform>", "exec"), names)
    prepare: Callable[[Tensor], Tensor] = names["prepare"]
    return prepare


def read_picture(path: Path, channels: int) -> Tensor:
    """A picture file as uint8 [1, channels, H, W], upright.

    Raises:
        UserError: if there is no such file, or Pillow cannot read it.
    """
    import torch
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as picture:
            converted = _with_channels(ImageOps.exif_transpose(picture), channels)
    except FileNotFoundError:
        raise UserError(f"there is no file `{path}`") from None
    except Exception as problem:  # Pillow raises many kinds for a damaged file
        raise UserError(f"`{path}` can't be read as a picture", details=str(problem)) from None
    pixels = torch.frombuffer(bytearray(converted.tobytes()), dtype=torch.uint8)
    return pixels.view(1, converted.height, converted.width, channels).permute(0, 3, 1, 2).contiguous()


def _with_channels(picture: Image, channels: int) -> Image:
    if picture.mode.startswith("I"):  # 16 bits of grey: `convert` alone would make all but the darkest white
        picture = picture.convert("I").point(lambda value: value * (1 / 257))
    return picture.convert("L" if channels == 1 else "RGB")
