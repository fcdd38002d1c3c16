"""The table of a network: shapes, parameters, cost, what each layer sees."""

import math

import numpy as np
import pytest

import tinycnn as tc
from tinycnn import nn
from tinycnn.models import build, classic
from tinycnn.summary import summary


def by_name(model, shape):
    return {row.name: row for row in summary(model, shape).rows}


def test_the_exercise_network_is_told_layer_by_layer():
    table = summary(build("exercise", (1, 60, 60)), (1, 60, 60))
    rows = {row.name: row for row in table.rows}
    assert [row.kind for row in table.rows] == [
        *(["Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d"] * 3),
        *("Flatten", "Linear", "ReLU", "Dropout", "Linear"),
    ]
    assert rows["0"].output_shape == (1, 8, 60, 60)
    assert rows["11"].output_shape == (1, 32, 7, 7)
    assert rows["12"].output_shape == (1, 1568)
    assert [rows[name].trainable for name in ("0", "4", "8", "13", "16")] == [
        *(80, 1168, 4640),
        *(15690, 11),
    ]
    assert rows["1"].trainable == 16
    assert table.parameters == 21701
    assert rows["4"].multiply_adds == 16 * 30 * 30 * 8 * 9
    assert rows["13"].multiply_adds == 15680
    assert rows["1"].multiply_adds == 8 * 60 * 60
    assert rows["2"].multiply_adds == rows["3"].multiply_adds == 0
    assert rows["0"].activation_bytes == 8 * 60 * 60 * 4
    assert rows["12"].activation_bytes == 0  # a view
    assert table.activation_bytes == sum(row.activation_bytes for row in table.rows)


def test_behind_its_last_pooling_the_exercise_network_sees_22_pixels():
    rows = by_name(build("exercise", (1, 60, 60)), (1, 60, 60))
    sees = [rows[name].receptive_field[0] for name in ("0", "3", "4", "7", "8", "11", "12")]
    # 1 + 2, + 1, + 2·2, + 2, + 2·4, + 4
    assert sees == [3, 4, 8, 10, 18, 22, 22]
    assert rows["13"].receptive_field == (math.inf, math.inf)
    assert "22×22" in str(summary(build("exercise", (1, 60, 60)), (1, 60, 60)))


def test_resnet20_has_its_nineteen_convolutions_two_shortcuts_and_271_thousand_parameters():
    table = summary(build("resnet20", (1, 60, 60)), (1, 60, 60))
    convolutions = [row for row in table.rows if row.kind == "Conv2d"]
    threes = [row for row in convolutions if row.trainable % 9 == 0 and "shortcut" not in row.name]
    assert (len(convolutions), len(threes)) == (19 + 2, 19)
    assert [row.kind for row in table.rows].count("Linear") == 1
    # He et al., table 6: 0.27 million
    assert 270_000 < table.parameters < 275_000
    assert table.parameters == sum(p.numel() for p in build("resnet20", (1, 60, 60)).parameters())


def test_vgg19_sees_268_pixels_behind_its_last_pooling(monkeypatch):
    monkeypatch.setattr(classic, "_head", lambda features, hidden: nn.Linear(features, 1))
    model = build("vgg19", (3, 224, 224))
    table = summary(model.features, (3, 32, 32))  # what a unit sees is the same in any image
    assert table.rows[-1].receptive_field == (268, 268)
    assert [row.kind for row in table.rows].count("Conv2d") == 16


def test_frozen_parameters_are_counted_apart():
    model = build("exercise", (1, 24, 24))
    model[0].requires_grad_(False)
    table = summary(model, (1, 24, 24))
    assert (table.rows[0].trainable, table.rows[0].frozen) == (0, 80)
    assert table.rows[4].frozen == 0
    assert "(80 frozen)" in str(table)
    model.requires_grad_(False)
    assert sum(row.trainable for row in summary(model, (1, 24, 24)).rows) == 0
    assert summary(model, (1, 24, 24)).rows[3].receptive_field == (4, 4)


