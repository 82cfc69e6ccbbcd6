"""One coronary tree: centrelines in space, calibres by Murray's law, narrowings, and when contrast arrives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d

from angiova.simulate.courses import Course, Place, left_course, left_origin, right_course, right_origin
from angiova.simulate.flow import travel_time_s
from angiova.simulate.heart import Floats, Heart

Side = Literal["left", "right"]
STEP_MM: Final = 0.18
BARE_END_MM: Final = 7.0
OSTIUM_MM: Final = 3.0
MIN_RADIUS_MM: Final = 0.14
UNNAMED: Final = -1
STENOSED_SEGMENTS: Final = frozenset({"1", "2", "3", "6", "7", "11", "12a", "13"})
# Flow of the twigs that the tree does not draw narrows what it does draw; see `Course.taper` for the rest.
TWIG_SHARE: Final = (0.02, 0.16)


@dataclass(frozen=True, slots=True)
class Stenosis:
    """A narrowing.

    Attributes:
        segment: SYNTAX segment it lies in.
        percent: how much of the diameter is lost at the narrowest place.
        length_mm: length of the narrowed stretch.
    """

    segment: str
    percent: float
    length_mm: float


@dataclass(frozen=True, slots=True)
class Tree:
    """One coronary tree, as N samples of centrelines at end diastole; arteries follow each other.

    Attributes:
        side: which coronary artery.
        points_N3: local coordinates of the heart, in mm.
        radius_N_mm: radius of the lumen.
        step_N_mm: length of centreline that a sample stands for.
        arrival_N_s: how long blood takes from the ostium to here.
        artery_N: number of the artery, from 0; its samples run downstream, the first lies on its parent's centreline.
        segment_N: index into `segments`, or UNNAMED.
        stenosis_N: whether the sample lies in a narrowed stretch.
        segments: SYNTAX numbers that occur.
        stenoses: the narrowings.
    """

    side: Side
    points_N3: Floats
    radius_N_mm: Floats
    step_N_mm: Floats
    arrival_N_s: Floats
    artery_N: npt.NDArray[np.int16]
    segment_N: npt.NDArray[np.int16]
    stenosis_N: npt.NDArray[np.bool_]
    segments: tuple[str, ...]
    stenoses: tuple[Stenosis, ...]


@dataclass(slots=True)
class _Artery:
    """One grown artery; `names_N` holds the SYNTAX number of each sample, or an empty text."""

    points_N3: Floats
    radius_N_mm: Floats
    arrival_N_s: Floats
    names_N: npt.NDArray[np.str_]
    stenosis_N: npt.NDArray[np.bool_]


def murray_split(radius_mm: float, share: float) -> tuple[float, float]:
    """Return the radii of (branch, continuation) where a branch takes `share` of the flow.

    Flow goes with the cube of the radius, so r0^3 = r1^3 + r2^3: C. D. Murray, PNAS 12:207-214 (1926).
    """
    return radius_mm * share ** (1 / 3), radius_mm * (1 - share) ** (1 / 3)


def draw_tree(rng: np.random.Generator, heart: Heart, side: Side, left_dominant: bool) -> Tree:
    """Return a random coronary tree on `heart`, with narrowings on about half of the trees."""
    if side == "left":
        origin, course, radius_mm = left_origin(rng), left_course(rng, left_dominant), float(rng.uniform(1.7, 2.3))
    else:
        origin, course = right_origin(rng), right_course(rng, left_dominant)
        radius_mm = float(rng.uniform(1.0, 1.4)) if left_dominant else float(rng.uniform(1.5, 2.2))
    arteries = list(_Grower(rng, heart).grow(course, origin, radius_mm))
    arteries[0].radius_N_mm *= _funnel(len(arteries[0].points_N3))
    stenoses = _narrow(rng, arteries)
    return _join(side, arteries, stenoses)


class _Grower:
    """Turns courses into arteries; holds what all arteries of a patient share."""

    def __init__(self, rng: np.random.Generator, heart: Heart) -> None:
        self.rng, self.heart = rng, heart
        self.tortuosity_mm = float(rng.gamma(2.0, 0.5))
        self.twig_spacing_mm = float(rng.uniform(7, 15))

    def grow(
        self, course: Course, origin: Place, radius_mm: float, junction_3: Floats | None = None, arrival_s: float = 0.0
    ) -> Iterator[_Artery]:
        """Yield the artery of `course`, then everything that leaves it."""
        places_N3 = self._places(course, origin)
        points_N3 = self._wind(self.heart.surface(places_N3), course.winding * (0.3 + 0.7 / radius_mm), junction_3)
        forks = [(_index(branch.at, len(points_N3)), branch.share, branch) for branch in course.branches]
        sprouts = self._sprouts(len(points_N3), radius_mm)
        events = sorted([(i, share) for i, share, _ in forks] + sprouts, key=lambda event: event[0])
        radius_N = self._wavy(_calibre(radius_mm, course.taper, len(points_N3), events))
        arrival_N = arrival_s + travel_time_s(radius_N, STEP_MM)
        yield _Artery(points_N3, radius_N, arrival_N, _names(course, len(points_N3)), np.zeros(len(points_N3), bool))
        left_over = 1.0
        for index, share, branch in sorted(forks, key=lambda fork: fork[0]):
            at_end = index == len(points_N3) - 1
            branch_mm, _ = murray_split(float(radius_N[index]), share * (left_over if at_end else 1.0))
            left_over = left_over * (1 - share) if at_end else 1.0
            place = (float(places_N3[index, 0]), float(places_N3[index, 1]), float(places_N3[index, 2]))
            yield from self.grow(branch, place, branch_mm, points_N3[index], float(arrival_N[index]))
        for index, share in sprouts:
            branch_mm, _ = murray_split(float(radius_N[index]), share)
            yield from self._twig(points_N3, index, branch_mm, float(arrival_N[index]), depth=0)

    def _places(self, course: Course, origin: Place) -> Floats:
        """Return places (N, 3) about STEP_MM apart on a smooth curve through `origin` and the course's places."""
        knots_K3 = np.array([origin, *course.places], dtype=np.float32)
        chord_K = np.linalg.norm(np.diff(self.heart.surface(knots_K3), axis=0), axis=1)
        at_K = np.concatenate([[0.0], np.cumsum(np.maximum(chord_K, 0.5))])
        curve = PchipInterpolator(at_K, knots_K3)
        fine_M = np.linspace(0, at_K[-1], 400)
        travelled_M = _path_mm(self.heart.surface(curve(fine_M).astype(np.float32)))
        num_samples = max(int(travelled_M[-1] / STEP_MM), 8)
        even_N = np.interp(np.linspace(0, travelled_M[-1], num_samples), travelled_M, fine_M)
        return np.asarray(curve(even_N), dtype=np.float32)

    def _wind(self, points_N3: Floats, strength: float, junction_3: Floats | None) -> Floats:
        """Return the centreline with bends at two scales, joined to the parent's centreline at its origin."""
        travelled_N = STEP_MM * np.arange(len(points_N3), dtype=np.float32)[:, None]
        ramp_N = np.minimum(travelled_N / 8.0, 1.0)
        amplitude_mm = self.tortuosity_mm * strength
        wound = points_N3 + ramp_N * amplitude_mm * (
            self._smooth(len(points_N3), 10.0, 3) + 0.25 * self._smooth(len(points_N3), 4.0, 3)
        )
        if junction_3 is not None:
            wound = wound + (junction_3 - points_N3[0]) * np.exp(-travelled_N / 12.0)
        return np.asarray(wound, dtype=np.float32)

    def _smooth(self, num: int, scale_mm: float, columns: int) -> Floats:
        """Return noise (num, columns) of unit variance that is smooth over `scale_mm`."""
        sigma = scale_mm / STEP_MM / 2
        white = self.rng.standard_normal((num, columns)).astype(np.float32)
        # A Gaussian of this width leaves 1 / (2 sqrt(pi) sigma) of the variance of white noise.
        return np.asarray(gaussian_filter1d(white, sigma, axis=0, mode="wrap") * np.sqrt(2 * np.sqrt(np.pi) * sigma))

    def _wavy(self, radius_N: Floats) -> Floats:
        """Return radii with the slight irregularity of a diseased wall."""
        wave_N = 1 + 0.035 * self._smooth(len(radius_N), 4.0, 1)[:, 0]
        return np.asarray(np.maximum(radius_N * wave_N.clip(0.85, 1.15), MIN_RADIUS_MM), dtype=np.float32)

    def _sprouts(self, num_samples: int, radius_mm: float) -> list[tuple[int, float]]:
        """Return (index, share of flow) of the twigs of an artery; its ends have none, nor has a short trunk."""
        margin = int(BARE_END_MM / STEP_MM)
        if num_samples <= 2 * margin or radius_mm < 0.3:
            return []
        num_twigs = self.rng.poisson(num_samples * STEP_MM / self.twig_spacing_mm)
        indices = np.sort(self.rng.integers(margin, num_samples - margin, num_twigs))
        return [(int(index), float(self.rng.uniform(*TWIG_SHARE))) for index in indices]

    def _twig(self, parent_N3: Floats, index: int, radius_mm: float, arrival_s: float, depth: int) -> Iterator[_Artery]:
        """Yield a small side branch, which leaves at an acute angle, hugs the surface, and branches at most twice."""
        length_mm = float(self.rng.gamma(4.0, 0.25)) * 48.0 * radius_mm**0.8
        num_samples = max(int(length_mm / STEP_MM), 8)
        travelled_N = STEP_MM * np.arange(num_samples, dtype=np.float32)[:, None]
        forward, sideways, outward = self._departure(parent_N3, index)
        sag_N = travelled_N**2 / (2 * self.heart.radius_mm)
        points_N3 = (
            parent_N3[index] + travelled_N * forward + travelled_N**0.9 * sideways - np.minimum(sag_N, 15.0) * outward
        )
        points_N3 = self._wind(points_N3.astype(np.float32), 1.2, None)
        sprouts = self._sprouts(num_samples, radius_mm) if depth < 2 else []
        radius_N = self._wavy(_calibre(radius_mm, 0.4, num_samples, sprouts))
        arrival_N = arrival_s + travel_time_s(radius_N, STEP_MM)
        names_N = np.full(num_samples, "", dtype="U3")
        yield _Artery(points_N3, radius_N, arrival_N, names_N, np.zeros(num_samples, bool))
        for fork, share in sprouts:
            branch_mm, _ = murray_split(float(radius_N[fork]), min(share * 3, 0.4))
            yield from self._twig(points_N3, fork, branch_mm, float(arrival_N[fork]), depth + 1)

    def _departure(self, parent_N3: Floats, index: int) -> tuple[Floats, Floats, Floats]:
        """Return the (forward, sideways, outward) directions of a twig, scaled by its random angle of departure."""
        before, after = parent_N3[max(index - 8, 0)], parent_N3[min(index + 8, len(parent_N3) - 1)]
        forward = (after - before) / max(float(np.linalg.norm(after - before)), 1e-6)
        outward = self.heart.outward(parent_N3[index : index + 1])[0]
        sideways = np.cross(outward, forward) * self.rng.choice([-1.0, 1.0])
        angle = np.deg2rad(self.rng.uniform(30, 75))
        return forward * np.cos(angle), (sideways * np.sin(angle)).astype(np.float32), outward


