"""Stage 3: rollout → reward → advantages → update."""
