"""What the script reads is what torchvision reads, and a file that is not right is an error that names it."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torchvision.transforms import v2

from netc import ir
from netc.backends.training import emit
from netc.runtime.script import load_script
from tests.data.formats import samples, write_cifar, write_mnist, write_pictures, write_qmnist
from tests.training.programs import TO_TENSOR, data, dataset, image_input, normalize, train, transform
from tests.training.scripts import lenet_project, tiny


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def script(sections: ir.Data, shape: tuple[int, int, int], classes: int, change: Any = None, **more: Any) -> ModuleType:
    text = emit("Net", "net", image_input(*shape), sections, train(**more), outputs=classes)
    return load_script(change(text) if change else text, tiny(*shape, classes), Path.cwd())


def assert_part(part: tuple[torch.Tensor, torch.Tensor], official: Any) -> None:
    """Images and labels are those of a data set of torchvision, which gives pictures."""
    images, labels = part
    assert len(images) == len(labels) == len(official)
    for i in range(len(official)):
        picture, label = official[i]
        assert torch.equal(images[i], v2.functional.pil_to_tensor(picture))
        assert labels[i] == label
    assert labels.dtype == torch.int64
    assert images.dtype == torch.uint8


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST", "KMNIST"])
def test_mnist_and_its_kin(name: str) -> None:
    for start, count in (("train", 20), ("t10k", 9)):
        write_mnist(Path(f"data/{name}/raw"), start, *samples(count, (28, 28), 10))
    module = script(data(dataset(name, "data"), test=dataset(name, "data"), transform=(TO_TENSOR,)), (1, 28, 28), 10)
    read = module.load_data()
    official = getattr(torchvision.datasets, name)
    assert_part(read["train"], official("data", train=True))
    assert_part(read["test"], official("data", train=False))
    assert list(official.classes) == module.CLASS_NAMES


def test_saying_which_part_is_heeded() -> None:
    for start, count in (("train", 20), ("t10k", 9)):
        write_mnist(Path("data/MNIST/raw"), start, *samples(count, (28, 28), 10))
    sections = data(
        dataset("MNIST", "data", train=False),
        validation=dataset("MNIST", "data"),
        test=dataset("MNIST", "data", train=True),
        transform=(TO_TENSOR,),
    )
    read = script(sections, (1, 28, 28), 10).load_data()
    assert {part: len(labels) for part, (_, labels) in read.items()} == {"train": 9, "validation": 9, "test": 20}


@pytest.mark.parametrize("split", ["byclass", "bymerge", "balanced", "letters", "digits", "mnist"])
def test_emnist(split: str) -> None:
    for start in ("train", "test"):
        write_mnist(Path("data/EMNIST/raw"), f"emnist-{split}-{start}", *samples(12, (28, 28), 10))
    sections = data(
        dataset("EMNIST", "data", split), test=dataset("EMNIST", "data", split=split), transform=(TO_TENSOR,)
    )
    official = torchvision.datasets.EMNIST("data", split)
    module = script(sections, (1, 28, 28), len(official.classes))
    read = module.load_data()
    assert_part(read["train"], official)
    assert_part(read["test"], torchvision.datasets.EMNIST("data", split, train=False))
    assert list(official.classes) == module.CLASS_NAMES


@pytest.mark.parametrize("what", [None, "train", "test", "test10k", "test50k", "nist"])
def test_qmnist(what: str | None) -> None:
    for start, count in (("qmnist-train", 30), ("qmnist-test", 10_007), ("xnist", 8)):
        write_qmnist(Path("data/QMNIST/raw"), start, *samples(count, (28, 28), 10))
    call = dataset("QMNIST", "data") if what is None else dataset("QMNIST", "data", what=what)
    read = script(data(call, transform=(TO_TENSOR,)), (1, 28, 28), 10).load_data()
    images, labels = read["train"]
    official = torchvision.datasets.QMNIST("data", what=what, train=True)
    assert torch.equal(images[:, 0], official.data)
    assert torch.equal(labels, official.targets[:, 0])


@pytest.mark.parametrize("name", ["CIFAR10", "CIFAR100"])
def test_cifar(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    official = getattr(torchvision.datasets, name)
    key, classes = ("labels", 10) if name == "CIFAR10" else ("fine_labels", 100)
    folder = Path("data") / official.base_folder
    sums = {}
    for i, (file, _) in enumerate([*official.train_list, *official.test_list]):
        sums[file] = write_cifar(folder, file, *samples(7, (3, 32, 32), classes, i), key)
    known = dict([*official.train_list, *official.test_list])

    def with_our_sums(text: str) -> str:
        for file, md5 in sums.items():
            assert known[file] in text
            text = text.replace(known[file], md5)
        return text

    for part in ("train_list", "test_list"):
        monkeypatch.setattr(official, part, [[file, sums[file]] for file, _ in getattr(official, part)])
    monkeypatch.setattr(official, "_load_meta", lambda self: None)
    sections = data(dataset(name, "data"), test=dataset(name, "data"), transform=(TO_TENSOR,))
    read = script(sections, (3, 32, 32), classes, with_our_sums).load_data()
    assert_part(read["train"], official("data"))
    assert_part(read["test"], official("data", train=False))


def test_a_pickle_that_is_not_cifars_is_never_opened() -> None:
    """A pickle may run anything; the sum is compared before it is opened."""

    class Bomb:
        def __reduce__(self) -> Any:
            return (Path("exploded").touch, ())

    import pickle

    folder = Path("data/cifar-10-batches-py")
    folder.mkdir(parents=True)
    for i in range(1, 6):
        (folder / f"data_batch_{i}").write_bytes(pickle.dumps(Bomb()))
    module = script(data(dataset("CIFAR10", "data"), transform=(TO_TENSOR,)), (3, 32, 32), 10)
    with pytest.raises(SystemExit, match=r"error: data/cifar-10-batches-py/data_batch_1 is damaged: \d+ bytes .* MD5"):
        module.load_data()
    assert not Path("exploded").exists()


@pytest.mark.parametrize(("size", "shape", "classes", "offset"), [(9, (3, 20, 30), 4, 0), (5, (1, 8, 8), 10, 77)])
def test_fake_data(size: int, shape: tuple[int, int, int], classes: int, offset: int) -> None:
    call = dataset("FakeData", size=size, image_size=shape, num_classes=classes, random_offset=offset)
    before = torch.get_rng_state()
    read = script(data(call, transform=(TO_TENSOR,)), shape, classes)
    part = read.load_data()["train"]
    official = torchvision.datasets.FakeData(size, shape, classes, random_offset=offset)
    assert_part(part, official)
    assert torch.equal(before, torch.get_rng_state())


FLOWERS = {"rose": [(40, 30)] * 4 + [(50, 60)], "aster": [(33, 44)] * 5, "tulip": [(64, 32)] * 3}


def flowers(**changes: Any) -> ir.Data:
    sections = data(
        dataset("ImageFolder", "flowers"),
        transform=(transform("Resize", 24), transform("CenterCrop", 20), TO_TENSOR, normalize(0.5)),
        batch_size=4,
    )
    return sections._replace(**changes)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".BMP"])
def test_folders_of_pictures(suffix: str) -> None:
    write_pictures(Path("flowers"), FLOWERS, suffix)
    Path("flowers/rose/deeper").mkdir()
    Path("flowers/rose/000" + suffix).rename("flowers/rose/deeper/x" + suffix)
    Path("flowers/rose/notes.txt").write_text("not a picture")
    module = script(flowers(), (3, 20, 20), 3)
    pictures, labels = module.load_data()["train"]
    official = torchvision.datasets.ImageFolder("flowers")
    assert [str(file) for file in pictures.files] == [path for path, _ in official.samples]
    assert labels.tolist() == official.targets
    assert module.class_names(Path("flowers")) == official.classes
    chain = v2.Compose([v2.Resize(24), v2.CenterCrop(20)])
    for i in range(len(pictures)):
        expected = chain(v2.functional.pil_to_tensor(official[i][0]))
        assert torch.equal(pictures.read(i)[0], expected)


def test_pictures_beyond_the_memory_are_decoded_again() -> None:
    write_pictures(Path("flowers"), FLOWERS)
    module = script(flowers(cache=False), (3, 20, 20), 3)
    module.__dict__["MEMORY"] = 5 * 3 * 20 * 20
    pictures, _ = module.load_data()["train"]
    first = torch.cat(pictures.batch(torch.arange(13)))
    assert len(pictures.kept) == 5
    assert torch.equal(first, torch.cat(pictures.batch(torch.arange(13))))


@pytest.mark.parametrize(
    "augment",
    [(), (transform("RandomResizedCrop", 20), transform("RandomHorizontalFlip")), (transform("RandomCrop", 20),)],
    ids=["none", "resizing", "cropping"],
)
def test_training_on_a_folder_of_pictures(augment: tuple[ir.Call, ...], capsys: pytest.CaptureFixture[str]) -> None:
    write_pictures(Path("flowers"), FLOWERS)
    write_pictures(Path("test"), {name: [(30, 30)] for name in FLOWERS})
    sections = flowers(augment=augment, validation=3, test=dataset("ImageFolder", "test"))
    module = script(sections, (3, 20, 20), 3)
    module.main(["--device", "cpu"])
    out = capsys.readouterr().out
    assert "10 images to train with" in out
    assert re.search(r"test loss \d", out)
    assert torch.load("runs/net/001/best.pt", weights_only=True)["classes"] == ["aster", "rose", "tulip"]


def test_images_that_do_not_fit_when_prepared_are_prepared_batch_by_batch(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same run as with all images in memory, to the bit."""
    for start, count in (("train", 60), ("t10k", 20)):
        write_mnist(Path("data/MNIST/raw"), start, *samples(count, (28, 28), 10))
    sections = data(
        dataset("MNIST", "data"),
        validation=10,
        test=dataset("MNIST", "data"),
        transform=(transform("Resize", 40), transform("CenterCrop", 32), TO_TENSOR),
        augment=(transform("RandomCrop", 32),),
        batch_size=16,
    )
    script(sections, (1, 32, 32), 10).main(["--device", "cpu"])
    monkeypatch.setattr("netc.backends.training.MEMORY", 1000)
    module = script(sections, (1, 32, 32), 10)
    assert module.load_data()["train"][0].shape == (50, 1, 28, 28)
    module.main(["--device", "cpu"])
    first, second = (torch.load(f"runs/net/00{i}/last.pt", weights_only=True)["model"] for i in (1, 2))
    assert all(torch.equal(first[name], second[name]) for name in first)


