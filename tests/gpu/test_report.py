"""The file that `make gpu-report` writes."""

import os
import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from .device import cupy_or_skip, emulated
from .report import ROOT, report, version

RESULTS = """<testsuites><testsuite>
<testcase name="test_a"><properties>
    <property name="training step, batch 32 | tinycnn" value="2.000"/>
    <property name="training step, batch 32 | PyTorch" value="3.000"/>
</properties></testcase>
<testcase name="test_b"><properties>
    <property name="inference, batch 32 | tinycnn" value="0.500"/>
</properties></testcase>
<testcase name="test_c"><failure message="assert 1 == 2&#10;where ...">trace</failure></testcase>
<testcase name="test_d"><skipped message="a real device does not count">place</skipped></testcase>
<testcase name="test_e"><skipped message="a real device does not count">place</skipped></testcase>
<testcase name="test_f"><error message="fixture failed">trace</error></testcase>
</testsuite></testsuites>"""

PAGE = """\
# tinycnn on a graphics card

| | |
|---|---|
| card | a fast one |

## Tests

2 passed, 2 failed, 2 skipped, pytest's exit code 1

- failed: `test_c`: assert 1 == 2
- failed: `test_f`: fixture failed
- skipped (2): a real device does not count

## Milliseconds

| | tinycnn | PyTorch |
|---|---|---|
| training step, batch 32 | 2.000 (1.00×) | 3.000 (1.50×) |
| inference, batch 32 | 0.500 (1.00×) |  |
"""


def reported(out, *options, **environment):
    """The script as it is run."""
    command = [sys.executable, ROOT / "tests/gpu/report.py", out, *options]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)


def test_the_page():
    assert report({"card": "a fast one"}, ElementTree.fromstring(RESULTS), 1) == PAGE


def test_the_page_says_so_when_pytest_crashed():
    page = report({"card": "a fast one"}, ElementTree.fromstring("<nothing/>"), -11)
    assert "0 passed, 0 failed, 0 skipped, pytest's exit code -11" in page


def test_versions_are_written_as_nvidia_does():
    assert [version(n) for n in (12090, 13000, 13020)] == ["12.9", "13.0", "13.2"]


def test_without_a_card_one_line_says_what_is_missing(tmp_path):
    (tmp_path / "cupy.py").write_text("raise ImportError('no such module')")
    done = reported(tmp_path / "out.md", PYTHONPATH=f"{tmp_path}:{ROOT}")
    assert done.returncode == 2
    assert done.stderr.startswith(
        "gpu-report: needs a graphics card: device 'cuda': CuPy is missing"
    )
    assert (done.stderr.count("\n"), done.stdout) == (1, "")
    assert not (tmp_path / "out.md").exists()


def test_make_gpu_report_installs_nothing_where_nvidia_smi_does_not_answer(tmp_path):
    done = subprocess.run(
        ["make", "gpu-report", "CUDA="], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode != 0
    assert done.stderr.startswith("gpu-report: no NVIDIA driver or card: nvidia-smi tells no CUDA")
    assert "pip" not in done.stdout


@pytest.mark.gpu
def test_a_report_from_this_device(tmp_path):
    cupy = cupy_or_skip()
    if not emulated(cupy):
        pytest.skip("on a real card the report itself is what runs this")
    out = tmp_path / "out.md"
    done = reported(out, "-k", "beside", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout + done.stderr
    page = out.read_text()
    assert "| card | Emulated device (CPU), sm_90, 8.0 GiB. **An emulated card: the times" in page
    assert re.search(r"\| CuPy \| \d+\.\d+", page)
    assert re.search(r"\| tinycnn \| \S+, commit \w+", page)
    assert "4 passed, 0 failed, 0 skipped, pytest's exit code 0" in page
    assert re.search(r"^\| training step, batch 32 \| \d+\.\d{3} \(1\.00×\) \| \d+", page, re.M)
