"""Everything there is a derivative of, on CuPy's arrays as on NumPy's: results, first and second
derivatives, and that no array of the one becomes one of the other on the way.
"""

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import tinycnn as tc
from tinycnn import Tensor, kernels, models, nn
from tinycnn.gradcheck import gradcheck
from tinycnn.nn import Module
from tinycnn.optim import SGD
from tinycnn.proof.cases import OPERATIONS
from tinycnn.proof.functions import FUNCTIONS
from tinycnn.proof.inputs import Inputs
from tinycnn.proof.subjects import OWN_KERNELS, SUBJECTS, drawn

from .device import counted, cupy_or_skip, emulated, there

cupy = cupy_or_skip()
pytestmark = pytest.mark.gpu
only_emulated = pytest.mark.skipif(not emulated(cupy), reason="a real device does not count")
TOLERANCE = {"float64": 1e-11, "float32": 3e-5}
ELSEWHERE = {"transfer._to"}  # a move to the CPU
CHECKED = {*OPERATIONS, *FUNCTIONS} - ELSEWHERE
EVERYWHERE = [
    *(("reference", name) for name in SUBJECTS if name not in ELSEWHERE),
    *(("cuda", name) for name in SUBJECTS if name in OWN_KERNELS - ELSEWHERE),
]


def is_differentiated(value):
    return isinstance(value, np.ndarray | cupy.ndarray) and value.dtype.kind == "f"


def tensors(result):
    """The results as a list."""
    return [result] if isinstance(result, Tensor) else list(result)


def evaluated(function, arguments, cotangents, twice):
    """Results, then first and perhaps second derivatives, as arrays."""
    tc.manual_seed(0)
    values = [Tensor(v, requires_grad=True) if is_differentiated(v) else v for v in arguments]
    inputs = [v for v in values if isinstance(v, Tensor) and v.requires_grad]
    if isinstance(function, Module):
        inputs += function.parameters()
    made = tensors(function(*values))
    outputs = [y for y in made if y.requires_grad]
    g = [cotangents(y) for y in outputs]
    found = tc.grad(outputs, inputs, g, create_graph=twice, allow_unused=True) if outputs else []
    second = ()
    # drawn for each, since to a fused kernel a gradient may be constant that is not one by one
    pairs = [(d, cotangents(d)) for d in found if d is not None] if twice else []
    if again := [pair for pair in pairs if pair[0].requires_grad]:
        first, g = zip(*again, strict=True)
        second = tc.grad(first, inputs, g, allow_unused=True)
    return [None if t is None else t.array for t in (*made, *found, *second)]


def cotangents():
    """The same random numbers on both sides: a function that gives those for a tensor."""
    rng = np.random.default_rng(0)

    def of(y):
        g = rng.standard_normal(y.shape).astype(y.dtype)
        return Tensor(there(cupy, g) if isinstance(y.array, cupy.ndarray) else g)

    return of


def assert_same(theirs, ours):
    assert len(theirs) == len(ours)
    floats = [b[np.isfinite(b)] for b in ours if b is not None and b.dtype.kind == "f"]
    largest = max((np.abs(b).max(initial=0) for b in floats), default=0)
    for a, b in zip(theirs, ours, strict=True):
        if b is None:
            assert a is None
            continue
        assert type(a) is cupy.ndarray
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        if b.dtype.kind == "f":
            # where large numbers cancel, equal within what rounding left of those
            rounding = 64 * np.finfo(b.dtype).eps * largest
            np.testing.assert_allclose(a.get(), b, TOLERANCE[b.dtype.name], rounding)
        else:
            np.testing.assert_array_equal(a.get(), b)


def assert_same_on_both(backend, name, data, twice):
    function, arguments = drawn(name, Inputs(data))
    with kernels.use(backend):
        theirs = evaluated(there(cupy, function), there(cupy, arguments), cotangents(), twice)
    with kernels.use("reference"):
        ours = evaluated(function, arguments, cotangents(), twice)
    assert_same(theirs, ours)


