"""The checker itself: what it proves, what it refuses, and what it says."""

import warnings

import numpy as np
import pytest

import tinycnn as tc
from tinycnn import nn
from tinycnn.function import differentiable
from tinycnn.gradcheck import assert_gradients, gradcheck, gradgradcheck, pair

RNG = np.random.default_rng(5)


def normal(*shape):
    return RNG.standard_normal(shape)


def troubles(report):
    return {finding.trouble for finding in report.findings}


def the(report):
    (finding,) = report.findings
    return finding


# ---- what is right ----


def test_right_gradients_of_tensors_pairs_and_second_order_pass_to_rounding():
    x, w = normal(3, 4), normal(4, 2)
    reports = [
        gradcheck(lambda x, w: (x @ w).tanh(), (x, w)),
        gradgradcheck(lambda x, w: (x @ w).tanh(), (x, w)),
        pair(lambda x, w: np.tanh(x @ w), matmul_tanh_backward, (x, w)),
    ]
    for report in reports:
        assert report.ok, report
        assert (report.method, report.kinks, report.unresolved) == ("complex step", 0, 0)
        assert report.worst < 1e-14
        assert report.compared > 20


def matmul_tanh_backward(g, x, w):
    inner = g / np.cosh(x @ w) ** 2
    return inner @ w.T, x.T @ inner


@pytest.mark.parametrize("factor", [1, 1 + 1e-10])
def test_a_gradient_near_1e_30_is_checked_to_ten_digits(factor):
    x = np.array([70.0, 69.0])
    report = pair(
        lambda x: 1 / (1 + np.exp(x)) * np.exp(-x / 100),
        lambda g, x: factor * g * exact(x),
        x,
    )
    assert abs(exact(x)).max() < 1e-29
    assert report.ok == (factor == 1)
    if factor != 1:
        assert "factor" in the(report).looks_like


def exact(x):
    s = 1 / (1 + np.exp(x))
    return np.exp(-x / 100) * (-s * np.exp(x) * s - s / 100)


def test_a_vanished_gradient_through_thirty_sigmoid_layers_is_checked():
    weights = [0.6 * normal(4, 4) for _ in range(30)]

    def network(x, *weights):
        for w in weights:
            x = tc.sigmoid(x @ w)
        return x

    def backward(g, x, *weights, factor=1.0):
        tensors = [tc.tensor(a, requires_grad=True) for a in (x, *weights)]
        network(*tensors).backward(tc.tensor(g))
        first, *rest = (t.grad.array.copy() for t in tensors)
        return factor * first, *rest

    def forward(*arrays):
        return network(*map(tc.tensor, arrays)).array

    inputs = (normal(2, 4), *weights)
    assert abs(backward(np.ones((2, 4)), *inputs)[0]).max() < 1e-18
    assert pair(forward, backward, inputs).ok
    wrong = pair(forward, lambda *a: backward(*a, factor=1 + 1e-9), inputs)
    assert (the(wrong).input, the(wrong).trouble) == ("input 0", "wrong gradient")


def test_a_function_that_drops_imaginary_parts_is_differentiated_by_differences():
    for drops in (lambda x: np.abs(x) * x, lambda x: x.astype(np.float64) ** 2 * np.sign(x)):
        report = pair(drops, lambda g, x: 2 * abs(x) * g, normal(5))
        assert report.ok, report
        assert report.method == "differences"
        assert report.worst < 1e-9
        assert not pair(drops, lambda g, x: 2.001 * abs(x) * g, normal(5)).ok


def test_the_method_can_be_chosen_and_one_that_cannot_be_had_is_refused():
    def square(x):
        return x**2

    assert gradcheck(square, normal(3), method="differences").method == "differences"
    with pytest.raises(ValueError, match="no complex step here: "):
        pair(np.abs, lambda g, x: g * np.sign(x), normal(3), method="complex step")
    with pytest.raises(ValueError, match="no method 'guess'; there are complex step, differences"):
        gradcheck(square, normal(3), method="guess")


@pytest.mark.parametrize("small", [1e-9, 1e-20, 1e-200, 5e-324])
def test_differences_stay_near_the_point(small):
    report = pair(np.abs, lambda g, x: g * np.sign(x), np.array([-6.47e10, small, 1.0]))
    assert report.ok, report


