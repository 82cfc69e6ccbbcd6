"""From SAM2's low-resolution logits to the image's own resolution, where thin vessels live.

SAM2 answers on a grid of a quarter of its input; a vessel of one or two pixels vanishes there. The refiner looks at
the image itself: a small U-Net (Ronneberger et al., MICCAI 2015) computes detail once a frame, and each object mixes
that detail by weights made from its own prompt (dynamic filters as in CondInst, Tian et al., ECCV 2020) and its own
low-resolution logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEVELS = 4  # of the detail encoder, unless the configuration says otherwise
DETAIL_WIDTH = 16
OBJECT_MAPS = 6
FUSION_WIDTH = 8
EVIDENCE_WIDTH = 32
# Between these shares of the working size a frame is looked at as it is: zooming in training varies it more.
LEAST_RATIO, MOST_RATIO = 0.9, 1.1
# Shares of the image between which masks differ: log(1e-4) for nothing, log(0.1) for a large tree.
LOG_AREA_CENTRE, LOG_AREA_SCALE, SMALLEST_AREA = -4.0, 0.5, 1e-4


@dataclass(frozen=True)  # without slots: ZeRO-3 looks for tensors in the __dict__ of what a module returns
class FrameDetail:
    """What the detail encoder says of frames of one size.

    Attributes:
        pixels_BCHW: features at image resolution, shape (B, DETAIL_WIDTH, H, W).
        scene_BS: mean and maximum of the deepest features over the frame, shape (B, S).
    """

    pixels_BCHW: Tensor
    scene_BS: Tensor

    def split(self) -> list[FrameDetail]:
        """Return one entry a frame, with B = 1 each."""
        pairs = zip(torch.split(self.pixels_BCHW, 1), torch.split(self.scene_BS, 1), strict=True)
        return [FrameDetail(pixels, scene) for pixels, scene in pairs]


def working_size(size: tuple[int, int], longest_px: int | None) -> tuple[int, int]:
    """Return the (height, width) at which the refiner looks at frames of a size; see `Sa2VAConfig.refiner_px`."""
    if longest_px is None or LEAST_RATIO * longest_px <= max(size) <= MOST_RATIO * longest_px:
        return size
    factor = longest_px / max(size)
    return max(round(size[0] * factor), 1), max(round(size[1] * factor), 1)


def to_working_size(images_B1HW: Tensor, longest_px: int | None) -> Tensor:
    """Return frames as large as the refiner looks at them; averaged where they shrink, so that nothing aliases."""
    size = (images_B1HW.shape[-2], images_B1HW.shape[-1])
    return resample(images_B1HW.squeeze(1), working_size(size, longest_px)).unsqueeze(1)


def resample(values_NHW: Tensor, size: tuple[int, int]) -> Tensor:
    """Return images or logits of another size, (N, *size); those of that size as they are."""
    if tuple(values_NHW.shape[-2:]) == tuple(size):
        return values_NHW
    resized_N1HW = F.interpolate(  # in float32: averaging while shrinking is not made for shorter types
        values_NHW.float().unsqueeze(1), size=size, mode="bilinear", align_corners=False, antialias=True
    )
    return resized_N1HW.squeeze(1).to(values_NHW.dtype)


class ConvBlock(nn.Module):
    """Two 3x3 convolutions, each with group normalisation and GELU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
            nn.GroupNorm(min(8, out_channels), out_channels),
            nn.GELU(),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.GroupNorm(min(8, out_channels), out_channels),
            nn.GELU(),
        )

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return features of the same height and width."""
        y_BCHW: Tensor = self.layers(x_BCHW)
        return y_BCHW


class PixelLinear(nn.Linear):
    """The same linear layer at every pixel: a 1x1 convolution, written as a matrix product.

    With the few channels of a mask at full resolution, the convolution kernels of a CPU take eight times as long.
    """

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return features (N, out_features, H, W)."""
        y_NCHW = torch.einsum("oc,nchw->nohw", self.weight, x_NCHW)
        return y_NCHW + self.bias.view(-1, 1, 1)


class DetailEncoder(nn.Module):
    """A U-Net over the image, at half its resolution inside and at full resolution outside.

    Neighbouring 2x2 pixels enter as four channels and leave as four channels (Shi et al., CVPR 2016), so no pixel is
    dropped while the costly convolutions see a quarter of the positions. One convolution at full resolution follows:
    the four pixels of a square come from one position each for itself, and without it masks are peppered with single
    pixels.

    Args:
        width: channels of the first level; they double at each of the next ones, up to eight times.
        levels: resolutions, each half of the one before.
    """

    def __init__(self, width: int, levels: int = LEVELS) -> None:
        super().__init__()
        widths = [width * min(2**level, 8) for level in range(levels)]
        self.scene_width = 2 * widths[-1]
        self.down = nn.ModuleList(
            ConvBlock(before, after) for before, after in zip([4, *widths[:-1]], widths, strict=True)
        )
        shallower = widths[-2::-1]
        # Narrowed before they are enlarged: a quarter of the positions, and a third less to convolve after joining.
        self.narrow = nn.ModuleList(
            PixelLinear(deep, shallow) for deep, shallow in zip(widths[:0:-1], shallower, strict=True)
        )
        self.up = nn.ModuleList(ConvBlock(2 * shallow, shallow) for shallow in shallower)
        self.to_pixels = PixelLinear(widths[0], 4 * DETAIL_WIDTH)
        self.among_pixels = nn.Conv2d(DETAIL_WIDTH, DETAIL_WIDTH, 3, padding=1)

    def forward(self, images_B1HW: Tensor) -> FrameDetail:
        """Return the detail of frames of any H and W; they are padded inside to what the pyramid needs."""
        height, width = images_B1HW.shape[-2:]
        multiple = 2 ** len(self.down)
        padded = F.pad(images_B1HW, (0, -width % multiple, 0, -height % multiple), mode="replicate")
        x = F.pixel_unshuffle(padded, 2)
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else F.max_pool2d(x, 2))
            skips.append(x)
        scene_BS = torch.cat([x.mean(dim=(-2, -1)), x.amax(dim=(-2, -1))], dim=1)
        for narrow, block, skip in zip(self.narrow, self.up, skips[-2::-1], strict=True):
            x = block(torch.cat([F.interpolate(narrow(x), scale_factor=2.0, mode="nearest"), skip], dim=1))
        pixels_BCHW = self.among_pixels(F.gelu(F.pixel_shuffle(self.to_pixels(x), 2)))
        return FrameDetail(pixels_BCHW[..., :height, :width], scene_BS)


