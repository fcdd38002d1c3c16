"""Optimisers and schedules over 20 steps, against torch.optim."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from .harness import cases, compare, normal, ours, seeds, theirs

pytestmark = pytest.mark.parity
STEPS = 20


def descend(lib, name, options, seed):
    """The parameters of a least-squares problem after each step; one rests in every third."""
    inputs, targets = (lib.leaf(normal(seed + i, 6, n)).detach() for i, n in enumerate((4, 3)))
    first, second, resting = (
        lib.nn.Parameter(lib.leaf(normal(seed + 2 + i, *shape)).detach())
        for i, shape in enumerate([(4, 5), (5, 3), (3,)])
    )
    optimizer = getattr(lib.top.optim, name)([first, second, resting], **options)
    found = {}
    for step in range(STEPS):
        optimizer.zero_grad()
        y = lib.tanh(inputs @ first) @ second
        y = y if step % 3 == 1 else y + resting
        lib.mse_loss(y, targets).backward()
        optimizer.step()
        found |= {f"{step}.{i}": lib.array(p) for i, p in enumerate((first, second, resting))}
    return found


def both_descend(name, options, seed):
    compare(descend(ours, name, options, seed), descend(theirs, name, options, seed))


@cases(60)
@given(
    st.fixed_dictionaries(
        {"lr": st.sampled_from([0.0, 0.001, 0.05])},
        optional={
            "momentum": st.sampled_from([0.0, 0.5, 0.9]),
            "dampening": st.sampled_from([0.0, 0.3]),
            "weight_decay": st.sampled_from([0.0, 1e-3, 0.1]),
            "nesterov": st.booleans(),
        },
    ),
    seeds,
)
def test_sgd(options, seed):
    if options.get("nesterov"):
        assume(options.get("momentum") and not options.get("dampening"))
    both_descend("SGD", options, seed)


@cases(40)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "lr": st.sampled_from([1e-3, 0.1]),
            "betas": st.sampled_from([(0.9, 0.999), (0.5, 0.9), (0.0, 0.9), (0.9, 0.5)]),
            "eps": st.sampled_from([1e-8, 1e-3]),
            "weight_decay": st.sampled_from([0.0, 1e-3, 0.1]),
        },
    ),
    seeds,
)
def test_adam(options, seed):
    both_descend("Adam", options, seed)


@pytest.mark.parametrize("betas", [(0.0, 0.0), (0.0, 0.5), (0.5, 0.0)])
def test_adam_forgets_a_large_gradient_to_the_last_digit(betas):
    found = []
    for lib in (ours, theirs):
        p = lib.nn.Parameter(lib.leaf(np.zeros(2)).detach())
        optimizer = lib.top.optim.Adam([p], lr=1.0, betas=betas, eps=1e-30)
        steps = {}
        for i, g in enumerate([1.0, 1e-10, 1e-5]):
            p.grad = lib.leaf(np.array([g, -2 * g])).detach()
            optimizer.step()
            steps[str(i)] = lib.array(p)
        found.append(steps)
    compare(*found)


@pytest.mark.parametrize(
    ("name", "given"), [("SGD", (0.01, 0.9, 0.1, 1e-3)), ("Adam", (0.01, (0.8, 0.9), 1e-6, 0.1))]
)
def test_positional_arguments_have_pytorchs_order(name, given):
    found = []
    for lib in (ours, theirs):
        p = lib.nn.Parameter(lib.leaf(normal(1, 4)).detach())
        optimizer = getattr(lib.top.optim, name)([p], *given)
        for _ in range(3):
            optimizer.zero_grad()
            (p * p * p).sum().backward()
            optimizer.step()
        found.append({"p": lib.array(p)})
    compare(*found)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_float32_parameters_stay_float32(name):
    for lib in (ours, theirs):
        p = lib.nn.Parameter(lib.leaf(normal(1, 4).astype(np.float32)).detach())
        optimizer = getattr(lib.top.optim, name)([p], lr=0.1, weight_decay=0.1)
        for _ in range(2):
            (p * p).sum().backward()
            optimizer.step()
        assert lib.array(p).dtype == lib.array(p.grad).dtype == np.float32


# ---- schedules ----------------------------------------------------------------------------------


def rates(lib, name, options, figures=None):
    """The learning rate in each epoch."""
    p = lib.nn.Parameter(lib.leaf(normal(1, 2)).detach())
    optimizer = lib.top.optim.SGD([p], lr=0.5)
    schedule = getattr(lib.top.optim.lr_scheduler, name)(optimizer, **options)
    found = []
    for epoch in range(STEPS):
        optimizer.step()
        found.append(optimizer.lr if lib is ours else optimizer.param_groups[0]["lr"])
        schedule.step(*([] if figures is None else [figures[epoch]]))
    return {"rates": np.array(found)}


def same_rates(name, options, figures=None):
    compare(rates(ours, name, options, figures), rates(theirs, name, options, figures))


@cases(30)
@given(st.integers(1, 25), st.sampled_from([0.1, 0.5, 1.0]))
def test_step_schedule(step_size, gamma):
    same_rates("StepLR", {"step_size": step_size, "gamma": gamma})


@cases(30)
@given(st.integers(1, 25), st.sampled_from([0.0, 0.01, 0.4]))
def test_cosine_schedule_also_past_its_end(epochs, eta_min):
    same_rates("CosineAnnealingLR", {"T_max": epochs, "eta_min": eta_min})


@cases(100)
@given(
    st.fixed_dictionaries(
        {"patience": st.integers(0, 4)},
        optional={
            "mode": st.sampled_from(["min", "max"]),
            "factor": st.sampled_from([0.1, 0.5]),
            "threshold": st.sampled_from([1e-4, 0.1, 0.0]),
            "cooldown": st.integers(0, 3),
            "min_lr": st.sampled_from([1e-6, 0.01]),
        },
    ),
    st.lists(st.integers(-3, 12).map(lambda n: n / 10), min_size=STEPS, max_size=STEPS),
)
def test_reduction_on_a_plateau(options, figures):
    # PyTorch lets the rate be once the reduction would be less than its `eps`, 1e-8
    same_rates("ReduceLROnPlateau", {"min_lr": 1e-7, **options}, figures)