def test_a_function_far_from_zero_that_changes_fast_is_checked_by_a_complex_step():
    def normalized(x):
        mean = x.mean(0)
        return (x - mean) / np.sqrt(((x - mean) ** 2).mean(0) + 1e-5)

    def backward(g, x):
        scale = 1 / np.sqrt(x.var(0) + 1e-5)
        x_hat = (x - x.mean(0)) * scale
        return scale * (g - g.mean(0) - x_hat * (g * x_hat).mean(0))

    for far in (0, 1e4, 1e6):
        report = pair(normalized, backward, far + np.random.default_rng(0).normal(size=(6, 3)))
        assert report.ok, report
        assert report.method == "complex step"


def test_where_a_function_ends_beside_the_point_it_is_still_checked():
    assert pair(lambda x: x**1.5, lambda g, x: g * 1.5 * np.sqrt(x), np.array([0.0, 1])).ok
    near = np.array([0.5, 1 - 1e-12])
    report = pair(np.arcsin, lambda g, x: g / np.sqrt((1 - x) * (1 + x)), near)
    assert report.ok, report


def test_differences_say_what_they_cannot_resolve():
    def vanishing(x):
        return 1 + 1e-25 * np.abs(x)

    report = pair(vanishing, lambda g, x: g * 1e-25 * np.sign(x), normal(3))
    assert report.ok
    assert report.unresolved > 0
    assert "could not be resolved" in str(report)


def test_large_inputs_are_checked_along_directions_and_one_wrong_element_is_found(monkeypatch):
    x = normal(40, 50)
    right = pair(np.exp, lambda g, x: g * np.exp(x), x)
    assert right.ok
    assert right.method == "complex step, directions"

    def wrong_in_one(g, x):
        d = g * np.exp(x)
        d[7, 7] *= 1.001
        return d

    assert the(pair(np.exp, wrong_in_one, x)).entries[0].index == (7, 7)
    monkeypatch.setattr("tinycnn.gradcheck.telling.LOOKED_AT", 10)
    assert the(pair(np.exp, wrong_in_one, x)).entries[0].index == (7, 7)
    monkeypatch.undo()
    shown = the(pair(np.exp, lambda g, x: -g * np.exp(x), x))
    assert shown.looks_like == "wrong sign"
    assert len(shown.entries) == 5


def test_what_a_complex_step_cannot_hold_is_not_held_against_the_code():
    report = pair(lambda x: np.exp(-x).sum(), lambda g, x: -g * np.exp(-x), np.array([1.0, 600.0]))
    assert report.ok
    assert report.unresolved > 0


def test_code_that_insists_on_its_dtype_is_differentiated_by_differences():
    def insists(x):
        assert x.dtype == np.float64
        return x**2

    assert pair(insists, lambda g, x: 2 * g * x, normal(3)).method == "differences"


# ---- kinks ----


def relu(x):
    return np.where(x.real > 0, x, 0)


def test_a_kink_is_told_and_any_slope_between_is_right():
    x = np.array([-1.0, 0.0, 2.0])
    for at_zero in (0, 0.3, 1):
        report = pair(relu, lambda g, x, a=at_zero: g * np.where(x == 0, a, x > 0), x)
        assert report.ok, report
        assert report.kinks == 1
        assert "1 on a kink or tie" in str(report)
    for at_zero in (-0.01, 1.01):
        report = pair(relu, lambda g, x, a=at_zero: g * np.where(x == 0, a, x > 0), x)
        assert the(report).looks_like == "right except at ties"
        assert the(report).entries[0].index == (1,)


def test_a_kink_beside_the_point_is_none_of_it():
    assert pair(relu, lambda g, x: g * (x > 0), np.array([1e-3, -1e-3, 5.0])).kinks == 0
    assert gradcheck(tc.relu, np.array([1e-3, -1e-3]), method="differences").ok


def test_a_jump_of_the_first_derivative_is_no_second_one():
    tied = np.array([0.5, 0.5, 1.0, 1.0, 1.0])

    def pooled(x):
        return tc.ops.max_pool2d(x.reshape(1, 1, 1, 5), (1, 3))

    for function in (tc.amax, tc.relu, pooled):
        report = gradgradcheck(function, tied)
        assert report.ok, report
        assert report.worst < 1e-15
    assert gradgradcheck(tc.amax, tied).kinks == 3