class Refiner(nn.Module):
    """Refines low-resolution mask logits with detail of the full-resolution image.

    Args:
        width: channels of the first level of the detail encoder.
        prompt_size: width P of the objects' prompts.
        levels: resolutions of the detail encoder.
    """

    def __init__(self, width: int, prompt_size: int, levels: int = LEVELS) -> None:
        super().__init__()
        self.detail = DetailEncoder(width, levels)
        self.mixer = nn.Sequential(
            nn.Linear(prompt_size, prompt_size), nn.GELU(), nn.Linear(prompt_size, OBJECT_MAPS * DETAIL_WIDTH)
        )
        self.fusion = nn.Sequential(PixelLinear(OBJECT_MAPS + 1, FUSION_WIDTH), nn.GELU(), PixelLinear(FUSION_WIDTH, 1))
        self.scene_norm = nn.LayerNorm(self.detail.scene_width)
        read = self.detail.scene_width + prompt_size + DETAIL_WIDTH + 2
        self.evidence = nn.Sequential(nn.Linear(read, EVIDENCE_WIDTH), nn.GELU(), nn.Linear(EVIDENCE_WIDTH, 1))

    def mix(self, details: Sequence[FrameDetail], counts: Sequence[int], tokens_NP: Tensor) -> Tensor:
        """Return the maps (N, OBJECT_MAPS, H, W) that N objects make of the detail of their frames.

        Args:
            details: features of frames of one size; never copied an object.
            counts: how many objects each frame has, in the objects' order; they sum to N.
            tokens_NP: the segmenter's answer token of each object, shape (N, P).
        """
        weights_NMC = self.mixer(tokens_NP).view(len(tokens_NP), OBJECT_MAPS, DETAIL_WIDTH) / DETAIL_WIDTH**0.5
        of_frames = zip(torch.split(weights_NMC, list(counts)), details, strict=True)
        return torch.cat([torch.einsum("nmc,chw->nmhw", weights, d.pixels_BCHW[0]) for weights, d in of_frames])

    def fuse(self, maps_NMHW: Tensor, coarse_N1hw: Tensor) -> Tensor:
        """Return refined logits (N, H, W) from the objects' maps and SAM2's low-resolution logits (N, 1, h, w)."""
        size = maps_NMHW.shape[-2:]
        coarse_N1HW = F.interpolate(coarse_N1hw, size=size, mode="bilinear", align_corners=False)
        correction_N1HW = self.fusion(torch.cat([maps_NMHW, coarse_N1HW.clamp(-20, 20)], dim=1))
        logits_N1HW: Tensor = coarse_N1HW + correction_N1HW
        return logits_N1HW.squeeze(1)

    def presence(
        self, details: Sequence[FrameDetail], counts: Sequence[int], tokens_NP: Tensor, logits_NHW: Tensor
    ) -> Tensor:
        """Return what frames and N refined masks of them say for "the object is in the frame": a logit each, (N,).

        SAM2's object score sees tokens alone and needs long to learn that a frame holds no contrast. The deepest
        features of the frame show it at once, for all objects alike; so does each mask: how large it is, how sure,
        and what the image looks like under it (a catheter is no vessel). Masks are read, not changed: no gradient
        goes back through them. Arguments as for `mix` and `fuse`.
        """
        probability_NHW = logits_NHW.detach().float().sigmoid()
        area_N = probability_NHW.mean(dim=(-2, -1))
        sureness_N = probability_NHW.square().mean(dim=(-2, -1)) / area_N.clamp(min=SMALLEST_AREA)
        of_frames = zip(torch.split(probability_NHW, list(counts)), details, strict=True)
        seen = [torch.einsum("nhw,chw->nc", masks, d.pixels_BCHW[0].float()) for masks, d in of_frames]
        look_NC = torch.cat(seen) / probability_NHW.sum(dim=(-2, -1)).clamp(min=1).unsqueeze(1)
        log_area_N = ((area_N + SMALLEST_AREA).log() - LOG_AREA_CENTRE) / LOG_AREA_SCALE
        scene_FS = self.scene_norm(torch.cat([detail.scene_BS for detail in details]))
        counts_F = torch.tensor(counts).to(scene_FS.device, non_blocking=True)
        scene_NS = scene_FS.repeat_interleave(counts_F, 0, output_size=len(area_N))
        read = (scene_NS, tokens_NP, look_NC, log_area_N.unsqueeze(1), sureness_N.unsqueeze(1))
        evidence_N1: Tensor = self.evidence(torch.cat([part.to(tokens_NP.dtype) for part in read], dim=1))
        return evidence_N1.squeeze(1)
