"""FashionMNIST with three linear layers, as a tutorial writes it: `python mlp.py DATA EPOCHS`."""

import sys
import time

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets
from torchvision.transforms import ToTensor

root, epochs = sys.argv[1], int(sys.argv[2])
device = "cpu"

training_data = datasets.FashionMNIST(root=root, train=True, transform=ToTensor())
test_data = datasets.FashionMNIST(root=root, train=False, transform=ToTensor())
train_dataloader = DataLoader(training_data, batch_size=64, shuffle=True)
# A generator of its own, so that testing takes no random number from training
test_dataloader = DataLoader(test_data, batch_size=64, generator=torch.Generator())


class NeuralNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(28 * 28, 512)
        self.fc2 = nn.Linear(512, 512)
        self.fc3 = nn.Linear(512, 10)

    def forward(self, x):
        x = self.flatten(x)
        x = torch.relu(self.fc1(x))
        x = torch.relu(self.fc2(x))
        return self.fc3(x)


def train_loop(dataloader, model, loss_fn, optimizer):
    size = len(dataloader.dataset)
    model.train()
    for batch, (X, y) in enumerate(dataloader):
        X, y = X.to(device), y.to(device)
        loss = loss_fn(model(X), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if batch % 100 == 0:
            print(f"loss: {loss.item():>7f}  [{batch * 64 + len(X):>5d}/{size:>5d}]")


def test_loop(dataloader, model, loss_fn):
    size = len(dataloader.dataset)
    model.eval()
    test_loss, correct = 0.0, 0
    with torch.no_grad():
        for X, y in dataloader:
            X, y = X.to(device), y.to(device)
            pred = model(X)
            test_loss += loss_fn(pred, y).item() * len(X)
            correct += (pred.argmax(1) == y).sum().item()
    print(f"Accuracy: {correct / size:.4f}, average loss: {test_loss / size:>8f}")


torch.manual_seed(0)
model = NeuralNetwork().to(device)
loss_fn = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
for epoch in range(epochs):
    start = time.perf_counter()
    train_loop(train_dataloader, model, loss_fn, optimizer)
    test_loop(test_dataloader, model, loss_fn)
    print(f"epoch {epoch + 1}: {time.perf_counter() - start:.4f} s")
torch.save(model.state_dict(), "model.pth")
