"""Mutations seen to fail: minutes not padded, the tenths below ten seconds left out, powers of two for bytes."""

from alignment.quantities import duration, size


def test_durations():
    seconds = (0.04, 9.9, 9.96, 59.4, 59.6, 119.7, 3599.6, 3720, 9000)
    texts = ["0.0 s", "9.9 s", "10 s", "59 s", "1 min 00 s", "2 min 00 s", "1 h 00 min", "1 h 02 min", "2 h 30 min"]
    assert [duration(one) for one in seconds] == texts


def test_sizes():
    assert [size(one) for one in (3_000_000, 12_340_000, 999_000_000, 2_500_000_000)] == [
        "3 MB", "12 MB", "999 MB", "2.50 GB"
    ]  # fmt: skip
