"""The second process that compiles the way back."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

import tinycnn as tc
from tinycnn.kernels.cpu import ahead

TYPES = 0, 1, SimpleNamespace(dtype="float32")


@pytest.fixture
def two_threads():
    before = tc.get_num_threads()
    tc.set_num_threads(2)
    yield
    tc.set_num_threads(before)


@pytest.fixture
def begun(monkeypatch, two_threads):
    """The processes that there are, in the place of this one's own."""
    monkeypatch.setattr(ahead, "_processes", processes := [])
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def test_with_one_thread_there_is_none(begun):
    tc.set_num_threads(1)
    assert not ahead.missing("pack", TYPES)
    assert not ahead.missing("gradients", TYPES)
    assert begun == []


def test_a_second_process_that_fails_is_waited_for_and_no_more(begun, monkeypatch):
    monkeypatch.setattr(ahead, "PROGRAM", "raise SystemExit({!r} == 'float32')")
    assert not ahead.missing("gradients", TYPES)
    assert not ahead.missing("pack", TYPES)
    assert not ahead.missing("relu", TYPES)
    assert ahead.missing("gradients", TYPES)
    assert begun[0].returncode == 1


def test_one_that_hangs_is_not_waited_for_for_ever(begun, monkeypatch):
    monkeypatch.setattr(ahead, "PROGRAM", "import time; time.sleep(100)  # {}")
    monkeypatch.setattr(ahead, "PATIENCE", 0.1)
    ahead.missing("pack", TYPES)
    assert ahead.missing("gradients", TYPES)
    assert begun[0].poll() is None


@pytest.mark.parametrize("program", ["/opt/blender", "", None, "/no/such/folder/python3"])
def test_a_program_with_a_python_inside_is_not_started_again(program, begun, monkeypatch):
    monkeypatch.setattr(sys, "executable", program)
    ahead.missing("pack", TYPES)
    assert begun == []


def test_it_does_not_outlive_the_first():
    script = (
        "from tinycnn.kernels.cpu import ahead; import tinycnn as tc; tc.set_num_threads(2)\n"
        "ahead.PROGRAM = 'import time; time.sleep(100)  # {}'\n"
        "ahead._begin('float32'); print(ahead._processes[0].pid)"
    )
    ran = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True)
    assert (ran.returncode, ran.stderr) == (0, b"")
    # `ps` of what is gone says so by its return code
    assert subprocess.run(["ps", "-p", ran.stdout.decode().strip()], capture_output=True).returncode
