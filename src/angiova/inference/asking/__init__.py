"""Questions about a frame or a run: the model's words and masks, beside what is measured on its masks."""
