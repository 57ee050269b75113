"""Other people's PPO, run in environments of its own, beside ours. `benchmarks/parity.py` is the command."""
