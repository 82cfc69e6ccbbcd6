"""Stages of one image: vision tower, language model, `[SEG]`, SAM2's features, prompts, masks, pointer, final mask."""

from __future__ import annotations

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from angiova.model.memory import pointers_of
from angiova.model.modeling import Sa2VAModel
from angiova.model.processing import Sa2VAProcessor
from angiova.model.segmenter import CandidateMasks, FrameFeatures, decode_candidates, encode_frames, without_memory
from recorded import Comparison, facts, model_of, names, network, pixels, plan, tensors, tolerance_of

SLOW = [pytest.mark.slow]
RECORDINGS = [pytest.param(name, marks=SLOW if "hieraL" in name else []) for name in names("image_")]


class Case:
    """A recording with our model and its inputs."""

    def __init__(self, recording: str, tokenizer: PreTrainedTokenizerFast) -> None:
        self.facts, self.tensors = facts(recording), tensors(recording)
        self.near = Comparison(recording, tolerance_of(recording))
        self.model: Sa2VAModel = network(model_of(recording))
        self.processor = Sa2VAProcessor(tokenizer, self.model.config)
        self.image = pixels(self.facts["image"])

    def sampled(self, prefix: str) -> tuple[torch.Tensor, int]:
        """Return a tensor whose name ends in its stride, and the stride."""
        name = next(key for key in self.tensors if key.startswith(f"{prefix}_sub"))
        return self.tensors[name], int(name.removeprefix(f"{prefix}_sub"))

    def text_inputs(self) -> dict[str, object]:
        tiles = self.processor.tiles(self.image)
        ids = self.tensors["input_ids"]
        return {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "tiles": tiles,
            "tile_counts": [len(tiles)],
            "frame_of_sequence": torch.tensor([0]),
        }

    def features(self) -> FrameFeatures:
        return encode_frames(self.model.segmenter, self.processor.segmenter_pixels(self.image).unsqueeze(0))

    def candidates(self, prompts_NP: torch.Tensor) -> CandidateMasks:
        features = self.features()
        repeated = features.select(torch.zeros(len(prompts_NP), dtype=torch.long))
        embeddings = without_memory(self.model.segmenter, repeated)
        return decode_candidates(self.model.segmenter, embeddings, repeated, prompts_NP, several=True)


@pytest.fixture(scope="module", params=RECORDINGS)
def case(request: pytest.FixtureRequest, tokenizer: PreTrainedTokenizerFast) -> Case:
    return Case(request.param, tokenizer)


@pytest.fixture(autouse=True)
def no_gradients() -> object:
    with torch.no_grad():
        yield


def test_vision_tower_and_projector(case: Case) -> None:
    tiles = case.text_inputs()["tiles"]
    recorded, _ = case.sampled("pixel_values")
    stride = tiles.shape[-1] // recorded.shape[-1]  # the stride in the name is right for one tile only
    case.near.near("tiles", tiles[..., ::stride, ::stride], recorded)
    tower = case.model.vlm.model.vision_tower(pixel_values=tiles).last_hidden_state
    recorded, stride = case.sampled("vision_last_hidden")
    case.near.near("vision tower", tower[:, ::stride], recorded)
    projected = case.model.vlm.get_image_features(tiles, return_dict=True).pooler_output
    recorded, stride = case.sampled("mlp1_out")
    case.near.near("projector", projected[:, ::stride], recorded)


def test_language_model(case: Case) -> None:
    inputs = case.text_inputs()
    visual = case.model._visual_tokens(inputs["tiles"], inputs["tile_counts"])
    embeds = case.model._embed(inputs["input_ids"], visual, inputs["frame_of_sequence"])
    run = case.model.vlm.model.language_model(inputs_embeds=embeds, output_hidden_states=True, use_cache=False)
    case.near.near("embeddings", run.hidden_states[0][:, -16:], case.tensors["hidden0_tail16"])
    case.near.near("layer 1", run.hidden_states[1][:, -16:], case.tensors["hidden1_tail16"])
    states = case.model._language_states(**inputs)
    case.near.near("last states", states[:, -64:], case.tensors["last_hidden_tail64"])
    logits = case.model.vlm.lm_head(states)
    case.near.near("logits", logits[:, -64:], case.tensors["logits_tail64"])
    labels = inputs["input_ids"].clone()
    labels[:, :-120] = -100
    loss = case.model._language_loss(states, labels).item()
    assert loss == pytest.approx(case.facts["ce_loss_last_120_tokens"], rel=1e-5)


