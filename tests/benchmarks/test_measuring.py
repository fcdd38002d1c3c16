import numpy as np
import pytest

from benchmarks.compare import Effort, Players, quartiles
from benchmarks.machine import environment
from benchmarks.patches import BATCH, epoch
from benchmarks.player import Player, Trouble
from benchmarks.task import Task, agree, sample
from benchmarks.worker import Worker


class Counting:
    """A side whose only task counts its calls."""

    def __init__(self):
        self.calls = 0

    def side(self, mode):
        return self

    def count(self, by):
        def call():
            self.calls += by

        return Task(call, lambda: [np.array([float(by)])])


def test_a_worker_times_calls_and_forgets():
    side = Counting()
    worker = Worker(side)
    assert worker.prepare("", "count", {"by": 2}) == [[2.0]]
    times = worker.measure("", 0.01)
    assert all(0 < t < 0.01 for t in times)
    assert side.calls > 20 * len(times)  # so short a call is made many times for each reading
    worker.forget("")
    with pytest.raises(KeyError):
        worker.measure("", 0.01)


def test_a_library_that_raises_tells_so_and_goes_on():
    player = Player("tinycnn")
    sizes = {"operation": "relu", "shape": [4, 4], "both": False}
    with pytest.raises(Trouble, match="no_such_kind"):
        player.ask("prepare", mode="", kind="no_such_kind", sizes={})
    assert player.ask("prepare", mode="", kind="engine", sizes=sizes)
    assert player.ask("measure", mode="", seconds=0.001)
    player.process.kill()
    player.process.wait()
    with pytest.raises(Trouble, match="ended"):
        player.ask("forget", mode="")
    player.close()


def test_a_missing_library_is_told():
    player = Player("no_such_library")
    with pytest.raises(Trouble, match="ended with code 1"):
        player.ask("prepare", mode="", kind="engine", sizes={})
    player.close()


class Answers(Players):
    """Sides that answer without a process."""

    def __init__(self, results):
        super().__init__()
        self.results = results
        self.asked = []

    def ask(self, side, do, **order):
        self.asked.append((side, do))
        if do == "prepare":
            if isinstance(self.results[side], str):
                raise Trouble(self.results[side])
            return [self.results[side]]
        if do == "measure" and side == "machine":
            raise Trouble("died")
        return [1.0, 2.0, 4.0]


def test_the_sides_take_turns_and_wrong_results_are_told(results):
    case = results.rows[0].case
    players = Answers({"tinycnn": [1.5], "PyTorch": [1.0], "JAX": [1.0], "MyGrad": "broken"})
    row = players.measure(case, ("tinycnn", "PyTorch", "JAX", "MyGrad"), Effort(2, 0.1))
    assert row.troubles == {"tinycnn": "its results are not PyTorch's", "MyGrad": "broken"}
    assert set(row.times) == {"tinycnn", "PyTorch", "JAX"}
    assert row.times["JAX"].median == 2.0
    measured = [side for side, do in players.asked if do == "measure"]
    assert measured == ["tinycnn", "PyTorch", "JAX", "PyTorch", "JAX", "tinycnn"]


def test_a_side_that_ends_is_left_out(results):
    players = Answers({"PyTorch": [1.0], "machine": [1.0]})
    row = players.measure(results.rows[0].case, ("PyTorch", "machine"), Effort(2, 0.1))
    assert set(row.times) == {"PyTorch"}
    assert row.troubles == {"machine": "died"}


def test_rounding_agrees_and_other_numbers_do_not():
    right = np.linspace(-1, 1, 1001)
    assert agree(sample([right]), sample([right + 1e-4]))
    assert not agree(sample([right]), sample([-right]))
    assert not agree(sample([right]), sample([right[:10]]))
    assert not agree(sample([right]), sample([right * np.nan]))


def test_quartiles_are_of_one_operation():
    assert quartiles([4.0, 1.0, 2.0, 3.0, 5.0], 2) == (1.0, 1.5, 2.0)


def test_the_number_of_threads_is_fixed():
    assert environment(3)["NUMBA_NUM_THREADS"] == "3"
    assert environment(compiled="folder")["NUMBA_CACHE_DIR"] == "folder"


def test_an_epoch_deals_every_patch_once():
    images = np.arange(70, dtype=np.float32).reshape(70, 1, 1, 1) * np.ones((2, 2), np.float32)
    labels = np.arange(70, dtype=np.float32)[:, None]
    batches = list(epoch(images, labels, 1))
    assert [len(x) for x, _ in batches] == [BATCH, BATCH, 6]
    assert all(np.array_equal(x[:, :, 0, 0], y) for x, y in batches)
    assert sorted(np.concatenate([y for _, y in batches]).ravel()) == list(range(70))
