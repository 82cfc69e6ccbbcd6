"""Fine-tuning: the recipe, the run and what it records about itself."""
