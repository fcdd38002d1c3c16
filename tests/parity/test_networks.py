"""Whole networks: the exercise's trained for several steps, and the other models' gradients."""

import numpy as np
import pytest

from tinycnn.models import build

from .harness import both_backends, equal, normal, ours, theirs, using
from .twins import alike, models_agree, state, translated

pytestmark = [pytest.mark.parity, both_backends]


def twin_models(name, shape, seed=1):
    """A model by name in both libraries. Dropout keeps what the same mask keeps in both."""
    ours.top.manual_seed(seed)
    mine = build(name, shape)
    mine, other = alike(mine, translated(mine))
    for lib, model in ((ours, mine), (theirs, other)):
        for module in model.modules():
            if isinstance(module, lib.nn.Dropout):
                module.register_forward_hook(masked(lib, module.p))
    return mine, other


def masked(lib, p):
    """A hook that drops by a fixed mask."""

    def drop(module, inputs, output):
        (x,) = inputs
        kept = np.random.default_rng(5).random(tuple(x.shape)) >= p
        return x * lib.leaf(kept / (1 - p)).detach() if module.training else output

    return drop


def train(lib, model, images, labels, steps):
    """The losses of some steps of the exercise's recipe."""
    optimizer = lib.top.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-3)
    schedule = lib.top.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps // 2)
    loss_function = lib.nn.BCEWithLogitsLoss()
    losses = []
    for step in range(steps):
        if step % 2 == 0 and step:
            schedule.step()
        chosen = slice(step % 3 * 8, step % 3 * 8 + 8)
        x, t = lib.leaf(images[chosen]).detach(), lib.leaf(labels[chosen]).detach()
        loss = loss_function(model(x)[:, 0], t)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses)


def test_the_exercise_trains_to_the_same_weights(backend):
    images = normal(1, 24, 1, 60, 60)
    labels = np.random.default_rng(2).integers(0, 2, 24).astype(np.float64)
    with using(backend):
        mine, other = twin_models("exercise", (1, 60, 60))
        before = state(ours, mine)
        found, expected = (
            train(lib, model.train(), images, labels, 10)
            for lib, model in ((ours, mine), (theirs, other))
        )
        equal("losses", found, expected)
        after = state(ours, mine)
        for name, value in state(theirs, other).items():
            equal(name, after[name], value)
            assert not np.array_equal(value, before[name]), f"{name} has not been learned"
        models_agree((mine, other), normal(3, 4, 1, 60, 60))


@pytest.mark.parametrize("name", ["logistic", "lenet5", "resnet20", "inception"])
def test_the_gradients_of_a_model(backend, name):
    with using(backend):
        models_agree(twin_models(name, (1, 32, 24)), normal(1, 4, 1, 32, 24), noise=1e-11)
