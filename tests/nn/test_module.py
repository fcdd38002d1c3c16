"""Modules: registration, state, modes, hooks, and how they tell what they are."""

import contextlib
import copy
import gc
import weakref

import numpy as np
import pytest

import tinycnn as tc
from tinycnn import nn


def network():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding="same"),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(4 * 9, 2),
    )


def images(n=3):
    return tc.tensor(np.random.default_rng(0).standard_normal((n, 1, 6, 6)), dtype=np.float32)


def values(module):
    return {name: t.array.copy() for name, t in module.state_dict().items()}


def assert_same(a, b):
    assert list(a) == list(b)
    for name in a:
        np.testing.assert_array_equal(a[name], b[name])


# ---- registration ----


def test_parameters_and_buffers_have_torchvisions_names():
    assert list(network().state_dict()) == [
        *("0.weight", "0.bias"),
        *("1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked"),
        *("6.weight", "6.bias"),
    ]
    model = network()
    assert [name for name, _ in model.named_parameters()] == [
        *("0.weight", "0.bias", "1.weight", "1.bias", "6.weight", "6.bias")
    ]
    assert len(list(model.buffers())) == 3
    assert all(isinstance(p, nn.Parameter) and p.requires_grad for p in model.parameters())


def test_a_layer_without_bias_has_none():
    layer = nn.Conv2d(1, 2, 3, bias=False)
    assert layer.bias is None
    assert list(layer.state_dict()) == ["weight"]
    assert layer(images()).shape == (3, 2, 4, 4)


def test_a_forgotten_super_init_is_told():
    class Forgetful(nn.Module):
        def __init__(self):
            self.layer = nn.ReLU()

    with pytest.raises(AttributeError, match=r"Forgetful: call super\(\).__init__\(\) first"):
        Forgetful()


def test_an_unknown_attribute_and_a_missing_forward_are_told():
    with pytest.raises(AttributeError, match="'ReLU' object has no attribute 'weight'"):
        _ = nn.ReLU().weight
    with pytest.raises(TypeError, match=r"Module does not define forward\(\)"):
        nn.Module()(1)


def test_a_parameter_shared_by_two_modules_is_told_once_and_saved_under_both_names():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    assert [name for name, _ in model.named_parameters()] == ["0.weight", "0.bias", "1.bias"]
    assert {"0.weight", "1.weight"} <= set(model.state_dict())
    model(tc.ones(1, 3)).sum().backward()
    np.testing.assert_array_equal(model[0].weight.grad.array, model[1].weight.grad.array)
    assert model[0].weight.grad.array.any()


def test_a_part_that_is_replaced_keeps_its_place():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    model.add_module("0", nn.Linear(2, 3))
    assert [name for name, _ in model.named_children()] == ["0", "1", "2"]
    assert model(tc.ones(1, 2)).shape == (1, 1)
    layer = nn.Linear(2, 2)
    layer.weight = nn.Parameter(np.ones((2, 2), np.float32))
    assert list(layer.state_dict()) == ["weight", "bias"]


def test_a_plain_tensor_does_not_take_a_parameters_place_in_silence():
    layer = nn.Linear(2, 1)
    with contextlib.suppress(TypeError):
        layer.weight = layer.weight * 2
    assert "weight" in layer.state_dict()


def test_a_buffer_that_is_assigned_stays_a_buffer():
    layer = nn.BatchNorm2d(2)
    layer.running_mean = tc.tensor([5.0, 6.0])
    assert layer.state_dict()["running_mean"].tolist() == [5, 6]
    assert {name for name, _ in layer.named_buffers()} == {
        "running_mean", "running_var", "num_batches_tracked"
    }  # fmt: skip
    for _ in range(3):
        layer(tc.ones(2, 2, 1, 1))
    assert layer.state_dict()["num_batches_tracked"].item() == 3
    assert layer.num_batches_tracked.dtype == np.int64


def test_what_is_deleted_or_replaced_by_none_is_registered_no_more():
    layer = nn.Linear(2, 3)
    del layer.weight
    layer.bias = None
    assert not hasattr(layer, "weight")
    assert list(layer.parameters()) == []
    with pytest.raises(AttributeError):
        del layer.weight


