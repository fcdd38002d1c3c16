"""A small network learns, the same every time, and leaves memory where it was."""

import gc
import sys

import numpy as np
import pytest

import tinycnn as tc
import tinycnn.nn.functional as F
from tinycnn import kernels, nn


def network():
    tc.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 2, 3, padding="same"),
        nn.BatchNorm2d(2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.1),
        nn.Linear(2 * 4, 1),
    )


def data():
    """Images of noise, half of them with a bright spot."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((16, 1, 4, 4)).astype(np.float32)
    y = (np.arange(16) % 2).astype(np.float32)[:, None]
    x[1::2, 0, 1, 2] += 4
    return tc.tensor(x), tc.tensor(y)


def step(model, x, y):
    loss = F.binary_cross_entropy_with_logits(model(x), y)
    loss.backward()
    for p in model.parameters():
        p.data -= 0.1 * p.grad
        p.grad = None
    return loss.item()


def test_a_small_network_learns_and_the_same_seed_gives_the_same_bits():
    x, y = data()
    runs = []
    for _ in range(2):
        model = network()
        losses = [step(model, x, y) for _ in range(60)]
        runs.append((losses, [p.array.copy() for p in model.parameters()]))
    assert runs[0][0] == runs[1][0]
    for a, b in zip(runs[0][1], runs[1][1], strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.mean(losses[-5:]) < 0.4 * losses[0]


@pytest.mark.parametrize("hooks", [False, True], ids=["plain", "with hooks"])
def test_training_for_1000_steps_leaves_memory_where_it_was_after_10(hooks):
    x, y = data()
    model = network()
    if hooks:
        for module in model.modules():
            module.register_full_backward_hook(lambda m, g_in, g_out: None)
            module.register_forward_hook(lambda m, inputs, out: None)
    with kernels.use("reference"):  # no compiler's memory is counted
        after_10 = memory_after(10, model, x, y)
        after_1000 = memory_after(steps := 500 if hooks else 990, model, x, y)
    # an array, node or tensor left behind by every step would be at least one block each
    assert after_1000 - after_10 < steps / 2


def memory_after(steps, model, x, y):
    """The blocks the interpreter holds; the collector of cycles must find nothing to do."""
    gc.collect()
    gc.disable()
    try:
        for _ in range(steps):
            step(model, x, y)
        # it also empties the interpreter's stores of unused tuples and lists
        assert gc.collect() == 0
        return sys.getallocatedblocks()
    finally:
        gc.enable()


def test_an_evaluation_without_recording_keeps_nothing():
    x, _ = data()
    model = network().eval()
    with tc.no_grad():
        out = model(x)
    assert out.is_leaf
    assert not out.requires_grad
