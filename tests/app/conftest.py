"""Small folders of patches, runs trained on them, and the command line to call."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import tinycnn
from tinycnn.checkpoint import load_tensors
from tinycnn.cli import main
from tinycnn.microcalc import pictures

SIDE = 24


def write_pgm(path, levels):
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = levels.shape
    path.write_bytes(b"P5 %d %d 255\n" % (width, height) + levels.astype(np.uint8).tobytes())


def write_folder(root, seed):
    """Ten cases a class, two patches a case; those of class 1 have a few bright specks."""
    rng = np.random.default_rng(seed)
    for case in range(20):
        for number in range(2):
            levels = rng.normal(100, 12, (SIDE, SIDE)).clip(0, 255)
            if case >= 10:
                levels[rng.integers(0, SIDE, 5), rng.integers(0, SIDE, 5)] = 200
            write_pgm(root / str(case // 10) / f"{case:04}_{number}.pgm", levels)
    return root


@pytest.fixture(scope="session")
def sound_data(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("data"), seed=0)


@pytest.fixture(scope="session")
def sound_runs(sound_data, tmp_path_factory):
    """A run of each model, trained for two epochs; without figures, which take seconds."""
    root = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "draw", lambda *a: None)
        for model in ("logistic", "exercise"):
            out = root / model
            options = [
                "--data",
                str(sound_data),
                "--model",
                model,
                "--epochs",
                "2",
                "--out",
                str(out),
            ]
            assert main(["train", *options]) == 0
    return root


@pytest.fixture(autouse=True)
def drawn(monkeypatch, request):
    """Figures take seconds: only what is given to be drawn is kept, unless a test is about them."""
    calls = []
    if "with_figures" not in request.fixturenames:
        monkeypatch.setattr(pictures, "draw", lambda *arguments: calls.append(arguments))
    return calls


@pytest.fixture
def with_figures():
    """Draw."""


@pytest.fixture
def data(sound_data, tmp_path):
    """A folder of patches that may be damaged."""
    return shutil.copytree(sound_data, tmp_path / "data")


@pytest.fixture
def run(sound_runs, tmp_path):
    """A finished run of the logistic regression that may be damaged."""
    return shutil.copytree(sound_runs / "logistic", tmp_path / "run")


@pytest.fixture
def other_run(sound_runs, tmp_path):
    """A finished run of the exercise's network."""
    return shutil.copytree(sound_runs / "exercise", tmp_path / "other_run")


@pytest.fixture
def image(data):
    """A sound image."""
    return data / "1" / "0012_0.pgm"


@pytest.fixture
def using(data, image, run, tmp_path):
    """The commands that use a run's weights."""
    return [
        ("evaluate", run, "--data", data),
        ("predict", run, image),
        ("compare", run, "--data", data, "--figure", tmp_path / "no.png"),
    ]


@pytest.fixture
def set_up(run):
    """Change the run's configuration; `recipe__lr=1` that of its recipe."""

    def change(**changes):
        path = run / "config.json"
        config = json.loads(path.read_text())
        for name, value in changes.items():
            part, _, key = name.rpartition("__")
            (config[part] if part else config)[key] = value
        path.write_text(json.dumps(config))

    return change


@pytest.fixture
def tinycnn_says(capsys):
    """Run the command line: (exit code, standard output, standard error)."""

    def say(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return say


@pytest.fixture
def complaint(tinycnn_says):
    """Run a command that must fail as wrong input does; gives its one line."""

    def complain(*arguments):
        code, out, err = tinycnn_says(*arguments)
        assert code == 2
        assert out == ""
        # a progress bar may have been on the line above
        *bar, line = err.rstrip("\n").split("\n")
        assert err.endswith("\n")
        assert all("batch" in text for text in bar)
        assert line.startswith("tinycnn: ")
        assert len(line) < 500
        return line

    return complain


@pytest.fixture
def bits():
    """What two runs must have in common to be called equal: all but the seconds."""

    def of(run):
        run = Path(run)
        tensors, about = load_tensors(run / "state.safetensors")
        history = json.loads((run / "history.json").read_text())
        assert about["history"] == history
        epochs = [{k: v for k, v in record.items() if k != "seconds"} for record in history]
        state = {name: (a.dtype, a.shape, a.tobytes()) for name, a in tensors.items()}
        return (run / "weights.safetensors").read_bytes(), state, epochs

    return of


@pytest.fixture(scope="session")
def environment():
    """For a process of its own."""
    package = str(Path(tinycnn.__file__).parents[1])
    own = {"PYTHONPATH": package, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    # with it what is printed is not kept back, as it is elsewhere
    return {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"} | own
