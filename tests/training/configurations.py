"""The configurations whose scripts are kept in full: between them they use every piece of the emitter."""

from __future__ import annotations

from netc import ir
from netc.backends.training import emit
from tests.data.tables import compiled, program
from tests.training import made
from tests.training.programs import (
    NOWHERE,
    TO_TENSOR,
    call,
    data,
    dataset,
    image_input,
    lenet,
    normalize,
    train,
    transform,
)


def _lenet() -> str:
    sections, settings = lenet(epochs=30)
    return emit("LeNet", "lenet", image_input(1, 32, 32), sections, settings, outputs=10)


def _mnist_mlp() -> str:
    sections = data(
        dataset("MNIST", "data", download=True),
        test=dataset("MNIST", "data"),
        transform=(TO_TENSOR, normalize(0.1307)),
        batch_size=128,
    )
    settings = train(optimizer=call("optimizer", "Adam", lr=0.001), metrics=(), epochs=5)
    return emit("MLP", "mnist", image_input(1, 28, 28), sections, settings, outputs=10, channels_last=False)


def _cifar() -> str:
    sections = data(
        dataset("CIFAR10", root="data"),
        validation=5000,
        test=dataset("CIFAR10", root="data"),
        transform=(TO_TENSOR, transform("Normalize", mean=[0.4914, 0.4822, 0.4465], std=[0.247, 0.2435, 0.2616])),
        augment=(
            transform("RandomCrop", 32, padding=4),
            transform("RandomHorizontalFlip"),
            transform("ColorJitter", brightness=0.2, contrast=0.2),
            transform("RandomErasing", p=0.25),
        ),
        batch_size=128,
    )
    settings = train(
        loss=call("loss", "CrossEntropyLoss", label_smoothing=0.1),
        optimizer=call("optimizer", "SGD", lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True),
        schedule=call("scheduler", "OneCycleLR", max_lr=0.1),
        epochs=24,
    )
    return emit("ResNet", "cifar", image_input(3, 32, 32), sections, settings, outputs=10)


def _cifar100() -> str:
    sections = data(
        dataset("CIFAR100", root="data", download=True),
        validation=dataset("CIFAR100", root="data"),
        transform=(transform("ToImage"), transform("ToDtype", "float32", scale=True), normalize(0.5)),
        augment=(transform("RandomRotation", 15), transform("RandomAutocontrast"), transform("RandomGrayscale")),
    )
    settings = train(schedule=call("scheduler", "ReduceLROnPlateau", patience=2), metrics=())
    return emit("Path", "odd name", image_input(3, 32, 32), sections, settings, outputs=100)


