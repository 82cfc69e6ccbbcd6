"""Reports made from what a run recorded, and from nothing else."""
