"""`killer.c` as a library for LD_PRELOAD: a disk that takes its time, or a process that dies at the N-th call to it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("killer.c")
REASON = "a C compiler is needed to stop a process at an fsync: apt-get install gcc"


def library(folder: Path) -> Path | None:
    """None where there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    made = folder / "killer.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", made, SOURCE, "-ldl"], check=True)
    return made
