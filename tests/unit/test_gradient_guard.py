"""One optimizer step whose gradients are not finite is skipped; several in a row end the run."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import TrainerControl, TrainerState, TrainingArguments

from angiova.errors import TrainingError
from angiova.training.callbacks import MOST_SKIPPED, GradientGuard

NAN = float("nan")


class Training:
    """A layer under AdamW, its gradients given from outside, as the Trainer would go through its steps."""

    def __init__(self, guard: GradientGuard) -> None:
        self.layer, self.guard, self.state = nn.Linear(2, 1), guard, TrainerState()
        self.optimizer = torch.optim.AdamW(self.layer.parameters(), lr=0.1)

    def step(self, gradient: float) -> bool:
        """Make a step and say whether the weights changed."""
        before = self.layer.weight.detach().clone()
        self.optimizer.zero_grad()
        for parameter in self.layer.parameters():
            parameter.grad = torch.full_like(parameter, gradient)
        self.guard.on_pre_optimizer_step(TrainingArguments("out"), self.state, TrainerControl(), model=self.layer)
        self.optimizer.step()
        self.state.global_step += 1
        return not torch.equal(before, self.layer.weight)


def test_a_bad_step_is_skipped_and_counted_and_the_next_is_made() -> None:
    training = Training(GradientGuard())
    assert [training.step(gradient) for gradient in (1.0, NAN, 1.0)] == [True, False, True]
    assert training.guard.num_skipped == 1
    assert all(torch.isfinite(parameter).all() for parameter in training.layer.parameters())


def test_bad_steps_apart_from_one_another_never_end_a_run() -> None:
    training = Training(GradientGuard())
    for _ in range(2 * MOST_SKIPPED):
        training.step(NAN)
        training.step(1.0)
    assert training.guard.num_skipped == 2 * MOST_SKIPPED


def test_several_in_a_row_end_the_run_and_name_the_loss() -> None:
    training = Training(GradientGuard())
    training.guard.see({"mask": torch.tensor(NAN), "dice": torch.tensor(0.5)})
    for _ in range(MOST_SKIPPED - 1):
        training.step(NAN)
    with pytest.raises(TrainingError, match=r"loss mask is not finite at optimizer step 2, 3 steps in a row") as raised:
        training.step(float("inf"))
    assert "optimizer.lr" in str(raised.value)


def test_who_is_to_blame_is_said_of_the_gradient_where_losses_are_finite(capsys: pytest.CaptureFixture[str]) -> None:
    training = Training(GradientGuard())
    training.guard.see({"mask": torch.tensor(1.0)})
    training.step(NAN)
    assert "optimizer step 0 skipped: the gradient is not finite" in capsys.readouterr().err
