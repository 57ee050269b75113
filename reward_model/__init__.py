"""Stage 2: rankings → reward model."""
