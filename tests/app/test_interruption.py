"""Interrupted at any moment, a run goes on and ends with the bits of one that was not."""

import os
import shlex
import signal
import subprocess
import sys
import time

import pytest

from tinycnn import cli
from tinycnn.microcalc import job, source
from tinycnn.train import Training

EPOCHS = 3


@pytest.fixture
def train(data):
    options = ("train", "--data", data, "--model", "exercise", "--epochs", EPOCHS)
    return lambda out: (*options, "--out", out)


@pytest.fixture
def whole(tinycnn_says, train, bits, tmp_path):
    """What an uninterrupted run ends with."""
    assert tinycnn_says(*train(tmp_path / "whole"))[0] == 0
    return bits(tmp_path / "whole")


@pytest.fixture
def hears_interruptions():
    """What a shell runs in the background may ignore them, and so do its children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Killed(BaseException):
    """Not even `except Exception` stops it."""


def at_call(number, error, function):
    """The function, but instead of its n-th call the error."""
    calls = iter(range(number))

    def call(*arguments, **named):
        if next(calls, None) is None:
            raise error
        return function(*arguments, **named)

    return call


# a run's configuration is written once, then in each epoch the weights (if they are better than all
# before), history and state: at least 1 + 2 + 3 · 2 files
@pytest.mark.parametrize("writes", range(8))
def test_killed_before_any_of_its_files_is_in_place_a_run_ends_with_the_same_bits(
    writes, monkeypatch, tinycnn_says, whole, train, bits, tmp_path
):
    out, begun_files = tmp_path / "run", []
    replace = at_call(writes, Killed(), os.replace)

    def watched(temporary, path):
        begun_files.append(temporary)
        replace(temporary, path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", watched)
        with pytest.raises(Killed):
            tinycnn_says(*train(out))
    begun_files[-1].write_bytes(b"half")  # a real kill does not tidy up
    begun = (out / "config.json").exists()
    assert begun == (writes > 0)
    code, told, _ = tinycnn_says(*(("train", "--resume", "--out", out) if begun else train(out)))
    assert code == 0
    assert told.startswith("best epoch")
    assert bits(out) == whole
    kept = {"config.json", "history.json", "weights.safetensors", "state.safetensors"}
    assert {path.name for path in out.iterdir()} == kept


def test_ctrl_c_says_how_to_go_on_and_exits_130(
    monkeypatch, tinycnn_says, whole, train, bits, tmp_path
):
    out = tmp_path / "a run"
    with monkeypatch.context() as patch:
        epochs = at_call(2, KeyboardInterrupt(), Training.run_epoch)
        patch.setattr(Training, "run_epoch", lambda *arguments: epochs(*arguments))
        code, told, err = tinycnn_says(*train(out))
    assert (code, told) == (130, "")
    assert "Traceback" not in err
    line = err.splitlines()[-1]
    assert line.startswith("tinycnn: interrupted; `tinycnn train --resume")
    command = shlex.split(line.split("`")[1])
    code, told, _ = tinycnn_says(*command[1:])
    assert code == 0
    assert bits(out) == whole


def test_ctrl_c_before_the_run_is_begun_promises_nothing(
    monkeypatch, tinycnn_says, train, tmp_path
):
    monkeypatch.setattr(source, "for_training", at_call(0, KeyboardInterrupt(), None))
    code, told, err = tinycnn_says(*train(tmp_path / "run"))
    assert (code, told, err) == (130, "", "\ntinycnn: interrupted\n")
    assert not (tmp_path / "run").exists()


def test_ctrl_c_elsewhere_exits_130_too(monkeypatch, tinycnn_says, data):
    monkeypatch.setattr(Training, "run_epoch", at_call(0, KeyboardInterrupt(), None))
    code, told, err = tinycnn_says("repeat", "--data", data, "--epochs", 1)
    assert (code, told) == (130, "")
    assert err.endswith("\ntinycnn: interrupted\n")


def test_a_finished_run_resumed_stays_as_it_is(tinycnn_says, run, bits):
    before = bits(run)
    code, told, _ = tinycnn_says("train", "--resume", "--out", run)
    assert code == 0
    assert told.startswith("best epoch")
    assert bits(run) == before


def test_a_run_whose_data_have_changed_is_not_resumed(complaint, run, data):
    # the run was trained on this folder's twin
    path = run / "config.json"
    place = str(data.parents[1] / "elsewhere")
    text = path.read_text()
    folder = text.split('"folder": "')[1].split('"')[0]
    path.write_text(text.replace(folder, place))
    assert f"{place}: No such file" in complaint("train", "--resume", "--out", run)
    path.write_text(text.replace(folder, str(data)))
    image = data / "0" / "0001_0.pgm"
    whole = image.read_bytes()
    image.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    line = complaint("train", "--resume", "--out", run)
    assert f"{run}: the data are no longer those the run was begun with" in line
    image.write_bytes(whole)
    image.rename(data / "0" / "0002_9.pgm")
    assert "no longer those" in complaint("train", "--resume", "--out", run)


@pytest.mark.parametrize(
    "option",
    [
        *(("--model", "logistic"), ("--epochs", 5), ("--seed", 0)),
        *(("--data", "folder"), ("--case-pattern", "x")),
    ],
)
def test_resume_takes_no_other_option(option, complaint, run):
    line = complaint("train", "--resume", "--out", run, *option)
    assert f"it takes no {option[0]}" in line


def test_dropout_augmentation_and_momentum_go_on_where_they_were(data, bits, monkeypatch, tmp_path):
    """The same through the functions, stopped after each epoch."""
    recipe = job.Recipe(epochs=4, augment="exposure", seed=7)
    job.train(tmp_path / "whole", recipe, str(data))
    out = tmp_path / "run"
    once = Training.run_epoch
    for _ in range(4):
        with monkeypatch.context() as patch:
            stopping = at_call(1, Killed(), once)
            patch.setattr(Training, "run_epoch", lambda *a, call=stopping: call(*a))
            try:
                if (out / "config.json").exists():
                    job.resume(out)
                else:
                    job.train(out, recipe, str(data))
            except Killed:
                continue
    assert bits(out) == bits(tmp_path / "whole")


def test_an_interruption_that_python_drops_comes_once_more(
    hears_interruptions, monkeypatch, capsys
):
    class Deleted:
        def __del__(self):
            raise KeyboardInterrupt

    def evaluate(options):
        Deleted()
        for _ in range(1000):
            time.sleep(0.01)

    monkeypatch.setattr(cli, "evaluate", evaluate)
    assert cli.main(["evaluate", "run"]) == 130
    assert capsys.readouterr().err == "\ntinycnn: interrupted\n"


# ---- as processes of their own ------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT to send")
def test_a_process_that_gets_sigint_exits_130_and_the_run_goes_on(
    hears_interruptions, environment, tinycnn_says, bits, data, tmp_path
):
    out = tmp_path / "run"
    options = ("train", "--data", data, "--model", "exercise", "--epochs", 250)
    command = [sys.executable, "-m", "tinycnn.cli", *map(str, options), "--out", str(out)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=environment, **pipes) as process:
        deadline = time.monotonic() + 60
        while not (out / "state.safetensors").exists() and time.monotonic() < deadline:
            time.sleep(0.002)
        process.send_signal(signal.SIGINT)
        told, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert told == b""
    assert b"Traceback" not in err
    hint = f"tinycnn: interrupted; `tinycnn train --resume --out {out}` goes on"
    assert err.decode().splitlines()[-1] == hint
    assert tinycnn_says("train", "--resume", "--out", out)[0] == 0
    assert tinycnn_says(*options, "--out", tmp_path / "whole")[0] == 0
    assert bits(out) == bits(tmp_path / "whole")


KILLER = """
import os, random, signal, sys, threading, time
from pathlib import Path
from tqdm import tqdm
from tinycnn.cli import main
from tinycnn.microcalc import pictures

