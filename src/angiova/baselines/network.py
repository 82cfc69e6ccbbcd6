"""MONAI's networks as a transformers model: the same Trainer, checkpoints and resume as Sa2VA.

Which network is "stronger" was chosen by what holds up when compared under equal conditions: in Isensee et al.,
"nnU-Net Revisited" (MICCAI 2024), residual U-Nets as nnU-Net plans them were not beaten by transformers (SwinUNETR,
UNETR) or newer designs given the same effort. MONAI's `DynUNet` with residual blocks is that network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from angiova.baselines.baseline import Drawing
from angiova.baselines.settings import NetworkSettings
from angiova.data.dataset import Example
from angiova.data.pixels import GreyImage
from angiova.errors import ConfigError
from angiova.model.losses import dice_loss, mask_loss, mean_where
from angiova.model.processing import standardise

MODEL_TYPE = "angiova_network"
LOSS_NAMES = ("mask", "dice")
# nnU-Net supervises every decoder level but the two coarsest, each with half the weight of the next finer one.
UNSUPERVISED_LEVELS = 2


class NetworkConfig(PreTrainedConfig):  # type: ignore[misc]
    r"""Configuration of [`SegmentationNetwork`].

    Args:
        method: `"unet"` or `"dynunet"`; see `NetworkSettings`.
        channels: of each level, the finest first.
        phrase: what it was trained to draw.
    """

    model_type = MODEL_TYPE

    method: str = "unet"
    channels: tuple[int, ...] = ()
    phrase: str = ""


@dataclass(frozen=True, slots=True)
class NetworkOutput:
    """Result of a forward pass.

    Attributes:
        losses: each loss by name, unweighted; empty without masks.
        logits_B1HW: mask logits, at the size of the padded batch.
    """

    losses: dict[str, Tensor]
    logits_B1HW: Tensor


class SegmentationNetwork(PreTrainedModel):  # type: ignore[misc]
    """A network that draws one kind of thing on grey images of any size."""

    config_class = NetworkConfig
    base_model_prefix = ""
    main_input_name = "pixels"

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config)
        self.network = build_network(config.method, tuple(config.channels))
        self.post_init()

    @property
    def divisor(self) -> int:
        """Sides of a batch are multiples of this, in pixels."""
        return int(2 ** (len(self.config.channels) - 1))

    def forward(self, pixels: Tensor, masks: list[Tensor] | None = None) -> NetworkOutput:
        """Run the network.

        Args:
            pixels: standardised grey images, padded on the right and below, shape (B, 1, H, W).
            masks: the target of each image at its own size, shape (h, w) each; what was padded costs nothing.
        """
        heads = self._heads(pixels)
        measured: dict[str, Tensor] = {}
        if masks is not None:
            # Halved from head to head, and normalised, so that the sum of losses keeps its scale.
            weights = pixels.new_tensor([2.0**-level for level in range(len(heads))])
            losses_LK = torch.stack([_head_losses(head, masks) for head in heads])
            measured = dict(zip(LOSS_NAMES, (weights / weights.sum()) @ losses_LK, strict=True))
        return NetworkOutput(measured, heads[0])

    def collate(self, examples: Sequence[Example]) -> dict[str, Any]:
        """Return examples with one mask each as a batch for `forward`."""
        masks = [torch.from_numpy(example.masks[0]) for example in examples]
        return {"pixels": self.pixels([example.image_HW for example in examples]), "masks": masks}

    def pixels(self, images: Sequence[GreyImage]) -> Tensor:
        """Return images as a batch (B, 1, H, W), each standardised, then padded with its mean."""
        height, width = self.padded_size(images)
        standardised = (standardise(image) for image in images)
        return torch.stack([F.pad(i, (0, width - i.shape[2], 0, height - i.shape[1])) for i in standardised])

    def padded_size(self, images: Sequence[GreyImage]) -> tuple[int, int]:
        """Return height and width of a batch of these images: multiples of what the network halves to."""
        height, width = (max(image.shape[axis] for image in images) for axis in (0, 1))
        return -(-height // self.divisor) * self.divisor, -(-width // self.divisor) * self.divisor

    def _heads(self, pixels_B1HW: Tensor) -> list[Tensor]:
        """Return the logits, and in training those of the coarser levels too, all (B, 1, H, W)."""
        out: Tensor = self.network(pixels_B1HW)
        return list(out.unbind(dim=1)) if out.ndim == pixels_B1HW.ndim + 1 else [out]

    def _init_weights(self, module: nn.Module) -> None:
        """Leave the weights as MONAI made them."""


class NetworkBaseline:
    """A trained network on a device.

    Args:
        network: it is moved to `device` and set to evaluation mode.
        device: where to run.
    """

    def __init__(self, network: SegmentationNetwork, device: torch.device) -> None:
        self.network, self._device = network.to(device).eval(), device

    @property
    def phrase(self) -> str:
        """What it draws."""
        return str(self.network.config.phrase)

    @property
    def images_a_call(self) -> int:
        """How many images it should get at once, at least."""
        return 1

    def segment(self, images: Sequence[GreyImage], threshold: float) -> list[Drawing]:
        """Return the mask of each image with its probabilities.

        Only images of one padded size run together: norms see the padding, and an answer must not depend on neighbours.
        """
        sizes = [self.network.padded_size([image]) for image in images]
        drawings: dict[int, Drawing] = {}
        for size in dict.fromkeys(sizes):
            members = [index for index in range(len(images)) if sizes[index] == size]
            drawings |= dict(zip(members, self._run([images[index] for index in members], threshold), strict=True))
        return [drawings[index] for index in range(len(images))]

    def _run(self, images: Sequence[GreyImage], threshold: float) -> list[Drawing]:
        with torch.inference_mode():
            logits_B1HW = self.network(self.network.pixels(images).to(self._device)).logits_B1HW
        probabilities_BHW = logits_B1HW[:, 0].float().sigmoid().cpu().numpy()
        own = [map_HW[: i.shape[0], : i.shape[1]] for map_HW, i in zip(probabilities_BHW, images, strict=True)]
        return [Drawing(map_HW > threshold, map_HW) for map_HW in own]


def new_network(settings: NetworkSettings, phrase: str) -> SegmentationNetwork:
    """Return a network with random weights."""
    return SegmentationNetwork(NetworkConfig(method=settings.method, channels=settings.levels, phrase=phrase))


def build_network(method: str, channels: tuple[int, ...]) -> nn.Module:
    """Return MONAI's network of one grey channel in and one logit out.

    Raises:
        ConfigError: MONAI is not installed.
    """
    try:
        from monai.networks.nets import BasicUNet, DynUNet
    except ImportError:
        remedy = "pip install 'angiova[baselines]'"
        raise ConfigError("the networks are MONAI's, which is not installed", where=method, remedy=remedy) from None
    if method == "unet":
        # The sixth number is the width of the last upsampling, which MONAI's own default sets to that of the first.
        unet: nn.Module = BasicUNet(spatial_dims=2, in_channels=1, out_channels=1, features=(*channels, channels[0]))
        return unet
    return _build_dynunet(DynUNet, channels)


def _build_dynunet(kind: Callable[..., nn.Module], channels: tuple[int, ...]) -> nn.Module:
    steps = len(channels) - 1
    dynunet = kind(
        spatial_dims=2,
        in_channels=1,
        out_channels=1,
        kernel_size=[3] * len(channels),
        strides=[1] + [2] * steps,
        upsample_kernel_size=[2] * steps,
        filters=list(channels),
        norm_name=("INSTANCE", {"affine": True}),
        deep_supervision=True,
        deep_supr_num=max(steps - UNSUPERVISED_LEVELS, 1),
        res_block=True,
    )
    # MONAI (1.6.1) registers every layer twice, by its role and in the chain that runs it; safetensors refuses that.
    object.__setattr__(dynunet, "skip_layers", dynunet._modules.pop("skip_layers"))
    return dynunet


def _head_losses(logits_B1HW: Tensor, masks: Sequence[Tensor]) -> Tensor:
    """Return the means of both losses over a batch, shape (2,); each image is measured at its own size.

    An empty target has no Dice loss, as for Sa2VA.
    """
    cross_entropies, overlaps = [], []
    for logits_HW, mask_HW in zip(logits_B1HW[:, 0], masks, strict=True):
        height, width = mask_HW.shape
        pair = logits_HW[None, :height, :width], mask_HW[None]
        cross_entropies.append(mask_loss(*pair))
        overlaps.append(dice_loss(*pair))
    present_B = torch.stack([mask.any() for mask in masks])
    return torch.stack([torch.cat(cross_entropies).mean(), mean_where(torch.cat(overlaps), present_B)])
