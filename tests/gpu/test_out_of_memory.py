"""A card's memory that does not suffice: what is said, and that it can be gone on from."""

import gc
import re
from contextlib import contextmanager

import pytest

import tinycnn as tc
from tinycnn import models
from tinycnn.cli import main
from tinycnn.device import OutOfMemory
from tinycnn.microcalc import source

from .device import cupy_or_skip

cupy = cupy_or_skip()
pytestmark = pytest.mark.gpu
SIZES = r"cuda:0 ran out of memory: \d+\.\d MiB wanted, \d+\.\d MiB of \d+\.\d MiB free"
ADVICE = r"; make the batch smaller \(--batch-size\)"
MIB = 1 << 20


@contextmanager
def room_for(size):
    """So many bytes more than are in use now."""
    pool = cupy.get_default_memory_pool()
    gc.collect()  # what earlier tests left would be freed meanwhile
    pool.free_all_blocks()
    pool.set_limit(size=pool.used_bytes() + size)
    try:
        yield
    finally:
        pool.set_limit(size=0)
        pool.free_all_blocks()


def exercise():
    return models.build("exercise", (1, 60, 60)).to("cuda")


def test_the_forward_pass_names_the_layer_and_a_smaller_batch_is_then_taken():
    model, x = exercise(), tc.zeros(64, 1, 60, 60, device="cuda")
    with room_for(MIB):
        with pytest.raises(OutOfMemory, match=rf"^layer '0' \(Conv2d\): {SIZES}{ADVICE}$"):
            model(x)
        assert model(x[:1]).shape == (1, 1)


def test_a_layer_has_its_name_in_the_whole_network_in_use_too():
    inner = tc.nn.Sequential(tc.nn.Identity(), tc.nn.Conv2d(1, 64, 3))
    model = tc.nn.Sequential(inner).to("cuda").eval()
    x = tc.zeros(2, 1, 60, 60, device="cuda")
    with (
        room_for(MIB),
        tc.no_grad(),
        pytest.raises(OutOfMemory, match=r"^layer '0\.1' \(Conv2d\):"),
    ):
        model(x)


def test_the_backward_pass_names_the_operation_and_its_layer():
    model = tc.nn.Sequential(tc.nn.ReLU(), tc.nn.Linear(4000, 300)).to("cuda")
    loss = model(tc.zeros(20, 4000, device="cuda")).sum()
    pattern = rf"^the derivative of linear in layer '1' \(Linear\): {SIZES}{ADVICE}$"
    with room_for(MIB // 2), pytest.raises(OutOfMemory, match=pattern):
        loss.backward()


def test_an_operation_without_parameters_is_named_alone():
    x = tc.zeros(1000, 1000, device="cuda").requires_grad_()
    loss = tc.sigmoid(x).sum()
    with room_for(MIB), pytest.raises(OutOfMemory, match=r"^the derivative of \w+: cuda:0 ran"):
        loss.backward()


@pytest.mark.parametrize("room", [MIB // 8, MIB, 16 * MIB])
def test_the_command_line_says_it_in_one_line(room, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(source, "PHANTOMS", 100)
    words = ["train", "--device", "cuda", "--batch-size", "64", "--epochs", "1"]
    with room_for(room):
        code = main([*words, "--out", str(tmp_path / "run")])
    told = capsys.readouterr().err.splitlines()[-1]
    assert code == 2
    assert re.search(rf"^tinycnn: .*{SIZES}{ADVICE}$", told)