def _index(fraction: float, num_samples: int) -> int:
    return min(int(fraction * num_samples), num_samples - 1)


def _path_mm(points_N3: Floats) -> Floats:
    steps = np.linalg.norm(np.diff(points_N3, axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)]).astype(np.float32)


def _calibre(radius_mm: float, taper: float, num_samples: int, events: Sequence[tuple[int, float]]) -> Floats:
    """Return radii (N,) that taper along the artery and step down by Murray's law after each (index, share)."""
    radius_N = radius_mm * np.linspace(1.0, taper, num_samples)
    for index, share in events:
        radius_N[index + 1 :] *= (1 - share) ** (1 / 3)
    return radius_N.astype(np.float32)


def _funnel(num_samples: int) -> Floats:
    """Return the factor (N,) by which the ostium rounds off the first millimetres of the tree."""
    travelled_N = STEP_MM * np.arange(num_samples, dtype=np.float32)
    return np.asarray(0.55 + 0.45 * np.sqrt(np.minimum(travelled_N / OSTIUM_MM, 1.0)))


def _names(course: Course, num_samples: int) -> npt.NDArray[np.str_]:
    names_N = np.full(num_samples, "", dtype="U3")
    start = 0
    for name, fraction in course.names:
        end = round(fraction * num_samples)
        names_N[start:end] = name or ""
        start = end
    return names_N


