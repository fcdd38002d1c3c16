"""A training step recorded as a CUDA graph: its replays are the ordinary steps, bit for bit."""

import numpy as np
import pytest

import tinycnn as tc
from tinycnn import Tensor, kernels, models, nn
from tinycnn.device import DeviceError
from tinycnn.kernels import cuda
from tinycnn.kernels.cuda import graph
from tinycnn.optim import SGD, Adam, CapturedStep
from tinycnn.optim.lr_scheduler import StepLR

from .device import counted, cupy_or_skip, emulated

cupy = cupy_or_skip()
pytestmark = pytest.mark.gpu
only_emulated = pytest.mark.skipif(not emulated(cupy), reason="a real device does not count")
SIZES = [8, 8, 8, 8, 5, 8, 5, 5, 8]  # of batches: the fifth is the first of its size


def batches(sizes):
    rng = np.random.default_rng(0)
    for n in sizes:
        x, y = rng.normal(size=(n, 1, 60, 60)), rng.integers(0, 2, (n, 1))
        yield tuple(Tensor(cupy.asarray(a.astype(np.float32))) for a in (x, y))


def training(p):
    """The exercise's network on the device, its optimiser, and a step; dropout's probability p."""
    tc.manual_seed(0)
    model = models.build("exercise", (1, 60, 60)).to("cuda").train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = p
    optimizer = SGD(model.parameters(), 0.05, momentum=0.9, weight_decay=1e-4, nesterov=True)

    def step(x, y):
        optimizer.zero_grad()
        loss = nn.BCEWithLogitsLoss()(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return model, optimizer, step


def trained(captured):
    """Losses and all that training changes, after steps at a falling rate."""
    model, optimizer, step = training(p=0.0)
    schedule = StepLR(optimizer, step_size=3, gamma=0.5)
    if captured:
        step = CapturedStep(step, optimizer)
    losses = []
    for x, y in batches(SIZES):
        losses.append(step(x, y).item())
        schedule.step()
        for size in (1, 300, 10**5):  # whoever takes memory that a graph needs spoils it
            cupy.full(size, np.nan, np.float32)
        cupy.get_default_memory_pool().free_all_blocks()
    arrays = [v.array for v in model.state_dict().values()] + list(optimizer.state_dict().values())
    return losses, [a.get() for a in arrays]


def test_replays_equal_ordinary_steps_bit_for_bit_also_at_another_rate_and_batch_size():
    (losses, ours), (expected, theirs) = trained(captured=True), trained(captured=False)
    assert losses == expected
    assert len(set(losses)) == len(losses)
    for a, b in zip(ours, theirs, strict=True):
        assert a.tobytes() == b.tobytes()


def test_dropout_keeps_others_in_each_replay_as_numpys_generator_would():
    _, optimizer, _ = training(p=0.0)
    key = 5
    step = CapturedStep(lambda x: cuda.dropout_mask(key, (1000,), 0.5, x.array), optimizer)
    x = Tensor(cupy.zeros(1, np.float32))
    for n in range(4):  # number 0 is the ordinary step
        philox = np.random.Philox(key=key, counter=[0, 0, 0, n])
        random = np.random.Generator(philox).random(1000, np.float32)
        np.testing.assert_array_equal(step(x).get(), random >= 0.5)


def test_each_replay_has_chance_of_its_own_in_the_network():
    _, optimizer, step = training(p=0.5)
    optimizer.lr = 0.0
    step = CapturedStep(step, optimizer)
    ((x, y),) = batches([8])
    assert len({step(x, y).item() for _ in range(5)}) == 5


@only_emulated
def test_a_replay_is_one_launch_and_a_copy_of_each_input_and_allocates_nothing():
    _, optimizer, step = training(p=0.5)
    step = CapturedStep(step, optimizer)
    (first, second, *others) = batches([8] * 5)
    step(*first)
    with counted() as done:
        step(*second)
    assert done["h2d"] == done["d2h"] == done["syncs"] == 0  # in the recording too
    for batch in others:
        with counted() as done:
            step(*batch)
        assert (done.pop("launches"), done.pop("d2d")) == (1, 2)
        assert not any(done.values())
    optimizer.lr = 0.01
    with counted() as done:
        step(*second)
    assert (done.pop("launches"), done.pop("d2d")) == (2, 2)  # the new rate is one more
    assert not any(done.values())


def test_a_derivative_through_weights_that_a_replay_has_changed_is_refused():
    model, optimizer, step = training(p=0.0)
    step = CapturedStep(step, optimizer)
    x, y = next(batches([8]))
    step(x, y)
    step(x, y)
    loss = model(x).sum()
    step(x, y)  # a replay
    with pytest.raises(RuntimeError, match="changed"):
        loss.backward()


def test_a_rate_on_the_device_steps_as_the_number_does():
    rng = np.random.default_rng(0)
    for dtype in (np.float32, np.float64):
        given = [cupy.asarray(a) for a in rng.normal(size=(3, 300)).astype(dtype)]
        results = []
        for lr in (0.1, cupy.asarray(0.1)):
            p, g, v = (a.copy() for a in given)
            cuda.sgd_step(p, g, v, lr, 0.9, 0.8, 0.1, True)
            results.append((p.get().tobytes(), v.get().tobytes()))
        assert results[0] == results[1]


@only_emulated
def test_what_cannot_be_recorded_raises_and_leaves_all_as_it_was():
    _, optimizer, _ = training(p=0.0)
    large = Tensor(cupy.ones((200, 200), np.float32))
    step = CapturedStep(lambda x: x @ x, optimizer)  # by cuBLAS
    step(large)
    with pytest.raises(cupy.cuda.cublas.CUBLASError):
        step(large)
    waits = CapturedStep(lambda x: x.sum().item(), optimizer)
    assert waits(large) == 40000
    with pytest.raises((RuntimeError, cupy.cuda.runtime.CUDARuntimeError)):
        waits(large)
    assert graph.replay is None
    assert optimizer.lr == 0.05
    assert (large @ large).sum().item() == 200**3


def test_a_captured_step_says_what_it_needs():
    weight = nn.Parameter(np.zeros(1, np.float32))
    with pytest.raises(DeviceError, match="needs parameters on a graphics card, not on cpu"):
        CapturedStep(lambda: None, SGD([weight]))
    with pytest.raises(TypeError, match="Adam counts its steps on the host"):
        CapturedStep(lambda: None, Adam([weight]))
    on_the_card = SGD([nn.Parameter(cupy.zeros(1, np.float32))])
    with kernels.use("reference"), pytest.raises(DeviceError):
        CapturedStep(lambda: None, on_the_card)
