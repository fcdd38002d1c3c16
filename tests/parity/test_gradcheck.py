"""The checker on PyTorch's own functions and modules."""

import numpy as np
import pytest

from tinycnn.gradcheck import gradcheck, gradgradcheck

torch = pytest.importorskip("torch", reason="parity needs PyTorch: pip install tinycnn[parity]")
torch.set_num_threads(1)
pytestmark = pytest.mark.parity


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def random(*shape):
    return torch.randn(*shape, dtype=torch.float64)


@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_functions_are_checked_to_first_and_second_order(check):
    report = check(lambda x, w: torch.exp(x @ w), (random(3, 4), random(4, 2)))
    assert report.ok, report
    assert report.method == "complex step"
    assert report.worst < 1e-13


@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_modules_are_checked_by_name_and_left_as_they_were(check):
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.Tanh(), torch.nn.Dropout()
    ).double()
    before = {name: t.clone() for name, t in model.state_dict().items()}
    report = check(model, random(2, 1, 5, 5))
    assert report.ok, report
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_a_wrong_parameter_gradient_is_told_by_name():
    class Scale(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, factor):
            ctx.save_for_backward(x, factor)
            return x * factor

        @staticmethod
        def backward(ctx, g):
            x, factor = ctx.saved_tensors
            return g * factor, -(g * x).sum(0)

    class Layer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.factor = torch.nn.Parameter(random(2))

        def forward(self, x):
            return Scale.apply(x, self.factor)

    (finding,) = gradcheck(torch.nn.Sequential(Layer()), random(3, 2)).findings
    assert (finding.input, finding.looks_like) == ("0.factor", "wrong sign")


def test_the_vanished_derivatives_of_its_float32_sigmoid_and_tanh_are_found():
    x = torch.tensor([0.5, 17.0, 20.0])
    report = gradcheck(torch.sigmoid, x)
    assert not report.ok
    assert {entry.index for entry in report.findings[0].entries} == {(1,), (2,)}
    assert not gradcheck(torch.tanh, torch.tensor([9.0])).ok
    assert gradcheck(torch.sigmoid, x[:1]).ok


def test_mixed_inputs_and_several_results():
    index = torch.tensor([0, 2])
    report = gradcheck(lambda x, at, p: (x[at] ** p, x.sum()), (random(3), index, 2))
    assert report.ok, report
    assert np.isfinite(report.worst)
