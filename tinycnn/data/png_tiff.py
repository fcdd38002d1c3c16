"""PNG and TIFF, read by Pillow, with what it lets pass in silence refused."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tinycnn.data.guards import check_size, decoding
from tinycnn.errors import InputError
from tinycnn.kernels.types import Array

# TIFF's tags, by their number in the TIFF 6.0 specification.
_BITS_PER_SAMPLE = 258
_PHOTOMETRIC = 262
_TILE_WIDTH = 322
_TILE_LENGTH = 323
_SAMPLE_FORMAT = 339


def read_png_or_tiff(path: Path) -> Array:
    """Read a grayscale PNG or TIFF of 8 or 16 bits, or a TIFF of floats within 0..1.

    Colour and palette images are refused even where red, green and blue agree: such a file is a
    screenshot or an export for display, and its levels are no longer those of the film.

    Returns:
        (H, W) float32; 0 is black, 1 the brightest level of the file's bit depth.

    Raises:
        InputError: broken, absurdly large, not grayscale, signed, more than one page.
            The message does not name the file.

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "two.png")
    ...     Image.fromarray(np.array([[0, 255]], np.uint8)).save(path)
    ...     read_png_or_tiff(path)
    array([[0., 1.]], dtype=float32)
    """
    from PIL import Image

    with decoding("PNG or TIFF"), _quiet_libtiff():
        with Image.open(path, formats=("PNG", "TIFF")) as image:
            # Checks the checksums of a PNG, which loading it would not, and uses the image up.
            image.verify()
        with Image.open(path, formats=("PNG", "TIFF")) as image:
            _check_header(image)
            return _scaled(image)


@contextmanager
def _quiet_libtiff() -> Iterator[None]:
    """Silence the C library inside Pillow, which prints on standard error what it then raises."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _check_header(image: Any) -> None:
    check_size(*image.size)
    if getattr(image, "is_animated", False):
        raise InputError("several pages or frames; one image a file is needed")
    tags = _tags(image)
    # A tile is taken into memory whole, however small the image it covers.
    check_size(tags.get(_TILE_WIDTH, 1), tags.get(_TILE_LENGTH, 1))
    if _first(tags, _SAMPLE_FORMAT, 1) == 2:
        raise InputError("signed grey levels; 0 is not black in them")


def _scaled(image: Any) -> Array:
    top = _brightest(image)
    scaled: Array = np.asarray(image).astype(np.float32) / np.float32(top)
    # A NaN passes both comparisons; read_image says where it is.
    if scaled.min() < 0 or scaled.max() > 1:
        raise InputError(
            f"grey levels run from {scaled.min():g} to {scaled.max():g}, not from 0 to 1"
        )
    return np.float32(1) - scaled if _is_uninverted_negative(image) else scaled


def _brightest(image: Any) -> int:
    """The level that stands for white."""
    if image.mode == "L":
        return 255
    # Pillow before 11.3 opens a 16-bit PNG as "I"; in a TIFF that means 32 bits.
    if image.mode in ("I;16", "I;16B") or (image.format, image.mode) == ("PNG", "I"):
        return int(2 ** _first(_tags(image), _BITS_PER_SAMPLE, 16) - 1)
    if image.mode == "F":
        return 1
    raise InputError(f"pixels of the kind {image.mode}, but 8- or 16-bit grayscale is needed")


def _is_uninverted_negative(image: Any) -> bool:
    """Whether 0 is white in the array: Pillow turns an 8-bit negative about, not a deeper one."""
    return image.mode != "L" and _first(_tags(image), _PHOTOMETRIC, 1) == 0


def _tags(image: Any) -> dict[int, Any]:
    return dict(getattr(image, "tag_v2", {}))


def _first(tags: dict[int, Any], tag: int, default: int) -> int:
    value = tags.get(tag, default)
    return int(value[0] if isinstance(value, tuple) else value)