def examples(count):
    """So many, always the same; a failure is not shrunk: every new shape costs a compilation."""
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
    )


@pytest.mark.parametrize(("backend", "name"), EVERYWHERE)
@examples(5)
@given(data=st.data())
def test_an_operation_and_its_derivative_give_the_same_on_both(backend, name, data):
    assert_same_on_both(backend, name, data, twice=False)


@pytest.mark.parametrize(("backend", "name"), EVERYWHERE)
@examples(2)
@given(data=st.data())
def test_a_second_derivative_is_the_same_on_both(backend, name, data):
    assert_same_on_both(backend, name, data, twice=True)


WITHOUT_DERIVATIVE = {
    "eq": lambda x: x == x.flip(0),
    "ne": lambda x: x != x.flip(0),
    "lt": lambda x: x < x.flip(0),
    "ge": lambda x: x >= x.flip(0),
    "logical_and": lambda x: tc.logical_and(x > 0, x < 1),
    "logical_not": tc.logical_not,
    "bitwise": lambda x: (x > 0) & ~(x > 1) | (x < -1),
    "isnan": tc.isnan,
    "isfinite": tc.isfinite,
    "argmax": tc.argmax,
    "argmin": lambda x: tc.argmin(x, 1, True),
    "all": tc.all,
    "any": lambda x: tc.any(x, 1),
    "max": lambda x: x.max(1).indices,
    "zeros_like": tc.zeros_like,
    "to the CPU and back": lambda x: x.to("cpu").to(x.device),
    "prod of nothing": lambda x: x[:0].prod(0),
    "in place": lambda x: x.clone().add_(1).mul_(x).copy_(2 * x),
}


@pytest.mark.parametrize("name", WITHOUT_DERIVATIVE)
def test_what_has_no_derivative_is_the_same_on_both(name):
    x = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    function = WITHOUT_DERIVATIVE[name]
    assert_same([function(Tensor(cupy.asarray(x))).array], [function(Tensor(x)).array])


@pytest.mark.parametrize("name", [n for n in SUBJECTS if n in OWN_KERNELS & CHECKED])
@examples(2)
@given(data=st.data())
def test_a_derivative_on_the_device_agrees_with_an_independent_one(name, data):
    function, arguments = drawn(name, Inputs(data))
    settings = [there(cupy, v) for v in arguments]
    places = [i for i, v in enumerate(arguments) if is_differentiated(v)]

    def on_the_device(*values):
        given = list(settings)
        for place, value in zip(places, values, strict=True):
            given[place] = value.to("cuda")
        return function(*given).to("cpu")

    # complex numbers, where the derivative is found by a complex step, are the reference's
    report = gradcheck(on_the_device, tuple(arguments[i] for i in places))
    assert report.ok, report


@only_emulated
def test_cross_entropy_and_indexing_do_not_wait_for_the_device():
    z = Tensor(cupy.asarray(np.eye(4, 3, dtype=np.float32)), requires_grad=True)
    target, rows = (Tensor(cupy.asarray(np.array(n))) for n in ([0, 2, 1, 0], [3, 0, 0]))
    for _ in range(2):  # the first compiles
        with counted() as done:
            (
                tc.cross_entropy(z, target)
                + z[rows, 1:].max()
                + tc.gather(z, 1, z.argmax(1, True)).sum()
            ).backward()
    assert not any(done[what] for what in ("h2d", "d2h", "syncs"))


def test_an_array_gets_the_backend_of_its_library_or_the_reference():
    def named(x):
        return kernels.of(x).__name__.rpartition(".")[2]

    single, whole = cupy.ones(2, np.float32), cupy.ones(2, np.int64)
    assert (named(single), named(whole), named(np.ones(2))) == ("cuda", "reference", "cpu")
    with kernels.use("reference"):
        assert (named(single), named(np.ones(2))) == ("reference", "reference")
        with kernels.use("cpu"):
            assert (named(single), named(np.ones(2))) == ("cuda", "cpu")
    with kernels.use("cuda"):
        assert (named(single), named(np.ones(2))) == ("cuda", "cpu")


