"""`align reward changes`: what the latest rankings changed in the reward model."""
