"""Running a trained model on frames and folders."""
