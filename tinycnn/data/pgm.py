"""PGM, the simplest grayscale format there is: a line of text, then the pixels.

Written here and not left to Pillow, which scales a 10-bit image to 16 bits, clips levels above
the header's maximum and passes over trailing bytes, all in silence.

Source: the netpbm manual, https://netpbm.sourceforge.net/doc/pgm.html
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from tinycnn.data.guards import check_size
from tinycnn.errors import InputError
from tinycnn.kernels.types import Array

# A comment runs from # to the end of its line and may stand wherever white space may.
_SPACE = rb"(?:\s|#[^\r\n]*[\r\n])"
# Exactly one white-space character parts the header from the pixels: a second one is a pixel.
# The ++ never tries a shorter run of white space, which a megabyte of blanks would make costly.
_HEADER = re.compile(rb"P([25])" + (_SPACE + rb"++(\d{1,20})") * 3 + _SPACE)


def read_pgm(path: Path) -> Array:
    """Read a plain (P2) or raw (P5) PGM image of 8 or 16 bits.

    Returns:
        (H, W) float32: grey level / maxval, so 0 is black and 1 the header's maximum.

    Raises:
        InputError: unreadable header, absurd size, too few or too many pixels (one line end after
            the last pixel is let pass), a level above maxval. The message does not name the file.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "two.pgm")
    ...     _ = path.write_text("P2 2 1 # width, height\\n100 0 50")
    ...     read_pgm(path)
    array([[0. , 0.5]], dtype=float32)
    """
    data = path.read_bytes()
    header = _HEADER.match(data)
    if header is None:
        raise InputError("broken PGM header: it should read P2 or P5, width, height, maxval")
    width, height, maxval = (int(number) for number in header.groups()[1:])
    check_size(width, height)
    if not 0 < maxval < 65536:
        raise InputError(f"PGM maxval is {maxval}; it must lie in 1..65535")
    body = data[header.end() :]
    levels = _plain(body) if header[1] == b"2" else _raw(body, maxval, width * height)
    _check_count(levels.size, width * height)
    if levels.max() > maxval:
        raise InputError(f"grey level {levels.max():.0f} exceeds the header's maximum {maxval}")
    return levels.reshape(height, width).astype(np.float32) / np.float32(maxval)


def _plain(body: bytes) -> Array:
    """Grey levels written as decimal numbers."""
    text = re.sub(rb"#[^\r\n]*", b"", body)
    if not re.fullmatch(rb"[\d\s]*", text):
        raise InputError("plain PGM holds something other than decimal numbers")
    return np.fromstring(text.decode("ascii"), np.float32, sep=" ")


def _raw(body: bytes, maxval: int, count: int) -> Array:
    """Grey levels of one byte each, or of two with the more significant first."""
    level = np.dtype(np.uint8 if maxval < 256 else ">u2")
    size = count * level.itemsize
    if body[size:] in (b"\n", b"\r\n"):
        body = body[:size]
    return np.frombuffer(body[: len(body) // level.itemsize * level.itemsize], level)


def _check_count(got: int, expected: int) -> None:
    if got < expected:
        raise InputError(f"truncated: {got} of {expected} pixels")
    if got > expected:
        raise InputError(f"oversized: {got} pixels where the header says {expected}")