@pytest.mark.parametrize(
    ("gradient", "right"),
    [("first", True), ("shared", True), ("each", False), ("none", False)],
)
def test_equal_maxima_share_one_gradient(gradient, right):
    def backward(g, x):
        meets = x == x.max()
        if gradient == "first":
            meets = np.arange(len(x)) == np.argmax(x)
        share = {"first": 1, "shared": 1 / meets.sum(), "each": 1, "none": 0}[gradient]
        return g * meets * share

    report = pair(np.max, backward, np.array([3.0, 1.0, 3.0, -2.0]))
    assert report.kinks == 2
    assert report.ok == right
    if not right:
        assert the(report).looks_like == "right except at ties"


@pytest.mark.parametrize("size", [1.0, 1e-9])
def test_kinks_in_a_large_input_do_not_excuse_the_other_elements(size):
    x = size * np.maximum(normal(400), 0)
    for factor, at_zero in ((1, 0), (1, 0.3)):
        assert pair(relu, lambda g, x, f=factor, a=at_zero: g * f * np.where(x > 0, 1, a), x).ok
    for factor in (0, 0.9, 1 + 1e-7):
        report = pair(relu, lambda g, x, f=factor: g * f * (x > 0), x)
        assert troubles(report) == {"wrong gradient"}


def test_a_step_at_one_does_not_excuse_a_wrong_gradient():
    def gate(a, b):
        return np.where(a.real >= 1, b, 0)

    inputs = np.ones(3), normal(3)
    assert not pair(gate, lambda g, a, b: (0 * a, 2 * g * (a >= 1)), inputs).ok
    assert pair(gate, lambda g, a, b: (0 * a, g * (a >= 1)), inputs).ok


# ---- float32 ----


def test_code_that_computes_in_float32_inside_is_no_mistake():
    for seed in range(10):
        x = np.random.default_rng(seed).standard_normal(4)
        for inputs in (x, x.astype(np.float32)):
            report = pair(
                lambda x: np.abs(x.astype(np.float32)) ** 3,
                lambda g, x: (3 * g * x * abs(x)).astype(x.dtype),
                inputs,
                seed=seed,
            )
            assert report.ok, report


def test_float32_gradients_are_held_against_the_float64_derivative_in_ulp():
    x = np.linspace(-20, 20, 41, dtype=np.float32)
    report = gradcheck(tc.sigmoid, x)
    assert report.ok
    assert report.ulp < 4

    def textbook(g, x):
        y = 1 / (1 + np.exp(-x))
        return g * y * (1 - y)  # exactly 0 from x = 17 on

    wrong = pair(lambda x: 1 / (1 + np.exp(-x)), textbook, x)
    assert not wrong.ok
    assert all(x[entry.index] > 6 for entry in the(wrong).entries)


def test_what_float32_is_too_narrow_to_hold_is_no_mistake():
    logits = np.array([[60.0, 30.0, -68.0, 50.0]], np.float32)
    report = gradcheck(lambda x: tc.ops.cross_entropy(x, tc.tensor([3])), logits)
    assert report.ok, report


# ---- modules ----


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_network_is_checked_by_its_input_and_every_parameter_by_name(dtype):
    tc.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ELU(), nn.Flatten(), nn.Dropout()
    ).to(dtype)
    before = {name: t.numpy().tobytes() for name, t in model.state_dict().items()}
    x = normal(3, 1, 4, 4).astype(dtype)
    report = gradcheck(model, x)
    assert report.ok, report
    assert {name: t.numpy().tobytes() for name, t in model.state_dict().items()} == before
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert gradgradcheck(model, x).ok


def test_a_wrong_parameter_gradient_is_told_by_name():
    @differentiable
    def scale(x, factor):
        return x * factor

    @scale.derivative("x", "factor")
    def _(g, x, factor):
        return g * factor, 3 * g * x

    class Scale(nn.Module):
        def __init__(self):
            super().__init__()
            self.factor = nn.Parameter(tc.tensor([2.0, 1.0], dtype=np.float64))

        def forward(self, x):
            return scale(x, self.factor)

    finding = the(gradcheck(nn.Sequential(Scale()), normal(3, 2)))
    assert finding.input == "0.factor"
    assert finding.looks_like.startswith("wrong by a constant factor 3")