def test_apply_visits_every_module_parts_first():
    visited = []
    model = nn.Sequential(nn.Residual(nn.Linear(2, 2)), nn.ReLU())
    assert model.apply(lambda m: visited.append(type(m).__name__)) is model
    assert visited == ["Linear", "Identity", "Residual", "ReLU", "Sequential"]


# ---- modes ----


def test_train_and_eval_reach_every_part():
    model = nn.Sequential(nn.Residual(nn.Dropout(0.5)), nn.BatchNorm2d(1))
    assert model.training
    assert model.eval() is model
    assert not any(m.training for m in model.modules())
    assert all(m.training for m in model.train().modules())


def test_in_use_a_network_gives_the_same_twice_and_changes_nothing():
    model = network()
    model(images())
    before = values(model.eval())
    first, second = model(images()), model(images())
    np.testing.assert_array_equal(first.array, second.array)
    assert_same(before, values(model))


def test_a_frozen_part_learns_nothing():
    model = network()
    model[0].requires_grad_(False)
    model(images()).sum().backward()
    assert model[0].weight.grad is None
    assert model[6].weight.grad is not None
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())


def test_double_converts_parameters_and_buffers_but_not_counters():
    model = network()
    weight = model[0].weight
    assert model.double() is model
    assert model[0].weight is weight
    assert {name: t.dtype for name, t in model.state_dict().items()} == {
        name: np.int64 if name.endswith("tracked") else np.float64 for name in model.state_dict()
    }
    out = model(images().double())
    assert out.dtype == np.float64
    out.sum().backward()
    assert weight.grad.dtype == np.float64
    assert model.to(np.float32)(images()).dtype == np.float32


def test_a_float32_network_stays_in_float32():
    model = network()
    out = model(images())
    out.sum().backward()
    assert out.dtype == np.float32
    assert {p.grad.dtype for p in model.parameters()} == {np.dtype(np.float32)}
    assert model[1].running_var.dtype == np.float32


# ---- state ----


def test_a_state_loaded_into_another_network_makes_it_the_same():
    model, other = network(), network()
    model(images())  # so that the running statistics are not those of the beginning
    other.load_state_dict(model.state_dict())
    assert_same(values(model), values(other))
    np.testing.assert_array_equal(model.eval()(images()).array, other.eval()(images()).array)
    other[0].weight.data += 1
    assert not np.array_equal(model[0].weight.array, other[0].weight.array)


def test_a_state_may_hold_plain_arrays():
    model = nn.Linear(2, 1)
    model.load_state_dict({"weight": np.array([[1.0, 2.0]]), "bias": np.array([3.0])})
    assert model(tc.tensor([[1.0, 1.0]])).item() == 6
    assert model.weight.dtype == np.float32


WRONG_STATES = [
    (lambda s: s.pop("6.bias"), KeyError, r"missing \['6.bias'\], unknown \[\]"),
    (lambda s: s.update({"7.x": np.ones(1)}), KeyError, r"missing \[\], unknown \['7.x'\]"),
    (
        lambda s: s.update({"6.bias": np.ones(3)}),
        ValueError,
        r"load_state_dict: 6.bias has shape \(3,\), the module's \(2,\)",
    ),
    (
        lambda s: s.update({"6.bias": np.array(["a", "b"])}),
        (ValueError, TypeError),
        "load_state_dict: 6.bias",
    ),
    (
        lambda s: s.update({"6.bias": np.array([1j, 2j])}),
        (ValueError, TypeError),
        "load_state_dict: 6.bias",
    ),
]


@pytest.mark.parametrize(("spoil", "error", "message"), WRONG_STATES)
def test_a_state_that_does_not_fit_changes_nothing(spoil, error, message):
    model = network()
    before = values(model)
    state = {name: np.full_like(v, 9) for name, v in before.items()}
    spoil(state)
    with pytest.raises(error, match=message):
        model.load_state_dict(state)
    assert_same(before, values(model))


def test_a_state_that_is_not_strict_may_lack_names_but_not_shapes():
    model = nn.Linear(2, 1)
    model.load_state_dict({"bias": np.array([3.0]), "other": np.ones(5)}, strict=False)
    assert model.bias.item() == 3
    with pytest.raises(ValueError, match="bias has shape"):
        model.load_state_dict({"bias": np.ones(2)}, strict=False)


def test_loading_between_forward_and_backward_is_noticed():
    model = nn.Linear(2, 1)
    x = tc.ones(1, 2, requires_grad=True)
    loss = model(x).sum()
    model.load_state_dict(values(model))
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


