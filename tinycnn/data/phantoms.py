"""Phantoms: simulated patches of digitised film mammograms, with and without a cluster.

The steps follow the radiation: breast tissue → calcifications → X-ray exposure → intensifying
screen → film → digitiser. Lengths are in mm; attenuation is the exponent μ·t of Beer and Lambert's
law, as a difference from a breast of fat alone; film blackening is an optical density (OD).
The ranges below were tuned by hand, until mean, standard deviation, noise and spectrum of the grey
levels resembled those of film digitised at 85 µm, and by how well networks trained on phantoms
alone did on such films. No pixel of a real mammogram enters.

Sources:
    [1] Burgess, Jacobson, Judy: Human observer detection experiments with mammograms and
        power-law noise. Medical Physics 28 (2001) 419. Power ∝ 1/fᵝ, β ≈ 3.
    [2] Cheng, Cai, Chen, Hu, Lou: Computer-aided detection and classification of
        microcalcifications in mammograms: a survey. Pattern Recognition 36 (2003) 2967.
    [3] American College of Radiology: BI-RADS Atlas, 5th edition (2013), "grouped" calcifications.
    [4] Johns, Yaffe: X-ray characterisation of normal and neoplastic breast tissues. Physics in
        Medicine and Biology 32 (1987) 675.
    [5] Hubbell, Seltzer: Tables of X-ray mass attenuation coefficients. NISTIR 5632 (1995).
    [6] Nishikawa, Yaffe: Signal-to-noise properties of mammographic film-screen systems. Medical
        Physics 12 (1985) 32.
    [7] Kallergi and others: Simulation model of mammographic calcifications based on the BI-RADS.
        Academic Radiology 5 (1998) 670.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinycnn.data.patches import Patches
from tinycnn.kernels.types import Array

PIXEL_MM = 0.085
PATCHES_PER_CASE = 4
LEAST_SIZE = 8  # pixels; in less there is no room for a cluster
MARGIN = 10  # pixels simulated around the patch, so that the screen's blur has no edge to wrap at

SPECTRAL_SLOPE = 3.0  # β: the texture's power falls as 1/fᵝ [1]
MU_GLANDULAR = 0.035  # per mm, glandular tissue less fat, at 20 keV [4]

NUMBER = (5, 40)  # calcifications a cluster: five within 1 cm make a group [3]
SIZE_MM = (0.1, 1.0)  # longest diameter; 0.3 is typical [2]
SPREAD_MM = (0.4, 1.6)  # standard deviation about the centre: clusters some 2 to 6 mm across
MU_CALCIFICATION = (1.2, 2.2)  # per mm, apatite less tissue, from 25 down to 20 keV [5]
ASPECT = {"round": (0.75, 1.0), "rod": (0.3, 0.6), "irregular": (0.6, 1.0)}  # width / length [7]
OVERSAMPLING = 4  # a 0.1 mm calcification is hardly wider than a pixel

OD_FOG, OD_MAX = 0.2, 4.0  # density of unexposed and of saturated film


@dataclass(frozen=True)
class Case:
    """What the patches of one examination have in common: a breast, an exposure and a film."""

    gland_mm: float  # mean thickness of glandular tissue
    texture: float  # rms of the texture, as a multiple of √(gland thickness in mm)
    log_exposure: float  # log₁₀ of exposure behind fat alone; 0 gives the film's middle density
    scatter: float  # scattered to primary radiation, behind the grid
    quanta: float  # X-ray quanta a pixel that the screen turns to light, behind fat alone [6]
    mtf50: float  # cycles per mm at which half the contrast is left
    gamma: float  # greatest slope of density against log₁₀ exposure
    grain: float  # standard deviation of density at OD 1, in one pixel
    od_range: float  # density that the digitiser shows as black


@dataclass(frozen=True)
class Calcification:
    """An ellipsoid, or with an uneven outline, a lump; x and y from the patch's corner."""

    x_mm: float
    y_mm: float
    length_mm: float
    width_mm: float
    angle: float  # radians
    outline: Array  # complex Fourier coefficients 2, 3, 4 of the radius over its angle
    mu: float  # per mm


