"""Every kernel of the CUDA backend compiled by NVIDIA's compiler for real cards, from the oldest
that it knows to the newest: nothing is spilled to memory, and registers and shared memory stay
within what lets several blocks share a multiprocessor."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tinycnn.kernels import cuda

from .host import instances

CARDS = 75, 80, 90, 100, 120  # compute capability: Turing, Ampere, Hopper, Blackwell
REGISTERS = 128  # of a thread, so that a multiprocessor's 65536 serve two blocks of 256
SHARED = 20 << 10  # bytes of a block, so that Turing's 64 KiB serve three
ROW = re.compile(
    r"^(?P<kernel>\S.*?) +sm_(?P<card>\d+) +(?P<registers>\d+) +(?P<shared>\d+) +(?P<stack>\d+)"
    r" +(?P<stores>\d+)/(?P<loads>\d+)$",
    re.M,
)


@pytest.fixture(scope="module")
def usage():
    """What each kernel takes of each card."""
    checker = Path(__file__).with_name("emulated") / "nvrtc_check.py"
    source = Path(cuda.__file__).with_name("kernels.cu")
    options = [word for card in CARDS for word in ("--arch", str(card))]
    options += [word for name in instances() for word in ("--name", name)]
    command = [sys.executable, checker, *options, source]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if "no NVRTC environment" in result.stderr:
        pytest.skip("NVRTC is not installed: tests/gpu/emulated/setup.sh --nvrtc")
    assert result.returncode == 0, result.stdout + result.stderr
    return [row.groupdict() for row in ROW.finditer(result.stdout)]


def test_every_kernel_compiles_for_every_card(usage):
    compiled = {(row["kernel"], int(row["card"])) for row in usage}
    assert compiled == {(kernel, card) for kernel in instances() for card in CARDS}


def test_no_kernel_spills_its_registers(usage):
    assert not [row for row in usage if any(int(row[k]) for k in ("stack", "stores", "loads"))]


def test_registers_and_shared_memory_stay_within_the_budget(usage):
    worst = {k: max(int(row[k]) for row in usage) for k in ("registers", "shared")}
    assert worst["registers"] <= REGISTERS
    assert worst["shared"] <= SHARED
