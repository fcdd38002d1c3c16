"""Layers that Sequential computes together give what they give one by one."""

import copy
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import tinycnn as tc
from tinycnn import kernels, models, nn
from tinycnn.autograd import reachable
from tinycnn.kernels import cpu
from tinycnn.node import edge_of

TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}


def images(*shape, dtype=np.float32, seed=0, requires_grad=False):
    numbers = np.random.default_rng(seed).standard_normal(shape)
    return tc.tensor(numbers, dtype=dtype, requires_grad=requires_grad)


def network(*layers, seed=0, dtype=np.float32):
    """A Sequential with parameters and statistics that are no special numbers."""
    model = nn.Sequential(*layers)
    rng = np.random.default_rng(seed)
    for name, state in model.state_dict().items():
        if state.dtype.kind == "f":
            numbers = rng.standard_normal(state.shape)
            state.copy_(np.abs(numbers) if name.endswith("var") else numbers)
    return model.to(dtype)


def one_by_one(model, x):
    """Through each layer, and through those of a Sequential in it."""
    for layer in model:
        x = one_by_one(layer, x) if isinstance(layer, nn.Sequential) else layer(x)
    return x


def operations(y):
    """The names of those that made a tensor, in their order."""
    return [node.name for node in reachable([edge_of(y)])]


def is_fused(y):
    return "conv_block" in operations(y)


def outcome(model, x, call, g_seed=1):
    """Output, gradients of the image and of all parameters, and what becomes of the buffers."""
    x = x.detach().requires_grad_()
    model.zero_grad()
    y = call(model, x)
    y.backward(images(*y.shape, dtype=y.dtype, seed=g_seed))
    gradients = {name: p.grad for name, p in model.named_parameters()}
    return {"y": y, "x": x.grad, **gradients, **dict(model.named_buffers())}


def call(model, x):
    return model(x)


def assert_same(found, expected, dtype=np.float32):
    assert found.keys() == expected.keys()
    for name in expected:
        a, b = found[name], expected[name]
        assert (a is None) == (b is None), name
        if a is not None:
            assert (a.shape, a.dtype) == (b.shape, b.dtype), name
            error, size = np.linalg.norm(a.array - b.array), np.linalg.norm(b.array)
            assert error <= TOLERANCE[dtype] * (size + np.sqrt(b.numel())), name


FUSED = {
    "conv bn relu pool": lambda: (
        nn.Conv2d(2, 5, 3),
        nn.BatchNorm2d(5),
        nn.ReLU(),
        nn.MaxPool2d(2),
    ),
    "conv bn relu": lambda: (nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5), nn.ReLU()),
    "conv bn pool": lambda: (nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5), nn.MaxPool2d(2)),
    "conv relu pool": lambda: (
        nn.Conv2d(2, 5, 3),
        nn.ReLU(),
        nn.MaxPool2d((2, 2), (2, 2), (0, 0), (1, 1)),
    ),
    "conv bn": lambda: (nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5)),
    "conv relu": lambda: (nn.Conv2d(2, 5, 3), nn.ReLU()),
    "conv pool": lambda: (nn.Conv2d(2, 5, 3), nn.MaxPool2d(2)),
    "without bias": lambda: (nn.Conv2d(2, 5, 3, bias=False), nn.BatchNorm2d(5), nn.ReLU()),
    "without bias or norm": lambda: (nn.Conv2d(2, 5, 3, bias=False), nn.ReLU(), nn.MaxPool2d(2)),
    "padding same": lambda: (nn.Conv2d(2, 5, (4, 3), padding="same"), nn.BatchNorm2d(5), nn.ReLU()),
    "padding valid": lambda: (nn.Conv2d(2, 5, 3, padding="valid"), nn.ReLU(), nn.MaxPool2d(2)),
    "padding of a list": lambda: (nn.Conv2d(2, 5, (3, 5), padding=[1, 2]), nn.ReLU()),
    "dilation": lambda: (
        nn.Conv2d(2, 5, 3, padding=2, dilation=(2, 1)),
        nn.ReLU(),
        nn.MaxPool2d(2),
    ),
    "two blocks": lambda: (
        *(nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(5, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2)),
    ),
    "a block in a block": lambda: (
        nn.Sequential(nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5)),
        nn.ReLU(),
    ),
    "other settings": lambda: (nn.Conv2d(2, 5, 1), nn.BatchNorm2d(5, eps=0.1, momentum=0.3)),
}
fused_networks = pytest.mark.parametrize("layers", FUSED.values(), ids=FUSED)


