"""The bad-input table: every way to get an input wrong that we know of, one line each. `tests/test_bad_input.py` runs it."""
