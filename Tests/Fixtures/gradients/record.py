"""Records the gradients that PyTorch finds for three small networks, for RecordedGradientTests.

    record.py [FOLDER]      FOLDER/NAME.onnx and FOLDER/NAME.npz; by default beside this script

Needs torch==2.13.0 and onnx==1.23.2. An archive holds the input, the output, a direction (the loss is
the sum of the outputs times it) and `gradient/INITIALIZER` for each trained initializer.
"""

import math
import pathlib
import sys
import warnings

import numpy
import onnx
import torch
from onnx import numpy_helper
from torch import nn

BATCH = 4


class Residual(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = None
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = torch.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        return torch.relu(y + (x if self.shortcut is None else self.shortcut(x)))


class ResNet20(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        blocks, inputs = [], width
        for stage in range(3):
            outputs = width << stage
            for block in range(3):
                blocks.append(Residual(inputs, outputs, 2 if stage and not block else 1))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(inputs, 5)

    def forward(self, x):
        y = self.blocks(torch.relu(self.norm(self.conv(x))))
        return self.head(y.mean((2, 3)))


class Transformer(nn.Module):
    """One block with two heads over token ids, whose mean is classified."""

    def __init__(self, tokens=11, steps=6, width=8, heads=2):
        super().__init__()
        self.heads = heads
        self.embedding = nn.Embedding(tokens, width)
        self.position = nn.Parameter(torch.randn(1, steps, width) * 0.3)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.projections = nn.ModuleList(nn.Linear(width, width) for _ in range(4))
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.head = nn.Linear(width, 3)

    def split(self, x):
        return x.reshape(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)

    def forward(self, ids):
        x = self.embedding(ids) + self.position
        y = self.norm1(x)
        q, k, v = (self.split(projection(y)) for projection in self.projections[:3])
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        y = (torch.softmax(scores, -1) @ v).transpose(1, 2).reshape(x.shape)
        x = x + self.projections[3](y)
        x = x + self.down(nn.functional.gelu(self.up(self.norm2(x))))
        return self.head(x.mean(1))


class Recurrent(nn.Module):
    def __init__(self, inputs=4, hidden=5):
        super().__init__()
        self.lstm = nn.LSTM(inputs, hidden, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * hidden, 3)

    def forward(self, x):
        return self.head(self.lstm(x)[0].mean(1))


def gates(tensor):
    """The rows of an LSTM's weights in ONNX's order: input, output, forget, cell."""
    i, f, g, o = tensor.chunk(4)
    return torch.cat([i, o, f, g])


def lstm_tensors(model, of):
    """Tensors in ONNX's form, made of the parameters' own by `of`."""
    for module in (m for m in model.modules() if isinstance(m, nn.LSTM)):
        sides = ["", "_reverse"] if module.bidirectional else [""]
        def stack(kind):
            return torch.stack([gates(of(getattr(module, f"{kind}_l0{s}"))) for s in sides])
        yield stack("weight_ih")
        yield stack("weight_hh")
        yield torch.cat([stack("bias_ih"), stack("bias_hh")], 1)


def forms(model, of):
    """Every tensor that the exporter may have made of the parameters."""
    for parameter in model.parameters():
        yield of(parameter)
        if parameter.dim() == 2:
            yield of(parameter).T
    yield from lstm_tensors(model, of)


def record(folder, name, model, example, training):
    model.eval()
    path = folder / f"{name}.onnx"
    torch.onnx.export(
        model, (example,), str(path), dynamo=False, opset_version=17, input_names=["x"],
        output_names=["y"], dynamic_axes={"x": {0: "N"}},
        training=torch.onnx.TrainingMode.PRESERVE if training else torch.onnx.TrainingMode.EVAL)
    if training:
        model.train()
    output = model(example)
    direction = torch.randn_like(output)
    (output * direction).sum().backward()
    arrays = {"input": example, "output": output.detach(), "direction": direction}
    pairs = list(zip(forms(model, lambda p: p.detach()), forms(model, lambda p: p.grad)))
    graph = onnx.load(path).graph
    for initializer in graph.initializer:
        value = numpy_helper.to_array(initializer)
        for form, gradient in pairs:
            if value.shape == tuple(form.shape) and numpy.array_equal(value, form.numpy()):
                arrays[f"gradient/{initializer.name}"] = gradient
                break
    numpy.savez(folder / f"{name}.npz", **{
        key: numpy.ascontiguousarray(value.numpy()) for key, value in arrays.items()})
    print(name, path.stat().st_size, len(arrays) - 3, "gradients")


def main():
    warnings.filterwarnings("ignore")
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else __file__)
    folder = folder if folder.is_dir() else folder.parent
    torch.manual_seed(7)
    model = ResNet20(4)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            # Equal scales of neighbouring layers could not be told apart.
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    record(folder, "resnet20", model, torch.randn(BATCH, 3, 16, 16), True)
    transformer = Transformer()
    for norm in (transformer.norm1, transformer.norm2):
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.uniform_(norm.bias, -0.5, 0.5)
    record(folder, "transformer", transformer, torch.randint(0, 11, (BATCH, 6)), False)
    record(folder, "lstm", Recurrent(), torch.randn(BATCH, 7, 4), False)


main()
