"""The model: one mask path, masks in order, independence of batch and padding, and a round trip through a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel

from angiova.data.augment import NO_AUGMENTATION
from angiova.data.dataset import Example, ExampleDataset, ExampleSettings
from angiova.data.records import Split
from angiova.errors import ModelError
from angiova.inference.predictor import Predictor
from angiova.model.adapters import select_trainable
from angiova.model.modeling import Sa2VAModel
from angiova.model.parts import parameter_table
from angiova.model.presets import build
from angiova.model.processing import Sa2VAProcessor
from angiova.model.refiner import working_size
from angiova.model.trainable import TrainableSettings
from models import draw_frame, small_model, write_frames


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    manifest = write_frames(tmp_path_factory.mktemp("frames"))
    asked = ExampleSettings(whole_only=0, absent_segments=1, joined=0.5)
    drawn = ExampleDataset(manifest, Split.TRAIN, 1, 0, asked, NO_AUGMENTATION)
    return [drawn[i] for i in range(2)]


@pytest.fixture(scope="module")
def fitted(examples: list[Example]) -> tuple[Sa2VAModel, Sa2VAProcessor, list[dict[str, float]]]:
    """Return a model trained on two frames until it speaks, and its losses step by step."""
    model, processor = small_model()
    select_trainable(model, TrainableSettings.everything())
    batch, history = processor.collate(examples), []
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3, betas=(0.9, 0.98))
    for step in range(90):
        optimizer.param_groups[0]["lr"] = 1e-3 * min(1, (step + 1) / 20)
        losses = model(**batch).losses
        sum(losses.values()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        history.append({name: value.item() for name, value in losses.items()})
    return model.eval(), processor, history


def test_training_reduces_every_loss_on_one_batch(fitted: tuple[object, object, list[dict[str, float]]]) -> None:
    first, last = fitted[2][0], fitted[2][-1]
    assert set(first) == {"language", "mask", "dice", "iou", "presence", "absence", "coarse"}
    for name in first:
        assert last[name] < 0.8 * first[name], f"{name}: {first[name]:.3f} -> {last[name]:.3f}"


def test_training_and_inference_make_the_same_mask(
    fitted: tuple[Sa2VAModel, Sa2VAProcessor, object], examples: list[Example]
) -> None:
    model, processor, _ = fitted
    example = examples[0]
    question = example.turns[0].question
    generation = model.generate(
        **processor.prompts([example.image_HW], [question], [0]),
        eos_token_id=processor.eos_token_id,
        pad_token_id=processor.pad_token_id,
    )
    assert generation.num_masks_B == [len(example.turns[0].targets)], processor.words(generation.answer_ids[0])
    ids = processor.prompts([example.image_HW], [question], [0])
    ids["input_ids"] = torch.cat([ids["input_ids"], torch.tensor([generation.answer_ids[0]])], dim=1)
    ids["attention_mask"] = torch.ones_like(ids["input_ids"])
    with torch.no_grad():
        trained = model(**ids).masks
    torch.testing.assert_close(generation.masks.logits_of()[0], trained.logits_of()[0], rtol=0, atol=1e-5)
    assert torch.equal(generation.masks.logits_of()[0] > 0, trained.logits_of()[0] > 0)


def test_the_words_name_what_was_asked(
    fitted: tuple[Sa2VAModel, Sa2VAProcessor, object], examples: list[Example]
) -> None:
    model, processor, _ = fitted
    predictor = Predictor(model, processor, torch.device("cpu"))
    for example in examples:
        answer = predictor.answer([example.image_HW], [example.turns[0].question], [0])[0]
        assert answer.text == example.turns[0].answer
        assert len(answer.masks) == len(example.turns[0].targets)
        assert answer.masks[0].mask_HW.shape == example.image_HW.shape


def test_several_seg_tokens_give_as_many_masks_in_order(examples: list[Example]) -> None:
    model, processor = small_model()
    batch = processor.collate(examples)
    with torch.no_grad():
        masks = model.eval()(**batch).masks
    assert len(masks.logits_of()) == len(batch["masks"]) == int((batch["input_ids"] == model.config.seg_token_id).sum())
    assert all(m.shape == t.shape for m, t in zip(masks.logits_of(), batch["masks"], strict=True))


def test_an_answer_does_not_depend_on_its_batch() -> None:
    model, processor = small_model()
    square, wide = draw_frame(1)[0], draw_frame(2)[0][:61]
    questions = ["a longer question about [SEG] the tree [SEG]", "[SEG]"]

    def logits(images: list[np.ndarray], asked: list[str]) -> list[torch.Tensor]:
        batch = processor.prompts(images, asked, list(range(len(asked))))
        with torch.no_grad():
            return model.eval()(**batch).masks.logits_of()

    together = logits([square, wide], questions)
    alone = logits([square], questions[:1]) + logits([wide], questions[1:])
    assert [m.shape for m in together] == [(96, 96), (96, 96), (61, 96)]
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_without_a_refiner_the_mask_is_the_upsampled_coarse_one() -> None:
    model, processor = small_model(refiner_width=None)
    batch = processor.prompts([draw_frame(0)[0]], ["[SEG]"], [0])
    with torch.no_grad():
        masks = model.eval()(**batch).masks
    expected = torch.nn.functional.interpolate(masks.coarse_N1hw, size=(96, 96), mode="bilinear")[0, 0]
    torch.testing.assert_close(masks.logits_of()[0], expected)


@pytest.mark.parametrize(
    ("size", "seen"),
    [
        ((512, 512), (512, 512)),
        ((480, 560), (480, 560)),
        ((480, 640), (384, 512)),
        ((1024, 1024), (512, 512)),
        ((720, 960), (384, 512)),
        ((256, 200), (512, 400)),
        ((2000, 1), (512, 1)),
    ],
)
def test_the_size_at_which_the_refiner_looks_at_a_frame(size: tuple[int, int], seen: tuple[int, int]) -> None:
    assert working_size(size, 512) == seen
    assert working_size(size, None) == size


def test_a_frame_far_from_the_working_size_is_seen_at_it_and_answered_at_its_own() -> None:
    model, processor = small_model()
    model.eval().config.refiner_px = 96
    image = draw_frame(1)[0]
    large, near = np.kron(image, np.ones((2, 2), np.uint8)), image[:90, :88]
    batch = processor.prompts([large, near], ["[SEG]", "[SEG]"], [0, 1])
    with torch.no_grad():
        masks = model(**batch).masks.logits_of()
        seen = [
            d.pixels_BCHW.shape[-2:] for d in model.encode_frames(batch["segmenter_pixels"], batch["images"]).detail
        ]
        model.config.refiner_px = None
        native = model(**batch).masks.logits_of()
    assert seen == [(96, 96), (90, 88)]
    assert [mask.shape for mask in masks] == [(192, 192), (90, 88)]
    torch.testing.assert_close(masks[1], native[1])
    assert not torch.allclose(masks[0], native[0], atol=0.1)


def test_save_and_load_through_auto_model(tmp_path: Path) -> None:
    model, processor = small_model()
    model.save_pretrained(tmp_path)
    again = AutoModel.from_pretrained(tmp_path, local_files_only=True)
    assert isinstance(again, Sa2VAModel)
    ours, theirs = model.state_dict(), again.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    batch = processor.prompts([draw_frame(0)[0]], ["[SEG]"], [0])
    with torch.no_grad():
        a, b = (m.eval()(**batch).masks.logits_of()[0] for m in (model, again))
    torch.testing.assert_close(a, b, rtol=0, atol=1e-5)  # the same weights lie at other addresses


def test_lost_masks_and_image_tokens_are_refused(examples: list[Example]) -> None:
    model, processor = small_model()
    batch = processor.collate(examples)
    with pytest.raises(ModelError, match="target masks"):
        model(**batch | {"masks": batch["masks"][:-1]})
    image_token = model.config.vlm_config.image_token_id
    batch["input_ids"][batch["input_ids"] == image_token] = processor.pad_token_id
    with pytest.raises(ModelError, match="image tokens"):
        model(**batch)


def test_words_alone_cost_no_segmenter_and_have_zero_mask_losses() -> None:
    model, processor = small_model()
    batch = processor.prompts([draw_frame(0)[0]], ["what is this?"], [0])
    output = model(**batch, labels=batch["input_ids"].clone(), masks=[])
    assert output.masks is None
    assert {name for name, value in output.losses.items() if value.item() == 0} == {
        "mask",
        "dice",
        "presence",
        "absence",
        "iou",
        "coarse",
    }


def test_the_parameter_table_counts_every_tensor_once() -> None:
    model, _ = build("nano")
    select_trainable(model, TrainableSettings.everything())
    table = parameter_table(model)
    assert sum(row.total for row in table) == sum(p.numel() for p in model.parameters())
    assert sum(row.trainable for row in table) == sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert next(row for row in table if row.name == "segmenter_memory").trainable == 0


def test_the_parameter_table_counts_parameters_that_zero_3_has_emptied() -> None:
    model, _ = build("nano")
    whole = parameter_table(model)
    for parameter in model.parameters():
        parameter.ds_numel = parameter.numel()  # what deepspeed.zero.Init leaves behind
        parameter.data = torch.empty(0)
    assert parameter_table(model) == whole
