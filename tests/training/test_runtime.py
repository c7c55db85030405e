"""Evaluation and prediction with a trained network, and weights that do not fit."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from PIL import Image

from netc import ir
from netc.runtime.errors import UserError
from netc.runtime.evaluation import evaluate
from netc.runtime.prediction import predict, read_picture
from netc.runtime.script import load_script, read_checkpoint
from tests.training.programs import TO_TENSOR, call, data, dataset, lenet, train, transform
from tests.training.scripts import LENET, Project, lenet_project, tiny_project


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, ModuleType, Path]:
    """LeNet after three epochs: the project, its script, and the best checkpoint."""
    folder = tmp_path_factory.mktemp("trained")
    project = lenet_project(folder / "build", 3)
    script = project.module()
    before = Path.cwd()
    os.chdir(folder)
    try:
        script.main(["--device", "cpu"])
    finally:
        os.chdir(before)
    return project, script, folder / "runs" / "lenet" / "001" / "best.pt"


def expected(script: ModuleType, weights: Path, part: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs and labels, one image at a time."""
    images, labels = script.load_data()[part]
    model = script.build_model(torch.device("cpu"))
    model.load_state_dict(torch.load(weights, weights_only=True)["model"])
    model.eval()
    with torch.no_grad():
        return torch.cat([model(script.preprocess(image[None])) for image in images]), labels


@pytest.mark.parametrize("part", [None, "validation", "train"])
def test_evaluation(trained: tuple[Project, ModuleType, Path], part: str | None) -> None:
    _, script, weights = trained
    result = evaluate(script, weights, "cpu", part)
    outputs, labels = expected(script, weights, part or "test")
    called = outputs.argmax(1)
    assert result.part == (part or "test")
    assert result.images == len(labels)
    assert result.correct == int((called == labels).sum())
    assert result.accuracy == result.correct / len(labels)
    assert 0.5 < result.accuracy < 1
    assert result.loss == pytest.approx(torch.nn.functional.cross_entropy(outputs, labels).item(), abs=1e-5)
    for i, row in enumerate(result.confusion):
        assert row == tuple(int(((labels == i) & (called == j)).sum()) for j in range(10))
        found = result.classes[i]
        assert found.name == str(i)
        assert found.images == int((labels == i).sum())
        assert found.recall == row[i] / found.images
        column = int((called == i).sum())
        assert found.precision == (row[i] / column if column else None)


