"""Every format comes back level for level; every broken file gets one line that names it."""

import os
import re
import struct
import sys
import tracemalloc
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tinycnn.data import read_image
from tinycnn.errors import InputError

PLENTY = 20  # MB: far less than any of the absurd images would take


def levels(dtype: Any, shape: tuple[int, int] = (7, 5)) -> Any:
    top = np.iinfo(dtype).max
    image = np.random.default_rng(0).integers(0, top, shape, dtype, endpoint=True)
    image[0, :2] = 0, top
    return image


def written(folder: Path, data: bytes, name: str = "x.bin") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def complaint(path: Path) -> str:
    """What read_image says of a file, after checking that it is one line that names it."""
    with pytest.raises(InputError) as caught:
        read_image(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def scaled(image: Any) -> Any:
    return image.astype(np.float32) / np.float32(np.iinfo(image.dtype).max)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, rows: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff(pixels: bytes, **tags: int) -> bytes:
    """A little-endian, one-strip TIFF with the tags given by number, as t256=width."""
    numbers = {259: 1, 262: 1, 277: 1} | {int(name[1:]): value for name, value in tags.items()}
    place = 8 + 2 + 12 * (len(numbers) + 2) + 4
    numbers |= {273: place, 279: len(pixels)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, n) for tag, n in sorted(numbers.items()))
    return b"II*\0" + struct.pack("<IH", 8, len(numbers)) + entries + bytes(4) + pixels


def dicom(image: Any, **attributes: Any) -> bytes:
    pydicom = pytest.importorskip("pydicom")
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset = pydicom.dataset.FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    bits = 8 * image.itemsize
    for name, value in {
        "Rows": image.shape[0],
        "Columns": image.shape[1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(image.dtype.kind == "i"),
        "PixelData": image.tobytes(),
        **attributes,
    }.items():
        setattr(dataset, name, value)
    file = BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


# --- what is read -------------------------------------------------------------------------------


@settings(deadline=None, derandomize=True)
@given(data=st.data(), maxval=st.integers(1, 65535), plain=st.booleans())
def test_a_pgm_of_any_maxval_comes_back_level_for_level(data, maxval, plain, tmp_path_factory):
    height, width = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    row = st.lists(st.integers(0, maxval), min_size=width, max_size=width)
    image = np.array(data.draw(st.lists(row, min_size=height, max_size=height)))
    space = st.sampled_from([" ", "\n", "\r\n", "\t", "# note 12\n", " #\r"])
    words = [str(n) for n in (width, height, maxval)]
    header = "".join(data.draw(space) + word for word in words) + "\n"
    if plain:
        body = "P2" + header + data.draw(space).join(f" {level} " for level in image.ravel())
        encoded = body.encode()
    else:
        pixels = image.astype(np.uint8 if maxval < 256 else ">u2").tobytes()
        encoded = ("P5" + header).encode() + pixels
    path = written(tmp_path_factory.getbasetemp(), encoded)
    expected = image.astype(np.float32) / np.float32(maxval)
    np.testing.assert_array_equal(read_image(path), expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("format", ["PPM", "PNG", "TIFF"])
def test_pillow_files_of_8_and_16_bits_come_back_level_for_level(format, dtype, tmp_path):
    image = levels(dtype)
    # The extension says nothing.
    path = tmp_path / "image.txt"
    Image.fromarray(image).save(path, format)
    result = read_image(path)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, scaled(image))


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_a_compressed_tiff_comes_back_level_for_level(compression, tmp_path):
    image = levels(np.uint16)
    Image.fromarray(image).save(tmp_path / "a.tif", compression=compression)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), scaled(image))


def test_a_big_endian_tiff_comes_back_level_for_level(tmp_path):
    image = levels(np.uint16)
    little = tiff(image.tobytes(), t256=5, t257=7, t258=16)
    count = struct.unpack_from("<H", little, 8)[0]
    entries = b"".join(
        struct.pack(">HHII", *struct.unpack_from("<HHII", little, 10 + 12 * i))
        for i in range(count)
    )
    big = b"MM\0*" + struct.pack(">IH", 8, count) + entries + bytes(4)
    path = written(tmp_path, big + image.astype(">u2").tobytes())
    np.testing.assert_array_equal(read_image(path), scaled(image))


