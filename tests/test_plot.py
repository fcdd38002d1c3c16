"""The figures: what they hold, that they say it in words, and that they are saved whole."""

import os
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from tinycnn import plot
from tinycnn.errors import InputError
from tinycnn.plot.style import line

CHOSEN = 0.3


def patches(count, seed=0):
    rng = np.random.default_rng(seed)
    images = rng.random((count, 1, 12, 10), dtype=np.float32)
    names = np.array([f"some/folder/{i:04d}.png" for i in range(count)])
    return images, np.arange(count) % 2, names


def scores(count=40, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    return labels, np.clip(0.3 * labels + 0.7 * rng.random(count), 0, 1), np.arange(count) // 4


def history(epochs):
    return [
        {
            "epoch": e,
            "train_loss": 1 / e,
            "train_accuracy": 1 - 0.4 / e,
            "val_loss": 1.1 / e,
            "val_accuracy": 1 - 0.5 / e,
            "val_auc": 0.9 + 0.02 * min(e, 3),
            "lr": 0.01 / e,
        }
        for e in range(1, epochs + 1)
    ]


def with_images(figure):
    return [axes for axes in figure.axes if axes.images]


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def words(figure):
    return " ".join(text.get_text() for text in figure.texts)


def all_figures():
    images, labels, names = patches(8)
    _, probabilities, cases = scores(8)
    return {
        "samples": plot.samples(images, labels, names, 0.085),
        "learning_curves": plot.learning_curves(history(5)),
        "roc_curve": plot.roc_curve(labels, probabilities, cases, CHOSEN),
        "confusion_matrix": plot.confusion_matrix([[3, 1], [0, 4]]),
        "misclassified": plot.misclassified(images, labels, probabilities, names, CHOSEN, 0.085),
        "kernels": plot.kernels(np.linspace(-1, 1, 18).reshape(2, 1, 3, 3)),
        "activation_maps": plot.activation_maps(images[0, 0], [("relu", np.ones((8, 6, 5)))]),
        "compare_rocs": plot.compare_rocs({"one": (labels, probabilities)}),
    }


def test_every_figure_is_saved_as_a_picture_that_opens(tmp_path):
    for name, figure in all_figures().items():
        plot.save(figure, tmp_path / f"{name}.png")
        with Image.open(tmp_path / f"{name}.png") as picture:
            width, height = figure.get_size_inches() * 150
            assert picture.size == (int(width), int(height)), name
            assert len(set(picture.convert("L").tobytes())) > 10, name
    assert len(list(tmp_path.iterdir())) == 8, "nothing but the pictures is left"


def test_the_same_arrays_give_the_same_bytes_whatever_the_users_settings(tmp_path):
    import matplotlib

    plot.save(plot.learning_curves(history(2)), tmp_path / "a.png")
    with matplotlib.rc_context({"font.size": 30, "savefig.dpi": 20, "axes.facecolor": "red"}):
        plot.save(plot.learning_curves(history(2)), tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_samples_show_eight_of_each_class_spread_over_all_of_it():
    images, labels, names = patches(60)
    figure = plot.samples(images, labels, names, pixel_mm=0.1)
    panels = with_images(figure)
    assert len(panels) == 16
    shown = [axes.get_title() for axes in panels]
    assert shown[0] == "0000.png"
    assert shown[7] == "0058.png"
    assert shown[8] == "0001.png"
    assert shown[15] == "0059.png"
    assert "normal tissue\n(8 of 30)" in panels[0].get_ylabel()
    assert "microcalcifications\n(8 of 30)" in panels[8].get_ylabel()
    np.testing.assert_array_equal(panels[9].images[0].get_array(), images[9, 0] * 255)


def test_samples_share_one_grey_window_and_say_which():
    images = np.full((2, 1, 40, 40), 0.2)
    images[1] = 0.6
    images[1, 0, :10, :10] = 0.8
    figure = plot.samples(images, np.array([0, 1]))
    for axes in with_images(figure):
        assert axes.images[0].get_clim() == pytest.approx((51, 204))
    assert figure.axes[-1].get_ylabel() == "grey level of 255\n(window 51 to 204)"


def test_a_patchs_axes_are_in_mm_where_the_pixel_is_known_and_in_pixels_where_not():
    images, labels, _ = patches(2)
    known = with_images(plot.samples(images, labels, pixel_mm=0.1))[-1]
    assert known.get_xlabel() == "x / mm"
    assert known.get_xlim() == pytest.approx((0, 1.0))
    assert known.get_ylim() == pytest.approx((1.2, 0)), "row 0 is on top"
    unknown = with_images(plot.samples(images, labels))[-1]
    assert unknown.get_xlabel() == "x / pixels"
    assert unknown.get_xlim() == (0, 10)


def test_samples_of_one_class_or_none_are_a_figure_too():
    images, labels, _ = patches(4)
    assert len(with_images(plot.samples(images[labels == 1], labels[labels == 1]))) == 2
    assert "no image" in words(plot.samples(images[:0], labels[:0]))


def test_a_patch_of_one_grey_level_still_has_a_window_of_some_width():
    figure = plot.samples(np.full((1, 1, 4, 4), 0.2), np.array([0]))
    assert figure.axes[-1].get_ylabel() == "grey level of 255\n(window 51 to 52)"


def test_learning_curves_mark_the_first_epoch_of_the_largest_auc():
    figure = plot.learning_curves(history(6))  # the AUC stays at 0.96 from epoch 3 on
    assert "best epoch 3, validation AUC 0.960" in figure.axes[0].get_title()
    for axes in figure.axes:
        assert axes.lines[-1].get_xdata()[0] == 3
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert labels == ["cross-entropy / nat", "accuracy, AUC (0 to 1)", "learning rate"]
    assert figure.axes[2].get_xlabel() == "epoch"
    assert legend(figure.axes[0]) == ["training", "validation"]
    np.testing.assert_allclose(figure.axes[1].lines[2].get_ydata()[:3], [0.92, 0.94, 0.96])


def test_learning_curves_of_no_epoch_one_epoch_and_a_diverged_training(tmp_path):
    assert "no epoch" in words(plot.learning_curves([]))
    one = plot.learning_curves(history(1))
    plot.save(one, tmp_path / "one.png")
    ticks = [t for t in one.axes[2].get_xticks() if 0.5 <= t <= 1.5]
    assert ticks == [1], "epochs are counted in whole numbers"
    diverged = [{**row, "val_auc": np.nan, "val_loss": np.nan} for row in history(3)]
    figure = plot.learning_curves(diverged)
    assert figure.axes[0].get_title() == ""
    plot.save(figure, tmp_path / "diverged.png")


def test_the_roc_curve_tells_its_area_interval_and_operating_points():
    labels, probabilities, cases = scores()
    figure = plot.roc_curve(labels, probabilities, cases, CHOSEN)
    area, half, chosen, chance = legend(figure.axes[0])
    assert area.startswith("AUC 0.")
    assert "95 % interval" in area
    assert half.startswith("threshold 0.5: sensitivity")
    assert chosen.startswith("threshold 0.3 (chosen on validation): sensitivity")
    assert chance == "chance: AUC 0.5"
    called = probabilities >= CHOSEN
    point = figure.axes[0].lines[2]
    assert point.get_xdata()[0] == pytest.approx(called[labels == 0].mean())
    assert point.get_ydata()[0] == pytest.approx(called[labels == 1].mean())
    assert "specificity" in figure.axes[0].get_xlabel()
    assert "sensitivity" in figure.axes[0].get_ylabel()


def test_the_roc_curve_without_cases_or_of_one_case_claims_no_interval():
    labels, probabilities, cases = scores()
    for some_cases in (None, np.zeros_like(cases)):
        figure = plot.roc_curve(labels, probabilities, some_cases)
        assert "interval" not in legend(figure.axes[0])[0]
        assert len(legend(figure.axes[0])) == 3


def test_the_confusion_matrix_has_counts_and_row_percentages():
    figure = plot.confusion_matrix([[30, 10], [0, 0]])
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == [
        "30\n75.0 % of row\ntrue negatives",
        "10\n25.0 % of row\nfalse positives",
        "0\nno image in row\nfalse negatives",
        "0\nno image in row\ntrue positives",
    ]
    assert figure.axes[0].get_xlabel() == "called"
    assert figure.axes[0].get_ylabel() == "in truth"


def test_misclassified_patches_come_worst_first():
    images, _, names = patches(5)
    labels = np.array([0, 1, 0, 1, 1])
    probabilities = np.array([0.8, 0.05, 0.35, 0.28, 0.9])
    panels = with_images(plot.misclassified(images, labels, probabilities, names, CHOSEN))
    titles = [axes.get_title().split("\n") for axes in panels]
    assert [t[0] for t in titles] == [
        "missed: p = 0.050",
        "false alarm: p = 0.800",
        "missed: p = 0.280",
        "false alarm: p = 0.350",
    ]
    assert [t[1] for t in titles] == ["0001.png", "0000.png", "0003.png", "0002.png"]
    np.testing.assert_array_equal(panels[0].images[0].get_array(), images[1, 0] * 255)


def test_a_faint_misclassified_patch_has_a_grey_window_of_its_own():
    images = np.full((2, 1, 40, 40), 0.9)
    images[1] = 0.2
    images[1, 0, :10, :10] = 0.4
    figure = plot.misclassified(
        images, np.array([1, 1]), np.array([0.0, 0.1]), np.array(["a.png", "b.png"])
    )
    faint = with_images(figure)[1]
    assert faint.get_title().endswith("grey 51 to 102 of 255")
    assert faint.images[0].get_clim() == pytest.approx((51, 102))


def test_no_mistake_gives_a_text_and_many_give_the_worst_24():
    images, labels, names = patches(60)
    none = plot.misclassified(images, labels, labels.astype(float), names)
    assert "0 of 60 patches misclassified at threshold 0.5" in words(none)
    assert not none.axes
    every = plot.misclassified(images, labels, 1.0 - labels, names)
    assert len(with_images(every)) == 24
    assert every.get_suptitle() == "60 of 60 patches misclassified at threshold 0.5: the worst 24"


def test_kernels_share_a_scale_centred_at_zero():
    weights = np.linspace(-0.5, 1, 72).reshape(8, 1, 3, 3)
    figure = plot.kernels(weights)
    panels = with_images(figure)
    assert len(panels) == 8
    assert all(axes.images[0].get_clim() == (-1, 1) for axes in panels)
    assert panels[0].texts[0].get_text() == "−0.50"
    assert panels[7].texts[-1].get_text() == "1.00"
    assert figure.axes[-1].get_ylabel() == "weight"
    zeros = with_images(plot.kernels(np.zeros((2, 1, 3, 3))))[0]
    assert zeros.images[0].get_clim() == (-1, 1), "zero is white, also where all is zero"


def test_many_kernels_are_cut_off_and_named_by_filter_and_channel():
    figure = plot.kernels(np.ones((30, 3, 5, 5)))
    panels = with_images(figure)
    assert len(panels) == 64
    assert panels[4].get_title() == "1 ← 1"
    assert figure.get_suptitle().startswith("the first 64 of 90 kernels of 5 × 5")


def test_activation_maps_show_each_channel_in_its_place():
    maps = np.arange(32.0).reshape(32, 1, 1) * np.ones((32, 4, 3))
    figure = plot.activation_maps(np.zeros((8, 8)), [("relu2", maps)], pixel_mm=0.085)
    layer = figure.axes[2]
    assert layer.get_title() == "relu2: 32 channels of 4 × 3"
    mosaic = layer.images[0].get_array()
    assert mosaic.shape == (4 + 1 + 4, 16 * 3 + 15)
    assert np.all(mosaic[:4, 4:7] == 1)
    assert np.all(mosaic[5:, :3] == 16)
    assert np.all(mosaic[:, 3].mask), "a gap between channels"
    assert [t.get_text() for t in layer.get_yticklabels()] == ["0 to 15", "16 to 31"]
    assert figure.axes[0].get_xlabel() == "x / mm"


def test_activations_of_both_signs_are_centred_at_zero_and_others_start_there():
    signed, positive = np.array([[[-2.0, 1.0]]]), np.array([[[0.5, 3.0]]])
    figure = plot.activation_maps(np.zeros((8, 8)), [("a", signed), ("b", positive)])
    first, second = [axes.images[0] for axes in with_images(figure)[1:]]
    assert first.get_clim() == (-2, 2)
    assert second.get_clim() == (0, 3)


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_dead_and_diverged_layers_are_drawn_too(tmp_path, value):
    figure = plot.activation_maps(np.zeros((8, 8)), [("a", np.full((3, 4, 4), value))])
    plot.save(figure, tmp_path / "maps.png")
    plot.save(plot.kernels(np.full((2, 1, 3, 3), value)), tmp_path / "kernels.png")
    plot.save(plot.activation_maps(np.zeros((8, 8)), []), tmp_path / "patch.png")


def test_models_are_compared_in_the_order_of_their_auc():
    labels, probabilities, _ = scores()
    models = {"noisy": (labels, probabilities), "right": (labels, labels.astype(float))}
    figure = plot.compare_rocs(models)
    assert legend(figure.axes[0])[0] == "right: AUC 1.000"
    assert legend(figure.axes[0])[1].startswith("noisy: AUC 0.")
    assert "no model" in words(plot.compare_rocs({}))


def test_lines_differ_in_more_than_colour():
    neighbours = [line(number) for number in range(28)]
    assert len({tuple(sorted(style.items())) for style in neighbours}) == 28
    assert all(a["linestyle"] != b["linestyle"] for a, b in pairwise(neighbours))


def test_a_failed_save_leaves_the_old_picture_and_no_remnant(tmp_path, monkeypatch):
    path = tmp_path / "roc.png"
    path.write_bytes(b"the picture of yesterday")

    def full_disk(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(InputError, match=r"roc\.png: cannot be written: No space left on device"):
        plot.save(plot.confusion_matrix([[1, 0], [0, 1]]), path)
    assert path.read_bytes() == b"the picture of yesterday"
    assert os.listdir(tmp_path) == ["roc.png"]


def test_a_picture_appears_under_its_name_only_when_it_is_whole(tmp_path, monkeypatch):
    path, seen = tmp_path / "roc.png", []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (seen.append(path.exists()), real(fd)))
    plot.save(plot.confusion_matrix([[1, 0], [0, 1]]), path)
    assert seen == [False]
    assert os.listdir(tmp_path) == ["roc.png"]


def test_a_missing_folder_is_made_and_one_that_cannot_be_is_named(tmp_path):
    figure = plot.confusion_matrix([[1, 0], [0, 1]])
    plot.save(figure, tmp_path / "new" / "roc.png")
    with pytest.raises(InputError, match=r"roc\.png.again\.png: cannot be written"):
        plot.save(figure, tmp_path / "new" / "roc.png" / "again.png")


def test_importing_the_figures_imports_no_matplotlib_and_drawing_no_pyplot():
    script = (
        "import sys, tinycnn.plot as plot\n"
        "assert 'matplotlib' not in sys.modules and 'sklearn' not in sys.modules\n"
        "plot.confusion_matrix([[1, 0], [0, 1]])\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