def test_the_result_is_that_of_the_run(
    trained: tuple[Project, ModuleType, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, script, weights = trained
    monkeypatch.chdir(weights.parents[3])
    script.main(["--device", "cpu", "--resume"])
    result = evaluate(script, weights, "cpu")
    assert f"test loss {result.loss:.4f}, accuracy {result.accuracy:.2%}" in capsys.readouterr().out
    state = read_checkpoint(weights)
    row = state["history"][-1]
    assert evaluate(script, weights, "cpu", "validation").accuracy == row["validation_accuracy"]
    assert result.epoch == state["epoch"]


def test_the_digits_of_the_package_serve_where_no_folder_is_named(
    trained: tuple[Project, ModuleType, Path],
) -> None:
    project, script, weights = trained
    before = sys.modules.get("model")
    assert evaluate(load_script(project.text, project.model), weights, "cpu") == evaluate(script, weights, "cpu")
    assert sys.modules.get("model") is before


def test_a_plain_state_dict(trained: tuple[Project, ModuleType, Path], tmp_path: Path) -> None:
    _, script, weights = trained
    torch.save(read_checkpoint(weights)["model"], tmp_path / "plain.pt")
    plain = evaluate(script, tmp_path / "plain.pt", "cpu")
    assert plain == evaluate(script, weights, "cpu")._replace(epoch=None)


def save_digits(script: ModuleType, folder: Path, count: int = 6) -> list[Path]:
    raw, _ = script.read_images(script.DATA / "t10k-images-idx3-ubyte.gz", script.DATA / "t10k-labels-idx1-ubyte.gz")
    paths = []
    for i in range(count):
        paths.append(folder / f"{i}.png")
        Image.fromarray(raw[i, 0].numpy()).save(paths[-1])
    return paths


def test_prediction_equals_evaluation(trained: tuple[Project, ModuleType, Path], tmp_path: Path) -> None:
    _, script, weights = trained
    sections, _ = lenet(3)
    found = predict(script, sections, weights, save_digits(script, tmp_path), "cpu")
    outputs, _ = expected(script, weights, "test")
    for prediction, output in zip(found, outputs, strict=False):
        chances = output.softmax(0)
        assert prediction.classes[0][0] == str(int(output.argmax()))
        assert [chance for _, chance in prediction.classes] == pytest.approx(chances.sort(descending=True)[0].tolist())
        assert sum(chance for _, chance in prediction.classes) == pytest.approx(1)


def test_top(trained: tuple[Project, ModuleType, Path], tmp_path: Path) -> None:
    _, script, weights = trained
    sections, _ = lenet(3)
    paths = save_digits(script, tmp_path, 1)
    everything = predict(script, sections, weights, paths, "cpu")[0].classes
    assert predict(script, sections, weights, paths, "cpu", top=3)[0].classes == everything[:3]


def test_negative_log_likelihoods_become_probabilities(tmp_path: Path) -> None:
    sections, settings = lenet(1, loss=call("loss", "NLLLoss"))
    text = lenet_project(tmp_path / "project", 1, loss=call("loss", "NLLLoss")).text
    model = LENET.replace(
        "return self.fc2(F.relu(self.fc1(self.drop(x.flatten(1)))))",
        "return F.log_softmax(self.fc2(F.relu(self.fc1(x.flatten(1)))), 1)",
    )
    script = load_script(text, model)
    torch.save(script.build_model(torch.device("cpu")).state_dict(), tmp_path / "w.pt")
    found = predict(script, sections, tmp_path / "w.pt", save_digits(script, tmp_path, 2), "cpu")
    assert settings.loss.name == "NLLLoss"
    assert all(sum(chance for _, chance in p.classes) == pytest.approx(1, abs=1e-5) for p in found)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "I;16", "LA", "CMYK"])
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_of_every_mode(mode: str, channels: int, tmp_path: Path) -> None:
    grey = Image.linear_gradient("L").resize((20, 10))
    if mode == "I;16":
        levels = b"".join(bytes([level, level]) for level in grey.tobytes())
        picture = Image.frombytes("I;16", (20, 10), levels)
    else:
        picture = grey.convert(mode)
    path = tmp_path / ("p.tif" if mode == "CMYK" else "p.png")
    picture.save(path)
    read = read_picture(path, channels)
    assert read.shape == (1, channels, 10, 20)
    wanted = torch.frombuffer(bytearray(grey.tobytes()), dtype=torch.uint8).view(10, 20)
    if mode != "1":
        assert (read[0, 0].int() - wanted.int()).abs().max() <= 3


def test_a_picture_that_the_camera_turned(tmp_path: Path) -> None:
    picture = Image.linear_gradient("L").resize((20, 10))
    exif = picture.getexif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    picture.save(tmp_path / "turned.png", exif=exif)
    assert torch.equal(read_picture(tmp_path / "turned.png", 1), _turned(picture))


def _turned(picture: Image.Image) -> torch.Tensor:
    pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).view(1, 1, 10, 20)
    return pixels.rot90(-1, (2, 3))


# --- what is wrong is said --------------------------------------------------------------------------------------------


def test_no_such_picture(trained: tuple[Project, ModuleType, Path], tmp_path: Path) -> None:
    _, script, weights = trained
    with pytest.raises(UserError, match=r"there is no file `.*gone.png`"):
        predict(script, lenet(3)[0], weights, [tmp_path / "gone.png"], "cpu")


def test_no_picture(trained: tuple[Project, ModuleType, Path], tmp_path: Path) -> None:
    _, script, weights = trained
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(UserError, match=r"text.png` can't be read as a picture"):
        predict(script, lenet(3)[0], weights, [tmp_path / "text.png"], "cpu")


def test_a_picture_of_another_shape(trained: tuple[Project, ModuleType, Path], tmp_path: Path) -> None:
    _, script, weights = trained
    Image.new("L", (16, 8)).save(tmp_path / "wide.png")
    with pytest.raises(UserError, match=r"16×8 pixels\) becomes \[1, 32, 64\]"):
        predict(script, lenet(3)[0], weights, [tmp_path / "wide.png"], "cpu")


