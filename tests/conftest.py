"""Shared by all tests: quiet libraries, one torch thread, where the real data lies, the browser that pages are opened in."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
sys.path.append(str(Path(__file__).parent))  # `models`, the helper modules of the tests


@pytest.fixture(autouse=True)
def _one_thread():
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):
    """Stages draw no report.html in tests that are not about reports: a second of plots for each run. That every stage
    draws one is tested in tests/alignment/report/."""
    if "report" not in request.path.parts:
        monkeypatch.setattr("alignment.report.write.draw", lambda folder, final: None)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data, `$ALIGN_DATA` or `../shared/data` beside the repository."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("ALIGN_DATA", default))
    if not folder.is_dir():
        pytest.skip("real data not found: set ALIGN_DATA to the folder that holds stories260k, tinystories, oasst, ...")
    return folder


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium; without it the test is skipped and says how to get it. One for all tests of a process: Playwright starts only
    once in it."""
    from chromium import LACKING, chromium, found

    if found() is None:
        pytest.skip(LACKING)
    with chromium() as opened:
        yield opened
