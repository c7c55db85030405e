"""Shares and orders of the script are those of torch: random_split, and samplers behind a DataLoader, for one seed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils import data as official

from tests.data.tables import program, script

COUNT = 150


class Rows(official.Dataset[int]):
    """The positions of samples."""

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> int:
        return index


def iris(settings: str) -> Any:
    return script(program(f"train = Iris()\n  {settings}"))


def labels() -> torch.Tensor:
    return torch.arange(3).repeat_interleave(50)


def epochs(sampler: official.Sampler[int] | None, seed: int, **options: Any) -> list[list[int]]:
    """What two epochs of a DataLoader draw."""
    torch.manual_seed(seed)
    loader = official.DataLoader(Rows(), batch_size=16, sampler=sampler, **options)
    return [[int(i) for batch in loader for i in batch] for _ in range(2)]


def replayed(module: Any, call: str, seed: int) -> list[list[int]]:
    """What the script draws."""
    torch.manual_seed(seed)
    return [eval(call, vars(module), {"labels": labels()}).tolist() for _ in range(2)]


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize(
    ("settings", "sampler", "call"),
    [
        ("sampler = RandomSampler()", lambda: official.RandomSampler(Rows()), "shuffled(len(labels))"),
        ("sampler = SequentialSampler()", lambda: official.SequentialSampler(Rows()), "in_order(len(labels))"),
        ("sampler = SubsetRandomSampler(range(20, 90))", lambda: official.SubsetRandomSampler(range(20, 90)),
         "drawn()"),
        ("sampler = SubsetRandomSampler([5, 3, 99, 7])", lambda: official.SubsetRandomSampler([5, 3, 99, 7]),
         "drawn()"),
        ("sampler = RandomSampler(replacement=True)", lambda: official.RandomSampler(Rows(), replacement=True),
         "drawn(len(labels))"),
        ("sampler = RandomSampler(replacement=True, num_samples=1001)",
         lambda: official.RandomSampler(Rows(), replacement=True, num_samples=1001), "drawn(len(labels))"),
        ("sampler = RandomSampler(num_samples=40)", lambda: official.RandomSampler(Rows(), num_samples=40),
         "drawn(len(labels))"),
        ("sampler = RandomSampler(num_samples=400)", lambda: official.RandomSampler(Rows(), num_samples=400),
         "drawn(len(labels))"),
    ],
)  # fmt: skip
def test_a_sampler_draws_what_torch_draws(settings: str, sampler: Any, call: str, seed: int) -> None:
    assert replayed(iris(settings), call, seed) == epochs(sampler(), seed)


def test_left_out_it_is_the_order_of_shuffle() -> None:
    assert replayed(iris(""), "shuffled(len(labels))", 3) == epochs(None, 3, shuffle=True)


def test_balance_draws_as_weights_of_inverse_counts_do() -> None:
    module = iris("balance = True")
    uneven = torch.cat([torch.zeros(100), torch.ones(40), torch.full((10,), 2)]).long()
    weights = 1 / torch.bincount(uneven).double()
    torch.manual_seed(5)
    drawn = [module.drawn(uneven).tolist() for _ in range(2)]
    assert drawn == epochs(official.WeightedRandomSampler(weights[uneven], COUNT), 5)  # type: ignore[arg-type]
    shares = torch.bincount(uneven[torch.cat([module.drawn(uneven) for _ in range(100)])]) / (100 * COUNT)
    assert shares.tolist() == pytest.approx([1 / 3] * 3, abs=0.02)


@pytest.mark.parametrize("seed", [0, 4])
def test_a_random_split_is_that_of_torch(seed: int) -> None:
    text = program('train = Iris()\n  validation = 0.1\n  test = 30\n  split = "random"', more=f"seed = {seed}")
    found = script(text).split(labels())
    parts = official.random_split(Rows(), [105, 15, 30], generator=torch.Generator().manual_seed(seed))
    assert [found[p].tolist() for p in ("train", "validation", "test")] == [p.indices for p in parts]


def test_an_ordered_split_holds_the_last_ones_out() -> None:
    found = iris('validation = 0.1\n  test = 30\n  split = "ordered"').split(labels())
    assert {p: (int(i[0]), int(i[-1])) for p, i in found.items()} == {
        "train": (0, 104), "validation": (105, 119), "test": (120, 149),
    }  # fmt: skip


@pytest.mark.parametrize("how", ["", 'split = "stratified"'])
def test_a_stratified_split_takes_each_class_in_proportion(how: str) -> None:
    uneven = torch.cat([torch.zeros(100), torch.ones(40), torch.full((10,), 2)]).long()[torch.randperm(150)]
    found = iris(f"validation = 0.2\n  test = 0.1\n  {how}").split(uneven)
    assert torch.bincount(uneven[found["validation"]]).tolist() == [20, 8, 2]
    assert torch.bincount(uneven[found["test"]]).tolist() == [10, 4, 1]
    assert sorted(torch.cat([*found.values()]).tolist()) == list(range(150))


def test_images_are_shared_out_in_the_same_ways() -> None:
    pictures = "input image: [N, 1, 8, 8]\n  Flatten"
    sets = "train = Digits()\n  transform = ToTensor\n  validation = 0.1"
    usual = script(program(sets, pictures, 10)).load_data()
    both = script(program(f"{sets}\n  test = 0.2", pictures, 10)).load_data()
    assert torch.equal(usual["validation"][0], both["validation"][0])
    assert {part: len(x) for part, (x, _) in both.items()} == {"train": 1006, "validation": 144, "test": 287}
    ordered = script(program(f'{sets}\n  split = "ordered"', pictures, 10)).load_data()
    whole = script(program(sets.replace("validation = 0.1", ""), pictures, 10)).load_data()["train"]
    assert torch.equal(torch.cat([ordered["train"][0], ordered["validation"][0]]), whole[0])


def test_what_is_held_out_leaves_something_to_train() -> None:
    module = iris("validation = 0.2\n  test = 0.2")
    with pytest.raises(SystemExit, match="cannot hold {'validation': 0, 'test': 0} of 2 samples out"):
        module.split(torch.tensor([0, 1]))
