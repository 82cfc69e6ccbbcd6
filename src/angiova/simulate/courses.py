"""Where the coronary arteries run, as places on the heart; numbers follow the SYNTAX segments.

Places are (elevation, azimuth, depth) as `Heart.surface` takes them. Anatomy after Sianos et al., EuroIntervention
1:219-227 (2005), figure 1, and Dodge et al., Circulation 86:232-246 (1992), for courses and calibres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from angiova.simulate.heart import Floats

Place = tuple[float, float, float]
JITTER_DEG = 4.0


@dataclass(frozen=True, slots=True)
class Course:
    """One artery before it is grown.

    Attributes:
        places: where it runs, after its origin.
        names: (segment or None, fraction of the length where it ends), in order; the last fraction is 1.
        branches: the arteries that leave it.
        at: fraction of the parent's length where it leaves.
        share: fraction of the parent's remaining flow that it takes there; of several branches at one place, each
            takes its share of what those before it left, and the last one all of it.
        taper: calibre at the end over calibre at the origin, not counting what branches take.
        winding: how strongly it winds, relative to the patient's tortuosity.
    """

    places: tuple[Place, ...]
    names: tuple[tuple[str | None, float], ...] = ((None, 1.0),)
    branches: tuple[Course, ...] = ()
    at: float = 1.0
    share: float = 1.0
    taper: float = 0.55
    winding: float = 1.0


def left_origin(rng: np.random.Generator) -> Place:
    """Return the place of the left ostium, inside the heart's outline at the aortic root."""
    return (-3.0, float(rng.normal(4, 3)), float(rng.uniform(0.52, 0.62)))


def right_origin(rng: np.random.Generator) -> Place:
    """Return the place of the right ostium."""
    return (-2.0, float(rng.normal(-28, 4)), float(rng.uniform(0.42, 0.52)))


def left_course(rng: np.random.Generator, left_dominant: bool) -> Course:
    """Return the left coronary artery of a random patient, from the left main down."""
    daughters = [replace(_descending(rng), share=float(rng.uniform(0.5, 0.62))), _circumflex(rng, left_dominant)]
    if rng.random() < 0.3:
        daughters.insert(0, _branch(rng, "12", [(12, 28, 1.0), (30, 38, 1.0), (58, 42, 1.0)], at=1.0, share=0.18))
    return Course(((-1.0, 12.0, 0.93),), (("5", 1.0),), tuple(daughters), taper=0.97, winding=0.2)


def right_course(rng: np.random.Generator, left_dominant: bool) -> Course:
    """Return the right coronary artery of a random patient; without segments 4 and 16 when the left dominates."""
    first, second = float(rng.uniform(0.3, 0.38)), float(rng.uniform(0.62, 0.7))
    branches = [
        _twig([(10, -22, 1.0), (22, -14, 1.03)], at=0.1, share=0.07),
        _twig([(-18, -50, 0.95), (-35, -20, 0.9), (-48, 20, 0.8)], at=0.08, share=0.06),
        _twig([(18, -62, 1.02), (38, -52, 1.0)], at=0.3, share=0.07),
        _twig([(15, -98, 1.0), (42, -100, 1.0), (66, -105, 1.0)], at=second - 0.04, share=0.12),
        _twig([(12, -130, 1.0), (34, -128, 1.0)], at=0.78, share=0.06),
    ]
    groove = [(0, -50, 0.95), (3, -75, 1.08), (4, -105, 1.1), (3, -140, 1.06)]
    if left_dominant:
        return Course(_jitter(rng, groove), (("1", first), ("2", second), ("3", 1.0)), tuple(branches), taper=0.3)
    branches.append(_branch(rng, "4", [(8, -184, 1.02), (30, -181, 1.0), (62, -176, 1.0)], at=0.98, share=0.42))
    branches.append(_posterolateral(rng))
    places = _jitter(rng, [*groove, (2, -176, 1.02)])
    return Course(places, (("1", first), ("2", second), ("3", 1.0)), tuple(branches), taper=0.85)


def _descending(rng: np.random.Generator) -> Course:
    first, second = float(rng.uniform(0.18, 0.27)), float(rng.uniform(0.46, 0.56))
    diagonals = [_diagonal(rng, "9", first, 0.38)]
    if rng.random() < 0.8:
        diagonals.append(_diagonal(rng, "10", second, 0.34))
    end = float(rng.uniform(82, 104))
    places = _jitter(rng, [(9, 6, 1.04), (28, 0, 1.03), (55, -3, 1.0)])
    names = (("6", first), ("7", second), ("8", 1.0))
    branches = (*diagonals, *_septals(rng))
    return Course((*places, (end, -4.0, 1.0)), names, branches, taper=0.6)