class Stranger(nn.Conv2d):
    """A subclass that computes something else."""

    def forward(self, x):
        return super().forward(x) * 2


class StrangeNorm(nn.BatchNorm2d):
    def forward(self, x):
        return super().forward(x) * 2


class StrangePool(nn.MaxPool2d):
    def forward(self, x):
        return super().forward(x) * 2


UNFUSED = {
    "nothing behind": lambda: (nn.Conv2d(2, 4, 3), nn.Sigmoid()),
    "stride": lambda: (nn.Conv2d(2, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU()),
    "groups": lambda: (nn.Conv2d(2, 4, 3, groups=2), nn.BatchNorm2d(4), nn.ReLU()),
    "more padding than kernel": lambda: (nn.Conv2d(2, 4, 3, padding=3), nn.ReLU()),
    "subclass": lambda: (Stranger(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU()),
    "an order of its own": lambda: (nn.Conv2d(2, 4, 3), nn.Sigmoid(), nn.BatchNorm2d(4), nn.ReLU()),
}
PARTLY = {
    "pool of 3": (lambda: nn.MaxPool2d(3), "conv_block max_pool2d"),
    "pool by 1": (lambda: nn.MaxPool2d(2, 1), "conv_block max_pool2d"),
    "pool with padding": (lambda: nn.MaxPool2d(2, padding=1), "conv_block max_pool2d"),
    "pool with holes": (lambda: nn.MaxPool2d(2, dilation=2), "conv_block max_pool2d"),
    "strange pool": (lambda: StrangePool(2), "conv_block max_pool2d mul"),
    "average": (lambda: nn.AvgPool2d(2), "conv_block sum_pool2d div"),
    "norm behind": (lambda: nn.BatchNorm2d(4), "conv_block batch_norm"),
    "relu again": (lambda: nn.ReLU(), "conv_block relu"),
}


# ---- the same numbers ----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", TOLERANCE)
@fused_networks
def test_training_is_the_same(layers, dtype):
    model, other = network(*layers(), dtype=dtype), network(*layers(), dtype=dtype)
    for step in range(2):
        x = images(5, 2, 13, 14, dtype=dtype, seed=step)
        found, expected = outcome(model, x, call), outcome(other, x, one_by_one)
        assert is_fused(found["y"])
        assert not is_fused(expected["y"])
        assert_same(found, expected, dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@fused_networks
def test_inference_is_the_same_and_leaves_the_statistics_alone(layers, dtype, monkeypatch):
    model, x, calls = network(*layers(), dtype=dtype).eval(), images(5, 2, 13, 14, dtype=dtype), []
    kernel = cpu.conv_block_inference
    monkeypatch.setattr(cpu, "conv_block_inference", lambda *a: calls.append(1) or kernel(*a))
    before = [buffer.tolist() for buffer in model.buffers()]
    with tc.no_grad():
        found, expected = model(x), one_by_one(model, x)
    assert calls
    assert not found.requires_grad
    assert_same({"y": found}, {"y": expected}, dtype)
    # to be differentiated with fixed statistics
    assert_same(outcome(model, x, call), outcome(model, x, one_by_one), dtype)
    assert [buffer.tolist() for buffer in model.buffers()] == before


@fused_networks
def test_statistics_follow_the_batch_also_where_no_gradient_is_recorded(layers):
    model, other = network(*layers()), network(*layers())
    x = images(5, 2, 13, 14)
    with tc.no_grad():
        found, expected = model(x), one_by_one(other, x)
    assert not found.requires_grad
    assert_same(
        {"y": found, **dict(model.named_buffers())}, {"y": expected, **dict(other.named_buffers())}
    )


@pytest.mark.parametrize("layers", UNFUSED.values(), ids=UNFUSED)
def test_what_there_is_no_kernel_for_is_left_to_the_layers(layers):
    model, other = network(*layers()), network(*layers())
    x = images(3, 2, 9, 10)
    found = outcome(model, x, call)
    assert not is_fused(found["y"])
    assert_same(found, outcome(other, x, one_by_one))


@pytest.mark.parametrize(("layer", "expected"), PARTLY.values(), ids=PARTLY)
def test_a_layer_that_does_not_belong_to_the_block_comes_behind_it(layer, expected):
    layers = nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), layer()
    model = network(*layers)
    other = copy.deepcopy(model)
    x = images(3, 2, 9, 10)
    found = outcome(model, x, call)
    assert operations(found["y"]) == expected.split()
    assert_same(found, outcome(other, x, one_by_one))


def test_a_strange_norm_is_not_computed_as_one():
    model = network(nn.Conv2d(2, 4, 3), StrangeNorm(4), nn.ReLU())
    assert operations(model(images(3, 2, 9, 10))) == ["conv2d", "batch_norm", "mul", "relu"]


def test_a_forward_that_was_replaced_on_the_layer_itself_is_called():
    for place in range(4):
        model = network(*FUSED["conv bn relu pool"]())
        forward = model[place].forward
        model[place].forward = lambda x, forward=forward: forward(x) * 2
        other = copy.deepcopy(model)
        x = images(3, 2, 9, 10)
        np.testing.assert_allclose(model(x).array, one_by_one(other, x).array, 1e-4, 1e-4)


@pytest.mark.parametrize("dtype", [np.float16, np.int64])
def test_other_dtypes_are_left_to_the_layers(dtype):
    model = network(nn.Conv2d(1, 2, 3), nn.ReLU())
    for p in model.parameters():
        p.requires_grad_(False)
        p.data = p.detach().to(dtype)
    x = tc.tensor(np.arange(25).reshape(1, 1, 5, 5) - 9, dtype=dtype)
    np.testing.assert_array_equal(model(x).array, one_by_one(model, x).array)


# ---- derivatives -----------------------------------------------------------------------------


@pytest.mark.parametrize("frozen", ["0.weight", "0.bias", "1.weight", "1.bias", "x", "all"])
def test_only_what_is_wanted_gets_a_gradient(frozen):
    model = network(*FUSED["conv bn relu pool"]())
    expected = outcome(copy.deepcopy(model), images(3, 2, 9, 10), one_by_one)
    for name, p in model.named_parameters():
        p.requires_grad_(frozen not in (name, "all"))
    x = images(3, 2, 9, 10, requires_grad=frozen != "x")
    y = model(x)
    assert is_fused(y)
    y.backward(images(*y.shape, seed=1))
    found = {name: p.grad for name, p in model.named_parameters()} | {"x": x.grad}
    for name, gradient in found.items():
        assert (gradient is None) == (name == frozen or (frozen == "all" and name != "x")), name
        if gradient is not None:
            np.testing.assert_allclose(gradient.array, expected[name].array, 1e-4, 1e-4)
    model.requires_grad_(False)
    assert not model(images(3, 2, 9, 10)).requires_grad


@fused_networks
def test_second_derivatives_are_the_same(layers):
    found = []
    for way in (call, one_by_one):
        model = network(*layers(), dtype=np.float64)
        x = images(3, 2, 10, 9, dtype=np.float64, requires_grad=True)
        y = way(model, x)
        g = images(*y.shape, dtype=np.float64, seed=1, requires_grad=True)
        leaves = dict(model.named_parameters()) | {"x": x}
        first = tc.grad(y, leaves.values(), g, create_graph=True)
        total = sum((d * d).sum() for d in first)
        second = tc.grad(total, [*leaves.values(), g], allow_unused=True)
        second = [tc.tensor(0.0) if d is None else d.detach() for d in second]
        # where nothing depends on a bias, there is no gradient or one of zeros
        named = zip([*leaves, "g"], second, strict=True)
        found.append({name: d if d.array.any() else tc.tensor(0.0) for name, d in named})
    assert_same(*found, np.float64)


def test_the_graph_can_be_walked_twice_if_it_is_kept_and_else_says_whose_it_was():
    model, x = network(*FUSED["conv bn relu pool"]()), images(3, 2, 9, 10)
    y = model(x)
    g = images(*y.shape, seed=1)
    y.backward(g, retain_graph=True)
    once = [p.grad.array.copy() for p in model.parameters()]
    y.backward(g)
    for p, d in zip(model.parameters(), once, strict=True):
        np.testing.assert_array_equal(p.grad.array, 2 * d)
    with pytest.raises(RuntimeError, match=r"^conv_block: backward a second time"):
        y.backward(g)


@pytest.mark.parametrize("name", ["0.weight", "0.bias", "1.weight", "1.bias", "x"])
def test_a_change_in_place_before_backward_is_noticed(name):
    model, x = network(*FUSED["conv bn relu pool"]()), images(3, 2, 9, 10, requires_grad=True)
    hidden = x * 1
    y = model(hidden)
    with tc.no_grad():
        changed = {**dict(model.named_parameters()), "x": hidden}[name]
        changed += 1
    with pytest.raises(RuntimeError, match=r"^conv_block: .* changed in place"):
        y.sum().backward()


def test_passes_forward_may_come_before_their_passes_back():
    """What one has kept is not overwritten by the next."""
    model = network(*FUSED["two blocks"]())
    xs = [images(9, 2, 40, 44, seed=seed) for seed in range(3)]
    alone = [outcome(model, x, call) for x in xs]
    alone = [{k: v.array.copy() for k, v in each.items()} for each in alone]
    model.zero_grad()
    leaves = [x.detach().requires_grad_() for x in xs]
    ys = [model(x) for x in leaves]
    for i in (1, 0, 2):
        model.zero_grad()
        ys[i].backward(images(*ys[i].shape, seed=1))
        assert ys[i].array.tobytes() == alone[i]["y"].tobytes()
        assert leaves[i].grad.array.tobytes() == alone[i]["x"].tobytes()
        for name, p in model.named_parameters():
            assert p.grad.array.tobytes() == alone[i][name].tobytes(), name


@np.errstate(invalid="ignore")  # NumPy warns of ∞·0 in the reference
@pytest.mark.parametrize("layers", [FUSED["conv relu"], FUSED["conv bn relu pool"]])
def test_an_infinite_cotangent_leads_to_infinity_where_it_does_one_by_one(layers):
    """As one of a loss that has been scaled too far."""
    found = []
    for way in (call, one_by_one):
        model, x = network(*layers()), images(3, 2, 9, 10)
        y = way(model, x)
        y.backward(tc.tensor(np.full(y.shape, np.inf, np.float32)))
        gradients = {name: p.grad.array for name, p in model.named_parameters()}
        gradients.pop("0.bias" if "1.bias" in gradients else "", None)  # 0, and ∞ − ∞ one by one
        found.append(gradients)
    for name in found[1]:
        np.testing.assert_array_equal(*(np.isfinite(each[name]) for each in found), name)


@np.errstate(invalid="ignore")  # NumPy warns of ∞·0 in the reference
@pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf, 1e12])
@pytest.mark.parametrize("where", ["image", "0.weight", "1.bias"])
@pytest.mark.parametrize("training", [True, False])
def test_what_is_not_finite_or_huge_comes_out_as_one_by_one(where, strange, training):
    """Result and running statistics, which the kernel's windows cannot be asked for."""
    found = []
    for way in (call, one_by_one):
        model, x = network(*FUSED["conv bn relu pool"]()).train(training), images(3, 2, 9, 10)
        state = {"image": x, **model.state_dict()}[where]
        state.array.reshape(-1)[1] = strange
        with tc.no_grad():
            y = way(model, x)
        found.append({"y": y, **dict(model.named_buffers())})
    for name in found[1]:
        a, b = (each[name].array for each in found)
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5, err_msg=name)