# --- what is wrong is said --------------------------------------------------------------------------------------------


def mnist_error(change: Any) -> str:
    """The error for a folder of MNIST after something was done to it."""
    raw = Path("data/MNIST/raw")
    write_mnist(raw, "train", *samples(20, (28, 28), 10))
    change(raw)
    module = script(data(dataset("MNIST", "data"), transform=(TO_TENSOR,)), (1, 28, 28), 10)
    with pytest.raises(SystemExit) as end:
        module.load_data()
    return str(end.value.code)


def test_a_folder_that_is_not_there() -> None:
    message = mnist_error(lambda raw: [path.unlink() for path in raw.iterdir()])
    assert message == (
        "error: data/MNIST/raw has no train-images-idx3-ubyte, train-labels-idx1-ubyte; "
        "`download=True` in the .net file fetches MNIST"
    )


def test_a_file_cut_short() -> None:
    def cut(raw: Path) -> None:
        path = raw / "train-images-idx3-ubyte"
        path.write_bytes(path.read_bytes()[:-100])

    message = mnist_error(cut)
    assert message == (
        f"error: data/MNIST/raw/train-images-idx3-ubyte is damaged: {16 + 20 * 784} bytes expected, "
        f"{16 + 20 * 784 - 100} found"
    )


@pytest.mark.parametrize("length", range(0, 16, 3))
def test_a_file_cut_in_its_header(length: int) -> None:
    def cut(raw: Path) -> None:
        path = raw / "train-images-idx3-ubyte"
        path.write_bytes(path.read_bytes()[:length])

    assert "data/MNIST/raw/train-images-idx3-ubyte is " in mnist_error(cut)