def _diagonal(rng: np.random.Generator, name: str, at: float, share: float) -> Course:
    elevation = 90 * at
    reach, spread = float(rng.uniform(28, 48)), float(rng.uniform(26, 46))
    places = [
        (elevation + 0.3 * reach, 0.55 * spread, 1.02),
        (elevation + 0.65 * reach, 0.9 * spread, 1.0),
        (elevation + reach, spread, 1.0),
    ]
    branch = _branch(rng, name, places, at=at, share=share)
    if rng.random() < 0.5:
        fork = [(elevation + 0.6 * reach, 1.2 * spread, 1.0), (elevation + 0.85 * reach, 1.5 * spread, 1.0)]
        branch = replace(branch, branches=(_branch(rng, f"{name}a", fork, at=0.35, share=0.35),))
    return branch


def _septals(rng: np.random.Generator) -> list[Course]:
    """Return the branches that dive from the LAD into the septum: the comb seen in RAO views; SYNTAX has no number."""
    septals = []
    for at in np.arange(0.16, 0.75, float(rng.uniform(0.07, 0.12))):
        start, depth = 90 * float(at), float(rng.uniform(0.3, 0.6))
        places = ((start + 7, -4.0, (1 + 2 * depth) / 3), (start + 14, -6.0, depth))
        septals.append(_twig(places, at=float(at), share=float(rng.uniform(0.02, 0.06))))
    return septals


def _circumflex(rng: np.random.Generator, left_dominant: bool) -> Course:
    first, second = float(rng.uniform(0.3, 0.4)), float(rng.uniform(0.52, 0.62))
    end = 178.0 if left_dominant else float(rng.uniform(125, 150))
    azimuths = 12 + (end - 12) * np.array([0.18, 0.4, 0.7, 1.0])
    groove = [(-4.0, azimuths[0], 1.0), (-4.0, azimuths[1], 1.05), (-1.0, azimuths[2], 1.04), (2.0, azimuths[3], 1.0)]
    branches = [_marginal(rng, "12a", first, end, 0.48)]
    if rng.random() < 0.6:
        branches.append(_marginal(rng, "12b", second, end, 0.4))
    if left_dominant or rng.random() < 0.5:
        branches.append(_left_posterolateral(rng, end))
    if left_dominant:
        descending = _branch(rng, "15", [(12, 179, 1.02), (35, 179, 1.0), (62, 178, 1.0)], at=1.0, share=1.0)
        branches.append(replace(descending, share=1.0))
    branches.append(_twig([(-20, 60, 0.95), (-38, 70, 0.85)], at=0.2, share=0.05))
    names = (("11", first), ("13", 1.0))
    return Course(_jitter(rng, groove), names, tuple(branches), taper=0.75 if left_dominant else 0.45)


def _marginal(rng: np.random.Generator, name: str, at: float, end: float, share: float) -> Course:
    azimuth, reach = 12 + (end - 12) * at, float(rng.uniform(48, 74))
    places = [(8, azimuth + 4, 1.03), (0.5 * reach, azimuth + 2, 1.0), (reach, azimuth - 4, 1.0)]
    return _branch(rng, name, places, at=at, share=share)


def _left_posterolateral(rng: np.random.Generator, end: float) -> Course:
    azimuth = 12 + (end - 12) * 0.8
    trunk = _branch(rng, "14", [(10, azimuth + 4, 1.02), (30, azimuth + 6, 1.0), (50, azimuth + 4, 1.0)], 0.8, 0.45)
    forks = [
        _branch(rng, "14a", [(28, azimuth - 8, 1.0), (46, azimuth - 12, 1.0)], at=0.3, share=0.35),
        _branch(rng, "14b", [(38, azimuth + 16, 1.0), (54, azimuth + 20, 1.0)], at=0.5, share=0.35),
    ]
    return replace(trunk, branches=tuple(forks[: int(rng.integers(0, 3))]))


def _posterolateral(rng: np.random.Generator) -> Course:
    """Return segment 16, which goes on in the groove beyond the crux, with up to three branches."""
    branches = []
    for letter, at, azimuth in zip("abc", (0.35, 0.65, 0.95), (-196, -212, -228), strict=True):
        if letter == "a" or rng.random() < 0.65:
            places = [(10, azimuth - 2, 1.02), (28, azimuth - 3, 1.0), (float(rng.uniform(38, 56)), azimuth, 1.0)]
            branches.append(_branch(rng, f"16{letter}", places, at=at, share=0.35))
    groove = _jitter(rng, [(-4, -190, 1.02), (-3, -208, 1.04), (0, -228, 1.02)])
    return Course(groove, (("16", 1.0),), tuple(branches), taper=0.7)


def _branch(rng: np.random.Generator, name: str, places: Sequence[Place], at: float, share: float) -> Course:
    return Course(_jitter(rng, places), ((name, 1.0),), at=at, share=share * float(rng.uniform(0.7, 1.2)), taper=0.6)


def _twig(places: Sequence[Place], at: float, share: float) -> Course:
    return Course(tuple(places), at=at, share=share, taper=0.4, winding=1.4)


def _jitter(rng: np.random.Generator, places: Sequence[Place]) -> tuple[Place, ...]:
    moved: Floats = np.asarray(places, dtype=np.float32).copy()
    moved[:, :2] += rng.normal(0, JITTER_DEG, (len(moved), 2))
    return tuple((float(e), float(a), float(d)) for e, a, d in moved)
