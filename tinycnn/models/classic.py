"""Networks of the lecture, from one layer to nineteen. Each takes the shape of an image,
(channels, height, width), and ends in one number: the logit of the second class.
"""

from __future__ import annotations

from tinycnn.nn import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    MaxPool2d,
    Module,
    ReLU,
    Sequential,
    Tanh,
)

Shape = tuple[int, int, int]


def logistic(shape: Shape) -> Sequential:
    """Logistic regression on the grey levels: one weight a pixel, no hidden layer."""
    channels, height, width = shape
    return Sequential(Flatten(), Linear(channels * height * width, 1))


def lenet5(shape: Shape) -> Sequential:
    """LeNet-5: two convolutions with tanh and average pooling, three linear layers.
    LeCun et al. (1998).
    """
    channels, height, width = shape
    rest = (height // 2 - 4) // 2, (width // 2 - 4) // 2
    return Sequential(
        {
            "conv1": Conv2d(channels, 6, 5, padding=2),
            "tanh1": Tanh(),
            "pool1": AvgPool2d(2),
            "conv2": Conv2d(6, 16, 5),
            "tanh2": Tanh(),
            "pool2": AvgPool2d(2),
            "flatten": Flatten(),
            "fc1": Linear(16 * rest[0] * rest[1], 120),
            "tanh3": Tanh(),
            "fc2": Linear(120, 84),
            "tanh4": Tanh(),
            "fc3": Linear(84, 1),
        }
    )


def _head(features: int, hidden: int) -> Sequential:
    """The three linear layers of AlexNet and VGG, most of their parameters."""
    return Sequential(
        Linear(features, hidden),
        ReLU(),
        Dropout(0.5),
        Linear(hidden, hidden),
        ReLU(),
        Dropout(0.5),
        Linear(hidden, 1),
    )


def alexnet(shape: Shape) -> Sequential:
    """AlexNet: five convolutions, the first of 11×11 with stride 4. Krizhevsky et al. (2012), in
    one tower. For images of about 224×224.
    """
    features = Sequential(
        Conv2d(shape[0], 64, 11, stride=4, padding=2),
        ReLU(),
        MaxPool2d(3, 2),
        Conv2d(64, 192, 5, padding=2),
        ReLU(),
        MaxPool2d(3, 2),
        Conv2d(192, 384, 3, padding=1),
        ReLU(),
        Conv2d(384, 256, 3, padding=1),
        ReLU(),
        Conv2d(256, 256, 3, padding=1),
        ReLU(),
        MaxPool2d(3, 2),
    )
    return Sequential(
        {
            "features": features,
            "avgpool": AdaptiveAvgPool2d(6),
            "flatten": Flatten(),
            "classifier": _head(256 * 6 * 6, 4096),
        }
    )


def vgg19(shape: Shape) -> Sequential:
    """VGG19: sixteen 3×3 convolutions in five blocks, three linear layers. Simonyan & Zisserman
    (2015), configuration E. Two 3×3 in a row see 5×5 with 18/25 of the weights and one more ReLU.
    """
    layers: list[Module] = []
    channels = shape[0]
    for width, depth in ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4)):
        for _ in range(depth):
            layers += [Conv2d(channels, width, 3, padding=1), ReLU()]
            channels = width
        layers.append(MaxPool2d(2))
    return Sequential(
        {
            "features": Sequential(*layers),
            "avgpool": AdaptiveAvgPool2d(7),
            "flatten": Flatten(),
            "classifier": _head(512 * 7 * 7, 4096),
        }
    )