def _narrow(rng: np.random.Generator, arteries: Sequence[_Artery]) -> tuple[Stenosis, ...]:
    """Narrow one or two stretches of the larger segments, in place, on about half of the trees."""
    num_wanted = int(rng.choice([0, 1, 2], p=[0.5, 0.35, 0.15]))
    present = sorted({name for artery in arteries for name in np.unique(artery.names_N)} & STENOSED_SEGMENTS)
    chosen = rng.choice(present, size=min(num_wanted, len(present)), replace=False)
    return tuple(_narrow_segment(rng, arteries, str(name)) for name in chosen)


def _narrow_segment(rng: np.random.Generator, arteries: Sequence[_Artery], name: str) -> Stenosis:
    artery = next(artery for artery in arteries if name in artery.names_N)
    inside = np.flatnonzero(artery.names_N == name)
    percent = float(np.round(rng.uniform(35, 92)))
    length_mm = min(float(rng.uniform(5, 16)), 0.8 * len(inside) * STEP_MM)
    centre = inside[0] + len(inside) * float(rng.uniform(0.4, 0.6))
    distance_N = np.abs(np.arange(len(artery.names_N)) - centre) * STEP_MM / (length_mm / 2)
    profile_N = np.where(distance_N < 1, np.cos(np.pi * np.minimum(distance_N, 1) / 2) ** 2, 0)
    artery.radius_N_mm = (artery.radius_N_mm * (1 - percent / 100 * profile_N)).astype(np.float32)
    artery.stenosis_N |= distance_N < 1
    return Stenosis(name, percent, round(length_mm, 1))