HERE, THERE = Tensor(np.ones((3, 3), np.float32)), Tensor(cupy.ones((3, 3), np.float32))
ROWS = Tensor(np.array([0, 2, 1]))
NORM = [Tensor(np.ones(3, np.float32))] * 4
MIXED = {
    "add": lambda: THERE + HERE,
    "matmul": lambda: THERE @ HERE,
    "where": lambda: tc.where(HERE > 0, THERE, 0.0),
    "index": lambda: THERE[ROWS],
    "index by NumPy's": lambda: THERE[ROWS.array],
    "gather": lambda: tc.gather(THERE, 1, ROWS.unsqueeze(1)),
    "cross_entropy": lambda: tc.cross_entropy(THERE, ROWS),
    "copy_": lambda: THERE.copy_(HERE),
    "copy_ to the CPU": lambda: HERE.clone().copy_(THERE),
    "setitem": lambda: THERE.__setitem__(0, HERE[0]),
    "batch_norm": lambda: tc.batch_norm(THERE.reshape(3, 3, 1, 1), *NORM, training=True),
    "batch_norm in use": lambda: tc.batch_norm(THERE.reshape(3, 3, 1, 1), *NORM),
    "backward": lambda: (Tensor(THERE.array, requires_grad=True) * 2).backward(HERE),
}


@pytest.mark.parametrize("name", MIXED)
def test_arrays_on_two_devices_do_not_mix_and_the_error_names_both(name):
    with pytest.raises(TypeError, match="its arrays are on cpu and cuda:0"):
        MIXED[name]()


def batches(count):
    """Patches of the exercise's size, and which of two classes each is of."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        x, y = rng.normal(size=(8, 1, 60, 60)), rng.integers(0, 2, (8, 1))
        yield x.astype(np.float32), y.astype(np.float32)


def steps(model, move):
    """A function that makes the next training step, and gives its loss; on the device already."""
    optimizer = SGD(model.parameters(), 0.05, momentum=0.9, weight_decay=1e-4)
    loss_of = nn.BCEWithLogitsLoss()
    ready = [(Tensor(move(x)), Tensor(move(y))) for x, y in batches(3)]

    def step():
        x, y = ready.pop(0)
        optimizer.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def exercise():
    tc.manual_seed(0)
    return models.build("exercise", (1, 60, 60)).train()


@pytest.mark.parametrize("backend", ["reference", "cuda"])
def test_training_the_exercises_network_is_the_same_on_both(backend):
    ours, theirs = exercise(), exercise().to("cuda")
    tc.manual_seed(1)
    with kernels.use("reference"):
        step = steps(ours, np.asarray)
        losses = [step().item() for _ in range(3)]
    tc.manual_seed(1)
    with kernels.use(backend):
        step = steps(theirs, cupy.asarray)
        np.testing.assert_allclose([step().item() for _ in range(3)], losses, 1e-5)
    for (name, ours_), theirs_ in zip(
        ours.state_dict().items(), theirs.state_dict().values(), strict=True
    ):
        assert type(theirs_.array) is cupy.ndarray
        np.testing.assert_allclose(
            theirs_.array.get(), ours_.array, 1e-4, 1e-6, err_msg=f"{backend}: {name}"
        )


@only_emulated
@pytest.mark.parametrize("backend", ["reference", "cuda"])
def test_nothing_crosses_between_host_and_device_in_a_training_step(backend):
    with kernels.use(backend):
        step = steps(exercise().to("cuda"), cupy.asarray)
        step()  # the first one makes the optimizer's memory
        with counted() as done:
            step()
    if backend == "reference":  # it asks NumPy for the elements that dropout keeps
        assert (done["h2d"], done["h2d_bytes"]) == (1, 8 * 10)
        done["h2d"] = 0
    assert (done["h2d"], done["d2h"], done["syncs"]) == (0, 0, 0)