@pytest.mark.parametrize("shape", [(1, 24, 24), (2, 24, 24)])
def test_the_network_is_left_as_it_was_also_after_an_error(shape):
    model = build("exercise", (1, 24, 24)).train()
    model[1].eval()
    before = {name: t.numpy().tobytes() for name, t in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    if shape[0] == 1:
        summary(model, shape)
    else:
        with pytest.raises(ValueError, match="conv2d"):
            summary(model, shape)
    assert [module.training for module in model.modules()] == modes
    assert {name: t.numpy().tobytes() for name, t in model.state_dict().items()} == before
    assert all(not module._forward_hooks for module in model.modules())
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("shape", [60, (60, 60), (1, 1, 1, 60, 60)])
def test_what_is_no_shape_of_an_image_is_refused(shape):
    with pytest.raises(ValueError, match=r"input_shape is .*60.*, needs \(C, H, W\)"):
        summary(build("logistic", (1, 60, 60)), shape)


def test_the_summary_does_not_care_whether_gradients_are_recorded():
    model = build("lenet5", (1, 60, 60))
    with tc.no_grad():
        silent = summary(model, (1, 60, 60))
        assert not tc.is_grad_enabled()
    assert silent == summary(model, (1, 60, 60))


def test_strides_dilation_padding_and_groups_are_counted():
    model = nn.Sequential(
        nn.Conv2d(4, 8, (3, 5), stride=(2, 1), padding=1, dilation=(1, 2), groups=2),
        nn.Conv2d(8, 8, 3, groups=8, bias=False),
    )
    rows = by_name(model, (4, 32, 32))
    y = model(tc.zeros(1, 4, 32, 32))
    assert rows["1"].output_shape == y.shape
    assert rows["0"].trainable == 8 * 2 * 15 + 8
    assert rows["0"].multiply_adds == math.prod(rows["0"].output_shape) * 2 * 15
    assert rows["1"].multiply_adds == y.numel() * 9
    assert rows["0"].receptive_field == (3, 9)
    assert rows["1"].receptive_field == (3 + 2 * 2, 9 + 2)


def test_branches_see_what_the_widest_of_them_sees():
    model = nn.Concat(nn.Conv2d(1, 2, 1), nn.Conv2d(1, 2, 5, padding=2))
    assert by_name(model, (1, 20, 20))["(all)"].receptive_field == (5, 5)
    model = nn.Sequential(nn.Residual(nn.Conv2d(2, 2, 3, padding=1)), nn.MaxPool2d(2))
    rows = by_name(model, (2, 20, 20))
    assert rows["0"].receptive_field == (3, 3)
    assert rows["1"].receptive_field == (4, 4)


def test_a_batch_and_float64_count_in_the_activations():
    model = nn.Sequential(nn.Conv2d(1, 2, 3))
    one = summary(model, (1, 10, 10)).rows[0]
    five = summary(model.double(), (5, 1, 10, 10)).rows[0]
    assert five.output_shape == (5, 2, 8, 8)
    assert five.activation_bytes == 10 * one.activation_bytes
    assert five.multiply_adds == 5 * one.multiply_adds


def test_what_a_layer_sees_is_where_its_gradient_is_not_zero():
    model = build("exercise", (1, 60, 60)).eval()
    x = tc.tensor(np.random.default_rng(0).random((1, 1, 60, 60)), requires_grad=True)
    y = x
    for layer in list(model.double().children())[:12]:
        # every unit of a window counts, not the largest alone; and nothing is cut off at 0
        if isinstance(layer, nn.MaxPool2d):
            layer = nn.AvgPool2d(2)
        y = y if isinstance(layer, nn.ReLU) else layer(y)
    y[0, :, 3, 3].sum().backward()
    rows, columns = np.nonzero(x.grad.numpy()[0, 0])
    assert np.ptp(rows) + 1 == np.ptp(columns) + 1 == 22
