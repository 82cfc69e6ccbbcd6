"""Sa2VA in and out of its checkpoints: the released layout, the reference's training files, and our own."""