def _folder() -> str:
    sections = data(
        dataset("ImageFolder", "flowers/train"),
        validation=0.1,
        test=dataset("ImageFolder", "flowers/test"),
        transform=(
            transform("Resize", 256),
            transform("CenterCrop", 224),
            TO_TENSOR,
            transform("Normalize", mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
        ),
        augment=(transform("RandomResizedCrop", 224), transform("RandomHorizontalFlip")),
        batch_size=32,
    )
    return emit("Flowers", "flowers", image_input(3, 224, 224), sections, train(seed=7), outputs=102)


def _augments() -> str:
    sections = data(
        dataset("ImageFolder", "pictures"),
        transform=(transform("Resize", 40), transform("CenterCrop", 32), TO_TENSOR),
        augment=(
            transform("RandomCrop", 32),
            transform("ColorJitter", brightness=0.4, contrast=0.4, saturation=(0.5, 1.5), hue=0.1),
            transform("RandomSolarize", threshold=200.5, p=0.1),
            transform("RandomPosterize", bits=4),
            transform("RandomErasing", value=[124, 116, 104]),
            transform("RandomResizedCrop", 32, scale=[0.5, 1.0], interpolation="nearest"),
            transform("MixUp", alpha=0.2),
            transform("CutMix"),
        ),
    )
    return emit("Net", "pictures", image_input(3, 32, 32), sections._replace(cache="kept"), train(), outputs=3)


def _dtd() -> str:
    sections = data(
        dataset("DTD", "data", download=True),
        validation=0.1,
        test=dataset("DTD", "data", partition=2),
        transform=(transform("Resize", [64, 64]), TO_TENSOR, normalize(0.5)),
        augment=(transform("RandomHorizontalFlip"),),
    )
    return emit("Net", "textures", image_input(3, 64, 64), sections, train(), outputs=47)


def _caltech() -> str:
    sections = data(
        dataset("Caltech101", "data"), validation=50, test=0.1, transform=(transform("Resize", [8, 8]), TO_TENSOR)
    )
    return emit("Net", "caltech", image_input(3, 8, 8), sections, train(), outputs=101)


def _svhn() -> str:
    sections = data(dataset("SVHN", "data", "extra"), test=dataset("SVHN", "data"), transform=(TO_TENSOR,))
    return emit("Net", "numbers", image_input(3, 32, 32), sections, train(), outputs=10)


def _folder_grey() -> str:
    sections = data(
        dataset("ImageFolder", "pictures", allow_empty=True),
        transform=(transform("Grayscale"), transform("Resize", [64, 48]), TO_TENSOR),
        augment=(transform("RandomVerticalFlip", p=0.3),),
    )
    sections = sections._replace(cache=False)
    return emit("Net", "pictures", image_input(1, 64, 48), sections, train(), outputs=3)


def _mnist_large() -> str:
    sections = data(
        dataset("FashionMNIST", "data"),
        validation=0.1,
        transform=(
            transform("Resize", 256),
            transform("CenterCrop", 224),
            transform("Grayscale", num_output_channels=3),
            TO_TENSOR,
            normalize(0.5),
        ),
        augment=(transform("RandomCrop", [224, 224], padding=[4, 8], fill=128),),
    )
    return emit("VGG", "fashion", image_input(3, 224, 224), sections, train(), outputs=10)


def _emnist() -> str:
    sections = data(
        dataset("EMNIST", "data", "letters"),
        validation=0.2,
        test=dataset("EMNIST", "other", "letters"),
        transform=(transform("Pad", 2), TO_TENSOR),
    )
    settings = train(loss=call("loss", "NLLLoss"), schedule=call("scheduler", "StepLR", step_size=3), metrics=())
    return emit("Letters", "letters", image_input(1, 32, 32), sections, settings, outputs=27)


def _qmnist() -> str:
    sections = data(
        dataset("QMNIST", "data"),
        validation=dataset("QMNIST", "data", what="test50k"),
        test=dataset("QMNIST", "data", what="test10k", download=True),
        transform=(TO_TENSOR,),
    )
    return emit("Net", "qmnist", image_input(1, 28, 28), sections, train(), outputs=10)


def _fake() -> str:
    sections = data(
        dataset("FakeData", size=200, image_size=(3, 40, 40), num_classes=3),
        validation=50,
        transform=(transform("CenterCrop", [48, 36]), TO_TENSOR),
        augment=(transform("RandomCrop", 36, pad_if_needed=True), transform("Resize", [48, 36])),
    )
    settings = train(loss=call("loss", "MultiMarginLoss", p=2, margin=0.5), metrics=("accuracy",))
    return emit("Net", "fake", image_input(3, 48, 36), sections, settings, outputs=3)


def _groups() -> str:
    sections, settings = lenet(
        epochs=30,
        freeze=(("conv1.*", NOWHERE),),
        groups=train(groups={"conv*": {"lr": 0.01}, "*.bias": {"weight_decay": 0, "momentum": 0.5}}).groups,
    )
    return emit("LeNet", "lenet", image_input(1, 32, 32), sections, settings, outputs=10)


def _frozen() -> str:
    sections, settings = lenet(epochs=3, freeze=(("conv1.*", NOWHERE), ("conv2.*", NOWHERE)))
    return emit("LeNet", "lenet", image_input(1, 32, 32), sections, settings, outputs=10, channels_last=False)


def _iris() -> str:
    return _compiled(program("train = Iris()\n  validation = 0.2\n  test = 30", more="metrics = [accuracy]"))


def _table() -> str:
    columns = 'features=["age", "bmi", "city"], categorical=["city"], missing="mean", delimiter=";"'
    sets = f'train = CSV("data/people.csv", target="ill", {columns})\n  test = CSV("data/later.csv", target="ill")'
    return _compiled(program(f"{sets}\n  balance = True", 5, 2))


def _rows_in_order() -> str:
    sets = 'train = CSV("prices.csv", target="up", missing="drop", standardize=False)\n  validation = 500'
    return _compiled(program(f'{sets}\n  split = "ordered"\n  sampler = SequentialSampler()', 8, 2))


def _tokens() -> str:
    inputs = "input tokens: [N, 32] int64\n  Embedding(1000, 8) -> mean(1)".replace("Embedding", "table: Embedding")
    sets = 'train = Arrays("text.npz", labels="kind")\n  validation = 0.1'
    return _compiled(program(f"{sets}\n  sampler = RandomSampler(num_samples=5000, replacement=True)", inputs, 4))


def _two_inputs() -> str:
    inputs = "input left: [N, 8]\n  input right: [N, 8]\n  cat([left, right], 1)"
    sets = 'train = Arrays(inputs=["left.npy", "right.npy"], labels="same.npy")'
    test = 'test = Arrays(inputs=["left_test.npy", "right_test.npy"], labels="same_test.npy")'
    return _compiled(program(f"{sets}\n  {test}", inputs, 2, more="metrics = [accuracy]"))


def _image_arrays() -> str:
    sets = 'train = Arrays("cells.npz", inputs="pictures", labels="kind", image_size=(3, 24, 24))\n  validation = 0.1'
    steps = 'test = 0.2\n  split = "random"\n  transform = Resize(32) -> ToTensor\n  augment = RandomHorizontalFlip'
    return _compiled(program(f"{sets}\n  {steps}", "input image: [N, 3, 32, 32]\n  Flatten", 5))


def _image_tags() -> str:
    sets = 'train = Arrays("cells.npz", inputs="pictures", labels="kinds", image_size=(1, 32, 32))\n  validation = 0.1'
    network, more = "input image: [N, 1, 32, 32]\n  Flatten", "metrics = [f1, auroc]"
    return _compiled(program(f"{sets}\n  transform = ToTensor", network, 4, "BCEWithLogitsLoss", more))


def _picture_table() -> str:
    sets = 'train = CSV("birds.csv", image="file", folder="birds", target="kind", delimiter=";")'
    test = 'validation = 0.1\n  test = CSV("new.csv", target="kind", folder="new")'
    steps = "transform = Resize(40) -> CenterCrop(32) -> ToTensor\n  augment = RandomCrop(32)"
    network = "input image: [N, 3, 32, 32]\n  Flatten"
    return _compiled(program(f"{sets}\n  {test}\n  {steps}", network, 5, more="metrics = [accuracy]"))


def _picture_tags() -> str:
    sets = 'train = CSV("photos.csv", image="file", target=["sun", "sea", "people"])\n  validation = 0.1'
    network, more = "input image: [N, 3, 32, 32]\n  Flatten", "metrics = [f1]"
    steps = "transform = Resize([32, 32]) -> ToTensor\n  cache = False"
    return _compiled(program(f"{sets}\n  {steps}", network, 3, "BCEWithLogitsLoss", more))


def _blocked() -> str:
    """A chain of convolutions, which computes in oneDNN's layout on the CPU."""
    chain = "conv1: Conv2d(8, 5) -> ReLU -> MaxPool2d(2)\n  conv2: Conv2d(16, 5) -> ReLU -> MaxPool2d(2)"
    network = f"input image: [N, 1, 28, 28]\n  {chain}\n  Flatten"
    sets = 'train = MNIST("data")\n  validation = 0.1\n  transform = ToTensor -> Normalize(mean=[0.13], std=[0.31])'
    more = 'ema = 0.99\n  freeze = ["conv1.*"]\n  unfreeze = 2'
    return _compiled(program(sets, network, 10, more=more))


def _compiled(text: str) -> str:
    files = compiled(text)
    assert files.train is not None
    return files.train


def _board() -> str:
    sections, settings = lenet(epochs=30, options=ir.Options(tensorboard=("scalars", "images", "graph")))
    return emit("LeNet", "lenet", image_input(1, 32, 32), sections, settings, outputs=10)


def _board_steps() -> str:
    kept = ir.Checkpoints(None, None, None, 50, NOWHERE)
    options = ir.Options(tensorboard=("scalars",), log_every=100, checkpoint=kept, accumulate=2)
    sections, settings = lenet(epochs=30, options=options)
    return emit("LeNet", "lenet", image_input(1, 32, 32), sections, settings, outputs=10)


VAE = """network VAE(latent = 4) {
  input image: [N, 1, 8, 8]
  Flatten -> encode: Linear(32) -> ReLU
  mu = _ -> mean_head: Linear(latent)
  logvar = _ -> var_head: Linear(latent)
  mu + exp(0.5 * logvar) * randn_like(mu)
  decode1: Linear(32) -> ReLU -> decode2: Linear(64) -> sigmoid -> unflatten(1, [1, 8, 8])
  output recon = _
  output mu = mu
  output logvar = logvar
}
"""
AUX = """warm(epoch) = min(1, (epoch + 1) / 5)
network Net {
  input image: [N, 1, 8, 8]
  Flatten -> hidden: Linear(32) -> ReLU
  if training { output aux = _ -> early: Linear(10) }
  output logits = _ -> fc: Linear(10)
}
"""
DIGITS = (
    "data {\n  train = Digits()\n  validation = 0.1\n  test = Digits()\n  transform = ToTensor\n  batch_size = 64\n}\n"
)


def _vae() -> str:
    """A loss of several outputs and the input, whose steps ask for it again and again."""
    train = (
        'loss = BCELoss(recon, image, reduction="sum") - 0.5 * sum(1 + logvar - mu**2 - exp(logvar))\n'
        "optimizer = LBFGS(lr=0.1, max_iter=4)\nepochs = 5\nmetrics = [mae, r2]"
    )
    return made.files(made.program(train, VAE, DIGITS)).train or ""


def _metrics() -> str:
    """Terms of an output of training, metrics of all kinds, and schedules of several."""
    train = (
        "loss = CrossEntropyLoss(logits, label) + 0.3 * CrossEntropyLoss(aux, label)\n"
        "optimizer = AdamW(lr=1e-3)\nepochs = 20\n"
        'metrics = [f1, topk(3), auroc, f1(average="weighted"), confusion_matrix, accuracy]\n'
        "schedule = SequentialLR([LambdaLR(warm), CosineAnnealingLR(eta_min=1e-5)], milestones=[50])\n"
        'schedule_every = "step"'
    )
    return made.files(made.program(train, AUX, DIGITS)).train or ""


_BLOCKS = """module Block(width) {
  input x: [N, width]
  fc1: Linear(width) -> ReLU -> fc2: Linear(width)
}

network Net {
  input image: [N, 1, 8, 8]
  Flatten -> stem: Linear(32) -> one: Block(32) -> two: Block(32) -> head: Linear(10)
}
"""
_NORMED = """network Net {
  input image: [N, 1, 8, 8]
  conv: Conv2d(4, 3, bias=False) -> norm: BatchNorm2d -> ReLU -> Flatten -> head: Linear(10)
}
"""


def _ddp() -> str:
    settings = {
        "parallel": '"ddp"', "sync_batchnorm": "True", "metrics": "[accuracy]", "accumulate": "2", "ema": "0.9",
        "tensorboard": "[scalars]", "log_every": "5", "checkpoint": "Checkpoint(every_steps=10)",
        "loss": "CrossEntropyLoss(ignore_index=3)",
    }  # fmt: skip
    return made.files(made.program("\n".join(f"{k} = {v}" for k, v in settings.items()), _NORMED)).train or ""


def _fsdp() -> str:
    settings = {
        "parallel": '"fsdp"', "metrics": "[accuracy, confusion_matrix]", "clip_grad_norm": "1.0", "ema": "0.99",
        "schedule": "CosineAnnealingLR", "checkpoint": "Checkpoint(every_epochs=1, keep=2)",
    }  # fmt: skip
    return made.files(made.program("\n".join(f"{k} = {v}" for k, v in settings.items()), _BLOCKS)).train or ""


CONFIGURATIONS = {
    "ddp": _ddp,
    "fsdp": _fsdp,
    "lenet": _lenet,
    "mnist_mlp": _mnist_mlp,
    "blocked": _blocked,
    "cifar": _cifar,
    "cifar100": _cifar100,
    "folder": _folder,
    "augments": _augments,
    "dtd": _dtd,
    "caltech": _caltech,
    "svhn": _svhn,
    "folder_grey": _folder_grey,
    "mnist_large": _mnist_large,
    "emnist": _emnist,
    "qmnist": _qmnist,
    "fake": _fake,
    "groups": _groups,
    "frozen": _frozen,
    "iris": _iris,
    "table": _table,
    "rows_in_order": _rows_in_order,
    "tokens": _tokens,
    "two_inputs": _two_inputs,
    "image_arrays": _image_arrays,
    "image_tags": _image_tags,
    "picture_table": _picture_table,
    "picture_tags": _picture_tags,
    "board": _board,
    "board_steps": _board_steps,
    "vae": _vae,
    "metrics": _metrics,
}
