"""The plan counts what training would count, before anything is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from angiova.model.adapters import select_trainable
from angiova.model.parts import parameter_table
from angiova.training.config import load_recipe
from angiova.training.learner import starting_model, trainable_settings
from angiova.training.plan import plan_parts

RECIPES = Path(__file__).parents[2] / "recipes"


def test_the_reference_recipe_trains_fifteen_percent() -> None:
    recipe = load_recipe(RECIPES / "internvl3_8b_reference.yaml", ["model={preset: internvl3-8b}", "precision=bf16"])
    total = plan_parts(recipe)[-1]
    assert total.parameters == pytest.approx(8.34e9, rel=1e-3)
    assert total.trainable == pytest.approx(1.29e9, rel=5e-3)
    assert total.trainable / total.parameters == pytest.approx(0.155, abs=5e-4)


def test_new_rows_alone_leave_two_and_a_half_percent() -> None:
    recipe = load_recipe(RECIPES / "internvl3_8b.yaml", ["model={preset: internvl3-8b}", "precision=bf16"])
    parts = {part.name: part for part in plan_parts(recipe)}
    assert parts["all"].trainable / parts["all"].parameters == pytest.approx(0.025, abs=5e-4)
    assert parts["vocabulary"].trainable == 2 * 5 * 3584
    assert parts["vision_tower"].weight_bytes == 2 * parts["vision_tower"].parameters
    assert parts["projector"].weight_bytes == parts["projector"].gradient_bytes == 4 * parts["projector"].parameters
    assert parts["projector"].optimizer_bytes == 8 * parts["projector"].parameters


def test_the_plan_is_what_training_then_holds() -> None:
    recipe = load_recipe(RECIPES / "nano_arcade.yaml", ["device=cpu"])
    model, _ = starting_model(recipe)
    select_trainable(model, trainable_settings(recipe, model))
    held = {part.name: (part.total, part.trainable) for part in parameter_table(model)}
    assert {part.name: (part.parameters, part.trainable) for part in plan_parts(recipe)[:-1]} == held
