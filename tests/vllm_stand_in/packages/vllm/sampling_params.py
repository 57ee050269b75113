"""See `vllm`."""

from vllm import _Unused

StructuredOutputsParams = _Unused
