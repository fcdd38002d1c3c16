"""What becomes of compiled kernels: where they are kept, and what happens where they can't be."""

import gc
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import tinycnn
from tinycnn.kernels import compilation
from tinycnn.kernels.cpu import jit

# Needs little to be compiled; prints whether it was, and what the compiler had to import for it.
SCRIPT = """
import json, sys
import numpy as np
from tinycnn.kernels import compilation
told = []
compilation.tell(lambda: told.append("compiling"))
from tinycnn.kernels.cpu import activation
y = activation.relu(np.array([-1, 2], np.float32))
assert y.tolist() == [0, 2]
print(json.dumps({"told": told, "compiler": "numba.np.npyimpl" in sys.modules}))
"""
COMPILED = {"told": ["compiling"], "compiler": True}
LOADED = {"told": [], "compiler": False}


def start(package, home, script=SCRIPT):
    """A process that uses this copy of the package."""
    beside = [path for path in sys.path if path]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA_", "XDG_"))}
    environment |= {"PYTHONPATH": os.pathsep.join([str(package), *beside]), "HOME": str(home)}
    return subprocess.Popen(
        [sys.executable, "-c", script],
        env=environment,
        cwd=package,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    return json.loads(out)


def run(package, home):
    return finish(start(package, home))


def kept(folder):
    return sorted(path.name for path in folder.rglob("*.nbc"))


def copy(package, place, *without):
    return shutil.copytree(package, place, ignore=shutil.ignore_patterns(*without))


@pytest.fixture
def home(tmp_path):
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def package(tmp_path):
    """The package, as if nothing had been compiled for it."""
    source = Path(tinycnn.__file__).parent
    return copy(source, tmp_path / "new" / "tinycnn", "__pycache__").parent


@pytest.fixture(scope="module")
def used_once(tmp_path_factory):
    """The package after its first use."""
    root = tmp_path_factory.mktemp("used")
    source = Path(tinycnn.__file__).parent
    package = copy(source, root / "new" / "tinycnn", "__pycache__").parent
    assert run(package, root) == COMPILED
    return package


@pytest.fixture
def used(used_once, tmp_path):
    return copy(used_once, tmp_path / "used")


def lock(package):
    """Leave no place for a cache beside the sources, whoever the user is."""
    for folder in [package, *package.rglob("*")]:
        if folder.is_dir():
            (folder / "__pycache__").write_text("a file where the folder would be")


def test_what_was_compiled_once_is_loaded_without_the_compiler(used, home):
    assert len(kept(used)) == 1
    assert run(used, home) == LOADED


def test_a_read_only_installation_keeps_kernels_in_the_users_cache(package, home):
    lock(package)
    assert run(package, home) == COMPILED
    assert (kept(package), len(kept(home))) == ([], 1)
    assert run(package, home) == LOADED


def test_where_nothing_can_be_kept_every_process_compiles(package, tmp_path):
    lock(package)
    nowhere = tmp_path / "file"
    nowhere.write_text("no folder")
    assert run(package, nowhere) == COMPILED


def test_processes_that_start_together_do_not_spoil_the_cache(package, home):
    for process in [start(package, home), start(package, home)]:
        finish(process)
    assert run(package, home) == LOADED


@pytest.mark.parametrize("files", ["*.nbi", "*.nbc"])
def test_a_damaged_cache_is_begun_anew(files, used, home):
    (path,) = used.rglob(files)
    path.write_bytes(path.read_bytes()[:100])
    assert run(used, home) == COMPILED
    assert path.stat().st_size > 100


FULL_DISK = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))"


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no such limit")
def test_on_a_full_disk_kernels_work_and_are_not_kept(package, home):
    assert finish(start(package, home, FULL_DISK + SCRIPT)) == COMPILED
    assert kept(package) == []


# The way back, asked for as if a convolution's first kernel had been found missing.
BACKWARD = """
import json
from types import SimpleNamespace
from numba.core import event
import tinycnn as tc
from tinycnn.kernels.cpu import ahead

class Compiled(event.Listener):
    names = []
    def on_start(self, event):
        self.names.append(event.data["dispatcher"].py_func.__name__)
    def on_end(self, event):
        pass

event.register("numba:compile", Compiled())
tc.set_num_threads(2)
ahead.missing("pack", [SimpleNamespace(dtype="float32")])
assert ahead.missing("gradients", [])
ahead.compile_backward("float32")
print(json.dumps(Compiled.names))
"""


def test_a_second_process_compiles_the_way_back(package, home):
    assert finish(start(package, home, BACKWARD)) == []
    assert any("gradients" in name for name in kept(package))


def test_who_wants_to_know_is_told_once():
    told = []
    compilation.tell(lambda: told.append("before"))
    compilation.tell(lambda: told.append("now"))
    compilation.begins()
    compilation.begins()
    assert told == ["now"]


WITHOUT_NUMBA = """
import sys
sys.modules["numba"] = None
import numpy as np
import tinycnn as tc
from tinycnn import nn
tc.manual_seed(0)
net = nn.Sequential(
    nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2),
    nn.Flatten(), nn.Linear(32, 1),
)
optimizer = tc.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
tc.set_num_threads(2)
x = tc.randn(6, 1, 8, 8)
y = tc.tensor(np.float32([[0], [1]] * 3))
losses = []
for _ in range(30):
    optimizer.zero_grad()
    loss = nn.functional.binary_cross_entropy_with_logits(net(x), y)
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
net.eval()
with tc.no_grad():
    net(x)
assert losses[-1] < losses[0] / 2, losses
assert not any(name.startswith(("numba", "llvmlite")) and m for name, m in sys.modules.items())
print(0)
"""


def test_without_numba_everything_works(package, home):
    assert finish(start(package, home, WITHOUT_NUMBA)) == 0


def test_the_garbage_collector_rests_while_a_kernel_is_compiled():
    listener = jit._Compilation()
    assert gc.isenabled()
    for event in (listener.on_start, listener.on_start, listener.on_end):
        event(None)
        assert not gc.isenabled()
    listener.on_end(None)
    assert gc.isenabled()
