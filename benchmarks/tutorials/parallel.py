"""A convolutional network on several processes, as one who knows torch.distributed writes it by hand.

    torchrun --nproc-per-node 2 parallel.py ddp|fsdp DATA.npz EPOCHS

The data is in memory, the batch is shared out, and gradients are averaged by DistributedDataParallel or FSDP2.
"""

import sys
import time

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

kind, path, epochs = sys.argv[1], sys.argv[2], int(sys.argv[3])
BATCH = 128


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x):
        return torch.relu(x + self.conv2(torch.relu(self.conv1(x))))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 3, padding=1)
        self.one, self.two = Block(32), Block(32)
        self.head = nn.Linear(32 * 8 * 8, 10)

    def forward(self, x):
        x = F.max_pool2d(torch.relu(self.stem(x)), 2)
        x = F.max_pool2d(self.two(self.one(x)), 2)
        return self.head(x.flatten(1))


def main():
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    arrays = np.load(path)
    images, labels = torch.from_numpy(arrays["image"]), torch.from_numpy(arrays["label"])
    torch.manual_seed(0)
    model = Net()
    if kind == "ddp":
        model = DistributedDataParallel(model.to(memory_format=torch.channels_last))
        images = images.contiguous(memory_format=torch.channels_last)
    else:
        mesh = init_device_mesh("cpu", (world,))
        for block in (model.one, model.two):
            fully_shard(block, mesh=mesh)
        fully_shard(model, mesh=mesh)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    for epoch in range(epochs):
        started = time.perf_counter()
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))
        for batch in order.split(BATCH):
            index = batch.tensor_split(world)[rank]
            logits = model(images[index].float() / 255)
            loss = F.cross_entropy(logits, labels[index]) * len(index) * world / len(batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if rank == 0:
            print(f"epoch {epoch + 1}: {time.perf_counter() - started:.4f} s", flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
