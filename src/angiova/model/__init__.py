"""Sa2VA as a native transformers model: InternVL and SAM2 joined by the `[SEG]` token."""
