"""Stage 1: demonstrations → policy."""