def test_a_label_out_of_range() -> None:
    def spoil(raw: Path) -> None:
        path = raw / "train-labels-idx1-ubyte"
        content = bytearray(path.read_bytes())
        content[8 + 13] = 12
        path.write_bytes(content)

    message = mnist_error(spoil)
    assert message.endswith("train-labels-idx1-ubyte has the label 12 at position 13, but there are 10 classes")


def test_more_images_than_labels() -> None:
    message = mnist_error(lambda raw: write_mnist(raw, "train", samples(20, (28, 28), 10)[0], samples(19, (1,), 10)[1]))
    assert message.endswith("has 20 images for 19 labels")


def test_images_in_place_of_labels() -> None:
    def swap(raw: Path) -> None:
        (raw / "train-labels-idx1-ubyte").write_bytes((raw / "train-images-idx3-ubyte").read_bytes())

    assert "train-labels-idx1-ubyte is not an IDX file" in mnist_error(swap)


@pytest.mark.parametrize("how", ["cut", "flipped", "text", "missing", "folder"])
def test_broken_gzip(how: str, tmp_path: Path) -> None:
    project = lenet_project(tmp_path / "project")
    path = tmp_path / "project" / "digits" / "train-images-idx3-ubyte.gz"
    content = bytearray(path.read_bytes())
    path.unlink()
    if how == "cut":
        path.write_bytes(content[:-1000])
    elif how == "flipped":
        content[5000] ^= 255
        path.write_bytes(content)
    elif how == "text":
        path.write_text("hello")
    elif how == "folder":
        path.mkdir()
    code, out, err = project.run(cwd=tmp_path)
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert "train-images-idx3-ubyte.gz" in err
    assert len(err.splitlines()) == 1
    assert not Path("runs").exists()