# ---- who watches -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["forward", "forward_pre", "full_backward"])
@pytest.mark.parametrize("place", range(4))
def test_hooks_see_what_they_see_one_by_one(place, kind):
    seen = []
    for way in (call, one_by_one):
        model, told = network(*FUSED["conv bn relu pool"]()), []

        def hook(*tensors, told=told):
            for t in tensors[1:]:
                told.append([each.array.copy() for each in (t if isinstance(t, tuple) else (t,))])

        handle = getattr(model[place], f"register_{kind}_hook")(hook)
        outcome(model, images(3, 2, 9, 10), way)
        assert len(told) == {"forward": 2, "forward_pre": 1, "full_backward": 2}[kind]
        seen.append([a for each in told for a in each])
        handle.remove()
        assert is_fused(model(images(3, 2, 9, 10)))
    for a, b in zip(*seen, strict=True):
        np.testing.assert_allclose(a, b, 1e-4, 1e-4)


def test_what_a_hook_returns_takes_the_outputs_place():
    model = network(*FUSED["conv bn relu pool"]())
    model[1].register_forward_hook(lambda layer, inputs, y: y * 0 - 1)
    assert not model(images(3, 2, 9, 10)).array.any()


@pytest.mark.parametrize(
    ("place", "name", "expected"),
    [(0, "weight", "conv2d"), (1, "weight", "batch_norm")],
)
def test_an_anomaly_is_named_by_its_own_operation(place, name, expected):
    model = network(*FUSED["conv bn relu pool"]())
    getattr(model[place], name).data = getattr(model[place], name).detach() * 1e38
    x = images(3, 2, 9, 10) * 100
    with (
        pytest.raises(tc.AnomalyError, match=f"^{expected}: the forward pass"),
        tc.detect_anomaly(),
    ):
        model(x)
    with tc.detect_anomaly():
        y = network(*FUSED["conv bn relu pool"]())(images(3, 2, 9, 10))
    assert operations(y) == ["conv2d", "batch_norm", "relu", "max_pool2d"]


