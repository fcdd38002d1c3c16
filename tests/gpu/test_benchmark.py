"""On a real card: how long the exercise's network takes, beside PyTorch; asserted is only that all
compute the same. `make gpu-report` writes the times down. On the emulated card the same lines run
over a few images, and the times mean nothing.
"""

import numpy as np
import pytest

import tinycnn as tc

from .benchmark import CASES, medians, network, prepared, sides, twin
from .device import cupy_or_skip, emulated


@pytest.fixture
def cupy():
    """CuPy, where it has a card. What asks for it is skipped elsewhere, but not the whole file, so
    that `pytest -m gpu` says everywhere what it needs."""
    return cupy_or_skip()


def assert_same(found, expected, before):
    """Equal but for rounding; of weights, what has become of them."""
    wrong = np.linalg.norm(found - expected) / np.linalg.norm(expected - before)
    assert wrong < 1e-3


@pytest.mark.gpu
@pytest.mark.parametrize("case", CASES)
def test_the_time_of_the_exercises_network_beside_pytorchs(case, cupy, record_property):
    what, batch = CASES[case]
    rounds, times = 15, 20
    if emulated(cupy):
        batch, rounds, times = batch // 32, 1, 1
    host = prepared(tc, network(0), what, batch, "cpu")
    start = host.results() * (what == "training step")
    for _ in range(3):
        host.call()
    for side in sides(what, batch, dropout=0).values():
        for _ in range(3):
            side.call()
        assert_same(side.results(), host.results(), start)

    calls = {name: side.call for name, side in sides(what, batch, dropout=0.2).items()}
    for name, milliseconds in medians(calls, cupy.cuda.Device().synchronize, rounds, times).items():
        print(f"{case}: {name}: {milliseconds:.3f} ms")
        record_property(f"{case} | {name}", f"{milliseconds:.3f}")


@pytest.mark.parity
@pytest.mark.parametrize("what", ["training step", "inference"])
def test_pytorchs_network_is_the_same(what):
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    ours = prepared(tc, network(0), what, 4, "cpu")
    theirs = prepared(torch, twin(torch, 0), what, 4, "cpu")
    start = ours.results() * (what == "training step")
    for _ in range(3):
        ours.call(), theirs.call()
    assert_same(theirs.results(), ours.results(), start)


def test_calls_take_turns_and_the_card_is_waited_for_around_them():
    done = []
    calls = {name: lambda name=name: done.append(name) for name in "ab"}
    found = medians(calls, lambda: done.append("wait"), rounds=2, times=2)
    turns = ["wait", "a", "a", "wait", "wait", "b", "b", "wait"]
    assert done == [*"aaabbb", *turns, *turns]
    assert list(found) == ["a", "b"]
    assert all(milliseconds >= 0 for milliseconds in found.values())
