"""What one device holds of a model's state, against shares worked out by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from angiova.training.config import load_recipe
from angiova.training.memory import GIB, choose_layout, predict
from angiova.training.plan import PartPlan
from angiova.training.shares import StateBytes, state_on_one

RECIPES = Path(__file__).parents[2] / "recipes"
# Ten frozen layers of 2 bytes a parameter, and a vocabulary of 10 trained parameters: 4 bytes, 4 and 8.
ROWS = [
    PartPlan("language_model", 400, 0, 800, 0, 0),
    PartPlan("vocabulary", 10, 10, 40, 40, 80),
    PartPlan("all", 410, 10, 840, 40, 80),
]


@pytest.mark.parametrize(
    ("strategy", "devices", "expected"),
    [
        ("ddp", 4, StateBytes(840, 40, 80)),
        # Gradients: a quarter, and the bucket they are sent in. Optimizer: a quarter of 80 and of the copy's 40.
        ("zero2", 4, StateBytes(840, 10 + 40, 20 + 10)),
        # Weights: a quarter, the vocabulary, and two layers of 80 bytes.
        ("zero3", 4, StateBytes(210 + 40 + 160, 10 + 40, 20 + 10)),
        ("fsdp2", 4, StateBytes(210 + 40 + 160, 10, 20)),
        ("fsdp2", 1, StateBytes(840, 40, 80)),
    ],
)
def test_the_share_of_one_device(strategy: str, devices: int, expected: StateBytes) -> None:
    assert state_on_one(ROWS, strategy, devices, num_layers=10) == expected


def test_more_devices_leave_more_room_for_examples() -> None:
    recipe = load_recipe(
        RECIPES / "internvl3_8b.yaml", ["model={preset: internvl3-8b}", "precision=bf16", "engine.strategy=zero3"]
    )
    one, two, four = (predict(recipe, devices) for devices in (1, 2, 4))
    assert one.state_bytes > two.state_bytes > four.state_bytes
    assert one.step_bytes == two.step_bytes == four.step_bytes
    assert choose_layout(recipe, 24 * GIB, devices=4).layout.micro >= choose_layout(recipe, 24 * GIB).layout.micro


def test_the_first_users_recipe_fits_its_cards_only_when_everything_is_shared_out() -> None:
    model = ["model={preset: internvl3-8b}", "precision=bf16"]
    shared = choose_layout(load_recipe(RECIPES / "internvl3_8b_reference.yaml", model), 24 * GIB, devices=4)
    assert shared.reason.endswith("zero3: every device holds 1/4 of all")
    replicas = load_recipe(RECIPES / "internvl3_8b_reference.yaml", [*model, "engine.strategy=ddp"])
    assert predict(replicas, devices=4).state_bytes > 24 * GIB
