"""Shared by all tests: quiet libraries, one torch thread, where the real data lies."""

from __future__ import annotations

import os
import sys
from pathlib import Path

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
