"""Pictures are decoded once: what is kept, when it is found again, and what happens where nothing can be kept."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
import torch

from netc import ir
from tests import forked
from tests.data.formats import write_pictures
from tests.data.test_reading import FLOWERS, flowers, script
from tests.training.programs import TO_TENSOR, dataset, train, transform
from tests.training.scripts import tiny_project

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NETC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pictures"


def all_pictures(module: ModuleType, part: str = "train") -> torch.Tensor:
    pictures, _ = module.load_data()[part]
    found: torch.Tensor = torch.cat(pictures.batch(torch.arange(len(pictures))))
    return found


def no_decoding(module: ModuleType) -> None:
    def read_picture(path: Path) -> torch.Tensor:
        raise AssertionError(f"{path} is decoded again")

    module.__dict__["read_picture"] = read_picture


@pytest.mark.parametrize(
    "augment", [(), (transform("RandomResizedCrop", 20),)], ids=["one size", "pictures of many sizes"]
)
def test_pictures_are_decoded_once(augment: tuple[ir.Call, ...], cache: Path) -> None:
    write_pictures(Path("flowers"), FLOWERS)
    sections = flowers(augment=augment)
    pictures, labels = script(flowers(augment=augment, cache=False), (3, 20, 20), 3).load_data()["train"]
    expected = pictures.batch(torch.arange(13))
    first, _ = script(sections, (3, 20, 20), 3).load_data()["train"]
    module = script(sections, (3, 20, 20), 3)
    no_decoding(module)
    second, again = module.load_data()["train"]
    assert torch.equal(labels, again)
    for found in (first, second):
        assert found.kept == {}
        for a, b in zip(found.batch(torch.arange(13)), expected, strict=True):
            assert torch.equal(a, b)
    assert [path.suffix for path in cache.iterdir()] == [".decoded"]


def test_a_split_of_another_seed_decodes_nothing() -> None:
    write_pictures(Path("flowers"), FLOWERS)
    sections = flowers(validation=5)
    first = script(sections, (3, 20, 20), 3)
    both = torch.cat([all_pictures(first), all_pictures(first, "validation")])
    module = script(sections, (3, 20, 20), 3)
    module.__dict__["SEED"] = 5
    no_decoding(module)
    other = torch.cat([all_pictures(module), all_pictures(module, "validation")])
    assert len(other) == 13
    assert not torch.equal(both, other)
    assert torch.equal(both.flatten(1).sum(1).sort().values, other.flatten(1).sum(1).sort().values)


def other_steps(sections: ir.Data) -> ir.Data:
    return sections._replace(transform=(transform("Resize", 30), *sections.transform[1:]))


def other_size(sections: ir.Data) -> ir.Data:
    Path("flowers/rose/000.png").write_bytes(Path("flowers/tulip/000.png").read_bytes() + b"\0")
    return sections


def other_content(sections: ir.Data) -> ir.Data:
    """Another picture of the same size, as far as the file goes."""
    size = Path("flowers/rose/000.png").stat().st_size
    Path("flowers/rose/000.png").write_bytes(Path("flowers/tulip/000.png").read_bytes().ljust(size, b"\0"))
    return sections


def one_more(sections: ir.Data) -> ir.Data:
    Path("flowers/rose/999.png").write_bytes(Path("flowers/tulip/000.png").read_bytes())
    return sections


def one_less(sections: ir.Data) -> ir.Data:
    Path("flowers/rose/000.png").unlink()
    return sections


@pytest.mark.parametrize("change", [other_steps, other_size, other_content, one_more, one_less])
def test_other_pictures_and_other_steps_are_decoded_anew(change: Any, cache: Path) -> None:
    write_pictures(Path("flowers"), FLOWERS)
    all_pictures(script(flowers(), (3, 20, 20), 3))
    changed = change(flowers())
    found = all_pictures(script(changed, (3, 20, 20), 3))
    assert len(list(cache.iterdir())) == 2
    assert torch.equal(found, all_pictures(script(changed._replace(cache=False), (3, 20, 20), 3)))


def touched() -> str:
    for path in Path("flowers").rglob("*.png"):
        os.utime(path)
    return "flowers"


def copied() -> str:
    shutil.copytree("flowers", "elsewhere/blossoms")
    shutil.rmtree("flowers")
    return "elsewhere/blossoms"


def moved() -> str:
    Path("flowers").rename("asters")
    return "asters"


@pytest.mark.parametrize("change", [touched, copied, moved])
def test_pictures_of_the_same_content_are_found_again(change: Callable[[], str], cache: Path) -> None:
    write_pictures(Path("flowers"), FLOWERS)
    expected = all_pictures(script(flowers(), (3, 20, 20), 3))
    root = change()
    module = script(flowers(train=dataset("ImageFolder", root)), (3, 20, 20), 3)
    no_decoding(module)
    assert torch.equal(all_pictures(module), expected)
    assert len(list(cache.iterdir())) == 1


def test_what_is_in_the_files_is_looked_up(cache: Path) -> None:
    write_pictures(Path("flowers"), FLOWERS)
    all_pictures(script(flowers(), (3, 20, 20), 3))
    module = script(flowers(), (3, 20, 20), 3)
    module.__dict__["digest"] = None  # nothing is read but the one file
    no_decoding(module)
    all_pictures(module)
    (known,) = cache.with_name("known").iterdir()
    known.write_bytes(b"\xff cut")
    module = script(flowers(), (3, 20, 20), 3)
    no_decoding(module)
    all_pictures(module)
    assert len(known.read_text()) == 64


def test_a_step_behind_the_conversion_needs_no_decoding() -> None:
    write_pictures(Path("flowers"), FLOWERS)
    all_pictures(script(flowers(), (3, 20, 20), 3))
    module = script(flowers(transform=flowers().transform[:3]), (3, 20, 20), 3)
    no_decoding(module)
    all_pictures(module)


def test_a_file_that_is_cut_short_is_written_anew(cache: Path) -> None:
    write_pictures(Path("flowers"), FLOWERS)
    expected = all_pictures(script(flowers(), (3, 20, 20), 3))
    (path,) = cache.iterdir()
    for size in (0, 7, 12 * 13, path.stat().st_size - 1):
        with path.open("rb+") as file:
            file.truncate(size)
        assert torch.equal(expected, all_pictures(script(flowers(), (3, 20, 20), 3)))
        assert path.stat().st_size == 13 * (12 + 3 * 20 * 20)


def test_a_folder_of_its_own() -> None:
    write_pictures(Path("flowers"), FLOWERS)
    all_pictures(script(flowers(cache="kept here"), (3, 20, 20), 3))
    assert len(list(Path("kept here/pictures").glob("*.decoded"))) == 1
    assert not Path("cache").exists()


def test_no_cache(cache: Path) -> None:
    write_pictures(Path("flowers"), FLOWERS)
    all_pictures(script(flowers(cache=False), (3, 20, 20), 3))
    assert not cache.exists()


def test_a_folder_that_cannot_be_written_costs_a_note(capsys: pytest.CaptureFixture[str]) -> None:
    write_pictures(Path("flowers"), FLOWERS)
    Path("taken").write_text("a file")
    found = all_pictures(script(flowers(cache="taken"), (3, 20, 20), 3))
    note = capsys.readouterr().err.splitlines()
    assert len(note) == 1
    assert note[0].startswith("note: no pictures are kept in taken/pictures: ")
    assert torch.equal(found, all_pictures(script(flowers(cache=False), (3, 20, 20), 3)))


def test_a_file_that_cannot_be_mapped_costs_a_note(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pictures(Path("flowers"), FLOWERS)
    module = script(flowers(), (3, 20, 20), 3)

    def from_file(*arguments: Any, **options: Any) -> torch.Tensor:
        raise RuntimeError("unable to open file in read-write mode: Permission denied (13)")

    monkeypatch.setattr(torch, "from_file", from_file)
    found = all_pictures(module)
    assert "note: no pictures are kept in" in capsys.readouterr().err
    assert torch.equal(found, all_pictures(script(flowers(cache=False), (3, 20, 20), 3)))


FULL = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
"""