def _join(side: Side, arteries: Sequence[_Artery], stenoses: tuple[Stenosis, ...]) -> Tree:
    names_N = np.concatenate([artery.names_N for artery in arteries])
    segments = tuple(str(name) for name in np.unique(names_N) if name)
    index_of = {name: index for index, name in enumerate(segments)} | {"": UNNAMED}
    return Tree(
        side=side,
        points_N3=np.concatenate([artery.points_N3 for artery in arteries]),
        radius_N_mm=np.concatenate([artery.radius_N_mm for artery in arteries]),
        step_N_mm=np.concatenate([_sample_mm(artery.points_N3) for artery in arteries]),
        arrival_N_s=np.concatenate([artery.arrival_N_s for artery in arteries]).astype(np.float32),
        artery_N=np.repeat(np.arange(len(arteries), dtype=np.int16), [len(a.points_N3) for a in arteries]),
        segment_N=np.array([index_of[str(name)] for name in names_N], dtype=np.int16),
        stenosis_N=np.concatenate([artery.stenosis_N for artery in arteries]),
        segments=segments,
        stenoses=stenoses,
    )


def _sample_mm(points_N3: Floats) -> Floats:
    """Return the length of centreline that each sample of one artery stands for, shape (N,)."""
    return np.asarray(np.linalg.norm(np.gradient(points_N3, axis=0), axis=1), dtype=np.float32)
