"""`make gpu-report`: what `pytest -m gpu` finds on this computer's card, in one file to send.

python tests/gpu/report.py OUT.md [options for pytest]
"""

from __future__ import annotations

import platform
import subprocess
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.etree import ElementTree

import numpy as np

import tinycnn
from tinycnn.device import DeviceError, check_device

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def main(out: str, *options: str) -> int:
    """Run the tests and write the report; gives pytest's exit code, or 2 if there is no card."""
    try:
        check_device("cuda")
    except DeviceError as error:
        print(f"gpu-report: needs a graphics card: {error}", file=sys.stderr)
        return 2
    with TemporaryDirectory() as folder:
        results = Path(folder) / "results.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", HERE]
        kept = [f"--junitxml={results}", "-o", "junit_family=xunit1"]  # which may hold our times
        code = subprocess.run([*command, *kept, *options], cwd=ROOT).returncode
        told = results.read_text() if results.exists() else "<nothing/>"  # pytest has crashed
    page = report(facts(), ElementTree.fromstring(told), code)
    Path(out).write_text(page, encoding="utf-8")
    print(f"the report is in {out}")
    return code


def said_by(*command: str) -> str:
    """What a command prints, in one line; nothing if it fails."""
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return ", ".join(done.stdout.split("\n")).strip(", ")


def facts() -> dict[str, str]:
    """The card, and all that is at work on it."""
    import cupy

    runtime, device = cupy.cuda.runtime, cupy.cuda.Device(0)
    name = runtime.getDeviceProperties(0)["name"].decode()
    memory = device.mem_info[1] / 2**30
    emulated = " **An emulated card: the times below mean nothing.**" if runtime.is_hip else ""
    commit = said_by("git", "describe", "--always", "--dirty")
    driver = said_by("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0")
    return {
        "card": f"{name}, sm_{device.compute_capability}, {memory:.1f} GiB.{emulated}",
        "driver": f"{driver or 'unknown'}, for CUDA {version(runtime.driverGetVersion())}",
        "CUDA runtime": version(runtime.runtimeGetVersion()),
        "NVRTC": "{}.{}".format(*cupy.cuda.nvrtc.getVersion()),
        "CuPy": cupy.__version__,
        "PyTorch": pytorch(),
        "tinycnn": f"{tinycnn.__version__}, commit {commit or 'unknown'}",
        "Python, NumPy": f"{platform.python_version()}, {np.__version__}",
        "computer": f"{platform.platform()}, {processor()}",
    }


def version(number: int) -> str:
    """CUDA's way to write one: 13020 is 13.2."""
    return f"{number // 1000}.{number % 1000 // 10}"


def pytorch() -> str:
    """Its version and cuDNN's, if it takes part."""
    from benchmark import torch_on_the_card

    torch = torch_on_the_card()
    return f"{torch.__version__}, cuDNN {torch.backends.cudnn.version()}" if torch else "none here"


def processor() -> str:
    """The processor's name, where the system tells it."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def report(found: dict[str, str], tests: Any, code: int) -> str:
    """The page: the machine; the tests as pytest's XML has them, and its exit code; the times."""
    lines = ["# tinycnn on a graphics card", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in found.items()]
    return "\n".join([*lines, "", *results(tests, code), *times(tests)]) + "\n"


def results(tests: Any, code: int) -> list[str]:
    """How many tests passed; those that did not, and why some were skipped."""
    cases = list(tests.iter("testcase"))
    failed = {
        case.get("name"): trouble.get("message").splitlines()[0]
        for case in cases
        for trouble in (*case.iterfind("failure"), *case.iterfind("error"))
    }
    skipped = Counter(skip.get("message") for skip in tests.iter("skipped"))
    passed = len(cases) - len(failed) - skipped.total()
    told = f"{passed} passed, {len(failed)} failed, {skipped.total()} skipped"
    lines = ["## Tests", "", f"{told}, pytest's exit code {code}", ""]
    lines += [f"- failed: `{name}`: {message}" for name, message in failed.items()]
    return lines + [f"- skipped ({times}): {reason}" for reason, times in skipped.items()]


def times(tests: Any) -> list[str]:
    """Milliseconds by case and side, as `test_benchmark.py` has recorded them, and how many times
    the first side's they are.
    """
    table: dict[str, dict[str, float]] = {}
    for entry in tests.iter("property"):
        case, _, side = entry.get("name").partition(" | ")
        table.setdefault(case, {})[side] = float(entry.get("value"))
    if not table:
        return []
    sides = list(dict.fromkeys(side for row in table.values() for side in row))
    lines = [
        "",
        "## Milliseconds",
        "",
        f"| | {' | '.join(sides)} |",
        "|---" * len(["", *sides]) + "|",
    ]
    for case, row in table.items():
        first = row[sides[0]]
        cells = [f"{row[s]:.3f} ({row[s] / first:.2f}×)" if s in row else "" for s in sides]
        lines.append(f"| {case} | {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
