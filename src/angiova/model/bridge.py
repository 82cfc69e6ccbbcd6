"""From words to masks: the state of a `[SEG]` token becomes a prompt of the segmenter."""

from __future__ import annotations

from torch import Tensor, nn


class Bridge(nn.Module):
    """Two-layer perceptron from the language model's width to SAM2's prompt width.

    Same form as the reference's `text_hidden_fcs` (Yuan et al., "Sa2VA", arXiv 2501.04001), so that its weights load.

    Args:
        text_size: width H of the language model.
        prompt_size: width P of SAM2's prompts.
    """

    def __init__(self, text_size: int, prompt_size: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(text_size, text_size)
        self.output = nn.Linear(text_size, prompt_size)

    def forward(self, states_NH: Tensor) -> Tensor:
        """Return prompts of shape (N, P) for `[SEG]` states of shape (N, H)."""
        prompts_NP: Tensor = self.output(self.hidden(states_NH).relu())
        return prompts_NP
