"""float32: kept throughout, and no less exact than PyTorch's."""

import numpy as np
import pytest

from .harness import both_backends, measure, normal, ours, theirs, using
from .twins import measure_model, state, translated, twins

pytestmark = [pytest.mark.parity, both_backends]


def logits_loss(lib, x):
    target = lib.leaf((normal(9, *tuple(x.shape)) > 0).astype(np.float32)).detach()
    return lib.binary_cross_entropy_with_logits(x, target)


def normalize(lib, x, weight, bias):
    running = [
        lib.leaf(np.zeros(4, np.float32)).detach(),
        lib.leaf(np.ones(4, np.float32)).detach(),
    ]
    return lib.batch_norm(x, *running, weight, bias, True)


# name: the function, its inputs
OPERATIONS = {
    "conv2d": (
        lambda lib, x, w, b: lib.conv2d(x, w, b, padding=1),
        (normal(1, 4, 8, 30, 30), normal(2, 16, 8, 3, 3), normal(3, 16)),
    ),
    "conv2d of many channels": (
        lambda lib, x, w: lib.conv2d(x, w, stride=2),
        (normal(1, 2, 128, 9, 9), normal(2, 32, 128, 3, 3)),
    ),
    "conv2d of one channel": (
        lambda lib, x, w, b: lib.conv2d(x, w, b, padding="same"),
        (normal(1, 8, 1, 60, 60), normal(2, 8, 1, 3, 3), normal(3, 8)),
    ),
    "batch_norm": (normalize, (normal(1, 8, 4, 30, 30), normal(2, 4), normal(3, 4))),
    "batch_norm far from 0": (
        normalize,
        (normal(1, 8, 4, 30, 30) + 1000, normal(2, 4), normal(3, 4)),
    ),
    "avg_pool2d": (lambda lib, x: lib.avg_pool2d(x, 3, 2, 1), (normal(1, 3, 4, 31, 31),)),
    "adaptive_avg_pool2d": (
        lambda lib, x: lib.adaptive_avg_pool2d(x, 1),
        (normal(1, 3, 4, 60, 60),),
    ),
    "max_pool2d": (lambda lib, x: lib.max_pool2d(x, 2), (normal(1, 3, 4, 30, 30),)),
    "linear": (
        lambda lib, x, w, b: lib.linear(x, w, b),
        (normal(1, 32, 1568), normal(2, 10, 1568), normal(3, 10)),
    ),
    "matmul": (lambda lib, x, y: x @ y, (normal(1, 3, 40, 200), normal(2, 3, 200, 30))),
    "sum": (lambda lib, x: lib.sum(x * x), (normal(1, 100_000),)),
    "sum over the first axis": (lambda lib, x: lib.sum(x * x, 0), (normal(1, 20_000, 5),)),
    "mean": (lambda lib, x: lib.mean(x, (0, 2, 3)), (normal(1, 8, 4, 60, 60) + 100,)),
    "var": (lambda lib, x: lib.var(x, (0, 2, 3)), (normal(1, 8, 4, 60, 60) + 100,)),
    "sigmoid": (lambda lib, x: lib.sigmoid(x), (10 * normal(1, 1000),)),
    "tanh": (lambda lib, x: lib.tanh(x), (3 * normal(1, 1000),)),
    "elu": (lambda lib, x: lib.elu(x), (3 * normal(1, 1000),)),
    "softplus": (lambda lib, x: lib.softplus(x), (10 * normal(1, 1000),)),
    "exp": (lambda lib, x: lib.exp(x), (normal(1, 1000),)),
    "power": (lambda lib, x: (x * x + 1) ** 1.5, (normal(1, 1000),)),
    "softmax": (lambda lib, x: lib.softmax(x, 1), (10 * normal(1, 50, 20),)),
    "log_softmax": (lambda lib, x: lib.log_softmax(x, 1), (10 * normal(1, 50, 20),)),
    "logsumexp": (lambda lib, x: lib.logsumexp(x, 1), (10 * normal(1, 50, 20),)),
    "binary cross-entropy": (logits_loss, (10 * normal(1, 500),)),
    "a number beside it": (lambda lib, x: 3 - 0.1 * x / 7 + x**2 + 2**x, (normal(1, 100),)),
}


def error(found, exact):
    """The relative error in the norm, but at least half a unit in the last place."""
    assert found.dtype == np.float32
    size = np.linalg.norm(exact.astype(np.float64))
    if not size:
        return 0.0
    return max(np.linalg.norm(found.astype(np.float64) - exact) / size, 2.0**-24)


def no_less_exact(found, expected, exact):
    """Assert float32 everywhere, and errors not larger than a few times PyTorch's."""
    assert found.keys() == expected.keys() == exact.keys()
    for name, value in exact.items():
        if value.dtype.kind != "f":
            continue
        mine, other = error(found[name], value), error(expected[name], value)
        assert mine <= 4 * other, f"{name}: relative error {mine:.1e}, PyTorch {other:.1e}"


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_in_float32(backend, name):
    function, arrays = OPERATIONS[name]
    arrays = [array.astype(np.float32) for array in arrays]
    wide = [array.astype(np.float64) for array in arrays]
    with using(backend):
        found, expected = (measure(lib, function, arrays, 1, 1) for lib in (ours, theirs))
        # the cotangents too must be those that float32 has
        exact = measure(Wide(), function, wide, 1, 1)
    no_less_exact(found, expected, exact)


class Wide(type(theirs)):
    """PyTorch in float64, on numbers that float32 has."""

    def __init__(self):
        super().__init__(theirs.top)

    def leaf(self, array):
        if array.dtype.kind == "f":
            array = array.astype(np.float32).astype(np.float64)
        return super().leaf(array)


def test_the_network_of_the_exercise_in_float32(backend):
    from tinycnn.models import build

    ours.top.manual_seed(3)
    model = build("exercise", (1, 60, 60))
    other, exact = translated(model), translated(model).double()
    for copy in (other, exact):
        copy.load_state_dict({k: theirs.leaf(v).detach() for k, v in state(ours, model).items()})
    x = normal(1, 16, 1, 60, 60).astype(np.float32)
    for net in (model, other, exact):
        net[14].p = 0.0  # dropout
    with using(backend):
        no_less_exact(
            measure_model(ours, model, x, 1),
            measure_model(theirs, other, x, 1),
            measure_model(Wide(), exact, x.astype(np.float64), 1),
        )


def test_double_and_to_change_parameters_and_buffers_alike(backend):
    mine, other = twins(
        lambda lib: lib.nn.Sequential(lib.nn.Conv2d(1, 2, 3), lib.nn.BatchNorm2d(2))
    )
    with using(backend):
        for dtype in ("float64", "float32"):
            kinds = [
                [array.dtype for array in state(lib, model.to(getattr(lib.top, dtype))).values()]
                for lib, model in ((ours, mine), (theirs, other))
            ]
            assert kinds[0] == kinds[1]
