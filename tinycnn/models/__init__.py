"""Floor 5: networks by name."""

from __future__ import annotations

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


def build(name: str, shape: tuple[int, int, int]) -> Sequential:
    """The network of this name for images of a shape (channels, height, width), its first weights
    drawn from the default generator.

    Raises:
        InputError: no such name, or the images are too small for it.

    >>> len(build("logistic", (1, 60, 60)))
    2
    """
    if name not in MODELS:
        raise InputError(f"model {name!r}: there is none; there are {', '.join(MODELS)}")
    if min(shape) < 1 or (min(shape[1:]) < 16 and name != "logistic"):
        raise InputError(f"model {name!r}: images of {shape[1]}×{shape[2]} pixels are too small")
    return MODELS[name](shape)


__all__ = ["MODELS", "USUAL_SHAPE", "build"]