# ---- what is wrong ---------------------------------------------------------------------------


def short(place, name):
    """Give a layer fewer numbers than channels."""

    def change(model):
        kind = nn.Parameter if name in ("weight", "bias") else tc.tensor
        setattr(model[place], name, kind(np.ones(3, np.float32)))

    return change


WRONG = {
    "channels": (lambda model: None, (3, 3, 9, 9)),
    "too small for the kernel": (lambda model: None, (3, 2, 2, 9)),
    "too small for the pooling": (lambda model: None, (3, 2, 3, 9)),
    "too small for both": (lambda model: None, (3, 2, 1, 1)),
    "an image alone": (lambda model: None, (2, 9, 9)),
    "a scale too short": (short(1, "weight"), (3, 2, 9, 9)),
    "a norm in float64": (lambda model: model[1].double(), (3, 2, 9, 9)),
    "a convolution in float64": (lambda model: model[0].double(), (3, 2, 9, 9)),
}
SHORT = [(0, "bias"), (1, "bias"), (1, "running_mean"), (1, "running_var")]


def complaint(way, change, shape, training):
    """The error of a network after some change."""
    model = network(*FUSED["conv bn relu pool"]()).train(training)
    change(model)
    with pytest.raises((ValueError, TypeError)) as error, tc.no_grad():
        way(model, images(*shape))
    return error


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("change", "shape"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_refused_in_the_same_words(change, shape, training):
    fused, single = (complaint(way, change, shape, training) for way in (call, one_by_one))
    assert (fused.type, str(fused.value)) == (single.type, str(single.value))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("place", "name"), SHORT)
