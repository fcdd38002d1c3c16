"""What stands between a hostile or broken file and the memory of this machine."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from tinycnn.errors import InputError
from tinycnn.kernels.types import Array

# A whole digitised mammogram at 50 µm a pixel has about 4800 × 3600 = 1.7e7 pixels. No image that
# is read here needs more, and a header that promises more is a mistake or a trap.
MAX_PIXELS = 2**25

# The wordiest of the formats, plain PGM, spends six bytes on a 16-bit pixel ("65535 ").
MAX_FILE_BYTES = 8 * MAX_PIXELS


def check_size(width: int, height: int) -> None:
    """Refuse an image that is empty or absurdly large, from its header alone.

    Raises:
        InputError: a side below 1, or more than `MAX_PIXELS` in all.

    >>> check_size(60, 60)
    >>> check_size(100_000, 100_000)
    Traceback (most recent call last):
    ...
    tinycnn.errors.InputError: 100000 × 100000 pixels are more than the limit of 33554432
    """
    if width < 1 or height < 1:
        raise InputError(f"{width} × {height} pixels: there is no image")
    if width * height > MAX_PIXELS:
        raise InputError(f"{width} × {height} pixels are more than the limit of {MAX_PIXELS}")


def check_finite(image: Array) -> None:
    """Refuse an image (H, W) that holds a NaN or an infinity, and say where the first one is.

    >>> check_finite(np.array([[0.0, np.nan]]))
    Traceback (most recent call last):
    ...
    tinycnn.errors.InputError: nan at row 0, column 1
    """
    wrong = np.argwhere(~np.isfinite(image))
    if len(wrong):
        row, column = wrong[0]
        raise InputError(f"{image[row, column]} at row {row}, column {column}")


@contextmanager
def decoding(what: str) -> Iterator[None]:
    """Turn whatever a decoder throws at a broken file into one `InputError` line.

    >>> with decoding("PNG"):
    ...     raise KeyError("IHDR")
    Traceback (most recent call last):
    ...
    tinycnn.errors.InputError: broken PNG: KeyError: 'IHDR'
    """
    # Decoders also warn of harmless oddities; what matters of a file is checked by its reader.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except InputError:
            raise
        # Fuzzed files have drawn SyntaxError, struct.error, KeyError, MemoryError and more from
        # well-kept decoders: no narrower list holds.
        except Exception as error:
            # One line, though some decoders quote half the file.
            line = textwrap.shorten(f"{type(error).__name__}: {error}", 160, placeholder=" …")
            raise InputError(f"broken {what}: {line}") from error
