"""An environment of its own for each peer: a virtual environment in a cache folder, its packages pinned in `NAME.txt`.

torch alone is shared: it is linked from the environment that runs this, so that both sides do the same arithmetic and
nothing large is downloaded again."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
from importlib.metadata import distribution, distributions
from pathlib import Path

HERE = Path(__file__).parent
TORCH_FAMILY = re.compile("torch|triton|nvidia-.*|cuda-.*")  # a GPU build of torch needs its libraries beside it


def default_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "instruct-loop" / "peers"


def environment(name: str, cache: Path) -> Path:
    """The peer's Python, made at the first call and whenever its requirements change. Raises CalledProcessError (pip)."""
    folder, requirements = cache / name, HERE / f"{name}.txt"
    python, mark = folder / "bin" / "python", folder / "complete.txt"
    wanted = f"{sys.version}\ntorch {distribution('torch').version} {torch_home()}\n{requirements.read_text('utf-8')}"
    if mark.is_file() and mark.read_text("utf-8") == wanted:
        return python
    print(f"{name}: making its environment in {folder} ...", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=False)
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps"]
    subprocess.run([*install, "-r", str(requirements)], check=True)
    link_torch(folder)
    mark.write_text(wanted, "utf-8")  # last: an interrupted install is made anew
    return python


def torch_home() -> Path:
    return Path(str(distribution("torch").locate_file("")))


def link_torch(folder: Path) -> None:
    """Links to torch's packages, and its metadata, by which transformers finds it."""
    packages = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    for found in distributions():
        if not TORCH_FAMILY.fullmatch(found.name.lower()):
            continue
        for top in sorted({file.parts[0] for file in found.files or [] if file.parts[0] != ".."}):
            source, target = Path(str(found.locate_file(top))), packages / top
            if source.exists() and not target.exists():
                target.symlink_to(source)


def run_peer(name: str, cache: Path, output: Path) -> None:
    """The peer's own functions on the inputs; writes `output`. Raises CalledProcessError where they fail."""
    quiet = {"TRL_EXPERIMENTAL_SILENCE": "1", "VERL_LOGGING_LEVEL": "ERROR", "TRANSFORMERS_VERBOSITY": "error"}
    alone = {"PYTHONPATH": str(HERE.parent), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [str(environment(name, cache)), "-W", "ignore", "-m", f"peers.{name}", str(output)]
    done = subprocess.run(command, env=os.environ | quiet | alone, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stderr)
        done.check_returncode()