def test_no_memory_behind_an_array_that_is_too_short_is_read(place, name, training):
    fused, single = (
        complaint(way, short(place, name), (3, 2, 9, 9), training) for way in (call, one_by_one)
    )
    assert fused.type is single.type


def test_a_weight_of_another_size_keeps_the_image_as_large():
    """Padding 'same' goes by the weight there is."""
    model = network(nn.Conv2d(2, 4, 3, padding="same"), nn.ReLU())
    model[0].weight = nn.Parameter(np.ones((4, 2, 5, 5), np.float32))
    x = images(3, 2, 9, 10)
    assert_same({"y": model(x)}, {"y": one_by_one(model, x)})


def test_a_setting_of_the_wrong_type_is_refused_even_if_its_number_was_seen_before():
    x, w = images(1, 1, 5, 5), images(1, 1, 3, 3)
    tc.conv2d(x, w, None, stride=1)
    with pytest.raises((TypeError, ValueError)):
        tc.conv2d(x, w, None, stride=1.0)


# ---- around it -------------------------------------------------------------------------------


def test_the_state_goes_to_another_network_and_back():
    model, x = network(*FUSED["two blocks"]()), images(5, 2, 13, 14)
    outcome(model, x, call)
    other = network(*FUSED["two blocks"](), seed=1)
    other.load_state_dict({k: v.array.copy() for k, v in model.state_dict().items()})
    assert other[1].num_batches_tracked.item() == 1
    with tc.no_grad():
        assert model.eval()(x).array.tobytes() == other.eval()(x).array.tobytes()
        other[0].weight += 1  # in place: nothing was kept of the old one
        assert model(x).array.tobytes() != other(x).array.tobytes()


def test_a_copy_has_statistics_of_its_own():
    model, x = network(*FUSED["conv bn relu pool"]()), images(5, 2, 13, 14)
    other = copy.deepcopy(model)
    before = other[1].running_mean.tolist()
    found = outcome(model, x, call)
    assert other[1].running_mean.tolist() == before
    again = outcome(other, x, call)
    assert all(found[name].array.tobytes() == again[name].array.tobytes() for name in found)


