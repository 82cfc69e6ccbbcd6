"""Finds images that show the same thing, exactly and without comparing every pixel of every pair.

Two neighbouring frames of one patient in training and test make a test worthless, and file names don't tell. Images
count as near-duplicates when their 48 x 48 thumbnails correlate above 0.95. A 64-bit perceptual hash was tried as the
first sieve and given up: on ARCADE the 21 such pairs differ in up to 28 bits, and random pairs in 29 on average. Low
frequencies of the DCT with the length of the rest give a bound that loses none of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from angiova.data.pixels import GreyImage
from angiova.data.rle import BoolMask

THUMBNAIL_SIZE_PX: Final = 48
MIN_CORRELATION: Final = 0.95
LOW_FREQUENCIES: Final = 12
_ROUNDING: Final = 1e-5
_CHUNK: Final = 2048

Thumbnails = npt.NDArray[np.uint8]
Groups = npt.NDArray[np.int64]
Pairs = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]


def thumbnail(image_HW: GreyImage, view_HW: BoolMask | None = None) -> npt.NDArray[np.uint8]:
    """Return the image shrunk to 48 x 48 by averaging; its proportions are not kept.

    Args:
        image_HW: grey values.
        view_HW: where the image is valid. The rest is filled with the mean: the black rim alone makes any two fundus
            images correlate at 0.98.
    """
    if view_HW is not None and view_HW.any():
        image_HW = np.where(view_HW, image_HW, np.uint8(image_HW[view_HW].mean()))
    size_px = (THUMBNAIL_SIZE_PX, THUMBNAIL_SIZE_PX)
    return np.asarray(Image.fromarray(image_HW).resize(size_px, Image.Resampling.BOX))


def near_duplicates(thumbnails_NHW: Thumbnails, groups_N: Groups) -> Pairs:
    """Return the pairs (P, 2) of indices, the smaller first, of thumbnails that correlate (Pearson) above 0.95.

    Args:
        thumbnails_NHW: thumbnails, 48 x 48.
        groups_N: images of one group, such as one cine run, are not compared with each other.

    The time grows with the square of N: 6 s for 20,000 images on two cores, so about 150 s for 100,000, whose
    thumbnails and signatures take 290 MB.
    """
    signatures_ND = _signatures(thumbnails_NHW)
    confirmed = [np.empty((0, 2), dtype=np.int64)]
    for pairs in _candidates(signatures_ND, groups_N):
        confirmed.append(pairs[_correlations(thumbnails_NHW, pairs) > MIN_CORRELATION])
    return np.concatenate(confirmed)


def _signatures(thumbnails_NHW: Thumbnails) -> Vectors:
    """Return vectors (N, D) whose inner product is at least the correlation of the thumbnails.

    A standardised thumbnail is a unit vector x. Its orthonormal DCT-II keeps inner products (Parseval), so with x_L the
    low frequencies and h = sqrt(1 - |x_L|^2) the length of the rest, Cauchy and Schwarz give
    <x, y> <= <x_L, y_L> + h_x h_y, which is the inner product of (x_L, h_x) and (y_L, h_y).
    """
    blocks = [_signatures_of_block(thumbnails_NHW[i : i + _CHUNK]) for i in range(0, len(thumbnails_NHW), _CHUNK)]
    return np.concatenate([np.empty((0, LOW_FREQUENCIES**2 + 1), dtype=np.float32), *blocks])


def _signatures_of_block(thumbnails_NHW: Thumbnails) -> Vectors:
    unit_NHW = _standardised(thumbnails_NHW).reshape(thumbnails_NHW.shape)
    spectra_NHW = dctn(unit_NHW, axes=(1, 2), norm="ortho")
    low_ND = spectra_NHW[:, :LOW_FREQUENCIES, :LOW_FREQUENCIES].reshape(len(unit_NHW), -1)
    rest_N1 = np.sqrt(np.maximum(0, 1 - np.square(low_ND).sum(axis=1, keepdims=True)))
    return np.concatenate([low_ND, rest_N1], axis=1, dtype=np.float32)


def _candidates(signatures_ND: Vectors, groups_N: Groups) -> Iterator[Pairs]:
    """Yield the pairs that may correlate, block by block: memory stays at 2048 x 2048 products for any number."""
    for top in range(0, len(signatures_ND), _CHUNK):
        for left in range(top, len(signatures_ND), _CHUNK):
            bounds = signatures_ND[top : top + _CHUNK] @ signatures_ND[left : left + _CHUNK].T
            i, j = np.nonzero(bounds > MIN_CORRELATION - _ROUNDING)
            i, j = i + top, j + left
            keep = (i < j) & (groups_N[i] != groups_N[j])
            yield np.stack([i[keep], j[keep]], axis=1)


def _correlations(thumbnails_NHW: Thumbnails, pairs: Pairs) -> Vectors:
    """Return Pearson's correlation of each pair of thumbnails; 0 where one is constant."""
    blocks = [pairs[i : i + _CHUNK] for i in range(0, len(pairs), _CHUNK)]
    products = [_products(thumbnails_NHW[block[:, 0]], thumbnails_NHW[block[:, 1]]) for block in blocks]
    return np.concatenate([np.empty(0, dtype=np.float32), *products])


def _products(first_PHW: Thumbnails, second_PHW: Thumbnails) -> Vectors:
    return np.asarray(np.einsum("pi,pi->p", _standardised(first_PHW), _standardised(second_PHW)), dtype=np.float32)


def _standardised(thumbnails_PHW: Thumbnails) -> Vectors:
    """Return the thumbnails as rows (P, H * W) of mean 0 and length 1; a constant one becomes zeros."""
    rows = thumbnails_PHW.reshape(len(thumbnails_PHW), THUMBNAIL_SIZE_PX**2).astype(np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.float32(1e-6))
    return rows


def duplicate_groups(num_images: int, pairs: Pairs) -> Groups:
    """Return a group number for each of `num_images`; those joined by `pairs`, directly or through others, share it."""
    links = coo_array((np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), shape=(num_images, num_images))
    return np.asarray(connected_components(links, directed=False)[1], dtype=np.int64)
