"""Floor 4: modules and layers, with PyTorch's names and argument order."""

from tinycnn.nn import functional, init
from tinycnn.nn.activations import (
    ELU,
    LeakyReLU,
    LogSoftmax,
    Maxout,
    ReLU,
    Sigmoid,
    Softmax,
    Softplus,
    Tanh,
)
from tinycnn.nn.containers import Concat, ModuleDict, ModuleList, Sequential
from tinycnn.nn.layers import BatchNorm2d, Conv2d, Linear
from tinycnn.nn.losses import BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, MSELoss
from tinycnn.nn.module import Module
from tinycnn.nn.parameter import Parameter
from tinycnn.nn.residual import Residual
from tinycnn.nn.structure import (
    AdaptiveAvgPool2d,
    AdaptiveMaxPool2d,
    AvgPool2d,
    Dropout,
    Flatten,
    Identity,
    MaxPool2d,
    Pad,
)

__all__ = [
    "ELU",
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool2d",
    "AvgPool2d",
    "BCELoss",
    "BCEWithLogitsLoss",
    "BatchNorm2d",
    "Concat",
    "Conv2d",
    "CrossEntropyLoss",
    "Dropout",
    "Flatten",
    "Identity",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "MSELoss",
    "MaxPool2d",
    "Maxout",
    "Module",
    "ModuleDict",
    "ModuleList",
    "Pad",
    "Parameter",
    "ReLU",
    "Residual",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
    "functional",
    "init",
]