def test_a_tiff_whose_zero_is_white_is_turned_about_in_8_and_16_bits(tmp_path):
    for image in (levels(np.uint8), levels(np.uint16)):
        data = tiff(image.tobytes(), t256=5, t257=7, t258=8 * image.itemsize, t262=0)
        result = read_image(written(tmp_path, data))
        np.testing.assert_allclose(result, 1 - scaled(image), rtol=0, atol=1e-7)


def test_white_in_a_12_bit_tiff_is_4095(tmp_path):
    # Two levels in three bytes: fff and 001.
    data = tiff(b"\xff\xf0\x01", t256=2, t257=1, t258=12)
    expected = np.array([[1, 1 / 4095]], np.float32)
    np.testing.assert_array_equal(read_image(written(tmp_path, data)), expected)


def test_a_float_tiff_is_taken_as_it_is(tmp_path):
    image = np.array([[0, 0.25, 1]], np.float32)
    Image.fromarray(image).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), image)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_dicom_comes_back_level_for_level(dtype, tmp_path):
    image = levels(dtype)
    result = read_image(written(tmp_path, dicom(image)))
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, scaled(image))


def test_white_in_a_dicom_file_is_the_most_that_its_stored_bits_hold(tmp_path):
    image = np.array([[0, 819, 4095]], np.uint16)
    result = read_image(written(tmp_path, dicom(image, BitsStored=12, HighBit=11)))
    np.testing.assert_allclose(result, [[0, 0.2, 1]], rtol=1e-7)


def test_an_overlay_in_the_unused_bits_of_dicom_is_no_grey_level(tmp_path):
    image = np.array([[0, 0x0F, 0xF0, 0xFF]], np.uint8)
    result = read_image(written(tmp_path, dicom(image, BitsStored=4, HighBit=3)))
    assert result.tolist() == [[0, 1, 0, 1]]


def test_dicom_rescaling_maps_level_and_range_alike(tmp_path):
    image = np.array([[0, 51, 255]], np.uint8)
    for slope, intercept, expected in (
        (2, -100, [0, 0.2, 1]),
        (-1, 255, [1, 0.8, 0]),
        (-0.5, 7, [1, 0.8, 0]),
    ):
        data = dicom(image, RescaleSlope=slope, RescaleIntercept=intercept)
        np.testing.assert_allclose(read_image(written(tmp_path, data)), [expected], rtol=1e-6)


def test_monochrome1_is_turned_about_and_twice_turned_is_as_it_was(tmp_path):
    image = np.array([[0, 51, 255]], np.uint8)
    one = read_image(written(tmp_path, dicom(image, PhotometricInterpretation="MONOCHROME1")))
    np.testing.assert_allclose(one, [[1, 0.8, 0]], rtol=1e-6)
    twice = dicom(image, PhotometricInterpretation="MONOCHROME1", RescaleSlope=-1)
    np.testing.assert_allclose(
        read_image(written(tmp_path, twice)), [[0, 0.2, 1]], rtol=1e-6, atol=1e-7
    )


def test_black_in_a_signed_dicom_file_is_the_least_it_can_hold(tmp_path):
    image = np.array([[-32768, 0, 32767]], np.int16)
    result = read_image(written(tmp_path, dicom(image)))
    np.testing.assert_allclose(result, [[0, 32768 / 65535, 1]], rtol=1e-7)


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "trouble"),
    [
        (b"", "empty file"),
        (b"Dear doctor,\nthe image follows.", "not a PGM, PNG, TIFF or DICOM image"),
        (b"\xff\xd8\xff\xe0 a JPEG", "not a PGM, PNG, TIFF or DICOM image"),
        (b"P6 1 1 255\n\0\0\0", "not a PGM, PNG, TIFF or DICOM image"),
        (b"P5 is what my name is", "broken PGM header"),
        (b"P5 -1 4 255\n\0", "broken PGM header"),
        (b"P5 60 60 255\n" + bytes(120), "truncated: 120 of 3600 pixels"),
        (b"P5 2 1 65535\n\0\0\0", "truncated: 1 of 2 pixels"),
        (b"P5 2 2 255\n" + bytes(5), "oversized: 5 pixels where the header says 4"),
        (b"P5 2 2 255\n" + bytes(4) + b"P5", "oversized: 6 pixels where the header says 4"),
        (b"P5 1 1 255\n\0 ", "oversized"),
        (b"P2 2 2 255\n1 2 3", "truncated: 3 of 4 pixels"),
        (b"P2 2 2 255\n", "truncated: 0 of 4 pixels"),
        (b"P2 2 2 255\n1 2 3 4 5", "oversized: 5 pixels where the header says 4"),
        (b"P2 1 1 255\nx", "something other than decimal numbers"),
        (b"P2 1 1 255\n-1", "something other than decimal numbers"),
        (b"P2 1 1 255\n256", "grey level 256 exceeds the header's maximum 255"),
        (b"P5 1 1 100\n\xff", "grey level 255 exceeds the header's maximum 100"),
        (b"P5 1 1 0\n\0", "maxval is 0"),
        (b"P5 1 1 65536\n\0\0\0", "maxval is 65536"),
        (b"P5 0 5 255\n", "0 × 5 pixels: there is no image"),
        (png(0, 5, b""), "broken PNG"),
        (png(60, 60, bytes(300)), "truncated"),
        (png(2, 2, bytes(6))[:-20], "broken PNG"),
        (png(2, 2, bytes(6)).replace(b"IDAT", b"IDAX"), "broken PNG"),
        (tiff(bytes(4), t256=60, t257=60, t258=8), "truncated"),
        (tiff(bytes(4), t256=2, t257=2, t258=8, t339=2), "signed grey levels"),
    ],
)
def test_a_broken_file_gets_one_line_that_names_it(data, trouble, tmp_path):
    assert trouble in complaint(written(tmp_path, data, "scan.png"))


