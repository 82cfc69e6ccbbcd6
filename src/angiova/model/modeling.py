"""Sa2VA: InternVL reads the frame and the words, SAM2 draws; the state of each `[SEG]` token is the prompt between.

One function, `decode_masks`, turns `[SEG]` states into masks at the image's own resolution. Training, evaluation and
inference all call it; a test compares them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import groupby

import torch
from torch import Tensor, nn
from transformers import AutoModel, InternVLForConditionalGeneration, PreTrainedModel
from transformers.generation.streamers import BaseStreamer
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoModel

from angiova.errors import ModelError
from angiova.model import losses
from angiova.model.bridge import Bridge
from angiova.model.clips import ClipBatch, touch_weights, track_clips
from angiova.model.configuration import Sa2VAConfig
from angiova.model.initialisation import initialise
from angiova.model.losses import IGNORED_LABEL
from angiova.model.outputs import EncodedFrames, MaskGroup, MaskOutput, Sa2VAGeneration, Sa2VAOutput, SpokenAnswers
from angiova.model.refiner import FrameDetail, Refiner, resample, to_working_size
from angiova.model.segmenter import DecodedMasks, decode_objects, encode_frames

# An untrained model may answer with dozens of `[SEG]` tokens; decoding in parts bounds the memory they take.
OBJECTS_AT_ONCE = 16


class Sa2VAModel(PreTrainedModel):  # type: ignore[misc]
    """The whole model; see the module's docstring."""

    config_class = Sa2VAConfig
    base_model_prefix = ""
    main_input_name = "input_ids"
    input_modalities = ("image", "text")
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True

    def __init__(self, config: Sa2VAConfig) -> None:
        super().__init__(config)
        self.vlm = InternVLForConditionalGeneration(config.vlm_config)
        self.segmenter = Sam2VideoModel(config.segmenter_config)
        self.bridge = Bridge(config.text_hidden_size, config.prompt_hidden_size)
        self.refiner = (
            None
            if config.refiner_width is None
            else Refiner(config.refiner_width, config.prompt_hidden_size, config.refiner_levels)
        )
        self.post_init()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        tiles: Tensor,
        tile_counts: Sequence[int],
        frame_of_sequence: Tensor,
        segmenter_pixels: Tensor,
        images: list[Tensor],
        labels: Tensor | None = None,
        masks: list[Tensor] | None = None,
        optional_losses: Collection[str] = (),
        clips: ClipBatch | None = None,
        kept_prompts: Tensor | None = None,
    ) -> Sa2VAOutput:
        """Run both halves on B sequences about F frames and C clips.

        Args:
            input_ids: tokens, shape (B, L); every `[SEG]` asks for one mask.
            attention_mask: 1 for tokens, 0 for padding on either side, shape (B, L).
            tiles: image tiles of the vision-language model, shape (T, 3, t, t), frame after frame.
            tile_counts: number of tiles of each frame, then of the key frames of each clip, then of frames that are
                only talked about; they sum to T.
            frame_of_sequence: which frame each sequence is about, shape (B,); from F on which clip, and from F + C on
                which frame that is only talked about.
            segmenter_pixels: frames for SAM2, shape (F, 3, S, S).
            images: F frames at their own resolution, standardised grey, shape (1, H, W) each.
            labels: tokens to predict, `IGNORED_LABEL` elsewhere, shape (B, L).
            masks: the target of each `[SEG]` about a frame in order, shape (H, W) each; then those of the labelled
                objects of each frame of each clip.
            optional_losses: which of `losses.OPTIONAL_LOSSES` to measure too.
            clips: the frames of the clips.
            kept_prompts: what the prompts of the N masks are to stay, shape (N, P): that alone is measured of them,
                and the segmenter is not run.
        """
        states_BLH = self._language_states(input_ids, attention_mask, tiles, tile_counts, frame_of_sequence)
        is_seg_BL = self._is_seg(input_ids, attention_mask)
        if kept_prompts is not None and labels is not None:
            prompts = losses.prompt_loss(self.bridge(states_BLH[is_seg_BL]), kept_prompts)
            return Sa2VAOutput({"language": self._language_loss(states_BLH, labels), "prompts": prompts}, None)
        decoded, anchor = None, states_BLH
        if is_seg_BL.any():
            frame_of_object_N = frame_of_sequence.unsqueeze(1).expand_as(is_seg_BL)[is_seg_BL]
            decoded = self._decode(segmenter_pixels, images, clips, states_BLH[is_seg_BL], frame_of_object_N)
        elif masks is not None and _others_wait_for_gradients():
            anchor = self._decode_idly(segmenter_pixels, images, states_BLH)
        measured: dict[str, Tensor] = {}
        if labels is not None:
            measured["language"] = self._language_loss(states_BLH, labels)
        if masks is not None:
            measured |= losses.mask_losses(decoded, masks, anchor, optional_losses)
            waits = _others_wait_for_gradients() and (clips is not None or self._trains_memory())
            if waits or (torch.is_grad_enabled() and not any(loss.requires_grad for loss in measured.values())):
                measured["mask"] = measured["mask"] + touch_weights(self)
        return Sa2VAOutput(losses=measured, masks=decoded)

    def _decode(
        self,
        segmenter_pixels: Tensor,
        images: list[Tensor],
        clips: ClipBatch | None,
        states_NH: Tensor,
        frame_of_object_N: Tensor,
    ) -> MaskOutput:
        """Decode what is asked of frames, then what is labelled in clips."""
        is_frame_N = frame_of_object_N < len(images)
        parts = []
        if images:
            frames = self.encode_frames(segmenter_pixels, images)
            parts.append(self.decode_masks(frames, states_NH[is_frame_N], frame_of_object_N[is_frame_N]))
        if clips is not None:
            clip_of_object = frame_of_object_N[~is_frame_N] - len(images)
            parts += track_clips(self, clips, states_NH[~is_frame_N], clip_of_object)
        return MaskOutput.joined(parts)

    def _trains_memory(self) -> bool:
        return any(parameter.requires_grad for parameter in self.segmenter.memory_attention.parameters())

    def _decode_idly(self, segmenter_pixels: Tensor, images: list[Tensor], states_BLH: Tensor) -> Tensor:
        """Decode one mask that nobody asked for, so that every weight has a gradient (of 0) on every device."""
        frames = self.encode_frames(segmenter_pixels[:1], images[:1])
        decoded = self.decode_masks(frames, states_BLH[:1, -1], torch.zeros(1, dtype=torch.long, device=self.device))
        parts = (decoded.coarse_N1hw, decoded.presence_N, decoded.predicted_iou_N, *decoded.logits_of())
        return torch.stack([part.mean() for part in parts]).sum()

    def encode_frames(self, segmenter_pixels_F3SS: Tensor, images: list[Tensor]) -> EncodedFrames:
        """Run SAM2's encoder and the refiner's encoder on F frames; see `forward` for the shapes."""
        features = encode_frames(self.segmenter, segmenter_pixels_F3SS)
        sizes = [(image.shape[-2], image.shape[-1]) for image in images]
        if self.refiner is None:
            return EncodedFrames(features, [], sizes)
        detail: dict[int, FrameDetail] = {}
        for members in _groups_of(sizes):
            frames_G1HW = torch.stack([images[index] for index in members])
            group = self.refiner.detail(to_working_size(frames_G1HW, self.config.refiner_px))
            detail |= dict(zip(members, group.split(), strict=True))
        return EncodedFrames(features, [detail[index] for index in range(len(images))], sizes)

    def decode_masks(self, frames: EncodedFrames, states_NH: Tensor, frame_of_object_N: Tensor) -> MaskOutput:
        """Turn the states of N `[SEG]` tokens into masks at image resolution: the only way masks are made.

        Args:
            frames: encoded frames.
            states_NH: last hidden state (after the final norm) at each `[SEG]` *input* position, shape (N, H).
            frame_of_object_N: which frame each object belongs to.
        """
        prompts_NP = self.bridge(states_NH)
        features = frames.features.select(frame_of_object_N)
        decoded = decode_objects(self.segmenter, features, prompts_NP, self.config.mask_selection)
        return self.finish_masks(frames, decoded, frame_of_object_N)

    def decode_in_parts(self, frames: EncodedFrames, states_NH: Tensor, frame_of_object_N: Tensor) -> MaskOutput:
        """Decode masks as `decode_masks` does, OBJECTS_AT_ONCE at a time; N is at least 1."""
        parts = zip(
            torch.split(states_NH, OBJECTS_AT_ONCE), torch.split(frame_of_object_N, OBJECTS_AT_ONCE), strict=True
        )
        return MaskOutput.joined(self.decode_masks(frames, states, frame_of) for states, frame_of in parts)

    def finish_masks(self, frames: EncodedFrames, decoded: DecodedMasks, frame_of_object_N: Tensor) -> MaskOutput:
        """Bring SAM2's low-resolution masks of N objects to the resolution of their images.

        They are refined if there is a refiner and `frames` has its detail, upsampled otherwise.
        """
        # Of a frame alone all is known without waiting for the device.
        is_alone = len(frames.sizes) == 1
        frame_of_object = [0] * len(frame_of_object_N) if is_alone else frame_of_object_N.tolist()
        groups, presence_N = [], decoded.presence_N
        for members in _groups_of([frames.sizes[frame] for frame in frame_of_object]):
            objects_G = torch.tensor(members).to(frame_of_object_N.device, non_blocking=True)
            coarse_G1hw = decoded.logits_N1hw[objects_G]
            if self.refiner is None or not frames.detail:
                logits_GHW = self._upsample(coarse_G1hw, frames.sizes[frame_of_object[members[0]]])
            else:
                tokens_GC, frame_of_member = decoded.tokens_NC[objects_G], [frame_of_object[i] for i in members]
                refined_GHW, evidence_G = self._refine(frames, frame_of_member, tokens_GC, coarse_G1hw)
                logits_GHW = resample(refined_GHW, frames.sizes[frame_of_member[0]])
                presence_N = presence_N.index_add(0, objects_G, evidence_G.to(presence_N.dtype))
            groups.append(MaskGroup(objects_G, logits_GHW))
        return MaskOutput(groups, decoded.logits_N1hw, presence_N, decoded.predicted_iou_N)

    def _upsample(self, coarse_G1hw: Tensor, size: tuple[int, int]) -> Tensor:
        """Return logits (G, H, W); `"twice"` goes over SAM2's input size, as the reference does."""
        steps = [size] if self.config.upsampling == "once" else [(self.config.segmenter_px,) * 2, size]
        for step in steps:
            coarse_G1hw = nn.functional.interpolate(coarse_G1hw, size=step, mode="bilinear", align_corners=False)
        return coarse_G1hw.squeeze(1)

    def _refine(
        self, frames: EncodedFrames, frame_of_object: Sequence[int], tokens_GC: Tensor, coarse_G1hw: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Refine objects whose images have one size: logits (G, H, W), and what each says for its presence, (G,).

        H and W are those of the detail. Consecutive objects of a frame share its detail.
        """
        assert self.refiner is not None
        runs = [(frame, len(list(members))) for frame, members in groupby(frame_of_object)]
        details = [frames.detail[frame] for frame, _ in runs]
        counts = [count for _, count in runs]
        logits_GHW = self.refiner.fuse(self.refiner.mix(details, counts, tokens_GC), coarse_G1hw)
        return logits_GHW, self.refiner.presence(details, counts, tokens_GC, logits_GHW)

    @torch.no_grad()
    def generate(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        tiles: Tensor,
        tile_counts: Sequence[int],
        frame_of_sequence: Tensor,
        segmenter_pixels: Tensor,
        images: list[Tensor],
        eos_token_id: int,
        pad_token_id: int,
        max_new_tokens: int = 64,
    ) -> Sa2VAGeneration:
        """Answer B prompts in words and masks; see `speak` for the words and `forward` for shapes."""
        spoken = self.speak(
            input_ids,
            attention_mask,
            tiles,
            tile_counts,
            frame_of_sequence,
            eos_token_id=eos_token_id,
            pad_token_id=pad_token_id,
            max_new_tokens=max_new_tokens,
        )
        masks = None
        if len(spoken.states_NH):
            counts_B = torch.tensor(spoken.num_masks_B, device=frame_of_sequence.device)
            frames = self.encode_frames(segmenter_pixels, images)
            masks = self.decode_in_parts(frames, spoken.states_NH, frame_of_sequence.repeat_interleave(counts_B))
        return Sa2VAGeneration(spoken.answer_ids, masks, spoken.num_masks_B)

    @torch.no_grad()
    def speak(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        tiles: Tensor,
        tile_counts: Sequence[int],
        frame_of_sequence: Tensor,
        eos_token_id: int,
        pad_token_id: int,
        max_new_tokens: int = 64,
        streamer: BaseStreamer | None = None,
        with_probabilities: bool = False,
    ) -> SpokenAnswers:
        """Answer B prompts in words (greedy); prompts are padded on the left. See `forward` for shapes.

        The `[SEG]` states come from one more pass over prompt and answer, the very pass of training, so that a mask
        does not depend on how its words were made, and a final `[SEG]` is not lost. States of
        `[SEG]` tokens in the prompt itself, as earlier turns have them, come before those of the answer.

        Args:
            input_ids: see `forward`, as for all that is not named here.
            eos_token_id: ends an answer.
            pad_token_id: fills up behind it.
            max_new_tokens: longest answer.
            streamer: is handed each token as it is made; B is 1 then.
            with_probabilities: whether answers come with the probability of each of their tokens.
        """
        visual = self._visual_tokens(tiles, tile_counts)
        prompt_BLH = self._embed(input_ids, visual, frame_of_sequence)
        answers_BK = self.vlm.generate(
            inputs_embeds=prompt_BLH,
            attention_mask=attention_mask,
            max_new_tokens=max_new_tokens,
            do_sample=False,
            eos_token_id=eos_token_id,
            pad_token_id=pad_token_id,
            suppress_tokens=[self.config.vlm_config.image_token_id],  # the place of an image, which no answer has
            streamer=streamer,
        )
        answer_mask_BK = _until_first(answers_BK, eos_token_id)
        ids_BL = torch.cat([input_ids, answers_BK], dim=1)
        mask_BL = torch.cat([attention_mask, answer_mask_BK.to(attention_mask.dtype)], dim=1)
        is_seg_BL = self._is_seg(ids_BL, mask_BL)
        states_NH, probabilities = prompt_BLH[:0, 0], None
        if is_seg_BL.any() or with_probabilities:
            states_BLH = self._run_language_model(self._embed(ids_BL, visual, frame_of_sequence), mask_BL)
            states_NH = states_BLH[is_seg_BL]
            if with_probabilities:
                probabilities = self._probabilities(states_BLH, answers_BK, answer_mask_BK)
        kept = [ids[mask].tolist() for ids, mask in zip(answers_BK, answer_mask_BK, strict=True)]
        return SpokenAnswers(kept, states_NH, is_seg_BL.sum(dim=1).tolist(), probabilities)

    def _probabilities(self, states_BLH: Tensor, answers_BK: Tensor, answer_mask_BK: Tensor) -> list[list[float]]:
        """Return the probability of each token of the answers, which end the sequences of the states."""
        logits_BKV = self.vlm.lm_head(states_BLH[:, -answers_BK.shape[1] - 1 : -1]).float()
        chosen_BK = logits_BKV.softmax(dim=-1).gather(2, answers_BK.unsqueeze(2)).squeeze(2)
        return [row[mask].tolist() for row, mask in zip(chosen_BK, answer_mask_BK, strict=True)]

    def seg_states(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        tiles: Tensor,
        tile_counts: Sequence[int],
        frame_of_sequence: Tensor,
    ) -> Tensor:
        """Return the states (N, H) of all `[SEG]` tokens of B texts, in order; see `forward` for the shapes.

        For a question about a run the key frames count as the tiles of one image.
        """
        states_BLH = self._language_states(input_ids, attention_mask, tiles, tile_counts, frame_of_sequence)
        return states_BLH[self._is_seg(input_ids, attention_mask)]

    def language_loss(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> Tensor:
        """Return the mean cross-entropy in nats of the labelled tokens of texts without images, (B, L) each."""
        embeds_BLH = self.vlm.get_input_embeddings()(input_ids)
        return self._language_loss(self._run_language_model(embeds_BLH, attention_mask), labels)

    def _is_seg(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        is_seg_BL: Tensor = (input_ids == self.config.seg_token_id) & attention_mask.bool()
        return is_seg_BL

    def _language_states(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        tiles: Tensor,
        tile_counts: Sequence[int],
        frame_of_sequence: Tensor,
    ) -> Tensor:
        visual = self._visual_tokens(tiles, tile_counts)
        return self._run_language_model(self._embed(input_ids, visual, frame_of_sequence), attention_mask)

    def _visual_tokens(self, tiles_T3tt: Tensor, tile_counts: Sequence[int]) -> list[Tensor]:
        """Return the visual tokens of each frame, shape (tiles x tokens, H)."""
        tokens_TKH = self.vlm.get_image_features(tiles_T3tt, return_dict=True).pooler_output
        return [part.flatten(0, 1) for part in tokens_TKH.split(list(tile_counts))]

    def _embed(self, input_ids: Tensor, visual: list[Tensor], frame_of_sequence: Tensor) -> Tensor:
        embeds_BLH = self.vlm.get_input_embeddings()(input_ids)
        is_image_BL = input_ids == self.config.vlm_config.image_token_id
        tokens_KH = torch.cat([visual[frame] for frame in frame_of_sequence.tolist()])
        if int(is_image_BL.sum()) != tokens_KH.shape[0]:
            raise ModelError(
                f"the prompts have {int(is_image_BL.sum())} image tokens, the frames give {tokens_KH.shape[0]}",
                remedy="make prompts with the model's own processor",
            )
        filled_BLH: Tensor = embeds_BLH.masked_scatter(is_image_BL.unsqueeze(-1), tokens_KH.to(embeds_BLH.dtype))
        return filled_BLH

    def _run_language_model(self, embeds_BLH: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the last hidden states (after the final norm); positions count from the first real token."""
        position_ids = (attention_mask.long().cumsum(dim=1) - 1).clamp(min=0)
        states: Tensor = self.vlm.model.language_model(
            inputs_embeds=embeds_BLH, attention_mask=attention_mask, position_ids=position_ids, use_cache=False
        ).last_hidden_state
        return states

    def _language_loss(self, states_BLH: Tensor, labels_BL: Tensor) -> Tensor:
        """Predict only where there is something to predict; the other positions never see the vocabulary."""
        next_BL = labels_BL[:, 1:]
        supervised_BL = next_BL != IGNORED_LABEL
        if not supervised_BL.any():
            return losses.zero_loss(self.vlm.lm_head(states_BLH[:1, -1:]))
        logits_KV = self.vlm.lm_head(states_BLH[:, :-1][supervised_BL])
        return losses.language_loss(logits_KV, next_BL[supervised_BL])

    def _init_weights(self, module: nn.Module) -> None:
        """Initialise the bridge and the refiner; the sub-models initialise themselves."""
        initialise(module)


def _others_wait_for_gradients() -> bool:
    """Say whether this is one of several processes that average their gradients; a missing one would stop them all."""
    return torch.distributed.is_available() and torch.distributed.is_initialized() and torch.is_grad_enabled()


def _groups_of(sizes: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Return the indices that share a size, in order of first appearance."""
    groups: dict[tuple[int, int], list[int]] = {}
    for index, size in enumerate(sizes):
        groups.setdefault(size, []).append(index)
    return list(groups.values())


def _until_first(tokens_BK: Tensor, stop_id: int) -> Tensor:
    """Return True up to and including the first `stop_id` of each row."""
    stopped_before_BK = (tokens_BK == stop_id).long().cumsum(dim=1) - (tokens_BK == stop_id).long()
    return stopped_before_BK == 0


AutoModel.register(Sa2VAConfig, Sa2VAModel, exist_ok=True)
