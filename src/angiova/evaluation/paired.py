"""Two models on the same patients: the difference, how sure it is, and how many patients would make it sure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import ceil, sqrt
from statistics import fmean, stdev
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.stats import nct, norm
from scipy.stats import t as student_t

ALPHA: Final = 0.05
POWER: Final = 0.8
ONE_POINT: Final = 0.01
MAX_EXACT: Final = 14  # 16,384 sign patterns; above, as many are drawn
NUM_DRAWN: Final = 19_999
_SEED: Final = 20251119
_BLOCK: Final = 1024
_ROUNDING: Final = 1e-12

Floats = npt.NDArray[np.float64]


def sign_flip_p(differences: Sequence[float]) -> float:
    """Return the two-sided p value that paired differences have mean 0: an exact or Monte Carlo permutation test.

    Under the null hypothesis the names of the two models can be exchanged within each patient, which changes the sign
    of that patient's difference. p is the share of sign patterns whose mean lies at least as far from 0 as the one
    seen; all patterns up to 14 patients, otherwise 19,999 drawn with a fixed seed and the one seen counted among them.

    Source: Fisher, "The Design of Experiments" (1935), section 21; Phipson and Smyth, "Permutation P-values Should
    Never Be Zero", Statistical Applications in Genetics and Molecular Biology 9:39 (2010), for the drawn ones.

    Raises:
        ValueError: there are no differences.
    """
    if not differences:
        raise ValueError("no test of no differences")
    seen_N = np.asarray(differences, dtype=np.float64)
    limit = abs(float(seen_N.sum())) - _ROUNDING * float(np.abs(seen_N).sum())
    if len(seen_N) <= MAX_EXACT:
        signs_PN = np.array(list(product((-1.0, 1.0), repeat=len(seen_N))))
        return float(np.mean(np.abs(signs_PN @ seen_N) >= limit))
    random, as_far = np.random.default_rng(_SEED), 1
    for start in range(0, NUM_DRAWN, _BLOCK):
        shape = (min(_BLOCK, NUM_DRAWN - start), len(seen_N))
        as_far += int(np.count_nonzero(np.abs(_signs(random, shape) @ seen_N) >= limit))
    return as_far / (NUM_DRAWN + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values corrected for their number: the k-th smallest of m times m - k + 1, never below a smaller one.

    Source: Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 6:65-70
    (1979).
    """
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, p_values[index] * (len(p_values) - rank)))
        corrected[index] = largest
    return corrected


def cohens_dz(differences: Sequence[float]) -> float | None:
    """Return the mean of paired differences in units of their standard deviation; None where that is 0 or unknown.

    Source: Cohen, "Statistical Power Analysis for the Behavioral Sciences" (1988), section 2.3.5.
    """
    sd = stdev(differences) if len(differences) > 1 else 0.0
    return fmean(differences) / sd if sd else None


def patients_for_difference(sd: float, difference: float = ONE_POINT) -> int:
    """Return how many patients a paired t test needs to see a mean difference with power 0.8 at alpha 0.05.

    The power is that of the non-central t distribution, not of its normal approximation.

    Args:
        sd: standard deviation of the paired differences.
        difference: the mean difference to be seen.
    """
    effect = difference / sd if sd else float("inf")
    guess = (norm.ppf(1 - ALPHA / 2) + norm.ppf(POWER)) / effect
    number = max(2, ceil(float(guess) ** 2))
    while _power(effect, number) < POWER:
        number += 1
    return number


def patients_for_half_width(sd: float, half_width: float = ONE_POINT) -> int:
    """Return how many patients bring the 95 % interval of a mean to `half_width` on each side.

    Args:
        sd: standard deviation over patients.
        half_width: the half width wanted.
    """
    number = max(2, ceil((float(norm.ppf(1 - ALPHA / 2)) * sd / half_width) ** 2))
    while student_t.ppf(1 - ALPHA / 2, number - 1) * sd / sqrt(number) > half_width:
        number += 1
    return number


def _power(effect: float, number: int) -> float:
    if effect == float("inf"):
        return 1.0
    critical, centre = student_t.ppf(1 - ALPHA / 2, number - 1), effect * sqrt(number)
    return float(nct.sf(critical, number - 1, centre) + nct.cdf(-critical, number - 1, centre))


def _signs(random: np.random.Generator, shape: tuple[int, int]) -> Floats:
    return random.integers(0, 2, shape).astype(np.float64) * 2 - 1