def fails(script: ModuleType, weights: Path) -> UserError:
    with pytest.raises(UserError) as caught:
        evaluate(script, weights, "cpu")
    return caught.value


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_checkpoint_cut_short(trained: tuple[Project, ModuleType, Path], tmp_path: Path, share: float) -> None:
    _, script, weights = trained
    content = weights.read_bytes()
    (tmp_path / "cut.pt").write_bytes(content[: int(len(content) * share)])
    assert "cut.pt` (" in fails(script, tmp_path / "cut.pt").message
    assert "is cut short, damaged, or not a checkpoint" in fails(script, tmp_path / "cut.pt").message


def test_a_checkpoint_that_is_not_there(trained: tuple[Project, ModuleType, Path], tmp_path: Path) -> None:
    assert "there is no file" in fails(trained[1], tmp_path / "gone.pt").message


def test_a_checkpoint_that_would_run_something(trained: tuple[Project, ModuleType, Path], tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return (Path(tmp_path / "exploded").touch, ())

    torch.save({"model": Bomb()}, tmp_path / "bomb.pt")
    assert "not a checkpoint" in fails(trained[1], tmp_path / "bomb.pt").message
    assert not (tmp_path / "exploded").exists()


def test_weights_of_another_network(trained: tuple[Project, ModuleType, Path], tmp_path: Path) -> None:
    _, script, weights = trained
    state = read_checkpoint(weights)
    state["network"] = "AlexNet"
    state["model"]["fc2.weight"] = torch.zeros(100, 120)
    del state["model"]["conv1.bias"]
    state["model"]["fc9.weight"] = torch.zeros(1)
    torch.save(state, tmp_path / "other.pt")
    message = fails(script, tmp_path / "other.pt").message
    for piece in (
        "does not fit LeNet, it is of AlexNet",
        "`fc2.weight` is [100, 120] in the file and [10, 120] in the network",
        "it has no `conv1.bias`",
        "the network has no `fc9.weight`",
    ):
        assert piece in message


@pytest.mark.parametrize("content", [[1, 2], {}, 3, {"model": [1]}, {"model": {"a": 1}}])
def test_files_that_are_no_checkpoints(trained: tuple[Project, ModuleType, Path], tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "no.pt")
    assert "no.pt`" in fails(trained[1], tmp_path / "no.pt").message


def test_a_device_that_is_not_there(trained: tuple[Project, ModuleType, Path]) -> None:
    _, script, weights = trained
    with pytest.raises(UserError, match=r"there is no device 'cuda:99' here, only .*cpu"):
        evaluate(script, weights, "cuda:99")
    with pytest.raises(SystemExit, match=r"error: there is no device 'tpu' here, only .*cpu"):
        script.main(["--device", "tpu"])


def test_data_that_is_gone(tmp_path: Path) -> None:
    sections: ir.Data = data(dataset("MNIST", "nowhere"), transform=(transform("Resize", 8), TO_TENSOR))
    _, settings = lenet(1)
    project = tiny_project(tmp_path / "p", sections, settings, (1, 8, 8), 10)
    script = project.module()
    torch.save(script.build_model(torch.device("cpu")).state_dict(), tmp_path / "w.pt")
    assert fails(script, tmp_path / "w.pt").message.startswith("nowhere/MNIST/raw has no train-images-idx3-ubyte")


@pytest.mark.parametrize("kind", ["folder", "tensors"])
def test_training_images_are_evaluated_as_the_transform_gives_them(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.data.formats import write_pictures

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NETC_CACHE", str(tmp_path / "cache"))
    write_pictures(Path("pictures"), {"a": [(30, 40), (22, 60)], "b": [(50, 20), (40, 40)]})
    train_set = dataset("ImageFolder", "pictures")
    if kind == "tensors":
        train_set = dataset("FakeData", size=4, image_size=(3, 30, 40), num_classes=2)
    fixed = (transform("Resize", 20), transform("CenterCrop", [16, 16]), TO_TENSOR)
    sections = data(train_set, transform=fixed, augment=(transform("RandomResizedCrop", 16),))
    project = tiny_project(tmp_path / "project", sections, train(epochs=1), (3, 16, 16), 2)
    script = project.module()
    script.main(["--device", "cpu"])
    result = evaluate(project.module(), Path("runs/net/001/last.pt"), "cpu")
    assert result.part == "train"
    assert result.images == 4
    plain = tiny_project(tmp_path / "plain", sections._replace(augment=()), train(epochs=1), (3, 16, 16), 2).module()
    assert result.loss == evaluate(plain, Path("runs/net/001/last.pt"), "cpu").loss
