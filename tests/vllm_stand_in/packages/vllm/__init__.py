"""The names of vLLM that TRL's `VLLMClient` imports, with a socket in place of NCCL, so that TRL's own code runs on a CPU."""

__version__ = "0.30.0"


class _Unused:
    """TRL imports it beside the client."""


LLM = RequestOutput = SamplingParams = _Unused
