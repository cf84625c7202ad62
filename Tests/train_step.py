#!/usr/bin/env python3
"""Times PyTorch's side of the work items train-step-*, one JSON object a line.

Usage: train_step.py [--compile] [--only NAME] [--runs N]

Forward, cross entropy, backward, SGD with momentum, on two threads: eager, for the convolutional
network channels last too, and with --compile through torch.compile.
"""
import argparse
import json
import statistics
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.skip = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.skip = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.skip(x))


def resnet20():
    layers = [nn.Conv2d(1, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    inputs = 16
    for stage, outputs in enumerate((16, 32, 64)):
        for block in range(3):
            layers.append(Block(inputs, outputs, 2 if stage and block == 0 else 1))
            inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(256, 4, 1024, 0.0, "gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 4)
        self.head = nn.Linear(256, 10)

    def forward(self, x):
        return self.head(self.encoder(x).mean(1))


class Sequence(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(64, 128, batch_first=True)
        self.head = nn.Linear(128, 10)

    def forward(self, x):
        return self.head(self.lstm(x)[1][0][0])


def stepper(network, x, labels):
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)

    def step():
        loss = F.cross_entropy(network(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def timed(work, peer, step, runs, warm_up=3):
    for _ in range(warm_up):
        step()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    print(json.dumps({"work": work, "peer": peer, "median_s": statistics.median(times),
                      "min_s": min(times), "runs": runs}), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--runs", type=int, default=11)
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(2)
    works = (("train-step-resnet20", resnet20, (128, 1, 28, 28)),
             ("train-step-transformer", Transformer, (32, 64, 256)),
             ("train-step-lstm", Sequence, (32, 100, 64)))
    for work, make, shape in works:
        if options.only not in work:
            continue
        x = torch.randn(*shape)
        labels = torch.randint(0, 10, (shape[0],))
        timed(work, "torch-eager", stepper(make().train(), x, labels), options.runs)
        if len(shape) == 4:
            last = {"memory_format": torch.channels_last}
            timed(work, "torch-channels-last",
                  stepper(make().train().to(**last), x.contiguous(**last), labels), options.runs)
        if options.compile:
            network = torch.compile(make().train())
            timed(work, "torch-compile", stepper(network, x, labels), options.runs)


if __name__ == "__main__":
    main()