def folder_error(change: Any, classes: int = 3, **more: Any) -> str:
    write_pictures(Path("flowers"), FLOWERS)
    change(Path("flowers"))
    module = script(flowers(**more), (3, 20, 20), classes)

    with pytest.raises(SystemExit) as end:
        module.load_data()
    return str(end.value.code)


def test_a_picture_that_is_none_is_named() -> None:
    message = folder_error(lambda folder: (folder / "rose" / "003.png").write_bytes(b"no picture"))
    assert message.startswith("error: flowers/rose/003.png cannot be read as a picture: ")


def test_a_picture_cut_short_is_named() -> None:
    def cut(folder: Path) -> None:
        path = folder / "tulip" / "001.png"
        path.write_bytes(path.read_bytes()[:500])

    assert folder_error(cut).startswith("error: flowers/tulip/001.png cannot be read as a picture: ")


def test_other_mistakes_in_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "flowers has the classes aster, rose, tulip; the network tells 10 apart"
    assert said in folder_error(lambda folder: None, 10)


def test_a_class_without_pictures() -> None:
    assert "flowers/empty has no pictures" in folder_error(lambda folder: (folder / "empty").mkdir(), 4)


def test_a_folder_of_pictures_that_is_not_there() -> None:
    def remove(folder: Path) -> None:
        folder.rename("elsewhere")

    assert folder_error(remove).startswith("error: flowers, with a folder a class, cannot be read: No such file")


def test_a_class_that_was_not_trained() -> None:
    write_pictures(Path("test"), {"daisy": [(30, 30)], "rose": [(30, 30)]})
    message = folder_error(lambda folder: None, test=dataset("ImageFolder", "test"))
    assert message == "error: test has classes to train without: daisy"


def test_download_asks_torchvision_only_when_files_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, dict[str, Any]]] = []

    def official(name: str) -> Any:
        def fetch(**options: Any) -> None:
            asked.append((name, options))
            write_mnist(Path("data/EMNIST/raw"), "emnist-letters-train", *samples(9, (28, 28), 10))

        return fetch

    monkeypatch.setattr(torchvision.datasets, "EMNIST", official("EMNIST"))
    sections = data(dataset("EMNIST", "data", split="letters", download=True), transform=(TO_TENSOR,))
    module = script(sections, (1, 28, 28), 27)
    module.load_data()
    module.load_data()
    assert asked == [("EMNIST", {"root": "data", "split": "letters", "download": True})]


def test_a_download_that_fails_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(**options: Any) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(torchvision.datasets, "MNIST", fetch)
    module = script(data(dataset("MNIST", "data", download=True), transform=(TO_TENSOR,)), (1, 28, 28), 10)
    with pytest.raises(SystemExit, match="error: MNIST cannot be downloaded to data/MNIST/raw: no route to host"):
        module.load_data()


def test_the_digits_are_those_of_scikit_learn(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    module = lenet_project(tmp_path / "project").module()
    module.__dict__["prepare"] = lambda images: images
    read = module.load_data()
    images = torch.cat([read[part][0] for part in ("train", "validation", "test")])[:, 0].numpy()
    labels = torch.cat([read[part][1] for part in ("train", "validation", "test")]).numpy()
    official = load_digits()
    ours = sorted((np.rint(i / 255 * 16).astype(int).tobytes(), int(n)) for i, n in zip(images, labels, strict=True))
    theirs = sorted((i.astype(int).tobytes(), int(n)) for i, n in zip(official.images, official.target, strict=True))
    assert ours == theirs
    assert [len(read[part][1]) for part in ("train", "validation", "test")] == [1293, 144, 360]
    shares = torch.bincount(read["test"][1]) / torch.bincount(torch.from_numpy(official.target))
    assert shares.min() > 0.19
    assert shares.max() < 0.21


def test_the_digits_are_written_the_same_to_the_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from netc.digits import make

    folder = Path(make.__file__).parent
    monkeypatch.setattr(make, "__file__", str(tmp_path / "make.py"))
    make.main()
    written = {path.name: path.read_bytes() for path in tmp_path.glob("*.gz")}
    assert written == {path.name: path.read_bytes() for path in folder.glob("*.gz")}
    assert all(gzip.decompress(content)[:3] == b"\0\0\x08" for content in written.values())
