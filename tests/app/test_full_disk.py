"""A disk that is full or cannot be written to: one line, nothing half-written, nothing lost."""

import errno
import json
import os
from pathlib import Path

import pytest

from tinycnn import files
from tinycnn.errors import InputError


def everything(folder):
    """All files below a folder, hidden ones too."""
    found = {}
    for place, _, names in os.walk(folder):
        found |= {str(Path(place, name)): Path(place, name).read_bytes() for name in names}
    return found


@pytest.fixture
def no_file_beyond():
    """Let the system refuse to make any file larger than so many bytes."""
    resource = pytest.importorskip("resource", reason="limits of file size are set by it")
    kept = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, kept[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, kept)


@pytest.fixture
def train(data, tmp_path):
    options = ("train", "--data", data, "--model", "exercise", "--epochs", 2)
    return lambda out: (*options, "--out", out)


# the sizes: config about 300 bytes, weights 29,000, state 58,000
@pytest.mark.parametrize(
    ("size", "refused", "there"),
    [
        (100, "config.json", set()),
        (5000, "weights.safetensors", {"config.json"}),
        (40_000, "state.safetensors", {"config.json", "weights.safetensors", "history.json"}),
    ],
)
def test_a_disk_that_fills_up_is_told_and_the_run_goes_on_when_there_is_room(
    size, refused, there, complaint, tinycnn_says, no_file_beyond, train, bits, tmp_path
):
    out = tmp_path / "run"
    no_file_beyond(size)
    line = complaint(*train(out))
    no_file_beyond(2**40)
    assert f"{out / refused}: cannot be written: File too large" in line
    assert {path.name for path in out.rglob("*")} == there
    again = ("train", "--resume", "--out", out) if there else train(out)
    assert tinycnn_says(*again)[0] == 0
    assert tinycnn_says(*train(tmp_path / "whole"))[0] == 0
    assert bits(out) == bits(tmp_path / "whole")


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_no_space_left_is_told_whenever_the_system_says_so(
    call, complaint, monkeypatch, train, tmp_path
):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, full)
    out = tmp_path / "run"
    line = complaint(*train(out))
    assert line.endswith(f"{out / 'config.json'}: cannot be written: No space left on device")
    assert everything(out) == {}


def test_an_older_file_is_intact_when_the_disk_is_full(no_file_beyond, tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    no_file_beyond(1000)
    with pytest.raises(InputError, match=r"a\.bin: cannot be written: File too large"):
        files.write_bytes(path, bytes(5000))
    assert everything(tmp_path) == {str(path): b"old"}


def test_a_figure_that_cannot_be_written_is_told(complaint, no_file_beyond, run, data, tmp_path):
    from tinycnn import plot  # its first import writes a cache of fonts

    assert plot
    figure = tmp_path / "roc.png"
    no_file_beyond(1000)
    line = complaint("compare", run, "--data", data, "--figure", figure)
    assert f"{figure}: cannot be written" in line
    assert not figure.exists()
    in_the_way = run / "config.json" / "roc.png"
    assert f"{in_the_way}: cannot be written" in complaint(
        *("compare", run, "--data", data, "--figure", in_the_way)
    )


def test_a_file_in_the_run_folders_place_is_told_before_any_training(complaint, train, tmp_path):
    out = tmp_path / "run"
    out.write_text("precious")
    line = complaint(*train(out))
    assert str(out) in line
    assert "cannot be written" in line
    assert out.read_text() == "precious"
    assert str(out) in complaint(*train(out / "deeper"))
    assert out.read_text() == "precious"


def test_a_folder_that_may_not_be_written_to_is_told(complaint, train, tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    line = complaint(*train(folder / "run"))
    assert "config.json: cannot be written: Permission denied" in line
    assert list(folder.iterdir()) == []


def test_a_run_is_never_written_over(complaint, run, data):
    before = everything(run)
    line = complaint("train", "--data", data, "--out", run)
    assert f"{run}: holds a run already; go on with --resume" in line
    assert everything(run) == before
    assert json.loads((run / "config.json").read_text())["recipe"]["model"] == "logistic"
