"""From an image file to an array of grey levels."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tinycnn.data.dicom import read_dicom
from tinycnn.data.guards import MAX_FILE_BYTES, check_finite
from tinycnn.data.pgm import read_pgm
from tinycnn.data.png_tiff import read_png_or_tiff
from tinycnn.errors import InputError
from tinycnn.kernels.types import Array

_PGM = (b"P2", b"P5")
# The last two are BigTIFF.
_PNG_OR_TIFF = (b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_image(path: str | os.PathLike[str]) -> Array:
    """Read one grayscale image: PGM, PNG, TIFF or DICOM, told apart by their first bytes.

    Args:
        path: the file; its extension does not matter.

    Returns:
        (H, W) float32; 0 is black, 1 the brightest level the file's format can hold: 255, 65535,
        PGM's maxval, or the range of DICOM's BitsStored (see `read_dicom`).

    Raises:
        InputError: one line `path: trouble`; missing, a folder, empty, not an image, truncated,
            oversized, of absurd dimensions (refused before memory is taken), colour, or with a NaN.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "two.pgm")
    ...     _ = path.write_bytes(b"P5 2 1 255\\n" + bytes([0, 255]))
    ...     read_image(path)
    array([[0., 1.]], dtype=float32)
    """
    path = Path(path)
    try:
        image = _reader(_first_bytes(path))(path)
        check_finite(image)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    return image


def _first_bytes(path: Path) -> bytes:
    size = path.stat().st_size
    if path.is_dir():
        raise InputError("a folder, not an image")
    # A pipe or a device may never end.
    if not path.is_file():
        raise InputError("not an ordinary file")
    if size == 0:
        raise InputError("empty file")
    if size > MAX_FILE_BYTES:
        raise InputError(f"{size} bytes are more than the limit of {MAX_FILE_BYTES}")
    with path.open("rb") as file:
        return file.read(132)


def _reader(first: bytes) -> Callable[[Path], Array]:
    # DICOM before TIFF: its preamble of 128 free bytes may pose as a TIFF's beginning.
    if first[128:132] == b"DICM":
        return read_dicom
    if first.startswith(_PNG_OR_TIFF):
        return read_png_or_tiff
    if first.startswith(_PGM):
        return read_pgm
    raise InputError(f"not a PGM, PNG, TIFF or DICOM image: it begins with {first[:12]!r}")