def test_one_line_end_after_the_last_pixel_is_let_pass(tmp_path):
    for end in (b"\n", b"\r\n"):
        assert read_image(written(tmp_path, b"P5 1 1 255\n\xff" + end)).tolist() == [[1.0]]


def test_a_flipped_bit_in_a_png_is_found_by_its_checksum(tmp_path):
    data = bytearray(png(2, 2, bytes(6)))
    data[data.index(b"IDAT") + 6] ^= 1
    assert "broken PNG" in complaint(written(tmp_path, bytes(data)))


@pytest.mark.parametrize(
    "data",
    [
        b"P5 99999999 99999999 255\n\0",
        b"P2 8193 4096 255\n1",
        png(10_000, 10_000, b""),
        png(100_000, 100_000, b""),
        tiff(b"", t256=100_000, t257=100_000, t258=8),
        tiff(b"", t256=10_000, t257=10_000, t258=8),
        tiff(b"", t256=16, t257=16, t258=8, t322=65_536, t323=65_536),
    ],
)
def test_absurd_dimensions_are_refused_before_memory_is_taken(data, tmp_path):
    path = written(tmp_path, data)
    complaint(path)  # once before, so that what imports take is not counted
    tracemalloc.start()
    assert re.search("pixels.* limit of", complaint(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < PLENTY * 2**20


def test_the_decoders_own_warnings_and_wrappings_do_not_hide_what_is_wrong(tmp_path):
    # Pillow warns of 10⁸ pixels, and warnings are errors here.
    said = complaint(written(tmp_path, png(10_000, 10_000, b"")))
    assert said == "10000 × 10000 pixels are more than the limit of 33554432"


def test_absurd_dimensions_of_dicom_are_refused(tmp_path):
    data = dicom(levels(np.uint8), Rows=65_535, Columns=65_535)
    assert "65535 × 65535 pixels are more than" in complaint(written(tmp_path, data))


def test_a_file_larger_than_any_image_is_refused_unread(tmp_path):
    path = written(tmp_path, b"P5 1 1 255\n")
    os.truncate(path, 2**40)  # a hole: it takes no room on the disk
    assert "1099511627776 bytes are more than the limit" in complaint(path)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "LA", "1"])
def test_what_is_not_8_or_16_bit_grayscale_is_refused(mode, tmp_path):
    Image.new(mode, (4, 4)).save(tmp_path / "a.png")
    assert f"pixels of the kind {mode}" in complaint(tmp_path / "a.png")


def test_several_pages_are_refused(tmp_path):
    pages = [Image.new("L", (4, 4), shade) for shade in (0, 1)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    assert "several pages" in complaint(tmp_path / "a.tif")


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 1.5, -0.5])
def test_a_float_outside_0_to_1_is_refused(wrong, tmp_path):
    image = np.zeros((3, 4), np.float32)
    image[1, 2] = wrong
    Image.fromarray(image).save(tmp_path / "a.tif")
    expected = "nan at row 1, column 2" if np.isnan(wrong) else "grey levels run from"
    assert expected in complaint(tmp_path / "a.tif")