data, out, whole = sys.argv[1:]
pictures.draw = lambda *arguments: None
options = ["train", "--data", data, "--model", "exercise", "--epochs", "25", "--out"]
assert main([*options, whole]) == 0
history = Path(out, "history.json")
moment = random.Random(0)
killed = 0
for _ in range(10):
    resume = Path(out, "config.json").exists()
    child = os.fork()
    if child == 0:
        # tqdm's own lock is shared by all forks, and would stay with one that is killed
        tqdm.set_lock(threading.RLock())
        os._exit(main(["train", "--resume", "--out", out] if resume else [*options, out]))
    epochs, seen = moment.randrange(3), history.stat().st_mtime_ns if history.exists() else 0
    while epochs and os.waitpid(child, os.WNOHANG) == (0, 0):
        now = history.stat().st_mtime_ns if history.exists() else 0
        epochs, seen = epochs - (now != seen), now
    time.sleep(moment.uniform(0, 0.03))
    try:
        os.kill(child, signal.SIGKILL)
        killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
    except (ProcessLookupError, ChildProcessError):
        break  # it was done
assert main(["train", "--resume", "--out", out]) == 0
print(killed)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork() here")
def test_killed_at_random_moments_a_run_ends_with_the_same_bits(environment, bits, data, tmp_path):
    folders = [str(data), str(tmp_path / "run"), str(tmp_path / "whole")]
    done = subprocess.run(
        [sys.executable, "-c", KILLER, *folders],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout.split()[-1]) >= 3, "too seldom killed to tell"
    assert bits(tmp_path / "run") == bits(tmp_path / "whole")
    assert not list((tmp_path / "run").glob(".*"))