def test_a_network_may_be_used_from_several_threads_at_once():
    model = network(*FUSED["two blocks"]())
    copies = [copy.deepcopy(model) for _ in range(8)]
    x, barrier = images(9, 2, 40, 44), threading.Barrier(4)

    def work(mine):
        barrier.wait(timeout=20)
        with tc.no_grad():
            shared = model_in_use(x).array.tobytes()
        return shared, [v.array.tobytes() for v in outcome(mine, x, call).values()]

    model_in_use = copy.deepcopy(model).eval()
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(work, copies))
    assert all(result == results[0] for result in results)


def test_the_number_of_threads_does_not_show_in_a_step_of_training():
    before, results = tc.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 7):
            tc.set_num_threads(threads)
            tc.manual_seed(0)
            model = models.build("exercise", (1, 60, 60))
            optimizer = tc.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
            x, target = images(9, 1, 60, 60), images(9, 1, seed=1) * 0
            loss = tc.nn.functional.binary_cross_entropy_with_logits(model(x), target)
            assert operations(loss).count("conv_block") == 3
            loss.backward()
            optimizer.step()
            results.append([loss.item(), *(v.array.tobytes() for v in model.state_dict().values())])
    finally:
        tc.set_num_threads(before)
    assert all(result == results[0] for result in results)


# ---- a residual block ------------------------------------------------------------------------


def residual(shortcut=None):
    return network(nn.Residual(nn.Conv2d(2, 2, 3, padding=1), shortcut), nn.ReLU())


@pytest.mark.parametrize("shortcut", [lambda: None, lambda: nn.Conv2d(2, 2, 1)])
def test_a_residual_sum_and_its_relu_are_one_operation(shortcut):
    model, other = residual(shortcut()), residual(shortcut())
    x = images(3, 2, 9, 10)
    found, expected = outcome(model, x, call), outcome(other, x, one_by_one)
    assert operations(found["y"])[-1] == "add_relu"
    assert operations(expected["y"])[-2:] == ["add", "relu"]
    assert_same(found, expected)
    with tc.detect_anomaly():
        assert operations(model(x))[-2:] == ["add", "relu"]


@pytest.mark.parametrize("kind", ["forward", "forward_pre", "full_backward"])
@pytest.mark.parametrize("place", [0, 1])
def test_a_residual_that_is_watched_is_called(place, kind):
    model, other, told = residual(), residual(), []
    getattr(model[place], f"register_{kind}_hook")(lambda *a: told.append(a[1][0].array.copy()))
    x = images(3, 2, 9, 10)
    found, expected = outcome(model, x, call), outcome(other, x, one_by_one)
    assert len(told) == 1
    assert "add_relu" not in operations(found["y"])
    assert_same(found, expected)


def test_a_residual_of_itself_and_of_two_leaves():
    x = images(3, 2, 4, 4, requires_grad=True)
    nn.Sequential(nn.Residual(nn.Identity()), nn.ReLU())(x).sum().backward()
    np.testing.assert_array_equal(x.grad.array, 2 * (x.array > 0))
    a, b = images(5, requires_grad=True), images(5, seed=1, requires_grad=True)
    for _ in range(2):
        tc.ops.add_relu(a, b).sum().backward()
    assert not np.shares_memory(a.grad.array, b.grad.array)
    np.testing.assert_array_equal(a.grad.array, 2 * (a.array + b.array > 0))
    np.testing.assert_array_equal(b.grad.array, a.grad.array)


def test_a_residual_of_unequal_parts_is_refused_in_the_same_words():
    errors = []
    for way in (call, one_by_one):
        model = nn.Sequential(nn.Residual(nn.Conv2d(2, 2, 3)), nn.ReLU())
        with pytest.raises(ValueError, match="Residual: the body gives") as error:
            way(model, images(1, 2, 5, 5))
        errors.append(str(error.value))
    assert errors[0] == errors[1]


def test_the_reference_takes_the_block_apart():
    layers = FUSED["conv bn relu pool"]
    model, other = (network(*layers(), dtype=np.float64) for _ in range(2))
    x = images(3, 2, 9, 10, dtype=np.float64)
    with kernels.use("reference"):
        found = outcome(model, x, call)
    assert not is_fused(found["y"])
    assert_same(found, outcome(other, x, call), np.float64)


def test_a_block_may_be_differentiated_by_another_backend_than_it_was_made_by():
    gradients = []
    for backend in ("cpu", "reference"):
        model = network(*FUSED["conv bn relu pool"](), dtype=np.float64)
        y = model(images(3, 2, 9, 10, dtype=np.float64))
        with kernels.use(backend):
            y.backward(images(*y.shape, dtype=np.float64, seed=1))
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    assert_same(*gradients, np.float64)
