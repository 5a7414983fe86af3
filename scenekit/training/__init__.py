"""Training: the loop, schedules, balancing of losses, and what a run keeps on disk."""