def test_a_full_disk_costs_a_note(cache: Path) -> None:
    """A limit on the size of files ends a write as a full disk does."""
    write_pictures(Path("flowers"), FLOWERS)
    sections = flowers()
    project = tiny_project(Path("project"), sections, train(), (3, 20, 20), 3)
    code = FULL + "sys.path.insert(0, 'project')\nimport train\ndata = train.load_data()\n"
    code += "print(len(data['train'][0].batch(train.torch.arange(13))))"
    done = forked.run(["-c", code])
    assert (done.returncode, done.stdout) == (0, "13\n"), done.stderr
    assert re.search(r"note: no pictures are kept in .*cache/pictures: .*File too large", done.stderr)
    assert list(cache.iterdir()) == []
    assert project.text


def test_what_was_not_used_for_longest_goes_first(cache: Path) -> None:
    write_pictures(Path("flowers"), FLOWERS)
    size = 13 * (12 + 3 * 20 * 20)

    def use(resize: int) -> Path:
        sections = flowers(transform=(transform("Resize", resize), *flowers().transform[1:]))
        module = script(sections, (3, 20, 20), 3)
        module.__dict__["CACHE_SIZE"] = 2 * size
        all_pictures(module)
        newest = max(cache.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        for path in cache.iterdir():  # a day goes by
            os.utime(path, ns=(0, path.stat().st_mtime_ns - 86_400 * 10**9))
        return newest

    first, second = use(24), use(25)
    assert use(24) == first
    third = use(26)
    assert set(cache.iterdir()) == {first, third}
    assert second not in (first, third)


def test_other_files_in_the_folder_are_left_alone(cache: Path) -> None:
    write_pictures(Path("flowers"), FLOWERS)
    cache.mkdir(parents=True)
    (cache / "letter.txt").write_text("dear")
    module = script(flowers(), (3, 20, 20), 3)
    module.__dict__["CACHE_SIZE"] = 13 * (12 + 3 * 20 * 20)
    all_pictures(module)
    all_pictures(script(other_steps(flowers()), (3, 20, 20), 3))
    assert (cache / "letter.txt").exists()


def test_more_than_the_limit_is_not_begun(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pictures(Path("flowers"), {"rose": [(30, 30)] * 100, "aster": [(30, 30)] * 100})
    other = script(other_steps(flowers()), (3, 20, 20), 2)
    all_pictures(other)
    module = script(flowers(), (3, 20, 20), 2)
    module.__dict__["CACHE_SIZE"] = 199 * (12 + 3 * 20 * 20)
    decoded = []
    read_picture = module.read_picture

    def counted(path: Path) -> torch.Tensor:
        decoded.append(path)
        picture: torch.Tensor = read_picture(path)
        return picture

    module.__dict__["read_picture"] = counted
    module.load_data()
    assert "bytes are more than CACHE_SIZE" in capsys.readouterr().err
    assert len(decoded) == 64
    assert len(list(cache.iterdir())) == 1  # nothing else was removed for it


def test_two_runs_at_once(cache: Path) -> None:
    write_pictures(Path("flowers"), {"rose": [(90, 90)] * 60, "aster": [(90, 90)] * 60})
    project = tiny_project(Path("project"), flowers(), train(), (3, 20, 20), 2)
    code = "import sys; sys.path.insert(0, 'project'); import train\n"
    code += "x, _ = train.load_data()['train']; print(int(train.torch.cat(x.batch(train.torch.arange(120))).sum()))"
    runs = [forked.Started(["-c", code]) for _ in range(3)]
    sums = {run.communicate(timeout=100)[0] for run in runs}
    assert [run.returncode for run in runs] == [0, 0, 0]
    assert sums == {f"{int(all_pictures(project.module()).sum())}\n"}
    assert [path.suffix for path in cache.iterdir()] == [".decoded"]


@pytest.mark.parametrize("cached", [True, False])
def test_a_picture_that_cannot_be_read_shows_before_the_first_epoch(cached: bool, cache: Path) -> None:
    write_pictures(Path("flowers"), FLOWERS)
    path = Path("flowers/tulip/002.png")
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(SystemExit, match=r"error: flowers/tulip/002\.png cannot be read as a picture"):
        script(flowers(cache=cached), (3, 20, 20), 3).load_data()
    assert not cached or list(cache.iterdir()) == []


def test_a_file_that_vanishes_while_training_does_no_harm() -> None:
    write_pictures(Path("flowers"), FLOWERS)
    pictures, _ = script(flowers(), (3, 20, 20), 3).load_data()["train"]
    Path("flowers/tulip/002.png").unlink()
    assert len(pictures.batch(torch.arange(13))) == 13


def test_a_file_that_vanishes_without_a_cache_is_named() -> None:
    write_pictures(Path("flowers"), FLOWERS)
    module = script(flowers(cache=False), (3, 20, 20), 3)
    module.__dict__["MEMORY"] = 0
    pictures, _ = module.load_data()["train"]
    Path("flowers/tulip/002.png").unlink()
    with pytest.raises(SystemExit, match=r"error: flowers/tulip/002\.png cannot be read as a picture: .*No such file"):
        pictures.batch(torch.arange(13))


def test_one_class_only() -> None:
    write_pictures(Path("flowers"), {"rose": [(30, 30)] * 3})
    with pytest.raises(SystemExit, match="error: flowers has one class only, rose"):
        script(flowers(), (3, 20, 20), 1).load_data()


def test_no_pictures_at_all() -> None:
    Path("flowers/rose").mkdir(parents=True)
    Path("flowers/aster").mkdir(parents=True)
    sections = flowers(train=dataset("ImageFolder", "flowers", allow_empty=True), transform=(TO_TENSOR,))
    sections = sections._replace(transform=flowers().transform)
    with pytest.raises(SystemExit, match="error: flowers has no pictures"):
        script(sections, (3, 20, 20), 2).load_data()


@pytest.mark.parametrize(
    "augment", [(), (transform("RandomResizedCrop", 20),)], ids=["one size", "pictures of many sizes"]
)
@pytest.mark.parametrize("how", ["random", "stratified", None])
def test_shares_of_the_pictures(augment: tuple[ir.Call, ...], how: str | None) -> None:
    write_pictures(Path("flowers"), FLOWERS)
    sections = flowers(augment=augment, validation=3, test=0.2, split=how)
    module = script(sections, (3, 20, 20), 3)
    parts = module.load_data()
    assert {name: len(pictures) for name, (pictures, _) in parts.items()} == {"train": 7, "validation": 3, "test": 3}
    whole = script(flowers(augment=augment), (3, 20, 20), 3).load_data()["train"]
    fixed = script(flowers(), (3, 20, 20), 3).load_data()["train"][0]
    order = module.split(whole[1])
    assert sorted(torch.cat(list(order.values())).tolist()) == list(range(13))
    for name, (pictures, labels) in parts.items():
        assert torch.equal(labels, whole[1][order[name]])
        source = whole[0] if name == "train" else fixed
        for i, row in enumerate(order[name].tolist()):
            assert torch.equal(pictures.read(i), source.read(row))
