"""Floor 5: networks by name."""

from __future__ import annotations

import math
from collections.abc import Callable

from tinycnn.errors import InputError
from tinycnn.models.classic import alexnet, lenet5, logistic, vgg19
from tinycnn.models.exercise import exercise
from tinycnn.models.inception import inception
from tinycnn.models.residual import resnet20
from tinycnn.nn import Sequential

MODELS: dict[str, Callable[[tuple[int, int, int]], Sequential]] = {
    "exercise": exercise,
    "logistic": logistic,
    "lenet5": lenet5,
    "resnet20": resnet20,
    "inception": inception,
    "alexnet": alexnet,
    "vgg19": vgg19,
}

# The sides of the images that the models for photographs were made for; the others take patches.
USUAL_SHAPE = {"alexnet": (3, 224, 224), "vgg19": (3, 224, 224)}

# The shortest side of an image that leaves each model something behind its last pooling.
SMALLEST = {
    "exercise": 8,
    "logistic": 1,
    "lenet5": 12,
    "resnet20": 1,
    "inception": 8,
    "alexnet": 63,
    "vgg19": 32,
}
LARGEST = 2**25  # numbers in an image: a whole digitised mammogram


def build(name: str, shape: tuple[int, int, int]) -> Sequential:
    """The network of this name for images of a shape (channels, height, width), its first weights
    drawn from the default generator.

    Raises:
        InputError: no such name, or the images are too small for it or absurdly large.

    >>> len(build("logistic", (1, 60, 60)))
    2
    """
    if name not in MODELS:
        raise InputError(f"model {name!r}: there is none; there are {', '.join(MODELS)}")
    channels, height, width = shape
    least = SMALLEST[name]
    if channels < 1 or min(height, width) < least:
        raise InputError(
            f"model {name!r}: images of {channels}×{height}×{width} are too small; "
            f"it takes 1×{least}×{least} or more"
        )
    if math.prod(shape) > LARGEST:
        raise InputError(f"model {name!r}: images of {channels}×{height}×{width} are too large")
    return MODELS[name](shape)


__all__ = ["LARGEST", "MODELS", "SMALLEST", "USUAL_SHAPE", "build"]