def test_next_token(case: Case) -> None:
    question = plan()["question"]
    batch = case.processor.prompts([case.image], [question], [0])
    assert torch.equal(batch["input_ids"], case.tensors["prompt_ids"])
    kept = ("input_ids", "attention_mask", "tiles", "tile_counts", "frame_of_sequence")
    states = case.model._language_states(**{name: batch[name] for name in kept})
    logits = case.model.vlm.lm_head(states[:, -1])
    case.near.near("next-token logits", logits, case.tensors["prompt_next_token_logits"])


def test_seg_states_and_bridge(case: Case) -> None:
    inputs = case.text_inputs()
    is_seg = inputs["input_ids"][0] == case.model.config.seg_token_id
    assert is_seg.nonzero().flatten().tolist() == case.facts["seg_positions"]
    states = case.model.seg_states(**inputs)
    case.near.near("[SEG] states", states, case.tensors["seg_hidden"])
    case.near.near("bridge", case.model.bridge(states), case.tensors["seg_embed"])


def test_segmenter_features(case: Case) -> None:
    sam, strides = case.model.segmenter, case.facts["spatial_strides"]
    square = case.processor.segmenter_pixels(case.image).unsqueeze(0)
    case.near.near("input", square[..., :: strides["sam_input"], :: strides["sam_input"]], case.sampled("sam_input")[0])
    trunk = sam.vision_encoder.backbone(square).intermediate_hidden_states
    for level, stride in enumerate(strides["trunk"]):
        stage = trunk[level].permute(0, 3, 1, 2)[..., ::stride, ::stride]
        case.near.near(f"trunk stage {level}", stage, case.tensors[f"sam_trunk{level}_sub"])
    features = case.features()
    for level, maps in enumerate((*features.high_resolution, features.coarse_FCHW)):
        stride = strides[f"fpn{level}"]
        case.near.near(f"level {level}", maps[..., ::stride, ::stride], case.tensors[f"sam_fpn{level}_sub"])
    stride = strides["fpn2"]
    positions = features.positions_FCHW[..., ::stride, ::stride]
    case.near.near("positions", positions, case.tensors["sam_pos2_sub"])
    marked = without_memory(sam, features)[..., ::stride, ::stride]
    case.near.near("no-memory embedding", marked, case.tensors["pix_feat_with_no_mem_sub"])


def test_prompt_encoder(case: Case) -> None:
    sam, stride = case.model.segmenter, case.facts["spatial_strides"]["image_pe"]
    padding = sam.prompt_encoder.not_a_point_embed.weight.expand(1, 2, -1)
    case.near.near("padding prompts", padding, case.tensors["sparse_embeddings_before_concat"])
    dense = sam.prompt_encoder.no_mask_embed.weight.flatten()
    case.near.near("no-mask embedding", dense, case.tensors["dense_embedding_vec"])
    grid = sam.get_image_wide_positional_embeddings()[..., ::stride, ::stride]
    case.near.near("image positions", grid, case.tensors["image_pe_sub"])


def test_candidate_masks_and_pointer(case: Case) -> None:
    prompts = case.tensors["seg_embed"][: len(case.facts["objects"])]
    candidates = case.candidates(prompts)
    pointers = pointers_of(case.model.segmenter, candidates.best())
    for i in range(len(prompts)):
        recorded = {key.removeprefix(f"obj{i}_"): value for key, value in case.tensors.items()}
        case.near.near(f"object {i}: masks", candidates.logits_NMhw[i, None], recorded["low_res_multimasks"])
        case.near.near(f"object {i}: IoUs", candidates.predicted_iou_NM[i, None], recorded["ious"])
        assert candidates.predicted_iou_NM[i].argmax().item() == recorded["best_index"].item()
        case.near.near(f"object {i}: pointer", pointers[i, None], recorded["obj_ptr"])
        presence = candidates.presence_N[i].view(1, 1)
        case.near.near(f"object {i}: presence", presence, recorded["object_score_logits"])


def test_final_masks_from_pixels_to_pixels(case: Case) -> None:
    inputs = case.text_inputs()
    batch = case.processor.prompts([case.image], ["?"], [0])
    frames = case.model.encode_frames(batch["segmenter_pixels"], batch["images"])
    states = case.model.seg_states(**inputs)[: len(case.facts["objects"])]
    decoded = case.model.decode_masks(frames, states, torch.zeros(len(states), dtype=torch.long))
    for i, logits in enumerate(decoded.logits_of()):
        sampled = logits[None, ::8, ::8]
        case.near.near(f"object {i}: final logits", sampled, case.tensors[f"obj{i}_final_logits_sub8"])
        case.near.mask(f"object {i}: final mask", logits, case.tensors[f"obj{i}_final_mask_packbits"])
