"""What is wrong with images and folders, met through the command line."""

import os
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SIDE = 24
PIXELS = SIDE * SIDE


def png_of(width, height):
    """A PNG whose header promises so much; its data are a few bytes."""

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"\0" * 100)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def truncated_png(path):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (SIDE, SIDE), np.uint8)).save(path, "PNG")
    path.write_bytes(path.read_bytes()[:300])


def float_tiff_with_nan(path):
    levels = np.full((SIDE, SIDE), 0.5, np.float32)
    levels[3, 5] = np.nan
    Image.fromarray(levels).save(path, "TIFF")


def tiff_of(width, height):
    """A TIFF whose directory promises so much, with no pixels."""
    tags = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1)]
    tags += [(273, 4, 8), (277, 3, 1), (278, 4, height), (279, 4, width * height)]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)


def header(width, height):
    return b"P5 %d %d 255\n" % (width, height)


WRONG = {
    "truncated PGM": (header(SIDE, SIDE) + bytes(100), f"truncated: 100 of {PIXELS} pixels"),
    "oversized PGM": (header(SIDE, SIDE) + bytes(PIXELS + 9), f"oversized: {PIXELS + 9} pixels"),
    "truncated PNG": (truncated_png, "broken PNG"),
    "a text file": (b"Dear diary, today I saw a cluster.\n", "not a PGM, PNG, TIFF or DICOM image"),
    "an empty file": (b"", "empty file"),
    "another size": (header(SIDE, SIDE + 1) + bytes(SIDE * (SIDE + 1)), r"24 × 25|25×24"),
    "a NaN": (float_tiff_with_nan, "nan at row 3, column 5"),
    "absurd PGM": (header(10**6, 10**6), "1000000 × 1000000 pixels are more than the limit"),
    "absurd PGM in plain text": (b"P2 99999999999999999 1 9\n1 2 3", "more than the limit"),
    "absurd PNG": (png_of(60_000, 60_000), "3600000000 pixels. exceeds limit"),
    "absurd TIFF": (tiff_of(60_000, 60_000), "3600000000 pixels. exceeds limit"),
    "rather absurd PNG": (png_of(13_000, 13_000), "13000 × 13000 pixels are more than the limit"),
    "rather absurd TIFF": (tiff_of(9000, 9000), "9000 × 9000 pixels are more than the limit"),
}


def spoil(path, content):
    if callable(content):
        content(path)
    else:
        path.write_bytes(content)


@pytest.fixture
def little_memory():
    """No more than 512 MiB beyond what this process has."""
    resource = pytest.importorskip("resource", reason="limits of memory are set by it")
    statm = Path("/proc/self/statm")
    if not statm.exists():
        pytest.skip("how much memory a process has is asked of /proc")
    now = int(statm.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    kept = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + 2**29, kept[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, kept)


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_image_is_named_by_every_command_that_reads_it(
    what, complaint, data, run, tmp_path, little_memory
):
    content, expected = WRONG[what]
    path = data / "1" / "0019_9.png"  # after all others of its class
    spoil(path, content)
    out = tmp_path / "new"
    commands = [
        ("train", "--data", data, "--model", "logistic", "--epochs", 1, "--out", out),
        ("evaluate", run, "--data", data),
        ("compare", run, run, "--data", data, "--figure", out / "roc.png"),
        ("repeat", "--data", data, "--model", "logistic", "--epochs", 1),
        ("audit", data),
        ("predict", run, data / "0" / "0000_0.pgm", path),
    ]
    for arguments in commands:
        line = complaint(*arguments)
        assert str(path) in line, arguments[0]
        assert re.search(expected, line), line
    assert not out.exists()


def test_an_empty_class_folder_is_named(complaint, data, run, tmp_path):
    for path in (data / "1").iterdir():
        path.unlink()
    for arguments in (
        ("train", "--data", data, "--out", tmp_path / "new"),
        ("evaluate", run, "--data", data),
        ("audit", data),
    ):
        assert f"{data / '1'}: no images in this class folder" in complaint(*arguments)
    assert not (tmp_path / "new").exists()


def test_one_class_only_is_named(complaint, data, run, tmp_path):
    for path in (data / "0").iterdir():
        path.unlink()
    (data / "0").rmdir()
    for arguments in (
        ("train", "--data", data, "--out", tmp_path / "new"),
        ("evaluate", run, "--data", data),
        ("repeat", "--data", data),
    ):
        assert f"{data}: one class only: there is no folder 0" in complaint(*arguments)
    assert not (tmp_path / "new").exists()


def test_too_few_cases_for_a_split_are_told(complaint, data, tmp_path):
    for path in (data / "1").iterdir():
        if path.name >= "0012":
            path.unlink()
    line = complaint("train", "--data", data, "--out", tmp_path / "new")
    assert "5 cases of class 1 or more; there are 2" in line
    assert "5 cases of class 1" in complaint("repeat", "--data", data, "--times", 1)
    assert not (tmp_path / "new").exists()


def test_a_missing_folder_a_file_in_its_place_or_no_class_folders_are_told(
    complaint, image, run, tmp_path
):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "No such file" in complaint("train", "--data", tmp_path / "nowhere", "--out", run / "x")
    assert "Not a directory" in complaint("audit", image)
    assert "neither folders Train or Test nor folders 0 and 1" in complaint("audit", empty)
    assert "No such file" in complaint("predict", run, tmp_path / "no.png")
    assert "a folder, not an image" in complaint("predict", run, empty)


def test_images_of_another_size_than_the_networks_are_told(complaint, data, run, tmp_path):
    for label, case in ((0, "0001"), (1, "0011")):
        path = tmp_path / "other" / str(label) / f"{case}.pgm"
        path.parent.mkdir(parents=True)
        path.write_bytes(header(30, 20) + bytes(600))
    line = complaint("evaluate", run, "--data", tmp_path / "other")
    assert f"{run}: was trained on images of 24×24 pixels, not 20×30 pixels" in line
    assert "has 20×30 pixels, the network takes 24×24" in complaint("predict", run, path)


def test_a_name_that_no_output_can_show_still_makes_one_line(complaint, data, run):
    path = data / "1" / "0011\nnext line.pgm"
    path.write_bytes(b"nothing")
    line = complaint("predict", run, path)
    assert "0011 next line.pgm" in line
