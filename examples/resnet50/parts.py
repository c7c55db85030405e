"""A layer with a parameter of its own, and a data set that draws its pictures."""

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset


class Scale(nn.Module):
    """Each feature times a factor that is learned."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


class Shapes(Dataset):
    """Squares, bars that lie and bars that stand, each at a place of its own: float32 [3, 64, 64], and its class."""

    def __init__(self, count: int = 1000, seed: int = 0) -> None:
        self.count = count
        self.seed = seed

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if not 0 <= index < self.count:
            raise IndexError(index)
        generator = torch.Generator().manual_seed(self.seed * self.count + index)
        label = index % 3
        height, width = [(24, 24), (12, 48), (48, 12)][label]
        image = torch.rand(3, 64, 64, generator=generator) * 0.3
        top = int(torch.randint(64 - height, (), generator=generator))
        left = int(torch.randint(64 - width, (), generator=generator))
        image[:, top : top + height, left : left + width] += 0.7
        return image, label
