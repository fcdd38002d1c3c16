"""DICOM, the format of hospitals, read by pydicom (an extra)."""

from __future__ import annotations

import math
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from tinycnn.data.guards import check_size, decoding
from tinycnn.errors import InputError
from tinycnn.kernels.types import Array


def read_dicom(path: Path) -> Array:
    """Read a DICOM file that holds one grayscale image.

    The levels are scaled by what the header says they can be, never by what this image holds, so
    that two images of one machine stay comparable. A stored level s of BitsStored = b bits lies in
    0..2ᵇ−1 (signed: −2ᵇ⁻¹..2ᵇ⁻¹−1). Level and range both pass through the rescaling
    y = RescaleSlope · s + RescaleIntercept, and the rescaled range becomes 0..1. A negative slope
    therefore turns dark and bright about, and so does MONOCHROME1, where the lowest value is
    white. Windows and VOI tables are for the display and are not applied.

    Returns:
        (H, W) float32 in 0..1; 0 is black.

    Raises:
        InputError: pydicom is not installed; broken, absurdly large, colour, several frames, a
            modality table, a slope of 0 or NaN. The message does not name the file.

    Source: DICOM PS3.3 C.7.6.3 (image pixel module), C.11.1 (modality LUT).

    >>> from pydicom.data import get_testdata_file
    >>> read_dicom(Path(get_testdata_file("CT_small.dcm"))).shape
    (128, 128)
    """
    try:
        import pydicom
    except ImportError as error:
        raise InputError("is DICOM; to read it: pip install tinycnn[dicom]") from error

    with decoding("DICOM"):
        # Read from memory, where a length that lies cannot ask for more than there is.
        file = BytesIO(path.read_bytes())
        _refuse_deflated(file)
        dataset = pydicom.dcmread(file)
        _check_header(dataset)
        return _scaled(dataset, dataset.pixel_array)


def _refuse_deflated(file: BytesIO) -> None:
    """A deflated file is inflated whole before its header can be read: a kilobyte can hold a GB."""
    from pydicom.filereader import read_dataset
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    # Behind the preamble come the elements of group 2, which are never deflated.
    file.seek(132)
    meta = read_dataset(file, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)
    if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        raise InputError("the deflated transfer syntax is not read")
    file.seek(0)


def _check_header(dataset: Any) -> None:
    """Everything that can be refused before the pixels are decoded."""
    for needed in ("Rows", "Columns", "BitsStored", "BitsAllocated", "PixelData"):
        if dataset.get(needed) is None:
            raise InputError(f"DICOM without {needed}: truncated, or not an image")
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    check_size(columns, rows)
    kind = dataset.get("PhotometricInterpretation")
    if kind not in ("MONOCHROME1", "MONOCHROME2") or dataset.get("SamplesPerPixel", 1) != 1:
        raise InputError(f"photometric interpretation {kind}, but grayscale is needed")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1:
        raise InputError(f"{frames} frames; one image a file is needed")
    if "ModalityLUTSequence" in dataset:
        raise InputError("a modality table in place of slope and intercept is not read")
    if not dataset.file_meta.TransferSyntaxUID.is_compressed:
        _check_count(dataset, rows * columns)


def _check_count(dataset: Any, expected: int) -> None:
    got = len(dataset.PixelData) * 8 // int(dataset.BitsAllocated)
    if got < expected:
        raise InputError(f"truncated: {got} of {expected} pixels")
    # An odd number of bytes is padded to an even one.
    if got > expected + 1:
        raise InputError(f"oversized: {got} pixels where the header says {expected}")


def _scaled(dataset: Any, stored: Array) -> Array:
    """Rescale the stored levels (H, W), then map the rescaled range to 0..1.

    pydicom has cleared the bits that are not stored, where old files keep overlays.
    """
    slope = float(dataset.get("RescaleSlope", 1))
    intercept = float(dataset.get("RescaleIntercept", 0))
    if slope == 0 or not math.isfinite(slope) or not math.isfinite(intercept):
        raise InputError(f"rescale slope {slope} and intercept {intercept} make no grey level")
    bits, signed = int(dataset.BitsStored), int(dataset.get("PixelRepresentation", 0))
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    bottom, top = sorted((slope * low + intercept, slope * high + intercept))
    scaled: Array = (slope * stored.astype(np.float64) + intercept - bottom) / (top - bottom)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        scaled = 1 - scaled
    return scaled.astype(np.float32)