def test_a_wrong_second_derivative_is_found_where_the_first_is_right():
    @differentiable
    def cube(x):
        return x**3

    @cube.derivative("x")
    def _(g, x):
        return g * 3 * (x.detach() if isinstance(x, tc.Tensor) else x) ** 2

    assert gradcheck(cube, normal(4)).ok
    finding = the(gradgradcheck(cube, normal(4)))
    assert finding.input == "x"
    assert "zero" in finding.looks_like


# ---- what else a derivative must keep ----


def test_an_input_changed_in_place_is_found_and_mended():
    def careless(g, x):
        x *= 2
        return g * x

    x = np.array([1.0, 2.0])
    report = pair(lambda x: x**2, careless, x)
    assert "changed in place" in troubles(report)
    np.testing.assert_array_equal(x, [1, 2])


def test_an_input_changed_by_the_forward_function_is_found_also_if_once_is_enough():
    def clips(x):
        x[x.real < 0] = 0
        return x * 1

    x = np.array([1.0, -2.0])
    assert troubles(pair(clips, lambda g, x: g * (x > 0), x)) == {"changed in place"}
    np.testing.assert_array_equal(x, [1, -2])


def test_a_gradient_that_depends_on_the_layout_in_memory_is_found():
    x = np.asfortranarray(normal(3, 4))
    mixed_up = pair(np.square, lambda g, x: 2 * g * x.ravel("K").reshape(x.shape), x)
    assert the(mixed_up).trouble == "depends on the layout"
    assert pair(np.square, lambda g, x: 2 * g * x, x).ok


def test_a_cotangent_changed_in_place_is_found():
    def careless(g, x):
        g *= 2 * x
        return g

    assert "changed in place" in troubles(pair(lambda x: x**2, careless, normal(3)))


def test_a_layer_that_keeps_its_input_is_called_forward_before_backward():
    class Square:
        def forward(self, x):
            self.x = x
            return x**2

        def backward(self, g, x):
            return 2 * g * self.x

    layer = Square()
    for x in (normal(4), normal(400), normal(4).astype(np.float32)):
        report = pair(layer.forward, layer.backward, x)
        assert report.ok, report


def test_a_backward_that_fills_the_same_memory_anew_is_judged_by_what_it_filled_in():
    memory = np.empty(4)
    assert pair(np.square, lambda g, x: np.multiply(g, 2 * x, out=memory), normal(4)).ok


def test_gradients_that_share_memory_are_found():
    report = pair(np.add, lambda g, x, y: (g, g), (normal(3), normal(3)))
    assert troubles(report) == {"shares memory"}
    report = pair(lambda x: x**2 / 2, lambda g, x: x, normal(3))
    assert "shares memory" in troubles(report)


def test_a_wrong_shape_or_dtype_is_told():
    x, b = normal(3, 2), normal(2)
    unreduced = pair(np.add, lambda g, x, b: (g, g.copy()), (x, b))
    assert the(unreduced).trouble == "wrong shape"
    assert the(unreduced).looks_like.startswith("missing the sum over a broadcast axis")
    assert "(3, 2) instead of (2,)" in str(unreduced)
    narrow = pair(np.exp, lambda g, x: (g * np.exp(x)).astype(np.float32), normal(2))
    assert "wrong dtype" in troubles(narrow)
    missing = pair(np.add, lambda g, x, b: (g, None), (x, b))
    assert "None instead of an array (2,)" in str(missing)


def test_a_forward_function_that_draws_by_chance_is_found():
    chance = np.random.default_rng(0)
    report = pair(lambda x: x * (chance.random(x.shape) < 0.5), lambda g, x: g, normal(3, 4))
    assert troubles(report) == {"not the same twice"}
    assert report.findings[0].input == "output"


def test_a_gradient_that_is_not_the_same_twice_is_found():
    chance = np.random.default_rng(0)
    report = pair(np.exp, lambda g, x: g * np.exp(x) * (1 + 1e-14 * chance.random()), normal(3))
    assert troubles(report) == {"not the same twice"}


def test_a_cache_that_is_not_renewed_is_told_as_stale():
    cache = []

    def square(x):
        cache.append(x)
        return x**2

    report = pair(square, lambda g, x: 2 * g * cache[0], normal(4))
    assert the(report).looks_like.startswith("stale")


def test_a_mask_that_is_not_renewed_is_told_as_stale():
    mask = []

    def forward(x):
        mask.append(x.real > 0)
        return x * mask[-1]

    assert the(pair(forward, lambda g, x: g * mask[0], normal(3, 4))).looks_like.startswith("stale")
    assert pair(forward, lambda g, x: g * mask[-1], normal(3, 4)).ok


