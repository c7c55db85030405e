"""What the script makes of npz and npy files: shapes and types held against the network, and several inputs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.data.tables import program, script

TOKENS = "input tokens: [N, T] int64\n  words: Embedding(50, 8) -> mean(1)"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def arrays(**values: Any) -> None:
    np.savez("a.npz", **values)


def fails(text: str) -> str:
    with pytest.raises(SystemExit) as end:
        script(text).load_data()
    return str(end.value.code)


def test_arrays_go_by_the_names_of_the_inputs() -> None:
    arrays(x=np.arange(24, dtype=np.float64).reshape(6, 4), label=np.arange(6, dtype=np.int32) % 3, other=np.zeros(1))
    data = script(program('train = Arrays("a.npz")')).load_data()
    x, labels = data["train"]
    assert x.dtype == torch.float32
    assert x.tolist() == np.arange(24.0).reshape(6, 4).tolist()
    assert labels.dtype == torch.int64
    assert labels.tolist() == [0, 1, 2, 0, 1, 2]


def test_arrays_by_other_names_in_parts() -> None:
    arrays(a=np.random.rand(10, 4), b=np.arange(10, dtype=np.uint8) % 2)
    np.savez("b.npz", a=np.random.rand(4, 4), b=np.ones(4, dtype=np.int64))  # of one class, which tests may be
    text = program('train = Arrays("a.npz", inputs="a", labels="b")\n  validation = 0.2\n'
                   '  test = Arrays("b.npz", inputs="a", labels="b")')  # fmt: skip
    data = script(text).load_data()
    assert {part: len(x) for part, (x, _) in data.items()} == {"train": 8, "validation": 2, "test": 4}
    assert data["test"][1].tolist() == [1] * 4


def test_sequences_of_any_length() -> None:
    arrays(tokens=np.random.randint(0, 50, (6, 11)), label=np.arange(6) % 3)
    module = script(program('train = Arrays("a.npz")', TOKENS))
    x, _ = module.load_data()["train"]
    assert x.shape == (6, 11)
    assert x.dtype == torch.int64
    model = module.build_model(torch.device("cpu"))
    assert module.predict(model, x).shape == (6, 3)


def test_several_inputs_in_files_of_their_own() -> None:
    np.save("l.npy", np.random.rand(8, 3).astype(np.float32))
    np.save("r.npy", np.random.rand(8, 2).astype(np.float32))
    np.save("y.npy", np.arange(8) % 3)
    inputs = "input left: [N, 3]\n  input right: [N, 2]\n  cat([left, right], 1)"
    text = program('train = Arrays(inputs=["l.npy", "r.npy"], labels="y.npy")\n  validation = 0.25', inputs,
                   more="metrics = [accuracy]")  # fmt: skip
    module = script(text)
    (left, right), labels = module.load_data()["train"]
    assert (left.shape, right.shape, labels.shape) == ((6, 3), (6, 2), (6,))
    module.main(["--device", "cpu", "--run-dir", "run"])
    state = torch.load("run/best.pt", weights_only=True)
    assert state["epoch"] in (1, 2)


@pytest.mark.parametrize(
    ("outputs", "labels", "shape"),
    [(1, np.arange(6.0), (6, 1)), (1, np.arange(6).reshape(6, 1), (6, 1)), (3, np.ones((6, 3), bool), (6, 3))],
)
def test_numbers_to_predict(outputs: int, labels: Any, shape: tuple[int, ...]) -> None:
    arrays(x=np.random.rand(6, 4), label=labels)
    module = script(program('train = Arrays("a.npz")', outputs=outputs, loss="MSELoss"))
    found = module.load_data()["train"][1]
    assert found.shape == shape
    assert found.dtype == torch.float32
    assert found.flatten().tolist() == labels.astype(float).flatten().tolist()


NONE_OF_THEM = "which is none of the 3 classes from 0 on"
AS_MANY = "there should be as many samples in each array, and any"
X, Y = np.random.rand(6, 4), np.arange(6) % 3
HOLED = np.where(X[3, 2] == X, math.nan, X)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"x": X}, "a.npz has no array 'label'; it has x"),
        ({"y": X, "label": Y}, "a.npz has no array 'x'; it has label, y"),
        ({"x": X[:, :3], "label": Y}, "'x' of a.npz is [6, 3], the network takes [N, 4] for x"),
        ({"x": X[:, 0], "label": Y}, "'x' of a.npz is [6], the network takes [N, 4] for x"),
        ({"x": X.astype(int), "label": Y}, "'x' of a.npz is int64, the network takes torch.float32 for x"),
        ({"x": X[:4], "label": Y}, f"{AS_MANY}: 'x' of a.npz has 4, 'label' of a.npz has 6"),
        ({"x": X[:0], "label": Y[:0]}, f"{AS_MANY}: 'x' of a.npz has 0, 'label' of a.npz has 0"),
        ({"x": X, "label": Y + 1}, f"'label' of a.npz has the label 3 at [2], {NONE_OF_THEM}"),
        ({"x": X, "label": Y - 1}, f"'label' of a.npz has the label -1 at [0], {NONE_OF_THEM}"),
        ({"x": X, "label": X[:, :1]}, "'label' of a.npz is float64 [6, 1], and labels that are classes are int64 [N]"),
        ({"x": X, "label": Y * 0}, "a.npz has labels of one class only"),
        ({"x": HOLED, "label": Y}, "'x' of a.npz has NaN or infinity in sample 3, counted from 0"),
    ],
)
def test_what_does_not_fit_is_said(values: dict[str, Any], message: str) -> None:
    arrays(**values)
    assert fails(program('train = Arrays("a.npz")')) == f"error: {message}"


def test_indices_beyond_the_table() -> None:
    arrays(tokens=np.array([[1, 50]] * 3), label=np.arange(3))
    said = "error: 'tokens' of a.npz has indices from 1 to 50, and the network looks up 50"
    assert fails(program('train = Arrays("a.npz")', TOKENS)) == said


def test_numbers_of_another_shape() -> None:
    arrays(x=X, label=np.ones((6, 2)))
    said = "error: 'label' of a.npz is [6, 2], the network gives [N, 1]"
    assert fails(program('train = Arrays("a.npz")', outputs=1, loss="MSELoss")) == said
    arrays(x=X, label=np.full((6, 1), math.inf))
    said = "error: 'label' of a.npz is NaN or infinite at [0, 0]"
    assert fails(program('train = Arrays("a.npz")', outputs=1, loss="MSELoss")) == said


def test_pickles_are_not_read() -> None:
    arrays(x=np.array([{}, {}], dtype=object), label=np.arange(2))
    assert "Object arrays cannot be loaded when allow_pickle=False" in fails(program('train = Arrays("a.npz")'))
    Path("a.npz").write_bytes(b"PK\x03\x04 cut short")
    assert fails(program('train = Arrays("a.npz")')) == "error: a.npz is cut short, or no npz file"
    Path("a.npz").unlink()
    assert "No such file" in fails(program('train = Arrays("a.npz")'))


IMAGES = "input image: [N, 1, 16, 16]\n  Flatten"
PICTURES = 'train = Arrays("a.npz", inputs="x", labels="y", image_size=(1, 8, 8))\n  transform = Resize(16) -> ToTensor'


def pictures(dtype: Any = np.uint8, shape: tuple[int, ...] = (12, 1, 8, 8), labels: Any = None) -> None:
    values = np.random.default_rng(0).integers(0, 256, shape).astype(dtype)
    arrays(x=values, y=np.arange(12) % 3 if labels is None else labels)


@pytest.mark.parametrize("shape", [(12, 1, 8, 8), (12, 8, 8)])
def test_arrays_of_pictures_go_through_the_transform(shape: tuple[int, ...]) -> None:
    pictures(shape=shape)
    module = script(program(f"{PICTURES}\n  validation = 3", IMAGES))
    data = module.load_data()
    assert {part: tuple(x.shape) for part, (x, _) in data.items()} == {
        "train": (9, 1, 16, 16), "validation": (3, 1, 16, 16),
    }  # fmt: skip
    assert data["train"][0].dtype == torch.uint8
    module.main(["--device", "cpu", "--run-dir", "run"])


def test_pictures_in_files_of_their_own() -> None:
    np.save("x.npy", np.zeros((6, 1, 8, 8), np.uint8))
    np.save("y.npy", np.arange(6) % 3)
    text = PICTURES.replace('"a.npz", inputs="x", labels="y"', 'inputs="x.npy", labels="y.npy"')
    assert script(program(text, IMAGES)).load_data()["train"][0].shape == (6, 1, 16, 16)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dtype": np.float32}, "'x' of a.npz is float32 [12, 1, 8, 8], and should be uint8 [N, 1, 8, 8]"),
        ({"shape": (12, 8, 8, 1)}, "'x' of a.npz is uint8 [12, 8, 8, 1], and should be uint8 [N, 1, 8, 8]"),
        ({"labels": np.arange(11) % 3}, "'x' of a.npz has 12 images for 11 labels"),
        ({"labels": np.arange(12) % 4}, f"'y' of a.npz has the label 3 at [3], {NONE_OF_THEM}"),
    ],
)
def test_arrays_that_are_no_such_pictures(values: dict[str, Any], message: str) -> None:
    pictures(**values)
    assert fails(program(PICTURES, IMAGES)) == f"error: {message}"
