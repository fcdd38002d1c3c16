"""Augmentation that keeps the physics: every picture it makes could have come from the scanner.

Each augmentation is a function (images, rng) → images of the same shape (N, C, H, W) and dtype,
draws for each image of its own, and leaves its argument as it was. None interpolates between
pixels: at 85 µm a pixel a calcification of 0.1 mm is one pixel wide, and turning by 10° or
shifting by half a pixel would halve its contrast.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tinycnn.kernels.types import Array

Augmentation: TypeAlias = Callable[[Array, np.random.Generator], Array]

# The symmetries of a square, the dihedral group D₄. Element g turns by g mod 4 quarter turns
# anticlockwise, after a left-right flip if g ≥ 4. Its subgroups are the augmentations below.
_TURNS = 4
_ALL = np.arange(2 * _TURNS)
_QUARTER_TURNS = _ALL[:_TURNS]
# As it is, turned by 180°, flipped left-right, flipped and turned by 180°: that is, upside down.
_FLIPS = _ALL[::2]


def flips(images: Array, rng: np.random.Generator) -> Array:
    """Flip each image left-right with probability ½ and upside down with probability ½.

    Preserves every grey level and so the histogram, the noise, and the radial power spectrum;
    distances and shapes but for their handedness. The two breasts are mirror images already.

    >>> pair = np.array([[[[1.0, 2.0]]]])
    >>> drawn = flips(np.repeat(pair, 100, axis=0), np.random.default_rng(0))
    >>> np.unique(drawn, axis=0).tolist()
    [[[[1.0, 2.0]]], [[[2.0, 1.0]]]]
    """
    return _transformed(images, _FLIPS, rng)


def quarter_turns(images: Array, rng: np.random.Generator) -> Array:
    """Turn each image by 0, 90, 180 or 270°, equally often. The images must be square.

    Preserves every grey level and so the histogram, the noise, and the radial power spectrum;
    distances and shapes. Gives up only the direction: that ducts run towards the nipple.

    >>> corner = np.array([[[[1, 0], [0, 0]]]])
    >>> drawn = quarter_turns(np.repeat(corner, 100, axis=0), np.random.default_rng(0))
    >>> len(np.unique(drawn, axis=0))
    4
    """
    return _transformed(images, _QUARTER_TURNS, rng)


def flips_and_quarter_turns(images: Array, rng: np.random.Generator) -> Array:
    """Give each image one of the eight symmetries of a square, equally often. The default recipe.

    Preserves what `flips` and `quarter_turns` both preserve, at the cost of one pass.

    >>> square = np.arange(4).reshape(1, 1, 2, 2)
    >>> drawn = flips_and_quarter_turns(np.repeat(square, 100, axis=0), np.random.default_rng(0))
    >>> len(np.unique(drawn, axis=0))
    8
    """
    return _transformed(images, _ALL, rng)


def shifts(pixels: int) -> Augmentation:
    """Make an augmentation that shifts by whole pixels, up to `pixels` along each axis.

    What enters at the border is the reflection of what is there (the outermost row is not
    repeated). Preserves the sharpness and noise of every pixel, and the texture's continuity;
    loses up to `pixels` rows and columns, and with them a calcification that lies there.

    >>> row = np.array([[[[1, 2, 3]] * 2]])
    >>> drawn = shifts(1)(np.repeat(row, 100, axis=0), np.random.default_rng(0))
    >>> np.unique(drawn[:, 0, 0], axis=0).tolist()
    [[1, 2, 3], [2, 1, 2], [2, 3, 2]]
    """

    def shift(images: Array, rng: np.random.Generator) -> Array:
        height, width = images.shape[2:]
        if pixels >= min(height, width):
            raise ValueError(f"shifts: {pixels} pixels need an image larger than {height}×{width}")
        border = ((0, 0), (0, 0), (pixels, pixels), (pixels, pixels))
        padded = np.pad(images, border, mode="reflect")
        windows = sliding_window_view(padded, (height, width), axis=(2, 3))
        down, right = rng.integers(0, 2 * pixels + 1, (2, len(images)))
        return np.ascontiguousarray(windows[np.arange(len(images)), :, down, right])

    return shift


def gain_and_offset(gain: float, offset: float) -> Augmentation:
    """Make an augmentation of the exposure: each image becomes g · image + o.

    g is uniform in 1 ± gain, o in ± offset (1 is the whole grey range). Preserves the order of the
    grey levels, edges, and the shape of the power spectrum (its size scales with g²), hence the
    ratio of contrast to noise. Levels may leave 0..1: clipping them would lose what they say.

    >>> expose = gain_and_offset(gain=0.1, offset=0.05)
    >>> drawn = expose(np.ones((100, 1, 2, 2), np.float32), np.random.default_rng(0))
    >>> bool(0.85 < drawn.min() < 0.9 < 1.1 < drawn.max() < 1.15)
    True
    """

    def expose(images: Array, rng: np.random.Generator) -> Array:
        each = (len(images), 1, 1, 1)
        g: Array = rng.uniform(1 - gain, 1 + gain, each).astype(images.dtype)
        o: Array = rng.uniform(-offset, offset, each).astype(images.dtype)
        return images * g + o

    return expose


def compose(*augmentations: Augmentation) -> Augmentation:
    """Make one augmentation of several, the first applied first.

    >>> recipe = compose(flips_and_quarter_turns, shifts(2))
    >>> recipe(np.zeros((3, 1, 8, 8)), np.random.default_rng(0)).shape
    (3, 1, 8, 8)
    """

    def composed(images: Array, rng: np.random.Generator) -> Array:
        for augmentation in augmentations:
            images = augmentation(images, rng)
        return images

    return composed


def _transformed(images: Array, symmetries: Array, rng: np.random.Generator) -> Array:
    """Draw one of the symmetries for each image; all images that drew the same move together."""
    if (symmetries % 2).any() and images.shape[2] != images.shape[3]:
        raise ValueError(f"quarter turns need square images, not {images.shape[2:]}")
    drawn = rng.choice(symmetries, len(images))
    result = np.empty_like(images)
    for element in symmetries:
        which = np.flatnonzero(drawn == element)
        result[which] = _symmetry(images[which], int(element))
    return result


def _symmetry(images: Array, element: int) -> Array:
    """A view of the images (N, C, H, W) after one symmetry of the square."""
    flipped = images[..., ::-1] if element >= _TURNS else images
    return np.rot90(flipped, element % _TURNS, axes=(2, 3))
