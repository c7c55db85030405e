"""CIFAR-10 with three convolutions, as a tutorial writes it: `python cnn.py DATA EPOCHS`."""

import sys
import time

import torch
import torchvision
import torchvision.transforms as transforms
from torch import nn

root, epochs = sys.argv[1], int(sys.argv[2])
device = "cpu"


class CIFAR10(torchvision.datasets.CIFAR10):
    """The files were made here, so that their sums are not the published ones."""

    def _check_integrity(self):
        return True

    def _load_meta(self):
        self.classes = [str(i) for i in range(10)]


transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))])
trainset = CIFAR10(root=root, train=True, transform=transform)
trainloader = torch.utils.data.DataLoader(trainset, batch_size=64, shuffle=True)
testset = CIFAR10(root=root, train=False, transform=transform)
# A generator of its own, so that testing takes no random number from training
testloader = torch.utils.data.DataLoader(testset, batch_size=64, generator=torch.Generator())


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 5, padding=2)
        self.conv2 = nn.Conv2d(32, 32, 5, padding=2)
        self.conv3 = nn.Conv2d(32, 64, 5, padding=2)
        self.pool = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(1024, 64)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, x):
        x = self.pool(torch.relu(self.conv1(x)))
        x = self.pool(torch.relu(self.conv2(x)))
        x = self.pool(torch.relu(self.conv3(x)))
        x = torch.flatten(x, 1)
        return self.fc2(torch.relu(self.fc1(x)))


torch.manual_seed(0)
net = Net().to(device)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(net.parameters(), lr=0.01)

for epoch in range(epochs):
    start = time.perf_counter()
    running_loss = 0.0
    net.train()
    for i, data in enumerate(trainloader):
        inputs, labels = data[0].to(device), data[1].to(device)
        optimizer.zero_grad()
        outputs = net(inputs)
        loss = criterion(outputs, labels)
        loss.backward()
        optimizer.step()
        running_loss += loss.item()
        if i % 100 == 99:
            print(f"[{epoch + 1}, {i + 1:5d}] loss: {running_loss / 100:.3f}")
            running_loss = 0.0
    correct, total, test_loss = 0, 0, 0.0
    net.eval()
    with torch.no_grad():
        for data in testloader:
            images, labels = data[0].to(device), data[1].to(device)
            outputs = net(images)
            test_loss += criterion(outputs, labels).item() * labels.size(0)
            correct += (outputs.argmax(1) == labels).sum().item()
            total += labels.size(0)
    print(f"Accuracy: {correct / total:.4f}, average loss: {test_loss / total:>8f}")
    print(f"epoch {epoch + 1}: {time.perf_counter() - start:.4f} s")
torch.save(net.state_dict(), "model.pth")
