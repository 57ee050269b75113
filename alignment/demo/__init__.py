"""The embedded default: a little world, its simulated annotator and a tiny base language model."""
