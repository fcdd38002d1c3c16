"""Layers with the same weights in both libraries, in training and in use."""

import numpy as np
import pytest

from .harness import both_backends, equal, normal, ours, theirs, torch, using
from .twins import models_agree, shapes, state, twins

pytestmark = [pytest.mark.parity, both_backends]

LAYERS = {
    "Conv2d": [
        *((4, 6, 3), (4, 6, (3, 2), 2, 1), (4, 6, 3, (2, 1), (0, 2), 2, 2), (4, 4, 3, 1, "same")),
        *((4, 6, 3, 1, 0, 1, 1, False), (4, 8, 1, 1, "valid", 1, 4)),
    ],
    "BatchNorm2d": [(4,), (4, 1e-3), (4, 1e-3, 0.3)],
    "Linear": [(6, 5), (6, 5, False)],
    "ReLU": [()],
    "LeakyReLU": [(), (0.2,)],
    "ELU": [(), (0.5,)],
    "Sigmoid": [()],
    "Tanh": [()],
    "Softplus": [(), (2.0,)],
    "Softmax": [(1,), (-1,)],
    "LogSoftmax": [(1,), (-1,)],
    "MaxPool2d": [(2,), (3, 2, 1), ((2, 3), None, 0, (2, 1))],
    "AvgPool2d": [(2,), (3, 2, 1), ((2, 3), (1, 2))],
    "AdaptiveAvgPool2d": [(1,), ((2, 3),), (5,)],
    "AdaptiveMaxPool2d": [(1,), ((2, 3),), (5,)],
    "Flatten": [(), (2,), (1, 2)],
    "Identity": [()],
}
EVERY = [(name, given) for name, all_given in LAYERS.items() for given in all_given]


@pytest.mark.parametrize(("name", "given"), EVERY)
def test_a_layer_with_pytorchs_arguments_in_their_order(backend, name, given):
    with using(backend):
        pair = twins(lambda lib: getattr(lib.nn, name)(*given))
        models_agree(pair, normal(1, 3, 4, 7, 6))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("Conv2d", {"in_channels": 4, "out_channels": 2, "kernel_size": 3, "bias": False}),
        ("Conv2d", {"in_channels": 4, "out_channels": 2, "kernel_size": 3, "padding": "same"}),
        ("BatchNorm2d", {"num_features": 4, "momentum": 0.5, "eps": 0.1}),
        ("Linear", {"in_features": 6, "out_features": 2, "bias": False}),
        ("AvgPool2d", {"kernel_size": 3, "padding": 1, "count_include_pad": False}),
        ("MaxPool2d", {"kernel_size": 3, "stride": 1, "padding": 1, "dilation": 1}),
        ("LeakyReLU", {"negative_slope": 0.3}),
        ("ELU", {"alpha": 0.3}),
        ("Softplus", {"beta": 0.3}),
        ("Softmax", {"dim": 1}),
        ("Flatten", {"start_dim": 1, "end_dim": -1}),
    ],
)
def test_a_layer_with_pytorchs_keywords(backend, name, options):
    with using(backend):
        models_agree(twins(lambda lib: getattr(lib.nn, name)(**options)), normal(1, 3, 4, 7, 6))


def test_batch_norm_follows_several_batches(backend):
    with using(backend):
        mine, other = twins(lambda lib: lib.nn.BatchNorm2d(3))
        for seed in range(4):
            models_agree((mine, other), (seed + 1) * normal(seed, 5, 3, 4, 4) + seed)
        assert state(ours, mine)["num_batches_tracked"] == 4


def test_weights_go_both_ways(backend):
    with using(backend):
        mine, other = twins(small_network)
        models_agree((mine, other), normal(1, 4, 2, 8, 8))
        fresh = small_network(ours).double()
        fresh.load_state_dict({name: v.numpy() for name, v in other.state_dict().items()})
        models_agree((fresh, other), normal(2, 4, 2, 8, 8))


def small_network(lib):
    nn = lib.nn
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU()),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 3),
    )


def nested_network(lib):
    class Nested(lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = lib.nn.Parameter(lib.leaf(normal(1)))
            self.register_buffer("offset", lib.leaf(normal(2, 6)).detach())
            self.layers = lib.nn.ModuleList([lib.nn.Linear(6, 6) for _ in range(2)])
            self.named = lib.nn.ModuleDict({"last": lib.nn.Linear(6, 2)})

        def forward(self, x):
            x = x * self.scale + self.offset
            for layer in self.layers:
                x = lib.sigmoid(layer(x))
            return self.named["last"](x)

    return Nested()


def test_containers_name_their_parts_alike(backend):
    with using(backend):
        pair = twins(nested_network)
        models_agree(pair, normal(3, 5, 6))
        for walk in ("named_parameters", "named_buffers", "named_modules"):
            names = [[name for name, _ in getattr(model, walk)()] for model in pair]
            assert names[0] == names[1]


def test_a_network_in_float32_has_the_dtypes_of_pytorchs(backend):
    with using(backend):
        mine, other = small_network(ours), small_network(theirs)
        assert shapes(mine) == shapes(other)
        kinds = [
            {name: array.dtype for name, array in state(lib, model).items()}
            for lib, model in ((ours, mine), (theirs, other))
        ]
        assert kinds[0] == kinds[1]


def test_hooks_see_the_same(backend):
    def run(lib, model):
        seen = {}

        def forward(module, inputs, output):
            seen["in"], seen["out"] = lib.array(inputs[0]), lib.array(output)

        def backward(module, grad_input, grad_output):
            seen["grad in"], seen["grad out"] = map(lib.array, (*grad_input, *grad_output))

        handles = [
            model[0].register_forward_hook(forward),
            model[0].register_full_backward_hook(backward),
        ]
        x = lib.leaf(normal(1, 4, 2, 8, 8))
        model(x).backward(lib.leaf(normal(2, 4, 3)).detach())
        for handle in handles:
            handle.remove()
        return seen | {"x": lib.array(x.grad)}

    with using(backend):
        mine, other = twins(small_network)
        found, expected = run(ours, mine), run(theirs, other)
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            equal(name, found[name], value, noise=1e-12)


def test_saved_weights_of_pytorch_load(backend, tmp_path):
    safetensors = pytest.importorskip("safetensors.torch", reason="needs safetensors")
    from safetensors.numpy import load_file

    with using(backend):
        mine, other = small_network(ours).double(), small_network(theirs).double()
        safetensors.save_file(other.state_dict(), tmp_path / "weights.safetensors")
        mine.load_state_dict(load_file(tmp_path / "weights.safetensors"))
        models_agree((mine, other), normal(1, 4, 2, 8, 8))
        assert isinstance(other[3].weight, torch.nn.Parameter)
        assert np.array_equal(mine[3].weight.array, other[3].weight.detach().numpy())