def phantoms(n: int, seed: int, size: int = 60) -> Patches:
    """n patches of size × size pixels, normal and cluster in turn, four to a case.

    Patch i depends on seed, i and size alone, not on n. Images are (n, 1, size, size) float32,
    multiples of 1/255 as an 8-bit file would give.

    Raises:
        ValueError: n or seed is below 0, or size below 8.

    >>> some = phantoms(6, seed=1)
    >>> some.images.shape, some.labels.tolist(), some.names[-1].item()
    ((6, 1, 60, 60), [0, 1, 0, 1, 0, 1], 'phantom_0002_2')
    """
    for name, value, least in (("n", n, 0), ("seed", seed, 0), ("size", size, LEAST_SIZE)):
        if value < least:
            raise ValueError(f"phantoms: {name} is {value}; it must be {least} or more")
    labels = np.arange(n) % 2
    number = [f"{i // PATCHES_PER_CASE + 1:04d}" for i in range(n)]
    names = [f"phantom_{c}_{i % PATCHES_PER_CASE + 1}" for i, c in enumerate(number)]
    images = np.empty((n, 1, size, size), np.float32)
    for i in range(n):
        case = draw_case(_generator(seed, 0, i // PATCHES_PER_CASE))
        images[i, 0] = patch(_generator(seed, 1, i), case, bool(labels[i]), size) / np.float32(255)
    cases = np.array(number, np.str_)
    return Patches(images, labels.astype(np.int64), cases, np.array(names, np.str_))


def _generator(seed: int, *key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def draw_case(rng: np.random.Generator) -> Case:
    """A breast, an exposure and a film."""
    return Case(
        gland_mm=rng.uniform(4, 20),
        texture=rng.lognormal(np.log(1.0), 0.25),
        log_exposure=rng.normal(0.25, 0.20),
        scatter=rng.uniform(0.1, 0.3),
        quanta=rng.uniform(400, 1200),
        mtf50=rng.uniform(2.5, 5.0),
        gamma=rng.uniform(2.8, 3.8),
        grain=rng.uniform(0.010, 0.020),
        od_range=rng.uniform(3.2, 4.0),
    )


def patch(rng: np.random.Generator, case: Case, cluster: bool, size: int) -> Array:
    """One patch, (size, size) uint8: white is unexposed film."""
    side = size + 2 * MARGIN
    # Clusters grow where ducts and lobules are: in denser tissue than the case's average.
    gland_mm = case.gland_mm + rng.normal(0, 3.5) + (rng.gamma(3, 2.5) if cluster else 0)
    gland_mm = max(gland_mm, 1.0)
    breast = tissue(rng, gland_mm, case.texture * np.sqrt(gland_mm), 2 * side)[:side, :side]
    attenuation = MU_GLANDULAR * (breast + strands(rng, side))
    if cluster:
        attenuation += calcifications(draw_cluster(rng, size), size)
    exposure = expose(rng, attenuation, case)
    density = film(rng, blur(exposure, case.mtf50), case)
    return digitise(dust(rng, density[MARGIN:-MARGIN, MARGIN:-MARGIN]), case.od_range)


def tissue(rng: np.random.Generator, mean_mm: float, rms_mm: float, side: int) -> Array:
    """Thickness of glandular tissue in mm: noise with power ∝ 1/fᵝ, stretched along one direction.

    The field wraps around: take a part of it. Waves longer than that part are its slow gradient.
    """
    fy, fx = _frequencies(side)
    angle, stretch = rng.uniform(0, np.pi), rng.uniform(1, 1.4)
    along = fx * np.cos(angle) + fy * np.sin(angle)
    across = fy * np.cos(angle) - fx * np.sin(angle)
    f = np.hypot(along * stretch, across / stretch)
    f[0, 0] = np.inf  # the mean is set below
    white = np.fft.rfft2(rng.normal(size=(side, side)))
    texture = np.fft.irfft2(white * f ** (-SPECTRAL_SLOPE / 2), s=(side, side))
    thickness: Array = mean_mm + rms_mm * texture / texture.std()
    return thickness


def strands(rng: np.random.Generator, side: int) -> Array:
    """Vessels, ducts and ligaments, in mm of glandular tissue: bent lines of 0.2 to 1 mm.

    They lie in both classes: a bright line or crossing is not yet a calcification. A ligament is a
    sheet, and seen edge on is thicker than it is wide.
    """
    y, x = (np.mgrid[:side, :side] - side / 2) * PIXEL_MM
    thickness = np.zeros((side, side))
    for _ in range(rng.poisson(1.5)):
        angle, width_mm = rng.uniform(0, np.pi), rng.uniform(0.2, 1.0)
        along = x * np.cos(angle) + y * np.sin(angle)
        across = y * np.cos(angle) - x * np.sin(angle)
        distance = across - rng.uniform(-3, 3) - rng.normal(0, 0.06) * along**2
        thickness += rng.uniform(0.3, 2.5) * np.exp(-((2 * distance / width_mm) ** 2) / 2)
    return thickness


def draw_cluster(rng: np.random.Generator, size: int) -> list[Calcification]:
    """Calcifications around a centre in the patch, alike in size, shape and mineral content."""
    number = min(NUMBER[0] - 1 + rng.geometric(1 / 12), NUMBER[1])
    typical_mm, mu = rng.lognormal(np.log(0.35), 0.28), rng.uniform(*MU_CALCIFICATION)
    shapes = rng.choice(list(ASPECT), size=number, p=rng.dirichlet(np.ones(len(ASPECT))))
    patch_mm = size * PIXEL_MM
    centre, spread = rng.uniform(0.05, 0.95, 2) * patch_mm, rng.uniform(*SPREAD_MM)
    cluster = []
    for shape in shapes:
        x, y = _inside(rng, centre, spread, patch_mm)
        stretch = 1.5 if shape == "rod" else 1.0
        length = np.clip(typical_mm * stretch * rng.lognormal(0, 0.3), *SIZE_MM)
        width, angle = length * rng.uniform(*ASPECT[shape]), rng.uniform(0, np.pi)
        bumps = rng.uniform(0, 0.2, 3) * np.exp(2j * np.pi * rng.random(3))
        outline = bumps * (shape == "irregular")
        cluster.append(Calcification(x, y, length, width, angle, outline, mu))
    return cluster


def _inside(rng: np.random.Generator, centre: Array, spread: float, patch_mm: float) -> Array:
    """A position around the centre, drawn again until it is in the patch."""
    while True:
        where = rng.normal(centre, spread)
        if ((where > 0) & (where < patch_mm)).all():
            return where


def calcifications(cluster: list[Calcification], size: int) -> Array:
    """Attenuation μ·t of the patch and its margin, averaged over each pixel."""
    side, step = size + 2 * MARGIN, PIXEL_MM / OVERSAMPLING
    fine = np.zeros((side * OVERSAMPLING, side * OVERSAMPLING))
    for c in cluster:
        x, y = c.x_mm + MARGIN * PIXEL_MM, c.y_mm + MARGIN * PIXEL_MM
        reach = c.length_mm / 2
        rows = np.arange(int((y - reach) / step), int((y + reach) / step) + 1)[:, None]
        columns = np.arange(int((x - reach) / step), int((x + reach) / step) + 1)
        fine[rows, columns] += c.mu * depth(c, (columns + 0.5) * step - x, (rows + 0.5) * step - y)
    pixels: Array = fine.reshape(side, OVERSAMPLING, side, OVERSAMPLING).mean((1, 3))
    return pixels


def depth(c: Calcification, x: Array, y: Array) -> Array:
    """Thickness along the beam in mm, x and y mm from the centre: at most the width."""
    along = (x * np.cos(c.angle) + y * np.sin(c.angle)) / (c.length_mm / 2)
    across = (y * np.cos(c.angle) - x * np.sin(c.angle)) / (c.width_mm / 2)
    turn = np.exp(1j * np.arctan2(across, along))
    bumps = sum(a * turn**k for k, a in enumerate(c.outline, start=2)).real
    radius = (1 + bumps) / (1 + np.abs(c.outline).sum())  # at most 1: no longer than the length
    thickness: Array = c.width_mm * np.sqrt(np.maximum(1 - (along**2 + across**2) / radius**2, 0))
    return thickness


def expose(rng: np.random.Generator, attenuation: Array, case: Case) -> Array:
    """Quanta in the screen, relative to the mean behind fat alone, with their Poisson noise."""
    primary = np.exp(-attenuation)
    expected = case.quanta * (primary + case.scatter * primary.mean())
    quanta: Array = rng.poisson(expected) / case.quanta
    return quanta


def blur(light: Array, mtf50: float) -> Array:
    """The screen's light spreads, from signal and noise alike: MTF(f) = 1 / (1 + (f/f₅₀)²)."""
    fy, fx = _frequencies(len(light))
    mtf = 1 / (1 + (fx**2 + fy**2) / mtf50**2)
    return np.fft.irfft2(np.fft.rfft2(light) * mtf, s=light.shape)


def _frequencies(side: int) -> tuple[Array, Array]:
    """Rows' and columns' frequencies of rfft2, in cycles per mm."""
    return np.fft.fftfreq(side, PIXEL_MM)[:, None], np.fft.rfftfreq(side, PIXEL_MM)[None]


def film(rng: np.random.Generator, light: Array, case: Case) -> Array:
    """Optical density: Hurter and Driffield's S-shaped curve, and grain ∝ √density (Selwyn)."""
    log_exposure = case.log_exposure + np.log10(np.maximum(light, 1e-3))
    span = OD_MAX - OD_FOG
    density = OD_FOG + span / (1 + np.exp(-4 * case.gamma / span * log_exposure))
    return density + case.grain * np.sqrt(density) * rng.normal(size=density.shape)


def dust(rng: np.random.Generator, density: Array) -> Array:
    """Dust in the cassette keeps light from the film: bright specks, sharper than any lump."""
    density = density.copy()
    for _ in range(rng.poisson(0.25)):
        row, column = rng.integers(len(density), size=2)
        height, width = rng.integers(1, 4), rng.integers(1, 3)
        density[row : row + height, column : column + width] -= rng.uniform(0.3, 1.5)
    return density


def digitise(density: Array, od_range: float) -> Array:
    """Grey levels 0 to 255, linear in density: 255 is OD 0, 0 is the digitiser's range."""
    return np.rint(255 * np.clip(1 - density / od_range, 0, 1)).astype(np.uint8)
