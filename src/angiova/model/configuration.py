"""The configuration of a Sa2VA model: two sub-models, the bridge between them and the refiner behind them."""

from __future__ import annotations

from typing import Any, Literal

from transformers import AutoConfig, PreTrainedConfig
from transformers.models.internvl.configuration_internvl import InternVLConfig
from transformers.models.sam2_video.configuration_sam2_video import Sam2VideoConfig, Sam2VideoMaskDecoderConfig

MaskSelection = Literal["single", "best_iou"]
PixelStatistics = Literal["exact", "bf16"]
Upsampling = Literal["once", "twice"]
MemoryPrecision = Literal["as_computed", "bf16"]
KeyFrames = Literal["spread", "first"]
TrackOrderName = Literal["independent", "reference", "key_frames", "prompted"]


class Sa2VAConfig(PreTrainedConfig):  # type: ignore[misc]
    r"""Configuration of [`~angiova.model.modeling.Sa2VAModel`].

    Args:
        vlm_config: the InternVL vision-language model.
        segmenter_config: the SAM2 segmenter.
        seg_token_id: id of the `[SEG]` token, whose last hidden state becomes a mask prompt.
        tile_px: side of one image tile of the vision-language model, in pixels.
        refiner_width: channels of the refiner's first level; None leaves the refiner out, which is the
            reference's behaviour.
        refiner_levels: resolutions that the refiner looks at, each half of the one before, the first half of the
            image's own.
        refiner_px: longest side, in pixels, of a frame as the refiner looks at it. Vessels are known by their width in
            pixels, so frames whose longest side differs by more than a tenth are brought to this one, and their masks
            back. None: always the frame's own resolution.
        mask_selection: `"single"` uses SAM2's single-mask token; `"best_iou"` picks among its three multi-mask
            tokens by predicted IoU, as the reference does.
        max_tiles: most tiles that the vision-language model sees of an image, the thumbnail not counted.
        pixel_statistics: mean and standard deviation of SAM2's input, exact or rounded to bfloat16.
        upsampling: whether low-resolution masks go to image size at `"once"`, or `"twice"`, over SAM2's input size.
            Without meaning when there is a refiner.
        presence_gate: whether a mask is emptied where the presence score says that its object is absent.
        memory_precision: precision in which tracking keeps memory features.
        key_frames: which frames of a run the language model sees.
        num_key_frames: how many of them, at most.
        track_order: how masks are carried through a run; see `angiova.model.tracking.TrackOrder`.
    """

    model_type = "angiova_sa2va"
    sub_configs = {"vlm_config": InternVLConfig, "segmenter_config": Sam2VideoConfig}  # noqa: RUF012

    vlm_config: dict[str, Any] | PreTrainedConfig | None = None
    segmenter_config: dict[str, Any] | PreTrainedConfig | None = None
    seg_token_id: int | None = None
    tile_px: int = 448
    refiner_width: int | None = None
    refiner_levels: int = 4
    refiner_px: int | None = None
    mask_selection: MaskSelection = "single"
    max_tiles: int = 1
    pixel_statistics: PixelStatistics = "exact"
    upsampling: Upsampling = "once"
    presence_gate: bool = True
    memory_precision: MemoryPrecision = "as_computed"
    key_frames: KeyFrames = "spread"
    num_key_frames: int = 5
    track_order: TrackOrderName = "prompted"
    tie_word_embeddings: bool = False

    def __post_init__(self, **kwargs: Any) -> None:  # noqa: ANN401
        """Turn the sub-configurations of a loaded JSON file back into objects."""
        self.vlm_config = _as_config(InternVLConfig, self.vlm_config)
        self.segmenter_config = _segmenter_config(self.segmenter_config)
        super().__post_init__(**kwargs)

    @property
    def text_hidden_size(self) -> int:
        """Width of the language model."""
        return int(self.vlm_config.text_config.hidden_size)  # type: ignore[union-attr]

    @property
    def most_tokens(self) -> int:
        """How many tokens the language model can read, its own answer among them."""
        return int(self.vlm_config.text_config.max_position_embeddings)  # type: ignore[union-attr]

    @property
    def prompt_hidden_size(self) -> int:
        """Width of SAM2's prompts."""
        return int(self.segmenter_config.prompt_encoder_config.hidden_size)  # type: ignore[union-attr]

    @property
    def segmenter_px(self) -> int:
        """Side of the square that SAM2 sees, in pixels."""
        return int(self.segmenter_config.image_size)  # type: ignore[union-attr]

    @property
    def tokens_per_tile(self) -> int:
        """Number of visual tokens of one tile."""
        vision = self.vlm_config.vision_config  # type: ignore[union-attr]
        side = (self.tile_px // vision.patch_size[0]) * self.vlm_config.downsample_ratio  # type: ignore[union-attr]
        return int(side) ** 2


def reference_settings() -> dict[str, Any]:
    """Return the fields of `Sa2VAConfig` that make it the released inference code's; docs/explanation/parity.md.

    The reference *trains* with exact pixel statistics and rounds them only when it predicts.
    """
    return {
        "refiner_width": None,
        "mask_selection": "best_iou",
        "max_tiles": 12,
        "pixel_statistics": "bf16",
        "upsampling": "twice",
        "presence_gate": False,
        "memory_precision": "bf16",
        "key_frames": "first",
        "num_key_frames": 5,
        "track_order": "reference",
    }


def _segmenter_config(value: dict[str, Any] | PreTrainedConfig | None) -> PreTrainedConfig:
    # transformers 5.17 reads a stored mask decoder as a prompt encoder; right from 5.23 on at the latest.
    if isinstance(value, dict) and isinstance(value.get("mask_decoder_config"), dict):
        value = value | {"mask_decoder_config": Sam2VideoMaskDecoderConfig(**value["mask_decoder_config"])}
    return _as_config(Sam2VideoConfig, value)


def _as_config(config_class: type, value: dict[str, Any] | PreTrainedConfig | None) -> PreTrainedConfig:
    if isinstance(value, dict):
        return config_class(**value)
    return config_class() if value is None else value


AutoConfig.register(Sa2VAConfig.model_type, Sa2VAConfig, exist_ok=True)