def test_the_c_library_under_pillow_prints_nothing_of_its_own(tmp_path, capfd):
    Image.fromarray(levels(np.uint8)).save(tmp_path / "a.tif", compression="tiff_lzw")
    data = (tmp_path / "a.tif").read_bytes()
    broken = bytearray(data)
    broken[8:20] = bytes(12)
    complaint(written(tmp_path, bytes(broken)))
    os.write(2, b"what others print")
    assert capfd.readouterr() == ("", "what others print")


@pytest.mark.parametrize(
    ("attributes", "trouble"),
    [
        ({"PhotometricInterpretation": "RGB"}, "photometric interpretation RGB"),
        ({"NumberOfFrames": 2}, "2 frames"),
        ({"PixelData": bytes(20)}, "truncated: 20 of 35 pixels"),
        ({"PixelData": bytes(70)}, "oversized: 70 pixels where the header says 35"),
        ({"RescaleSlope": 0}, "rescale slope 0.0"),
        ({"RescaleSlope": float("nan")}, "rescale slope nan"),
        ({"RescaleIntercept": float("inf")}, "intercept inf"),
        ({"Rows": 0}, "there is no image"),
        ({"Rows": None}, "DICOM without Rows"),
    ],
)
def test_a_dicom_file_that_is_no_grayscale_image_is_refused(attributes, trouble, tmp_path):
    assert trouble in complaint(written(tmp_path, dicom(levels(np.uint8), **attributes)))


def test_a_modality_table_in_dicom_is_refused_rather_than_left_out(tmp_path):
    pydicom = pytest.importorskip("pydicom")
    table = pydicom.Dataset()
    table.LUTDescriptor, table.LUTData = [2, 0, 16], b"\0\0\1\0"
    data = dicom(levels(np.uint8), ModalityLUTSequence=[table])
    assert "a modality table" in complaint(written(tmp_path, data))


def test_a_cut_dicom_file_is_refused_wherever_it_is_cut(tmp_path):
    data = dicom(levels(np.uint16))
    for end in range(132, len(data) - 1, 7):
        complaint(written(tmp_path, data[:end]))


def test_a_deflated_dicom_file_is_refused_before_it_is_inflated(tmp_path):
    inflated = dicom(levels(np.uint8))
    # The two syntaxes' names differ in length; the padding keeps it even.
    deflated = inflated.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99")
    tag = deflated.index(b"\x02\x00\x10\x00UI")
    deflated = deflated[: tag + 6] + struct.pack("<H", 22) + deflated[tag + 8 :]
    assert "deflated" in complaint(written(tmp_path, deflated))


def test_without_pydicom_a_dicom_file_gets_told_what_to_install(tmp_path, monkeypatch):
    path = written(tmp_path, bytes(128) + b"DICM" + bytes(100))
    monkeypatch.setitem(sys.modules, "pydicom", None)
    assert "pip install tinycnn[dicom]" in complaint(path)


def test_a_folder_a_missing_file_and_a_pipe_are_refused(tmp_path):
    assert "a folder, not an image" in complaint(tmp_path)
    assert "No such file" in complaint(tmp_path / "missing.png")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        assert "not an ordinary file" in complaint(tmp_path / "pipe")


@settings(deadline=None, derandomize=True, max_examples=300)
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_in_one_line(data, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp()
    good = data.draw(st.sampled_from(GOOD))
    damaged = bytearray(good[: data.draw(st.integers(0, len(good)))])
    for place, value in data.draw(
        st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4)
    ):
        if place < len(damaged):
            damaged[place] = value
    path = written(folder, bytes(damaged))
    try:
        image = read_image(path)
    except InputError:
        complaint(path)
    else:
        assert image.dtype == np.float32
        assert image.ndim == 2
        assert 0 <= image.min() <= image.max() <= 1


def _good() -> list[bytes]:
    files = [b"P2 5 7 255\n" + b" ".join(b"%d" % level for level in levels(np.uint8).ravel())]
    for image in (levels(np.uint8), levels(np.uint16)):
        for options in (
            {"format": "PPM"},
            {"format": "PNG"},
            {"format": "TIFF"},
            {"format": "TIFF", "compression": "tiff_lzw"},
        ):
            file = BytesIO()
            Image.fromarray(image).save(file, **options)
            files.append(file.getvalue())
    return files


GOOD = _good()
