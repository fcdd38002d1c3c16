"""What happens to numbers: no promotion, no lost NaN, and digits where a derivative is tiny."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinycnn as tc
import tinycnn.nn.functional as F
from tinycnn import kernels
from tinycnn.proof.cases import OPERATIONS
from tinycnn.proof.functions import FUNCTIONS
from tinycnn.proof.inputs import Inputs

RULE = settings(deadline=None, derandomize=True, max_examples=5, database=None)


def single(value, wanted=True):
    """A float64 array as a float32 tensor; anything else as it is."""
    if isinstance(value, np.ndarray) and value.dtype == np.float64:
        return tc.tensor(value.astype(np.float32), requires_grad=wanted)
    return value


def check_all_single(function, args):
    made = function(*args)
    for out in made if isinstance(made, tuple) else (made,):
        assert out.dtype == np.float32
        out.backward(tc.tensor(np.ones(out.shape), dtype=np.float32), retain_graph=True)
    inputs = [a for a in args if isinstance(a, tc.Tensor) and a.requires_grad]
    assert {a.grad.dtype for a in inputs} == {np.dtype(np.float32)}


@pytest.mark.parametrize("name", sorted(set(OPERATIONS) - {"arithmetic.cast"}))
@given(data=st.data())
@RULE
def test_an_operation_on_float32_gives_float32_and_float32_gradients(name, data):
    function, case = OPERATIONS[name]
    args = case(Inputs(data))
    if not any(isinstance(args[i], np.ndarray) for rule in function.rules for i in rule.of):
        return
    wanted = {i for rule in function.rules for i in rule.of}
    check_all_single(function, [single(a, i in wanted) for i, a in enumerate(args)])


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - {"batch_norm", "batch_norm in use"}))
@given(data=st.data())
@RULE
def test_a_function_on_float32_gives_float32_and_float32_gradients(name, data):
    function, values = FUNCTIONS[name](Inputs(data))
    check_all_single(function, [single(v) for v in values])


@pytest.mark.parametrize("training", [True, False])
def test_batch_normalisation_stays_in_float32(training):
    x = tc.tensor(np.ones((2, 3, 2, 2)), dtype=np.float32, requires_grad=True)
    weight, bias = tc.ones(3, requires_grad=True), tc.zeros(3, requires_grad=True)
    out = tc.batch_norm(x, tc.zeros(3), tc.ones(3), weight, bias, training)
    out.sum().backward()
    assert {t.dtype for t in (out, x.grad, weight.grad, bias.grad)} == {np.dtype(np.float32)}


ARITHMETIC = ["add", "sub", "mul", "div", "pow", "maximum", "minimum"]
OTHERS = [2, 2.5, np.float64(2.5), np.int64(2), tc.tensor([1, 2]), tc.tensor([True, False])]


@pytest.mark.parametrize("name", ARITHMETIC)
@pytest.mark.parametrize("other", OTHERS, ids=repr)
@pytest.mark.parametrize("reflected", [False, True])
def test_arithmetic_with_numbers_and_integers_stays_in_float32(name, other, reflected):
    if name == "div" and not reflected and getattr(other, "dtype", None) == np.bool_:
        other = tc.tensor([True, True])  # nothing is divided by 0
    x = tc.tensor([1.5, 0.5], requires_grad=True)
    out = getattr(tc, name)(*((other, x) if reflected else (x, other)))
    assert out.dtype == np.float32
    out.sum().backward()
    assert x.grad.dtype == np.float32


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda x: tc.leaky_relu(x, np.float64(0.1)), id="leaky_relu slope"),
        pytest.param(lambda x: tc.elu(x, np.float64(0.1)), id="elu alpha"),
        pytest.param(lambda x: tc.softplus(x, np.float64(2)), id="softplus beta"),
        pytest.param(lambda x: tc.clamp(x, np.float64(0), np.float64(1)), id="clamp bounds"),
        pytest.param(lambda x: tc.where(x > 0, x, np.float64(3)), id="where number"),
        pytest.param(lambda x: tc.where(x > 0, x, tc.tensor([1, 2])), id="where integers"),
        pytest.param(lambda x: tc.pad(x[None], (1, 1), value=np.float64(1)), id="pad value"),
        pytest.param(lambda x: tc.dropout(x, np.float64(0.5)), id="dropout p"),
        pytest.param(lambda x: tc.cat([x, tc.tensor([1, 2])]), id="cat integers"),
        pytest.param(lambda x: tc.stack([tc.tensor([1, 2]), x]), id="stack integers"),
        pytest.param(lambda x: F.mse_loss(x, tc.tensor([1, 2])), id="mse integers"),
        pytest.param(
            lambda x: F.binary_cross_entropy(x.sigmoid(), tc.tensor([1, 0])), id="bce integers"
        ),
        pytest.param(
            lambda x: F.binary_cross_entropy_with_logits(x, tc.tensor([1, 0])),
            id="bce with logits integers",
        ),
        pytest.param(
            lambda x: tc.batch_norm(
                x.reshape(2, 1, 1, 1),
                *(tc.zeros(1), tc.ones(1), tc.ones(1), tc.zeros(1)),
                True,
                np.float64(0.1),
                np.float64(1e-5),
            ),
            id="batch_norm momentum and eps",
        ),
    ],
)
def test_a_setting_or_an_integer_operand_does_not_promote_float32(call):
    x = tc.tensor([1.0, -2.0], requires_grad=True)
    out = call(x)
    assert out.dtype == np.float32
    out.sum().backward()
    assert x.grad.dtype == np.float32


def test_integers_become_float32_where_a_result_is_no_integer():
    n = tc.tensor([1, 2])
    for out in (n / 2, n / n, n * 0.5, 2 / n, n + 0.5):
        assert out.dtype == np.float32
    assert (n + n).dtype == (n * 2).dtype == (-n).dtype == np.int64


# ---- NaN and infinity ----

each_backend = pytest.mark.parametrize("backend", ["reference", "cpu"])
IMAGE = np.ones((1, 2, 4, 4), np.float32)
KEEPS = {
    "relu": tc.relu,
    "leaky_relu": tc.leaky_relu,
    "elu": tc.elu,
    "sigmoid": tc.sigmoid,
    "tanh": tc.tanh,
    "softplus": tc.softplus,
    "abs": tc.abs,
    "clamp": lambda x: tc.clamp(x, -1, 1),
    "maximum": lambda x: tc.maximum(x, 0.0),
    "minimum": lambda x: tc.minimum(x, 0.0),
    "softmax": lambda x: tc.softmax(x, 1),
    "log_softmax": lambda x: tc.log_softmax(x, 1),
    "max_pool2d": lambda x: tc.max_pool2d(x, 2),
    "max_pool2d padded": lambda x: tc.max_pool2d(x, 3, 1, 1),
    "avg_pool2d": lambda x: tc.avg_pool2d(x, 2),
    "adaptive_max_pool2d": lambda x: tc.adaptive_max_pool2d(x, 3),
    "global_avg_pool2d": tc.global_avg_pool2d,
    "amax": tc.amax,
    "amin": tc.amin,
    "max": lambda x: tc.max(x, 1).values,
    "maxout": lambda x: tc.maxout(x, 2),
    "conv2d": lambda x: tc.conv2d(x, tc.zeros(1, 2, 3, 3)),
    "batch_norm": lambda x: tc.batch_norm(
        x, tc.zeros(2), tc.ones(2), tc.ones(2), tc.zeros(2), True
    ),
    "dropout": lambda x: tc.dropout(x, 0.99, generator=np.random.default_rng(0)),
    "pad": lambda x: tc.pad(x, (1, 1)),
    "logsumexp": lambda x: tc.logsumexp(x, 1),
    "prod": tc.prod,
    "var": tc.var,
}


@pytest.mark.parametrize("name", KEEPS)
@pytest.mark.parametrize("at", [(0, 0, 0, 0), (0, 1, 2, 3), (0, 0, 3, 3)])
@each_backend
def test_a_nan_passes_through(name, at, backend):
    image = IMAGE.copy()
    image[at] = math.nan
    with kernels.use(backend):
        assert np.isnan(KEEPS[name](tc.tensor(image)).array).any()


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu", "softplus", "abs", "max_pool2d"])
@each_backend
def test_an_infinity_passes_through(name, backend):
    image = IMAGE.copy()
    image[0, 1, 2, 3] = math.inf
    with kernels.use(backend):
        assert np.isposinf(KEEPS[name](tc.tensor(image)).array).sum() == 1


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu", "sigmoid", "max_pool2d", "conv2d"])
@each_backend
def test_a_cotangent_of_nan_reaches_the_input(name, backend):
    x = tc.tensor(IMAGE, requires_grad=True)
    with kernels.use(backend):
        out = KEEPS[name](x)
        g = np.ones(out.shape, np.float32)
        g[0, 0, 0, 0] = math.nan
        out.backward(tc.tensor(g))
    assert np.isnan(x.grad.array).any()


@pytest.mark.parametrize("extreme", [tc.maximum, tc.minimum])
def test_a_nan_that_maximum_passes_on_gets_the_gradient(extreme):
    x = tc.tensor([math.nan], requires_grad=True)
    extreme(x, tc.tensor([1.0])).backward()
    assert x.grad.item() != 0


def test_the_gradient_of_amax_of_a_nan_does_not_vanish():
    x = tc.tensor([math.nan, 1.0], requires_grad=True)
    with np.errstate(all="ignore"):
        tc.amax(x).backward()
    assert np.isnan(x.grad.array).any() or x.grad.array.any()


# ---- ties ----


def test_max_pooling_gives_its_gradient_to_the_first_maximum_in_row_major_order():
    x = tc.tensor([[[[1.0, 3.0], [3.0, 3.0]]]], requires_grad=True)
    tc.max_pool2d(x, 2).sum().backward()
    np.testing.assert_array_equal(x.grad.array, [[[[0, 1], [0, 0]]]])


def test_equal_extremes_share_the_gradient():
    for extreme in (tc.amax, tc.amin):
        x = tc.tensor([2.0, 2.0, 2.0, 2.0], requires_grad=True)
        extreme(x).backward()
        np.testing.assert_array_equal(x.grad.array, [0.25] * 4)
    for extreme in (tc.maximum, tc.minimum):
        x, y = (tc.tensor([2.0], requires_grad=True) for _ in range(2))
        extreme(x, y).backward()
        assert x.grad.item() == y.grad.item() == 0.5


def test_a_derivative_at_a_kink_is_the_one_documented():
    for function, expected in ((tc.relu, 0), (tc.abs, 0), (lambda x: tc.clamp(x, 0, 1), 1)):
        x = tc.tensor([0.0], requires_grad=True)
        function(x).backward()
        assert x.grad.item() == expected


# ---- tiny derivatives, in float32 against the truth in float64 ----


def gradient_of(function, values):
    x = tc.tensor(values, dtype=np.float32, requires_grad=True)
    function(x).sum().backward()
    return x.grad.array.astype(np.float64), x.array.astype(np.float64)


def test_the_derivative_of_sigmoid_keeps_its_digits_far_out():
    found, x = gradient_of(tc.sigmoid, np.linspace(-80, 80, 321))
    e = np.exp(-abs(x))
    np.testing.assert_allclose(found, e / (1 + e) ** 2, rtol=1e-6)


def test_the_derivative_of_tanh_keeps_its_digits_far_out():
    found, x = gradient_of(tc.tanh, np.linspace(-40, 40, 161))
    np.testing.assert_allclose(found, 1 / np.cosh(x) ** 2, rtol=1e-6)


def test_the_derivatives_of_elu_and_softplus_keep_their_digits_far_out():
    found, x = gradient_of(tc.elu, np.linspace(-80, -0.1, 100))
    np.testing.assert_allclose(found, np.exp(x), rtol=1e-6)
    found, x = gradient_of(tc.softplus, np.linspace(-80, 80, 161))
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-x)), rtol=1e-6)


def true_probabilities(logits):
    """Softmax of each row, and 1 − p of each, without cancellation, in float64."""
    e = np.exp(logits - logits.max(1, keepdims=True))
    others = e @ (1 - np.eye(e.shape[1]))
    return e / e.sum(1, keepdims=True), others / e.sum(1, keepdims=True)


# On a grid on which float32 subtracts exactly: a rounded difference of logits would cost the digits
# of the probability before the derivative is reached.
SURE = np.array([*([s, 0.25, -0.5] for s in (1, 5, 10, 20, 40)), [0.25, 30, 18]])


@pytest.mark.parametrize("target", [0, 1, 2])
def test_the_gradient_of_cross_entropy_keeps_its_digits_where_a_probability_is_nearly_one(target):
    targets = tc.tensor(np.full(len(SURE), target))
    found, z = gradient_of(lambda x: tc.cross_entropy(x, targets, "sum"), SURE)
    p, rest = true_probabilities(z)
    truth = p.copy()
    truth[:, target] = -rest[:, target]
    np.testing.assert_allclose(found, truth, rtol=1e-6)


@pytest.mark.parametrize("i", [0, 1, 2])
def test_softmax_and_its_logarithm_keep_their_digits_where_a_probability_is_nearly_one(i):
    found, z = gradient_of(lambda x: tc.softmax(x, 1)[:, i], SURE)
    p, rest = true_probabilities(z)
    truth = -p * p[:, [i]]
    truth[:, i] = p[:, i] * rest[:, i]
    np.testing.assert_allclose(found, truth, rtol=3e-6)
    loss = -tc.log_softmax(tc.tensor(z, dtype=np.float32), 1)[:, i].array.astype(np.float64)
    expected = [
        -np.log1p(-r) if r < 0.5 else -np.log(q) for q, r in zip(p[:, i], rest[:, i], strict=True)
    ]
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


@pytest.mark.parametrize("target", [0.0, 1.0])
def test_binary_cross_entropy_with_logits_keeps_its_digits_however_sure(target):
    z = np.linspace(-60, 60, 121)
    targets = tc.tensor(np.full(121, target), dtype=np.float32)
    found, x = gradient_of(lambda v: F.binary_cross_entropy_with_logits(v, targets, "sum"), z)
    sign = 1 - 2 * target
    np.testing.assert_allclose(found, sign / (1 + np.exp(-sign * x)), rtol=1e-6)
    loss = F.binary_cross_entropy_with_logits(tc.tensor(x, dtype=np.float32), targets, "none")
    np.testing.assert_allclose(loss.array, np.logaddexp(0, sign * x), rtol=1e-6)