def test_a_copied_network_is_independent():
    model = network()
    again = copy.deepcopy(model)
    assert_same(values(model), values(again))
    again(images()).sum().backward()
    again[0].weight.data += 1
    assert model[0].weight.grad is None
    assert not np.array_equal(model[0].weight.array, again[0].weight.array)


# ---- telling ----


def test_a_network_tells_its_tree():
    model = nn.Sequential(
        nn.Residual(nn.Sequential(nn.Conv2d(1, 1, 3, stride=2, padding=1, bias=False), nn.ReLU())),
        nn.BatchNorm2d(1),
    )
    assert repr(model) == (
        "Sequential(\n"
        "  (0): Residual(\n"
        "    (body): Sequential(\n"
        "      (0): Conv2d(1, 1, kernel_size=(3, 3), stride=(2, 2), padding=1, bias=False)\n"
        "      (1): ReLU()\n"
        "    )\n"
        "    (shortcut): Identity()\n"
        "  )\n"
        "  (1): BatchNorm2d(1, eps=1e-05, momentum=0.1)\n"
        ")"
    )


# ---- hooks ----


def test_forward_hooks_see_and_replace_inputs_and_outputs():
    layer, seen = nn.Linear(2, 2), []
    x = tc.ones(1, 2)
    plain = layer(x).array
    pre = layer.register_forward_pre_hook(lambda m, inputs: (inputs[0] * 2,))
    layer.register_forward_hook(lambda m, inputs, out: seen.append((m, inputs[0].tolist())))
    post = layer.register_forward_hook(lambda m, inputs, out: out * 10)
    doubled = (2 * plain - layer.bias.array) * 10
    np.testing.assert_allclose(layer(x).array, doubled, rtol=1e-5)
    assert seen == [(layer, [[2.0, 2.0]])]
    pre.remove()
    post.remove()
    np.testing.assert_array_equal(layer(x).array, plain)
    assert len(seen) == 2


def test_a_backward_hook_sees_the_gradients_of_input_and_output():
    model, seen = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)), []
    handle = model[1].register_full_backward_hook(
        lambda m, g_in, g_out: seen.append((m, g_in[0].array, g_out[0].array))
    )
    x = tc.ones(1, 2, requires_grad=True)
    model(x).sum().backward()
    hidden = model[0](x).array
    assert seen[0][0] is model[1]
    np.testing.assert_array_equal(seen[0][2], model[2].weight.array)
    np.testing.assert_array_equal(seen[0][1], model[2].weight.array * (hidden > 0))
    handle.remove()
    model(x).sum().backward()
    assert len(seen) == 1


def test_a_backward_hook_on_the_first_layer_sees_no_gradient_of_the_data():
    layer, seen = nn.Linear(2, 1), []
    layer.register_full_backward_hook(lambda m, g_in, g_out: seen.append((g_in, g_out[0].item())))
    layer(tc.ones(1, 2)).sum().backward()
    assert seen == [((None,), 1)]


def test_backward_hooks_replace_the_inputs_gradient_one_after_the_other():
    layer = nn.Linear(2, 1)
    layer.register_full_backward_hook(lambda m, g_in, g_out: (g_in[0] * 10,))
    layer.register_full_backward_hook(lambda m, g_in, g_out: None)
    layer.register_full_backward_hook(lambda m, g_in, g_out: (g_in[0] + 1,))
    x = tc.ones(1, 2, requires_grad=True)
    layer(x).sum().backward()
    np.testing.assert_allclose(x.grad.array, layer.weight.array * 10 + 1, rtol=1e-6)


def test_hooks_change_no_number_and_keep_no_memory():
    gc.disable()
    try:
        model, x = network().eval(), images().requires_grad_()
        model(x).sum().backward()
        expected, x.grad = x.grad.array, None
        for module in model.modules():
            module.register_full_backward_hook(lambda m, g_in, g_out: None)
            module.register_forward_hook(lambda m, inputs, out: None)
        loss = model(x).sum()
        node = weakref.ref(loss.node)
        loss.backward()
        np.testing.assert_array_equal(x.grad.array, expected)
        del loss
        assert node() is None
        loss = model(x).sum()  # this one is dropped without having gone back
        node = weakref.ref(loss.node)
        del loss
        assert node() is None
    finally:
        gc.enable()
