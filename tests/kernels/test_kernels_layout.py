"""Where the kernels live and what they may know.

Mutations seen to fail: `kernels/__init__.py` created; `import transformers` added to a file of the package.
"""

import ast
import sys
from pathlib import Path

KERNELS = Path(__file__).resolve().parents[2] / "kernels"


def test_kernels_is_no_package():
    """A regular package `kernels` of ours would hide Hugging Face's, which transformers and TRL look for."""
    assert (KERNELS / "alignment_kernels" / "__init__.py").is_file()
    assert not (KERNELS / "__init__.py").exists()


def test_the_package_imports_torch_and_nothing_else():
    allowed = {"torch", "alignment_kernels"} | sys.stdlib_module_names
    files = sorted(KERNELS.rglob("*.py"))
    assert files
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name.split(".")[0] in allowed, f"{file.name} imports {name}"
