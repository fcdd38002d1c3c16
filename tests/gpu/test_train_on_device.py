"""The main job on real patches, on the device as on the CPU.

float64 tells that both compute the same: it differs by rounding's 1e-16. In float32 two runs part
on any device, since rounding decides ReLUs and poolings that are nearly a tie; the CPU parts from
itself where its first weights are moved by one unit in the last place. That is the measure here.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest

from tinycnn import Tensor, kernels, nn, random
from tinycnn.checkpoint import load_tensors
from tinycnn.cli import main
from tinycnn.data import Loader, training_patches
from tinycnn.models import build
from tinycnn.optim import SGD
from tinycnn.train import AUGMENTATIONS, Recipe

from .device import cupy_or_skip

cupy = cupy_or_skip()
REAL = Path(__file__).parents[3] / "shared/data/mammography_micro"
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not REAL.exists(), reason="real patches do not lie beside the project"),
]

STEPS = 20
BATCH = 8


def distance(these, those):
    """Between two networks' weights: the length of the difference, relative to theirs."""
    assert these.keys() == those.keys()
    weights = [name for name in those if name.endswith(("weight", "bias"))]
    apart = sum(np.sum((these[name] - those[name]) ** 2) for name in weights)
    return (apart / sum(np.sum(those[name] ** 2) for name in weights)) ** 0.5


def trained(device, dtype, moved=None):
    """Losses and weights of the first steps with the usual recipe. `moved` is the seed of which
    way each first weight is moved to its neighbour.
    """
    patches, recipe = training_patches(REAL), Recipe()
    random.manual_seed(recipe.seed)
    model = build(recipe.model, patches.images.shape[1:]).to(np.dtype(dtype))
    if moved is not None:
        rng = np.random.default_rng(moved)
        for p in model.parameters():
            way = np.where(rng.random(p.shape) < 0.5, -np.inf, np.inf).astype(dtype)
            p.array[...] = np.nextafter(p.array, way)
    model.to(device)
    optimizer = SGD(
        model.parameters(), recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay
    )
    loader = Loader(patches, BATCH, True, recipe.seed, AUGMENTATIONS[recipe.augment])
    losses = []
    for _, (images, labels) in zip(range(STEPS), loader.epoch(0), strict=False):
        x, y = (Tensor(a.astype(dtype)).to(device) for a in (images, labels[:, None]))
        optimizer.zero_grad()
        loss = nn.BCEWithLogitsLoss()(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, {name: t.to("cpu").array for name, t in model.state_dict().items()}


@pytest.fixture(scope="module")
def exact():
    """The steps in float64, by the definition."""
    with kernels.use("reference"):
        return trained("cpu", "float64")


def test_twenty_steps_on_real_patches_are_the_same_on_both(exact):
    losses, weights = trained("cuda", "float64")
    np.testing.assert_allclose(losses, exact[0], 1e-12)
    assert distance(weights, exact[1]) < 1e-12


def test_twenty_steps_in_float32_are_as_near_as_rounding_lets_them_be(exact):
    def off(run):
        losses, weights = run
        return np.abs(np.subtract(losses, exact[0])).max(), distance(weights, exact[1])

    rounding = np.max([off(trained("cpu", "float32", moved)) for moved in range(4)], axis=0)
    assert (off(trained("cuda", "float32")) < 2 * rounding).all()


def test_the_command_trains_on_the_device_as_on_the_cpu(tmp_path, capsys):
    # 160 patches, five steps: the emulated device is done within seconds
    for label in "01":
        (tmp_path / "data" / label).mkdir(parents=True)
        for image in sorted((REAL / "Train" / label).iterdir())[:80]:
            shutil.copy(image, tmp_path / "data" / label)
    weights = {}
    for device in ("cpu", "cuda"):
        run = tmp_path / device
        command = ["train", "--data", str(tmp_path / "data"), "--epochs", "1"]
        assert main([*command, "--device", device, "--out", str(run)]) == 0, capsys.readouterr()
        weights[device], _ = load_tensors(run / "weights.safetensors")
    # the CPU's weights after weights moved by one unit in the last place differ by up to 5.2e-6
    assert distance(weights["cuda"], weights["cpu"]) < 2e-5