@pytest.mark.parametrize(
    ("used", "looks_like"),
    [(np.ones_like, "cotangent not used"), (lambda g: np.clip(g, -0.5, 0.5), "")],
)
def test_a_gradient_that_is_not_linear_in_the_cotangent_is_found(used, looks_like):
    finding = the(pair(np.exp, lambda g, x: used(g) * np.exp(x), normal(3, 4)))
    assert (finding.trouble, finding.looks_like) == ("not linear", looks_like)


def test_a_gradient_that_is_not_a_number_is_wrong():
    nan = the(pair(np.exp, lambda g, x: g * np.array([np.nan, 1, 1]) * np.exp(x), normal(3)))
    assert nan.trouble == "wrong gradient"
    assert nan.entries[0].index == (0,)


def test_a_gradient_nobody_asked_for_is_found():
    def pushes(x, y):
        y.grad = tc.ones(3, dtype=np.float64)
        return x * y

    assert "not asked for" in troubles(gradcheck(pushes, (normal(3), normal(3))))


def test_a_result_that_is_not_finite_is_told_instead_of_a_verdict():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = gradcheck(lambda x: x.log(), np.array([1.0, -1.0]))
    assert troubles(report) == {"not finite"}


# ---- calls ----


def test_what_is_no_floating_point_array_is_passed_on():
    report = pair(
        lambda x, power, index: x[index] ** power,
        lambda g, x, power, index: (power * x ** (power - 1) * np.bincount(index, g, len(x)),),
        (normal(3), 2, np.array([0, 2, 2])),
    )
    assert report.ok, report
    report = gradcheck(lambda x, p, several: x.reshape(several) ** p, (normal(4), 2, (2, 2)))
    assert report.ok, report


def test_several_results_and_those_without_axes_are_checked():
    assert gradcheck(lambda x: (x.exp(), x.sum() * x[0]), normal(3)).ok
    assert gradgradcheck(lambda x: (x.exp(), x.sum() * x[0]), normal(3)).ok
    assert gradcheck(lambda x: x * 2, np.array(0.5)).ok
    empty = np.zeros((0, 3))
    empty.flags.writeable = False
    assert gradcheck(lambda x: x * 2, empty).ok


def test_what_cannot_be_checked_is_refused():
    with pytest.raises(ValueError, match="none of the inputs is an array of float32 or float64"):
        gradcheck(lambda x: x, 3)
    with pytest.raises(ValueError, match="the output is of int64"):
        pair(lambda x: x.argmax(), lambda g, x: g, normal(3))
    with pytest.raises(ValueError, match="x holds a NaN or infinity"):
        gradcheck(lambda x: x.exp(), np.array([1.0, -np.inf]))
    with pytest.raises(ValueError, match="give the array alone"):
        pair(lambda x: (x, x), lambda g, x: g, normal(3))
    inputs = normal(2, 3), np.eye(3, dtype=int)
    with pytest.raises(ValueError, match="W is int64, of which no gradient is checked"):
        pair(lambda x, W: x @ W, lambda g, x, W: (g @ W.T, x.T @ g), inputs)
    with pytest.raises(ValueError, match="returned 3 gradients for 1 inputs"):
        pair(np.exp, lambda g, x: (g, g, g), normal(3))


def test_chance_inside_is_the_same_in_every_call_and_outside_goes_on():
    tc.manual_seed(3)
    expected = tc.rand(2).tolist()
    tc.manual_seed(3)
    assert gradcheck(lambda x: tc.nn.Dropout()(x), normal(20)).ok
    assert tc.rand(2).tolist() == expected


def test_assert_gradients_raises_with_the_report():
    x = normal(3)
    assert assert_gradients(lambda x: x**3, x, second=True).ok
    assert assert_gradients(np.exp, x, backward=lambda g, x: g * np.exp(x)).ok
    with pytest.raises(AssertionError, match=r"(?s)gradients WRONG.*wrong by a constant factor 2"):
        assert_gradients(np.exp, x, backward=lambda g, x: 2 * g * np.exp(x))
    text = str(pair(np.exp, lambda g, x: 2 * g * np.exp(x), x))
    assert "computed" in text
    assert "should be" in text
